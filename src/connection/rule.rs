//! The rules by which repetitions are told apart, and the numbers that each compared.
//!
//! Numbers only; the words are made when somebody asks.

use std::fmt;

use super::{Mark, RepeatCause};
use crate::stamp::{FrameId, Span};

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
    /// What was sent after it has arrived, and it has not (RFC 8985).
    SentLaterArrived {
        /// The later transmission.
        later: FrameId,
        /// From the transmission before to that one.
        ahead: Span,
        /// From the transmission before to this one.
        waited: Span,
    },
    /// The end of what was sent, and no acknowledgment for some round trips.
    TailProbe {
        /// From the last progress or transmission to this one.
        waited: Span,
        /// The smoothed round trip.
        rtt: Span,
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
    /// The bytes of another segment, cut in another way by the capturing host.
    CutOtherwise {
        /// The segment in which their first one was seen.
        seen: FrameId,
        /// From there to this one.
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
        /// From the last progress to it.
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
            Self::SentLaterArrived { later, ahead, waited } => write!(
                f,
                "frame {}, sent {} after it, has arrived; sent again after {}",
                later.number(),
                Millis(ahead),
                Millis(waited)
            ),
            Self::TailProbe { waited, rtt } => {
                write!(f, "the last segment sent, after {} without an ACK", Millis(waited))?;
                if rtt > Span::ZERO { write!(f, ", round trip {}", Millis(rtt)) } else { Ok(()) }
            }
            Self::AlreadyAcknowledged { cause } => {
                write!(f, "acknowledged before it was sent again ({})", cause.name())
            }
            Self::SamePacket { ip_id: 0, after } => {
                write!(f, "the same timestamp and checksum {} later", Millis(after))
            }
            Self::SamePacket { ip_id, after } => {
                write!(f, "the same IP ID {ip_id:#06x} and checksum {} later", Millis(after))
            }
            Self::CutOtherwise { seen, after } => write!(
                f,
                "bytes of frame {}, cut in another way {} later",
                seen.number(),
                Millis(after)
            ),
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
                write!(f, "nothing outstanding, the last progress {} before", Millis(idle))
            }
            Self::WindowClosed { since, closed } => write!(
                f,
                "the window closed with frame {}, {} before",
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

/// A time in milliseconds with three digits: precise enough to compare, short enough to read.
pub(super) struct Millis(pub(super) Span);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.nanos() / 1_000;
        let sign = if micros < 0 { "-" } else { "" };
        let micros = micros.unsigned_abs();
        write!(f, "{sign}{}.{:03} ms", micros / 1_000, micros % 1_000)
    }
}
