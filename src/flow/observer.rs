//! Whoever takes what a shard gives away: connections that are over, and, if asked for, segments.
//!
//! Whether segments are asked for is known at compile time, so that a run which does not ask pays
//! nothing for them.

use super::lone::Lone;
use crate::connection::{Begun, Connection, ConnectionRecord, Effects, State};
use crate::stamp::{FrameId, Time};
use crate::tcp::{Endpoint, Extras, FourTuple, Segment, Side, Sides};

/// Why a connection left the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// It was over.
    Expired,
    /// A new connection took over its flow.
    Replaced,
    /// There was no room for it: what came later is missing.
    Evicted,
    /// The capture ended.
    CaptureEnd,
}

/// The capture clock, and what let something go then: the name of the frame that did, or, behind all
/// frames, [`LATER`] and the id of the connection whose time was up.
pub type Moment = (Time, u64);

/// Behind the names of all frames.
pub const LATER: u64 = 1 << 63;

/// A connection that left.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// What is known about it.
    pub record: ConnectionRecord,
    /// When it left; never goes back from one record of a shard to the next.
    pub at: Moment,
    /// Why it left.
    pub ending: Ending,
}

/// A segment that found its connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed<'a> {
    /// The frame's name in the run, counted from 1 over all inputs that follow one another.
    pub position: u64,
    /// The clock of the frame's source.
    pub clock: Time,
    /// The flow's canonical tuple; a tunnel does not count.
    pub tuple: FourTuple,
    /// The segment travelled forward through that tuple.
    pub forward: bool,
    /// The segment.
    pub segment: Segment,
    /// Its rarer options.
    pub extras: &'a Extras,
    /// Id of the connection that the segment was taken for part of.
    pub connection: u64,
    /// Who sent it.
    pub from: Side,
    /// The advertised window in bytes.
    pub window: u64,
    /// What it repeats or proves.
    pub effects: Effects,
    /// The states of both sides after the segment; none while nothing is known of a side.
    pub states: Sides<Option<State>>,
}

/// Takes what a shard gives away. A closure that takes connections is one.
///
/// No method has a default: whoever wraps an observer would forget to hand it on.
pub trait Observer {
    /// Whether [`Observer::segment`] is to be called.
    const SEGMENTS: bool;

    /// Whether SYNs that stayed alone are to come as [`Lone`] instead of as whole records.
    fn is_brief(&self) -> bool;

    /// Whether it has taken as much as it can hold for now: the shard then stops where it can.
    fn is_full(&self) -> bool;

    /// Whether `listener` sent a SYN-ACK soon after `from`, and before `until`.
    fn is_heard(&self, listener: Endpoint, from: Time, until: Time) -> bool;

    /// The name of a frame in the run: its number, where there is but one file.
    fn name(&self, frame: FrameId) -> u64;

    /// Whether `socket`, at the source of the tuple, found no place in its host's TIME-WAIT between
    /// `from` and `until`.
    fn had_no_bucket(&self, socket: FourTuple, from: Time, until: Time) -> bool;

    /// Whether the listener at the destination of `attempt`, which answered between `from` and `until`,
    /// had no place for it in its accept queue.
    fn found_queue_full(&self, attempt: FourTuple, from: Time, until: Time) -> bool;

    /// Whether `listener` completed a handshake between `from` and `until`.
    fn has_completed(&self, listener: Endpoint, from: Time, until: Time) -> bool;

    /// Whether `listener` waits for data before it makes a connection, as is known `until` then.
    fn waits_for_data(&self, listener: Endpoint, until: Time) -> bool;

    /// Whether the SYN that `listener` answered at `sent` found its queue full, as is known `until` then:
    /// the answer was a SYN cookie.
    fn found_no_request(&self, listener: Endpoint, sent: Time, until: Time) -> bool;

    /// Whether the listener that answered at `sent` was gone when that was due again, as is known `until`
    /// then.
    fn lost_listener(&self, listener: Endpoint, sent: Time, until: Time) -> bool;

    /// Whether the socket at the source of `tuple` may have found no place to wait in, for the FIN that
    /// was acknowledged between `from` and `until`.
    fn may_lack_bucket(&self, socket: FourTuple, from: Time, until: Time) -> bool;

    /// How the capture began, for a connection that begins with `frame`.
    fn begun(&self, frame: FrameId) -> Option<Begun>;

    /// Takes a SYN that nothing followed; called only where [`Observer::is_brief`].
    fn lone_syn(&mut self, lone: &Lone<'_>);

    /// Takes a connection that is over.
    fn finished(&mut self, finished: Finished);

    /// Takes a segment, after the connections that it ended. The segments of a shard come in the
    /// order of their frames. Called only where [`Observer::SEGMENTS`].
    fn segment(&mut self, placed: &Placed<'_>);
}

/// Knows nothing of listeners and hosts, and takes whole records, one by one.
impl<F: FnMut(Finished)> Observer for F {
    const SEGMENTS: bool = false;

    fn is_brief(&self) -> bool {
        false
    }

    fn is_full(&self) -> bool {
        false
    }

    fn is_heard(&self, _: Endpoint, _: Time, _: Time) -> bool {
        false
    }

    fn name(&self, frame: FrameId) -> u64 {
        frame.number()
    }

    fn had_no_bucket(&self, _: FourTuple, _: Time, _: Time) -> bool {
        false
    }

    fn found_queue_full(&self, _: FourTuple, _: Time, _: Time) -> bool {
        false
    }

    fn has_completed(&self, _: Endpoint, _: Time, _: Time) -> bool {
        false
    }

    fn waits_for_data(&self, _: Endpoint, _: Time) -> bool {
        false
    }

    fn found_no_request(&self, _: Endpoint, _: Time, _: Time) -> bool {
        false
    }

    fn lost_listener(&self, _: Endpoint, _: Time, _: Time) -> bool {
        false
    }

    fn may_lack_bucket(&self, _: FourTuple, _: Time, _: Time) -> bool {
        false
    }

    fn begun(&self, _: FrameId) -> Option<Begun> {
        None
    }

    fn lone_syn(&mut self, _: &Lone<'_>) {}

    fn finished(&mut self, finished: Finished) {
        self(finished);
    }

    fn segment(&mut self, _: &Placed<'_>) {}
}

impl<'a> Placed<'a> {
    /// The segment as its connection sees it after having observed it.
    pub(super) fn new(
        (position, clock, tuple): (u64, Time, FourTuple),
        (forward, segment, extras): (bool, &Segment, &'a Extras),
        (connection, effects): (&Connection, Effects),
    ) -> Self {
        let from = effects.from;
        let client = connection.state(Side::Client);
        let server = connection.state(Side::Server);
        Self {
            position,
            clock,
            tuple,
            forward,
            segment: *segment,
            extras,
            connection: connection.id(),
            from,
            window: connection.window(from, segment),
            effects,
            states: Sides { client, server },
        }
    }
}
