//! Files that are no longer than a chunk: each is opened, recognised, read and decoded in one go,
//! together with others, by whoever reads their chunk.
//!
//! An archive of small files costs little more than one large file so: one handle at a time for
//! each thread, and shards find the segments of many files in one bucket. What the files hold is
//! taken into their accounts in the serial step, in their order.
//!
//! Compressed files that are likely to be short are unpacked so as well, side by side. One that
//! turns out to be longer is read as a stream instead, and what was to follow it is put back.

use super::begin::{MAX_STREAM_FRAMES, MIN_RECORD};
use super::chunk::{Buffers, Chunk, Found, Visitor};
use super::lane::Lane;
use super::look::Look;
use super::plan::{Opened, Planned};
use super::reading::Reading;
use super::unpack::{Content, LIKELY_RATIO, Unpacked, unpack};
use super::view::{READ, View};
use super::wave::Wave;
use super::{Options, Unreadable};
use crate::analysis::Input as InputReport;
use crate::capture::{CaptureError, Context, Source, StreamDamage, Window};
use crate::flow::Batch;

/// A file that is read whole.
#[derive(Debug)]
pub(super) struct Whole {
    /// Index of the input.
    input: u32,
    planned: Planned,
    /// Bytes of the capture: of a compressed one likely, until it was read.
    len: u64,
    /// Bytes of a compressed one that are unpacked at most.
    most: u64,
    outcome: Outcome,
}

/// What came of it.
#[derive(Debug)]
enum Outcome {
    /// A file before it was too long.
    Unread,
    /// It is to be gone on with as a stream.
    TooLong(Opened),
    Read(Box<Read>),
}

/// What was found in a file.
#[derive(Debug, Default)]
struct Read {
    /// The name of its format, and of its compression.
    format: &'static str,
    compression: &'static str,
    /// Its length as it is stored; what was added later is not read.
    stored: u64,
    found: Found,
    /// Why it cannot be read after all.
    refused: Option<CaptureError>,
    /// Why a compressed one ended too early.
    damage: Option<StreamDamage>,
}

/// Reads files, each into a strip of the batch, up to the first that is too long.
pub(super) fn read(wholes: &mut [Whole], batch: &mut Batch, buffers: &Buffers, look: Look<'_>) {
    let mut buffer = buffers.take();
    for (index, whole) in wholes.iter_mut().enumerate() {
        let Planned { path, packed, .. } = &whole.planned;
        let unpacked = match packed.map(|_| unpack(path, whole.most, &mut buffer)) {
            Some(Ok(Unpacked::TooLong(pipe))) => {
                whole.outcome = Outcome::TooLong(pipe);
                break;
            }
            Some(Ok(Unpacked::All(unpacked))) => Ok(Some(unpacked)),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        };
        if index > 0 {
            batch.begin();
        }
        let mut read = Box::<Read>::default();
        let result = unpacked.and_then(|unpacked| match unpacked {
            Some(unpacked) => whole.walk(&mut read, batch, unpacked, &buffer, look),
            None => whole.read_plain(&mut read, batch, &mut buffer, look),
        });
        read.refused = result.err();
        whole.outcome = Outcome::Read(read);
    }
    buffers.give(buffer);
}

impl Whole {
    fn read_plain(
        &mut self,
        read: &mut Read,
        batch: &mut Batch,
        buffer: &mut Vec<u8>,
        look: Look<'_>,
    ) -> Result<(), CaptureError> {
        (read.compression, read.stored) = ("none", self.len);
        let source = match self.planned.bytes.take() {
            Some(bytes) => Source::of_bytes(bytes),
            None => Source::open_up_to(&self.planned.path, self.len)?,
        };
        let mut view = View::new(&source, 0, buffer);
        view.hold(0, usize::try_from(source.len()).unwrap_or(READ).min(READ))?;
        let (mut context, header) = open(view.window().bytes, read)?;
        let mut visitor = Visitor::new(self.input, batch, &mut read.found, look);
        let walked = visitor.walk_from(header, source.len(), &mut context, &mut view);
        visitor.finish();
        read.found.error = walked.err();
        Ok(())
    }

    /// Walks a capture that lies unpacked in the buffer.
    fn walk(
        &mut self,
        read: &mut Read,
        batch: &mut Batch,
        unpacked: Content,
        buffer: &[u8],
        look: Look<'_>,
    ) -> Result<(), CaptureError> {
        let Content { len, stored, compression, damage } = unpacked;
        (read.stored, read.compression, read.damage) = (stored, compression, damage);
        self.len = len as u64;
        let bytes = buffer.get(..len).unwrap_or_default();
        let (mut context, header) = open(bytes, read)?;
        let mut visitor = Visitor::new(self.input, batch, &mut read.found, look);
        let window = Window { bytes, base: 0, at_end: true };
        visitor.walk_held(&mut context, window, header..bytes.len() as u64);
        visitor.finish();
        Ok(())
    }

    /// Bytes of the capture.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }
}

/// Recognises a capture.
fn open(bytes: &[u8], read: &mut Read) -> Result<(Context, u64), CaptureError> {
    let (context, header) = Context::open(bytes.get(..Context::HEAD).unwrap_or(bytes))?;
    read.format = context.format().name();
    Ok((context, header as u64))
}

impl Reading<'_> {
    /// Length of the next input, if it is a file that can be read whole: of a compressed one, as long
    /// as it is likely to be at most.
    fn next_whole(&self) -> Option<u64> {
        self.length_of_whole(self.plan.inputs.last().filter(|_| self.next_is_free())?)
    }

    /// The same of an input whose turn may come later.
    pub(super) fn length_of_whole(&self, next: &Planned) -> Option<u64> {
        let longest = self.options.chunk_size.min(Options::SMALL_FILE);
        let fits = next.place.is_none()
            && next.open.is_none()
            && !next.is_alone()
            && !next.is_shuffled
            && !next.is_outside;
        let unpacked = next.packed.map(|stored| stored.saturating_mul(LIKELY_RATIO));
        let unpacked = unpacked.filter(|likely| *likely <= self.most_unpacked());
        next.len.filter(|len| *len <= longest).or(unpacked).filter(|_| fits)
    }

    /// Bytes of a compressed file that are unpacked at once, at most: all threads may do so.
    fn most_unpacked(&self) -> u64 {
        let threads = self.options.threads.max(1) as u64;
        let share = self.options.wave_size / (2 * threads);
        share.clamp(self.options.chunk_size.min(Options::LEAST_CHUNK), Options::MOST_UNPACKED)
    }

    /// Orders whole files, a chunk of them; false if the next input is none.
    pub(super) fn feed_wholes(&mut self, wave: &mut Wave, budget: &mut u64) -> bool {
        let (mut wholes, mut size) = (wave.room_for_wholes(), 0);
        let (enough, most) = (self.chunk_len(), self.most_unpacked());
        while size < enough
            && size < *budget
            && let Some(len) = self.next_whole()
        {
            let Some(planned) = self.plan.inputs.pop() else { break };
            let is_packed = planned.packed.is_some();
            let input = InputReport {
                path: planned.path.to_string_lossy().into_owned(),
                bytes: if is_packed { 0 } else { len },
                ..InputReport::default()
            };
            let bound = if is_packed { MAX_STREAM_FRAMES } else { len / MIN_RECORD };
            let index = self.register(input, bound, planned.earliest());
            wave.may_be_put_back |= is_packed;
            wholes.push(Whole { input: index, planned, len, most, outcome: Outcome::Unread });
            // A file takes some time even if there is nothing in it.
            size += len.max(Options::LEAST_FILE);
        }
        *budget = budget.saturating_sub(size);
        wave.push_wholes(wholes)
    }

    /// Takes the files of a chunk in, one after the other; returns how many, if one was too long.
    pub(super) fn take_over_wholes(&mut self, chunk: &mut Chunk) -> Option<usize> {
        for (strip, whole) in chunk.wholes.iter_mut().enumerate() {
            let Outcome::Read(read) = &mut whole.outcome else { return Some(strip) };
            let (input, first_time) = (whole.input, whole.planned.earliest());
            self.lanes.push(Lane::of_whole(input, first_time));
            self.enter(input);
            if let Some(account) = self.accounts.get_mut(input as usize) {
                let report = &mut account.input;
                (report.format, report.compression) = (read.format, read.compression);
                report.bytes = read.stored;
            }
            let path = whole.planned.path.to_string_lossy();
            let error = read.found.error.take().map(CaptureError::from);
            if let Some(error) = read.refused.take().or(error) {
                self.plan.refuse(Unreadable::new(&path, read.found.end, &error));
            }
            self.note_stream_damage(read.damage.as_ref(), &path, Some(input));
            self.stamp((&mut chunk.batch, strip), &mut read.found, input);
            self.bytes_done += read.stored;
        }
        None
    }

    /// Puts back what cannot follow a file that is too long, of which `taken` files of the first
    /// chunk are none: those come again, behind it.
    pub(super) fn put_back(&mut self, chunks: &mut [Chunk], taken: usize) {
        let mut left: Vec<Whole> = Vec::new();
        for (index, chunk) in chunks.iter_mut().enumerate() {
            if index == 0 {
                left.extend(chunk.wholes.drain(taken..));
            } else {
                left.append(&mut chunk.wholes);
                chunk.skip();
            }
        }
        if let Some(first) = left.first() {
            self.accounts.truncate(first.input as usize);
        }
        for Whole { mut planned, outcome, .. } in left.into_iter().rev() {
            if let Outcome::TooLong(pipe) = outcome {
                (planned.open, planned.packed) = (Some(pipe), None);
            }
            self.plan.inputs.push(planned);
        }
    }
}
