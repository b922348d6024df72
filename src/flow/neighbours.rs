//! What a connection cannot know of its neighbours: of the others of its host, or of its listener.
//!
//! Gathered before a wave is consumed, and looked at in the order of the capture, so that every shard
//! sees the same whatever the others have come to.

mod attempt;
mod awaited;
mod backlog;
mod buckets;
mod left_out;
mod queues;
mod turns;

pub use turns::Turn;

use super::Horizon;
use crate::settings::Settings;
use crate::stamp::{FrameId, Time};
use crate::tcp::{Endpoint, FourTuple};
use awaited::{Awaited, Sign, Signs};
use buckets::Buckets;
use queues::Queues;
use turns::Marked;

/// What the connections of a host, and those of a listener, have in common.
#[derive(Debug, Default)]
pub struct Neighbours {
    buckets: Buckets,
    queues: Queues,
    /// Read, and not in order yet.
    waiting: Vec<Turn>,
    /// Flows of which something waits for an acknowledgment.
    marked: Marked,
    /// What asks for one, of what is not taken in yet.
    signs: Signs,
}

impl Neighbours {
    /// So many flows more may be marked than wait for something.
    const FEW: usize = 64;

    /// Adds what a batch holds. To be followed by [`Neighbours::settle`].
    pub fn read(&mut self, turns: impl IntoIterator<Item = Turn>) {
        let first = self.waiting.len();
        self.waiting.extend(turns);
        for turn in self.waiting.get(first..).unwrap_or_default() {
            if turn.asks_for_acknowledgment() {
                self.marked.add(turn.tuple);
                self.signs.add(turn);
            }
        }
    }

    /// Whether nothing waits that is of another source than this one.
    #[must_use]
    pub fn are_of(&self, source: u32) -> bool {
        self.waiting.iter().all(|turn| turn.place.0.source == source)
    }

    /// The flows whose acknowledgments are to be looked at, once all else of a wave is read.
    const fn marked(&self) -> &Marked {
        &self.marked
    }

    /// What waits for acknowledgments of a flow: of what was read, and of what was taken in before.
    fn awaited(&self, key: [u32; 3], canonical: FourTuple) -> Awaited {
        let mut signs = self.signs.of(key).to_vec();
        let before_all = (Horizon::new(Time::MIN, 0), FrameId::default());
        for tuple in [canonical, canonical.reversed()] {
            let direction = tuple.canonical().1;
            if self.queues.awaits(tuple) {
                signs.push((direction, Sign::SynAck(before_all)));
            }
            if let Some(end) = self.buckets.awaits(tuple) {
                signs.push((direction, Sign::Fin(end)));
            }
        }
        Awaited::new(signs)
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
        self.signs.clear();
        self.waiting.iter().for_each(|turn| self.signs.add(turn));
        // Perf: with `--sysctl`, snaplen 96: those that are answered stay marked until they are a quarter.
        let waits = self.buckets.unanswered().len() + self.queues.unanswered().len();
        if self.marked.len() <= waits + waits / 4 + Self::FEW {
            return;
        }
        self.marked.clear();
        let later = self.waiting.iter().filter(|turn| turn.asks_for_acknowledgment());
        let later = later.map(|turn| turn.tuple);
        for tuple in self.buckets.unanswered().chain(self.queues.unanswered()).chain(later) {
            self.marked.add(tuple);
        }
    }

    /// The capture is over, and all of it was taken in: what nobody will say any more is settled.
    pub fn conclude(&mut self, clock: Time) {
        self.queues.conclude(clock);
    }

    /// Whether the socket at the source of `tuple`, whose peer is its destination, found no place in
    /// TIME-WAIT between two times.
    #[must_use]
    pub fn had_no_bucket(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        self.buckets.had_none(tuple, from, until)
    }

    /// Whether the socket at the source of `tuple` may have found no place to wait in, when its FIN was
    /// acknowledged between two times.
    #[must_use]
    pub fn may_lack_bucket(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        self.buckets.may_have_had_none(tuple, from, until)
    }

    /// Whether the SYN that `listener` answered at `sent` found its queue full, as is known `until` then.
    #[must_use]
    pub fn found_no_request(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        self.queues.held_all(listener, sent, until)
    }

    /// Whether the listener that answered a SYN at `sent` was gone when its SYN-ACK was due again, though
    /// another one is heard, as is known `until` then.
    #[must_use]
    pub fn lost_listener(&self, listener: Endpoint, sent: Time, until: Time) -> bool {
        self.queues.were_closed(listener, sent, until)
    }

    /// Whether the listener at the destination of `tuple` had more handshakes to complete than its
    /// accept queue has places, before it came to that of the source, which it answered between two
    /// times.
    #[must_use]
    pub fn found_queue_full(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        self.queues.were_full(tuple, from, until)
    }

    /// Whether `listener` waits for data before it makes a connection, as is known `until` then.
    #[must_use]
    pub fn waits_for_data(&self, listener: Endpoint, until: Time) -> bool {
        self.queues.wait_for_data(listener, until)
    }

    /// Whether `listener` completed a handshake between two times.
    #[must_use]
    pub fn has_completed(&self, listener: Endpoint, from: Time, until: Time) -> bool {
        self.queues.has_completed(listener, from, until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::HostSettings;
    use crate::stamp::FrameId;
    use crate::tcp::{Endpoint, Flags, Segment, Seq};

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

    /// One place. The client of port 1 sends its FIN at 5 ms, and it is acknowledged `acked` ms later; that
    /// of port 2 closes at 10 ms; the server of port 1 at 100 ms, which a segment with this
    /// identification acknowledges.
    fn closes_slowly(acked: i64, ip_id: u16) -> Neighbours {
        let (from, to) = (tuple(1), tuple(1).reversed());
        let mut last = turn(9, 101, from, Flags::ACK, 8);
        last.ip_id = Some(ip_id);
        let mut neighbours = Neighbours::default();
        neighbours.read([
            turn(1, 5, from, Flags::FIN, 5),
            turn(3, 5 + acked, to, Flags::ACK, 8),
            turn(8, 100, to, Flags::FIN, 8),
            last,
        ]);
        neighbours.read(closes(2, 10));
        neighbours.settle(|_| true, &settings(1));
        neighbours
    }

    #[test]
    fn who_had_no_place_left_when_its_fin_was_acknowledged_asks_again_when_the_other_one_comes() {
        let early = closes_slowly(1, 0);
        assert!(!lacking(&early, 1) && !early.may_lack_bucket(tuple(1), Time::MIN, Time::MAX));
        let late = closes_slowly(20, 0);
        assert!(lacking(&late, 1) && late.may_lack_bucket(tuple(1), Time::MIN, Time::MAX));
    }

    #[test]
    fn what_answers_the_second_fin_tells_whether_there_was_a_place_since_the_first() {
        assert!(lacking(&closes_slowly(1, 77), 1), "a socket, not what is left of one");
        assert!(!lacking(&closes_slowly(1, 0), 1));
    }

    #[test]
    fn an_orphan_that_shows_late_had_taken_a_place_from_who_asked_in_between() {
        let (from, to) = (tuple(1), tuple(1).reversed());
        let lacking_of = |ip_id| {
            let mut last = turn(9, 101, from, Flags::ACK, 8);
            last.ip_id = Some(ip_id);
            let mut neighbours = Neighbours::default();
            neighbours.read([
                turn(1, 5, from, Flags::FIN, 5),
                turn(3, 6, to, Flags::ACK, 8),
                turn(8, 100, to, Flags::FIN, 8),
                last,
            ]);
            neighbours.read(closes(2, 10));
            neighbours.read(closes(3, 20));
            neighbours.settle(|_| true, &settings(2));
            [1, 2, 3].map(|port| lacking(&neighbours, port))
        };
        assert_eq!(lacking_of(0), [false, false, true]);
        assert_eq!(lacking_of(77), [true, false, false]);
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
