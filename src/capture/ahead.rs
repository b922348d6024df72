//! What of a file will be read soon, asked for before it is.
//!
//! A capture that was not read lately lies on a disk, and the system reads 128 KiB ahead of a reader
//! by default, which leaves the disk idle while what came is worked on, and workers that read side by
//! side in each other's way. So whoever reads a piece of a file asks for what lies a good way behind
//! it, unless that is in memory already.

use std::fs::File;
use std::ops::Range;

use super::Context;

/// How far ahead: a wave at least, the pieces of which are read at the same time.
const DISTANCE: u64 = 64 << 20;

/// Asked for at once: the kernel takes no more of one request than it may read ahead of a reader
/// (`force_page_cache_ra`), 128 KiB by default.
const REQUEST: u64 = 128 << 10;

/// The piece that begins in front of this is a file's first.
const FIRST: u64 = Context::HEAD as u64;

/// What to ask for when `piece` of a file of `len` bytes is about to be read: so much behind it as it is
/// long; and all between, where it is the file's first.
fn behind(piece: &Range<u64>, len: u64) -> Range<u64> {
    let from = if piece.start < FIRST { piece.end } else { piece.start.saturating_add(DISTANCE) };
    from.min(len)..piece.end.saturating_add(DISTANCE).min(len)
}

/// Asks for what lies behind `piece` of a part of a file: `len` bytes from `base` on.
pub(super) fn ask(file: &File, base: u64, piece: &Range<u64>, len: u64) {
    let Range { start, end } = behind(piece, len);
    if start >= end || system::is_at_hand(file, base + end - 1) {
        return;
    }
    let mut at = start;
    while at < end {
        system::will_need(file, base + at, REQUEST.min(end - at));
        at += REQUEST;
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::IoSliceMut;
    use std::num::NonZero;

    use rustix::fs::{Advice, fadvise};
    use rustix::io::{ReadWriteFlags, preadv2};

    /// The byte at `offset` can be read without waiting for a disk.
    pub(super) fn is_at_hand(file: &File, offset: u64) -> bool {
        let mut byte = [0];
        preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT).is_ok()
    }

    /// Only a hint: what it does not bring is waited for when it is read.
    pub(super) fn will_need(file: &File, offset: u64, len: u64) {
        let _hint = fadvise(file, offset, NonZero::new(len), Advice::WillNeed);
    }
}

/// Systems without such a call read ahead by themselves.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;

    pub(super) const fn is_at_hand(_: &File, _: u64) -> bool {
        true
    }

    pub(super) const fn will_need(_: &File, _: u64, _: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_behind_the_first_piece_is_asked_for_once() {
        for (len, size) in [(500 << 20, 4 << 20), ((500 << 20) + 7, 300_000), (10 << 20, 1 << 20)] {
            let (mut at, mut asked) = (24, None);
            while at < len {
                let piece = at..(at + size).min(len);
                let range = behind(&piece, len);
                assert_eq!(range.start, asked.unwrap_or(piece.end));
                assert!(range.end - piece.end <= DISTANCE && range.end <= len);
                (at, asked) = (piece.end, Some(range.end));
            }
            assert_eq!(asked, Some(len));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_just_written_is_at_hand_and_may_be_asked_for() {
        let path = std::env::temp_dir().join(format!("tcpautopsy-ahead-{}", std::process::id()));
        std::fs::write(&path, [7; 8_192]).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(system::is_at_hand(&file, 8_191));
        ask(&file, 0, &(0..4_096), 8_192);
        assert!(system::is_at_hand(&file, 8_191));
    }
}
