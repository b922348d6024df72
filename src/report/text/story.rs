//! How a connection fared that a finding names: what was sent again and why, and the worst stall.
//!
//! Told with `-v`, below the finding. Knows the record, and nothing of how causes are found.

use std::fmt::Write as _;

use super::human::{counted, share, span};
use crate::analysis::Analysis;
use crate::connection::{ConnectionRecord, RepeatCause, Stall, Traffic};
use crate::finding::Finding;
use crate::tcp::Side;

/// Connections of a finding that are told about.
const TOLD: usize = 2;

/// The stories of the first connections that `finding` names, where they have one.
pub(super) fn stories(finding: &Finding, analysis: &Analysis) -> Vec<String> {
    let record = |id: &u64| {
        let at = analysis.connections.binary_search_by_key(id, |judged| judged.record.id).ok()?;
        analysis.connections.get(at).map(|judged| &judged.record)
    };
    let named = finding.connections.iter().take(TOLD).filter_map(record);
    named.flat_map(|record| Side::BOTH.map(|side| story(record, side))).flatten().collect()
}

/// `server sent 12 of 340 segments again (3.5 %): 7 fast, 4 rto; worst stall 1.2 s from frame 120 to
/// 133 (rto), 34 % into the connection`; none where nothing was sent again and nothing stalled.
fn story(record: &ConnectionRecord, side: Side) -> Option<String> {
    let traffic = record.traffic.of(side);
    let again = u64::from(traffic.repeats.retransmissions());
    if again == 0 && traffic.stall.is_none() {
        return None;
    }
    let mut text = format!("{} {}", record.endpoint(side), side.name());
    if again > 0 {
        let (all, part) = (counted(traffic.segments, "segment"), share(again, traffic.segments));
        let _ = write!(text, " sent {again} of {all} again ({part}): {}", causes(traffic));
    }
    if let Some(stall) = traffic.stall {
        let semicolon = if again > 0 { ";" } else { "" };
        let _ = write!(text, "{semicolon} worst stall {}", place(record, stall));
    }
    Some(text)
}

/// `7 fast, 4 rto`: the most frequent first.
fn causes(traffic: &Traffic) -> String {
    let mut causes: Vec<_> = RepeatCause::ALL
        .iter()
        .filter(|cause| cause.is_retransmission())
        .map(|cause| (traffic.repeats.of(*cause), cause.name()))
        .filter(|(count, _)| *count > 0)
        .collect();
    causes.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let words: Vec<_> = causes.iter().map(|(count, name)| format!("{count} {name}")).collect();
    words.join(", ")
}

/// `1.2 s from frame 120 to 133 (rto), 34 % into the connection`.
fn place(record: &ConnectionRecord, stall: Stall) -> String {
    let from = stall.from.frame.number();
    let until = match stall.until {
        Some(mark) => format!("to {}", mark.frame.number()),
        None => "on, without an end".to_owned(),
    };
    let life = record.last_time.since(record.first_time).nanos().max(0).unsigned_abs();
    let before = stall.from.time.since(record.first_time).nanos().max(0).unsigned_abs();
    let at = share(before.min(life), life);
    let (length, cause) = (span(stall.length), stall.cause.name());
    format!("{length} from frame {from} {until} ({cause}), {at} into the connection")
}
