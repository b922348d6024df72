//! Zeek's conn.log, written while the run is still reading.

use std::io;

use clap::ValueEnum;

use super::outputs::OpenOutput;
use crate::analysis::Analysis;
use crate::compat::zeek::Timers;
use crate::flow::{ZeekRow, ZeekRules};
use crate::report;
use crate::stamp::Time;

/// Which of Zeek's scripts a conn.log is to look like, where it is to be cut as Zeek does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scripts {
    /// As `zeek -b`: roles as seen
    Bare,
    /// Ports tell servers where no SYN does
    Default,
}

impl From<Scripts> for ZeekRules {
    fn from(scripts: Scripts) -> Self {
        Self { timers: Timers::DEFAULT, likely_servers: scripts == Scripts::Default }
    }
}

/// The conn.logs that were asked for.
#[derive(Default)]
pub(super) struct ConnLogs {
    /// As tab-separated values.
    pub(super) tables: Vec<OpenOutput>,
    /// As JSON lines.
    pub(super) json: Vec<OpenOutput>,
    /// The tables have their header.
    begun: bool,
}

impl ConnLogs {
    pub(super) const fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.json.is_empty()
    }

    /// Appends a row in the forms that are wanted, a line each.
    pub(super) fn format(&self, row: &ZeekRow, into: &mut Vec<u8>) {
        if !self.tables.is_empty() {
            report::write_zeek_row(row, into);
        }
        if !self.json.is_empty() {
            report::write_zeek_json(row, into);
        }
    }

    /// Writes a formatted row.
    ///
    /// # Errors
    /// Whatever an output says.
    pub(super) fn write(&mut self, formatted: &[u8]) -> io::Result<()> {
        let line = formatted.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (table, json) = formatted.split_at(if self.tables.is_empty() { 0 } else { line });
        if !self.begun {
            self.begin(report::zeek_row_time(table).unwrap_or_default())?;
        }
        self.tables.iter_mut().try_for_each(|output| output.append(table))?;
        self.json.iter_mut().try_for_each(|output| output.append(json))
    }

    /// Writes what stands behind the rows.
    pub(super) fn finish(mut self, analysis: &Analysis) -> anyhow::Result<()> {
        let first = analysis.inputs.iter().filter_map(|input| input.first_time).min();
        let last = analysis.inputs.iter().filter_map(|input| input.last_time).max();
        if !self.begun {
            self.begin(first.unwrap_or_default())?;
        }
        let footer = report::zeek_footer(last.unwrap_or_default());
        for table in self.tables {
            table.write(|out| out.write_all(footer.as_bytes()))?;
        }
        self.json.into_iter().try_for_each(|output| output.write(|_| Ok(())))
    }

    fn begin(&mut self, opened: Time) -> io::Result<()> {
        self.begun = true;
        let header = report::zeek_header(opened);
        self.tables.iter_mut().try_for_each(|output| output.append(header.as_bytes()))
    }
}
