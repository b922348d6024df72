//! The life of one connection, as a tap's evidence shows it: sans-IO, fed with segments.
//!
//! [`Connection::observe`] takes one segment after the other and keeps, for both endpoints, the
//! timed states of RFC 9293, each with its cause and how sure it is. What a segment does to a state
//! stands in [`next`]; what counts as having arrived, and what later evidence corrects, stands in
//! the parts beside it. Time is the capture's; there is no clock, no I/O and no thread here.
//!
//! Where to look:
//!
//! | question | parts |
//! |---|---|
//! | what a state is, what leads to the next, how it is noted | `state`, `transition`, `timeline`, `endpoint` |
//! | opening: which SYN and SYN-ACK counted | `opening`, `attempts`, `control`, `first_syn`, `earlier_syn`, `half_open`, `halves` |
//! | opening: a listener that forgets, ignores or keeps nothing | `cookie`, `bring_back`, `unheard`, `deferred`, `anew`, `late_copy` |
//! | closing: whose a FIN was, whether it arrived, and its acknowledgment | `closing`, `first_fin`, `fin_number`, `held_fin`, `crossed_fins`, `early_close`, `arrival`, `unseen`, `acks_of_fin`, `acknowledgment` |
//! | ends by RST, ICMP, timer, or for want of a place in TIME-WAIT | `reset`, `reset_crossed`, `icmp`, `timers`, `buckets` |
//! | where one connection of a port pair ends and the next begins | `stray`, `before`, `begun_late` |
//! | one direction's bytes, windows and round trips | `stream`, `coverage`, `flight`, `feedback`, `window`, `rtt` |
//! | why a segment was sent again, or only seen twice | `judge`, `rule`, `repair`, `recut`, `print`, `effects` |
//! | who was heard when, and what the tap never saw | `path`, `clock`, `unaware`, `numbers` |
//! | what is told when all is over | `verdict`, `record`, `traffic`, `tally`, `lone_syn` |
//! | speed and room: the short way, and sleep | `calm`, `asleep`, `several` |

mod acknowledgment;
mod acks_of_fin;
mod anew;
mod arrival;
mod asleep;
mod attempts;
mod before;
mod begun_late;
mod bring_back;
mod buckets;
mod calm;
mod clock;
mod closing;
mod control;
mod cookie;
mod coverage;
mod crossed_fins;
mod deferred;
mod earlier_syn;
mod early_close;
mod effects;
mod endpoint;
mod feedback;
mod fin_number;
mod first_fin;
mod first_syn;
mod flight;
mod half_open;
mod halves;
mod held_fin;
mod icmp;
mod judge;
mod late_copy;
mod lone_syn;
mod numbers;
mod opening;
mod path;
mod print;
mod record;
mod recut;
mod repair;
mod reset;
mod reset_crossed;
mod rtt;
mod rule;
mod several;
mod state;
mod stray;
mod stream;
mod tally;
mod timeline;
mod timers;
mod traffic;
mod transition;
mod unaware;
mod unheard;
mod unseen;
mod verdict;
mod window;

pub use crate::compact::Room;
pub use asleep::Tunnels;
pub use before::{Blocked, TimeWaitBefore};
pub use cookie::CookieSign;
pub use effects::{Effects, Proof, ProofKind, Repeat, RepeatCause, RepeatCounts};
pub use first_syn::Begun;
pub use lone_syn::{LoneSyn, LoneValue};
pub(crate) use opening::DEFERRED;
pub(crate) use path::NEAR;
pub use record::{
    Close, CloseOutcome, ConnectionRecord, Handshake, HandshakeOutcome, IcmpErrors, Idle, Mark,
    OfferedOptions, Reset, ResetKind, TimeWaitSide,
};
pub use rtt::RttSummary;
pub use rule::Rule;
pub use state::State;
pub use timeline::{Cause, Entry};
pub use traffic::{Rto, Stall, Traffic, Unacknowledged, WindowRange};
pub use transition::{Event, as_markdown, next};
pub use window::{Episode, Episodes};

use endpoint::{Endpoint, Reason};
use icmp::Quoted;
use opening::Opening;
use path::Legs;
use stray::StraySyn;

use crate::certainty::Certainty;
use crate::compact::compact;
use crate::compat::wireshark::Completeness;
use crate::compat::zeek::Tracker;
use crate::settings::Settings;
use crate::stamp::{Span, Time};
use crate::tcp::{self, Control, Extras, FourTuple, Segment, Side, Sides, TunnelLayer};

/// Where a connection begins.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// Position of the first frame in the run, which becomes the connection's id.
    pub id: u64,
    /// The tuple of the first segment, in the direction in which it travelled.
    pub tuple: FourTuple,
    /// Whether the first segment travelled forward through the flow's canonical tuple.
    pub forward: bool,
    /// Encapsulation, outermost first.
    pub tunnel: Vec<TunnelLayer>,
}

/// One incarnation of a flow, from its first segment on.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Connection {
    // Perf: in this order, see `Connection::prefetch`.
    last: Mark,
    /// The longest silence so far: its last segment before and its first one after.
    longest_idle: (Mark, Mark),
    /// Silence before the last segment: tells an answer to a long idle connection.
    last_gap: Span,
    /// Only data and acknowledgments are to be expected.
    is_calm: bool,
    /// It is calm again after trouble, which is over.
    is_mended: bool,
    client_is_forward: bool,
    role_certainty: Certainty,
    completeness: Completeness,
    /// What Zeek would say of all this.
    zeek: Tracker,
    sides: Sides<Endpoint>,
    id: u64,
    addresses: Sides<tcp::Endpoint>,
    first: Mark,
    opening: Opening,
    tunnel: Vec<TunnelLayer>,
    /// The tunnel around the other direction, where that is another one.
    other_tunnel: Option<Box<[TunnelLayer]>>,
    /// Boxed, so that all of it fits the allocator's class of 2 KiB.
    reset: Option<Box<Reset>>,
    /// A SYN with another ISN, seen while the connection was open: perhaps the next one's first.
    stray_syn: Option<Box<StraySyn>>,
    /// ICMP errors that quoted its segments.
    quoted: Option<Box<Quoted>>,
}

compact!(struct Connection {
    id, addresses, client_is_forward, role_certainty, first, last, last_gap, longest_idle, sides,
    opening, reset, completeness, zeek, stray_syn, quoted, is_calm, is_mended; tunnel, other_tunnel
});

impl Connection {
    /// The connection that `segment` begins. [`Connection::observe`] must be called with it next.
    #[must_use]
    pub fn new(beginning: Beginning, segment: &Segment) -> Self {
        let (client_sent_it, role_certainty) = roles(&beginning.tuple, segment);
        let FourTuple { source, destination } = beginning.tuple;
        let addresses = if client_sent_it {
            Sides { client: source, server: destination }
        } else {
            Sides { client: destination, server: source }
        };
        Self {
            id: beginning.id,
            addresses,
            client_is_forward: beginning.forward == client_sent_it,
            role_certainty,
            tunnel: beginning.tunnel,
            other_tunnel: None,
            first: Mark::of(segment),
            last: Mark::of(segment),
            last_gap: Span::ZERO,
            longest_idle: (Mark::of(segment), Mark::of(segment)),
            sides: Sides::default(),
            opening: Opening::default(),
            reset: None,
            completeness: Completeness::default(),
            zeek: Tracker::new(beginning.forward, segment),
            stray_syn: None,
            quoted: None,
            is_calm: false,
            is_mended: false,
        }
    }

    /// The connection that a segment begins on the flow `canonical`, with that segment taken in.
    #[must_use]
    pub fn begun(
        id: u64,
        (canonical, tunnel): (FourTuple, Vec<TunnelLayer>),
        (forward, segment, extras): (bool, &Segment, &Extras),
        settings: &Settings,
    ) -> Self {
        let tuple = if forward { canonical } else { canonical.reversed() };
        let mut connection = Self::new(Beginning { id, tuple, forward, tunnel }, segment);
        connection.observe(forward, segment, extras, settings);
        connection
    }

    /// Takes the next segment of the connection, in the order of capture.
    ///
    /// `forward` says how it travelled through the flow's canonical tuple. What the segment did
    /// beyond the states comes back as [`Effects`].
    pub fn observe(
        &mut self,
        forward: bool,
        segment: &Segment,
        extras: &Extras,
        settings: &Settings,
    ) -> Effects {
        if extras.sack.is_empty() && self.observe_expected(forward, segment) {
            return Effects::none(self.side_of(forward));
        }
        let effects = self.observe_closely(forward, segment, extras, settings);
        self.calm_down();
        effects
    }

    /// Takes a segment of any kind.
    fn observe_closely(
        &mut self,
        forward: bool,
        segment: &Segment,
        extras: &Extras,
        settings: &Settings,
    ) -> Effects {
        let from = self.side_of(forward);
        let mut effects = Effects::none(from);
        if self.keeps_for_next(from, segment, extras) {
            effects.is_of_next = true;
            return effects;
        }
        self.completeness.observe(segment);
        // Zeek takes such a SYN for the next connection's.
        if !self.zeek.is_stray(forward, segment) {
            self.zeek.observe(forward, segment);
        }
        self.expire_timers(segment.time);
        let gap = self.note_gap(segment);
        self.sides.of_mut(from.peer()).unanswered = 0;
        self.sides.of_mut(from).clock.read(segment);
        if self.is_seen_twice(from, segment, extras, &mut effects) {
            self.last = Mark::of(segment);
            return effects;
        }
        match segment.control() {
            _ if is_dropped_by_all(segment) => self.sides.of_mut(from).stream.count(segment),
            Control::Rst => self.on_reset(from, segment, settings),
            Control::Syn => {
                self.on_syn(from, segment, extras);
                self.agree_on_scales();
            }
            Control::SynAck => {
                self.on_syn_ack(from, segment, extras, settings);
                self.agree_on_scales();
            }
            Control::Fin | Control::None => {
                self.read_clock(from, segment);
                let acknowledged = self.sides.of(from.peer()).stream.acknowledged;
                self.on_segment(from, segment, extras, &mut effects);
                self.note_held_fin(from, segment, acknowledged, settings);
            }
        }
        self.last_gap = gap;
        self.last = Mark::of(segment);
        self.arm_timers(from, segment, settings);
        effects
    }

    /// The connection's id: position of its first frame in the run.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The time of its last segment.
    #[must_use]
    pub const fn last_seen(&self) -> Time {
        self.last.time
    }

    /// The state of `side` now; none while nothing is known of it.
    #[must_use]
    pub fn state(&self, side: Side) -> Option<State> {
        let endpoint = self.sides.of(side);
        // Behind a cookie is no socket.
        let is_cookie = endpoint.state == State::SynReceived
            && side == Side::Server
            && self.opening.cookie().is_some();
        (endpoint.is_known() && !is_cookie).then_some(endpoint.state)
    }

    /// The window that `segment` of `side` advertises, in bytes: scaled by what both sides agreed
    /// on (RFC 7323 2.2), by what one offered where the other's SYN was not captured, or as sent:
    /// in SYNs, and where nothing is known.
    #[must_use]
    pub fn window(&self, side: Side, segment: &Segment) -> u64 {
        let shift = if segment.flags.syn() { 0 } else { self.window_shift(side).unwrap_or(0) };
        u64::from(segment.window) << shift
    }

    fn agree_on_scales(&mut self) {
        for side in Side::BOTH {
            self.sides.of_mut(side).stream.peer_shift = self.window_shift(side.peer());
        }
    }

    /// The shift count of `side`'s windows; none while it is unknown.
    fn window_shift(&self, side: Side) -> Option<u8> {
        let (me, peer) = (self.sides.of(side), self.sides.of(side.peer()));
        let (mine, peers) = (&me.stream.options, &peer.stream.options);
        let agreed = match (mine.seen, peers.seen) {
            (true, true) => peers.window_scale.and(mine.window_scale),
            // A SYN-ACK answers the option, and nearly every host answers it.
            (true, false) => mine.window_scale,
            (false, true) if peers.window_scale.is_none() => None,
            (false, _) => return None,
        };
        // Shifts above 14 act as 14 (RFC 7323 2.3).
        Some(agreed.unwrap_or(0).min(14))
    }

    /// Whether `side` sends in the direction `forward`.
    const fn is_forward(&self, side: Side) -> bool {
        matches!(side, Side::Client) == self.client_is_forward
    }

    /// The side that sends in the direction `forward`.
    const fn side_of(&self, forward: bool) -> Side {
        if forward == self.client_is_forward { Side::Client } else { Side::Server }
    }

    /// ACK, data and FIN: everything but SYN and RST.
    fn on_segment(
        &mut self,
        from: Side,
        segment: &Segment,
        extras: &Extras,
        effects: &mut Effects,
    ) {
        let (me, peer) = self.sides.pair_mut(from);
        let closes = segment.flags.fin() || me.fin.is_some() || peer.fin.is_some();
        let matters = me.state < State::Established || closes;
        let is_late = !me.stream.is_next(segment.seq);
        if matters || (is_late && me.stream.numbers.has_overtaken(segment.ip_id)) {
            me.stream.read_number();
        }
        self.bring_back_cookie(from, segment);
        self.note_bring_back(from, segment);
        self.note_unaware(from, segment);
        self.take_back_false_end(from, segment);
        if !self.join(from, segment) {
            self.sides.of_mut(from).stream.send(segment);
            return;
        }
        let (me, peer) = self.sides.pair_mut(from);
        let acknowledged = peer.stream.acknowledged;
        if me.fin.is_some() && !segment.flags.fin() {
            self.note_overtaken_ack(from, segment, extras);
            self.doubt_by_word(from, segment);
        }
        if segment.flags.ack() {
            self.on_acknowledgment(from, segment, extras, effects);
        }
        let path = self.answer_time(from);
        let (me, peer) = self.sides.pair_mut(from);
        if segment.payload_len > 0 && peer.fin.is_some() && peer.stream.fin_acknowledged() {
            peer.reads_after_fin |= me.stream.acknowledged > 0 && peer.resets == 0;
        }
        let start = me.stream.offset(segment.seq);
        me.note_skip(peer, acknowledged, (segment, path), extras);
        let opening = &self.opening;
        let (data_before, fin_before) = (me.stream.traffic.last_data, me.stream.fin);
        let heard = me.stream.last_time();
        let repeats = me.stream.transmit(segment, || Legs::of(opening, from), effects);
        if repeats || me.asks_for_life(peer, segment, start, heard) {
            me.unanswered = me.unanswered.saturating_add(1);
        }
        if segment.flags.fin()
            && !effects.repeat.is_some_and(Repeat::is_copy)
            && self.is_own_fin(from, segment, fin_before)
        {
            self.on_fin_sent(from, segment, data_before, acknowledged);
        }
        if repeats || segment.flags.fin() || segment.payload_len > 0 {
            self.note_fin_arrival(from, segment);
        }
    }

    /// Makes both sides known before an ordinary segment is looked at; says whether the segment
    /// belongs to the connection at all.
    fn join(&mut self, from: Side, segment: &Segment) -> bool {
        let mark = Mark::of(segment);
        let me_known = self.sides.of(from).is_known();
        let peer_known = self.sides.of(from.peer()).is_known();
        if !me_known && !peer_known {
            let reason = Reason {
                certainty: Certainty::Assumed,
                ..Reason::observed(mark, Cause::Midstream)
            };
            for side in Side::BOTH {
                self.sides.of_mut(side).enter(State::Established, reason);
            }
        }
        let (me, peer) = self.sides.pair_mut(from);
        let in_opening = matches!(me.state, State::SynSent | State::SynReceived | State::Listen)
            || matches!(peer.state, State::SynSent | State::SynReceived);
        if in_opening && !self.join_opening(from, segment) {
            return false;
        }
        let (me, peer) = self.sides.pair_mut(from);
        me.stream.send_midstream(segment.seq);
        if segment.flags.ack() {
            peer.stream.start_midstream(segment.ack);
        }
        true
    }
}

/// Whether every endpoint drops `segment` unanswered, and none sends such a one: SYN with FIN or
/// RST, or no ACK where only a SYN and a RST may do without (RFC 9293 3.10.7.4, fifth).
const fn is_dropped_by_all(segment: &Segment) -> bool {
    let flags = segment.flags;
    if flags.syn() { flags.fin() || flags.rst() } else { !flags.ack() && !flags.rst() }
}

/// So many bytes every sender may have in flight (RFC 5681 3.1: the initial window).
const UNHINDERED: i64 = 2_190;

/// Who is the client: whether the sender of `segment` is, and how sure that is.
fn roles(tuple: &FourTuple, segment: &Segment) -> (bool, Certainty) {
    match segment.control() {
        Control::Syn => (true, Certainty::Observed),
        Control::SynAck => (false, Certainty::Observed),
        Control::Rst | Control::Fin | Control::None => {
            // Services have the lower port, as a rule.
            (tuple.source.port >= tuple.destination.port, Certainty::Assumed)
        }
    }
}

/// Time between two sightings below which a repeated segment is taken as the same one, seen twice.
const SAME_FRAME: Span = Span::from_micros(100);

/// The same at another interface, or behind a router: one that first has to ask for a neighbour's
/// address takes longer than a bridge. No timer is that quick without a round trip.
const ELSEWHERE: Span = Span::from_millis(100);

/// A silence that makes a RST without ACK look like the answer of something that forgot.
const LONG_IDLE: Span = Span::from_secs(60);

/// How long a closed connection waits for stragglers: the MSL of RFC 9293 3.4.3.
const LINGER: Span = Span::from_secs(120);

/// Sooner than this no timer sends a SYN or SYN-ACK again (RFC 6298 2.1: it starts with 1 s).
pub const SYN_TIMER: Span = Span::from_millis(800);

/// Added to every path delay before a segment counts as sent after, not before, what it crossed.
const CROSSING_SLACK: Span = Span::from_millis(2);

#[cfg(test)]
mod tests;
