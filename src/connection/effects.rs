//! What a segment did, for those who look at single segments.
//!
//! [`Connection::observe`](super::Connection::observe) returns [`Effects`]: small, `Copy`, numbers
//! only. Words are made from them when somebody asks ([`Repeat`] and [`Proof`] are `Display`), so
//! that the hot path builds no text.
//!
//! A segment line of the reports has `"cause": repeat.cause.name()` and `"why": repeat.to_string()`
//! where [`Effects::repeat`] is set; where only [`Effects::proof`] is set, its words are the `why`
//! of a line without cause.

use std::fmt;

use crate::compact::compact;

use super::rule::Millis;
use super::{Mark, Rule};
use crate::stamp::{FrameId, Span};
use crate::tcp::Side;

/// What one segment did besides moving states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effects {
    /// Who sent the segment.
    pub from: Side,
    /// Set when the segment sends something again, or looks as if it did.
    pub repeat: Option<Repeat>,
    /// Set when the segment shows that an earlier repetition had been judged wrongly, as a rule
    /// because nothing had been lost: what was said of that one stands corrected.
    pub proof: Option<Proof>,
    /// Set when the segment is none of this connection's: it begins another one, which will show.
    pub is_of_next: bool,
}

impl Effects {
    /// Nothing to say about a segment of `from`.
    #[must_use]
    pub const fn none(from: Side) -> Self {
        Self { from, repeat: None, proof: None, is_of_next: false }
    }
}

/// Why a segment carries what was carried before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RepeatCause {
    /// The sender's retransmission timer ran out, or it works off what it gave up then.
    Rto,
    /// Duplicate acknowledgments or SACK reported a hole.
    Fast,
    /// The last segment again, before the timer, to provoke a report (RFC 8985 7).
    TailLossProbe,
    /// Nothing was lost: D-SACK, a timestamp echo or an earlier acknowledgment proves it.
    Spurious,
    /// Sent once, and overtaken on the way to the tap.
    Reordering,
    /// A byte below the acknowledged ones asks for a sign of life (RFC 9293 3.8.4).
    KeepAlive,
    /// Asks whether a closed window has opened (RFC 9293 3.8.6.1).
    WindowProbe,
    /// More than a probe, sent again while the peer's window was closed.
    ZeroWindow,
    /// The tap delivered one packet twice.
    CaptureDuplicate,
    /// The network delivered one packet twice.
    PathDuplicate,
    /// The SYN again.
    Syn,
    /// The SYN-ACK again.
    SynAck,
    /// The FIN again, without payload.
    Fin,
    /// None of these fits.
    Unknown,
}

compact!(
    enum RepeatCause {
        Rto,
        Fast,
        TailLossProbe,
        Spurious,
        Reordering,
        KeepAlive,
        WindowProbe,
        ZeroWindow,
        CaptureDuplicate,
        PathDuplicate,
        Syn,
        SynAck,
        Fin,
        Unknown,
    }
);

impl RepeatCause {
    /// Every cause, in the order of reports.
    pub const ALL: [Self; 14] = [
        Self::Rto,
        Self::Fast,
        Self::TailLossProbe,
        Self::Spurious,
        Self::Syn,
        Self::SynAck,
        Self::Fin,
        Self::ZeroWindow,
        Self::Unknown,
        Self::Reordering,
        Self::KeepAlive,
        Self::WindowProbe,
        Self::CaptureDuplicate,
        Self::PathDuplicate,
    ];

    /// The cause's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rto => "rto",
            Self::Fast => "fast",
            Self::TailLossProbe => "tail_loss_probe",
            Self::Spurious => "spurious",
            Self::Reordering => "reordering",
            Self::KeepAlive => "keep_alive",
            Self::WindowProbe => "window_probe",
            Self::ZeroWindow => "zero_window",
            Self::CaptureDuplicate => "capture_duplicate",
            Self::PathDuplicate => "path_duplicate",
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::Fin => "fin",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the sender transmitted something for a second time; the others only look like it.
    #[must_use]
    pub const fn is_retransmission(self) -> bool {
        match self {
            Self::Rto
            | Self::Fast
            | Self::TailLossProbe
            | Self::Spurious
            | Self::ZeroWindow
            | Self::Syn
            | Self::SynAck
            | Self::Fin
            | Self::Unknown => true,
            Self::Reordering
            | Self::KeepAlive
            | Self::WindowProbe
            | Self::CaptureDuplicate
            | Self::PathDuplicate => false,
        }
    }
}

/// A segment that sends something again, or looks as if it did. `Display` gives the `why`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The judgement.
    pub cause: RepeatCause,
    /// The rule that led to it, with the numbers that it compared.
    pub rule: Rule,
    /// The transmission that it repeats; none where the capture does not have it.
    pub original: Option<Mark>,
}

impl Repeat {
    /// The tap delivered it more than once.
    pub(super) fn is_copy(self) -> bool {
        self.cause == RepeatCause::CaptureDuplicate
    }
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)?;
        match self.original {
            None if self.cause == RepeatCause::Reordering => Ok(()),
            Some(original) => write!(f, "; first sent in frame {}", original.frame.number()),
            None => f.write_str("; the first transmission is not in the capture"),
        }
    }
}

/// What corrects the judgement of an earlier repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The earlier repetition.
    pub repeat: FrameId,
    /// What it had counted as before.
    pub was: RepeatCause,
    /// What it counts as from here on.
    pub is: RepeatCause,
    /// The kind of proof.
    pub kind: ProofKind,
}

/// How an earlier judgement is corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofKind {
    /// The first SACK block reports bytes received twice (RFC 2883).
    DuplicateSack,
    /// The acknowledgment echoes the timestamp of the first transmission (RFC 3522).
    Echo {
        /// The echoed timestamp.
        echo: u32,
        /// That of the repetition.
        repeated: u32,
    },
    /// The next try came after about twice the time, so the first was no probe but a timeout.
    Backoff {
        /// Before the first try.
        first: Span,
        /// Between the tries.
        second: Span,
    },
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ProofKind::DuplicateSack => f.write_str("D-SACK: received twice")?,
            ProofKind::Echo { echo, repeated } => {
                write!(f, "echoes timestamp {echo} of the first transmission, not {repeated}")?;
            }
            ProofKind::Backoff { first, second } => {
                write!(f, "first try after {}, next after {}", Millis(first), Millis(second))?;
            }
        }
        let (was, is) = (self.was.name(), self.is.name());
        write!(f, "; frame {} was {is}, not {was}", self.repeat.number())
    }
}

/// How many segments count as each cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepeatCounts([u32; RepeatCause::ALL.len()]);

compact!(struct RepeatCounts as (counts));

impl RepeatCounts {
    /// The count of `cause`.
    #[must_use]
    pub fn of(&self, cause: RepeatCause) -> u32 {
        self.0.get(cause as usize).copied().unwrap_or(0)
    }

    /// Segments that their sender transmitted again, for whatever cause.
    #[must_use]
    pub fn retransmissions(&self) -> u32 {
        RepeatCause::ALL
            .iter()
            .filter(|cause| cause.is_retransmission())
            .fold(0, |sum, cause| sum.saturating_add(self.of(*cause)))
    }

    pub(crate) fn add(&mut self, cause: RepeatCause) {
        if let Some(count) = self.0.get_mut(cause as usize) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn take(&mut self, cause: RepeatCause) {
        if let Some(count) = self.0.get_mut(cause as usize) {
            *count = count.saturating_sub(1);
        }
    }
}
