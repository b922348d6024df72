//! The network between two simulated endpoints, and the tap somewhere on it.
//!
//! Each direction has two legs, before and behind the tap; each leg delays, loses, doubles and
//! reorders by itself, by a seeded generator.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tcpautopsy::connection::State;

use super::endpoint::{Peer, Wire};

/// What one leg does to segments: microseconds, and shares in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Leg {
    /// On the way to the tap, and on the way back from it.
    pub(crate) delay: i64,
    pub(crate) back: i64,
    pub(crate) jitter: i64,
    pub(crate) loss: u64,
    pub(crate) double: u64,
    /// Copies that come long after everything else, of all that passes.
    pub(crate) late: u64,
}

impl Leg {
    /// The longer way.
    pub(crate) fn longest(self) -> i64 {
        self.delay.max(self.back)
    }
}

/// So late a copy comes at most, in microseconds.
const LATEST: u64 = 3_000_000;

/// What an application does, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Open,
    Write(u32),
    Close,
    Abort,
    Vanish,
}

/// One life: the legs from endpoint 0 to the tap and from the tap to endpoint 1 (each works in
/// both directions), and what both applications do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) legs: [Leg; 2],
    pub(crate) acts: Vec<(i64, usize, Act)>,
    pub(crate) seed: u64,
    /// Endpoint 0 opens again on the same ports, and endpoint 1 goes on listening.
    pub(crate) again: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) peers: [Peer; 2],
    /// Their sockets before these, on the same ports.
    pub(crate) past: [Vec<Peer>; 2],
    /// What the tap saw, with the time.
    pub(crate) seen: Vec<(i64, Wire)>,
    /// A segment came to an endpoint that was not up yet: it was lost behind the tap.
    pub(crate) came_too_soon: bool,
}

/// What a capture holds of a life.
#[derive(Debug)]
pub(crate) struct Seen {
    /// It begins while the connection is open.
    pub(crate) middle: bool,
    pub(crate) segments: Vec<(i64, Wire)>,
    /// The states of both endpoints that it can show.
    pub(crate) truth: [Vec<(State, i64)>; 2],
}

impl Outcome {
    /// All sockets that an endpoint had, one after the other.
    pub(crate) fn sockets(&self, who: usize) -> impl Iterator<Item = &Peer> {
        self.past[who].iter().chain(std::iter::once(&self.peers[who]))
    }

    /// What a capture holds, and the states that it can show; in the middle it begins with the first
    /// segment that passes the tap while both are open.
    pub(crate) fn seen_from(&self, middle: bool) -> Seen {
        let open = |peer: &Peer| {
            let mut states = peer.history.iter().skip_while(|it| it.0 != State::Established);
            let opened = states.next().map(|it| it.1);
            let until = states.next().map_or(i64::MAX, |it| it.1);
            opened.map(|from| (from, until))
        };
        let spans = [open(&self.peers[0]), open(&self.peers[1])];
        let from = match spans {
            [Some(one), Some(other)] => one.0.max(other.0),
            _ => i64::MIN,
        };
        let begin = self.seen.iter().position(|it| it.0 > from).filter(|&at| {
            let open = spans.iter().all(|it| it.is_some_and(|span| self.seen[at].0 < span.1));
            middle && open && begins_in_order(&self.seen[at..])
        });
        let history = |peer: &Peer| peer.history.clone();
        let mut truth = [history(&self.peers[0]), history(&self.peers[1])];
        if begin.is_some() {
            for states in &mut truth {
                states.retain(|state| state.1 > from);
            }
        }
        let segments = self.seen[begin.unwrap_or(0)..].to_vec();
        Seen { middle: begin.is_some(), segments, truth }
    }
}

/// Whether a capture of these segments begins behind the handshake, and with nothing missing that is
/// sent again later.
fn begins_in_order(seen: &[(i64, Wire)]) -> bool {
    let of = |who: usize| seen.iter().map(|it| it.1).filter(move |it| it.from == who);
    let is_next = |who: usize| {
        let first = of(who).next().map(|it| it.seq);
        let acknowledged = of(1 - who).find_map(|it| it.ack);
        first.zip(acknowledged).is_none_or(|(seq, ack)| ack.wrapping_sub(seq).cast_signed() >= 0)
    };
    !seen[0].1.syn && is_next(0) && is_next(1)
}

/// An application acts no later, and a life lasts no longer than this, in microseconds.
pub(crate) const LENGTH: i64 = 40_000_000;

#[derive(Debug)]
enum Event {
    Act(usize, Act),
    AtTap(Wire),
    AtPeer(usize, Wire),
    Timer(usize),
}

struct World {
    now: i64,
    order: u64,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    events: std::collections::BTreeMap<u64, Event>,
    random: u64,
    legs: [Leg; 2],
}

/// Lets a plan run to its end.
pub(crate) fn run(plan: &Plan) -> Outcome {
    let simultaneous = plan.acts.iter().any(|act| act.1 == 1 && matches!(act.2, Act::Open));
    let mut peers = [Peer::new(0, 4_294_960_000, false), Peer::new(1, 77_000, !simultaneous)];
    let mut world = World {
        now: 0,
        order: 0,
        queue: BinaryHeap::new(),
        events: std::collections::BTreeMap::new(),
        random: plan.seed | 1,
        legs: plan.legs,
    };
    let mut past = [Vec::new(), Vec::new()];
    let (mut seen, mut came_too_soon) = (Vec::new(), false);
    for (at, who, act) in &plan.acts {
        world.schedule(*at, Event::Act(*who, *act));
    }
    while let Some(Reverse((at, order))) = world.queue.pop() {
        if at > LENGTH {
            break;
        }
        world.now = at.max(world.now + 1);
        let now = world.now;
        let (who, out) = match world.events.remove(&order).unwrap() {
            Event::Act(who, act) => {
                let peer = &mut peers[who];
                if plan.again && who == 0 && matches!(act, Act::Open) && peer.may_open_again(now) {
                    past[who].push(peer.replace(false, now));
                }
                let out = match act {
                    Act::Open => peer.open(now),
                    Act::Write(bytes) => peer.write(bytes, now),
                    Act::Close => peer.close(now),
                    Act::Abort => peer.abort(now),
                    Act::Vanish => {
                        peer.vanish(now);
                        Vec::new()
                    }
                };
                (who, out)
            }
            Event::AtTap(it) => {
                seen.push((now, it));
                world.travel(1 - it.from, it, |it| Event::AtPeer(1 - it.from, it));
                continue;
            }
            // An endpoint that has not opened yet, where both do so, is not up yet.
            Event::AtPeer(who, _) if peers[who].is_unborn() => {
                came_too_soon = true;
                continue;
            }
            Event::AtPeer(who, it) => {
                let peer = &mut peers[who];
                if plan.again && who == 1 && peer.gives_way_to(&it) {
                    past[who].push(peer.replace(true, now));
                }
                (who, peer.receive(&it, now))
            }
            Event::Timer(who) => (who, peers[who].tick(now)),
        };
        for it in out {
            world.travel(it.from, it, Event::AtTap);
        }
        if let Some(at) = peers[who].timer {
            world.schedule(at, Event::Timer(who));
        }
    }
    Outcome { peers, past, seen, came_too_soon }
}

impl World {
    fn schedule(&mut self, at: i64, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order)));
        self.events.insert(self.order, event);
    }

    /// Sends `it` over the leg of endpoint `leg`.
    fn travel(&mut self, leg: usize, it: Wire, arrives: impl Fn(Wire) -> Event) {
        let Leg { delay, back, jitter, loss, double, late } = self.legs[leg];
        let delay = if it.from == leg { delay } else { back };
        let copies = 1 + u64::from(self.below(1_000) < double);
        let late = late > 0 && self.below(1_000) < late;
        for copy in 0..copies + u64::from(late) {
            let jitter = if copy < copies { jitter.unsigned_abs() } else { LATEST };
            let late = if jitter > 0 { self.below(jitter) } else { 0 };
            if self.below(1_000) >= loss {
                let at = self.now + delay + i64::try_from(late).unwrap();
                self.schedule(at, arrives(it));
            }
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % limit
    }
}
