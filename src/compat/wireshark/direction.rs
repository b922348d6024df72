//! What Wireshark remembers of the segments that one side sent.

use super::AnalysisFlags;
use crate::stamp::Time;
use crate::tcp::Seq;

/// What is known of a side's window scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scale {
    /// The handshake has not been seen: no window is taken for full.
    #[default]
    Unknown,
    /// The handshake negotiated none.
    Unused,
    /// The shift that the last window scale option asked for, at most 14.
    Shift(u8),
}

impl Scale {
    /// Shifts above this act as this (RFC 7323 2.3).
    const HIGHEST: u8 = 14;

    pub(super) fn asked(shift: u8) -> Self {
        Self::Shift(shift.min(Self::HIGHEST))
    }
}

/// How many duplicate acknowledgments were counted, as far as a rule asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Duplicates {
    /// None since the acknowledgment number last moved.
    #[default]
    None,
    /// One.
    One,
    /// Two or more.
    Several,
}

impl Duplicates {
    pub(super) const fn one_more(self) -> Self {
        match self {
            Self::None => Self::One,
            Self::One | Self::Several => Self::Several,
        }
    }
}

/// One direction of a connection.
///
/// A sequence number of 0 means "not known yet", as in Wireshark: a connection whose numbers pass
/// through 0 is misjudged there, and therefore here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direction {
    /// When the segment that set `next_seq` was captured.
    pub(super) next_seq_at: Time,
    /// When the last segment of this direction was captured.
    pub(super) last_at: Time,
    /// The end of the furthest segment.
    pub(super) next_seq: Seq,
    /// The end of the bytes that were seen without a hole; what may be acknowledged.
    pub(super) contiguous: Seq,
    /// The acknowledgment field of the last segment, with or without ACK.
    pub(super) last_ack: Seq,
    /// The initial sequence number, seen or guessed from the first segment.
    pub(super) base_seq: Option<Seq>,
    /// The unscaled window of the last segment.
    pub(super) window: Option<u16>,
    pub(super) scale: Scale,
    pub(super) duplicates: Duplicates,
    /// Since this side last moved its acknowledgment, the peer has acknowledged bytes of it that
    /// were not captured: not to be reported again, and as good as duplicate acknowledgments.
    pub(super) overtaken: bool,
    /// What was said of the last segment.
    pub(super) last_flags: AnalysisFlags,
    /// A SYN was sent, and nothing with an ACK since: the window in force is not scaled yet.
    pub(super) window_unscaled: bool,
    /// The MPTCP operations that the connection had seen at the last segment, as bits.
    pub(super) mptcp_seen: u8,
    /// Segments that the peer has not acknowledged, up to [`Direction::MAX_UNACKNOWLEDGED`].
    pub(super) unacknowledged: u16,
}

impl Default for Direction {
    fn default() -> Self {
        Self {
            next_seq_at: Time::from_nanos(0),
            last_at: Time::from_nanos(0),
            next_seq: Seq(0),
            contiguous: Seq(0),
            last_ack: Seq(0),
            base_seq: None,
            window: None,
            scale: Scale::Unknown,
            duplicates: Duplicates::None,
            overtaken: false,
            last_flags: AnalysisFlags::NONE,
            window_unscaled: false,
            mptcp_seen: 0,
            unacknowledged: 0,
        }
    }
}

impl Direction {
    /// Wireshark remembers no more unacknowledged segments, and takes no notice of a SYN or FIN
    /// that it does not remember.
    const MAX_UNACKNOWLEDGED: u16 = 10_000;

    /// Takes in a segment of this side with payload, SYN or FIN; says whether it is remembered.
    pub(super) const fn await_acknowledgment(&mut self) -> bool {
        let is_remembered = self.unacknowledged < Self::MAX_UNACKNOWLEDGED;
        self.unacknowledged += is_remembered as u16;
        is_remembered
    }

    /// Takes in that the peer acknowledged up to `ack`, and up to `before` until now.
    ///
    /// Wireshark keeps a list; here the segments in flight are taken for equally long.
    pub(super) fn acknowledged(&mut self, before: Seq, ack: Seq) {
        if self.unacknowledged == 0 || !ack.is_after(before) && before != Seq(0) {
            return;
        }
        let left = self.next_seq.distance(ack).max(0);
        let outstanding = self.next_seq.distance(before).max(1);
        let share = i64::from(self.unacknowledged) * i64::from(left) / i64::from(outstanding);
        self.unacknowledged = self.unacknowledged.min(u16::try_from(share).unwrap_or(u16::MAX));
    }

    /// The first byte that the window of this side forbids, when both window and scale are known.
    pub(super) fn window_edge(&self) -> Option<Seq> {
        let shift = match self.scale {
            Scale::Unknown => return None,
            Scale::Shift(shift) if !self.window_unscaled => shift,
            Scale::Shift(_) | Scale::Unused => 0,
        };
        // A window that was never seen counts as 2^32 - 1 in Wireshark.
        let window = self.window.map_or(u32::MAX, u32::from);
        Some(self.last_ack.plus(window << shift))
    }
}
