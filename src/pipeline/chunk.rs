//! One chunk: a range of an input, and everything that was found in it.
//!
//! Reading a chunk needs nothing of the chunks before it but a context, and where it begins may be
//! guessed. Frame numbers and the clock come later.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::look::Look;
use super::quality::{Seen, all_verified, is_verified};
use super::view::{READ, View};
use super::whole::{self, Whole};
use crate::capture::{
    Context, DamageList, Direction, LinkType, Oddities, Record, Source, Statistics, Visit, Walk,
    Window,
};
use crate::decode::{
    self, Decoded, Fragment, Outcome, Skip, SkipCounts, decode, express_v4, express_v6,
};
use crate::flow::Batch;
use crate::stamp::Time;
use crate::tcp::{Extras, FourTuple, IcmpError, Marks, Segment};

/// How far a chunk looks for a place to begin when the first look finds none. A chunk without one
/// is walked again from its true beginning.
const LONG_LOOK: usize = 2 << 20;

/// A range of an input to read.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// Index of the input.
    pub(super) input: u32,
    pub(super) bytes: Bytes,
    /// Offsets in the (decompressed) input.
    pub(super) range: Range<u64>,
    /// Where the first record begins, if it is known.
    pub(super) start: Option<u64>,
    /// What stands before the range, as far as it is known.
    pub(super) context: Context,
}

/// Where the bytes of an input are.
#[derive(Clone, Debug)]
pub(super) enum Bytes {
    /// In a file, to be read by position.
    File(Arc<Source>),
    /// Nowhere any more: they were walked.
    Walked,
    /// In memory: the first so many of a buffer.
    Memory {
        buffer: Arc<Vec<u8>>,
        held: usize,
        /// Offset in the input of the first of them.
        base: u64,
        /// The input ends where they end.
        at_end: bool,
    },
}

/// A chunk's order and findings. Cleared and used again from wave to wave.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) order: Option<Order>,
    /// Or else whole files, each of which has a strip of the batch.
    pub(super) wholes: Vec<Whole>,
    pub(super) batch: Batch,
    pub(super) found: Found,
}

/// What reading a chunk found, besides segments.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Where the first record began; none if no place was found.
    pub(super) start: Option<u64>,
    /// Where the next chunk's first record begins.
    pub(super) end: u64,
    /// What stands before the next chunk.
    pub(super) context: Option<Context>,
    /// Records that have a number in the file.
    pub(super) frames: u64,
    /// Those of them that are no frames.
    pub(super) events: u64,
    /// Frames outside the period.
    pub(super) outside: u64,
    /// Segments that the filter left out.
    pub(super) left_out: u64,
    /// Segments whose IP header claims more than the frame had.
    pub(super) beyond_frame: u64,
    pub(super) damage: DamageList,
    pub(super) oddities: Oddities,
    pub(super) statistics: Statistics,
    pub(super) skips: SkipCounts,
    /// Ascending.
    pub(super) links: Vec<LinkType>,
    pub(super) times: Option<(Time, Time)>,
    pub(super) pieces: Vec<Piece>,
    pub(super) seen: Seen,
    pub(super) error: Option<io::Error>,
}

/// An IP fragment, to be put together with others in the order of the frames.
#[derive(Debug)]
pub(super) struct Piece {
    /// Index of its frame in the chunk.
    pub(super) frame: u32,
    /// The highest time in the chunk up to it.
    pub(super) latest: Time,
    pub(super) time: Time,
    pub(super) fragment: Fragment,
}

/// Read buffers that are free.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Chunk {
    /// Reads and decodes what was ordered.
    pub(super) fn read(&mut self, buffers: &Buffers, look: Look<'_>) {
        if self.is_walked() {
            return;
        }
        self.batch.clear();
        self.found = Found::default();
        if !self.wholes.is_empty() {
            return whole::read(&mut self.wholes, &mut self.batch, buffers, look);
        }
        let Some(order) = &self.order else { return };
        let mut context = order.context.clone();
        let mut visitor = Visitor::new(order.input, &mut self.batch, &mut self.found, look);
        match &order.bytes {
            Bytes::File(source) => {
                source.read_ahead(&order.range);
                let mut buffer = buffers.take();
                let mut view = View::new(source, order.range.start, &mut buffer);
                let read = visitor.walk_file(order, &mut context, &mut view);
                visitor.found.error = read.err();
                buffers.give(buffer);
            }
            Bytes::Memory { buffer, held, base, at_end } => {
                let bytes = buffer.get(..*held).unwrap_or_default();
                let window = Window { bytes, base: *base, at_end: *at_end };
                visitor.walk_memory(order, &mut context, window);
            }
            Bytes::Walked => {}
        }
        visitor.finish();
        self.found.context = Some(context);
    }

    /// Walks the records of a piece of an input of which the context before it is known, ahead of its
    /// turn: all that are whole.
    pub(super) fn walk_ahead(
        &mut self,
        input: u32,
        window: Window<'_>,
        context: &mut Context,
        look: Look<'_>,
    ) {
        self.batch.clear();
        self.found = Found::default();
        let before = context.clone();
        let range = window.base..window.base + window.bytes.len() as u64;
        let mut visitor = Visitor::new(input, &mut self.batch, &mut self.found, look);
        visitor.walk_held(context, window, range);
        visitor.finish();
        let range = window.base..self.found.end;
        let start = Some(range.start);
        self.order = Some(Order { input, bytes: Bytes::Walked, range, start, context: before });
        self.found.context = Some(context.clone());
    }

    /// Everything that is in its range was found ahead.
    fn is_walked(&self) -> bool {
        self.order.as_ref().is_some_and(|order| matches!(order.bytes, Bytes::Walked))
    }

    /// Lets go of the bytes: all that is in them was found.
    pub(super) fn let_go(&mut self) {
        if let Some(order) = &mut self.order {
            order.bytes = Bytes::Walked;
        }
    }

    /// Makes the chunk hold nothing: a record of the chunk before covers it.
    pub(super) fn skip(&mut self) {
        self.batch.clear();
        self.found = Found::default();
    }
}

impl Buffers {
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        // One that had to grow for a huge record is not kept.
        if buffer.len() > READ {
            buffer.truncate(READ);
            buffer.shrink_to_fit();
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// Takes records in and sorts them into a chunk.
pub(super) struct Visitor<'a> {
    batch: &'a mut Batch,
    found: &'a mut Found,
    decoded: Decoded,
    look: Look<'a>,
    /// The earliest time of a frame.
    earliest: Time,
    /// Offset in the input before which every checksum is verified.
    all_verified: u64,
}

impl<'a> Visitor<'a> {
    pub(super) fn new(
        input: u32,
        batch: &'a mut Batch,
        found: &'a mut Found,
        look: Look<'a>,
    ) -> Self {
        let (decoded, earliest) = (Decoded::default(), Time::MAX);
        Self { batch, found, decoded, look, earliest, all_verified: all_verified(input) }
    }

    fn walk_file(
        &mut self,
        order: &Order,
        context: &mut Context,
        view: &mut View<'_>,
    ) -> io::Result<()> {
        let Some(at) = start_in_file(order, context, view)? else { return Ok(()) };
        self.walk_from(at, order.range.end, context, view)
    }

    /// Walks the records of a file from the one at offset `at` up to offset `end`.
    pub(super) fn walk_from(
        &mut self,
        mut at: u64,
        end: u64,
        context: &mut Context,
        view: &mut View<'_>,
    ) -> io::Result<()> {
        (self.found.start, self.found.end) = (Some(at), at);
        let mut want = 0;
        while at < end {
            if want == 0 {
                view.advance(at, end)?;
            } else {
                view.hold(at, want)?;
            }
            let window = view.window();
            let until = end.min(view.end());
            let walk = self.walk(context, window, at..until);
            let (from, next, more) = (at, window.base + walk.end as u64, walk.needs_more);
            let (held, at_end) = (window.bytes.len(), window.at_end);
            at = next;
            self.found.end = at;
            if at_end {
                break;
            }
            // A record longer than what is held: more and more of it, up to what always does.
            want = if more && at == from { (2 * held).max(READ) } else { 0 };
            if want > 4 * context.lookahead() {
                break;
            }
        }
        Ok(())
    }

    fn walk_memory(&mut self, order: &Order, context: &mut Context, window: Window<'_>) {
        let begin = order.range.start.saturating_sub(window.base);
        let begin = usize::try_from(begin).unwrap_or(usize::MAX);
        let look = begin.saturating_add(LONG_LOOK);
        let near = match window.bytes.get(..look) {
            Some(bytes) => Window { bytes, at_end: false, ..window },
            None => window,
        };
        let guess = || Some(window.base + context.guess(near, begin)? as u64);
        let Some(at) = order.start.or_else(guess) else { return };
        let until = order.range.end.min(window.base + window.bytes.len() as u64).max(at);
        self.walk_held(context, window, at..until);
    }

    /// Walks the records that begin in a range of the window.
    pub(super) fn walk_held(
        &mut self,
        context: &mut Context,
        window: Window<'_>,
        range: Range<u64>,
    ) {
        (self.found.start, self.found.end) = (Some(range.start), range.start);
        if range.start < range.end {
            let walk = self.walk(context, window, range);
            self.found.end = window.base + walk.end as u64;
        }
    }

    /// Notes what is known only when all was walked.
    pub(super) fn finish(self) {
        let times = (self.earliest, self.batch.latest());
        self.found.times = Some(times).filter(|(earliest, latest)| earliest <= latest);
    }

    /// Walks a range of offsets within the window.
    fn walk(&mut self, context: &mut Context, window: Window<'_>, range: Range<u64>) -> Walk {
        let inside = |offset: u64| usize::try_from(offset - window.base).unwrap_or(usize::MAX);
        let range = inside(range.start)..inside(range.end);
        let frames = self.found.frames;
        let mut walk = context.walk_with(window, range, self);
        self.found.damage.absorb(&walk.damage, frames);
        self.found.seen.told(walk.statistics.clone());
        self.found.events += walk.events;
        self.found.oddities += walk.oddities;
        self.found.statistics.extend(std::mem::take(&mut walk.statistics));
        walk
    }

    /// Takes in a record whose frame is not of the common kind.
    #[inline(never)]
    fn visit_closely(
        &mut self,
        record: &Record<'_>,
        (frame, latest): (u32, Time),
        settings: decode::Settings,
    ) {
        let Record { link, data, wire_len, time, .. } = *record;
        if link == LinkType::EVENT {
            return;
        }
        let mut extras = None;
        if !self.look.needs_vlan
            && let Some(mut found) = express_v6(link, data, wire_len, &settings, &mut extras)
        {
            let tuple = found.tuple();
            if !self.takes(|| tuple) {
                return;
            }
            found.segment.time = time;
            found.segment.interface = interface_of(record);
            let extras = extras.as_ref().unwrap_or(&Extras::NONE);
            return self.batch.push(frame, tuple, &[], &found.segment, extras);
        }
        match decode(link, data, wire_len, &settings, &mut self.decoded) {
            Outcome::Segment if !self.look.wants(|| self.decoded.tuple, self.decoded.vlan) => {
                self.found.left_out += 1;
            }
            Outcome::Segment => {
                let Decoded { tuple, segment, extras, has_extras, tunnel, interface, .. } =
                    &mut self.decoded;
                let told = interface.map(|(index, outgoing)| Segment::interface(index, outgoing));
                segment.interface = told.unwrap_or_else(|| interface_of(record));
                segment.time = time;
                self.found.seen.segment(self.found.frames, segment.marks);
                if !self.look.decode.verify_checksums {
                    // A sample judges the capture; a connection is judged by all or by none.
                    segment.marks = segment.marks.without(Marks::BAD_CHECKSUM);
                }
                let extras = if *has_extras { extras } else { &Extras::NONE };
                self.found.beyond_frame += u64::from(extras.framed_len.is_some());
                self.batch.push(frame, *tuple, tunnel, segment, extras);
            }
            Outcome::Fragment(fragment) => {
                self.found.pieces.push(Piece { frame, latest, time, fragment });
            }
            Outcome::Quote(quote) => {
                let error = IcmpError { time, ..quote.error };
                if self.look.wants(|| quote.tuple, quote.vlan) {
                    self.batch.push_quote(frame, quote.tuple, &quote.tunnel, &error);
                }
                self.found.skips.add(Skip::Icmp, 1);
            }
            Outcome::Skip(skip) => self.found.skips.add(skip, 1),
        }
    }

    /// Whether to take in a segment, whose frame told no VLAN that anybody asks for.
    #[inline]
    fn takes(&mut self, tuple: impl FnOnce() -> FourTuple) -> bool {
        let wanted = self.look.wants(tuple, None);
        self.found.left_out += u64::from(!wanted);
        wanted
    }

    fn note_link(&mut self, link: LinkType) {
        if self.found.links.last() == Some(&link) {
            return;
        }
        if link == LinkType::EVENT {
            return;
        }
        if let Err(place) = self.found.links.binary_search(&link) {
            self.found.links.insert(place, link);
        }
    }
}

impl Visit for Visitor<'_> {
    #[expect(clippy::inline_always, reason = "measured: part of the loop over a capture's records")]
    #[inline(always)]
    fn record(&mut self, record: &Record<'_>) {
        // A chunk has fewer frames than bytes, and fewer bytes than a u32 counts.
        let frame = u32::try_from(self.found.frames).unwrap_or(u32::MAX);
        self.found.frames += 1;
        let mut latest = Time::MIN;
        if record.timed {
            if !self.look.covers(record.time) {
                self.found.outside += 1;
                return;
            }
            latest = self.batch.tick(record.time);
            self.found.seen.tick(self.found.frames, record.time);
            self.earliest = self.earliest.min(record.time);
        }
        self.note_link(record.link);
        let Record { link, data, wire_len, .. } = *record;
        let mut extras = None;
        let verify_checksums =
            self.look.decode.verify_checksums || is_verified(record.offset, self.all_verified);
        let settings = decode::Settings { verify_checksums, ..self.look.decode };
        if !self.look.needs_vlan
            && let Some(mut found) = express_v4(link, data, wire_len, &settings, &mut extras)
        {
            if !self.takes(|| found.tuple()) {
                return;
            }
            found.segment.time = record.time;
            found.segment.interface = interface_of(record);
            let source = (found.source, found.ports.0);
            let destination = (found.destination, found.ports.1);
            let (batch, segment) = (&mut self.batch, &found.segment);
            return batch.push_narrow(frame, source, destination, segment, extras.as_ref());
        }
        // Perf: a copy, for which alone a record must be in memory.
        let record = *record;
        self.visit_closely(&record, (frame, latest), settings);
    }
}

/// Which interface saw the frame, and whether on its way out.
fn interface_of(record: &Record<'_>) -> u8 {
    Segment::interface(record.interface, record.direction == Direction::Outbound)
}

/// The place where the chunk's first record begins, or seems to.
fn start_in_file(order: &Order, context: &Context, view: &mut View<'_>) -> io::Result<Option<u64>> {
    if order.start.is_some() {
        return Ok(order.start);
    }
    for look in [READ, LONG_LOOK] {
        view.hold(order.range.start, look)?;
        let window = view.window();
        if let Some(at) = context.guess(window, 0) {
            return Ok(Some(window.base + at as u64));
        }
        if window.at_end {
            break;
        }
    }
    Ok(None)
}
