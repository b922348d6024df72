//! Once connections are open, their segments cost no allocation: neither to be decoded nor to be
//! taken in. What is counted is what this thread allocates, stage by stage.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::ops::Range;

use foldhash::fast::RandomState;
use tcpautopsy::capture::{Context, Record, Window};
use tcpautopsy::decode::{self, Decoded, Outcome, decode, express_v4};
use tcpautopsy::flow::{Batch, Finished, Limits, SHARDS, Shard};
use tcpautopsy::settings::Settings;
use tcpautopsy::stamp::FrameId;
use tcpautopsy::testkit::{Shape, generate};

const PACKETS: u64 = 100_000;

/// Decodes a frame into the batch, as the pipeline does.
fn push(batch: &mut Batch, decoded: &mut Decoded, frame: u32, record: &Record<'_>) {
    let Record { link, data, wire_len, time, .. } = *record;
    batch.tick(time);
    let (settings, mut extras) = (decode::Settings::default(), None);
    if let Some(mut found) = express_v4(link, data, wire_len, &settings, &mut extras) {
        found.segment.time = time;
        let (source, destination) =
            ((found.source, found.ports.0), (found.destination, found.ports.1));
        batch.push_narrow(frame, source, destination, &found.segment, extras.as_ref());
    } else if decode(link, data, wire_len, &settings, decoded) == Outcome::Segment {
        decoded.segment.time = time;
        batch.push(frame, decoded.tuple, &decoded.tunnel, &decoded.segment, &decoded.extras);
    }
}

/// Fills the batch with the frames of the capture at `range`.
fn fill(batch: &mut Batch, capture: &[u8], range: Range<u64>) {
    let (mut context, start) = Context::open(capture).unwrap();
    let window = Window { bytes: capture, base: 0, at_end: true };
    let mut decoded = Decoded::default();
    let (clock, mut number) = (batch.clock_after(), 0);
    batch.clear();
    let strip = batch.strip_mut(0);
    (strip.first, strip.frames_before) = (FrameId::new(0, range.start + 1), range.start);
    strip.clock = clock;
    context.walk(window, start..capture.len(), &mut |record| {
        if range.contains(&number) {
            let frame = u32::try_from(number - range.start).unwrap();
            push(batch, &mut decoded, frame, record);
        }
        number += 1;
    });
}

/// How many allocations the second half of a capture costs when the first one has been taken in:
/// those of decoding, and those of the shards.
fn allocations_behind_the_first_half(shape: &str) -> (u64, u64) {
    let mut capture = Vec::new();
    generate(Shape::named(shape).unwrap(), PACKETS, 1, &mut capture).unwrap();
    let (settings, limits) = (Settings::default(), Limits::default().per_shard());
    let new = |index| Shard::new(index, limits, RandomState::default());
    let mut shards: Vec<Shard> = (0..SHARDS).map(new).collect();
    let mut batch = Batch::default();
    let take = |shards: &mut [Shard], batch: &Batch| {
        for shard in shards {
            shard.take(batch, &settings, &mut |_: Finished| {});
        }
    };
    fill(&mut batch, &capture, 0..PACKETS / 2);
    take(&mut shards, &batch);
    let half = PACKETS / 2..PACKETS;
    let decoding = allocation_counter::measure(|| fill(&mut batch, &capture, half));
    let taking = allocation_counter::measure(|| take(&mut shards, &batch));
    assert!(batch.segments() > PACKETS / 2 - PACKETS / 20);
    (decoding.count_total, taking.count_total)
}

#[test]
fn segments_of_open_connections_allocate_nothing() {
    for shape in ["elephant", "few_large"] {
        let (decoding, taking) = allocations_behind_the_first_half(shape);
        // Buffers may grow a last time; trouble of a connection has a memory of its own.
        assert!(decoding < PACKETS / 500, "{shape}: {decoding} allocations to decode");
        assert!(taking < PACKETS / 500, "{shape}: {taking} allocations to take in");
    }
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!(counted.count_total, 1);
}
