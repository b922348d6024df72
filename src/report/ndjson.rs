//! One JSON object a line, for `jq`, `DuckDB` and log pipelines: `{"type": "...", "data": {...}}`.
//!
//! The first line says what was read, then come the findings and the connections. A connection's
//! line depends on nothing but the connection, so that many can be formatted at the same time.

use std::io::{self, Write};

use serde::Serialize;

use super::Connections;
use super::connection::ConnectionDoc;
use super::document::{SCHEMA_VERSION, Tool};
use super::finding::FindingDoc;
use super::input::{InputDoc, Quality};
use super::totals::{SummaryDoc, Window};
use crate::analysis::{Analysis, JudgedConnection};

/// Connections are formatted into a buffer of this size before they are written.
const BUFFER: usize = 256 << 10;

/// Writes the run, the findings, and the connections that `connections` names.
///
/// # Errors
/// Whatever the writer says.
pub fn write_ndjson(
    analysis: &Analysis,
    connections: Connections,
    mut out: impl Write,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    push(&mut buffer, "run", RunDoc::of(analysis))?;
    for finding in &analysis.findings {
        push(&mut buffer, "finding", FindingDoc::from(finding))?;
    }
    for connection in analysis.connections.iter().filter(|judged| connections.holds(judged)) {
        write_connection(connection, &mut buffer)?;
        if buffer.len() >= BUFFER {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}

/// Appends the line of one connection.
///
/// # Errors
/// None that can happen: a buffer in memory takes everything.
pub fn write_connection(connection: &JudgedConnection, buffer: &mut Vec<u8>) -> io::Result<()> {
    push(buffer, "connection", ConnectionDoc::from(connection))
}

/// One line.
#[derive(Debug, Serialize)]
struct Line<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    data: T,
}

fn push(buffer: &mut Vec<u8>, kind: &'static str, data: impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *buffer, &Line { kind, data })?;
    buffer.push(b'\n');
    Ok(())
}

/// What the first line says: the report without its lists of hosts, findings and connections.
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
