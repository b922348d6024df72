//! The segments of a range of a capture, or of several, sorted by shard.
//!
//! Filled while the range is decoded, when the number of its first frame and the capture clock
//! before it are not yet known: both are set afterwards in its [`Strip`], and a segment's clock is
//! worked out from them. Keeps its memory when it is cleared.

use std::ops::Range;

use super::answers::Answer;
use super::bucket::{Bucket, index_of};
use super::deal::{SHARDS, fold, mixed, shard_of, shard_of_mixed};
use super::horizon::Horizon;
use super::identity::{Flow, narrow};
use super::options::{pack, unpack_to};
use super::packed::{Kind, Packed};
use super::strip::{Strip, Strips};
use super::wide::WideFlows;
use crate::stamp::{Span, Time};
use crate::tcp::{Extras, FourTuple, IcmpError, Orientation, Segment, TunnelLayer};

/// Segments of one range of a capture, or of several, in the order of their frames within each
/// shard's bucket, or of their times ([`Batch::put_in_order`]).
#[derive(Debug)]
pub struct Batch {
    /// The ranges but the last one.
    before: Vec<Strip>,
    /// The range that is being filled.
    last: Strip,
    buckets: Vec<Bucket>,
    quotes: Vec<IcmpError>,
    wide: WideFlows,
    late: Vec<Late>,
    answers: Vec<Answer>,
    is_ordered: bool,
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
            before: Vec::new(),
            last: Strip::default(),
            buckets: vec![Bucket::default(); SHARDS],
            quotes: Vec::new(),
            wide: WideFlows::default(),
            late: Vec::new(),
            answers: Vec::new(),
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
        self.late.clear();
        self.answers.clear();
        self.before.clear();
        (self.last, self.is_ordered) = (Strip::default(), false);
    }

    /// Gives back the memory that it does not need, since it will wait.
    pub fn fit(&mut self) {
        self.buckets.iter_mut().for_each(Bucket::fit);
    }

    /// Begins the range of another input; frames count from 0 again.
    pub fn begin(&mut self) {
        let late = self.late.len();
        self.last.late.end = late;
        let next = Strip { late: late..usize::MAX, ..Strip::default() };
        self.before.push(std::mem::replace(&mut self.last, next));
        for bucket in &mut self.buckets {
            bucket.begins.push(index_of(bucket.segments.len()));
        }
    }

    /// The ranges that it holds: one at least.
    #[must_use]
    pub fn strips(&self) -> impl ExactSizeIterator<Item = &Strip> + Clone {
        let count = self.before.len() + 1;
        (0..count).map(|index| self.strip(index))
    }

    /// The range with this index; the last one beyond that.
    #[inline]
    #[must_use]
    pub fn strip(&self, index: usize) -> &Strip {
        self.before.get(index).unwrap_or(&self.last)
    }

    /// The same, to set what could not be known before.
    pub fn strip_mut(&mut self, index: usize) -> &mut Strip {
        self.before.get_mut(index).unwrap_or(&mut self.last)
    }

    /// Moves the clock within the range on by a frame, whatever the frame holds; to be called for
    /// every frame, before its segment is pushed. Returns the highest time in the range so far.
    pub fn tick(&mut self, time: Time) -> Time {
        self.last.latest = self.last.latest.max(time);
        self.last.latest
    }

    /// The highest time in the last range so far.
    #[must_use]
    pub const fn latest(&self) -> Time {
        self.last.latest
    }

    /// The capture clock behind the last range.
    #[must_use]
    pub fn clock_after(&self) -> Time {
        self.last.clock_after()
    }

    /// Some segment was inside a tunnel.
    pub(super) const fn has_tunnels(&self) -> bool {
        self.wide.has_tunnels()
    }

    /// Segments in the batch.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.strips().map(Strip::segments).sum()
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
        self.last.segments += 1;
    }

    /// Appends a segment between two IPv4 addresses outside tunnels, as [`Batch::push`] would.
    /// `source` and `destination` are address and port.
    #[expect(clippy::inline_always, reason = "measured: part of the loop over a capture's records")]
    #[inline(always)]
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
        let mut kind = if forward { Kind::FORWARD } else { Kind::default() };
        let flow = [low.0, high.0, u32::from(low.1) << 16 | u32::from(high.1)];
        let shard = shard_of(flow);
        self.last.segments += 1;
        let options = extras.map_or(Some(0), pack).filter(|_| segment.timestamps.echo == 0);
        if (extras.is_some() && options.is_none()) || segment.flags.syn() && segment.flags.ack() {
            return self.append(shard, Packed::new(segment, frame, flow, kind), extras);
        }
        let latest = self.last.latest;
        if segment.time < latest {
            kind = kind.with(Kind::LATE);
            self.late.push(Late { frame, clock: latest });
        }
        // Perf: put together in registers and written once. By way of the stack, where 16 bytes are
        // read that were written in smaller pieces, the core waits until all earlier ones have left
        // it, those to the last segment's bucket too, which is seldom in its own cache.
        if let Some(bucket) = self.buckets.get_mut(shard) {
            let packed = Packed::new(segment, frame, flow, kind);
            match options.filter(|_| extras.is_some()) {
                Some(bits) => bucket.segments.push(packed.with_options(bits)),
                None => bucket.segments.push(packed),
            }
            bucket.prefetch();
        }
    }

    /// Who sent a SYN-ACK, and when, in the order of the frames.
    pub(super) fn answers(&self) -> &[Answer] {
        &self.answers
    }

    #[cold]
    fn note_answer(&mut self, strip: usize, packed: &Packed) {
        let listener = self.tuple_of(packed).source;
        let place = (strip, packed.frame);
        let at = self.answers.partition_point(|answer| answer.place <= place);
        self.answers.insert(at, Answer { place, listener, time: packed.time });
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
        self.last.quotes += 1;
        self.append(shard, packed, None);
    }

    /// Puts a segment that became whole after decoding, out of fragments, in its frame's place in
    /// the range with this index. `latest` is what [`Batch::tick`] returned for the frame.
    pub fn insert(
        &mut self,
        (index, frame, latest): (usize, u32, Time),
        tuple: FourTuple,
        tunnel: &[TunnelLayer],
        segment: &Segment,
        extras: &Extras,
    ) {
        let (shard, mut packed) = self.pack(frame, tuple, tunnel, segment);
        if segment.time < latest {
            packed.kind = packed.kind.with(Kind::LATE);
            let strip = self.strip(index);
            let at = strip.late.start + self.late_of(strip).partition_point(|it| it.frame < frame);
            self.late.insert(at, Late { frame, clock: latest });
            for later in index..=self.before.len() {
                let late = &mut self.strip_mut(later).late;
                late.start += usize::from(later > index);
                late.end = late.end.saturating_add(1);
            }
        }
        if packed.is_syn_ack() {
            self.note_answer(index, &packed);
        }
        if let Some(bucket) = self.buckets.get_mut(shard) {
            let of_strip = bucket.range_of(index);
            let segments = bucket.segments.get(of_strip.clone()).unwrap_or_default();
            let at = of_strip.start + segments.partition_point(|other| other.frame <= frame);
            bucket.put(&mut packed, Some(extras).filter(|extras| !extras.is_none()));
            bucket.segments.insert(at, packed);
            bucket.begins.iter_mut().skip(index).for_each(|begin| *begin += 1);
        }
        self.strip_mut(index).segments += 1;
    }

    /// Puts segments that are behind the clock by at most `slack` where their times say. Those
    /// further behind stay where they are: there the clock itself was changed. Nothing can be pushed
    /// or inserted any more. The batch must have one range.
    pub fn put_in_order(&mut self, slack: Span) {
        debug_assert!(self.before.is_empty(), "ranges of several inputs have orders of their own");
        let after = self.clock_after();
        let mut buckets = std::mem::take(&mut self.buckets);
        let mut late = Vec::new();
        for packed in buckets.iter_mut().flat_map(|bucket| &mut bucket.segments) {
            let clock = self.clock_at(&self.last, packed);
            let stays = clock.since(packed.time) > slack;
            packed.kind = packed.kind.without(Kind::LATE);
            if stays {
                packed.kind = packed.kind.with(Kind::LATE);
                late.push(Late { frame: packed.frame, clock });
            }
        }
        late.sort_unstable_by_key(|late| late.frame);
        (self.late, self.is_ordered) = (late, true);
        (self.last.clock, self.last.latest) = (Time::MIN, after);
        for bucket in &mut buckets {
            // Stable: frames of the same time keep their order.
            bucket.segments.sort_by_key(|packed| self.clock_at(&self.last, packed));
        }
        self.buckets = buckets;
        let firsts = (0..SHARDS).filter_map(|shard| self.bucket(shard).first());
        let clocks = firsts.map(|first| self.clock_at(&self.last, first));
        self.last.clock = clocks.min().unwrap_or(after);
    }

    /// The segments were put in the order of their times: those of the next batch of the source may
    /// come between them.
    #[must_use]
    pub const fn is_ordered(&self) -> bool {
        self.is_ordered
    }

    /// Where the shard's segments of a range lie.
    #[must_use]
    pub fn range_of(&self, shard: usize, strip: usize) -> Range<usize> {
        self.buckets.get(shard).map_or(0..0, |bucket| bucket.range_of(strip))
    }

    /// Up to where the shard's segments of a range stand before `horizon` in the order of the merge.
    #[must_use]
    pub fn before(&self, shard: usize, strip: usize, horizon: Horizon) -> usize {
        self.until(shard, strip, |place| place < horizon)
    }

    /// The same, with those that stand there.
    #[must_use]
    pub fn up_to(&self, shard: usize, strip: usize, horizon: Horizon) -> usize {
        self.until(shard, strip, |place| place <= horizon)
    }

    fn until(&self, shard: usize, index: usize, is_in: impl Fn(Horizon) -> bool) -> usize {
        let (range, strip) = (self.range_of(shard, index), self.strip(index));
        let segments = self.bucket(shard).get(range.clone()).unwrap_or_default();
        range.start + segments.partition_point(|packed| is_in(self.place(strip, packed)))
    }

    pub(super) fn place(&self, strip: &Strip, packed: &Packed) -> Horizon {
        Horizon::new(self.clock_at(strip, packed), strip.first.file())
    }

    /// Where the shard's segment at `place`, which belongs to this range, stands in the order of the
    /// merge.
    #[must_use]
    pub fn place_of(&self, shard: usize, strip: usize, place: usize) -> Option<Horizon> {
        self.bucket(shard).get(place).map(|packed| self.place(self.strip(strip), packed))
    }

    /// Goes along a shard's bucket.
    pub(super) fn strips_of(&self, shard: usize) -> Option<Strips<'_>> {
        self.buckets.get(shard).map(|bucket| Strips::new(self, bucket))
    }

    /// The segments for a shard.
    pub(super) fn bucket(&self, shard: usize) -> &[Packed] {
        self.buckets.get(shard).map_or(&[], |bucket| &bucket.segments)
    }

    /// The segments for all shards, each with its range.
    pub(super) fn of_all_shards(&self) -> impl Iterator<Item = (&Strip, &Packed)> {
        let of_strip = move |(index, strip)| {
            (0..SHARDS).flat_map(move |shard| {
                let segments = self.bucket(shard).get(self.range_of(shard, index));
                segments.unwrap_or_default().iter().map(move |packed| (strip, packed))
            })
        };
        self.strips().enumerate().flat_map(of_strip)
    }

    /// The capture clock when the segment, which belongs to this range, was captured.
    #[inline]
    pub(super) fn clock_at(&self, strip: &Strip, packed: &Packed) -> Time {
        let mut within = packed.time;
        if packed.kind.contains(Kind::LATE) {
            let late = self.late_of(strip);
            let at = late.partition_point(|late| late.frame < packed.frame);
            within = late.get(at).map_or(within, |late| late.clock);
        }
        strip.clock.max(within)
    }

    /// The rarer options of a segment of the shard; `place` is where they may be unpacked to, and has
    /// none but those that were unpacked to it before.
    #[inline]
    pub(super) fn extras_of<'a>(
        &'a self,
        shard: usize,
        packed: &Packed,
        place: &'a mut Extras,
    ) -> &'a Extras {
        const NONE: &Extras = &Extras::NONE;
        if let Some(bits) = packed.options() {
            unpack_to(place, bits);
            return place;
        }
        if packed.extras == Packed::NO_EXTRAS {
            return NONE;
        }
        let bucket = self.buckets.get(shard);
        bucket.and_then(|bucket| bucket.extras.get(packed.extras as usize)).unwrap_or(NONE)
    }

    /// The ICMP error that stands in a segment's place.
    pub(super) fn quote_of(&self, strip: &Strip, packed: &Packed) -> Option<IcmpError> {
        let error = self.quotes.get(packed.extras as usize)?;
        let frame = strip.first.plus(u64::from(packed.frame));
        packed.kind.contains(Kind::QUOTE).then_some(IcmpError { frame, ..*error })
    }

    /// The segment's flow.
    #[inline]
    pub(super) fn flow_of(&self, packed: &Packed) -> Flow<'_> {
        if packed.kind.contains(Kind::WIDE) {
            return self.wide_flow_of(packed);
        }
        Flow::Narrow(packed.flow)
    }

    #[inline(never)]
    pub(super) fn wide_flow_of(&self, packed: &Packed) -> Flow<'_> {
        let [index, ..] = packed.flow;
        self.wide.get(index).unwrap_or(Flow::Narrow(packed.flow))
    }

    /// Whether two segments are of the same flow.
    #[inline]
    pub(super) fn are_of_one_flow(&self, one: &Packed, other: &Packed) -> bool {
        let is_wide = |packed: &Packed| packed.kind.contains(Kind::WIDE);
        match (is_wide(one), is_wide(other)) {
            (false, false) => one.flow == other.flow,
            (true, true) => {
                one.flow == other.flow || self.wide_flow_of(one) == self.wide_flow_of(other)
            }
            (true, false) | (false, true) => false,
        }
    }

    /// The segment's tuple, as it travelled.
    pub(super) fn tuple_of(&self, packed: &Packed) -> FourTuple {
        let tuple = self.flow_of(packed).tuple();
        if packed.kind.contains(Kind::FORWARD) { tuple } else { tuple.reversed() }
    }

    /// The late frames of a range.
    fn late_of(&self, strip: &Strip) -> &[Late] {
        let end = strip.late.end.min(self.late.len());
        self.late.get(strip.late.start..end).unwrap_or_default()
    }

    #[inline(never)]
    fn append(&mut self, shard: usize, mut packed: Packed, extras: Option<&Extras>) {
        let latest = self.last.latest;
        if packed.time < latest {
            packed.kind = packed.kind.with(Kind::LATE);
            self.late.push(Late { frame: packed.frame, clock: latest });
        }
        if packed.is_syn_ack() {
            self.note_answer(self.before.len(), &packed);
        }
        if let Some(bucket) = self.buckets.get_mut(shard) {
            bucket.put(&mut packed, extras);
            bucket.segments.push(packed);
            bucket.prefetch();
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
            let number = mixed(fold(tuple));
            let index = self.wide.index(tuple, tunnel, number);
            let packed = Packed::wide(segment, frame, (index, number), direction);
            (shard_of_mixed(number), packed)
        }
    }
}
