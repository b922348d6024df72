//! The JSON report: outer levels indented for people, every finding and connection on a line of its
//! own for `grep` and `diff`.

use std::io::{self, Write};

use super::Connections;
use super::document::ReportDoc;
use super::writer;
use crate::analysis::Analysis;
use crate::summary::Hands;

/// Writes the report, with the connections that `connections` names; `hands` make its parts.
///
/// # Errors
/// Whatever the writer says.
pub fn write_json(
    analysis: &Analysis,
    connections: Connections,
    hands: &impl Hands,
    mut out: impl Write,
) -> io::Result<()> {
    let texts = |count: usize, text: &(dyn Fn(usize) -> Vec<u8> + Sync)| {
        hands.each((0..count).collect(), text)
    };
    let report = ReportDoc::of(analysis, connections, &texts, hands);
    writer::write(&report, INDENTED, &mut out)?;
    out.write_all(b"\n")
}

/// How many levels are indented: the report's own fields, and the elements of its lists.
const INDENTED: usize = 2;
