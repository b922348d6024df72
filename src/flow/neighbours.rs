//! What a connection cannot know of its neighbours: of the others of its host, or of its listener.
//!
//! Gathered before a wave is consumed, and looked at in the order of the capture, so that every shard
//! sees the same whatever the others have come to.

use super::buckets::Buckets;
use super::queues::Queues;
use super::{Batch, Horizon, SHARDS};
use crate::settings::Settings;
use crate::stamp::{FrameId, Time};
use crate::tcp::{Endpoint, FourTuple, Segment, Seq};

/// What the connections of a host, and those of a listener, have in common.
#[derive(Debug, Default)]
pub struct Neighbours {
    buckets: Buckets,
    queues: Queues,
    /// Read, and not in order yet.
    waiting: Vec<Turn>,
}

/// A segment that changes how many sockets a host or a listener has.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Where it stands in the order of the capture.
    place: (Horizon, FrameId),
    /// As it travelled.
    pub(super) tuple: FourTuple,
    pub(super) time: Time,
    pub(super) kind: Kind,
    /// The number behind it, and what it acknowledges.
    pub(super) end: Seq,
    pub(super) ack: Seq,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fin,
    Rst,
    Syn,
    SynAck,
}

impl Neighbours {
    /// Adds what a batch holds. To be followed by [`Neighbours::settle`].
    pub fn read(&mut self, turns: impl IntoIterator<Item = Turn>) {
        self.waiting.extend(turns);
    }

    /// Takes in, in the order of the capture, what stands before the places that `is_ready` says.
    pub fn settle(&mut self, is_ready: impl Fn(Horizon) -> bool, settings: &Settings) {
        let mut waiting = std::mem::take(&mut self.waiting);
        // The runs that the batches were put into are found and merged.
        waiting.sort_by_key(|turn| turn.place);
        let later = waiting.partition_point(|turn| is_ready(turn.place.0));
        self.waiting = waiting.split_off(later);
        for turn in &waiting {
            self.buckets.take(turn, settings);
            self.queues.take(turn, settings);
        }
    }

    /// Whether the socket at the source of `tuple`, whose peer is its destination, found no place in
    /// TIME-WAIT between two times.
    #[must_use]
    pub fn had_no_bucket(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        self.buckets.had_none(tuple, from, until)
    }

    /// Whether the listener at the destination of `tuple` had more handshakes to complete than its
    /// accept queue has places, before it came to that of the source, which it answered between two
    /// times.
    #[must_use]
    pub fn found_queue_full(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        self.queues.were_full(tuple, from, until)
    }

    /// Whether the SYN-ACK that `listener` sent at `sent`, and not again until `until`, has no socket
    /// behind it, as what it sent again to others shows.
    #[must_use]
    pub fn left_unrepeated(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        self.queues.left_unrepeated(listener, sent, until)
    }
}

impl Turn {
    /// What a segment changes, if it changes anything.
    #[must_use]
    pub fn of(place: Horizon, tuple: FourTuple, segment: &Segment) -> Option<Self> {
        let flags = segment.flags;
        let kind = if flags.rst() {
            Kind::Rst
        } else if flags.syn() {
            if flags.ack() { Kind::SynAck } else { Kind::Syn }
        } else if flags.fin() && flags.ack() {
            Kind::Fin
        } else {
            return None;
        };
        Some(Self {
            place: (place, segment.frame),
            tuple,
            time: segment.time,
            kind,
            end: segment.seq_end(),
            ack: segment.ack,
        })
    }
}

impl Batch {
    /// What its segments change, in the order of the batch.
    #[must_use]
    pub fn turns(&self) -> Vec<Turn> {
        let mut turns = Vec::new();
        for (shard, (index, strip)) in
            (0..SHARDS).flat_map(|shard| self.strips().enumerate().map(move |it| (shard, it)))
        {
            let segments = self.bucket(shard).get(self.range_of(shard, index));
            for packed in segments.unwrap_or_default().iter().filter(|packed| packed.may_turn()) {
                let (tuple, segment) = (self.tuple_of(packed), packed.segment(strip.first));
                turns.extend(Turn::of(self.place(strip, packed), tuple, &segment));
            }
        }
        turns.sort_unstable_by_key(|turn| turn.place);
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::HostSettings;
    use crate::tcp::{Endpoint, Flags};

    fn settings(buckets: u32) -> Settings {
        let mut settings = Settings::default();
        let host = HostSettings { max_tw_buckets: Some(buckets), ..settings.default.clone() };
        settings.default = host;
        settings
    }

    fn tuple(port: u16) -> FourTuple {
        let end = |last: u8, port| Endpoint { address: [10, 0, 0, last].into(), port };
        FourTuple { source: end(1, port), destination: end(2, 80) }
    }

    fn turn(frame: u64, millis: i64, tuple: FourTuple, flags: Flags, ack: u32) -> Turn {
        let time = Time::from_nanos(millis * 1_000_000);
        let segment = Segment {
            time,
            frame: FrameId::new(0, frame),
            flags: flags | Flags::ACK,
            seq: Seq(7),
            ack: Seq(ack),
            ..Segment::default()
        };
        Turn::of(Horizon::new(time, 0), tuple, &segment).unwrap()
    }

    /// The client closes first, and the server right behind.
    fn closes(port: u16, millis: i64) -> [Turn; 2] {
        let frame = u64::from(port) * 10;
        let (from, to) = (tuple(port), tuple(port).reversed());
        [turn(frame, millis, from, Flags::FIN, 5), turn(frame + 1, millis, to, Flags::FIN, 8)]
    }

    fn lacking(buckets: &Neighbours, port: u16) -> bool {
        buckets.had_no_bucket(tuple(port), Time::MIN, Time::MAX)
    }

    #[test]
    fn a_host_with_two_places_has_none_for_a_third_socket_until_the_first_has_waited() {
        let mut buckets = Neighbours::default();
        for (port, millis) in [(3, 30), (1, 10), (2, 20), (4, 60_009), (5, 60_011)] {
            buckets.read(closes(port, millis));
        }
        buckets.settle(|_| true, &settings(2));
        assert_eq!(
            [1, 2, 3, 4, 5].map(|port| lacking(&buckets, port)),
            [false, false, true, true, false]
        );
        assert!(
            !buckets.had_no_bucket(tuple(3).reversed(), Time::MIN, Time::MAX),
            "it closed last"
        );
    }

    #[test]
    fn a_reset_gives_the_place_back_and_fins_that_cross_take_one_each() {
        let mut buckets = Neighbours::default();
        let crossing = turn(11, 12, tuple(1).reversed(), Flags::FIN, 7);
        buckets.read([turn(10, 10, tuple(1), Flags::FIN, 5), crossing]);
        buckets.read(closes(2, 20));
        buckets.read([turn(30, 25, tuple(1).reversed(), Flags::RST, 8)]);
        buckets.read(closes(3, 30));
        buckets.settle(|_| true, &settings(1));
        assert_eq!([1, 2, 3].map(|port| lacking(&buckets, port)), [false, true, false]);
    }

    #[test]
    fn what_is_not_ready_waits() {
        let mut buckets = Neighbours::default();
        buckets.read(closes(1, 10).into_iter().chain(closes(2, 20)));
        let until =
            |millis: i64| move |place: Horizon| place.time < Time::from_nanos(millis * 1_000_000);
        buckets.settle(until(15), &settings(1));
        assert!(!lacking(&buckets, 2));
        buckets.settle(until(25), &settings(1));
        assert!(lacking(&buckets, 2));
    }
}
