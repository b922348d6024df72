//! Which sockets found no place in TIME-WAIT, because their host held as many as it may.
//!
//! Beyond `tcp_max_tw_buckets` Linux closes at once what would have to wait (`inet_twsk_alloc`), and
//! nothing on the wire tells. What a connection cannot know of its neighbours is counted here: the
//! sockets of each host whose limit is known, from the FINs, SYNs and RSTs of its connections.
//! Gathered before a wave is consumed and looked at in the order of the capture, so that every shard
//! sees the same whatever the others have come to. A FIN-WAIT-2 whose application has gone takes a
//! place as well; that it has gone, the wire does not tell, so those are not counted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;

use super::{Batch, Horizon, SHARDS};
use crate::settings::Settings;
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{FourTuple, Orientation, Segment, Seq};

/// A FIN that comes so long after the other side's was answered by an acknowledgment before it: who
/// had closed first may have had its place already.
const APART: Span = Span::from_millis(39);

/// Sockets in TIME-WAIT, by host, and who found no place.
#[derive(Debug, Default)]
pub struct Buckets {
    flows: HashMap<FourTuple, Closing>,
    /// When a flow is looked at again.
    ends: BinaryHeap<Reverse<(Time, FourTuple)>>,
    /// Sockets that hold a place.
    held: HashMap<IpAddr, u32>,
    /// Whoever found none: the socket, its peer, and when.
    lacking: HashMap<FourTuple, Vec<Time>>,
    /// Read, and not in order yet.
    waiting: Vec<Turn>,
}

/// A segment that changes how many sockets wait.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Where it stands in the order of the capture.
    place: (Horizon, FrameId),
    /// As it travelled.
    tuple: FourTuple,
    time: Time,
    kind: Kind,
    /// The number behind it, and what it acknowledges.
    end: Seq,
    ack: Seq,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fin,
    Rst,
    /// Of a new connection.
    Syn,
}

/// What is known of a flow with a FIN. The first of each pair is the side of the canonical source.
#[derive(Clone, Copy, Debug, Default)]
struct Closing {
    fins: [Option<Fin>; 2],
    /// Whose place is taken until when.
    until: [Option<Time>; 2],
    /// Both FINs have passed, and nothing more matters after this.
    over: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Fin {
    end: Seq,
    time: Time,
}

impl Turn {
    /// What a segment changes, if it changes anything.
    #[must_use]
    pub fn of(place: Horizon, tuple: FourTuple, segment: &Segment) -> Option<Self> {
        let flags = segment.flags;
        let kind = if flags.rst() {
            Kind::Rst
        } else if flags.syn() && !flags.ack() {
            Kind::Syn
        } else if flags.fin() && flags.ack() && !flags.syn() {
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
    /// What its segments change, in no order.
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
        turns
    }
}

impl Buckets {
    /// Flows with a FIN that are followed at once, and sockets without a place that are remembered:
    /// those beyond are taken to have found one.
    pub const MAX_FLOWS: usize = 1 << 17;

    /// Adds what a batch holds. To be followed by [`Buckets::settle`].
    pub fn read(&mut self, turns: impl IntoIterator<Item = Turn>) {
        self.waiting.extend(turns);
    }

    /// Takes in, in the order of the capture, what stands before the places that `is_ready` says.
    pub fn settle(&mut self, is_ready: impl Fn(Horizon) -> bool, settings: &Settings) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable_by_key(|turn| turn.place);
        let later = waiting.partition_point(|turn| is_ready(turn.place.0));
        self.waiting = waiting.split_off(later);
        for turn in &waiting {
            self.take(turn, settings);
        }
    }

    /// Whether the socket at the source of `tuple`, whose peer is its destination, found no place
    /// between two times.
    #[must_use]
    pub fn had_none(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        let times = self.lacking.get(&tuple);
        times.is_some_and(|times| times.iter().any(|time| (from..=until).contains(time)))
    }

    fn take(&mut self, turn: &Turn, settings: &Settings) {
        self.expire(turn.time);
        let (canonical, orientation) = turn.tuple.canonical();
        match turn.kind {
            Kind::Fin => {
                let limit = |address| settings.of(address).max_tw_buckets;
                let sides = [turn.tuple.source.address, turn.tuple.destination.address];
                let is_full = self.flows.len() >= Self::MAX_FLOWS;
                let is_known = self.flows.contains_key(&canonical);
                if sides.into_iter().any(|side| limit(side).is_some()) && (is_known || !is_full) {
                    self.take_fin(turn, (canonical, orientation), settings);
                }
            }
            Kind::Rst => {
                // Whoever follows RFC 1337 waits all the same.
                let waits = |(until, host): (Option<Time>, IpAddr)| {
                    until.is_some() && settings.of(host).rfc1337
                };
                let hosts = [canonical.source.address, canonical.destination.address];
                let closing = self.flows.get(&canonical);
                if !closing.is_some_and(|it| it.until.into_iter().zip(hosts).any(waits)) {
                    self.forget(canonical);
                }
            }
            Kind::Syn => self.forget(canonical),
        }
    }

    fn take_fin(
        &mut self,
        turn: &Turn,
        (canonical, orientation): (FourTuple, Orientation),
        settings: &Settings,
    ) {
        let length = |address| settings.of(address).time_wait;
        let mut closing = self.flows.get(&canonical).copied().unwrap_or_default();
        let Closing { fins: [one, other], until: [ours, theirs], .. } = &mut closing;
        let (mine, peers, until, peer_until) = match orientation {
            Orientation::Forward => (one, other, ours, theirs),
            Orientation::Backward => (other, one, theirs, ours),
        };
        let peer = turn.tuple.reversed();
        if mine.is_some() {
            // Again: it starts the peer's timer once more.
            if let Some(until) = peer_until {
                *until = turn.time + length(peer.source.address);
            }
        } else if let Some(first) = *peers {
            let knew = turn.ack.distance(first.end) >= 0;
            let apart = knew && turn.time.since(first.time) > APART;
            *peer_until = self.enter(peer, turn.time, apart, settings);
            // The FINs cross: both wait.
            if !knew {
                *until = self.enter(turn.tuple, turn.time, false, settings);
            }
        }
        let is_second = mine.is_none() && peers.is_some();
        mine.get_or_insert(Fin { end: turn.end, time: turn.time });
        if is_second {
            let over =
                turn.time + length(turn.tuple.source.address).max(length(peer.source.address));
            closing.over = Some(over);
            self.ends.push(Reverse((over, canonical)));
        }
        self.flows.insert(canonical, closing);
    }

    /// The socket at the source of `tuple` is to wait, and may have a place already. Returns until
    /// when it holds one.
    fn enter(
        &mut self,
        tuple: FourTuple,
        at: Time,
        may_have_one: bool,
        settings: &Settings,
    ) -> Option<Time> {
        let host = settings.of(tuple.source.address);
        let limit = host.max_tw_buckets?;
        let held = self.held.entry(tuple.source.address).or_default();
        if *held >= limit && !may_have_one {
            let is_full = self.lacking.len() >= Self::MAX_FLOWS;
            if !is_full || self.lacking.contains_key(&tuple) {
                self.lacking.entry(tuple).or_default().push(at);
            }
            return None;
        }
        *held = held.saturating_add(1);
        Some(at + host.time_wait)
    }

    /// Gives back the places whose time is over.
    fn expire(&mut self, now: Time) {
        while let Some(Reverse((at, tuple))) = self.ends.peek().copied().filter(|it| it.0.0 <= now)
        {
            self.ends.pop();
            let Some(closing) = self.flows.get(&tuple).copied() else { continue };
            if closing.over != Some(at) {
                continue;
            }
            let latest = closing.until.into_iter().flatten().max();
            if let Some(later) = latest.filter(|until| *until > now) {
                let over = Some(later);
                self.flows.insert(tuple, Closing { over, ..closing });
                self.ends.push(Reverse((later, tuple)));
            } else {
                self.forget(tuple);
            }
        }
    }

    /// Nobody waits on this flow any more.
    fn forget(&mut self, tuple: FourTuple) {
        let Some(closing) = self.flows.remove(&tuple) else { return };
        let hosts = [tuple.source.address, tuple.destination.address];
        for (host, _) in hosts.into_iter().zip(closing.until).filter(|(_, it)| it.is_some()) {
            if let Some(held) = self.held.get_mut(&host) {
                *held = held.saturating_sub(1);
            }
        }
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

    fn lacking(buckets: &Buckets, port: u16) -> bool {
        buckets.had_none(tuple(port), Time::MIN, Time::MAX)
    }

    #[test]
    fn a_host_with_two_places_has_none_for_a_third_socket_until_the_first_has_waited() {
        let mut buckets = Buckets::default();
        for (port, millis) in [(3, 30), (1, 10), (2, 20), (4, 60_009), (5, 60_011)] {
            buckets.read(closes(port, millis));
        }
        buckets.settle(|_| true, &settings(2));
        assert_eq!(
            [1, 2, 3, 4, 5].map(|port| lacking(&buckets, port)),
            [false, false, true, true, false]
        );
        assert!(!buckets.had_none(tuple(3).reversed(), Time::MIN, Time::MAX), "it closed last");
    }

    #[test]
    fn a_reset_gives_the_place_back_and_fins_that_cross_take_one_each() {
        let mut buckets = Buckets::default();
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
        let mut buckets = Buckets::default();
        buckets.read(closes(1, 10).into_iter().chain(closes(2, 20)));
        let until =
            |millis: i64| move |place: Horizon| place.time < Time::from_nanos(millis * 1_000_000);
        buckets.settle(until(15), &settings(1));
        assert!(!lacking(&buckets, 2));
        buckets.settle(until(25), &settings(1));
        assert!(lacking(&buckets, 2));
    }
}
