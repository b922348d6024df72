//! Which sockets found no place in TIME-WAIT, because their host held as many as it may.
//!
//! Beyond `tcp_max_tw_buckets` Linux closes at once what would have to wait (`inet_twsk_alloc`), and
//! nothing on the wire tells. The sockets of each host whose limit is known are counted here, from the
//! FINs, SYNs and RSTs of its connections. A FIN-WAIT-2 whose application has gone takes a place as
//! well; that it has gone, the wire does not tell before the peer's FIN is answered, and then only over
//! IPv4. Who asked in between is looked at again then.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::left_out::LeftOut;
use super::turns::{Kind, Turn};
use crate::settings::Settings;
use crate::stamp::{Span, Time};
use crate::tcp::{FourTuple, Orientation, Seq};

/// A FIN that comes so long after the other side's was answered by an acknowledgment before it: who
/// had closed first may have had its place already, if there was one. An orphan that had found none
/// would answer with a RST.
const APART: Span = Span::from_millis(39);

/// Sockets in TIME-WAIT, by host, and who found no place.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    flows: HashMap<FourTuple, Closing, RandomState>,
    /// Those of them with a FIN of which an acknowledgment counts.
    unanswered: HashSet<FourTuple, RandomState>,
    /// When a flow is looked at again.
    ends: BinaryHeap<Reverse<(Time, FourTuple)>>,
    /// Sockets that hold a place.
    held: PerHost,
    /// Sockets in FIN-WAIT-2, which hold a place as well if their application has gone.
    waiting: PerHost,
    /// Hosts whose applications shut down before they go: one of their sockets waited in FIN-WAIT-2 that
    /// could not have had a place.
    shutting: HashSet<IpAddr, RandomState>,
    /// Whoever found none: the socket, its peer, and when.
    lacking: LeftOut,
    /// Whoever would have found none if it had asked when its FIN was acknowledged.
    perhaps: LeftOut,
    /// By host, who found one of the last places while others waited that may have held one.
    asked: HashMap<IpAddr, VecDeque<Asked>, RandomState>,
}

/// A socket that found a place, for all that was known.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Time,
    /// With its peer.
    socket: FourTuple,
    /// How many places were left, its own among them.
    left: u32,
}

/// How many sockets of each host are in some condition.
#[derive(Debug, Default)]
struct PerHost(HashMap<IpAddr, u32, RandomState>);

impl PerHost {
    fn of(&self, host: IpAddr) -> u32 {
        self.0.get(&host).copied().unwrap_or_default()
    }

    fn add(&mut self, host: IpAddr) {
        let count = self.0.entry(host).or_default();
        *count = count.saturating_add(1);
    }

    fn take(&mut self, host: IpAddr) {
        if let Entry::Occupied(mut count) = self.0.entry(host) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What is known of a flow with a FIN. The first of each pair is the side of the canonical source.
#[derive(Clone, Copy, Debug, Default)]
struct Closing {
    fins: [Option<Fin>; 2],
    /// Whose place is taken until when.
    until: [Option<Time>; 2],
    /// Who found none left, but may have had one since its FIN was acknowledged.
    doubted: [bool; 2],
    /// Both FINs have passed, and nothing more matters after this.
    over: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Fin {
    end: Seq,
    time: Time,
    /// Its sender's host had no place then, or when it was acknowledged.
    was_full: bool,
    /// The host had none if all that waited in FIN-WAIT-2 held one.
    is_beyond: bool,
    acknowledged: bool,
    /// Its sender waits in FIN-WAIT-2.
    waits: bool,
    /// Since when it has, or had until the other FIN came.
    waited: Option<Time>,
}

impl Buckets {
    /// Flows with a FIN that are followed at once: those beyond are taken to have found a place.
    const MAX_FLOWS: usize = 1 << 17;
    /// Sockets of a host that are looked at again, and hosts: those beyond are taken to have found one.
    const MAX_ASKED: usize = 1 << 10;

    /// Whether the socket at the source of `tuple`, whose peer is its destination, found no place
    /// between two times.
    pub(super) fn had_none(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        self.lacking.has(tuple, from, until)
    }

    pub(super) fn take(&mut self, turn: &Turn, settings: &Settings) {
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
            Kind::SynAck => {}
            Kind::Ack => self.take_ack(turn, (canonical, orientation), settings),
        }
    }

    /// Flows with a FIN of which an acknowledgment counts.
    pub(super) fn unanswered(&self) -> impl ExactSizeIterator<Item = FourTuple> {
        self.unanswered.iter().copied()
    }

    /// Where the FIN ends of which an acknowledgment counts that travels as `tuple`.
    pub(super) fn awaits(&self, tuple: FourTuple) -> Option<Seq> {
        let (canonical, orientation) = tuple.canonical();
        let [one, other] = self.flows.get(&canonical)?.fins;
        let fin = if orientation == Orientation::Forward { other } else { one };
        fin.filter(|fin| !fin.acknowledged).map(|fin| fin.end)
    }

    /// Whether the socket at the source of `tuple` might have asked in vain between two times.
    pub(super) fn may_have_had_none(&self, tuple: FourTuple, from: Time, until: Time) -> bool {
        self.perhaps.has(tuple, from, until)
    }

    /// Who has closed first may be an orphan, and asks for its place when its FIN is acknowledged.
    fn take_ack(
        &mut self,
        turn: &Turn,
        (canonical, orientation): (FourTuple, Orientation),
        settings: &Settings,
    ) {
        let is_answer = |closing: &Closing| {
            let [one, other] = closing.fins;
            let fin = if orientation == Orientation::Forward { other } else { one };
            fin.is_some_and(|fin| !fin.acknowledged && turn.ack.distance(fin.end) >= 0)
        };
        if !self.flows.get(&canonical).is_some_and(is_answer) {
            return;
        }
        let owner = turn.tuple.reversed();
        let host = owner.source.address;
        let is_full = self.is_full(host, settings);
        let is_beyond = self.has_no_room_beside(host, settings);
        let Some(closing) = self.flows.get_mut(&canonical) else { return };
        let Closing { fins: [one, other], until: [first, second], doubted, .. } = closing;
        let [first_doubt, second_doubt] = doubted;
        let (fin, peers, until, doubted) = match orientation {
            Orientation::Forward => (other, one, first, first_doubt),
            Orientation::Backward => (one, other, second, second_doubt),
        };
        let Some(fin) = fin else { return };
        fin.acknowledged = true;
        if peers.is_none_or(|fin| fin.acknowledged) {
            self.unanswered.remove(&canonical);
        }
        (fin.was_full, fin.is_beyond, fin.waits) = (is_full, is_beyond, peers.is_none());
        if fin.waits {
            fin.waited = Some(turn.time);
            self.waiting.add(host);
        }
        if is_full && peers.is_none() {
            self.perhaps.add(owner, turn.time);
        }
        // What is left of an orphan would have answered; the socket itself had no place yet. Where the
        // answer does not tell, the applications of a host are taken to be alike.
        let sender = turn.tuple.source.address;
        let has_shown = turn.ip_id.is_none() && peers.is_some_and(|fin| fin.is_beyond);
        if has_shown && self.shutting.len() < Self::MAX_FLOWS {
            self.shutting.insert(sender);
        }
        let is_socket = turn.ip_id.map_or(self.shutting.contains(&sender), |id| id != 0);
        if std::mem::take(doubted) && is_socket && until.take().is_some() {
            self.lacking.add(turn.tuple, turn.time);
            self.held.take(sender);
        }
        let since = peers.and_then(|fin| fin.waited).filter(|_| turn.ip_id == Some(0));
        if let Some(since) = since {
            self.held_one(turn.tuple, since, turn.time);
        }
    }

    /// The socket at the source of `tuple` has held a place since its FIN was acknowledged: fewer were left to
    /// those that asked after that.
    fn held_one(&mut self, tuple: FourTuple, since: Time, now: Time) {
        let host = tuple.source.address;
        let Some(asked) = self.asked.get_mut(&host) else { return };
        asked.retain(|it| it.socket != tuple);
        let mut without = Vec::new();
        for it in asked.iter_mut().filter(|it| it.at > since) {
            it.left = (it.left + u32::try_from(without.len()).unwrap_or(0)).saturating_sub(1);
            if it.left == 0 {
                without.push(it.socket);
            }
        }
        asked.retain(|it| it.left > 0);
        for socket in without {
            let (canonical, orientation) = socket.canonical();
            let Some(closing) = self.flows.get_mut(&canonical) else { continue };
            let [first, second] = &mut closing.until;
            let until = if orientation == Orientation::Forward { first } else { second };
            if until.take().is_some() {
                self.lacking.add(socket, now);
                self.held.take(host);
            }
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
        let Closing { fins: [one, other], until: [ours, theirs], doubted, .. } = &mut closing;
        let [my_doubt, your_doubt] = doubted;
        let (mine, peers, until, peer_until, doubted) = match orientation {
            Orientation::Forward => (one, other, ours, theirs, your_doubt),
            Orientation::Backward => (other, one, theirs, ours, my_doubt),
        };
        let peer = turn.tuple.reversed();
        if let Some(first) = peers
            && std::mem::take(&mut first.waits)
        {
            self.waiting.take(peer.source.address);
        }
        if mine.is_some() {
            // Again: it starts the peer's timer once more.
            if let Some(until) = peer_until {
                *until = turn.time + length(peer.source.address);
            }
        } else if let Some(first) = *peers {
            let knew = turn.ack.distance(first.end) >= 0;
            let waited = first.acknowledged || turn.time.since(first.time) > APART;
            let apart = knew && waited && !first.was_full;
            *doubted = apart && self.is_full(peer.source.address, settings);
            *peer_until = self.enter(peer, turn.time, apart, settings);
            // The FINs cross: both wait.
            if !knew {
                *until = self.enter(turn.tuple, turn.time, false, settings);
            }
        }
        let is_second = mine.is_none() && peers.is_some();
        let was_full = self.is_full(turn.tuple.source.address, settings);
        let fin = Fin {
            end: turn.end,
            time: turn.time,
            was_full,
            is_beyond: false,
            acknowledged: false,
            waits: false,
            waited: None,
        };
        if mine.is_none() {
            self.unanswered.insert(canonical);
        }
        mine.get_or_insert(fin);
        if is_second {
            let over =
                turn.time + length(turn.tuple.source.address).max(length(peer.source.address));
            closing.over = Some(over);
            self.ends.push(Reverse((over, canonical)));
        }
        self.flows.insert(canonical, closing);
    }

    fn is_full(&self, host: IpAddr, settings: &Settings) -> bool {
        let limit = settings.of(host).max_tw_buckets;
        limit.is_some_and(|limit| self.held.of(host) >= limit)
    }

    /// Whether there would be no place if all in FIN-WAIT-2 held one.
    fn has_no_room_beside(&self, host: IpAddr, settings: &Settings) -> bool {
        let taken = self.held.of(host).saturating_add(self.waiting.of(host));
        settings.of(host).max_tw_buckets.is_some_and(|limit| taken >= limit)
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
        host.max_tw_buckets?;
        let is_full = self.is_full(tuple.source.address, settings);
        if is_full && !may_have_one {
            self.lacking.add(tuple, at);
            return None;
        }
        if !is_full && self.has_no_room_beside(tuple.source.address, settings) {
            self.note_asked(tuple, at, host.max_tw_buckets?);
        }
        self.held.add(tuple.source.address);
        Some(at + host.time_wait)
    }

    fn note_asked(&mut self, socket: FourTuple, at: Time, limit: u32) {
        let host = socket.source.address;
        if self.asked.len() >= Self::MAX_ASKED && !self.asked.contains_key(&host) {
            return;
        }
        let asked = self.asked.entry(host).or_default();
        if asked.len() >= Self::MAX_ASKED {
            asked.pop_front();
        }
        asked.push_back(Asked { at, socket, left: limit.saturating_sub(self.held.of(host)) });
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
        self.unanswered.remove(&tuple);
        let hosts = [tuple.source.address, tuple.destination.address];
        for ((host, until), fin) in hosts.into_iter().zip(closing.until).zip(closing.fins) {
            if until.is_some() {
                self.held.take(host);
            }
            if fin.is_some_and(|fin| fin.waits) {
                self.waiting.take(host);
            }
        }
    }
}
