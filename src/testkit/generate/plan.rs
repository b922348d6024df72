//! What a connection does next: a bounded list of segments with times, for one phase of its life.
//!
//! A phase is a handshake, a request, a burst of data with its acknowledgments and repairs, or a
//! close. Positions are offsets from the ISNs, wrapping like sequence numbers.

use crate::stamp::Span;
use crate::tcp::{Flags, Side};
use crate::testkit::random::Random;

/// Payload of a full segment in bytes: an MSS of 1,460 less the timestamps option.
pub(super) const FULL_SEGMENT: u32 = 1_448;
/// Shortest retransmission timeout of Linux.
const MIN_RTO: Span = Span::from_millis(200);

pub(super) const ACK: Flags = Flags::ACK;
pub(super) const PUSH: Flags = Flags(Flags::PSH.0 | Flags::ACK.0);
pub(super) const FIN: Flags = Flags(Flags::FIN.0 | Flags::ACK.0);
pub(super) const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);
pub(super) const RESET: Flags = Flags(Flags::RST.0 | Flags::ACK.0);

/// One segment that will pass the tap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// From the beginning of the plan.
    pub(super) at: Span,
    pub(super) from: Side,
    pub(super) flags: Flags,
    /// Offset from the sender's ISN.
    pub(super) seq: u32,
    /// Offset from the peer's ISN.
    pub(super) ack: u32,
    pub(super) len: u32,
    /// Offsets from the peer's ISN.
    pub(super) sack: Option<[u32; 2]>,
}

/// Times from the tap to a side and back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Legs {
    pub(super) client: Span,
    pub(super) server: Span,
}

impl Legs {
    pub(super) const fn of(&self, side: Side) -> Span {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }
}

/// The next offset of each side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Positions {
    pub(super) client: u32,
    pub(super) server: u32,
}

impl Positions {
    pub(super) const fn of(self, side: Side) -> u32 {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    const fn advance(&mut self, side: Side, count: u32) {
        let position = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        *position = position.wrapping_add(count);
    }
}

/// Collects the steps of one phase.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) at: Span,
    pub(super) next: Positions,
    pub(super) legs: Legs,
}

/// A loss inside a burst.
#[derive(Clone, Copy, Debug)]
struct Loss {
    index: u32,
    before_tap: bool,
}

impl Plan {
    pub(super) fn new(next: Positions, legs: Legs) -> Self {
        Self { steps: Vec::new(), at: Span::ZERO, next, legs }
    }

    /// Sends now, with the current positions, and moves the sender's position on.
    pub(super) fn send(&mut self, from: Side, flags: Flags, len: u32) {
        let ack = if flags.ack() { self.next.of(from.peer()) } else { 0 };
        self.push(Step { at: self.at, from, flags, seq: self.next.of(from), ack, len, sack: None });
        self.next.advance(from, len + u32::from(flags.syn()) + u32::from(flags.fin()));
    }

    pub(super) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(super) fn wait(&mut self, span: Span) {
        self.at = self.at + span;
    }

    /// Waits until `side` has heard of the last segment and its answer passes the tap.
    pub(super) fn wait_for(&mut self, side: Side) {
        self.wait(self.legs.of(side));
    }

    /// The steps by time, and when the phase is over.
    pub(super) fn finish(mut self) -> (Vec<Step>, Span, Positions) {
        self.steps.sort_by_key(|step| step.at);
        let last = self.steps.last().map_or(Span::ZERO, |step| step.at);
        (self.steps, last.max(self.at), self.next)
    }

    /// `bytes` of data from one side: an ACK for every second segment; with `loss_per_mille` one
    /// segment is lost and repaired, by fast retransmission where three later ones arrived, else
    /// by timeout.
    pub(super) fn burst(
        &mut self,
        from: Side,
        bytes: u32,
        loss_per_mille: u32,
        random: &mut Random,
    ) {
        let count = bytes.div_ceil(FULL_SEGMENT).max(1);
        let gap = Span::from_nanos(i64::from(random.between(12_000, 90_000)));
        let loss = random
            .per_mille(loss_per_mille)
            .then(|| Loss { index: random.between(0, count), before_tap: random.per_mille(400) });
        let first = self.next.of(from);
        let start = |index: u32| first.wrapping_add(index * FULL_SEGMENT);
        let end = |index: u32| first.wrapping_add(bytes.min((index + 1) * FULL_SEGMENT));
        let begin = self.at;
        let sent_at = |index: u32| begin + Span::from_nanos(gap.nanos() * i64::from(index));
        let receiver_leg = self.legs.of(from.peer());
        for index in 0..count {
            let last = index + 1 == count;
            let missed = loss.is_some_and(|loss| loss.index == index && loss.before_tap);
            if !missed {
                let flags = if last { PUSH } else { ACK };
                self.data(from, sent_at(index), [start(index), end(index)], flags);
            }
            let heard_at = sent_at(index) + receiver_leg;
            match loss {
                Some(loss) if index == loss.index => {}
                Some(loss) if index > loss.index => {
                    let sack = [start(loss.index + 1), end(index)];
                    self.acknowledge(from.peer(), heard_at, start(loss.index), Some(sack));
                }
                _ if index % 2 == 1 || last || loss.is_some_and(|l| l.index == index + 1) => {
                    self.acknowledge(from.peer(), heard_at, end(index), None);
                }
                _ => {}
            }
        }
        self.at = sent_at(count - 1) + receiver_leg;
        if let Some(loss) = loss {
            let repaired_at = if count - 1 - loss.index >= 3 {
                sent_at(loss.index + 3) + receiver_leg + self.legs.of(from)
            } else {
                sent_at(count - 1) + MIN_RTO + receiver_leg + self.legs.of(from)
            };
            self.data(from, repaired_at, [start(loss.index), end(loss.index)], PUSH);
            self.at = self.at.max(repaired_at + receiver_leg);
            self.acknowledge(from.peer(), self.at, first.wrapping_add(bytes), None);
        }
        self.next.advance(from, bytes);
    }

    fn data(&mut self, from: Side, at: Span, range: [u32; 2], flags: Flags) {
        let ack = self.next.of(from.peer());
        let [seq, end] = range;
        self.push(Step { at, from, flags, seq, ack, len: end.wrapping_sub(seq), sack: None });
    }

    fn acknowledge(&mut self, from: Side, at: Span, ack: u32, sack: Option<[u32; 2]>) {
        let seq = self.next.of(from);
        self.push(Step { at, from, flags: ACK, seq, ack, len: 0, sack });
    }
}
