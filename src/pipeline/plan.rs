//! Which input comes first: by the first time in it, then by its path.
//!
//! Looks at the head of an input. Files are closed again, since a folder may hold more of them than
//! a process may have open; streams that cannot be opened twice stay open. Files that are no longer
//! than their head are kept, up to a bound, and not opened again.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::archive::{Listing, Place, packed, places};
use super::lane::SLACK;
use super::look::Look;
use super::{Unreadable, extent};
use crate::capture::{
    CaptureError, Compression, Context, Format, Identity, Input, Member, Record, Source, Stream,
    Window,
};
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
    pub(super) is_shuffled: bool,
    /// All of it lies outside the period: it need not be read.
    pub(super) is_outside: bool,
    /// Standard input or another pipe, which cannot be opened again.
    pub(super) open: Option<Opened>,
    /// It is an archive: what is in it can only be read one member after the other.
    pub(super) archive: bool,
    /// Length of a plain file; what is added to it later is not read.
    pub(super) len: Option<u64>,
    /// Stored length of a file that holds one capture, compressed.
    pub(super) packed: Option<u64>,
    /// All of it, if it is short and there was room to keep it.
    pub(super) bytes: Option<Box<[u8]>>,
    /// Where it is, if it lies in an archive.
    pub(super) place: Option<Place>,
    /// What lies in it, if it is an archive whose files can be read one beside the other.
    pub(super) listing: Option<Box<Listing>>,
}

impl Plan {
    /// Notes an input that cannot be read.
    pub(super) fn refuse(&mut self, unreadable: Unreadable) {
        // What an archive's survey found is found again by whoever reads so far.
        let is_same =
            |it: &&mut Unreadable| it.path == unreadable.path && it.reason == unreadable.reason;
        if let Some(known) = self.unreadable.iter_mut().find(is_same) {
            known.offset = known.offset.max(unreadable.offset);
            return;
        }
        if self.unreadable.len() < MAX_UNREADABLE {
            self.unreadable.push(unreadable);
        } else {
            self.unreadable_more += 1;
        }
    }

    /// Notes an input that can be read.
    pub(super) fn add(&mut self, mut planned: Planned) {
        if let Some(listing) = planned.listing.take() {
            return self.add_all(*listing);
        }
        let length = || std::fs::metadata(&planned.path).map_or(0, |metadata| metadata.len());
        self.total += planned.len.or(planned.packed).unwrap_or_else(length);
        self.inputs.push(planned);
    }

    /// Orders the inputs.
    pub(super) fn sort(&mut self) {
        self.inputs.sort_by(|one, other| {
            let place = |it: &Planned| it.place.as_ref().map(|place| place.index);
            (other.earliest(), &other.path, place(other)).cmp(&(
                one.earliest(),
                &one.path,
                place(one),
            ))
        });
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

impl Pipe {
    /// A stream of which no member has begun.
    pub(super) const fn of(stream: Stream) -> Self {
        let member = Member { name: None, compression: Vec::new() };
        Self { stream, member, head: Vec::new(), found: false, only: None }
    }
}

impl Planned {
    /// One of which no more is known than when it begins, and whether it may be shuffled.
    pub(super) fn new(path: &Path, (first_time, is_shuffled): (Time, bool)) -> Self {
        Self {
            path: path.to_path_buf(),
            first_time,
            is_shuffled,
            is_outside: false,
            open: None,
            archive: false,
            len: None,
            packed: None,
            bytes: None,
            place: None,
            listing: None,
        }
    }

    /// It cannot be read beside others: an archive, or a capture whose first frames have no time.
    pub(super) fn is_alone(&self) -> bool {
        self.archive
            || self.first_time == Time::MAX
            || self.place.as_ref().is_some_and(|place| place.alone)
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
    /// The index of the member, if no other one is to be read from it.
    pub(super) only: Option<usize>,
}

/// A stream that waits to be gone on with. What is in a wave, as this may be, is shared between
/// threads, which decoders are not for.
#[derive(Debug)]
pub(super) struct Opened(Mutex<Box<Pipe>>);

impl Opened {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self(Mutex::new(Box::new(pipe)))
    }

    pub(super) fn go_on(self) -> Box<Pipe> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for short files that are kept from the first look until they are read.
#[derive(Debug, Default)]
pub(super) struct Shelf(AtomicUsize);

impl Shelf {
    /// Bytes that there is room for.
    const SIZE: usize = 16 << 20;

    /// A copy of a file, if there is room for it.
    fn keep(&self, bytes: &[u8]) -> Option<Box<[u8]>> {
        let taken = self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        (taken.saturating_add(bytes.len()) <= Self::SIZE).then(|| bytes.into())
    }
}

/// The name of standard input.
const STDIN: &str = "-";

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

/// Looks at the head of an input, and tells which file it is. One that need not be a capture may be
/// something else: none then. `head` is room to read into.
pub(super) fn look(
    path: &Path,
    may_be_other: bool,
    head: &mut Vec<u8>,
    shelf: &Shelf,
) -> Result<(Option<Planned>, Identity), CaptureError> {
    if path.as_os_str() == STDIN {
        let Input::Stream(stream) = Input::stdin()? else { return Ok(none(path)) };
        let looked = look_at_stream(stream, path, false, head)?;
        return Ok((looked, Identity::Path(path.to_path_buf())));
    }
    let opened = match Input::identify(path, head) {
        Err(error) if may_be_other && error.is_no_capture() => return Ok(none(path)),
        opened => opened?,
    };
    let (looked, identity) = match opened {
        (Input::File(source), identity) => (look_at_file(&source, path, head, shelf), identity),
        (Input::Stream(stream), identity) => {
            (look_at_stream(stream, path, may_be_other, head), identity)
        }
    };
    match looked {
        Err(error) if may_be_other && error.is_no_capture() => Ok((None, identity)),
        looked => Ok((looked?, identity)),
    }
}

fn none(path: &Path) -> (Option<Planned>, Identity) {
    (None, Identity::of(path))
}

fn look_at_file(
    source: &Source,
    path: &Path,
    head: &mut Vec<u8>,
    shelf: &Shelf,
) -> Result<Option<Planned>, CaptureError> {
    let is_all = head.len() as u64 >= source.len();
    let early = if is_all { None } else { Context::open_early(head) };
    let early = early.and_then(|(context, used)| first_time(context, used, head, false));
    let begins = if let Some(time) = early {
        (time, false)
    } else {
        if !is_all {
            source.read_head(head, Context::HEAD)?;
        }
        begins(head, head.len() as u64 >= source.len())?
    };
    let bytes = if is_all { shelf.keep(head) } else { None };
    Ok(Some(Planned { len: Some(source.len()), bytes, ..Planned::new(path, begins) }))
}

fn look_at_stream(
    mut stream: Stream,
    path: &Path,
    may_be_other: bool,
    head: &mut Vec<u8>,
) -> Result<Option<Planned>, CaptureError> {
    let stored = path.metadata().ok().filter(Metadata::is_file).map(|it| it.len());
    let is_file = stored.is_some();
    let Some(member) = stream.next_member() else {
        if may_be_other {
            return Ok(None);
        }
        let reason = stream.damage().map_or("no capture in it", |it| it.reason.as_str());
        return Err(std::io::Error::other(reason.to_owned()).into());
    };
    let archive = member.name.is_some();
    head.clear();
    let mut at_end = stream.fill_up(head, Context::EARLY);
    let early = if at_end || archive { None } else { Context::open_early(head) };
    let early = early.and_then(|(context, used)| first_time(context, used, head, false));
    if early.is_none() && !at_end {
        at_end = stream.fill_up(head, Context::HEAD);
    }
    if archive && is_file {
        let listing =
            if stream.is_open_archive() { places(path, head) } else { packed(path, head) };
        if let Some(listing) = listing.map(Box::new) {
            let planned = Planned::new(path, (Time::MAX, false));
            return Ok(Some(Planned { archive, listing: Some(listing), ..planned }));
        }
    }
    // In an archive, other members may be captures where the first is none.
    let begins = match early.map_or_else(|| begins(head, at_end), |time| Ok((time, false))) {
        Err(error) if archive => {
            if may_be_other && error.is_no_capture() && !holds_capture(&mut stream) {
                return Ok(None);
            }
            (Time::MAX, false)
        }
        judged => judged?,
    };
    let pipe = || Pipe { stream, member, head: head.clone(), found: false, only: None };
    let open = (!is_file).then(|| Opened::new(pipe()));
    let packed = stored.filter(|_| !archive);
    Ok(Some(Planned { open, archive, packed, ..Planned::new(path, begins) }))
}

/// Whether one of the archive's further members is a capture, be it in a format that is not read.
fn holds_capture(stream: &mut Stream) -> bool {
    let mut head = Vec::new();
    while stream.next_member().is_some() {
        head.clear();
        stream.fill_up(&mut head, Context::HEAD);
        match Context::open(&head) {
            Err(error) if error.is_no_capture() => {}
            _ => return true,
        }
    }
    false
}

/// Whether a capture with this context behind its first records has several interfaces, which
/// dumpcap writes in blocks.
pub(super) fn is_shuffled(context: &Context) -> bool {
    context.interfaces().1.len() > 1
}

/// The time of the first frame in a capture's head, late where there is none, and whether frames
/// may not be in the order of their times.
pub(super) fn begins(head: &[u8], at_end: bool) -> Result<(Time, bool), CaptureError> {
    let (context, used) = Context::open(head)?;
    let is_shuffled = match context.format() {
        Format::PcapNg => {
            let window = Window { bytes: head, base: 0, at_end };
            let mut behind = context.clone();
            behind.walk(window, used..likely_end(head, at_end), &mut |_| {});
            is_shuffled(&behind)
        }
        Format::Pcap { .. } | Format::Snoop | Format::Erf => false,
    };
    let first = first_time(context, used, head, at_end);
    Ok((first.unwrap_or(Time::MAX), is_shuffled))
}

/// The time of the first frame that has one, if the head reaches so far.
fn first_time(mut context: Context, used: usize, head: &[u8], at_end: bool) -> Option<Time> {
    let window = Window { bytes: head, base: 0, at_end };
    let (mut first, mut at) = (None, used);
    while first.is_none() && at < head.len() {
        let walk = context.walk(window, at..at + 1, &mut |record: &Record<'_>| {
            if record.timed && first.is_none() {
                first = Some(record.time);
            }
        });
        if walk.needs_more || walk.end <= at {
            break;
        }
        at = walk.end;
    }
    first
}

/// Up to where the head of a capture is walked to learn what is likely to stand before its later
/// parts: a search that reaches beyond the head is left to the first chunk.
pub(super) fn likely_end(head: &[u8], at_end: bool) -> usize {
    if at_end { head.len() } else { head.len() / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_files_are_kept_while_there_is_room() {
        let shelf = Shelf::default();
        let file = vec![7; Context::EARLY];
        let kept = (0..10_000).filter_map(|_| shelf.keep(&file)).map(|it| it.len()).sum::<usize>();
        assert_eq!(kept, Shelf::SIZE);
        assert_eq!(shelf.keep(b"x"), None);
    }
}
