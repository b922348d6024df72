//! `-o conn.log`: what Zeek's own tools are to read.

use serde_json::Value;

use super::{Desk, capture, json};
use crate::compat::conn_log::parse;

/// An attempt that is repeated after 1 s and after 7 s, and then answered.
const RETRIED: &str = "# Answered at last
client 10.0.0.1:40001
server 10.0.0.2:80
+0.000 > S 0:0(0) win 64240 <mss 1460>
+1.000 > S 0:0(0) win 64240 <mss 1460>
+6.000 > S 0:0(0) win 64240 <mss 1460>
+0.001 < S. 0:0(0) ack 1 win 65535 <mss 1460>
+0.001 > . 1:1(0) ack 1 win 502
";

#[test]
fn a_connection_is_logged_as_zeek_would() {
    let desk = Desk::new();
    desk.clean("clean.pcap");
    let (code, out, errors) = desk.run(&[
        "analyze",
        "clean.pcap",
        "-q",
        "--connections",
        "all",
        "-o",
        "conn.log",
        "-o",
        "zeek-json:conn.json",
        "-o",
        "report.json",
    ]);
    assert_eq!((code, out.as_str(), errors.as_str()), (Some(0), "", ""));
    let log = std::fs::read_to_string(desk.path("conn.log")).unwrap();
    assert_eq!(log, desk.stdout(&["analyze", "clean.pcap", "-o", "zeek:-"]));
    assert!(log.contains("\n#open\t2026-01-02-03-04-05\n"), "{log}");
    let rows = parse(&log);
    assert_eq!(rows.len(), 1);
    for (column, value) in [
        ("ts", "1767323045.000000"),
        ("id.orig_h", "10.0.0.1"),
        ("id.orig_p", "40002"),
        ("id.resp_h", "10.0.0.2"),
        ("id.resp_p", "443"),
        ("proto", "tcp"),
        ("service", "-"),
        ("duration", "0.006000"),
        ("orig_bytes", "100"),
        ("resp_bytes", "200"),
        ("conn_state", "SF"),
        ("local_orig", "T"),
        ("missed_bytes", "0"),
        ("history", "ShADdFf"),
        ("orig_pkts", "5"),
        ("resp_pkts", "3"),
        ("tunnel_parents", "-"),
    ] {
        assert_eq!(rows[0][column], value, "{column}");
    }
    let zeek = &json(&desk.path("report.json"))["connections"][0]["zeek"];
    assert_eq!(zeek["uid"], rows[0]["uid"].as_str());
    assert_eq!([&zeek["conn_state"], &zeek["history"]], ["SF", "ShADdFf"]);
    let line = std::fs::read_to_string(desk.path("conn.json")).unwrap();
    assert_eq!(line, desk.stdout(&["analyze", "clean.pcap", "-o", "zeek-json:-"]));
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["uid"], zeek["uid"]);
    assert_eq!(
        [&object["duration"], &object["local_resp"]],
        [&Value::from(0.006), &Value::from(true)]
    );
}

#[test]
fn zeeks_timers_split_rows_and_nothing_else() {
    let desk = Desk::new();
    desk.write("retried.pcap", capture(RETRIED));
    let run = |extra: &[&str]| {
        let mut arguments =
            vec!["analyze", "retried.pcap", "-q", "-o", "conn.log", "-o", "ndjson:lines"];
        arguments.extend_from_slice(extra);
        let (code, _, errors) = desk.run(&arguments);
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        let log = std::fs::read_to_string(desk.path("conn.log")).unwrap();
        let histories: Vec<_> = parse(&log).into_iter().map(|row| row["history"].clone()).collect();
        (histories, std::fs::read_to_string(desk.path("lines")).unwrap())
    };
    let (whole, lines) = run(&[]);
    assert_eq!(whole, ["ShA"]);
    for option in ["--zeek-splitting", "--zeek-splitting=default"] {
        let (split, same_lines) = run(&[option]);
        assert_eq!(split, ["S", "ShA"], "{option}");
        assert_eq!(same_lines, lines);
    }
}

#[test]
fn the_default_scripts_know_servers_by_their_ports() {
    let desk = Desk::new();
    desk.write(
        "middle.pcap",
        capture(
            "# Only data of the server
client 10.0.0.1:40001
server 10.0.0.2:443
+0.000 < P. 100:200(100) ack 50 win 502
",
        ),
    );
    for (option, history) in [
        ("--zeek-splitting", "D"),
        ("--zeek-splitting=bare", "D"),
        ("--zeek-splitting=default", "^d"),
    ] {
        let log = desk.stdout(&["analyze", "middle.pcap", "-o", "zeek:-", option]);
        assert_eq!(parse(&log)[0]["history"], history, "{option}");
    }
}

#[test]
fn splitting_without_a_conn_log_is_noticed() {
    let desk = Desk::new();
    desk.clean("clean.pcap");
    let (code, _, errors) = desk.run(&["analyze", "clean.pcap", "-q", "--zeek-splitting"]);
    assert_eq!(code, Some(0));
    assert!(errors.contains("warning: --zeek-splitting changes nothing"), "{errors}");
}

#[test]
fn a_log_without_connections_has_its_header_all_the_same() {
    let desk = Desk::new();
    desk.write("empty.pcap", capture("# Nothing\nclient 10.0.0.1:1\nserver 10.0.0.2:2\n"));
    let log = desk.stdout(&["analyze", "empty.pcap", "-o", "zeek:-"]);
    assert!(parse(&log).is_empty());
}
