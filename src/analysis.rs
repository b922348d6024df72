//! What a run found: the one value that the pipeline returns and that every report reads.
//!
//! Plain data, already in the order in which reports print it. Knows nothing of how it was found,
//! nor of any output format.

use crate::compat::wireshark::AnalysisFlags;
use crate::connection::ConnectionRecord;
use crate::finding::{Code, Finding};
use crate::flow::Placed;
pub use crate::input::{CountedInterface, Input, InputDamage, Quality};
use crate::settings::Settings;
use crate::stamp::Time;
use crate::summary::Summary;
use crate::threshold::ThresholdInForce;

/// Everything a run found.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The files, in the order of their first time; a frame's file is an index into it.
    pub inputs: Vec<Input>,
    /// What of the inputs was looked at.
    pub selection: Selection,
    /// The settings of hosts that were in force.
    pub settings: Settings,
    /// The thresholds that were in force.
    pub thresholds: Vec<ThresholdInForce>,
    /// Totals of the capture, its listeners and its hosts.
    pub summary: Summary,
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
    /// The connections that the caller asked for, in the order in which they began.
    pub connections: Vec<JudgedConnection>,
}

/// What of the inputs was to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The filter's expression, if there was one.
    pub filter: Option<String>,
    /// The first moment of the period.
    pub from: Option<Time>,
    /// The first moment behind it.
    pub to: Option<Time>,
}

/// A connection and what the detectors said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedConnection {
    /// The connection.
    pub record: ConnectionRecord,
    /// Codes of the detectors that fired on it, ascending.
    pub findings: Vec<Code>,
}

/// A segment and what the compatible columns say of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JudgedSegment<'a> {
    /// The segment and its connection at that moment.
    pub placed: &'a Placed<'a>,
    /// What Wireshark shows on it.
    pub wireshark: AnalysisFlags,
}
