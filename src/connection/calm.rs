//! The segments that nearly all are: the next bytes of an open connection without trouble, and
//! acknowledgments of them.
//!
//! What this does, the long way does as well ([`Connection::observe_closely`]); a test compares the
//! two. Whether a connection is calm is found out there, after every segment.

use super::endpoint::Endpoint;
use super::repair::Repair;
use super::stream::Stream;
use super::{Connection, Mark, State, UNHINDERED};
use crate::near;
use crate::stamp::{Span, Time};
use crate::tcp::{Flags, Marks, Segment, Sides};

/// Of these a calm connection's segments have ACK and nothing else.
const CONTROL: Flags = Flags(Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0 | Flags::ACK.0);

impl Connection {
    /// Finds out whether it is calm, and whether it was not always.
    pub(super) fn calm_down(&mut self) {
        let is_troubled = |endpoint: &Endpoint| endpoint.stream.repair.is_some();
        self.is_calm = self.becomes_calm() && !self.opening.asks_for_clock();
        self.is_mended =
            self.is_calm && (is_troubled(&self.sides.client) || is_troubled(&self.sides.server));
    }

    /// Whether nothing but data and acknowledgments is to be expected: both sides are open, nobody
    /// has sent a FIN, and nothing is in doubt that was repeated, reported missing or held back. No
    /// timer runs then, and there is no deadline.
    fn becomes_calm(&self) -> bool {
        let is_open = |endpoint: &Endpoint| {
            endpoint.state == State::Established
                && endpoint.is_known()
                && endpoint.timer == Time::MAX
                && endpoint.fin.is_none()
                && endpoint.stream.is_calm()
        };
        is_open(&self.sides.client) && is_open(&self.sides.server)
    }

    /// Takes a segment without SACK if it is what was to be expected of a calm connection; says
    /// whether it was.
    ///
    /// Perf: docs/performance.md has the figures. Becomes part of the shard's loop, with all that it
    /// calls with the segment, so that the segment is read field by field from where it lies.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    pub(crate) fn observe_expected(&mut self, forward: bool, segment: &Segment) -> bool {
        if !self.is_calm {
            return false;
        }
        let from = self.side_of(forward);
        let (me, peer) = self.sides.pair_mut(from);
        let is_plain = segment.flags.0 & CONTROL.0 == Flags::ACK.0;
        if !is_plain
            || segment.window == 0
            || segment.marks.contains(Marks::BAD_CHECKSUM)
            || !me.stream.expects(segment)
        {
            return false;
        }
        let Some(offset) = peer.stream.plausible_offset(segment.ack) else { return false };
        if !self.zeek.observe_calmly(forward, segment) {
            return false;
        }
        let before = peer.stream.acknowledged;
        peer.stream.note_acknowledgment(offset, segment);
        if self.is_mended {
            // Perf: a copy, for which alone a segment must be in memory.
            let segment = *segment;
            me.clock.read(&segment);
            peer.stream.hear_mended(before, &segment);
        }
        let held = peer.stream.end > peer.stream.acknowledged;
        let made_room = peer.stream.acknowledged > before && peer.stream.end - before > UNHINDERED;
        if (peer.held && !held) || made_room {
            peer.released = segment.time;
        }
        peer.held = held;
        peer.unanswered = 0;
        me.stream.send_expected(segment);
        self.completeness.observe(segment);
        self.last_gap = self.note_gap(segment);
        self.last = Mark::of(segment);
        true
    }

    /// Asks the memory for every part that the next segment will need.
    ///
    /// Perf: of thousands of connections at once, each segment's is in other memory than the one
    /// before, and waiting for that is most of what it costs. So what the short way touches lies
    /// together, at the beginning of each part (`repr(C)`), and all lines of it are asked for.
    #[inline]
    pub(crate) fn prefetch(&self) {
        near::value(&self.last);
        let Sides { client, server } = &self.sides;
        client.stream.prefetch();
        server.stream.prefetch();
        self.zeek.prefetch();
    }

    /// The same, of what its parts point to.
    #[inline]
    pub(crate) fn prefetch_behind(&self) {
        let Sides { client, server } = &self.sides;
        client.stream.prefetch_behind();
        server.stream.prefetch_behind();
    }

    /// The same, of what only a report needs.
    pub(crate) fn prefetch_past(&self) {
        let Sides { client, server } = &self.sides;
        client.prefetch_past();
        server.prefetch_past();
    }

    /// How long nothing came before `segment`; notes it where that is the longest silence.
    #[inline]
    pub(super) fn note_gap(&mut self, segment: &Segment) -> Span {
        let gap = segment.time.since(self.last.time);
        if gap > self.longest_idle.1.time.since(self.longest_idle.0.time) {
            self.longest_idle = (self.last, Mark::of(segment));
        }
        gap
    }
}

impl Stream {
    /// Whether a segment that is not the next one means trouble.
    fn is_calm(&self) -> bool {
        let is_over = |repair: &Repair| repair.is_over(self.acknowledged);
        self.is_started() && self.fin.is_none() && self.repair.as_deref().is_none_or(is_over)
    }

    /// Whether the segment begins where this side's last one ended, is not that one again, and stays
    /// within the peer's window.
    #[inline]
    fn expects(&self, segment: &Segment) -> bool {
        let end = self.end + i64::from(segment.payload_len);
        self.is_next(segment.seq)
            && !self.resembles_last(segment)
            && (segment.payload_len == 0 || end < self.window_edge)
    }

    /// Takes what it expects.
    #[expect(clippy::inline_always, reason = "measured; see `Connection::observe_expected`")]
    #[inline(always)]
    fn send_expected(&mut self, segment: &Segment) {
        self.count_bytes(segment);
        self.widen_windows(segment);
        if segment.payload_len > 0 {
            let (start, end) = (self.end, self.end + i64::from(segment.payload_len));
            self.take_new(start, end, segment);
            self.end = end;
            self.advance_reference();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Beginning;
    use super::*;
    use crate::settings::Settings;
    use crate::stamp::FrameId;
    use crate::tcp::{
        Endpoint as Address, Extras, FourTuple, SackBlock, SackBlocks, Seq, Timestamps,
    };

    /// A segment of the `kind`-th sort, most of which are what is to be expected: next of its sender
    /// is `seq`, and of the other side `ack`.
    fn segment(kind: u8, (seq, ack): (u32, u32), length: u32) -> Segment {
        let plain = Segment {
            seq: Seq(seq),
            ack: Seq(ack),
            payload_len: length,
            window: 500,
            flags: Flags::ACK,
            ..Segment::default()
        };
        match kind {
            0 => Segment { seq: Seq(seq.wrapping_sub(length)), ..plain },
            1 => Segment { seq: Seq(seq.wrapping_add(length)), ..plain },
            2 => Segment { ack: Seq(ack.wrapping_add(length)), payload_len: 0, ..plain },
            3 => Segment { ack: Seq(ack.wrapping_sub(length)), ..plain },
            4 if length < 90 => Segment { flags: Flags::FIN | Flags::ACK, ..plain },
            5 if length < 60 => Segment { flags: Flags::RST, payload_len: 0, ..plain },
            6 if length < 300 => Segment { window: 0, ..plain },
            7 if length < 90 => Segment { flags: Flags::PSH, ..plain },
            8 => Segment { marks: Marks::CUT_PAYLOAD, ..plain },
            9 if length < 100 => Segment { flags: Flags::SYN, payload_len: 0, ..plain },
            10 if length < 200 => Segment { ack: Seq(ack.wrapping_add(1 << 31)), ..plain },
            11 if length < 300 => Segment { payload_len: 1, ..plain },
            12..=17 => Segment { payload_len: 0, ..plain },
            _ => plain,
        }
    }

    proptest! {
        #[test]
        fn the_short_way_and_the_long_way_are_the_same(
            starts: [u32; 2],
            scales in prop_oneof![Just(None), Just(Some(0_u8)), Just(Some(7_u8))],
            steps in prop::collection::vec(
                (any::<bool>(), 0_u8..30, 0_u32..3_000, 0_i64..300, 0_u16..6, 0_u8..40), 1..150),
        ) {
            let settings = Settings::default();
            let [start, answer] = starts;
            let mut next = [start.wrapping_add(1), answer.wrapping_add(1)];
            let syn = Segment { flags: Flags::SYN, ..segment(99, (start, 0), 0) };
            let syn_ack =
                Segment { flags: Flags::SYN | Flags::ACK, ..segment(99, (answer, next[0]), 0) };
            let end = |last: u8| Address { address: [10, 0, 0, last].into(), port: 80 };
            let tuple = FourTuple { source: end(1), destination: end(2) };
            let beginning = Beginning { id: 1, tuple, forward: true, tunnel: Vec::new() };
            let mut short = Connection::new(beginning, &syn);
            let mut long = short.clone();
            let mut all = vec![(true, syn, 0, 0), (false, syn_ack, 1, 0)];
            for (forward, kind, length, wait, ip_id, sack) in steps {
                let (me, peer) = (usize::from(!forward), usize::from(forward));
                let sent = segment(kind, (next[me], next[peer]), length);
                let sent = Segment { ip_id, ..sent };
                next[me] = sent.seq_end().0;
                all.push((forward, sent, wait, sack));
            }
            let mut time = 0;
            for (frame, (forward, sent, wait, sack)) in (1..).zip(all) {
                // Mostly forward in time, by microseconds or seconds.
                time += if wait > 290 { wait * 10_000_000 - 2_930_000_000 } else { wait * 1_000 };
                let sent = Segment {
                    time: Time::from_nanos(time),
                    frame: FrameId::new(0, frame),
                    ..sent
                };
                let mut extras = Extras::NONE;
                extras.syn.window_scale = scales;
                if sack == 1 {
                    let block = SackBlock { left: sent.ack.plus(100), right: sent.ack.plus(200) };
                    extras.sack = SackBlocks::default();
                    extras.sack.push(block);
                }
                let effects = short.observe(forward, &sent, &extras, &settings);
                prop_assert_eq!(effects, long.observe_closely(forward, &sent, &extras, &settings));
                long.calm_down();
                prop_assert_eq!(format!("{short:?}"), format!("{long:?}"));
                if short.is_calm {
                    prop_assert_eq!(short.deadline(), Time::MAX);
                }
            }
        }
    }

    /// The connection after its handshake and these segments, and whether it was calm after each.
    fn after(segments: &[(bool, Segment)]) -> (Connection, Vec<bool>) {
        let settings = Settings::default();
        let end = |last: u8| Address { address: [10, 0, 0, last].into(), port: 80 };
        let tuple = FourTuple { source: end(1), destination: end(2) };
        let syn = Segment { flags: Flags::SYN, ..segment(99, (7, 0), 0) };
        let beginning = Beginning { id: 1, tuple, forward: true, tunnel: Vec::new() };
        let mut connection = Connection::new(beginning, &syn);
        let handshake = [
            (true, syn),
            (false, Segment { flags: Flags::SYN | Flags::ACK, ..segment(99, (70, 8), 0) }),
        ];
        let mut calm = Vec::new();
        for (forward, sent) in handshake.iter().chain(segments) {
            connection.observe(*forward, sent, &Extras::NONE, &settings);
            calm.push(connection.is_calm);
        }
        (connection, calm)
    }

    #[test]
    fn an_open_connection_is_calm_until_a_byte_comes_twice() {
        let (_, calm) = after(&[
            (true, segment(99, (8, 71), 0)),
            (true, segment(99, (8, 71), 100)),
            (true, segment(99, (8, 71), 100)),
        ]);
        assert_eq!(calm, [false, false, true, true, false]);
    }

    #[test]
    fn it_is_calm_again_once_what_came_twice_is_acknowledged_and_its_clocks_are_read_then() {
        let stamped = |millis: i64, sent: Segment| Segment {
            time: Time::from_nanos(millis * 1_000_000),
            timestamps: Timestamps { value: 500 + u32::try_from(millis).unwrap(), echo: 0 },
            marks: Marks::TIMESTAMPS,
            ..sent
        };
        let (connection, calm) = after(&[
            (true, segment(99, (8, 71), 100)),
            (true, segment(99, (8, 71), 100)),
            (true, stamped(0, segment(99, (108, 71), 100))),
            (false, segment(99, (71, 108), 0)),
            (false, segment(99, (71, 208), 0)),
            (true, stamped(90, segment(99, (208, 71), 100))),
        ]);
        assert_eq!(calm, [false, false, true, false, false, true, true, true]);
        let late = stamped(95, Segment::default());
        let late = Segment { time: Time::from_nanos(300_000_000), ..late };
        let sent = connection.sides.client.clock.sent(&late);
        assert_eq!(sent, Some(Time::from_nanos(95_000_000)));
    }
}
