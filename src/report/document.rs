//! The JSON report as a whole: the order and the names of its parts.

use schemars::JsonSchema;
use serde::Serialize;

use super::Connections;
use super::configuration::SettingsDoc;
use super::connection::{ConnectionDoc, Judged};
use super::finding::FindingDoc;
use super::input::{InputDoc, Quality};
use super::list::{List, Texts};
use super::totals::{HostDoc, ListenerDoc, SummaryDoc, Window};
use crate::analysis::Analysis;
use crate::summary::Hands;

/// Version of the report's schema: the major number changes when a field goes or changes its
/// meaning, the minor number when fields are added.
pub(super) const SCHEMA_VERSION: &str = "1.0";

/// Listeners, and hosts, that a report lists at most; `quality` says how many more there were.
pub(super) const MAX_LISTED: usize = 1_024;

/// Everything a run found.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Report")]
pub(super) struct ReportDoc<'a> {
    /// Version of this schema; fields are only added within a major version.
    schema_version: &'static str,
    /// The program that wrote the report.
    tool: Tool,
    /// The files, in the order of their first time; `file` of a frame is an index into it.
    inputs: Vec<InputDoc<'a>>,
    /// What was in force.
    settings: SettingsDoc,
    /// Totals of the whole capture.
    summary: SummaryDoc,
    /// The services with the most connections, by address and port.
    #[schemars(with = "Vec<ListenerDoc>")]
    listeners: List<'a, ListenerDoc>,
    /// The hosts with the most connections, by address.
    #[schemars(with = "Vec<HostDoc>")]
    hosts: List<'a, HostDoc>,
    /// What went wrong, the worst first.
    findings: Vec<FindingDoc<'a>>,
    /// How far the capture can be trusted.
    quality: Quality,
    /// The connections that were asked for, in the order in which they began.
    #[schemars(with = "Vec<ConnectionDoc<'_>>")]
    connections: List<'a, Judged<'a>>,
}

/// The program that wrote a report.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Tool {
    /// `tcpautopsy`.
    name: &'static str,
    /// Its version.
    version: &'static str,
}

impl Tool {
    pub(super) const THIS: Self =
        Self { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
}

impl<'a> ReportDoc<'a> {
    /// The report, as `hands` make its parts; `texts` makes those of its lists.
    pub(super) fn of(
        analysis: &'a Analysis,
        connections: Connections,
        texts: &'a Texts<'a>,
        hands: &impl Hands,
    ) -> Self {
        let summary = &analysis.summary;
        let window = Window::of(summary);
        let listeners = summary.busiest_listeners(MAX_LISTED, hands);
        let hosts = summary.busiest_hosts(MAX_LISTED, hands);
        let held = analysis.connections.iter().filter(|judged| connections.holds(judged));
        Self {
            schema_version: SCHEMA_VERSION,
            tool: Tool::THIS,
            inputs: analysis.inputs.iter().map(InputDoc::from).collect(),
            settings: analysis.into(),
            summary: SummaryDoc::of(summary, window),
            listeners: List::new(
                hands.each(listeners, |entry| ListenerDoc::of(entry, summary, window)),
                texts,
            ),
            hosts: List::new(hands.each(hosts, |entry| HostDoc::of(entry, summary, window)), texts),
            findings: analysis.findings.iter().map(FindingDoc::from).collect(),
            quality: analysis.into(),
            connections: List::new(held.map(Judged).collect(), texts),
        }
    }
}
