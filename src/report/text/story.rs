//! How a connection fared that a finding names: the tunnel that it is in, what was sent again and
//! why, and the worst stall.
//!
//! Told with `-v`, below the finding. Knows the record, and nothing of how causes are found.

use std::fmt::Write as _;

use super::human::{counted, share, span};
use crate::analysis::Analysis;
use crate::connection::{ConnectionRecord, RepeatCause, Stall, Traffic};
use crate::finding::Finding;
use crate::tcp::{Side, TunnelLayer};

/// Connections of a finding that are told about.
const TOLD: usize = 2;

/// The stories of the first connections that `finding` names, where they have one, each behind the
/// word for what it tells.
pub(super) fn stories(finding: &Finding, analysis: &Analysis) -> Vec<(&'static str, String)> {
    let record = |id: &u64| {
        let at = analysis.connections.binary_search_by_key(id, |judged| judged.record.id).ok()?;
        analysis.connections.get(at).map(|judged| &judged.record)
    };
    let named = finding.connections.iter().take(TOLD).filter_map(record);
    let told = named.flat_map(|record| {
        let [client, server] = Side::BOTH.map(|side| story(record, side));
        let again = |story| ("again", story);
        [tunnel(record).map(|text| ("where", text)), client.map(again), server.map(again)]
    });
    told.flatten().collect()
}

/// `10.0.0.1:40000 to 10.0.0.2:80 in vxlan 5 between 192.0.2.1 and 192.0.2.2`: the addresses alone do
/// not tell which connection it is.
fn tunnel(record: &ConnectionRecord) -> Option<String> {
    let words = |layers: &[TunnelLayer]| match layers {
        [] => "no tunnel".to_owned(),
        layers => layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", in it "),
    };
    let other = record.other_tunnel.as_ref();
    if record.tunnel.is_empty() && other.is_none() {
        return None;
    }
    let back = other.map(|other| format!("; the other direction in {}", words(other)));
    let (client, server) = (record.client, record.server);
    Some(format!("{client} to {server} in {}{}", words(&record.tunnel), back.unwrap_or_default()))
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::summary::samples::graceful;

    #[test]
    fn a_connection_in_a_tunnel_tells_which_one_and_how_its_other_direction_travels() {
        let end = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let layer = |kind, id| TunnelLayer { kind, low: end(1), high: end(2), id };
        let mut record = graceful(1, 0, 90_000);
        assert_eq!(tunnel(&record), None);
        record.tunnel = vec![layer("gre", None), layer("vxlan", Some(5))];
        let both = format!("{} to {}", record.client, record.server);
        let told = "in gre between 192.0.2.1 and 192.0.2.2, in it vxlan 5 between 192.0.2.1 and \
                    192.0.2.2";
        assert_eq!(tunnel(&record), Some(format!("{both} {told}")));
        record.other_tunnel = Some(Vec::new());
        let told = format!("{both} {told}; the other direction in no tunnel");
        assert_eq!(tunnel(&record), Some(told));
    }
}
