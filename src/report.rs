//! Reports: what a run found, in the formats that people and programs read.
//!
//! Every format is made from one [`Analysis`]; its document types only serialise. The same analysis
//! gives the same bytes, always. Knows nothing of how anything was found, nor of files: a report is
//! written to whatever can be written to.

mod community_id;
mod configuration;
mod connection;
mod document;
mod finding;
mod input;
mod json;
mod list;
mod lone;
mod ndjson;
mod reference;
mod schema;
mod segments;
mod text;
mod totals;
mod usual;
mod value;
mod writer;
mod zeek;

#[cfg(test)]
mod tests;

pub use json::write_json;
pub use lone::LONE_VALUES;
#[cfg(any(test, feature = "testkit"))]
pub use ndjson::write_connection_by_serde_json;
pub use ndjson::{write_connection, write_rest};
pub use reference::reference;
pub use schema::{Schema, schema};
pub use segments::write_segment;
pub use text::{Detail, TextOptions, write_text};
pub use zeek::{write_zeek_json, write_zeek_row, zeek_footer, zeek_header, zeek_row_time};

#[cfg(doc)]
use crate::analysis::Analysis;
use crate::analysis::JudgedConnection;

/// Which connections a report holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connections {
    /// Every one.
    All,
    /// Those that a detector marked.
    #[default]
    Flagged,
    /// None.
    None,
}

impl Connections {
    /// Whether a report holds this connection.
    #[must_use]
    pub fn holds(self, connection: &JudgedConnection) -> bool {
        match self {
            Self::All => true,
            Self::Flagged => !connection.findings.is_empty(),
            Self::None => false,
        }
    }
}
