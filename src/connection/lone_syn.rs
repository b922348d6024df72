//! A SYN that nothing ever followed: what its connection's record would say, without the record.
//!
//! Floods and scans leave millions of these, and building a connection for each would be most of
//! the cost of a run. What a summary needs of them is little; a test holds it against the record.

use super::timers::give_up;
use super::{ConnectionRecord, LINGER, Mark, State};
use crate::settings::Settings;
use crate::stamp::Time;
use crate::tcp::{Endpoint, FourTuple, Segment};

/// Puts what a text says of a SYN that nothing followed where a room begins, as the text has it, and
/// returns how long it is, if the room is large enough.
pub type LoneValue = fn(&LoneSyn, &mut [u8]) -> Option<usize>;

/// An attempt of one sound and whole SYN without payload, never repeated and never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoneSyn {
    /// Position of its frame in the run: the connection's id.
    pub id: u64,
    /// Sender of the SYN.
    pub client: Endpoint,
    /// The other endpoint.
    pub server: Endpoint,
    /// When and where it was captured.
    pub mark: Mark,
    /// Bytes of its IP packet.
    pub ip_bytes: u64,
    /// The capture clock when it was let go, or when nothing more could come.
    pub known_until: Time,
    /// The client's state then: SYN-SENT, or CLOSED once it must have given up.
    pub client_state: State,
    /// When it gives up.
    pub gives_up: Time,
    /// Nothing more could come.
    pub is_over: bool,
}

impl LoneSyn {
    /// What is known of the SYN in `segment`, which went from the tuple's source to its
    /// destination, when the capture clock is `clock`.
    #[must_use]
    pub fn of(
        segment: &Segment,
        id: u64,
        tuple: FourTuple,
        clock: Time,
        settings: &Settings,
    ) -> Self {
        let FourTuple { source: client, destination: server } = tuple;
        let timer = give_up(settings.of(client.address), segment.time, 0, &[]);
        let due = timer.max(segment.time) + LINGER;
        let is_over = due <= clock;
        let known_until = if is_over { due } else { clock.max(segment.time) };
        let gave_up = timer <= known_until;
        Self {
            id,
            client,
            server,
            mark: Mark::of(segment),
            ip_bytes: u64::from(segment.header_len),
            known_until,
            client_state: if gave_up { State::Closed } else { State::SynSent },
            gives_up: timer,
            is_over,
        }
    }

    /// Makes the record of another such SYN that of this one. The other must look the same in all that
    /// does not stand here: its options, flags and marks, the direction, and whether its client gave up.
    pub fn retell(&self, record: &mut ConnectionRecord) {
        let Self { id, client, server, mark, ip_bytes, known_until, .. } = *self;
        (record.id, record.client, record.server) = (id, client, server);
        (record.first_time, record.last_time) = (mark.time, mark.time);
        (record.first_frame, record.last_frame) = (mark.frame, mark.frame);
        record.known_until = known_until;
        record.handshake.syn = Some(mark);
        let mut states = record.states.client.iter_mut();
        if let Some(sent) = states.next() {
            (sent.at, sent.frame) = (mark.time, Some(mark.frame));
        }
        if let Some(closed) = states.next() {
            closed.at = self.gives_up;
        }
        let traffic = &mut record.traffic.client;
        (traffic.ip_bytes, traffic.last_segment) = (ip_bytes, Some(mark));
        let zeek = &mut record.zeek;
        (zeek.first, zeek.last, zeek.originator.ip_bytes) = (mark.time, mark.time, ip_bytes);
    }
}
