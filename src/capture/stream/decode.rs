//! Compressed streams: recognised by their first bytes, decoded with all their parts.
//!
//! Every format allows several streams in a row (rotated and joined captures are made so), and
//! what stands behind the last one is an error only after all before it was handed on. Memory is
//! bounded by constants, not by what a stream announces.

use std::fmt;
use std::io::{self, BufRead, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::XzReader;

use super::peek::Peek;

/// Largest memory of an xz decoder in KiB: `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 512 << 10;

/// Largest zstd window as a power of two: `zstd --ultra -22` uses 128 MiB.
const ZSTD_WINDOW: u32 = 27;

/// Bytes asked of flate2 at once: where a stream is corrupt, it drops what it decoded for that call.
const GZIP_PIECE: usize = 16 << 10;

const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const LZ4_LEGACY_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// How a capture is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// LZ4 frames.
    Lz4,
    /// The .xz format.
    Xz,
    /// bzip2.
    Bzip2,
}

/// The name in reports.
impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        })
    }
}

impl Compression {
    /// Recognises a compressed stream by its first bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            // The second is a skippable frame, which zstd's seekable variants begin with.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Some(Self::Bzip2),
            _ if head.starts_with(&LZ4_MAGIC) || head.starts_with(&LZ4_LEGACY_MAGIC) => {
                Some(Self::Lz4)
            }
            _ => None,
        }
    }

    /// What the bytes decode to.
    pub(super) fn decode(self, from: Peek) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(Gzip { member: Some(GzDecoder::new(from)) }),
            Self::Lz4 => Box::new(Lz4 { from: Some(from), frame: None, last: [1; 8] }),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(from)),
            Self::Xz => Box::new(XzReader::new_mem_limit(from, true, XZ_MEMORY)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(from)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

fn trailing(format: Compression) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("bytes that are no {format} behind the end of the stream"),
    )
}

/// Members of a gzip file one behind the other. Unlike flate2's own loop it allows zeros behind
/// the last one, as gzip does: tapes and disks pad files so.
struct Gzip {
    member: Option<GzDecoder<Peek>>,
}

impl Read for Gzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let len = buffer.len().min(GZIP_PIECE);
            let count = member.read(buffer.get_mut(..len).unwrap_or_default())?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(mut from) = self.member.take().map(GzDecoder::into_inner) else { break };
            skip_zeros(&mut from)?;
            match from.peek(3)? {
                [] => {}
                head if Compression::of(head) == Some(Compression::Gzip) => {
                    self.member = Some(GzDecoder::new(from));
                }
                _ => return Err(trailing(Compression::Gzip)),
            }
        }
        Ok(0)
    }
}

fn skip_zeros(from: &mut Peek) -> io::Result<()> {
    loop {
        let held = from.fill_buf()?;
        let zeros = held.iter().take_while(|&&byte| byte == 0).count();
        let all = zeros == held.len();
        from.consume(zeros);
        if !all || zeros == 0 {
            return Ok(());
        }
    }
}

/// LZ4 frames one behind the other, with skippable frames between them.
///
/// `lz4_flex` takes the end of the file between two blocks for the end of the frame; here the last
/// bytes tell whether the end mark was there.
struct Lz4 {
    from: Option<Peek>,
    frame: Option<(FrameDecoder<Tail>, End)>,
    last: [u8; 8],
}

/// What stands at the end of a frame.
#[derive(Clone, Copy)]
enum End {
    Mark,
    MarkAndChecksum,
    /// Legacy frames end with the file.
    Nothing,
}

impl Lz4 {
    /// Starts the next frame; false at the end.
    fn next_frame(&mut self, mut from: Peek) -> io::Result<bool> {
        loop {
            let head = from.peek(8)?;
            let end = match *head {
                [] => return Ok(false),
                [0x50..=0x5f, 0x2a, 0x4d, 0x18, l0, l1, l2, l3] => {
                    let skip = 8 + u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
                    io::copy(&mut (&mut from).take(skip), &mut io::sink())?;
                    continue;
                }
                [a, b, c, d, ..] if [a, b, c, d] == LZ4_LEGACY_MAGIC => End::Nothing,
                [a, b, c, d, flags, ..] if [a, b, c, d] == LZ4_MAGIC => {
                    if flags & 4 == 0 {
                        End::Mark
                    } else {
                        End::MarkAndChecksum
                    }
                }
                _ => return Err(trailing(Compression::Lz4)),
            };
            let tail = Tail { from, last: self.last };
            self.frame = Some((FrameDecoder::new(tail), end));
            return Ok(true);
        }
    }
}

impl Read for Lz4 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(from) = self.from.take()
                && !self.next_frame(from)?
            {
                return Ok(0);
            }
            let Some((frame, end)) = &mut self.frame else { return Ok(0) };
            let count = frame.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let [a @ .., _, _, _, _] = frame.get_ref().last;
            let [_, _, _, _, b @ ..] = frame.get_ref().last;
            let whole = match end {
                End::Mark => b == [0; 4],
                End::MarkAndChecksum => a == [0; 4],
                End::Nothing => true,
            };
            if !whole {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.from = self.frame.take().map(|(frame, _)| frame.into_inner().from);
        }
    }
}

/// Remembers the last bytes read.
struct Tail {
    from: Peek,
    last: [u8; 8],
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        let kept = buffer.get(count.saturating_sub(8)..count).unwrap_or_default();
        self.last.rotate_left(kept.len());
        let from = 8 - kept.len();
        if let Some(place) = self.last.get_mut(from..) {
            place.copy_from_slice(kept);
        }
        Ok(count)
    }
}
