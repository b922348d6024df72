//! Connection records built by hand, for the tests of totals and detectors.
//!
//! Each is what the engine makes of an ordinary connection; a test changes the one thing it is
//! about. Times are milliseconds after [`START`].

use crate::certainty::Certainty;
use crate::compat::wireshark::Completeness;
use crate::compat::zeek::{Columns, ConnState};
use crate::connection::{
    Cause, Close, CloseOutcome, ConnectionRecord, Entry, Handshake, HandshakeOutcome, IcmpErrors,
    Mark, Reset, ResetKind, State, TimeWaitSide, Traffic,
};
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{Endpoint, Seq, Side, Sides};

/// 2026-01-02T03:04:05Z.
pub(crate) const START: Time = Time::from_nanos(1_767_323_045_000_000_000);

/// `millis` milliseconds after the start.
pub(crate) fn at(millis: i64) -> Time {
    START + Span::from_millis(millis)
}

/// A frame at `millis` of the connection with `id`.
pub(crate) fn mark(id: u64, millis: i64) -> Mark {
    Mark { time: at(millis), frame: FrameId::new(0, id * 100 + 1) }
}

pub(crate) fn entry(state: State, millis: i64, cause: Cause) -> Entry {
    Entry {
        state,
        at: at(millis),
        frame: None,
        cause,
        certainty: Certainty::Observed,
        corrected_by: None,
    }
}

/// A timeline out of states and the times at which they were entered.
pub(crate) fn states(of: &[(State, i64)]) -> Vec<Entry> {
    of.iter().map(|(state, millis)| entry(*state, *millis, Cause::SentInConnection)).collect()
}

/// Connection `id` from 10.0.0.1 to 10.0.0.2:443: opened at `from` with a handshake of 1 ms, carried
/// data both ways, and still open at `until`.
pub(crate) fn open(id: u64, from: i64, until: i64) -> ConnectionRecord {
    let endpoint = |text: &str, port| Endpoint { address: text.parse().unwrap(), port };
    let traffic = || Traffic {
        segments: 6,
        data_segments: 2,
        ip_bytes: 700,
        payload_bytes: 400,
        unique_bytes: 400,
        acknowledged_bytes: 400,
        first_data: Some(mark(id, from + 2)),
        last_data: Some(mark(id, from + 4)),
        last_segment: Some(mark(id, from + 5)),
        ..Traffic::default()
    };
    ConnectionRecord {
        id,
        client: endpoint("10.0.0.1", 32_768 + u16::try_from(id % 28_000).unwrap()),
        server: endpoint("10.0.0.2", 443),
        role_certainty: Certainty::Observed,
        tunnel: Vec::new(),
        other_tunnel: None,
        first_time: at(from),
        last_time: at(from + 5),
        first_frame: mark(id, from).frame,
        last_frame: mark(id, from).frame.plus(9),
        known_until: at(until),
        handshake: Handshake {
            outcome: HandshakeOutcome::Complete,
            syn: Some(mark(id, from)),
            syn_ack: Some(mark(id, from)),
            ack: Some(mark(id, from + 1)),
            duration: Some(Span::from_millis(1)),
            ..Handshake::default()
        },
        close: Close::default(),
        states: Sides {
            client: states(&[(State::SynSent, from), (State::Established, from)]),
            server: states(&[
                (State::Listen, from),
                (State::SynReceived, from),
                (State::Established, from + 1),
            ]),
        },
        states_dropped: 0,
        traffic: Sides { client: traffic(), server: traffic() },
        longest_idle: None,
        options: Sides::default(),
        icmp: IcmpErrors::default(),
        completeness: Completeness::default(),
        zeek: Columns {
            originator_is_forward: true,
            conn_state: ConnState::S1,
            first: at(from),
            last: at(from + 5),
            ..Columns::default()
        },
    }
}

/// As [`open`], closed by the client at `from` + 10 ms within 2 ms, in a capture that ends at
/// `until`; TIME-WAIT lasts 60 s if the capture does.
pub(crate) fn graceful(id: u64, from: i64, until: i64) -> ConnectionRecord {
    let mut record = open(id, from, until);
    let fin = from + 10;
    record.close = Close {
        outcome: CloseOutcome::Graceful,
        first_closer: Some(Side::Client),
        fin: Sides { client: Some(mark(id, fin)), server: Some(mark(id, fin + 1)) },
        fin_acknowledged: Sides {
            client: Some(mark(id, fin + 1)),
            server: Some(mark(id, fin + 2)),
        },
        time_wait: Some(TimeWaitSide::Client),
        ..Close::default()
    };
    let client = &mut record.states.client;
    client.extend(states(&[
        (State::FinWait1, fin),
        (State::FinWait2, fin + 1),
        (State::TimeWait, fin + 2),
    ]));
    let expiry = fin + 2 + 60_000;
    if expiry <= until {
        client.push(entry(State::Closed, expiry, Cause::TimeWaitExpired));
    }
    let server = &mut record.states.server;
    server.extend(states(&[
        (State::CloseWait, fin),
        (State::LastAck, fin + 1),
        (State::Closed, fin + 2),
    ]));
    record.last_time = at(fin + 2);
    record
}

/// The SYN-ACK was sent at `from` and again after each of `gaps`, and never acknowledged. The server
/// gives up after the next gap, twice as long, if the capture lasts until then.
pub(crate) fn half_open(id: u64, from: i64, gaps: &[i64], until: i64) -> ConnectionRecord {
    let mut record = open(id, from, until);
    record.handshake = Handshake {
        outcome: HandshakeOutcome::HalfOpen,
        syn: Some(mark(id, from)),
        syn_ack: Some(mark(id, from)),
        syn_ack_retransmissions: u32::try_from(gaps.len()).unwrap(),
        syn_ack_gaps: gaps.iter().map(|gap| Span::from_millis(*gap)).collect(),
        ..Handshake::default()
    };
    record.traffic = Sides {
        client: Traffic { segments: 1, ..Traffic::default() },
        server: Traffic { segments: 1 + gaps.len() as u64, ..Traffic::default() },
    };
    record.states.client = states(&[(State::SynSent, from)]);
    record.states.server = states(&[(State::Listen, from), (State::SynReceived, from)]);
    let expiry = from + gaps.iter().sum::<i64>() + gaps.last().map_or(1_000, |last| 2 * last);
    if expiry <= until {
        record.states.server.push(entry(State::Closed, expiry, Cause::HalfOpenExpired));
    }
    record.last_time = at(from + gaps.iter().sum::<i64>());
    record
}

/// The SYN was sent at `from` and again after each of `gaps`, and nothing came back.
pub(crate) fn unanswered(id: u64, from: i64, gaps: &[i64], until: i64) -> ConnectionRecord {
    let mut record = open(id, from, until);
    record.handshake = Handshake {
        outcome: HandshakeOutcome::Unanswered,
        syn: Some(mark(id, from)),
        syn_retransmissions: u32::try_from(gaps.len()).unwrap(),
        syn_gaps: gaps.iter().map(|gap| Span::from_millis(*gap)).collect(),
        ..Handshake::default()
    };
    record.traffic = Sides {
        client: Traffic { segments: 1 + gaps.len() as u64, ..Traffic::default() },
        server: Traffic::default(),
    };
    record.states.client = states(&[(State::SynSent, from)]);
    record.states.server = states(&[(State::Listen, from)]);
    record.last_time = at(from + gaps.iter().sum::<i64>());
    record
}

/// As [`open`], reset by `by` at `when`.
pub(crate) fn reset(
    mut record: ConnectionRecord,
    by: Side,
    kind: ResetKind,
    when: i64,
) -> ConnectionRecord {
    let before = Side::BOTH.map(|side| record.final_state(side));
    record.close.outcome = CloseOutcome::Reset;
    record.close.reset = Some(Reset {
        by,
        mark: mark(record.id, when),
        states: Sides { client: before[0], server: before[1] },
        kind,
        seq_offset: 0,
        has_ack: true,
        unacknowledged_from_peer: 0,
        idle: Span::from_millis(1),
        seq: Seq(1),
    });
    *record.close.resets.of_mut(by) = 1;
    record.states.of_mut(by).push(entry(State::Closed, when, Cause::SentRst));
    record.states.of_mut(by.peer()).push(entry(State::Closed, when, Cause::ReceivedRst));
    record.last_time = at(when);
    record
}

/// The SYN was answered by a RST at `from` + 1 ms.
pub(crate) fn refused(id: u64, from: i64) -> ConnectionRecord {
    let mut record = unanswered(id, from, &[], from + 1_000);
    record.traffic.server.segments = 1;
    record.handshake.outcome = HandshakeOutcome::Refused;
    record.handshake.rst = Some(mark(id, from + 1));
    reset(record, Side::Server, ResetKind::Refused, from + 1)
}

/// The client answered the SYN-ACK with a RST after `delay` ms.
pub(crate) fn aborted(id: u64, from: i64, delay: i64) -> ConnectionRecord {
    let mut record = half_open(id, from, &[], from + delay);
    record.traffic.client.segments = 2;
    record.handshake.outcome = HandshakeOutcome::Aborted;
    record.handshake.rst = Some(mark(id, from + delay));
    reset(record, Side::Client, ResetKind::HandshakeAborted, from + delay)
}
