//! ICMP errors about a connection's segments: whom they stop.
//!
//! An error counts only if it quotes what its receiver has sent and the peer has not acknowledged,
//! as every careful stack demands (RFC 5927 4.1). It can end an attempt to connect; an open
//! connection only remembers it.

use crate::compact::compact;

use super::endpoint::Reason;
use super::{Cause, Connection, Event, IcmpErrors, Mark, State};
use crate::settings::{Profile, Settings};
use crate::tcp::{IcmpError, Side};

/// What quoted the connection's segments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quoted {
    pub(super) errors: IcmpErrors,
    /// The first failure that quoted a SYN or SYN-ACK while its sender waited for the answer.
    pub(super) of_attempt: Option<IcmpError>,
}

compact!(struct Quoted { errors, of_attempt });

/// After so many that an endpoint went on after, it is one that ignores such errors. Linux passes
/// over the one that comes while the application holds the socket, and obeys the next.
const IGNORES: u8 = 2;

impl Connection {
    /// Takes an ICMP error, in the order of capture, that quotes a segment of the connection.
    ///
    /// `forward` says how the quoted segment travelled through the flow's canonical tuple: the
    /// error is for its sender. An error about what was acknowledged or never sent is not counted.
    pub fn quote(&mut self, forward: bool, error: &IcmpError, settings: &Settings) {
        let about = self.side_of(forward);
        self.expire_timers(error.time);
        let me = self.sides.of(about);
        let stream = &me.stream;
        let in_flight = error.seq.is_none_or(|seq| {
            stream.is_started() && (stream.acknowledged..=stream.end).contains(&stream.offset(seq))
        });
        if !me.is_known() || !in_flight {
            return;
        }
        let opening = matches!(me.state, State::SynSent | State::SynReceived);
        let failure = error.meaning().is_failure();
        let quoted = self.quoted.get_or_insert_default();
        quoted.errors.count = quoted.errors.count.saturating_add(1);
        quoted.errors.first.get_or_insert(*error);
        quoted.errors.last = Some(*error);
        if opening && failure {
            quoted.of_attempt.get_or_insert(*error);
        }
        let obeys = self.sides.of(about).outlived_icmp < IGNORES;
        if obeys && self.ends_attempt(about, error, settings) {
            let mark = Mark { time: error.time, frame: error.frame };
            let reason = Reason::observed(mark, Cause::IcmpError(error.meaning()));
            self.sides.of_mut(about).apply(Event::ReceiveIcmpError, reason);
        }
    }

    /// Whether `side` gives up its attempt. Linux does on any failure in SYN-SENT; others only on
    /// those that no retry can mend (RFC 1122 4.2.3.9, RFC 5461).
    fn ends_attempt(&self, side: Side, error: &IcmpError, settings: &Settings) -> bool {
        let linux = settings.profile == Profile::Linux;
        let meaning = error.meaning();
        let crossed = self.opening.syns.of(side).count() > 0;
        match self.sides.of(side).state {
            State::SynReceived if linux && !crossed => error.drops_half_open(),
            State::SynSent | State::SynReceived if linux => meaning.is_failure(),
            State::SynSent | State::SynReceived => meaning.is_hard(),
            State::Listen
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait
            | State::Closed => false,
        }
    }
}
