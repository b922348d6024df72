//! A finding as plain data: what was seen, how sure, on what evidence, and which setting governs it.
//!
//! Detectors fill it, reports print it. Knows nothing of how it was found.

use std::fmt;

use serde::Serialize;

use crate::certainty::Certainty;
use crate::stamp::{FrameId, Time};
use crate::tcp::{Endpoint, Overlay};

/// How urgent a finding is. Orders from the mildest to the worst.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Out of the ordinary, rarely harmful.
    Notice,
    /// Harm is likely.
    Warning,
    /// Harm is certain.
    Critical,
}

impl Severity {
    /// Every severity, the mildest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Notice, Self::Warning, Self::Critical];

    /// `info`, `notice`, `warning` or `critical`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A detector's stable code: `TCP101` is `Code(101)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TCP{:03}", self.0)
    }
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The capture itself, or one of its files.
    Capture(String),
    /// A host.
    Host(std::net::IpAddr),
    /// A service: an address and port that connections are made to.
    Listener(Endpoint),
    /// Connections from one host to one service.
    Pair {
        /// Where they come from.
        client: std::net::IpAddr,
        /// Where they go.
        server: Endpoint,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture(name) => f.write_str(name),
            Self::Host(address) => address.fmt(f),
            Self::Listener(endpoint) => endpoint.fmt(f),
            Self::Pair { client, server } => write!(f, "{client} -> {server}"),
        }
    }
}

/// One measured value that supports a finding, in the order in which it should be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// `snake_case`, with the unit at the end (`_ns`, `_bytes`, `_per_second`).
    pub name: &'static str,
    /// The value.
    pub value: Value,
}

/// A value of evidence.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A count, a number of bytes, or a duration in ns.
    Integer(i64),
    /// A ratio or a rate; printed with at most three decimals.
    Ratio(f64),
    /// Words.
    Text(String),
    /// A moment.
    Time(Time),
    /// Yes or no.
    Flag(bool),
    /// A series, such as a timeline's buckets.
    Series(Vec<i64>),
    /// Several words, such as addresses.
    List(Vec<String>),
}

/// A setting to look at, and what changing it would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The setting's full name, `net.ipv4.tcp_syncookies`, or an API such as `listen(2) backlog`.
    pub setting: String,
    /// `raise`, `lower`, `enable`, `disable`, `set`, `check` or `fix`.
    pub direction: &'static str,
    /// The value to consider, where one can be named.
    pub value: Option<String>,
    /// What else it changes, and when not to.
    pub side_effects: String,
}

/// Something that went wrong, or is worth knowing.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The detector's code.
    pub code: Code,
    /// The detector's name.
    pub name: &'static str,
    /// Variant within the code, such as a kind of reset; empty where there is none.
    pub variant: &'static str,
    /// How urgent.
    pub severity: Severity,
    /// How sure.
    pub certainty: Certainty,
    /// One line that says it all, without the subject.
    pub title: String,
    /// Who it is about.
    pub subject: Subject,
    /// The network that the subject's addresses belong to.
    pub overlay: Overlay,
    /// First moment of what was seen.
    pub first_time: Time,
    /// Last moment.
    pub last_time: Time,
    /// How many connections or events it stands for.
    pub count: u64,
    /// Measured values.
    pub evidence: Vec<Evidence>,
    /// The evidence in one line, for people.
    pub summary: String,
    /// Frames to open, the most telling first, at most [`Finding::MAX_FRAMES`].
    pub frames: Vec<FrameId>,
    /// Ids of connections, the first ones, at most [`Finding::MAX_CONNECTIONS`].
    pub connections: Vec<u64>,
    /// What happened, and why it matters here.
    pub explanation: String,
    /// Settings to look at, the most useful first.
    pub advice: Vec<Advice>,
    /// A Wireshark display filter that shows it.
    pub display_filter: String,
    /// What limits the statement, such as capture loss; empty where nothing does.
    pub caveat: String,
}

impl Finding {
    /// How many frames a finding cites.
    pub const MAX_FRAMES: usize = 10;
    /// How many connections a finding names.
    pub const MAX_CONNECTIONS: usize = 20;

    /// Who it is about, as people write it: the subject, and the tunnels that make its network.
    #[must_use]
    pub fn place(&self) -> String {
        self.overlay.place(&self.subject)
    }

    /// What stays the same in every run that finds the same trouble at the same place: a hash of
    /// code, variant and subject, independent of times and counts. 16 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", self.hash())
    }

    /// The code and the short form of the fingerprint: `TCP301-1a2b3c4d`.
    #[must_use]
    pub fn id(&self) -> String {
        let hash = self.hash();
        format!("{}-{:08x}", self.code, (hash >> 32) ^ (hash & 0xffff_ffff))
    }

    /// FNV-1a of 64 bits (Fowler, Noll, Vo), over a text that names the trouble.
    fn hash(&self) -> u64 {
        let kind = match self.subject {
            Subject::Capture(_) => "capture",
            Subject::Host(_) => "host",
            Subject::Listener(_) => "listener",
            Subject::Pair { .. } => "pair",
        };
        let text = format!("{}|{}|{kind}|{}", self.code, self.variant, self.place());
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}
