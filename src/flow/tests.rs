//! Properties of shards on arbitrary segments: embryos change nothing, and neither do cuts.

use std::net::{IpAddr, Ipv6Addr};

use foldhash::fast::RandomState;
use proptest::prelude::*;

use super::deal::shard_of;
use super::{
    Batch, Ending, Finished, Limits, Lone, LoneKind, Observer, Placed, Portion, SHARDS, Shard,
};
use crate::compat::zeek::ConnState;
use crate::connection::{Begun, ConnectionRecord, State};
use crate::settings::{HostSettings, Settings};
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{
    Endpoint, Extras, Flags, FourTuple, Marks, Segment, Seq, Side, Sides, TunnelLayer,
};

/// One segment of an arbitrary capture.
#[derive(Clone, Debug)]
struct Sent {
    flow: u8,
    forward: bool,
    flags: Flags,
    seq: u32,
    ack: u32,
    payload: u32,
    /// Milliseconds since the segment before; may be negative.
    gap: i64,
    extras: Extras,
}

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);

fn sent() -> impl Strategy<Value = Sent> {
    let fin_ack = Flags(Flags::FIN.0 | Flags::ACK.0);
    let flags = prop_oneof![
        5 => Just(SYN),
        4 => Just(SYN_ACK),
        3 => Just(ACK),
        2 => Just(fin_ack),
        1 => Just(Flags::RST),
        2 => Just(Flags(Flags::RST.0 | Flags::ACK.0)),
        1 => Just(Flags(Flags::SYN.0 | Flags::FIN.0)),
        1 => (0_u16..64).prop_map(Flags),
    ];
    let gap = prop_oneof![
        6 => 0_i64..50,
        3 => prop_oneof![Just(1_000_i64), Just(3_000), Just(7_000), Just(63_000)],
        2 => 20_000_i64..400_000,
        1 => -5_000_i64..0,
    ];
    let numbers = (prop_oneof![Just(100_u32), Just(101), Just(900)], 0_u32..4);
    let options = (any::<bool>(), prop_oneof![Just(None), (0_u8..15).prop_map(Some)]);
    (0_u8..4, any::<bool>(), flags, numbers, gap, options).prop_map(
        |(flow, forward, flags, (seq, ack), gap, (sack_permitted, window_scale))| {
            let mut extras = Extras::NONE;
            extras.syn.sack_permitted = sack_permitted;
            extras.syn.window_scale = window_scale;
            let ack = [101, 100, 901, 102][ack as usize];
            let payload = if flags == Flags::ACK { ack - 100 } else { 0 };
            Sent { flow, forward, flags, seq, ack, payload, gap, extras }
        },
    )
}

/// Flow 2 is IPv6, and flow 3 is flow 0 again inside a tunnel.
fn tuple(flow: u8, forward: bool) -> (FourTuple, Vec<TunnelLayer>) {
    let v6 = |last: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
    let v4 = |last: u8| IpAddr::from([10, 0, 0, last]);
    let (low, high) = match flow {
        2 => (v6(1), v6(2)),
        NEIGHBOURS.. => (v4(1), v4(9)),
        flow => (v4(flow % 3 + 1), v4(9)),
    };
    let port = if flow < NEIGHBOURS { 40_000 } else { neighbour(flow - NEIGHBOURS) };
    let tuple = FourTuple {
        source: Endpoint { address: low, port },
        destination: Endpoint { address: high, port: 443 },
    };
    let layer = TunnelLayer { kind: "gre", low: v4(1), high: v4(2), id: Some(7) };
    let tunnel = if flow == 3 { vec![layer] } else { Vec::new() };
    (if forward { tuple } else { tuple.reversed() }, tunnel)
}

/// Flows from here on share a shard.
const NEIGHBOURS: u8 = 10;

/// The client's port of one of them.
fn neighbour(index: u8) -> u16 {
    let shard = |port: &u16| shard_of([0x0a00_0001, 0x0a00_0009, (u32::from(*port) << 16) + 443]);
    let mut ports = (40_000..).filter(|port| shard(port) == shard(&40_000));
    ports.nth(usize::from(index)).unwrap()
}

/// Connections of one shard that are open, and mostly go on as they should.
fn conversations() -> impl Strategy<Value = Vec<Sent>> {
    let gap = prop_oneof![20 => 0_i64..20, 1 => 500_i64..90_000, 1 => -30_i64..0];
    let step = (0_u8..4, any::<bool>(), 0_u8..60, gap);
    prop::collection::vec(step, 1..150).prop_map(|steps| {
        let mut all = Vec::new();
        let mut sent = |flow: u8, forward, flags, (seq, ack), payload, gap| {
            let (flow, extras) = (NEIGHBOURS + flow, Extras::NONE);
            all.push(Sent { flow, forward, flags, seq, ack, payload, gap, extras });
        };
        for flow in 0..4 {
            sent(flow, true, SYN, (99, 0), 0, 1);
            sent(flow, false, SYN_ACK, (499, 100), 0, 1);
            sent(flow, true, ACK, (100, 500), 0, 1);
        }
        let mut next = [[500_u32, 100]; 4];
        for (flow, forward, kind, gap) in steps {
            let [server, client] = &mut next[usize::from(flow)];
            let (me, peer) = if forward { (client, server) } else { (server, client) };
            let (flags, payload) = match kind {
                0 => (Flags::FIN | Flags::ACK, 0),
                1 => (Flags::RST, 0),
                2 => (SYN, 0),
                3..20 => (ACK, 0),
                _ => (ACK, u32::from(kind)),
            };
            let seq = if kind == 21 { me.wrapping_sub(50) } else { *me };
            sent(flow, forward, flags, (seq, *peer), payload, gap);
            if kind != 21 {
                *me += payload + u32::from(flags.fin());
            }
        }
        all
    })
}

/// The capture in batches of at most `size` frames.
fn batches(capture: &[Sent], size: usize) -> Vec<Batch> {
    let (mut time, mut frames) = (Time::from_nanos(1_000_000_000_000), 0);
    let mut clock = Time::MIN;
    let mut batches = Vec::new();
    for part in capture.chunks(size) {
        let mut batch = Batch::default();
        let strip = batch.strip_mut(0);
        strip.clock = clock;
        strip.frames_before = frames;
        strip.first = FrameId::new(0, frames + 1);
        for (frame, it) in (0..).zip(part) {
            time = time + Span::from_millis(it.gap);
            batch.tick(time);
            let segment = Segment {
                time,
                seq: Seq(it.seq),
                ack: Seq(it.ack),
                flags: it.flags,
                payload_len: it.payload,
                header_len: 40 + u16::from(it.flow) % 3 * 4,
                window: 1_000,
                marks: if it.flags == SYN && it.ack == CUT { Marks::CUT_HEADER } else { Marks(0) },
                ..Segment::default()
            };
            let (tuple, tunnel) = tuple(it.flow, it.forward);
            batch.push(frame, tuple, &tunnel, &segment, &it.extras);
            frames += 1;
        }
        clock = batch.clock_after();
        batches.push(batch);
    }
    batches
}

/// What every shard gives, shard after shard, with sweeps between the batches.
fn finished(capture: &[Sent], size: usize, limits: Limits) -> Vec<Finished> {
    let settings = Settings::default();
    let batches = batches(capture, size);
    let mut all = Vec::new();
    for index in 0..SHARDS {
        let mut shard = Shard::new(index, limits, RandomState::default());
        let from = all.len();
        for batch in &batches {
            shard.take(batch, &settings, &mut |it: Finished| all.push(it));
            shard.expire(batch.clock_after(), &settings, &mut |it: Finished| all.push(it));
            assert!(shard.len() <= limits.embryonic.saturating_add(limits.connections.max(1)));
        }
        let clock = batches.last().map_or(Time::MIN, Batch::clock_after);
        shard.end(clock, &settings, &mut |it: Finished| all.push(it));
        assert!(shard.is_empty());
        assert!(all[from..].is_sorted_by_key(|it| it.at), "time went back in shard {index}");
    }
    all
}

/// Position, connection, sender, window and states of every segment.
type Told = Vec<(u64, u64, Side, u64, Sides<Option<State>>)>;

#[derive(Default)]
struct Listener<const SEGMENTS: bool = true> {
    told: Told,
    records: Vec<ConnectionRecord>,
    is_full: bool,
    is_brief: bool,
    begun: Option<Begun>,
    /// The latest record of a SYN that nothing followed, and how many were made of another's.
    lone: Option<(LoneKind, ConnectionRecord)>,
    retold: usize,
}

impl<const TOLD: bool> Observer for Listener<TOLD> {
    const SEGMENTS: bool = TOLD;

    fn is_brief(&self) -> bool {
        self.is_brief
    }

    fn is_full(&self) -> bool {
        self.is_full
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
        self.begun
    }

    fn lone_syn(&mut self, lone: &Lone<'_>) {
        let kind = lone.kind(self.begun);
        match &mut self.lone {
            Some((latest, record)) if *latest == kind && record.tunnel == lone.tunnel => {
                lone.syn.retell(record);
                self.retold += 1;
            }
            latest => *latest = Some((kind, lone.record(self.begun))),
        }
        let zeek = self.lone.as_ref().map(|(_, record)| record.zeek.conn_state);
        assert_eq!(zeek, Some(ConnState::S0), "as the totals have it");
        self.records.extend(self.lone.iter().map(|(_, record)| record.clone()));
    }

    fn finished(&mut self, finished: Finished) {
        self.records.push(finished.record);
    }

    fn segment(&mut self, placed: &Placed<'_>) {
        let Placed { position, connection, from, window, states, .. } = *placed;
        self.told.push((position, connection, from, window, states));
    }
}

/// What every shard tells of its segments, in the order of the frames, and the records.
fn told(capture: &[Sent], size: usize, limits: Limits) -> (Told, Vec<ConnectionRecord>) {
    let settings = Settings::default();
    let batches = batches(capture, size);
    let mut listener = Listener::<true>::default();
    for index in 0..SHARDS {
        let mut shard = Shard::new(index, limits, RandomState::default());
        let from = listener.told.len();
        for batch in &batches {
            shard.take(batch, &settings, &mut listener);
        }
        assert!(listener.told[from..].is_sorted_by_key(|it| it.0), "out of order in {index}");
        let clock = batches.last().map_or(Time::MIN, Batch::clock_after);
        shard.end(clock, &settings, &mut listener);
    }
    let Listener { mut told, mut records, .. } = listener;
    told.sort_by_key(|it| it.0);
    records.sort_by_key(|record| record.id);
    (told, records)
}

fn records(finished: Vec<Finished>) -> Vec<ConnectionRecord> {
    let mut records: Vec<_> = finished.into_iter().map(|it| it.record).collect();
    records.sort_by_key(|record| record.id);
    records
}

/// What a SYN would acknowledge whose header was cut off.
const CUT: u32 = 7;

/// Attempts that nobody answers, most of them alike, and some made again.
fn attempts() -> impl Strategy<Value = Vec<Sent>> {
    let gap = prop_oneof![9 => 0_i64..90, 1 => 20_000_i64..90_000];
    let options = (0_u8..9, any::<u32>());
    let kind = prop_oneof![20 => Just(SYN), 2 => Just(Flags(0xc2)), 1 => Just(ACK)];
    let attempt = (0_u8..60, 0_u8..9, kind, gap, options);
    let attempts = attempt.prop_map(|(flow, from, flags, gap, (options, seq))| {
        let mut extras = Extras::NONE;
        extras.syn.sack_permitted = options == 0;
        extras.syn.window_scale = (options == 1).then_some(7);
        let (flow, forward) = if flow == 0 { (3, true) } else { (NEIGHBOURS + flow, from > 0) };
        let ack = if options == 2 { CUT } else { 0 };
        Sent { flow, forward, flags, seq, ack, payload: 0, gap, extras }
    });
    prop::collection::vec(attempts, 1..90)
}

/// The records of shards whose observer takes SYNs that nothing followed in brief, and how many of those
/// were made of another's; or, if `is_brief` is false, the records as they are built.
fn in_brief(
    capture: &[Sent],
    begun: Option<Begun>,
    is_brief: bool,
) -> (Vec<ConnectionRecord>, usize) {
    let mut settings = Settings::default();
    let narrow = HostSettings { syn_retries: 2, ..settings.default.clone() };
    settings.hosts.push((IpAddr::from([10, 0, 0, 9]), 32, narrow));
    let mut observer = Listener::<false> { is_brief, begun, ..Listener::default() };
    let batches = batches(capture, 40);
    for index in 0..SHARDS {
        let mut shard =
            Shard::new(index, Limits { embryonic: 40, ..ROOMY }, RandomState::default());
        for batch in &batches {
            shard.take(batch, &settings, &mut observer);
            shard.expire(batch.clock_after(), &settings, &mut observer);
        }
        let clock = batches.last().map_or(Time::MIN, Batch::clock_after);
        shard.end(clock, &settings, &mut observer);
    }
    observer.records.sort_by_key(|record| record.id);
    (observer.records, observer.retold)
}

/// The records of shards whose observer has room for one step at a time.
fn stopping(capture: &[Sent], size: usize, limits: Limits) -> Vec<ConnectionRecord> {
    let settings = Settings::default();
    let mut observer = Listener::<false> { is_full: true, ..Listener::default() };
    let batches = batches(capture, size);
    for index in 0..SHARDS {
        let mut shard = Shard::new(index, limits, RandomState::default());
        let mut reached = (Time::MIN, 0);
        for batch in &batches {
            let mut portion = Portion::of(0..batch.waiting(index));
            while let Some(next) = shard.take_some(batch, &mut portion, &settings, &mut observer) {
                assert!(next >= reached, "it went back from {reached:?} to {next:?}");
                reached = next;
            }
            let clock = batch.clock_after();
            while shard.expire_some(clock, &settings, &mut observer).is_some() {}
        }
        let clock = batches.last().map_or(Time::MIN, Batch::clock_after);
        shard.end(clock, &settings, &mut observer);
    }
    observer.records.sort_by_key(|record| record.id);
    observer.records
}

const ROOMY: Limits = Limits {
    embryonic: usize::MAX,
    connections: usize::MAX,
    over: usize::MAX,
    awake: usize::MAX,
    closed_awake: usize::MAX,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_connection_out_of_an_embryo_is_the_one_built_at_once(
        capture in prop::collection::vec(sent(), 1..60),
    ) {
        let at_once = Limits { embryonic: 0, ..ROOMY };
        let embryonic = records(finished(&capture, 1_000, ROOMY));
        prop_assert_eq!(embryonic, records(finished(&capture, 1_000, at_once)));
    }

    #[test]
    fn every_segment_is_told_once_and_as_if_there_were_no_embryos(
        capture in prop::collection::vec(sent(), 1..60),
        size in 1_usize..20,
    ) {
        let (all, kept) = told(&capture, size, ROOMY);
        let positions: Vec<u64> = all.iter().map(|it| it.0).collect();
        prop_assert_eq!(positions, (1..=capture.len() as u64).collect::<Vec<_>>());
        prop_assert!(all.iter().all(|it| kept.iter().any(|record| record.id == it.1)));
        let (at_once, _) = told(&capture, 1_000, Limits { embryonic: 0, ..ROOMY });
        prop_assert_eq!(all, at_once);
        prop_assert_eq!(kept, records(finished(&capture, 1_000, ROOMY)));
    }

    #[test]
    fn batches_and_sweeps_leave_no_trace(
        capture in prop::collection::vec(sent(), 1..60),
        size in 1_usize..20,
        embryonic in 0_usize..3,
        connections in 0_usize..3,
    ) {
        for limits in [ROOMY, Limits { embryonic, connections, over: 1, awake: 0, closed_awake: 0 }] {
            let whole = finished(&capture, 1_000, limits);
            prop_assert_eq!(whole, finished(&capture, size, limits));
        }
    }

    #[test]
    fn stopping_for_want_of_room_leaves_no_trace(
        capture in prop_oneof![prop::collection::vec(sent(), 1..60), conversations()],
        size in 1_usize..100,
        connections in 1_usize..6,
    ) {
        for limits in [ROOMY, Limits { embryonic: 2, connections, over: 1, awake: 1, closed_awake: 0 }] {
            let at_once = records(finished(&capture, 1_000, limits));
            prop_assert_eq!(at_once, stopping(&capture, size, limits));
        }
    }

    #[test]
    fn taking_the_segments_of_a_flow_in_a_row_leaves_no_trace(
        capture in conversations(),
        size in 2_usize..100,
        connections in 2_usize..6,
    ) {
        for limits in [ROOMY, Limits { embryonic: 2, connections, over: 1, awake: 1, closed_awake: 0 }] {
            let one_by_one = finished(&capture, 1, limits);
            prop_assert_eq!(&one_by_one, &finished(&capture, size, limits));
            prop_assert_eq!(one_by_one, finished(&capture, 1_000, limits));
        }
    }

    #[test]
    fn the_record_of_a_lone_syn_is_made_of_that_of_another_as_it_would_be_built(
        capture in attempts(),
        begun in prop::option::of((999_000_i64..1_010_000, any::<bool>())),
    ) {
        let begun = begun.map(|(millis, in_traffic)| {
            Begun { at: Time::from_nanos(millis * 1_000_000), in_traffic }
        });
        let (made, _) = in_brief(&capture, begun, true);
        prop_assert_eq!(made, in_brief(&capture, begun, false).0);
    }

    #[test]
    fn every_segment_is_in_exactly_one_connection(
        capture in prop::collection::vec(sent(), 1..60),
        connections in 1_usize..3,
    ) {
        for limits in [ROOMY, Limits { embryonic: 1, connections, over: 1, awake: 0, closed_awake: 0 }] {
            let records = records(finished(&capture, 7, limits));
            let sides = records.iter().flat_map(|it| [&it.traffic.client, &it.traffic.server]);
            let segments: u64 = sides.map(|side| side.segments).sum();
            prop_assert!(records.windows(2).all(|two| two[0].id < two[1].id));
            prop_assert!(segments <= capture.len() as u64 + 2 * records.len() as u64);
            prop_assert!(segments + repeated_at_once(&capture) >= capture.len() as u64);
        }
    }
}

#[test]
fn most_records_of_a_flood_are_made_of_another() {
    let sent = |flow| {
        let (flow, extras) = (NEIGHBOURS + flow, Extras::NONE);
        Sent { flow, forward: true, flags: SYN, seq: 7, ack: 0, payload: 0, gap: 1, extras }
    };
    let capture: Vec<_> = (0..60).map(sent).collect();
    let (records, retold) = in_brief(&capture, None, true);
    assert_eq!((records.len(), retold), (60, 59));
}

/// A handshake on flow 0 and what comes behind it, ten milliseconds apart.
fn opened_then(segments: &[(bool, Flags, u32, u32)]) -> Vec<Sent> {
    let handshake = [(true, SYN, 100, 0), (false, SYN_ACK, 500, 101), (true, ACK, 101, 501)];
    conversation(&[&handshake, segments].concat())
}

/// Segments of flow 0, ten milliseconds apart.
fn conversation(segments: &[(bool, Flags, u32, u32)]) -> Vec<Sent> {
    let sent = |&(forward, flags, seq, ack): &(bool, Flags, u32, u32)| {
        let extras = Extras::NONE;
        Sent { flow: 0, forward, flags, seq, ack, payload: 0, gap: 10, extras }
    };
    segments.iter().map(sent).collect()
}

#[test]
fn a_syn_soon_after_a_reset_is_told_of_as_of_the_connection_that_it_begins() {
    let capture = opened_then(&[
        (true, Flags::RST | ACK, 101, 501),
        (true, SYN, 900, 0),
        (false, SYN_ACK, 700, 901),
        (true, ACK, 901, 701),
    ]);
    let (told, records) = told(&capture, 1_000, ROOMY);
    let ids: Vec<u64> = told.iter().map(|it| it.1).collect();
    assert_eq!(ids, [1, 1, 1, 1, 5, 5, 5]);
    assert_eq!(told[4].4.client, Some(State::SynSent));
    assert_eq!(records.iter().map(|it| it.traffic.client.segments).collect::<Vec<_>>(), [3, 2]);
}

#[test]
fn each_of_several_syns_that_an_open_connection_saw_is_in_a_connection() {
    let capture = conversation(&[
        (true, SYN, 100, 0),
        (false, SYN_ACK, 500, 101),
        (true, SYN, 900, 0),
        (true, ACK, 101, 501),
        (false, ACK, 501, 101),
        (true, SYN, 70_000, 0),
    ]);
    let (told, records) = told(&capture, 1_000, ROOMY);
    let ids: Vec<u64> = told.iter().map(|it| it.1).collect();
    assert_eq!(ids, [1, 1, 3, 1, 1, 1]);
    assert_eq!(records.iter().map(|it| it.id).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn a_closed_connection_stays_awake_where_few_are_to_be_expected() {
    let fin = Flags::FIN | ACK;
    let capture =
        opened_then(&[(true, fin, 101, 501), (false, fin, 501, 102), (true, ACK, 102, 502)]);
    // Eight may be awake in each shard; so many times as much as was read is to come.
    let awake = |times: Option<u64>| -> usize {
        let limits = Limits { awake: 8, closed_awake: 0, ..ROOMY };
        let settings = Settings::default();
        let asleep_or_awake = |index| {
            let mut shard = Shard::new(index, limits, RandomState::default());
            for batch in batches(&capture, 1_000) {
                shard.take(&batch, &settings, &mut |_: Finished| ());
                shard.foresee(10, times.map(|times| 10 * times));
                let later = batch.clock_after() + Span::from_secs(2);
                shard.expire(later, &settings, &mut |_: Finished| ());
            }
            shard.live.awake()
        };
        (0..SHARDS).map(asleep_or_awake).sum()
    };
    assert_eq!([Some(1), Some(4), Some(5), Some(6), None].map(awake), [1, 1, 1, 0, 0]);
}

#[test]
fn an_observer_that_stays_full_holds_up_neither_expiry_nor_the_end() {
    let (settings, limits) = (Settings::default(), Limits { over: 0, ..ROOMY });
    let mut capture = Vec::new();
    for flow in NEIGHBOURS..NEIGHBOURS + 4 {
        let closed = opened_then(&[(true, Flags::RST | ACK, 101, 501)]);
        capture.extend(closed.into_iter().map(|it| Sent { flow, ..it }));
        capture.push(syn(flow + 4, 10));
    }
    let mut observer = Listener::<true> { is_full: true, ..Listener::default() };
    let batch = batches(&capture, 1_000).remove(0);
    for index in 0..SHARDS {
        let mut shard = Shard::new(index, limits, RandomState::default());
        shard.take(&batch, &settings, &mut observer);
        let later = batch.clock_after() + Span::from_secs(100);
        let (end, mut turns) = ((later, 0), 0);
        let mut reached = (Time::MIN, 0);
        while reached < end {
            let before = reached;
            reached = shard.expire_some(later, &settings, &mut observer).unwrap_or(end);
            assert!(reached > before, "no further than {reached:?}");
            turns += 1;
        }
        let is_theirs = !shard.is_empty();
        assert!(turns > 1 || !is_theirs, "it stops where the observer is full");
        let mut left = shard.len();
        while shard.end_some(later, &settings, &mut observer).is_some() {
            assert!(shard.len() < left, "none of {left} left");
            left = shard.len();
        }
        assert!(shard.is_empty());
    }
    assert_eq!(observer.records.len(), 8);
}

#[test]
fn a_handshake_that_took_long_rings_no_timer_in_the_past() {
    let late = |it: Sent, gap| Sent { gap, ..it };
    let segments = [(true, SYN, 100, 0), (false, SYN_ACK, 500, 101), (true, Flags::RST, 101, 0)];
    let [syn, answer, reset] = <[Sent; 3]>::try_from(conversation(&segments)).unwrap();
    let batch = batches(&[syn, late(answer, 30_000), late(reset, 30_000)], 1_000).remove(0);
    let mut timers = 0;
    for index in 0..SHARDS {
        let mut shard = Shard::new(index, ROOMY, RandomState::default());
        shard.take(&batch, &Settings::default(), &mut |_: Finished| ());
        let next = shard.next_timer();
        assert!(next.is_none_or(|next| next >= batch.clock_after()), "{next:?}");
        timers += usize::from(next.is_some());
    }
    assert_eq!(timers, 1);
}

/// How many segments come at the time of an earlier one of their flow and direction: these may
/// be one frame, captured twice.
fn repeated_at_once(capture: &[Sent]) -> u64 {
    let mut time = 0;
    let mut times = Vec::new();
    let mut repeated = 0;
    for sent in capture {
        time += sent.gap;
        repeated += u64::from(times.contains(&(sent.flow, sent.forward, time)));
        times.push((sent.flow, sent.forward, time));
    }
    repeated
}

/// A SYN of a connection of its own.
fn syn(flow: u8, gap: i64) -> Sent {
    let (flags, extras) = (SYN, Extras::NONE);
    Sent { flow, forward: true, flags, seq: 100, ack: 0, payload: 0, gap, extras }
}

#[test]
fn the_same_addresses_inside_a_tunnel_are_another_flow() {
    let all = records(finished(&[syn(0, 0), syn(3, 1)], 10, ROOMY));
    let tunnels: Vec<usize> = all.iter().map(|record| record.tunnel.len()).collect();
    assert_eq!(tunnels, [0, 1]);
}

#[test]
fn an_evicted_embryo_says_so_and_comes_out_as_a_record() {
    // Flows 0 and 3 share a shard, since tunnels do not count there.
    let limits = Limits { embryonic: 1, connections: 1, over: 1, awake: 0, closed_awake: 0 };
    let all = finished(&[syn(0, 0), syn(3, 1)], 10, limits);
    let endings: Vec<_> = all.iter().map(|it| (it.record.id, it.ending)).collect();
    assert_eq!(endings, [(1, Ending::Evicted), (2, Ending::CaptureEnd)]);
}

#[test]
fn a_lone_segment_and_a_refusal_take_little_room_until_another_one_comes() {
    let lone = |flags| conversation(&[(true, flags, 101, 501)]);
    let answered = conversation(&[(true, ACK, 101, 501), (false, ACK, 501, 101)]);
    let held = |capture: &[Sent]| {
        let batch = batches(capture, 10).remove(0);
        let mut held = (0, 0);
        for index in 0..SHARDS {
            let mut shard = Shard::new(index, ROOMY, RandomState::default());
            shard.take(&batch, &Settings::default(), &mut |_: Finished| ());
            held = (held.0 + shard.embryos.len(), held.1 + shard.live.len());
        }
        held
    };
    for flags in [ACK, SYN_ACK, Flags::RST, Flags::FIN | ACK, Flags(0)] {
        assert_eq!(held(&lone(flags)), (1, 0), "{flags:?}");
    }
    assert_eq!(held(&answered), (0, 1));
    let refused = [(true, SYN, 100, 0), (false, Flags::RST | ACK, 0, 101)];
    assert_eq!(held(&conversation(&refused)), (1, 0));
    let dialled_again = [refused[0], refused[1], refused[0]];
    assert_eq!(held(&conversation(&dialled_again)), (0, 1));
}

#[test]
fn what_was_refused_a_while_ago_is_not_let_go_of_early() {
    let limits = Limits { embryonic: 1, ..ROOMY };
    let refused = conversation(&[(true, SYN, 100, 0), (false, Flags::RST | ACK, 0, 101)]);
    let ending = |gap| {
        let mut capture = refused.clone();
        // Flow 3 shares its shard.
        capture.push(syn(3, gap));
        finished(&capture, 10, limits).first().map(|it| (it.record.id, it.ending))
    };
    assert_eq!(ending(1_000), Some((1, Ending::Evicted)));
    assert_eq!(ending(4_000), Some((1, Ending::Expired)));
}

#[test]
fn a_syn_retried_after_minutes_stays_in_its_connection() {
    let all = records(finished(&[syn(0, 0), syn(0, 90_000), syn(0, 200_000)], 1, ROOMY));
    assert_eq!(all.iter().map(|it| it.handshake.syn_retransmissions).collect::<Vec<_>>(), [2]);
}
