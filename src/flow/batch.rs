//! The segments of a range of a capture, sorted by shard.
//!
//! Filled while the range is decoded, when the number of its first frame and the capture clock
//! before it are not yet known: both are set afterwards, and a segment's clock is worked out from
//! them. Keeps its memory when it is cleared.

use std::net::IpAddr;

use super::identity::{Flow, narrow};
use super::options::{pack, unpack};
use super::packed::{Kind, Packed};
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{Endpoint, Extras, FourTuple, IcmpError, Orientation, Segment, TunnelLayer};

/// How many shards flows are dealt to. Fixed: part of the order in which records come out.
pub const SHARDS: usize = 64;

/// Segments of one range of a capture, in the order of their frames within each shard's bucket, or
/// of their times ([`Batch::put_in_order`]).
#[derive(Debug)]
pub struct Batch {
    /// The first frame of the range, whether or not it holds a segment.
    pub first: FrameId,
    /// What the number of a frame in its file is added to, less that of the file's frames before
    /// the range, to name the frame in the run: frames of the run before the range, where inputs
    /// follow one another.
    pub frames_before: u64,
    /// The capture clock before the range: the highest time of the range's source, which is what
    /// sources are merged by.
    pub clock: Time,
    /// Which inputs the range's input overlaps with in time: they share this number.
    pub group: u32,
    /// From here on sightings of segments are remembered, to be found again in other inputs of
    /// the group.
    pub watched_from: Time,
    buckets: Vec<Bucket>,
    quotes: Vec<IcmpError>,
    wide: Vec<WideFlow>,
    layers: Vec<TunnelLayer>,
    late: Vec<Late>,
    latest: Time,
    segments: u64,
    is_ordered: bool,
}

/// A place in the order in which segments of several sources are merged: by time, then by source.
///
/// The time is the highest one that the source has had up to there, so that a source's own order
/// is kept, unless its segments were put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Horizon {
    /// The source's clock.
    pub time: Time,
    /// Index of the input.
    pub source: u32,
}

impl Horizon {
    /// Behind everything.
    pub const END: Self = Self { time: Time::MAX, source: u32::MAX };

    /// Where input `source` is when its clock shows `time`.
    #[must_use]
    pub const fn new(time: Time, source: u32) -> Self {
        Self { time, source }
    }
}

/// The segments for one shard, and the options that do not fit into them: side by side, so that the
/// shard reads both in order.
#[derive(Clone, Debug, Default)]
struct Bucket {
    segments: Vec<Packed>,
    extras: Vec<Extras>,
}

impl Bucket {
    /// Empties the bucket. It keeps its memory, but for what only a burst had needed: there are
    /// thousands of buckets, and each of them sees one some day.
    fn clear(&mut self) {
        let needed = self.segments.len();
        if self.segments.capacity() > 4 * needed + 32 {
            self.segments.shrink_to(2 * needed);
        }
        self.segments.clear();
        self.extras.clear();
    }
}

/// A flow that does not fit into a [`Packed`]: IPv6, or inside a tunnel.
#[derive(Clone, Copy, Debug)]
struct WideFlow {
    tuple: FourTuple,
    first_layer: u32,
    layers: u32,
}

/// A frame whose time lies before that of a frame ahead of it in the batch.
#[derive(Clone, Copy, Debug)]
struct Late {
    frame: u32,
    clock: Time,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            first: FrameId::default(),
            frames_before: 0,
            clock: Time::MIN,
            group: 0,
            watched_from: Time::MAX,
            buckets: vec![Bucket::default(); SHARDS],
            quotes: Vec::new(),
            wide: Vec::new(),
            layers: Vec::new(),
            late: Vec::new(),
            latest: Time::MIN,
            segments: 0,
            is_ordered: false,
        }
    }
}

impl Batch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.buckets.iter_mut().for_each(Bucket::clear);
        self.quotes.clear();
        self.wide.clear();
        self.layers.clear();
        self.late.clear();
        (self.latest, self.clock, self.segments) = (Time::MIN, Time::MIN, 0);
        (self.group, self.watched_from, self.is_ordered) = (0, Time::MAX, false);
    }

    /// Moves the clock within the batch on by a frame, whatever the frame holds; to be called for
    /// every frame, before its segment is pushed. Returns the highest time in the batch so far.
    pub fn tick(&mut self, time: Time) -> Time {
        self.latest = self.latest.max(time);
        self.latest
    }

    /// The highest time in the batch so far.
    #[must_use]
    pub const fn latest(&self) -> Time {
        self.latest
    }

    /// The capture clock behind the batch.
    #[must_use]
    pub fn clock_after(&self) -> Time {
        self.clock.max(self.latest)
    }

    /// Segments in the batch.
    #[must_use]
    pub const fn segments(&self) -> u64 {
        self.segments
    }

    /// How many segments wait for the shard.
    #[must_use]
    pub fn waiting(&self, shard: usize) -> usize {
        self.buckets.get(shard).map_or(0, |bucket| bucket.segments.len())
    }

    /// Appends the segment of the `frame`-th frame (from 0), the last one ticked.
    pub fn push(
        &mut self,
        frame: u32,
        tuple: FourTuple,
        tunnel: &[TunnelLayer],
        segment: &Segment,
        extras: &Extras,
    ) {
        let (shard, packed) = self.pack(frame, tuple, tunnel, segment);
        self.append(shard, packed, Some(extras).filter(|extras| !extras.is_none()));
        self.segments += 1;
    }

    /// Appends a segment between two IPv4 addresses outside tunnels, as [`Batch::push`] would.
    /// `source` and `destination` are address and port.
    #[inline]
    pub fn push_narrow(
        &mut self,
        frame: u32,
        source: (u32, u16),
        destination: (u32, u16),
        segment: &Segment,
        extras: Option<&Extras>,
    ) {
        let forward = source <= destination;
        let (low, high) = if forward { (source, destination) } else { (destination, source) };
        let kind = if forward { Kind::FORWARD } else { Kind::default() };
        let flow = [low.0, high.0, u32::from(low.1) << 16 | u32::from(high.1)];
        self.append(shard_of(flow), Packed::new(segment, frame, flow, kind), extras);
        self.segments += 1;
    }

    /// Who sent a SYN-ACK, and when, in the order of the frames.
    pub(super) fn syn_acks(&self) -> Vec<(Endpoint, Time)> {
        let all = self.buckets.iter().flat_map(|bucket| &bucket.segments);
        let mut found: Vec<&Packed> = all.filter(|packed| packed.is_syn_ack()).collect();
        found.sort_unstable_by_key(|packed| packed.frame);
        let sender = |packed: &Packed| {
            let tuple = self.flow_of(packed).tuple();
            let forward = packed.kind.contains(Kind::FORWARD);
            if forward { tuple.source } else { tuple.destination }
        };
        found.into_iter().map(|packed| (sender(packed), packed.time)).collect()
    }

    /// Appends the ICMP error in the `frame`-th frame, the last one ticked, for the flow of the
    /// segment that it quotes.
    pub fn push_quote(
        &mut self,
        frame: u32,
        tuple: FourTuple,
        tunnel: &[TunnelLayer],
        error: &IcmpError,
    ) {
        let segment = Segment { time: error.time, ..Segment::default() };
        let (shard, mut packed) = self.pack(frame, tuple, tunnel, &segment);
        packed.kind = packed.kind.with(Kind::QUOTE);
        packed.extras = index_of(self.quotes.len());
        self.quotes.push(*error);
        self.append(shard, packed, None);
    }

    /// Puts a segment that became whole after decoding, out of fragments, in its frame's place.
    /// `latest` is what [`Batch::tick`] returned for the frame.
    pub fn insert(
        &mut self,
        (frame, latest): (u32, Time),
        tuple: FourTuple,
        tunnel: &[TunnelLayer],
        segment: &Segment,
        extras: &Extras,
    ) {
        let (shard, mut packed) = self.pack(frame, tuple, tunnel, segment);
        if segment.time < latest {
            packed.kind = packed.kind.with(Kind::LATE);
            let at = self.late.partition_point(|late| late.frame < frame);
            self.late.insert(at, Late { frame, clock: latest });
        }
        if let Some(bucket) = self.buckets.get_mut(shard) {
            let at = bucket.segments.partition_point(|other| other.frame <= frame);
            bucket.put(&mut packed, Some(extras).filter(|extras| !extras.is_none()));
            bucket.segments.insert(at, packed);
        }
        self.segments += 1;
    }

    /// Puts segments that are behind the clock by at most `slack` where their times say. Those
    /// further behind stay where they are: there the clock itself was changed. Nothing can be pushed
    /// or inserted any more.
    pub fn put_in_order(&mut self, slack: Span) {
        let after = self.clock_after();
        let mut buckets = std::mem::take(&mut self.buckets);
        let mut late = Vec::new();
        for packed in buckets.iter_mut().flat_map(|bucket| &mut bucket.segments) {
            let clock = self.clock_at(packed);
            let stays = clock.since(packed.time) > slack;
            packed.kind = packed.kind.without(Kind::LATE);
            if stays {
                packed.kind = packed.kind.with(Kind::LATE);
                late.push(Late { frame: packed.frame, clock });
            }
        }
        late.sort_unstable_by_key(|late| late.frame);
        (self.late, self.clock, self.latest, self.is_ordered) = (late, Time::MIN, after, true);
        for bucket in &mut buckets {
            // Stable: frames of the same time keep their order.
            bucket.segments.sort_by_key(|packed| self.clock_at(packed));
        }
        self.buckets = buckets;
        let firsts = (0..SHARDS).filter_map(|shard| self.bucket(shard).first());
        self.clock = firsts.map(|first| self.clock_at(first)).min().unwrap_or(after);
    }

    /// The segments were put in the order of their times: those of the next batch of the source may
    /// come between them.
    #[must_use]
    pub const fn is_ordered(&self) -> bool {
        self.is_ordered
    }

    /// How many of the shard's segments stand before `horizon` in the order of the merge.
    #[must_use]
    pub fn before(&self, shard: usize, horizon: Horizon) -> usize {
        self.bucket(shard).partition_point(|packed| self.place(packed) < horizon)
    }

    /// The same, with those that stand there.
    #[must_use]
    pub fn up_to(&self, shard: usize, horizon: Horizon) -> usize {
        self.bucket(shard).partition_point(|packed| self.place(packed) <= horizon)
    }

    fn place(&self, packed: &Packed) -> Horizon {
        Horizon::new(self.clock_at(packed), self.first.file())
    }

    /// Where the shard's segment at `index` stands in the order of the merge.
    #[must_use]
    pub fn place_of(&self, shard: usize, index: usize) -> Option<Horizon> {
        self.bucket(shard).get(index).map(|packed| self.place(packed))
    }

    /// The segments for a shard.
    pub(super) fn bucket(&self, shard: usize) -> &[Packed] {
        self.buckets.get(shard).map_or(&[], |bucket| &bucket.segments)
    }

    /// The capture clock when the segment was captured.
    pub(super) fn clock_at(&self, packed: &Packed) -> Time {
        let mut within = packed.time;
        if packed.kind.contains(Kind::LATE) {
            let at = self.late.partition_point(|late| late.frame < packed.frame);
            within = self.late.get(at).map_or(within, |late| late.clock);
        }
        self.clock.max(within)
    }

    /// The rarer options of a segment of the shard; `place` is where they may be unpacked to.
    #[inline]
    pub(super) fn extras_of<'a>(
        &'a self,
        shard: usize,
        packed: &Packed,
        place: &'a mut Extras,
    ) -> &'a Extras {
        const NONE: &Extras = &Extras::NONE;
        if let Some(bits) = packed.options() {
            *place = unpack(bits);
            return place;
        }
        if packed.extras == Packed::NO_EXTRAS {
            return NONE;
        }
        let bucket = self.buckets.get(shard);
        bucket.and_then(|bucket| bucket.extras.get(packed.extras as usize)).unwrap_or(NONE)
    }

    /// The ICMP error that stands in a segment's place.
    pub(super) fn quote_of(&self, packed: &Packed) -> Option<IcmpError> {
        let error = self.quotes.get(packed.extras as usize)?;
        let frame = self.first.plus(u64::from(packed.frame));
        packed.kind.contains(Kind::QUOTE).then_some(IcmpError { frame, ..*error })
    }

    /// The segment's flow.
    pub(super) fn flow_of(&self, packed: &Packed) -> Flow<'_> {
        let [index, ..] = packed.flow;
        let wide =
            if packed.kind.contains(Kind::WIDE) { self.wide.get(index as usize) } else { None };
        wide.map_or(Flow::Narrow(packed.flow), |wide| {
            let from = wide.first_layer as usize;
            let layers = self.layers.get(from..from + wide.layers as usize);
            Flow::Wide(wide.tuple, layers.unwrap_or_default())
        })
    }

    #[inline]
    fn append(&mut self, shard: usize, mut packed: Packed, extras: Option<&Extras>) {
        if packed.time < self.latest {
            packed.kind = packed.kind.with(Kind::LATE);
            self.late.push(Late { frame: packed.frame, clock: self.latest });
        }
        if let Some(bucket) = self.buckets.get_mut(shard) {
            bucket.put(&mut packed, extras);
            bucket.segments.push(packed);
        }
    }

    fn pack(
        &mut self,
        frame: u32,
        tuple: FourTuple,
        tunnel: &[TunnelLayer],
        segment: &Segment,
    ) -> (usize, Packed) {
        let (tuple, orientation) = tuple.canonical();
        let direction = match orientation {
            Orientation::Forward => Kind::FORWARD,
            Orientation::Backward => Kind::default(),
        };
        let narrow = if tunnel.is_empty() { narrow(tuple) } else { None };
        if let Some(flow) = narrow {
            (shard_of(flow), Packed::new(segment, frame, flow, direction))
        } else {
            let flow = [self.widen(tuple, tunnel), 0, 0];
            let shard = shard_of(fold(tuple));
            (shard, Packed::new(segment, frame, flow, direction.with(Kind::WIDE)))
        }
    }

    /// Index of a wide flow in the list; only the last entry is tried for being the same.
    fn widen(&mut self, tuple: FourTuple, tunnel: &[TunnelLayer]) -> u32 {
        let last = self.wide.last().copied();
        let same_tunnel = last.filter(|last| {
            let from = last.first_layer as usize;
            self.layers.get(from..from + last.layers as usize) == Some(tunnel)
        });
        if same_tunnel.is_some_and(|last| last.tuple == tuple) {
            return index_of(self.wide.len() - 1);
        }
        let first_layer = same_tunnel.map_or(index_of(self.layers.len()), |last| last.first_layer);
        if same_tunnel.is_none() {
            self.layers.extend_from_slice(tunnel);
        }
        self.wide.push(WideFlow { tuple, first_layer, layers: index_of(tunnel.len()) });
        index_of(self.wide.len() - 1)
    }
}

impl Bucket {
    /// Stores a segment's options: in the segment itself where that has room, as a SYN has.
    #[inline]
    fn put(&mut self, packed: &mut Packed, extras: Option<&Extras>) {
        let Some(extras) = extras else { return };
        if let Some(bits) = pack(extras).filter(|_| packed.echoes_nothing()) {
            packed.put_options(bits);
        } else {
            packed.extras = index_of(self.extras.len());
            self.extras.push(*extras);
        }
    }
}

/// Any canonical tuple in three words, to choose its shard by; tunnels do not count.
#[expect(clippy::cast_possible_truncation, reason = "halves of a hash")]
fn fold(tuple: FourTuple) -> [u32; 3] {
    let word = |endpoint: Endpoint| match endpoint.address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let half = (bits >> 64) as u64 ^ (bits as u64).wrapping_mul(MULTIPLIER);
            (half ^ half >> 32) as u32
        }
    };
    let ports = u32::from(tuple.source.port) << 16 | u32::from(tuple.destination.port);
    [word(tuple.source), word(tuple.destination), ports]
}

/// 2^64 divided by the golden ratio, odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The shard of a canonical flow. Fixed and unkeyed: a hostile capture can only serialise us.
#[expect(clippy::cast_possible_truncation, reason = "fewer bits than any usize has")]
fn shard_of([low, high, ports]: [u32; 3]) -> usize {
    const { assert!(SHARDS.is_power_of_two()) }
    let addresses = u64::from(low) << 32 | u64::from(high);
    let mixed = (addresses.wrapping_mul(MULTIPLIER) ^ u64::from(ports)).wrapping_mul(MULTIPLIER);
    (mixed >> (64 - SHARDS.trailing_zeros())) as usize
}

/// A batch has fewer segments than a `u32` counts, since its range has fewer bytes.
fn index_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(Packed::NO_EXTRAS - 1)
}
