//! One connection as Zeek follows it: fed with segments, asked for its columns.

use crate::compact::compact;

use super::columns::{Columns, ConnState, Counts};
use super::endpoint::{Endpoint, once};
use super::history::History;
use super::machine::step;
use super::{EndpointState, is_likely_server};
use crate::near;
use crate::stamp::Time;
use crate::tcp::{FourTuple, Marks, Segment};

/// Follows one connection.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Tracker {
    forward: Endpoint,
    backward: Endpoint,
    pub(super) last: Time,
    /// The first segment of a side was no SYN (`is_partial`).
    pub(super) is_partial: bool,
    /// Only data and acknowledgments are to be expected.
    is_calm: bool,
    originator_is_forward: bool,
    /// A close waits for payload to be delivered.
    pub(super) close_deferred: bool,
    /// Zeek still asks now and then whether the connection is over.
    pub(super) is_active: bool,
    pub(super) missed_bytes: u64,
    first: Time,
    history: History,
}

compact!(struct Tracker {
    forward, backward, originator_is_forward, is_partial, close_deferred, is_active, is_calm,
    history, missed_bytes, first, last
});

/// What a segment set off, as far as it matters for how long Zeek remembers the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The originator attempts to connect.
    pub attempts: bool,
    /// The connection is past its handshake.
    pub opens: bool,
    /// The connection is over.
    pub closes: bool,
    /// One side has closed, and the other side may go on.
    pub half_closes: bool,
}

impl Tracker {
    /// A connection that `segment` begins, travelling `forward` through the flow's canonical
    /// tuple. [`Tracker::observe`] must be called with it next.
    #[must_use]
    pub fn new(forward: bool, segment: &Segment) -> Self {
        Self {
            forward: Endpoint::default(),
            backward: Endpoint::default(),
            originator_is_forward: forward,
            is_partial: false,
            close_deferred: false,
            is_active: true,
            is_calm: false,
            history: History::default(),
            missed_bytes: 0,
            first: segment.time,
            last: segment.time,
        }
    }

    /// Exchanges the roles at the very beginning where the ports say that the first segment came
    /// from a server, as Zeek's default scripts do; `tuple` is in the segment's direction.
    #[must_use]
    pub fn with_likely_servers(mut self, tuple: &FourTuple, segment: &Segment) -> Self {
        let flags = segment.flags;
        let (from, to) = (tuple.source.port, tuple.destination.port);
        let is_known = flags.syn() && !flags.ack();
        if !is_known && is_likely_server(from) {
            let flips = if is_likely_server(to) { !flags.syn() && from < to } else { true };
            if flips {
                self.flip();
            }
        }
        self
    }

    /// Asks the memory for every part that the next segment will need.
    #[inline]
    pub(crate) fn prefetch(&self) {
        near::value(&self.last);
        self.forward.prefetch();
        self.backward.prefetch();
    }

    /// Takes the next segment.
    #[inline]
    pub fn observe(&mut self, forward: bool, segment: &Segment) -> Effects {
        if self.observe_calmly(forward, segment) {
            return Effects::default();
        }
        let effects = self.observe_closely(forward, segment);
        self.is_calm = self.is_calm();
        effects
    }

    /// Takes the segment if only data and acknowledgments are to be expected, and it is such a one; says
    /// whether it did.
    #[inline]
    pub fn observe_calmly(&mut self, forward: bool, segment: &Segment) -> bool {
        self.is_calm && self.observe_expected(forward, segment)
    }

    /// Takes a segment of any kind.
    #[inline(never)]
    pub(super) fn observe_closely(&mut self, forward: bool, segment: &Segment) -> Effects {
        if segment.marks.contains(Marks::CUT_HEADER) {
            return Effects::default();
        }
        if segment.marks.contains(Marks::BAD_CHECKSUM) {
            if self.endpoint_mut(forward).bad_checksums.count() {
                self.enter(forward, b'C');
            }
            return Effects::default();
        }
        let flags = segment.flags;
        let is_plain = !flags.syn() && !flags.fin() && !flags.rst();
        if is_plain && self.history.is(b"H") {
            self.flip_unanswered();
        }
        let was_handshake = self.is_handshake();
        let from_originator = forward == self.originator_is_forward;
        if !self.endpoint_mut(forward).seen {
            self.note_partial(from_originator, segment);
        }
        let payload = if flags.rst() { 0 } else { segment.payload_len };
        let seq_len = payload + u32::from(flags.syn()) + u32::from(flags.fin());
        let end = segment.seq.plus(seq_len);
        let me = self.endpoint_mut(forward);
        if !is_plain || me.state == EndpointState::Inactive {
            me.initialise(segment, end);
        }
        let (offset, is_before_start) = me.offset(segment.seq);
        if is_plain {
            self.note_plain(forward, segment);
        } else {
            self.note_control(forward, segment, offset);
        }
        if segment.window == 0 && !flags.rst() {
            self.note_zero_window(forward);
        }
        if !self.forward.closed || !self.backward.closed {
            self.last = segment.time;
        }
        let (me, peer) = self.pair_mut(forward);
        if flags.fin() {
            me.finished = true;
            me.fin_end = offset.wrapping_add(u64::from(seq_len));
        }
        let mut acknowledged = None;
        if flags.ack() {
            acknowledged = Some(acknowledge(peer, segment));
        }
        let is_retransmission = me.send(segment, end);
        let step = step(me, peer, from_originator, segment);
        me.seen = true;
        if is_retransmission && me.retransmissions.count() {
            self.enter(forward, b'T');
        }
        if step.flips {
            self.flip();
        }
        self.is_partial &= !step.completes;
        self.is_active &= !step.resets;
        let mut effects = Effects { attempts: step.attempts, ..Effects::default() };
        if let Some(offset) = acknowledged {
            self.on_acknowledgment(!forward, offset, &mut effects);
        }
        if payload > 0 && !is_before_start && !segment.marks.contains(Marks::CUT_PAYLOAD) {
            self.on_payload(forward, offset.wrapping_add(u64::from(flags.syn())), payload);
        }
        self.check_end(forward, &mut effects);
        if step.closes {
            self.close(forward, &mut effects);
        }
        let counts = &mut self.endpoint_mut(forward).counts;
        counts.packets += 1;
        // An offloaded packet says that it has no length, and Zeek believes it.
        if !segment.marks.contains(Marks::GUESSED_LENGTH) {
            counts.ip_bytes += u64::from(segment.header_len) + u64::from(segment.payload_len);
        }
        effects.opens = was_handshake && !self.is_handshake();
        effects
    }

    /// Whether Zeek takes `segment` for the first of a new connection on the same flow: a SYN with
    /// another number, or any SYN once a side has closed.
    #[must_use]
    pub fn is_replaced_by(&self, segment: &Segment) -> bool {
        if !segment.flags.syn() {
            return false;
        }
        let (originator, responder) = self.roles();
        if segment.flags.ack() && originator.state != EndpointState::Inactive {
            return false;
        }
        if originator.closed || responder.closed {
            return true;
        }
        let expected = if segment.flags.ack() { responder.start } else { originator.start };
        let comes_late = !segment.flags.ack()
            && originator.state == EndpointState::SynAckSent
            && responder.state == EndpointState::Inactive
            && segment.seq == responder.start;
        segment.seq != expected && !comes_late
    }

    /// Whether `segment` is a SYN of the originator that Zeek takes for a new connection's.
    #[must_use]
    pub fn is_stray(&self, forward: bool, segment: &Segment) -> bool {
        segment.flags.syn()
            && forward == self.originator_is_forward
            && self.roles().0.state != EndpointState::Inactive
            && self.is_replaced_by(segment)
    }

    /// What Zeek would log if the connection ended now.
    #[must_use]
    pub fn columns(&self) -> Columns {
        let (originator, responder) = self.roles();
        let counts = |endpoint: &Endpoint, peer: &Endpoint| Counts {
            payload_bytes: endpoint.size(peer.state),
            ..endpoint.counts
        };
        let (sent, answered) = (counts(originator, responder), counts(responder, originator));
        Columns {
            originator_is_forward: self.originator_is_forward,
            first: self.first,
            last: self.last,
            conn_state: ConnState::of(
                originator.state,
                responder.state,
                sent.payload_bytes == 0 && answered.payload_bytes == 0,
                self.history.is_aborted_attempt(),
            ),
            history: self.history.clone(),
            missed_bytes: self.missed_bytes,
            originator: sent,
            responder: answered,
        }
    }

    /// Nobody has answered the originator.
    pub(super) fn is_attempt(&self) -> bool {
        let (originator, responder) = self.roles();
        matches!(originator.state, EndpointState::SynSent | EndpointState::SynAckSent)
            && responder.state == EndpointState::Inactive
    }

    /// A side has closed, and nothing is to be expected of the other one.
    pub(super) fn is_over(&self) -> bool {
        let sides = [&self.forward, &self.backward];
        let any = |state| sides.iter().any(|side| side.state == state);
        let closed = sides.iter().filter(|side| side.closed).count();
        closed == 2
            || closed == 1 && (any(EndpointState::Reset) || any(EndpointState::Inactive))
            || sides.iter().all(|side| side.state == EndpointState::Inactive)
    }

    pub(super) const fn endpoint_mut(&mut self, forward: bool) -> &mut Endpoint {
        if forward { &mut self.forward } else { &mut self.backward }
    }

    /// The endpoint that sends in this direction, and its peer.
    pub(super) const fn pair_mut(&mut self, forward: bool) -> (&mut Endpoint, &mut Endpoint) {
        if forward {
            (&mut self.forward, &mut self.backward)
        } else {
            (&mut self.backward, &mut self.forward)
        }
    }

    /// Both endpoints, in no order of roles.
    pub(super) const fn both(&self) -> (&Endpoint, &Endpoint) {
        (&self.forward, &self.backward)
    }

    /// Originator and responder.
    const fn roles(&self) -> (&Endpoint, &Endpoint) {
        if self.originator_is_forward {
            (&self.forward, &self.backward)
        } else {
            (&self.backward, &self.forward)
        }
    }

    const fn is_handshake(&self) -> bool {
        self.forward.state.is_handshake() && self.backward.state.is_handshake()
    }

    /// Exchanges originator and responder.
    fn flip(&mut self) {
        self.originator_is_forward = !self.originator_is_forward;
        self.is_partial = false;
        self.history.push(b'^');
    }

    /// A SYN-ACK was first, and an ACK or data follows it: no scan, so its sender is the
    /// responder, and what was entered of it becomes the responder's.
    fn flip_unanswered(&mut self) {
        self.flip();
        self.history.replace(b"^h");
        (self.forward.seen, self.backward.seen) = (true, true);
    }

    const fn note_partial(&mut self, from_originator: bool, segment: &Segment) {
        let syn = segment.flags.syn();
        if from_originator {
            self.is_partial = !syn || segment.flags.ack();
        } else if !self.is_partial {
            self.is_partial = !syn;
        }
    }

    /// Enters a letter, of which the upper-case form is given.
    pub(super) fn enter(&mut self, forward: bool, letter: u8) {
        let from_originator = forward == self.originator_is_forward;
        self.history.push(if from_originator { letter } else { letter.to_ascii_lowercase() });
    }

    /// Enters a letter unless the direction has it already; says whether it had.
    fn enter_once(&mut self, forward: bool, bit: u8, letter: u8) -> bool {
        let entered = &mut self.endpoint_mut(forward).entered;
        let had = *entered & bit != 0;
        *entered |= bit;
        if !had {
            self.enter(forward, letter);
        }
        had
    }

    /// The first data of a side, or its first acknowledgment without.
    #[inline(never)]
    pub(super) fn note_plain(&mut self, forward: bool, segment: &Segment) {
        if segment.payload_len > 0 {
            self.enter_once(forward, once::DATA, b'D');
        } else if segment.flags.ack() {
            self.enter_once(forward, once::ACK, b'A');
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "offsets are compared in 32 bits")]
    fn note_control(&mut self, forward: bool, segment: &Segment, offset: u64) {
        let offset = offset as u32;
        match (segment.flags.syn(), segment.flags.fin(), segment.flags.rst()) {
            (_, true, true) => {
                self.enter_once(forward, once::FIN_RST, b'I');
            }
            (true, true, false) | (true, false, true) => {
                self.enter_once(forward, once::MULTIPLE, b'Q');
            }
            (true, false, false) => {
                let letter = if segment.flags.ack() { b'H' } else { b'S' };
                let last = std::mem::replace(&mut self.endpoint_mut(forward).last_syn, offset);
                if self.enter_once(forward, once::SYN, letter) && last != offset {
                    self.enter(forward, letter);
                }
            }
            (false, true, false) => {
                let end = offset.wrapping_add(segment.payload_len);
                let last = std::mem::replace(&mut self.endpoint_mut(forward).last_fin, end);
                if self.enter_once(forward, once::FIN, b'F') && last != end {
                    self.enter(forward, b'F');
                }
            }
            (false, false, true) => {
                let last = std::mem::replace(&mut self.endpoint_mut(forward).last_rst, offset);
                if self.enter_once(forward, once::RST, b'R') && last != offset {
                    self.enter(forward, b'R');
                }
            }
            (false, false, false) => {}
        }
    }

    /// A window of zero says nothing after a FIN of the peer, or after a RST.
    fn note_zero_window(&mut self, forward: bool) {
        let (me, peer) = self.pair_mut(forward);
        let counts = peer.state != EndpointState::Closed && me.state != EndpointState::Reset;
        if counts && me.zero_windows.count() {
            self.enter(forward, b'W');
        }
    }

    /// What the endpoint that sends in this direction was told to have arrived.
    fn on_acknowledgment(&mut self, forward: bool, offset: u64, effects: &mut Effects) {
        let is_partial = self.is_partial;
        let (me, peer) = self.pair_mut(forward);
        let is_past_fin = me.finished && offset >= me.fin_end;
        let offset = if is_past_fin { me.fin_end.wrapping_sub(1) } else { offset };
        // Elsewhere holes come from numbers that were only guessed.
        let counts = is_clean(me) && is_clean(peer);
        let (mut missed, mut letters) = (0_u64, 0_u32);
        let gaps = &mut me.gaps;
        me.delivery.acknowledge(offset, is_partial, |length| {
            if counts {
                missed = missed.wrapping_add(length);
                letters += u32::from(gaps.count());
            }
        });
        self.missed_bytes = self.missed_bytes.wrapping_add(missed);
        for _ in 0..letters {
            self.enter(forward, b'G');
        }
        self.check_end(forward, effects);
    }

    fn on_payload(&mut self, forward: bool, offset: u64, length: u32) {
        let (me, peer) = self.pair_mut(forward);
        let end = offset.wrapping_add(u64::from(length));
        let acknowledged = me.acknowledged();
        if end <= acknowledged {
            return;
        }
        let unacknowledged = me.is_unacknowledged().then(|| me.size(peer.state));
        me.delivery.push(offset.max(acknowledged), end, unacknowledged);
    }
}

/// Takes the acknowledgment into the endpoint that it speaks of; gives its offset.
fn acknowledge(peer: &mut Endpoint, segment: &Segment) -> u64 {
    if peer.state == EndpointState::Inactive {
        peer.initialise_from(segment.ack);
        return 1;
    }
    let (offset, is_before_start) = peer.ack_offset(segment.ack);
    if is_before_start {
        return 0;
    }
    if !segment.flags.rst() {
        peer.acknowledge(segment.ack);
    }
    offset
}

/// Established, and closed by nothing but a FIN.
pub(super) fn is_clean(endpoint: &Endpoint) -> bool {
    match endpoint.state {
        EndpointState::Established => true,
        EndpointState::Closed => endpoint.before == EndpointState::Established,
        EndpointState::Inactive
        | EndpointState::SynSent
        | EndpointState::SynAckSent
        | EndpointState::Partial
        | EndpointState::Reset => false,
    }
}
