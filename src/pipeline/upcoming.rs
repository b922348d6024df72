//! Long compressed files whose turn comes later, unpacked and decoded ahead.
//!
//! One compressed file is as fast as one core unpacks it. Where more of them follow, other threads go
//! on with those meanwhile. What they find waits as decoded segments, which take a tenth of the room
//! of what was unpacked, up to a bound; it is numbered when its turn comes. What is left of a file
//! then is read as any stream is.
//!
//! What waits costs time, to be written to memory and read again, so this is done only where threads
//! would have nothing to do meanwhile.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::chunk::Chunk;
use super::effort::Effort;
use super::feed::{MAX_PIECE, MIN_PIECE};
use super::look::Look;
use super::plan::{Pipe, Planned, open};
use super::quality::all_verified;
use super::reading::Reading;
use crate::capture::{Context, Input, Window};

/// The next inputs that are looked at for each thread: those that are read another way lie between.
const SIGHT: usize = 2;

/// For how many segments a chunk counts in which there are none.
const EMPTY: u64 = 128;

/// Bytes of a segment that waits.
const SEGMENT_SIZE: usize = 64;

/// Files that are unpacked ahead.
#[derive(Debug, Default)]
pub(super) struct Upcoming {
    /// In the order in which their turns come.
    files: Vec<File>,
}

/// How much is to be done ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Bytes of a chunk.
    chunk: u64,
    /// Segments that may wait, of all files or of each.
    segments: u64,
}

/// A file whose turn comes later.
#[derive(Debug)]
struct File {
    path: PathBuf,
    /// The index that it will have as an input.
    input: u32,
    /// None: it is read when its turn comes.
    ahead: Option<Box<Ahead>>,
}

/// A stream that was read ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    /// With the first bytes of the capture, as any that was recognised.
    pub(super) pipe: Box<Pipe>,
    /// What was found, and how many bytes of the file had been used before each.
    pub(super) chunks: VecDeque<(Chunk, u64)>,
    /// Holds bytes that were not walked: so many, the first of which lies at offset `next`.
    pub(super) buffer: Vec<u8>,
    pub(super) left: usize,
    next: u64,
    /// What stands there.
    context: Context,
    pub(super) ended: bool,
    /// A record is too long for this.
    is_stuck: bool,
    /// Segments in the chunks, or what takes as much room.
    segments: u64,
}

impl Reading<'_> {
    /// Looks out for files that can be read ahead.
    pub(super) fn look_out(&mut self) {
        let threads = self.options.threads;
        let streams = self.count_streams();
        if !self.options.reads_ahead.unwrap_or_else(|| self.effort.is_unpacking(streams, threads)) {
            return;
        }
        let next = self.plan.inputs.iter().rev().take(SIGHT * threads);
        for (planned, index) in next.zip(self.accounts.len()..) {
            if self.upcoming.files.len() >= threads || planned.archive {
                return;
            }
            let is_long = planned.packed.is_some() && self.length_of_whole(planned).is_none();
            let fits = is_long && planned.open.is_none() && planned.place.is_none();
            if fits && !self.upcoming.knows(&planned.path) {
                let input = u32::try_from(index).unwrap_or(u32::MAX);
                self.upcoming.files.push(File::new(planned, input));
            }
        }
    }

    /// How much may be done ahead.
    pub(super) fn step(&self) -> Step {
        Step { chunk: self.chunk_len(), segments: self.options.ahead_segments }
    }

    /// Whether the next input is being read ahead by others at the moment.
    pub(super) fn next_is_away(&self) -> bool {
        self.plan.inputs.last().is_some_and(|next| self.away.contains(&next.path))
    }

    /// Whether the next input has been read ahead, and nothing else is left to read before it.
    pub(super) fn next_is_upcoming(&self) -> bool {
        let next = self.plan.inputs.last();
        next.is_some_and(|next| self.upcoming.knows(&next.path)) && self.next_is_free()
    }
}

impl Upcoming {
    fn knows(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// The paths of its files.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    /// Takes out what was read ahead of a file whose turn has come, and which is input `input`.
    pub(super) fn take(&mut self, path: &Path, input: usize) -> Option<Box<Ahead>> {
        let place = self.files.iter().position(|file| file.path == path)?;
        let File { input: expected, ahead, .. } = self.files.remove(place);
        let input = u32::try_from(input).unwrap_or(u32::MAX);
        // If inputs before it could not be read, it has another index, by which checksums are verified.
        ahead.filter(|_| all_verified(input) == all_verified(expected))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Goes on with every file, side by side, for as long as there is something else to do.
    pub(super) fn go_on(&mut self, step: Step, effort: &Effort, look: Look<'_>) {
        let waiting = |file: &File| file.ahead.as_ref().map_or(0, |ahead| ahead.segments);
        let free = step.segments.saturating_sub(self.files.iter().map(waiting).sum());
        let share = free / (self.files.len() as u64).max(1);
        let step = Step { segments: share, ..step };
        self.files.par_iter_mut().with_max_len(1).for_each(|file| {
            if let Some(ahead) = &mut file.ahead {
                ahead.go_on(step, file.input, effort, look);
            }
        });
    }
}

impl File {
    fn new(planned: &Planned, input: u32) -> Self {
        let path = planned.path.clone();
        Self { ahead: Ahead::open(&path).map(Box::new), path, input }
    }
}

impl Ahead {
    /// None of a file that is not what it seemed to be, of which is told when its turn comes.
    fn open(path: &Path) -> Option<Self> {
        let Ok(Input::Stream(mut stream)) = open(path) else { return None };
        let member = stream.next_member().filter(|member| member.name.is_none())?;
        let mut head = Vec::new();
        if stream.fill_up(&mut head, Context::HEAD) {
            return None;
        }
        let (context, header) = Context::open(&head).ok()?;
        let rest = head.get(header..)?.to_vec();
        Some(Self {
            pipe: Box::new(Pipe { stream, member, head, found: false, only: None }),
            chunks: VecDeque::new(),
            left: rest.len(),
            buffer: rest,
            next: header as u64,
            context,
            ended: false,
            is_stuck: false,
            segments: 0,
        })
    }

    fn go_on(&mut self, step: Step, input: u32, effort: &Effort, look: Look<'_>) {
        let most = self.segments + step.segments;
        let size = usize::try_from(step.chunk).unwrap_or(MAX_PIECE).clamp(MIN_PIECE, MAX_PIECE);
        while !self.ended && !self.is_stuck && self.segments < most {
            let stored = self.pipe.stream.stored_offset();
            // Twice what could not be walked: a record that is longer becomes whole at some time.
            let (left, room) = (self.left, size.max(2 * self.left));
            if self.buffer.len() < room {
                self.buffer.resize(room, 0);
            }
            let free = self.buffer.get_mut(left..room).unwrap_or_default();
            let filled = left + effort.unpack(|| self.pipe.stream.fill(free));
            (self.left, self.ended) = (filled, filled < room);
            let mut chunk = Chunk::default();
            let bytes = self.buffer.get(..filled).unwrap_or_default();
            let window = Window { bytes, base: self.next, at_end: false };
            chunk.walk_ahead(input, window, &mut self.context, look);
            let walked = usize::try_from(chunk.found.end - self.next).unwrap_or(filled);
            if walked == 0 {
                self.is_stuck = filled > 4 * self.context.lookahead();
                continue;
            }
            self.buffer.copy_within(walked..filled, 0);
            self.left = filled - walked;
            self.next = chunk.found.end;
            chunk.batch.fit();
            self.segments += size_in_segments(&chunk);
            self.chunks.push_back((chunk, stored));
            if effort.is_awaited() {
                break;
            }
        }
    }
}

/// How many segments would take the room of what is in the chunk.
fn size_in_segments(chunk: &Chunk) -> u64 {
    let fragments: usize = chunk.found.pieces.iter().map(|it| it.fragment.payload.len()).sum();
    let others = EMPTY + (fragments / SEGMENT_SIZE) as u64;
    others + chunk.batch.segments()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::pipeline::Options;
    use crate::testkit::generate::{Shape, generate};

    #[test]
    fn a_file_is_read_ahead_as_far_as_there_is_room_and_to_its_end_where_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.pcap.gz");
        let file = std::fs::File::create(&path).unwrap();
        let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        let shape = Shape::named("mix").unwrap();
        generate(shape, 2_000, 1, &mut packer).unwrap();
        packer.flush().unwrap();
        packer.finish().unwrap();
        let settings = crate::settings::Settings::default();
        let thresholds = crate::detect::Thresholds::default();
        let selection = crate::detect::Selection::default();
        let detectors = crate::detect::Detectors::new(settings.clone(), thresholds, &selection);
        let options = Options::new(settings, detectors);
        let look = Look::new(&options, crate::stamp::Time::MIN);
        let effort = Effort::default();

        let mut bounded = Ahead::open(&path).unwrap();
        let step = Step { chunk: 20_000, segments: 500 };
        effort.begin();
        bounded.go_on(step, 0, &effort, look);
        let last = size_in_segments(&bounded.chunks.back().unwrap().0);
        assert!((500..500 + last).contains(&bounded.segments), "{}", bounded.segments);
        assert!(!bounded.ended);

        let mut whole = Ahead::open(&path).unwrap();
        effort.end();
        whole.go_on(step, 0, &effort, look);
        assert_eq!(whole.chunks.len(), 1, "nobody else is at work");
        while !whole.ended {
            whole.go_on(Step { segments: 700, ..step }, 0, &effort, look);
        }
        let frames: u64 = whole.chunks.iter().map(|(chunk, _)| chunk.found.frames).sum();
        assert_eq!((frames, whole.left), (2_000, 0));
        let stored = whole.chunks.iter().map(|(_, stored)| *stored);
        assert!(stored.is_sorted() && whole.chunks.len() > 20);
    }
}
