//! Zeek's conn.log: the connections as Zeek would have logged them, as tab-separated values with
//! Zeek's header, or as one JSON object a line.
//!
//! Written for `zeek-cut` and whatever else reads Zeek's logs: the fields are those of Zeek 7.0, in
//! its order. What this program does not know is unset: `service` always, and the payload bytes
//! where Zeek leaves them out as well, in connections that took no time.

mod local;
mod row;
mod uid;

use std::fmt::Write as _;

use row::Row;
pub(super) use uid::uid;

use crate::flow::ZeekRow;
use crate::stamp::Time;

/// Names and types of the columns.
const FIELDS: [(&str, &str); 21] = [
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("service", "string"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("conn_state", "string"),
    ("local_orig", "bool"),
    ("local_resp", "bool"),
    ("missed_bytes", "count"),
    ("history", "string"),
    ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"),
    ("resp_pkts", "count"),
    ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"),
];

/// The lines before the first row; `opened` takes the place of the wall clock.
#[must_use]
pub fn zeek_header(opened: Time) -> String {
    let mut header = String::from(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n",
    );
    let _ = writeln!(header, "#open\t{}", Clock(opened));
    for (line, of) in [("#fields", 0), ("#types", 1)] {
        header.push_str(line);
        for (name, kind) in FIELDS {
            let _ = write!(header, "\t{}", if of == 0 { name } else { kind });
        }
        header.push('\n');
    }
    header
}

/// The time in a row of tab-separated values, which is its first column.
#[must_use]
pub fn zeek_row_time(row: &[u8]) -> Option<Time> {
    let row = std::str::from_utf8(row).ok()?;
    let (seconds, micros) = row.split('\t').next()?.split_once('.')?;
    let is_negative = seconds.starts_with('-');
    let seconds = seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?;
    let micros = micros.parse::<i64>().ok()?;
    let micros = if is_negative { seconds - micros } else { seconds + micros };
    micros.checked_mul(1_000).map(Time::from_nanos)
}

/// The line behind the last row.
#[must_use]
pub fn zeek_footer(closed: Time) -> String {
    format!("#close\t{}\n", Clock(closed))
}

/// Appends a row as tab-separated values.
pub fn write_zeek_row(row: &ZeekRow, buffer: &mut Vec<u8>) {
    Row::of(row).write_tsv(buffer);
}

/// Appends a row as JSON.
pub fn write_zeek_json(row: &ZeekRow, buffer: &mut Vec<u8>) {
    let before = buffer.len();
    // The row has no key that is no string.
    match super::writer::append(&Row::of(row), buffer) {
        Ok(()) => buffer.push(b'\n'),
        Err(_) => buffer.truncate(before),
    }
}

/// A time as Zeek's headers have it, to the second, in UTC.
struct Clock(Time);

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stamp = jiff::Timestamp::from_nanosecond(i128::from(self.0.nanos()));
        match stamp {
            Ok(stamp) => write!(f, "{}", stamp.strftime("%Y-%m-%d-%H-%M-%S")),
            Err(_) => f.write_char('-'),
        }
    }
}

#[cfg(test)]
mod tests;
