//! One JSON object a line, for `jq`, `DuckDB` and log pipelines: `{"type": "...", "data": {...}}`.
//!
//! Connections come first, each when it is over, so that a run need not remember them; findings and
//! the line of type `run`, which says what was read, come when all is known. A connection's line
//! depends on nothing but the connection, so that many can be formatted at the same time.

use std::io::{self, Write};

use serde::Serialize;

use super::connection::ConnectionDoc;
use super::document::{SCHEMA_VERSION, Tool};
use super::finding::FindingDoc;
use super::input::{InputDoc, Quality};
use super::totals::{SummaryDoc, Window};
use super::writer;
use crate::analysis::{Analysis, JudgedConnection};

/// Appends the line of one connection.
pub fn write_connection(connection: &JudgedConnection, buffer: &mut Vec<u8>) {
    append_line(buffer, "connection", ConnectionDoc::from(connection));
}

/// The same by `serde_json`: what tests and benches hold [`write_connection`] against.
#[cfg(any(test, feature = "testkit"))]
pub fn write_connection_by_serde_json(connection: &JudgedConnection, buffer: &mut Vec<u8>) {
    let line = Line { kind: "connection", data: ConnectionDoc::from(connection) };
    if serde_json::to_writer(&mut *buffer, &line).is_ok() {
        buffer.push(b'\n');
    }
}

/// Writes what is known only when all connections are over: the findings and the run.
///
/// # Errors
/// Whatever the writer says.
pub fn write_rest(analysis: &Analysis, mut out: impl Write) -> io::Result<()> {
    for finding in &analysis.findings {
        write_line(&mut out, "finding", FindingDoc::from(finding))?;
    }
    write_line(&mut out, "run", RunDoc::of(analysis))
}

/// One line.
#[derive(Debug, Serialize)]
struct Line<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    data: T,
}

/// Appends one line.
pub(super) fn append_line(buffer: &mut Vec<u8>, kind: &'static str, data: impl Serialize) {
    let before = buffer.len();
    // The documents have no key that is no string.
    match writer::append(&Line { kind, data }, buffer) {
        Ok(()) => buffer.push(b'\n'),
        Err(_) => buffer.truncate(before),
    }
}

fn write_line(out: &mut impl Write, kind: &'static str, data: impl Serialize) -> io::Result<()> {
    writer::write(&Line { kind, data }, 0, out)?;
    out.write_all(b"\n")
}

/// What the last line says: the report without its lists of hosts, findings and connections.
#[derive(Debug, Serialize)]
struct RunDoc<'a> {
    schema_version: &'static str,
    tool: Tool,
    inputs: Vec<InputDoc<'a>>,
    summary: SummaryDoc,
    quality: Quality,
}

impl<'a> RunDoc<'a> {
    fn of(analysis: &'a Analysis) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool: Tool::THIS,
            inputs: analysis.inputs.iter().map(InputDoc::from).collect(),
            summary: SummaryDoc::of(&analysis.summary, Window::of(&analysis.summary)),
            quality: analysis.into(),
        }
    }
}
