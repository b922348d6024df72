//! Files that are no longer than a chunk: each is opened, recognised, read and decoded in one go,
//! together with others, by whoever reads their chunk.
//!
//! An archive of small files costs little more than one large file so: one handle at a time for
//! each thread, and shards find the segments of many files in one bucket. What the files hold is
//! taken into their accounts in the serial step, in their order.

use std::path::PathBuf;

use super::chunk::{Buffers, Found, Visitor};
use super::feed::MIN_RECORD;
use super::lane::Lane;
use super::look::Look;
use super::reading::Reading;
use super::view::{READ, View};
use super::wave::Wave;
use super::{Options, Unreadable};
use crate::analysis::Input as InputReport;
use crate::capture::{CaptureError, Context, Source};
use crate::flow::Batch;
use crate::stamp::Time;

/// A file that is read whole.
#[derive(Debug)]
pub(super) struct Whole {
    /// Index of the input.
    input: u32,
    path: PathBuf,
    /// Its length when the run began; what was added later is not read.
    len: u64,
    /// All of it, if it was kept.
    bytes: Option<Box<[u8]>>,
    /// Before which time, by the plan, nothing of it comes.
    first_time: Time,
    /// The name of its format.
    format: &'static str,
    found: Found,
    /// Why it cannot be read after all.
    refused: Option<CaptureError>,
}

/// Reads files, each into a strip of the batch.
pub(super) fn read(wholes: &mut [Whole], batch: &mut Batch, buffers: &Buffers, look: Look<'_>) {
    let mut buffer = buffers.take();
    for (index, whole) in wholes.iter_mut().enumerate() {
        if index > 0 {
            batch.begin();
        }
        whole.refused = whole.read(batch, &mut buffer, look).err();
    }
    buffers.give(buffer);
}

impl Whole {
    fn read(
        &mut self,
        batch: &mut Batch,
        buffer: &mut Vec<u8>,
        look: Look<'_>,
    ) -> Result<(), CaptureError> {
        let source = match self.bytes.take() {
            Some(bytes) => Source::of_bytes(bytes),
            None => Source::open_up_to(&self.path, self.len)?,
        };
        let mut view = View::new(&source, 0, buffer);
        view.hold(0, usize::try_from(source.len()).unwrap_or(READ).min(READ))?;
        let head = view.window().bytes;
        let (mut context, header) = Context::open(head.get(..Context::HEAD).unwrap_or(head))?;
        self.format = context.format().name();
        let mut visitor = Visitor::new(self.input, batch, &mut self.found, look);
        let read = visitor.walk_from(header as u64, source.len(), &mut context, &mut view);
        visitor.finish();
        self.found.error = read.err();
        Ok(())
    }

    /// Length of the file.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }
}

impl Reading<'_> {
    /// Whether the next input is a file that can be read whole.
    fn next_is_whole(&self) -> bool {
        let longest = self.options.chunk_size.min(Options::SMALL_FILE);
        self.next_is_free()
            && self.plan.inputs.last().is_some_and(|next| {
                let fits = next.len.is_some_and(|len| len <= longest);
                fits && next.place.is_none()
                    && !next.is_alone()
                    && !next.is_shuffled
                    && !next.is_outside
            })
    }

    /// Orders whole files, a chunk of them; false if the next input is none.
    pub(super) fn feed_wholes(&mut self, wave: &mut Wave, budget: &mut u64) -> bool {
        let (mut wholes, mut size) = (wave.room_for_wholes(), 0);
        let enough = self.chunk_len();
        while size < enough && size < *budget && self.next_is_whole() {
            let Some(planned) = self.plan.inputs.pop() else { break };
            let (first_time, len) = (planned.earliest(), planned.len.unwrap_or(0));
            let input = InputReport {
                path: planned.path.to_string_lossy().into_owned(),
                compression: "none",
                bytes: len,
                ..InputReport::default()
            };
            let index = self.register(input, len / MIN_RECORD, first_time);
            wholes.push(Whole {
                input: index,
                path: planned.path,
                len,
                bytes: planned.bytes,
                first_time,
                format: "",
                found: Found::default(),
                refused: None,
            });
            // A file takes some time even if there is nothing in it.
            size += len.max(Options::LEAST_FILE);
        }
        *budget = budget.saturating_sub(size);
        wave.push_wholes(wholes)
    }

    /// Takes the files of a chunk in, one after the other.
    pub(super) fn take_over_wholes(&mut self, wholes: &mut [Whole], batch: &mut Batch) {
        for (strip, whole) in wholes.iter_mut().enumerate() {
            let input = whole.input;
            self.lanes.push(Lane::of_whole(input, whole.first_time));
            self.enter(input);
            if let Some(account) = self.accounts.get_mut(input as usize) {
                account.input.format = whole.format;
            }
            let error = whole.found.error.take().map(CaptureError::from);
            if let Some(error) = whole.refused.take().or(error) {
                let path = whole.path.to_string_lossy();
                self.plan.refuse(Unreadable::new(&path, whole.found.end, &error));
            }
            self.stamp((batch, strip), &mut whole.found, input);
            self.bytes_done += whole.len;
        }
    }
}
