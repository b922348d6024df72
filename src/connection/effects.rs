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

use super::Mark;
use crate::stamp::{FrameId, Span};
use crate::tcp::Side;

/// What one segment did besides moving states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effects {
    /// Who sent the segment.
    pub from: Side,
    /// Set when the segment sends something again, or looks as if it did.
    pub repeat: Option<Repeat>,
    /// Set when the segment shows that an earlier one had been repeated for nothing. The earlier
    /// one counts as [`RepeatCause::Spurious`] from here on; what was said of it stands corrected.
    pub proof: Option<Proof>,
}

impl Effects {
    /// Nothing to say about a segment of `from`.
    pub(super) const fn none(from: Side) -> Self {
        Self { from, repeat: None, proof: None }
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

/// A rule of the classification, and the numbers that it compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The timer ran out: the `nth` time in a row, after `waited` without progress.
    Timeout {
        /// From the last progress, or from the transmission before, to this one.
        waited: Span,
        /// How long the timer was expected to run; zero where no round trip was measured.
        expected: Span,
        /// 1 for the first timeout since the last progress.
        nth: u32,
    },
    /// The timer had run out at `timeout`, and this was outstanding then.
    AfterTimeout {
        /// The segment that the timer sent.
        timeout: FrameId,
    },
    /// Acknowledgments repeated themselves.
    DuplicateAcks {
        /// How many.
        count: u32,
        /// From the last of them to this segment.
        after: Span,
    },
    /// SACK reported bytes behind these as received.
    Sacked {
        /// Bytes reported behind the start of this segment.
        bytes: u64,
        /// From the last acknowledgment to this segment.
        after: Span,
    },
    /// An acknowledgment that stopped short of what was outstanding when fast recovery began.
    PartialAck {
        /// The segment that began the recovery.
        recovery: FrameId,
        /// From the last acknowledgment to this segment.
        after: Span,
    },
    /// The end of what was sent, and no acknowledgment for some round trips.
    TailProbe {
        /// From the last progress or transmission to this one.
        waited: Span,
        /// The smoothed round trip.
        rtt: Span,
    },
    /// The next try came after about the same time, not after twice that: the first was a probe.
    ProbeThenTimeout {
        /// Before the first try.
        first: Span,
        /// Between the tries.
        second: Span,
    },
    /// The peer had acknowledged all of it before it passed the tap.
    AlreadyAcknowledged {
        /// What made the sender repeat it, as far as its timing shows.
        cause: RepeatCause,
    },
    /// The same packet: IP identification and TCP checksum are equal.
    SamePacket {
        /// IP identification; 0 where the timestamp and the checksum had to do.
        ip_id: u16,
        /// From the first sighting to this one.
        after: Span,
    },
    /// Its IP identification comes before that of the segment which overtook it.
    EarlierIpId {
        /// Of this segment.
        ip_id: u16,
        /// Of the segment behind the gap.
        next: u16,
        /// The segment behind the gap.
        overtaken_by: FrameId,
    },
    /// Its timestamp is older than that of the segment which overtook it.
    EarlierTimestamp {
        /// Of this segment.
        value: u32,
        /// Of the segment behind the gap.
        next: u32,
        /// The segment behind the gap.
        overtaken_by: FrameId,
    },
    /// It came too soon after the gap was seen for a report to have reached the sender.
    TooSoon {
        /// From the segment behind the gap to this one.
        after: Span,
        /// The round trip.
        rtt: Span,
        /// The segment behind the gap.
        overtaken_by: FrameId,
    },
    /// At most one byte, at or below the last acknowledged one, with nothing outstanding.
    BelowWindow {
        /// Silence of this side before it.
        idle: Span,
    },
    /// The peer advertised a window of zero.
    WindowClosed {
        /// Since when.
        since: Mark,
        /// How long ago.
        closed: Span,
    },
    /// The same control segment: the `nth` repetition.
    Again {
        /// 1 for the first repetition.
        nth: u32,
        /// From the transmission before to this one.
        waited: Span,
    },
    /// No rule fits.
    NoRule {
        /// From the last progress or transmission to this one.
        waited: Span,
    },
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)?;
        match self.original {
            Some(original) => write!(f, "; first sent in frame {}", original.frame.number()),
            None => f.write_str("; the first transmission is not in the capture"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Timeout { waited, expected, nth } => {
                write!(f, "no progress for {}", Millis(waited))?;
                if expected > Span::ZERO {
                    write!(f, ", timeout about {}", Millis(expected))?;
                }
                if nth > 1 { write!(f, ", timeout {nth} in a row") } else { Ok(()) }
            }
            Self::AfterTimeout { timeout } => {
                write!(f, "outstanding when the timer ran out at frame {}", timeout.number())
            }
            Self::DuplicateAcks { count, after } => {
                write!(f, "{count} duplicate ACKs, the last {} before", Millis(after))
            }
            Self::Sacked { bytes, after } => write!(
                f,
                "SACK reports {bytes} bytes behind it, the last ACK {} before",
                Millis(after)
            ),
            Self::PartialAck { recovery, after } => write!(
                f,
                "partial ACK {} before, in the recovery that began with frame {}",
                Millis(after),
                recovery.number()
            ),
            Self::TailProbe { waited, rtt } => {
                write!(f, "the last segment sent, after {} without an ACK", Millis(waited))?;
                if rtt > Span::ZERO { write!(f, ", round trip {}", Millis(rtt)) } else { Ok(()) }
            }
            Self::ProbeThenTimeout { first, second } => write!(
                f,
                "sent after {}, and again after {}: not doubled, so the first was a probe",
                Millis(first),
                Millis(second)
            ),
            Self::AlreadyAcknowledged { cause } => {
                write!(f, "acknowledged before it was sent again ({})", cause.name())
            }
            Self::SamePacket { ip_id: 0, after } => {
                write!(f, "the same timestamp and checksum {} later", Millis(after))
            }
            Self::SamePacket { ip_id, after } => {
                write!(f, "the same IP ID {ip_id:#06x} and checksum {} later", Millis(after))
            }
            Self::EarlierIpId { ip_id, next, overtaken_by } => write!(
                f,
                "IP ID {ip_id:#06x} was sent before {next:#06x} of frame {}",
                overtaken_by.number()
            ),
            Self::EarlierTimestamp { value, next, overtaken_by } => write!(
                f,
                "timestamp {value} is older than {next} of frame {}",
                overtaken_by.number()
            ),
            Self::TooSoon { after, rtt, overtaken_by } => write!(
                f,
                "{} after frame {}, within the round trip of {}",
                Millis(after),
                overtaken_by.number(),
                Millis(rtt)
            ),
            Self::BelowWindow { idle } => {
                write!(f, "nothing outstanding, silent for {}", Millis(idle))
            }
            Self::WindowClosed { since, closed } => write!(
                f,
                "window closed since frame {}, {} before",
                since.frame.number(),
                Millis(closed)
            ),
            Self::Again { nth, waited } => {
                write!(f, "repetition {nth}, after {}", Millis(waited))
            }
            Self::NoRule { waited } => {
                write!(f, "no rule fits, {} after the last progress", Millis(waited))
            }
        }
    }
}

/// What shows that a repetition was needless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The needless repetition.
    pub repeat: FrameId,
    /// What it had counted as before.
    pub was: RepeatCause,
    /// The kind of proof.
    pub kind: ProofKind,
}

/// How a needless repetition is proved.
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
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ProofKind::DuplicateSack => f.write_str("D-SACK: received twice")?,
            ProofKind::Echo { echo, repeated } => {
                write!(f, "echoes timestamp {echo} of the first transmission, not {repeated}")?;
            }
        }
        write!(f, "; frame {} ({}) was spurious", self.repeat.number(), self.was.name())
    }
}

/// A time in milliseconds with three digits: precise enough to compare, short enough to read.
struct Millis(Span);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.nanos() / 1_000;
        let sign = if micros < 0 { "-" } else { "" };
        let micros = micros.unsigned_abs();
        write!(f, "{sign}{}.{:03} ms", micros / 1_000, micros % 1_000)
    }
}
