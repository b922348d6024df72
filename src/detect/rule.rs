//! What a detector is made of, and what it hands over.
//!
//! A condition is a pure function from a connection (or from merged totals) to evidence; the wording
//! is a pure function from evidence to a [`Draft`]. Neither sees the other's input.

use super::accumulate::Group;
use super::advice::filter_within;
use super::thresholds::{Threshold, Thresholds};
use crate::certainty::Certainty;
use crate::connection::ConnectionRecord;
use crate::finding::{Advice, Code, Evidence, Finding, Severity, Subject};
use crate::input::Input;
use crate::settings::Settings;
use crate::stamp::{FrameId, Time};
use crate::summary::{PairKey, Summary};
use crate::tcp::{Endpoint, Overlay, Within};

/// One detector.
#[derive(Debug)]
pub struct Rule {
    /// Its stable code, never reused.
    pub code: Code,
    /// The pattern that it sees, never the remedy.
    pub name: &'static str,
    /// What it looks at.
    pub scope: Scope,
    /// The kinds that it tells apart; a single empty one where there are none.
    pub variants: &'static [&'static str],
    /// Its limits.
    pub thresholds: &'static [&'static Threshold],
    /// The text of its source file, whose head is its page.
    pub(super) source: &'static str,
    pub(super) check: Check,
}

/// What a detector looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One connection that is over, or cut off.
    Connection,
    /// The totals of a listener.
    Listener,
    /// The totals of a host, or of a pair.
    Host,
    /// The capture itself.
    Capture,
}

impl Scope {
    /// `connection`, `listener`, `host` or `capture`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Listener => "listener",
            Self::Host => "host",
            Self::Capture => "capture",
        }
    }
}

/// Which findings a defect of the capture makes doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those about connections that the defect touched.
    Touched,
    /// All of them.
    Everything,
}

/// How a detector comes to its findings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// Connections are judged one by one, and their hits grouped.
    Grouped {
        /// The condition.
        judge: fn(&ConnectionRecord, &Context<'_>) -> Option<Hit>,
        /// Turns a group into words; none when the group as a whole is no finding.
        describe: fn(&Group, &Whole<'_>) -> Option<Draft>,
        /// Whether a hit marks its connection. A detector whose verdict depends on the group does
        /// not: at that time nobody knows it.
        marks: bool,
    },
    /// The merged totals are judged.
    Totals(fn(&Whole<'_>) -> Vec<(Spot, Draft)>),
    /// The capture itself is judged.
    Capture {
        judge: fn(&Whole<'_>) -> Vec<(Spot, Draft)>,
        /// What a finding of it means for the others; none where it means nothing.
        reach: fn(&Whole<'_>) -> Option<Reach>,
    },
    /// Both: hits are grouped and mark nothing, and the totals are judged for what no connection
    /// shows.
    Both {
        judge: fn(&ConnectionRecord, &Context<'_>) -> Option<Hit>,
        describe: fn(&Group, &Whole<'_>) -> Option<Draft>,
        totals: fn(&Whole<'_>) -> Vec<(Spot, Draft)>,
    },
}

/// What every condition may consult.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) settings: &'a Settings,
    pub(super) thresholds: &'a Thresholds,
}

/// What there is to consult when all connections are over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<'a> {
    pub(super) context: Context<'a>,
    pub(super) summary: &'a Summary,
    pub(super) inputs: &'a [Input],
}

impl Whole<'_> {
    /// What is seen in the capture as a whole, `count` times.
    pub(super) fn spot(&self, variant: &'static str, count: u64, frames: Vec<FrameId>) -> Spot {
        let subject = match self.inputs {
            [input] => input.path.clone(),
            _ => "all files".to_owned(),
        };
        Spot {
            variant,
            subject: Subject::Capture(subject),
            overlay: Overlay::default(),
            first: self.start(),
            last: self.end(),
            count,
            frames,
        }
    }

    /// The last moment of which the capture tells.
    pub(super) fn end(&self) -> Time {
        self.summary.totals.known_until.unwrap_or_default()
    }

    /// The first moment of which the capture tells.
    pub(super) fn start(&self) -> Time {
        self.summary.totals.first_time.unwrap_or_default()
    }
}

/// Who a connection's hit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Point {
    Listener(Within<Endpoint>),
    Pair(Within<PairKey>),
}

impl Point {
    pub(super) fn listener(record: &ConnectionRecord) -> Self {
        Self::Listener(Within { at: record.server, overlay: record.overlay().id() })
    }

    pub(super) fn pair(record: &ConnectionRecord) -> Self {
        let pair = PairKey { client: record.client.address, server: record.server };
        Self::Pair(Within { at: pair, overlay: record.overlay().id() })
    }

    /// The service concerned, with its network.
    pub(super) const fn service(self) -> Within<Endpoint> {
        match self {
            Self::Listener(server) => server,
            Self::Pair(Within { at, overlay }) => Within { at: at.server, overlay },
        }
    }

    /// Address and port of the service concerned.
    pub(super) const fn server(self) -> Endpoint {
        self.service().at
    }

    pub(super) const fn subject(self) -> Subject {
        match self {
            Self::Listener(server) => Subject::Listener(server.at),
            Self::Pair(Within { at: PairKey { client, server }, .. }) => {
                Subject::Pair { client, server }
            }
        }
    }
}

/// A connection that fulfils a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// One of the rule's variants.
    pub(super) variant: &'static str,
    pub(super) point: Point,
    /// When it began, and when it ended or was last known.
    pub(super) first: Time,
    pub(super) last: Time,
    /// The frame that shows it best.
    pub(super) frame: FrameId,
    pub(super) certainty: Certainty,
    /// What makes one hit worse than another; the rule knows the unit.
    pub(super) measure: i64,
    /// A small class to be counted, such as a number of retries; at most [`Group::MAX_TALLIES`].
    pub(super) class: u32,
    /// Whether the capture ended before it did.
    pub(super) ongoing: bool,
}

/// Where and when a finding on totals was seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spot {
    pub(super) variant: &'static str,
    pub(super) subject: Subject,
    /// The network that the subject's addresses belong to.
    pub(super) overlay: Overlay,
    pub(super) first: Time,
    pub(super) last: Time,
    pub(super) count: u64,
    pub(super) frames: Vec<FrameId>,
}

/// A finding's verdict and words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub(super) severity: Severity,
    pub(super) certainty: Certainty,
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) evidence: Vec<Evidence>,
    pub(super) explanation: String,
    pub(super) advice: Vec<Advice>,
    pub(super) display_filter: String,
    pub(super) caveat: String,
}

impl Rule {
    /// The finding that this rule makes of a draft.
    pub(super) fn finding(&self, spot: Spot, connections: Vec<u64>, draft: Draft) -> Finding {
        Finding {
            code: self.code,
            name: self.name,
            variant: spot.variant,
            severity: draft.severity,
            certainty: draft.certainty,
            title: draft.title,
            subject: spot.subject,
            display_filter: filter_within(&spot.overlay, draft.display_filter),
            overlay: spot.overlay,
            first_time: spot.first,
            last_time: spot.last,
            count: spot.count,
            evidence: draft.evidence,
            summary: draft.summary,
            frames: spot.frames,
            connections,
            explanation: draft.explanation,
            advice: draft.advice,
            caveat: draft.caveat,
        }
    }
}
