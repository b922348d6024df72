//! Tests of the totals as a whole: exactness, and that order leaves no trace.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::samples::{at, graceful, half_open, open, refused, unanswered};
use super::*;
use crate::compat::zeek::ConnState;
use crate::connection::{CloseOutcome, State};
use crate::stamp::{Span, Time};
use crate::tcp::TunnelLayer;

/// Intervals with a few equal ends, some cut off at 5,000.
fn intervals(longest: usize) -> impl Strategy<Value = Vec<(i64, i64, bool)>> {
    let interval = (0_i64..5_000, 0_i64..700, any::<bool>());
    prop::collection::vec(interval, 0..longest)
        .prop_map(|all| all.into_iter().map(|(from, len, cut)| (from, from + len, cut)).collect())
}

fn series(of: &[(i64, i64, bool)]) -> Concurrency {
    let mut series = Concurrency::default();
    for (from, until, cut) in of {
        let (from, until) = (Time::from_nanos(*from), Time::from_nanos(*until));
        let until = (!cut).then_some(until);
        series.add_interval(from, until, Time::from_nanos(6_000));
    }
    series
}

/// How many intervals hold `time`, counted one by one.
fn counted(of: &[(i64, i64, bool)], time: i64) -> u64 {
    let holds = |(from, until, cut): &&(i64, i64, bool)| {
        *from <= time && if *cut { time <= 6_000 } else { time < *until }
    };
    of.iter().filter(holds).count() as u64
}

proptest! {
    #[test]
    fn concurrency_is_what_counting_one_by_one_gives(all in intervals(60)) {
        let series = series(&all);
        for time in 0..=6_001 {
            prop_assert_eq!(series.at(Time::from_nanos(time)), counted(&all, time), "at {}", time);
        }
        let highest = (0..=6_000).map(|time| counted(&all, time)).max().unwrap_or(0);
        let first = (0..=6_000).find(|time| counted(&all, *time) == highest);
        let expected = (highest > 0).then(|| Peak {
            count: highest,
            at: Time::from_nanos(first.unwrap_or(0)),
        });
        prop_assert_eq!(series.peak(), expected);
    }

    #[test]
    fn the_order_of_additions_and_merges_leaves_no_trace(
        all in intervals(9_000),
        cuts in (0_usize..9_000, 0_usize..9_000),
        seed in any::<u64>(),
    ) {
        let whole = series(&all);
        let mut shuffled = all.clone();
        shuffled.sort_by_key(|interval| {
            (interval.0.cast_unsigned() ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        let (a, b) = (cuts.0.min(cuts.1).min(all.len()), cuts.0.max(cuts.1).min(all.len()));
        let mut merged = series(&shuffled[b..]);
        let mut second = series(&shuffled[a..b]);
        second.merge(&series(&shuffled[..a]));
        merged.merge(&second);
        prop_assert_eq!(merged.resolution(), settled(&whole).resolution());
        prop_assert_eq!(merged.points(), whole.points());
        prop_assert_eq!(merged.peak(), whole.peak());
    }

    #[test]
    fn a_coarse_series_is_exact_at_the_ends_of_its_ticks(all in intervals(3_000)) {
        let mut series = Concurrency::default();
        let scaled: Vec<_> = all
            .iter()
            .map(|(from, until, cut)| (from * 1_000_003, until * 1_000_003 + 17, *cut))
            .collect();
        for (from, until, _) in &scaled {
            series.add(Time::from_nanos(*from), Time::from_nanos(*until));
        }
        for (time, value) in series.points() {
            let holds = |i: &&(i64, i64, bool)| i.0 <= time.nanos() && time.nanos() < i.1;
            prop_assert_eq!(value, scaled.iter().filter(holds).count() as u64);
        }
    }

    #[test]
    fn summaries_do_not_depend_on_the_order_of_records(
        kinds in prop::collection::vec(0_u8..5, 1..60),
        split in 0_usize..60,
    ) {
        let records: Vec<_> = kinds.iter().zip(0_i64..).map(|(kind, n)| {
            let (id, from) = (n.cast_unsigned(), n * 37);
            match kind {
                0 => open(id, from, 90_000),
                1 => graceful(id, from, 90_000),
                2 => half_open(id, from, &[1_000, 2_000], 90_000),
                3 => unanswered(id, from, &[1_000], 90_000),
                _ => refused(id, from),
            }
        }).collect();
        let mut whole = Summary::default();
        for record in &records {
            whole.add(record);
        }
        let split = split.min(records.len());
        let mut other = Summary::default();
        records[split..].iter().rev().chain(&records[..split]).for_each(|record| other.add(record));
        prop_assert_eq!(text(&whole), text(&other));
    }
}

/// A series after merging with nothing, which settles it.
fn settled(series: &Concurrency) -> Concurrency {
    let mut settled = series.clone();
    settled.merge(&Concurrency::default());
    settled
}

/// Everything that a report could read.
fn text(summary: &Summary) -> String {
    let mut text = format!("{:?}", summary.totals);
    for (endpoint, listener) in summary.listeners() {
        let _ = write!(text, "{endpoint:?} {:?} {}", listener.totals, listener.sources().count());
        let _ = write!(text, "{:?} {:?}", listener.half_open.points(), listener.activity.ticks());
        text += &states(&listener.concurrency);
    }
    for (address, host) in summary.hosts() {
        let _ = write!(text, "{address:?} {:?}", host.as_role);
        text += &states(&host.concurrency);
    }
    for (key, pair) in summary.pairs() {
        let _ = write!(text, "{key:?} {:?} {:?}", pair.ports, pair.ports_held.points());
    }
    text
}

fn states(series: &StateSeries) -> String {
    let points = |state| series.of(state).map(Concurrency::points);
    State::ALL.map(|state| format!("{:?}", points(state))).concat()
}

#[test]
fn a_listener_knows_its_attempts_and_peaks() {
    let mut summary = Summary::default();
    (0..10).for_each(|n| summary.add(&graceful(n, n.cast_signed(), 90_000)));
    summary.add(&unanswered(10, 0, &[1_000], 90_000));
    let (endpoint, listener) = summary.listeners()[0];
    assert_eq!(endpoint.at.to_string(), "10.0.0.2:443");
    assert_eq!((listener.totals.attempts, listener.totals.completed), (11, 10));
    assert_eq!((listener.answered, listener.sources().count()), (10, 1));
    assert_eq!(listener.totals.with_close(CloseOutcome::Graceful), 10);
    assert_eq!(listener.totals.handshake.mean(), Some(Span::from_millis(1)));
    // Each is established on the server from 1 to 10 ms after its start, and starts 1 ms later.
    let peak = listener.concurrency.peak(State::Established).unwrap();
    assert_eq!((peak.count, peak.at), (9, at(9)));
    let client = summary.host(Within::no_tunnel("10.0.0.1".parse().unwrap())).unwrap();
    assert_eq!(client.concurrency.peak(State::TimeWait).unwrap().count, 10);
    assert!(client.as_role.server.is_none());
}

#[test]
fn what_is_open_at_the_end_counts_up_to_the_end() {
    let mut summary = Summary::default();
    (0..3).for_each(|n| summary.add(&open(n, n.cast_signed() * 10, 500)));
    let listener = summary.listeners()[0].1;
    let open = listener.concurrency.of(State::Established).unwrap();
    assert_eq!((open.at_end(), open.at(at(500)), open.at(at(501))), (3, 3, 0));
    assert_eq!(open.timeline(at(0), at(500), 5), [3, 3, 3, 3, 3]);
    assert_eq!(open.timeline(at(-20), at(22), 6), [0, 0, 0, 1, 2, 3]);
    assert_eq!(open.timeline(at(15), at(21), 3), [2, 2, 3]);
    assert_eq!(open.timeline(at(498), at(504), 3), [3, 3, 0]);
    // Ends that fall between two nanoseconds, and the whole of time.
    let nanos = |offset| at(11) + Span::from_nanos(offset);
    assert_eq!(open.timeline(nanos(-5), nanos(2), 7), [1, 1, 1, 1, 1, 2, 2]);
    assert_eq!(open.timeline(nanos(-2), nanos(1), 7), [1, 1, 1, 1, 1, 1, 2]);
    assert_eq!(open.timeline(Time::MIN, Time::MAX, 2), [0, 3]);
    assert_eq!(open.samples(at(0), at(30), 3), [0, 1, 2, 3]);
    let above = open.above(2).unwrap();
    assert_eq!((above.first, above.total.nanos()), (at(11), 489_000_001));
}

#[test]
fn tenants_with_the_same_addresses_have_totals_of_their_own() {
    let mut trays = [Tray::default(), Tray::default()];
    let tunnel = |id| {
        let outer = |last: u8| IpAddr::from([192, 0, 2, last]);
        vec![TunnelLayer { kind: "vxlan", low: outer(1), high: outer(2), id: Some(id) }]
    };
    for n in 0..40 {
        let mut record = graceful(n, n.cast_signed(), 90_000);
        record.tunnel = if n < 10 { Vec::new() } else { tunnel(1 + n % 2) };
        trays[usize::try_from(n / 2 % 2).unwrap()].add((at(0), n), &record);
    }
    let mut whole = Summary::default();
    whole.enter(&mut trays.each_mut(), None, &OneHand);
    assert!(trays.iter().all(|tray| tray.overlays.is_empty()), "nothing names them any more");
    whole.settle(&OneHand);
    let mut found: Vec<_> = whole
        .listeners()
        .into_iter()
        .map(|(key, it)| (whole.overlay(key.overlay).place(key.at), it.totals.connections))
        .collect();
    found.sort();
    let expected = [("10.0.0.2:443", 10), ("10.0.0.2:443 in vxlan 1", 15)];
    assert_eq!(found[..2], expected.map(|(place, count)| (place.to_owned(), count)));
    assert_eq!(found[2], ("10.0.0.2:443 in vxlan 2".to_owned(), 15));
    let connections = |entries: Vec<u64>| (entries.len(), entries.iter().sum::<u64>());
    assert_eq!(connections(whole.hosts().iter().map(|it| it.1.connections()).collect()), (6, 80));
    assert_eq!(connections(whole.pairs().iter().map(|it| it.1.connections).collect()), (3, 40));
}

#[test]
fn networks_that_no_key_names_any_more_are_forgotten() {
    let mut whole = Summary::of_run(8);
    let outer = IpAddr::from([192, 0, 2, 1]);
    for n in 0..2_000 {
        let mut record = graceful(n, 0, 90_000);
        let busy = n % 2 == 0;
        let id = Some(if busy { 7 } else { 1_000 + n });
        record.tunnel = vec![TunnelLayer { kind: "geneve", low: outer, high: outer, id }];
        whole.add(&record);
    }
    assert!(whole.overlays.len() <= 2 * 8 * 8, "{}", whole.overlays.len());
    whole.settle(&OneHand);
    for (key, _) in whole.listeners() {
        assert!(!whole.overlay(key.overlay).is_none(), "{key:?}");
    }
}

#[test]
fn forged_sources_are_counted_but_make_no_hosts() {
    let mut summary = Summary::default();
    for n in 0..100 {
        let mut record = half_open(n, 0, &[1_000], 90_000);
        record.client.address = [198, 18, 0, u8::try_from(n).unwrap()].into();
        summary.add(&record);
    }
    assert_eq!(summary.hosts().len(), 1);
    let listener = summary.listeners()[0].1;
    assert_eq!((listener.sources().count(), listener.lone_syns), (100, 100));
    assert_eq!(listener.half_open.peak().unwrap().count, 100);
    assert!(summary.pairs().is_empty());
}

#[test]
fn a_pair_holds_its_ports_until_time_wait_ends() {
    let mut summary = Summary::default();
    (0..5).for_each(|n| summary.add(&graceful(n, n.cast_signed() * 100, 90_000)));
    let (key, pair) = summary.pairs()[0];
    assert_eq!((key.at.client.to_string().as_str(), pair.connections), ("10.0.0.1", 5));
    assert_eq!(pair.ports, Some((32_768, 32_772)));
    assert_eq!(pair.ports_held.peak().unwrap().count, 5);
    assert_eq!((pair.ports_held.at(at(60_011)), pair.ports_held.at(at(60_012))), (5, 4));
    assert!(pair.time_wait.server.is_empty());
}

#[test]
fn a_scan_of_all_ports_keeps_its_bound_and_loses_no_busy_listener() {
    let mut trays: Vec<_> = (0..4).map(|_| Tray::default()).collect();
    let mut whole = Summary::default();
    for n in 0..65_536_u64 {
        let mut probe = refused(n, 0);
        probe.server.port = u16::try_from(n).unwrap();
        trays[usize::try_from(n % 4).unwrap()].add((at(0), n), &probe);
        if n % 400 == 0 {
            trays[0].add((at(0), n), &graceful(n, 0, 90_000));
        }
        if n % 2_000 == 0 {
            whole.enter(&mut trays.iter_mut().collect::<Vec<_>>(), None, &OneHand);
        }
    }
    whole.enter(&mut trays.iter_mut().collect::<Vec<_>>(), None, &OneHand);
    whole.settle(&OneHand);
    assert!(whole.listeners().len() <= Summary::MAX_LISTENERS);
    let busy = whole.listener(whole.listeners().iter().find(|l| l.0.at.port == 443).unwrap().0);
    assert!(busy.unwrap().totals.completed >= 160, "{:?}", busy.unwrap().totals.completed);
    let kept: u64 = whole.listeners().iter().map(|(_, l)| l.totals.connections).sum();
    assert_eq!(kept + whole.listeners_evicted().connections, whole.totals.connections);
}

/// Connections of a few kinds between `clients` addresses and one server.
fn mixed(count: u64, clients: u64) -> Vec<ConnectionRecord> {
    let record = |n: u64| {
        let from = n.cast_signed() * 7;
        let mut record = match n % 5 {
            0 => open(n, from, 900_000),
            1 => half_open(n, from, &[1_000, 2_000], 900_000),
            2 => unanswered(n, from, &[1_000], 900_000),
            3 => refused(n, from),
            _ => graceful(n, from, 900_000),
        };
        record.client.address =
            std::net::Ipv4Addr::from(0x0a01_0000 + u32::try_from(n % clients).unwrap()).into();
        record
    };
    (0..count).map(record).collect()
}

/// What `records` add up to that come to four shards in turn, of which everything that ended before the
/// last one is entered after every so `many`.
fn entered(records: &[ConnectionRecord], many: usize, limit: usize) -> Summary {
    let mut trays: Vec<_> = (0..4).map(|_| Tray::default()).collect();
    let mut whole = Summary::of_run(limit);
    for (record, n) in records.iter().zip(0_usize..) {
        // Of four that end at the same time the last one comes first.
        let ended = at(i64::try_from(n / 4).unwrap());
        trays[3 - n % 4].add((ended, record.id), record);
        if n % many == many - 1 {
            whole.enter(&mut trays.iter_mut().collect::<Vec<_>>(), Some((ended, 0)), &OneHand);
        }
    }
    whole.enter(&mut trays.iter_mut().collect::<Vec<_>>(), None, &OneHand);
    whole.settle(&OneHand);
    whole
}

#[test]
fn what_is_packed_first_adds_up_to_the_same() {
    for clients in [1, 3, 700] {
        let whole = entered(&mixed(3_000, clients), 100, Summary::MAX_LISTENERS);
        let mut plain = Summary::default();
        mixed(3_000, clients).iter().rev().for_each(|record| plain.add(record));
        assert_eq!(text(&plain), text(&whole), "{clients} clients");
    }
}

#[test]
fn however_often_shards_hand_over_what_is_kept_and_how_fine_is_the_same() {
    let mut records = of_busy_servers(24_000, 8);
    for (record, n) in records.iter_mut().zip(0..) {
        // Some listeners come again and again, others once; and more sources than a sketch holds.
        record.server.port = if n % 7 == 0 { 443 } else { n % 4_000 };
        record.client.address =
            [10, 1, (n % 251).to_be_bytes()[1], (n % 240).to_be_bytes()[1]].into();
    }
    let ends = [1, 50, 777, usize::MAX].map(|many| entered(&records, many, 256));
    let all = |whole: &Summary| {
        let of = |it: &Listener| format!("{:?} {:?}", it.frequent, it.concurrency);
        whole.listeners().iter().map(|(_, it)| of(it)).collect::<String>() + &text(whole)
    };
    assert!(ends[0].listeners_evicted().entries > 1_000, "{:?}", ends[0].listeners_evicted());
    let coarse = |it: &Listener| it.half_open.resolution() > Span::from_nanos(1);
    assert!(ends[0].listeners().iter().any(|(_, it)| coarse(it)), "nothing is coarse");
    assert!(ends.iter().all(|end| all(end) == all(&ends[0])));
}

#[test]
fn lone_syns_of_a_flood_add_up_to_what_their_records_do() {
    let record = |n: u64| {
        let mut record = unanswered(n, n.cast_signed() * 5, &[], 900_000);
        record.client.address = std::net::Ipv4Addr::from(u32::try_from(n).unwrap()).into();
        record.server.port = if n % 700 < 650 { 443 } else { u16::try_from(n % 700).unwrap() };
        record.states.server.clear();
        record.zeek.conn_state = ConnState::S0;
        record
    };
    let records: Vec<_> = (0..9_000).map(record).collect();
    let whole = entered(&records, 300, Summary::MAX_LISTENERS);
    let mut plain = Summary::default();
    for record in &records {
        plain.add(record);
    }
    assert_eq!(text(&plain), text(&whole));
    let mut tray = Tray::default();
    for record in &records {
        tray.add((at(0), record.id), record);
    }
    assert!(tray.waiting() < 9_000 / 10, "most are added up before: {}", tray.waiting());
}

/// The same, of many servers that are all busy.
fn of_busy_servers(count: u64, servers: u64) -> Vec<ConnectionRecord> {
    let mut records = mixed(count, 50);
    for (record, n) in records.iter_mut().zip(0..) {
        let address = 0x0a02_0000 + u32::try_from(n % servers).unwrap();
        record.server.address = std::net::Ipv4Addr::from(address).into();
    }
    records
}

#[test]
fn many_long_series_widen_their_ticks() {
    let mut whole = entered(&of_busy_servers(12_000, 60), 500, 256);
    let amounts: usize = whole
        .listeners
        .parts
        .iter_mut()
        .flat_map(|part| part.table.values_mut())
        .map(|place| place.extent())
        .sum();
    let room = whole.room();
    assert!(amounts <= 16 * room.amounts, "{amounts}");
    let listeners = whole.listeners();
    let connections: u64 = listeners.iter().map(|(_, it)| it.totals.connections).sum();
    assert_eq!((listeners.len(), connections), (60, 12_000));
    let coarse = |it: &Listener| it.half_open.resolution() > Span::from_nanos(1);
    assert!(listeners.iter().any(|(_, it)| coarse(it)));
}
