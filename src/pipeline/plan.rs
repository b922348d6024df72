//! Which input comes first: by the first time in it, then by its path.
//!
//! Looks at the head of every input. Files are closed again, since a folder may hold more of them
//! than a process may have open; streams that cannot be opened twice stay open.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::lane::SLACK;
use super::look::Look;
use super::{Unreadable, extent};
use crate::capture::{CaptureError, Compression, Context, Input, Member, Record, Stream, Window};
use crate::stamp::Time;

/// The inputs in the order in which they are to be read.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The last one comes first.
    pub(super) inputs: Vec<Planned>,
    /// The first ones, at most [`MAX_UNREADABLE`].
    pub(super) unreadable: Vec<Unreadable>,
    /// How many more there were.
    pub(super) unreadable_more: u64,
    /// Members of archives that are no captures.
    pub(super) passed_over: u64,
    /// Bytes of all inputs whose length is known.
    pub(super) total: u64,
}

/// Inputs that cannot be read, of which the run tells why. An archive may have any number of
/// members.
const MAX_UNREADABLE: usize = 256;

/// An input that can be read.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) path: PathBuf,
    pub(super) first_time: Time,
    /// Its interfaces may have been written in blocks, one after the other.
    is_shuffled: bool,
    /// All of it lies outside the period: it need not be read.
    pub(super) is_outside: bool,
    /// Standard input or another pipe, which cannot be opened again.
    pub(super) open: Option<Pipe>,
    /// It is an archive: what is in it can only be read one member after the other.
    pub(super) archive: bool,
}

impl Plan {
    /// Notes an input that cannot be read.
    pub(super) fn refuse(&mut self, unreadable: Unreadable) {
        if self.unreadable.len() < MAX_UNREADABLE {
            self.unreadable.push(unreadable);
        } else {
            self.unreadable_more += 1;
        }
    }

    /// Finds out which files need not be read.
    pub(super) fn leave_out(&mut self, look: Look<'_>) {
        self.inputs
            .par_iter_mut()
            .for_each(|planned| planned.is_outside = extent::is_outside(planned, look));
    }

    /// The first time of all inputs.
    pub(super) fn start(&self) -> Time {
        let times = self.inputs.iter().map(|input| input.first_time);
        times.min().filter(|time| *time < Time::MAX).unwrap_or_default()
    }
}

impl Planned {
    /// It cannot be read beside others: an archive, or a capture whose first frames have no time.
    pub(super) fn is_alone(&self) -> bool {
        self.archive || self.first_time == Time::MAX
    }

    /// Before which time nothing of it comes.
    pub(super) fn earliest(&self) -> Time {
        if self.is_shuffled && self.first_time < Time::MAX {
            self.first_time - SLACK
        } else {
            self.first_time
        }
    }
}

/// A stream whose first member has begun.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) stream: Stream,
    pub(super) member: Member,
    /// The member's bytes that were read already.
    pub(super) head: Vec<u8>,
    /// A member was a capture, or ought to have been.
    pub(super) found: bool,
}

/// The name of standard input.
const STDIN: &str = "-";

/// Orders the inputs.
pub(super) fn order(paths: &[PathBuf]) -> Plan {
    let mut plan = Plan::default();
    let mut paths: Vec<&PathBuf> = paths.iter().collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        match look(path) {
            Ok(planned) => plan.inputs.push(planned),
            Err(error) => {
                plan.refuse(Unreadable::new(&path.to_string_lossy(), 0, &error));
            }
        }
        plan.total += std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    }
    plan.inputs
        .sort_by(|one, other| (other.earliest(), &other.path).cmp(&(one.earliest(), &one.path)));
    plan
}

/// Opens an input for reading.
pub(super) fn open(path: &Path) -> Result<Input, CaptureError> {
    if path.as_os_str() == STDIN { Input::stdin() } else { Input::open(path) }
}

/// The names of the layers of compression, the outermost first.
pub(super) fn compression_name(layers: &[Compression]) -> &'static str {
    match layers.first() {
        None => "none",
        Some(Compression::Gzip) => "gzip",
        Some(Compression::Zstd) => "zstd",
        Some(Compression::Lz4) => "lz4",
        Some(Compression::Xz) => "xz",
        Some(Compression::Bzip2) => "bzip2",
    }
}

fn look(path: &Path) -> Result<Planned, CaptureError> {
    let (path_buf, is_outside) = (path.to_path_buf(), false);
    let mut head = vec![0; Context::HEAD];
    match open(path)? {
        Input::File(source) => {
            let count = source.read_at(0, &mut head)?;
            head.truncate(count);
            let (first_time, is_shuffled) = begins(&head, count as u64 >= source.len())?;
            let archive = false;
            let open = None;
            Ok(Planned { path: path_buf, first_time, is_shuffled, is_outside, open, archive })
        }
        Input::Stream(mut stream) => {
            let Some(member) = stream.next_member() else {
                let reason = stream.damage().map_or("no capture in it", |it| it.reason.as_str());
                return Err(std::io::Error::other(reason.to_owned()).into());
            };
            let count = stream.fill(&mut head);
            let at_end = count < head.len();
            head.truncate(count);
            // In an archive, other members may be captures where the first is none.
            let (first_time, is_shuffled) = match begins(&head, at_end) {
                Err(_) if member.name.is_some() => (Time::MAX, false),
                judged => judged?,
            };
            let archive = member.name.is_some();
            let is_file = path.is_file();
            let open = (!is_file).then_some(Pipe { stream, member, head, found: false });
            Ok(Planned { path: path_buf, first_time, is_shuffled, is_outside, open, archive })
        }
    }
}

/// Whether a capture with this context behind its first records has several interfaces, which
/// dumpcap writes in blocks.
pub(super) fn is_shuffled(context: &Context) -> bool {
    context.interfaces().1.len() > 1
}

/// The time of the first frame in a capture's head, late where there is none, and whether frames
/// may not be in the order of their times.
fn begins(head: &[u8], at_end: bool) -> Result<(Time, bool), CaptureError> {
    let (mut context, used) = Context::open(head)?;
    let window = Window { bytes: head, base: 0, at_end };
    let mut first = None;
    let mut visit = |record: &Record<'_>| {
        if record.timed && first.is_none() {
            first = Some(record.time);
        }
    };
    let begun = context.walk(window, used..likely_end(head, at_end), &mut visit);
    let is_shuffled = is_shuffled(&context);
    context.walk(window, begun.end..head.len(), &mut visit);
    Ok((first.unwrap_or(Time::MAX), is_shuffled))
}

/// Up to where the head of a capture is walked to learn what is likely to stand before its later
/// parts: a search that reaches beyond the head is left to the first chunk.
pub(super) fn likely_end(head: &[u8], at_end: bool) -> usize {
    if at_end { head.len() } else { head.len() / 2 }
}
