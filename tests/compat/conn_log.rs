//! A strict reader of Zeek's tab-separated logs, as the log format is documented.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// The rows of a conn.log; panics where Zeek's own tools would misread it.
pub(crate) fn parse(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = text.lines();
    let mut header = |name: &str| {
        let line = lines.next().unwrap_or_else(|| panic!("no line {name}"));
        let rest = line.strip_prefix(name).unwrap_or_else(|| panic!("{line:?}, not {name}"));
        rest.get(1..).unwrap().to_owned()
    };
    assert_eq!(header("#separator"), "\\x09");
    assert_eq!(header("#set_separator"), ",");
    assert_eq!(header("#empty_field"), "(empty)");
    assert_eq!(header("#unset_field"), "-");
    assert_eq!(header("#path"), "conn");
    is_clock(&header("#open"));
    let fields: Vec<String> = header("#fields").split('\t').map(String::from).collect();
    let types: Vec<String> = header("#types").split('\t').map(String::from).collect();
    assert_eq!(fields.len(), types.len());
    let mut rows = Vec::new();
    let mut closed = false;
    for line in lines {
        assert!(!closed, "a line behind #close: {line:?}");
        if let Some(time) = line.strip_prefix("#close\t") {
            is_clock(time);
            closed = true;
            continue;
        }
        let values: Vec<&str> = line.split('\t').collect();
        assert_eq!(values.len(), fields.len(), "{line:?}");
        for (value, kind) in values.iter().zip(&types) {
            assert!(*value == "-" || is_a(kind, value), "{value:?} is no {kind}: {line:?}");
        }
        rows.push(fields.iter().cloned().zip(values.into_iter().map(String::from)).collect());
    }
    assert!(closed, "no #close");
    rows
}

fn is_a(kind: &str, value: &str) -> bool {
    let is_decimal = || {
        let (whole, part) = value.trim_start_matches('-').split_once('.').unwrap_or_default();
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        digits(whole) && digits(part) && part.len() == 6
    };
    match kind {
        "time" | "interval" => is_decimal(),
        "addr" => value.parse::<IpAddr>().is_ok(),
        "port" => value.parse::<u16>().is_ok(),
        "count" => value.parse::<u64>().is_ok(),
        "bool" => matches!(value, "T" | "F"),
        "enum" => value == "tcp",
        "string" | "set[string]" => !value.is_empty() && value.is_ascii(),
        _ => false,
    }
}

/// `2026-01-02-03-04-05`.
fn is_clock(text: &str) {
    let parts: Vec<&str> = text.split('-').collect();
    assert_eq!(parts.len(), 6, "{text}");
    assert!(parts.iter().all(|part| part.parse::<u16>().is_ok()), "{text}");
}
