//! How long an endpoint stayed in a state while nothing moved.
//!
//! What several detectors of half-closed connections share. A state in which data still flows is not
//! stuck, however long it lasts.

use crate::certainty::Certainty;
use crate::connection::{Cause, ConnectionRecord, State};
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::Side;

/// A stay in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stay {
    pub(super) side: Side,
    /// When the state was entered.
    pub(super) from: Time,
    /// When it was left, or last known.
    pub(super) until: Time,
    /// The part of it after the last data of either side.
    pub(super) idle: Span,
    /// Whether the record's end cut it off.
    pub(super) ongoing: bool,
    /// Why it was left.
    pub(super) left_by: Option<Cause>,
    pub(super) frame: FrameId,
    pub(super) certainty: Certainty,
}

/// The longest idle stay of `side` in `state`. A side that was never captured has none: nobody saw
/// what it sent.
pub(super) fn longest(record: &ConnectionRecord, side: Side, state: State) -> Option<Stay> {
    if record.traffic.of(side).segments == 0 {
        return None;
    }
    let entries = record.states.of(side).iter().enumerate();
    let stays = entries.filter(|(_, entry)| entry.state == state).filter_map(|(index, entry)| {
        let (from, until) = record.interval(side, index)?;
        let left_by = record.states.of(side).get(index + 1).map(|next| next.cause);
        let end = until.unwrap_or(record.known_until);
        let data = |side| record.traffic.of(side).last_data.map(|mark| mark.time);
        let last_data = data(Side::Client).max(data(Side::Server)).filter(|time| *time < end);
        let idle_from = last_data.map_or(from, |time| time.max(from));
        Some(Stay {
            side,
            from,
            until: end,
            idle: end.since(idle_from),
            ongoing: until.is_none(),
            left_by,
            frame: entry.frame.unwrap_or(record.last_frame),
            certainty: entry.certainty,
        })
    });
    stays.max_by_key(|stay| stay.idle)
}
