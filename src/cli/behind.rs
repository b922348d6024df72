//! Writing behind: what is to be written waits in pieces, and a thread of its own writes them.
//!
//! A run makes gigabytes of lines on all its threads; the system takes as long to take them in as a
//! thread does to make them. Nothing is handed to the thread as long as all of it fits one piece.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Bytes of a piece, about.
const PIECE: usize = 256 << 10;

/// Pieces that wait for the thread at most; whoever brings more waits too.
const WAITING: usize = 4;

/// Writes what is brought, in order, while its maker goes on. What could not be written is told the
/// next time, and at the end at the latest.
pub(super) struct Behind {
    piece: Vec<u8>,
    state: State,
}

/// Who has what is written to.
enum State {
    Idle(Box<dyn Write + Send + Sync>),
    Busy(Scribe),
    /// Nobody any more: that was told.
    Over,
}

/// The thread that writes.
struct Scribe {
    pieces: SyncSender<Vec<u8>>,
    /// Memory of pieces that are written, to be used again.
    written: Mutex<Receiver<Vec<u8>>>,
    thread: JoinHandle<io::Result<()>>,
}

impl Behind {
    pub(super) fn new(out: Box<dyn Write + Send + Sync>) -> Self {
        Self { piece: Vec::new(), state: State::Idle(out) }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The disk is full, the pipe is broken, and the like: now, or for what was brought before.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() < PIECE {
            return Ok(());
        }
        if let State::Idle(_) = self.state {
            self.begin()?;
        }
        let is_taken = match &mut self.state {
            State::Busy(scribe) => {
                let written = scribe.written.get_mut().unwrap_or_else(PoisonError::into_inner);
                let room = written.try_recv().unwrap_or_default();
                scribe.pieces.send(std::mem::replace(&mut self.piece, room)).is_ok()
            }
            State::Idle(_) | State::Over => false,
        };
        // Nobody takes it who has not ended before its time.
        if is_taken { Ok(()) } else { self.end() }
    }

    /// Writes all that waits, and waits for it.
    ///
    /// # Errors
    /// As for [`Behind::append`].
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.close()
    }

    fn close(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.piece);
        match &mut self.state {
            State::Idle(out) => {
                let written = out.write_all(&rest).and_then(|()| out.flush());
                self.state = State::Over;
                written
            }
            State::Busy(scribe) => {
                // If nobody takes it, the end says why.
                let _ = scribe.pieces.send(rest);
                self.end()
            }
            State::Over => Ok(()),
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        let State::Idle(mut out) = std::mem::replace(&mut self.state, State::Over) else {
            return Ok(());
        };
        let (pieces, next) = sync_channel::<Vec<u8>>(WAITING);
        let (back, written) = channel();
        let thread = Builder::new().name("output".to_owned()).spawn(move || {
            for mut piece in next {
                out.write_all(&piece)?;
                piece.clear();
                // Whoever has ended wants no memory back.
                let _ = back.send(piece);
            }
            out.flush()
        })?;
        self.state = State::Busy(Scribe { pieces, written: Mutex::new(written), thread });
        Ok(())
    }

    /// Waits for the thread to end, and says how it did.
    fn end(&mut self) -> io::Result<()> {
        self.piece.clear();
        let State::Busy(scribe) = std::mem::replace(&mut self.state, State::Over) else {
            return Ok(());
        };
        let Scribe { pieces, thread, .. } = scribe;
        drop(pieces);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes panicked")))
    }
}

/// What a run that failed has brought is written all the same.
impl Drop for Behind {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl Write for Behind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)?;
        Ok(bytes.len())
    }

    /// What waits is written when there is enough of it, and in the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Remembers what it is given, up to a number of bytes.
    #[derive(Clone)]
    struct Disk {
        written: Arc<Mutex<Vec<u8>>>,
        room: usize,
    }

    impl Disk {
        fn of(room: usize) -> Self {
            Self { written: Arc::default(), room }
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.written.lock().unwrap();
            if written.len() + bytes.len() > self.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|number| format!("{number:>99}\n"))
    }

    #[test]
    fn what_is_brought_arrives_in_order_however_much_it_is() {
        for count in [0, 3, 3 * PIECE / 100, 20 * PIECE / 100] {
            let disk = Disk::of(usize::MAX);
            let mut behind = Behind::new(Box::new(disk.clone()));
            lines(count).for_each(|line| behind.append(line.as_bytes()).unwrap());
            behind.finish().unwrap();
            let written = disk.written.lock().unwrap();
            assert!(*written == lines(count).collect::<String>().into_bytes(), "{count} lines");
        }
    }

    #[test]
    fn a_disk_that_is_full_is_told_once_and_nothing_hangs() {
        let mut behind = Behind::new(Box::new(Disk::of(2 * PIECE + PIECE / 2)));
        let mut lines = lines(20 * PIECE / 100);
        let refused = lines.find_map(|line| behind.append(line.as_bytes()).err());
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::StorageFull);
        behind.append(b"more").unwrap();
        behind.finish().unwrap();
    }

    #[test]
    fn what_was_brought_before_a_run_failed_is_written() {
        let disk = Disk::of(usize::MAX);
        let mut behind = Behind::new(Box::new(disk.clone()));
        lines(7_000).for_each(|line| behind.append(line.as_bytes()).unwrap());
        drop(behind);
        assert_eq!(disk.written.lock().unwrap().len(), 700_000);
    }

    #[test]
    fn a_little_that_does_not_fit_is_told_in_the_end() {
        let mut behind = Behind::new(Box::new(Disk::of(10)));
        behind.append(b"more than there is room for").unwrap();
        assert_eq!(behind.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
