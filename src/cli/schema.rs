//! `tcpautopsy schema [report|connection|finding|segment]`: the JSON Schema.

use std::io::{self, Write as _};

use clap::ValueEnum;

use crate::report;

/// What `schema` was asked.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which document
    #[arg(value_enum, default_value_t)]
    document: Document,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Document {
    /// The JSON report
    #[default]
    Report,
    /// A connection: element of `connections`, or data of an NDJSON line
    Connection,
    /// A finding: element of `findings`, or data of an NDJSON line
    Finding,
    /// A segment: data of a line of segments
    Segment,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let schema = report::schema(match arguments.document {
        Document::Report => report::Schema::Report,
        Document::Connection => report::Schema::Connection,
        Document::Finding => report::Schema::Finding,
        Document::Segment => report::Schema::Segment,
    });
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &schema)?;
    writeln!(out)?;
    Ok(())
}
