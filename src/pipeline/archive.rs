//! Archives in files, whose members are inputs of their own: put in order and merged by time like
//! files in a folder.
//!
//! What is packed around an archive as a whole has to be unpacked from its beginning for each place
//! that is wanted; a stream that has come to the end of a member waits for a later one to be
//! wanted. Where that would cost too much, and where an archive comes through a pipe, its members
//! are read one after the other as they lie there.

use std::io;
use std::path::{Path, PathBuf};

use super::Unreadable;
use super::feed::Feeding;
use super::plan::{Pipe, Plan, Planned, begins};
use super::reading::Reading;
use crate::capture::{CaptureError, Context, Input, Places, Stream};
use crate::stamp::Time;

/// Members that are listed at most; an archive of more is read from front to back.
const MAX_MEMBERS: usize = 1 << 16;
/// Members of a packed archive that may be read side by side: each needs an unpacker of its own.
const MAX_BESIDE: usize = 16;
/// How many times as long as the archive what is unpacked for nothing may be.
const MAX_SKIPPING: u64 = 8;
/// Streams that wait for a later member to be wanted.
const MAX_IDLE: usize = 8;

/// What lies in an archive.
#[derive(Debug, Default)]
pub(super) struct Listing {
    members: Vec<Planned>,
    refused: Vec<Unreadable>,
    passed_over: u64,
}

/// Where a member of an archive is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Which file of the archive it is, from 0.
    pub(super) index: usize,
    /// Nothing is to be read beside it.
    pub(super) alone: bool,
    name: String,
    /// Offset and length in the archive's file; none where that is packed.
    range: Option<(u64, u64)>,
    /// The archive ends inside it.
    is_cut: bool,
}

/// Streams of packed archives, by what stands next in them.
#[derive(Debug, Default)]
pub(super) struct Idle(Vec<(PathBuf, usize, Box<Pipe>)>);

impl Listing {
    /// Looks at the head of a member.
    fn look(&mut self, path: &Path, place: Place, head: &[u8], at_end: bool, len: u64) {
        match begins(head, at_end) {
            Ok(begins) => self.members.push(Planned {
                len: Some(len),
                place: Some(place),
                ..Planned::new(path, begins)
            }),
            // Of what lies in an archive, as in a folder, only the captures count.
            Err(error) if error.is_no_capture() => self.passed_over += 1,
            Err(error) => self.refused.push(Unreadable::new(&place.path_in(path), 0, &error)),
        }
    }

    fn is_full(&self) -> bool {
        self.members.len() + self.refused.len() >= MAX_MEMBERS
    }

    /// Notes why the archive cannot be followed any further.
    fn stop(&mut self, path: &Path, offset: u64, reason: String) {
        let path = path.to_string_lossy().into_owned();
        self.refused.push(Unreadable { path, offset, reason });
    }

    fn if_any(self) -> Option<Self> {
        let is_useful = !self.members.is_empty() && !self.is_full();
        is_useful.then_some(self)
    }
}

impl Place {
    /// The name under which the member is reported.
    fn path_in(&self, path: &Path) -> String {
        format!("{}:{}", path.to_string_lossy(), self.name)
    }
}

impl Plan {
    /// Notes what lies in an archive.
    pub(super) fn add_all(&mut self, listing: Listing) {
        listing.members.into_iter().for_each(|member| self.add(member));
        listing.refused.into_iter().for_each(|unreadable| self.refuse(unreadable));
        self.passed_over += listing.passed_over;
    }
}

/// The members of an archive around which nothing is packed; none if it has to be read from front to
/// back.
pub(super) fn places(path: &Path, head: &mut Vec<u8>) -> Option<Listing> {
    let mut archive = Places::open(path).ok()?;
    let mut listing = Listing::default();
    for index in 0.. {
        match archive.next_place() {
            _ if listing.is_full() => return None,
            Ok(None) => break,
            Ok(Some(placed)) => {
                let (name, range) = (placed.name, Some(placed.range));
                let place = Place { index, alone: false, name, range, is_cut: placed.is_cut };
                let looked = look_within(path, placed.range, head);
                match looked {
                    Ok(at_end) => listing.look(path, place, head, at_end, placed.range.1),
                    Err(error) => {
                        let unreadable = Unreadable::new(&place.path_in(path), 0, &error);
                        listing.refused.push(unreadable);
                    }
                }
            }
            Err(error) => {
                listing.stop(path, 0, error.to_string());
                break;
            }
        }
    }
    listing.if_any()
}

/// Fills `head` with the first bytes of what lies at a place; says whether that was all.
fn look_within(path: &Path, range: (u64, u64), head: &mut Vec<u8>) -> Result<bool, CaptureError> {
    match Input::within(path, range)? {
        Input::File(source) => source.read_head(head, Context::HEAD)?,
        Input::Stream(mut stream) => {
            head.clear();
            // An archive within an archive stays closed.
            if stream.next_member().is_some_and(|member| member.name.is_none()) {
                stream.fill_up(head, Context::HEAD);
            }
        }
    }
    Ok(head.len() < Context::HEAD)
}

/// The members of a packed archive; none if it has to be read from front to back.
pub(super) fn packed(path: &Path, head: &mut Vec<u8>) -> Option<Listing> {
    let mut stream = whole(path).ok()?;
    let (mut listing, mut starts) = (Listing::default(), Vec::new());
    for index in 0.. {
        let start = stream.stored_offset();
        let Some(member) = stream.next_member() else { break };
        if listing.is_full() {
            return None;
        }
        starts.push(start);
        head.clear();
        let at_end = stream.fill_up(head, Context::HEAD);
        let name = member.name.unwrap_or_default();
        let place = Place { index, alone: false, name, range: None, is_cut: false };
        listing.look(path, place, head, at_end, 0);
    }
    if let Some(damage) = stream.damage() {
        listing.stop(path, damage.offset, damage.reason.clone());
    }
    starts.push(stream.stored_offset());
    let members = listing.members.len();
    for member in &mut listing.members {
        let Some(place) = &mut member.place else { continue };
        place.alone = members > MAX_BESIDE;
        let from = starts.get(place.index).copied().unwrap_or_default();
        let until = starts.get(place.index + 1).copied().unwrap_or(from);
        member.len = Some(until.saturating_sub(from));
    }
    listing.if_any().filter(|listing| skipped(listing, &starts) <= starts_end(&starts))
}

/// The most that may be unpacked for nothing.
fn starts_end(starts: &[u64]) -> u64 {
    starts.last().map_or(0, |end| end.saturating_mul(MAX_SKIPPING))
}

/// How much is unpacked for nothing to read the members in the order of their times, in bytes of the
/// archive.
fn skipped(listing: &Listing, starts: &[u64]) -> u64 {
    let mut wanted: Vec<(Time, usize)> = listing
        .members
        .iter()
        .filter_map(|it| Some((it.earliest(), it.place.as_ref()?.index)))
        .collect();
    wanted.sort_unstable();
    let start = |index: usize| starts.get(index).copied().unwrap_or_default();
    let (mut idle, mut skipped) = (Vec::new(), 0);
    for (_, index) in wanted {
        let from = take_before(&mut idle, index, |next| *next).unwrap_or(0);
        skipped += start(index).saturating_sub(start(from));
        idle.push(index + 1);
        if idle.len() > MAX_IDLE {
            idle.remove(0);
        }
    }
    skipped
}

/// Takes out what stands nearest before `index`.
fn take_before<T>(all: &mut Vec<T>, index: usize, next: impl Fn(&T) -> usize) -> Option<T> {
    let before = all.iter().enumerate().filter(|(_, it)| next(it) <= index);
    let (nearest, _) = before.max_by_key(|(_, it)| next(it))?;
    Some(all.remove(nearest))
}

fn whole(path: &Path) -> io::Result<Stream> {
    match Input::open(path) {
        Ok(Input::Stream(stream)) => Ok(stream),
        Ok(Input::File(_)) => Err(io::Error::other("no archive any more")),
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

impl Idle {
    /// Keeps a stream that has come to the end of its member.
    pub(super) fn give(&mut self, path: &str, pipe: Box<Pipe>) {
        let Some(index) = pipe.only else { return };
        self.0.push((PathBuf::from(path), index + 1, pipe));
        if self.0.len() > MAX_IDLE {
            self.0.remove(0);
        }
    }

    /// A stream in which the member is still to come, and how many come before it.
    fn take(&mut self, path: &Path, index: usize) -> Option<(Box<Pipe>, usize)> {
        let mut of_archive: Vec<_> = self.0.extract_if(.., |(own, ..)| own == path).collect();
        let taken = take_before(&mut of_archive, index, |(_, next, _)| *next);
        self.0.append(&mut of_archive);
        taken.map(|(_, next, pipe)| (pipe, index - next))
    }
}

impl Reading<'_> {
    /// Begins to read a member of an archive.
    pub(super) fn begin_placed(
        &mut self,
        path: &Path,
        place: &Place,
    ) -> Result<Option<Feeding>, CaptureError> {
        let Some(range) = place.range else { return self.begin_packed(path, place) };
        let name = place.path_in(path);
        let feeding = match Input::within(path, range)? {
            Input::File(source) => Some(self.begin_file(source, &name)?),
            Input::Stream(mut stream) => stream.next_member().and_then(|member| {
                let pipe = Pipe { stream, member, head: Vec::new(), found: true, only: None };
                self.begin_member(Box::new(pipe), &name)
            }),
        };
        if let Some(feeding) = feeding.as_ref().filter(|_| place.is_cut) {
            let reason = "the archive ends inside a file".to_owned();
            self.note_cut(Some(feeding.input), Unreadable { path: name, offset: range.1, reason });
        }
        Ok(feeding)
    }

    fn begin_packed(
        &mut self,
        path: &Path,
        place: &Place,
    ) -> Result<Option<Feeding>, CaptureError> {
        let (mut pipe, skip) = match self.idle.take(path, place.index) {
            Some(waiting) => waiting,
            None => (Box::new(Pipe::of(whole(path)?)), place.index),
        };
        for _ in 0..=skip {
            match pipe.stream.next_member() {
                Some(member) => pipe.member = member,
                None => return Ok(None),
            }
        }
        (pipe.only, pipe.found) = (Some(place.index), true);
        pipe.head.clear();
        Ok(self.begin_member(pipe, &path.to_string_lossy()))
    }
}
