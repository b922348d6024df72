//! What one direction sent again, and what the receiver reported: the memory behind the rules.
//!
//! Made at the first sign of trouble, so that a direction without any carries none of it. Every
//! list has a bound; the oldest entries leave first, since corrections concern recent ones.

use std::collections::VecDeque;

use crate::compact::compact;

use super::coverage::Coverage;
use super::window::Window;
use super::{Mark, Proof, ProofKind, RepeatCause, RepeatCounts, Stall};
use crate::stamp::{FrameId, Span};

/// One repetition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resent {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) mark: Mark,
    pub(super) original: Option<Mark>,
    pub(super) cause: RepeatCause,
    /// Whether it began with the first unacknowledged byte.
    pub(super) is_head: bool,
    /// Timestamp values of this and of the first transmission; 0 where there was none.
    pub(super) timestamp: u32,
    pub(super) first_timestamp: u32,
    pub(super) ip_id: u16,
    pub(super) checksum: u16,
    pub(super) place: u16,
    /// A report of bytes received twice was taken as about this one.
    reported: bool,
}

compact!(struct Resent {
    start, end, mark, original, cause, is_head, timestamp, first_timestamp, ip_id, checksum, place,
    reported
});

impl Resent {
    pub(super) const fn new(
        (start, end): (i64, i64),
        mark: Mark,
        cause: RepeatCause,
        original: Option<Mark>,
    ) -> Self {
        Self {
            start,
            end,
            mark,
            original,
            cause,
            is_head: false,
            timestamp: 0,
            first_timestamp: 0,
            ip_id: 0,
            checksum: 0,
            place: 0,
            reported: false,
        }
    }

    /// With what a later report, or a copy of the packet, is compared with.
    pub(super) const fn with_packet(
        self,
        is_head: bool,
        (first_timestamp, timestamp): (u32, u32),
        (ip_id, checksum, place): (u16, u16, u16),
    ) -> Self {
        Self { is_head, timestamp, first_timestamp, ip_id, checksum, place, ..self }
    }
}

/// A repetition of the last segment that may have been a probe or a timeout: the next try tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) mark: Mark,
    pub(super) waited: Span,
    /// Nothing but this segment was outstanding: a timeout would have sent it as well.
    pub(super) is_head: bool,
}

compact!(struct Probe { mark, waited, is_head });

/// The trouble of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Repair {
    pub(super) counts: RepeatCounts,
    /// What the spurious ones had counted as.
    pub(super) needless: RepeatCounts,
    pub(super) segments: u64,
    pub(super) bytes: u64,
    resent: VecDeque<Resent>,
    /// Where the furthest repetition ends.
    reach: i64,
    /// Bytes beyond the acknowledged ones that the receiver has.
    pub(super) sacked: Coverage,
    /// Of the transmissions that arrived, the one that was sent last.
    pub(super) delivered: Option<Mark>,
    /// Bytes that were ever reported so.
    pub(super) sacked_bytes: u64,
    /// How often the timer ran out, in all and since the last progress.
    pub(super) timeouts: u32,
    pub(super) in_a_row: u32,
    /// How long the timer ran: first time in a row, shortest; and longest of all.
    pub(super) shortest_timeout: Option<Span>,
    pub(super) longest_timeout: Option<Span>,
    /// What the timer's segment was, and the end of what was outstanding then.
    pub(super) given_up: (FrameId, i64),
    /// The segment that began fast recovery, and the end of what was outstanding then.
    pub(super) recovery: (FrameId, i64),
    pub(super) probe: Option<Probe>,
    /// The progress since which a repetition waits for the next one.
    stalled: Option<Stall>,
    worst: Option<Stall>,
    /// The first and the last retransmission.
    pub(super) first: Option<Mark>,
    pub(super) last: Option<Mark>,
    /// The first segment that the tap delivered twice, the second time.
    pub(super) first_copy: Option<FrameId>,
    pub(super) window: Window,
}

compact!(struct Repair {
    counts, needless, segments, bytes, resent, reach, sacked, delivered, sacked_bytes, timeouts, in_a_row,
    shortest_timeout, longest_timeout, given_up, recovery, probe, stalled, worst, first, last,
    first_copy, window
});

impl Repair {
    /// How many repetitions are remembered.
    pub(super) const MAX_RESENT: usize = 64;

    /// Counts a repetition and remembers it.
    pub(super) fn note(&mut self, resent: Resent, since: Mark) {
        self.count(resent.cause, resent.mark);
        if self.resent.len() >= Self::MAX_RESENT {
            self.resent.pop_front();
        }
        self.resent.push_back(resent);
        self.reach = self.reach.max(resent.end);
        if !resent.cause.is_retransmission() {
            return;
        }
        let stall = self.stalled.get_or_insert(Stall {
            from: since,
            until: None,
            length: Span::ZERO,
            cause: resent.cause,
            retransmissions: 0,
        });
        stall.cause = resent.cause;
        stall.retransmissions = stall.retransmissions.saturating_add(1);
        stall.length = resent.mark.time.since(stall.from.time);
    }

    /// Counts a repetition.
    pub(super) fn count(&mut self, cause: RepeatCause, mark: Mark) {
        self.counts.add(cause);
        if cause.is_retransmission() {
            self.first.get_or_insert(mark);
            self.last = Some(mark);
        }
        if cause == RepeatCause::CaptureDuplicate {
            self.first_copy.get_or_insert(mark.frame);
        }
    }

    /// Whether all that was repeated is acknowledged, up to `acknowledged`, and the window is open:
    /// what comes next says nothing of what there was.
    pub(super) const fn is_over(&self, acknowledged: i64) -> bool {
        self.reach <= acknowledged && self.window.closed.is_none() && self.window.full.is_none()
    }

    /// The latest transmission among the repeated ones that carried the byte at `offset`.
    pub(super) fn last_with(&self, offset: i64) -> Option<Resent> {
        if offset >= self.reach {
            return None;
        }
        self.resent.iter().rev().find(|sent| sent.start <= offset && offset < sent.end).copied()
    }

    /// The same, but for copies.
    pub(super) fn sent_again_with(&self, offset: i64) -> Option<Resent> {
        let mut all = self.resent.iter().rev();
        let carries = |sent: &&Resent| sent.start <= offset && offset < sent.end;
        all.find(|sent| carries(sent) && sent.cause != RepeatCause::CaptureDuplicate).copied()
    }

    /// The repetition that looked exactly like this.
    pub(super) fn same(&self, start: i64, end: i64, ip_id: u16, checksum: u16) -> Option<Resent> {
        let mut all = self.resent.iter().rev();
        all.find(|sent| {
            (sent.start, sent.end) == (start, end)
                && (sent.ip_id, sent.checksum) == (ip_id, checksum)
        })
        .copied()
    }

    /// The receiver has acknowledged everything before `offset`: progress, at `mark`.
    pub(super) fn progress(&mut self, offset: i64, mark: Mark) {
        self.in_a_row = 0;
        self.probe = None;
        self.sacked.forget_before(offset);
        if let Some(stall) = self.stalled.take() {
            let length = mark.time.since(stall.from.time);
            self.worst = worse(self.worst, Stall { until: Some(mark), length, ..stall });
        }
    }

    /// The worst stall, one that did not end included.
    pub(super) fn worst_stall(&self) -> Option<Stall> {
        let closures = self.window.closures.longest.map(|episode| Stall {
            from: episode.from,
            until: episode.until,
            length: episode.length,
            cause: RepeatCause::ZeroWindow,
            retransmissions: 0,
        });
        [self.stalled, closures].into_iter().flatten().fold(self.worst, worse)
    }

    /// Bytes behind `offset` that the receiver reported.
    pub(super) fn sacked_behind(&self, offset: i64) -> u64 {
        self.sacked.beyond(offset)
    }

    /// The receiver reports `[start, end)` as received twice: which repetition was needless?
    pub(super) fn on_duplicate_report(&mut self, start: i64, end: i64) -> Option<Proof> {
        let resent = self.resent.iter_mut().find(|sent| {
            let overlaps = sent.start < end && start < sent.end;
            overlaps && !sent.reported && sent.cause != RepeatCause::CaptureDuplicate
        })?;
        resent.reported = true;
        let (was, repeat) = (resent.cause, resent.mark.frame);
        if !is_correctable(was) {
            return None;
        }
        resent.cause = RepeatCause::Spurious;
        Some(self.correct(repeat, was, RepeatCause::Spurious, ProofKind::DuplicateSack))
    }

    /// An acknowledgment from `before` to `after` echoes `echo`: whether that is the timestamp of
    /// the first transmission, and not of the repetition (RFC 3522 3.2).
    pub(super) fn on_echo(&mut self, before: i64, after: i64, echo: u32) -> Option<Proof> {
        if before >= self.reach {
            return None;
        }
        let resent = self.resent.iter_mut().find(|sent| {
            let covered =
                sent.is_head && sent.start <= before && (before + 1..=after).contains(&sent.end);
            covered
                && is_correctable(sent.cause)
                && echo == sent.first_timestamp
                && sent.first_timestamp != sent.timestamp
        })?;
        let (was, repeat, repeated) = (resent.cause, resent.mark.frame, resent.timestamp);
        resent.cause = RepeatCause::Spurious;
        let kind = ProofKind::Echo { echo, repeated };
        Some(self.correct(repeat, was, RepeatCause::Spurious, kind))
    }

    /// The repetition after a probe came after twice its time: it was a timeout, no probe.
    pub(super) fn probe_was_timeout(&mut self, probe: Probe, second: Span) -> Option<Proof> {
        let resent = self.resent.iter_mut().find(|sent| {
            sent.mark.frame == probe.mark.frame && sent.cause == RepeatCause::TailLossProbe
        })?;
        resent.cause = RepeatCause::Rto;
        self.timeouts = self.timeouts.saturating_add(1);
        self.shortest_timeout = Some(self.shortest_timeout.unwrap_or(Span::MAX).min(probe.waited));
        let kind = ProofKind::Backoff { first: probe.waited, second };
        Some(self.correct(probe.mark.frame, RepeatCause::TailLossProbe, RepeatCause::Rto, kind))
    }

    fn correct(
        &mut self,
        repeat: FrameId,
        was: RepeatCause,
        is: RepeatCause,
        kind: ProofKind,
    ) -> Proof {
        self.counts.take(was);
        self.counts.add(is);
        if is == RepeatCause::Spurious {
            self.needless.add(was);
        }
        Proof { repeat, was, is, kind }
    }
}

/// Whether a repetition of this cause can turn out to have been needless.
const fn is_correctable(cause: RepeatCause) -> bool {
    matches!(
        cause,
        RepeatCause::Rto
            | RepeatCause::Fast
            | RepeatCause::TailLossProbe
            | RepeatCause::ZeroWindow
            | RepeatCause::Unknown
    )
}

fn worse(worst: Option<Stall>, stall: Stall) -> Option<Stall> {
    if worst.is_none_or(|worst| stall.length > worst.length) { Some(stall) } else { worst }
}
