//! Begins to read inputs: opens and recognises them, and takes them into the list.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Unreadable;
use super::account::Account;
use super::feed::{Feeding, From};
use super::lane::Lane;
use super::piece::Piece;
use super::plan::{Pipe, Planned, compression_name, is_shuffled, likely_end, open};
use super::reading::Reading;
use super::upcoming::Ahead;
use crate::analysis::Input as InputReport;
use crate::capture::{CaptureError, Context, Input, Source, Window};
use crate::stamp::{FrameId, Time};

/// The smallest record of any format in bytes.
pub(super) const MIN_RECORD: u64 = 12;

/// More frames than a stream can have, for names of frames that do not collide.
pub(super) const MAX_STREAM_FRAMES: u64 = 1 << 36;

/// How a capture begins.
#[derive(Debug)]
struct Opening {
    format: &'static str,
    /// Length of the file header.
    header: usize,
    context: Context,
    /// The context behind the first records, which often describe the interfaces.
    likely: Context,
}

impl Reading<'_> {
    /// Begins to read the next input; false if it cannot be read.
    pub(super) fn begin_next(&mut self) -> bool {
        let Some(planned) = self.plan.inputs.pop() else { return false };
        let path = planned.path.to_string_lossy().into_owned();
        let (first_time, alone) = (planned.earliest(), planned.is_alone());
        match self.begin(planned, &path) {
            Ok(Some(feeding)) => {
                // What is read alone overlaps with nothing.
                if let Some(account) = self.accounts.get_mut(feeding.input as usize)
                    && !alone
                {
                    account.expected = Some(first_time);
                }
                self.lanes.push(Lane::new(feeding, first_time, alone));
                return true;
            }
            Ok(None) => {}
            Err(error) => self.plan.refuse(Unreadable::new(&path, 0, &error)),
        }
        false
    }

    fn begin(&mut self, planned: Planned, path: &str) -> Result<Option<Feeding>, CaptureError> {
        if let Some(pipe) = planned.open {
            return Ok(self.begin_member(pipe.go_on(), path));
        }
        if let Some(place) = planned.place {
            return self.begin_placed(&planned.path, &place);
        }
        if let Some(ahead) = self.upcoming.take(&planned.path, self.accounts.len()) {
            return Ok(self.begin_ahead(*ahead, path));
        }
        match open(&planned.path)? {
            Input::File(source) if planned.is_outside => {
                self.pass_over(&source, path)?;
                Ok(None)
            }
            Input::File(source) => self.begin_file(source, path).map(Some),
            Input::Stream(mut stream) => {
                let Some(member) = stream.next_member() else { return Ok(None) };
                let pipe = Pipe { stream, member, head: Vec::new(), found: false, only: None };
                Ok(self.begin_member(Box::new(pipe), path))
            }
        }
    }

    /// Lists a file that need not be read.
    fn pass_over(&mut self, source: &Source, path: &str) -> Result<(), CaptureError> {
        let mut head = vec![0; Context::HEAD];
        let count = source.read_at(0, &mut head)?;
        let opening = Opening::of(head.get(..count).unwrap_or_default(), false)?;
        self.accounts.push(Account::of_unread(InputReport {
            path: path.to_owned(),
            format: opening.format,
            compression: "none",
            bytes: source.len(),
            not_read: true,
            ..InputReport::default()
        }));
        self.bytes_done += source.len();
        Ok(())
    }

    pub(super) fn begin_file(
        &mut self,
        source: Source,
        path: &str,
    ) -> Result<Feeding, CaptureError> {
        let mut head = vec![0; Context::HEAD];
        let count = source.read_at(0, &mut head)?;
        head.truncate(count);
        let at_end = count as u64 >= source.len();
        let opening = Opening::of(&head, at_end)?;
        let input = InputReport {
            path: path.to_owned(),
            compression: "none",
            bytes: source.len(),
            ..InputReport::default()
        };
        Ok(self.feeding(input, From::File(Arc::new(source)), path, opening))
    }

    /// Begins the stream's current member, or the first one behind it that is a capture.
    pub(super) fn begin_member(&mut self, mut pipe: Box<Pipe>, path: &str) -> Option<Feeding> {
        loop {
            let name = match &pipe.member.name {
                Some(name) => format!("{path}:{name}"),
                None => path.to_owned(),
            };
            let at_end = pipe.stream.fill_up(&mut pipe.head, Context::HEAD);
            // Of what was unpacked already there may be more.
            let head = pipe.head.get(..Context::HEAD).unwrap_or(&pipe.head);
            match Opening::of(head, at_end) {
                Ok(opening) => {
                    let input = InputReport {
                        path: name,
                        compression: compression_name(&pipe.member.compression),
                        ..InputReport::default()
                    };
                    let rest = pipe.head.get(opening.header..).unwrap_or_default().to_vec();
                    pipe.head.clear();
                    pipe.found = true;
                    let (piece, walked) = (Piece::new(rest, at_end), VecDeque::new());
                    let from = From::Stream { pipe, piece, walked };
                    return Some(self.feeding(input, from, path, opening));
                }
                // Of what lies in an archive, as in a folder, only the captures count.
                Err(error) if pipe.member.name.is_some() && error.is_no_capture() => {
                    self.plan.passed_over += 1;
                    pipe.found |= pipe.stream.damage().is_some();
                    self.note_stream_damage(pipe.stream.damage(), &name, None);
                }
                Err(error) => {
                    pipe.found = true;
                    self.plan.refuse(Unreadable::new(&name, 0, &error));
                    self.note_stream_damage(pipe.stream.damage(), &name, None);
                }
            }
            pipe.head.clear();
            if pipe.only.is_some() {
                return None;
            }
            let Some(member) = pipe.stream.next_member() else {
                if !pipe.found {
                    let reason = "no capture in it".to_owned();
                    self.plan.refuse(Unreadable { path: path.to_owned(), offset: 0, reason });
                }
                self.note_stream_damage(pipe.stream.damage(), path, None);
                return None;
            };
            pipe.member = member;
        }
    }

    /// Begins a stream that was read ahead.
    fn begin_ahead(&mut self, ahead: Ahead, path: &str) -> Option<Feeding> {
        let Ahead { pipe, chunks, mut buffer, left, ended: is_all, .. } = ahead;
        buffer.truncate(left);
        let mut feeding = self.begin_member(pipe, path)?;
        if let From::Stream { piece, walked, .. } = &mut feeding.from {
            (*piece, *walked) = (Piece::new(buffer, is_all), chunks);
        }
        Some(feeding)
    }

    /// Takes an input that has at most `bound` records into the list; returns its index.
    pub(super) fn register(&mut self, input: InputReport, bound: u64, expected: Time) -> u32 {
        let index = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
        debug_assert!(self.accounts.len() < FrameId::MAX_FILES, "more inputs than frames can name");
        self.accounts.push(Account::new(input, bound, expected));
        index
    }

    fn feeding(
        &mut self,
        mut input: InputReport,
        from: From,
        path: &str,
        opening: Opening,
    ) -> Feeding {
        input.format = opening.format;
        let bound = match &from {
            From::File(source) => source.len() / MIN_RECORD,
            From::Stream { .. } => MAX_STREAM_FRAMES,
        };
        let index = self.register(input, bound, Time::MAX);
        let next = opening.header as u64;
        Feeding {
            path: path.to_owned(),
            input: index,
            from,
            next,
            start: Some(next),
            is_shuffled: is_shuffled(&opening.likely),
            context: opening.context,
            likely: Some(opening.likely),
        }
    }
}

impl Opening {
    fn of(head: &[u8], at_end: bool) -> Result<Self, CaptureError> {
        let (context, header) = Context::open(head)?;
        let mut likely = context.clone();
        let window = Window { bytes: head, base: 0, at_end };
        likely.walk(window, header..likely_end(head, at_end), &mut |_| {});
        let format = context.format().name();
        Ok(Self { format, header, context, likely })
    }
}
