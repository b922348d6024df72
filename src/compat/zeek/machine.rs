//! What a segment does to the states of both endpoints.
//!
//! Zeek looks at SYN, FIN and RST one after the other, so that a segment with several of them has
//! the effects of all.

use super::EndpointState as State;
use super::endpoint::Endpoint;
use crate::tcp::Segment;

/// What follows from a segment besides the states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// The sender closes.
    pub(super) closes: bool,
    /// The sender is the true originator: its SYN was captured after the SYN-ACK.
    pub(super) flips: bool,
    /// The missing SYN of the originator no longer makes the connection a partial one.
    pub(super) completes: bool,
    /// The originator attempts to connect.
    pub(super) attempts: bool,
    /// Zeek stops to ask whether the connection is over (`is_active`).
    pub(super) resets: bool,
}

/// Moves the states on.
pub(super) fn step(
    me: &mut Endpoint,
    peer: &mut Endpoint,
    from_originator: bool,
    segment: &Segment,
) -> Step {
    match me.state {
        State::Inactive => inactive(me, peer, from_originator, segment),
        State::SynSent | State::SynAckSent => opening(me, segment),
        State::Established | State::Partial => open(me, peer, segment),
        State::Closed => closed(me, peer, segment),
        // Whatever comes after a RST changes nothing.
        State::Reset => Step::default(),
    }
}

/// The first segment of an endpoint.
fn inactive(me: &mut Endpoint, peer: &mut Endpoint, originator: bool, segment: &Segment) -> Step {
    let flags = segment.flags;
    let mut step = Step::default();
    match (flags.syn(), originator) {
        (true, true) => {
            me.enter(if flags.ack() { State::SynAckSent } else { State::SynSent });
            step.attempts = true;
        }
        (true, false) => {
            if !flags.ack() && peer.state == State::SynAckSent {
                (step.flips, step.completes) = (true, true);
                peer.enter(State::Established);
            }
            if peer.state == State::SynSent {
                peer.enter(State::Established);
            }
            me.enter(State::Established);
        }
        (false, _) => {}
    }
    if flags.fin() {
        me.enter(State::Closed);
        step.closes = true;
    }
    if flags.rst() {
        me.enter(State::Reset);
        step.closes = true;
    }
    let answers_syn_with_ack =
        !originator && segment.payload_len == 0 && peer.state == State::SynSent;
    if me.state == State::Inactive && !answers_syn_with_ack {
        if flags.ack() && peer.state == State::Established {
            me.enter(State::Established);
            step.completes = true;
        } else {
            me.enter(State::Partial);
        }
    }
    step
}

/// After a SYN or SYN-ACK of the originator that nobody has answered.
fn opening(me: &mut Endpoint, segment: &Segment) -> Step {
    let mut step = Step::default();
    if segment.flags.fin() {
        me.enter(State::Closed);
        step.closes = true;
    }
    if segment.flags.rst() {
        me.enter(State::Reset);
        (step.closes, step.resets) = (true, true);
    }
    step
}

fn open(me: &mut Endpoint, peer: &mut Endpoint, segment: &Segment) -> Step {
    let flags = segment.flags;
    let mut step = Step::default();
    let only_one_side = me.state == State::Partial && peer.state == State::Inactive;
    if flags.syn() && !flags.ack() && only_one_side {
        me.enter(State::SynSent);
    }
    if flags.fin() && !flags.rst() {
        me.enter(State::Closed);
        // A FIN and then a RST of the peer was a normal end after all.
        if peer.state == State::Reset && peer.before == State::Closed {
            peer.enter(State::Closed);
        }
        step.closes = true;
    }
    if flags.rst() {
        me.enter(State::Reset);
        (step.closes, step.resets) = (true, true);
    }
    step
}

/// After a FIN: a RST counts unless the peer has sent its FIN as well.
fn closed(me: &mut Endpoint, peer: &Endpoint, segment: &Segment) -> Step {
    if !segment.flags.rst() || peer.state == State::Closed {
        return Step::default();
    }
    me.enter(State::Reset);
    Step { closes: !me.closed, ..Step::default() }
}
