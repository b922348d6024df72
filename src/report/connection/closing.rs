//! How a connection was closed: the object `close`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::connection::{Close, Reset, State, TimeWaitSide};
use crate::report::usual::usual;
use crate::report::value::{Frame, Moment, PerSide, Stamp, nanos};
use crate::tcp::Side;

/// How a connection was closed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Close")]
pub(super) struct CloseDoc {
    /// `open`, `graceful`, `simultaneous`, `half_closed`, `fin_unacknowledged`, `reset` or
    /// `timed_out`.
    outcome: &'static str,
    /// Who sent the first FIN: `client` or `server`.
    first_closer: Option<&'static str>,
    /// Who sent the RST that ended the connection: `client` or `server`.
    reset_by: Option<&'static str>,
    /// What kind of RST it was, such as `refused`, `abort` or `unread_data`.
    reset_kind: Option<&'static str>,
    /// Who went through TIME-WAIT: `client`, `server` or `both`.
    time_wait: Option<&'static str>,
    /// How often late segments restarted the TIME-WAIT timer.
    time_wait_restarts: u32,
    /// First FIN of each side.
    fin: PerSide<Option<Moment>>,
    /// FINs after the first one.
    fin_retransmissions: PerSide<u32>,
    /// When the acknowledgment of each side's FIN passed the tap.
    fin_acknowledged: PerSide<Option<Moment>>,
    /// The RST that ended the connection, with what is needed to judge it.
    reset: Option<ResetDoc>,
    /// RSTs of each side, the ignored ones as well.
    resets: PerSide<u32>,
    /// The SYN of a new connection that took the port pair.
    reused_by: Option<Moment>,
}

impl From<&Close> for CloseDoc {
    fn from(close: &Close) -> Self {
        let moment = |mark: &Option<_>| mark.map(Moment::from);
        Self {
            outcome: close.outcome.name(),
            first_closer: close.first_closer.map(Side::name),
            reset_by: close.reset.map(|reset| reset.by.name()),
            reset_kind: close.reset.map(|reset| reset.kind.name()),
            time_wait: close.time_wait.map(|side| match side {
                TimeWaitSide::Client => "client",
                TimeWaitSide::Server => "server",
                TimeWaitSide::Both => "both",
            }),
            time_wait_restarts: close.time_wait_restarts,
            fin: PerSide::of(&close.fin, moment),
            fin_retransmissions: PerSide::of(&close.fin_retransmissions, |count| *count),
            fin_acknowledged: PerSide::of(&close.fin_acknowledged, moment),
            reset: close.reset.map(ResetDoc::from),
            resets: PerSide::of(&close.resets, |count| *count),
            reused_by: close.reused_by.map(Moment::from),
        }
    }
}

usual!(CloseDoc: Close);

/// A RST that ended a connection.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Reset")]
struct ResetDoc {
    /// Capture time.
    time: Stamp,
    /// The frame.
    frame: Frame,
    /// The states of both sides just before it.
    states: PerSide<Option<&'static str>>,
    /// Sequence number on the wire.
    seq: u32,
    /// The sequence number relative to what the receiver expected: 0 is exact.
    seq_offset: i64,
    /// Whether it carried ACK.
    has_ack: bool,
    /// Payload bytes of the peer that its sender had not acknowledged.
    unacknowledged_from_peer_bytes: u64,
    /// Silence on the connection before it.
    idle_ns: i64,
}

impl From<Reset> for ResetDoc {
    fn from(reset: Reset) -> Self {
        Self {
            time: Stamp(reset.mark.time),
            frame: reset.mark.frame.into(),
            states: PerSide::of(&reset.states, |state| state.map(State::name)),
            seq: reset.seq.0,
            seq_offset: reset.seq_offset,
            has_ack: reset.has_ack,
            unacknowledged_from_peer_bytes: reset.unacknowledged_from_peer,
            idle_ns: nanos(reset.idle),
        }
    }
}
