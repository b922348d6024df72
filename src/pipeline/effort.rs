//! How much of what a run does is unpacking, and whether there is something else to do.
//!
//! A compressed input is unpacked by one thread at a time, beside which the others do all the rest. Where that is
//! less than they could do, they wait for it. Measured in processor time, so that what else runs on the
//! machine does not count; decides only who does what when, never what comes out.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Processor time that was used lately, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Effort {
    /// For unpacking, since the last look.
    unpacking: AtomicU64,
    recent: Mutex<Recent>,
    /// Parts of the present wave that are being worked on.
    busy: AtomicUsize,
}

/// What was used up to the last look, the latest counting most.
#[derive(Debug, Default)]
struct Recent {
    /// By the whole program since it began, at the last look.
    seen: u64,
    unpacking: u64,
    all: u64,
}

impl Effort {
    /// By how much, in percent, unpacking must be what threads wait for: what is done ahead costs more.
    const MARGIN: u64 = 120;

    /// A part of the present wave is about to be worked on.
    pub(super) fn begin(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// A part of the present wave is done.
    pub(super) fn end(&self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the wave waits for nothing but what is done ahead.
    pub(super) fn is_awaited(&self) -> bool {
        self.busy.load(Ordering::Relaxed) == 0
    }

    /// Runs what unpacks, and counts it.
    pub(super) fn unpack<T>(&self, unpack: impl FnOnce() -> T) -> T {
        let before = system::of_thread();
        let unpacked = unpack();
        self.unpacking.fetch_add(system::of_thread().saturating_sub(before), Ordering::Relaxed);
        unpacked
    }

    /// Whether the threads that unpack so many streams would be busy for longer than all of them with
    /// everything, shared out evenly. For whoever looks from time to time.
    pub(super) fn is_unpacking(&self, streams: usize, threads: usize) -> bool {
        self.was_unpacking(system::of_program(), threads.div_ceil(streams.max(1)))
    }

    fn was_unpacking(&self, now: u64, threads: usize) -> bool {
        let unpacking = self.unpacking.swap(0, Ordering::Relaxed);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.unpacking = recent.unpacking / 8 * 7 + unpacking;
        recent.all = recent.all / 8 * 7 + now.saturating_sub(recent.seen);
        recent.seen = now;
        is_longer(recent.unpacking, recent.all, threads)
    }
}

/// Whether unpacking alone takes longer than everything on so many threads for each that unpacks.
const fn is_longer(unpacking: u64, all: u64, threads: usize) -> bool {
    let shared_out = unpacking.saturating_mul(threads as u64);
    shared_out.saturating_mul(100) > all.saturating_mul(Effort::MARGIN)
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    fn nanos(clock: ClockId) -> u64 {
        let time = clock_gettime(clock);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
    }

    pub(super) fn of_thread() -> u64 {
        nanos(ClockId::ThreadCPUTime)
    }

    pub(super) fn of_program() -> u64 {
        nanos(ClockId::ProcessCPUTime)
    }
}

/// Elsewhere it is not known, and nothing is unpacked ahead.
#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) const fn of_thread() -> u64 {
        0
    }

    pub(super) const fn of_program() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacking_is_waited_for_where_it_is_more_than_a_threads_share_of_all() {
        assert!(!is_longer(5, 10, 1) && !is_longer(5, 10, 2) && is_longer(5, 10, 4));
        assert!(is_longer(9, 10, 2) && !is_longer(0, 10, 16) && !is_longer(0, 0, 16));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_unpacks_counts() {
        let effort = Effort::default();
        let mut sum = 0_u64;
        effort.unpack(|| (0..5_000_000_u64).for_each(|it| sum = sum.wrapping_mul(31) ^ it));
        let used = effort.unpacking.load(Ordering::Relaxed);
        assert!(used > 0 && sum > 0);
        assert!(effort.was_unpacking(used, 2));
        // Nothing was unpacked since, while much was done.
        assert!(!effort.was_unpacking(20 * used, 2));
    }
}
