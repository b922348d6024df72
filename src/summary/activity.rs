//! Attempts to connect over time: how many, how many came through, and how long that took.
//!
//! An attempt is counted at the time of its first SYN, so that "completed before" and "completed
//! during" compare the same thing.

use super::brief::packed::{put, take};
use super::sparse::{Amount, Sparse};
use crate::connection::HandshakeOutcome;
use crate::stamp::{Span, Time};

/// Attempts at one listener over time.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    ticks: Sparse<Attempts, { Activity::MAX_TICKS }, { Activity::FINEST }>,
}

/// Attempts in some span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// First SYNs.
    pub attempts: u64,
    /// Of these, how many became connections.
    pub completed: u64,
    /// Attempts that failed although the client sent its SYN more than once: a client that meant
    /// it, while a forged source sends one SYN and is gone.
    pub insisted_in_vain: u64,
    /// Attempts that left the server in a half-open handshake.
    pub half_open: u64,
    /// Completed attempts whose handshake could be timed.
    pub timed: u64,
    /// Sum of their times from the first SYN to the acknowledgment of the SYN-ACK, in ns.
    pub handshake_ns: u64,
    /// The longest of them, in ns.
    pub longest_ns: u64,
}

impl Attempts {
    /// Share of the clients that meant it which came through, in thousandths; none where there
    /// was no such client.
    #[must_use]
    pub fn completed_permille(&self) -> Option<u64> {
        let meant = self.completed + self.insisted_in_vain;
        (self.completed * 1_000 + meant / 2).checked_div(meant)
    }

    /// Mean time of a handshake.
    #[must_use]
    pub fn mean_handshake(&self) -> Option<Span> {
        let mean = self.handshake_ns.checked_div(self.timed)?;
        Some(Span::from_nanos(i64::try_from(mean).unwrap_or(i64::MAX)))
    }
}

impl Amount for Attempts {
    fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.completed += other.completed;
        self.insisted_in_vain += other.insisted_in_vain;
        self.half_open += other.half_open;
        self.timed += other.timed;
        self.handshake_ns = self.handshake_ns.saturating_add(other.handshake_ns);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }

    fn pack(&self, into: &mut Vec<u8>) {
        let Self { attempts, completed, insisted_in_vain, half_open, timed, .. } = *self;
        let counts = [attempts, completed, insisted_in_vain, half_open, timed];
        counts.into_iter().chain([self.handshake_ns, self.longest_ns]).for_each(|n| put(into, n));
    }

    fn unpack(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            attempts: take(bytes)?,
            completed: take(bytes)?,
            insisted_in_vain: take(bytes)?,
            half_open: take(bytes)?,
            timed: take(bytes)?,
            handshake_ns: take(bytes)?,
            longest_ns: take(bytes)?,
        })
    }
}

impl Activity {
    /// Ticks that are kept before they widen: about 64 KiB.
    pub const MAX_TICKS: usize = 1_024;
    /// The finest tick is 2^26 ns, 67 ms.
    const FINEST: u8 = 26;

    /// Asks the memory for where the next attempts are written.
    pub(super) fn prefetch_end(&self) {
        self.ticks.prefetch_end();
    }

    /// Adds what one connection, whose first SYN passed at `at`, did.
    pub fn add(&mut self, at: Time, attempts: Attempts) {
        self.ticks.push(at, attempts);
    }

    /// Adds the attempts of another shard.
    pub fn merge(&mut self, other: &Self) {
        self.ticks.merge(&other.ticks);
    }

    /// Puts the ticks in order; reading them is cheap then.
    pub(super) fn settle(&mut self) {
        self.ticks.settle();
    }

    /// Widens the ticks until no more than `most` are kept.
    pub(super) fn coarsen(&mut self, most: usize) {
        self.ticks.coarsen(most);
    }

    /// How many ticks are kept.
    pub(super) const fn extent(&self) -> usize {
        self.ticks.extent()
    }

    /// Length of a tick.
    #[must_use]
    pub fn resolution(&self) -> Span {
        self.ticks.resolution()
    }

    /// Attempts made in the ticks that were over before `moment`.
    #[must_use]
    pub fn before(&self, moment: Time) -> Attempts {
        self.sum_where(|_, last| last < moment)
    }

    /// Attempts made in the ticks that `from` to `until` touches.
    #[must_use]
    pub fn during(&self, from: Time, until: Time) -> Attempts {
        self.sum_where(|first, last| last >= from && first <= until)
    }

    fn sum_where(&self, is_in: impl Fn(Time, Time) -> bool) -> Attempts {
        let mut sum = Attempts::default();
        for (first, last, attempts) in self.ticks.ticks() {
            if is_in(first, last) {
                sum.add(&attempts);
            }
        }
        sum
    }

    /// Attempts by tick: the moment at which it begins, and what was tried in it.
    #[must_use]
    pub fn ticks(&self) -> Vec<(Time, Attempts)> {
        self.ticks.ticks().into_iter().map(|(first, _, attempts)| (first, attempts)).collect()
    }
}

/// Whether data could flow.
pub(super) const fn is_complete(outcome: HandshakeOutcome) -> bool {
    matches!(
        outcome,
        HandshakeOutcome::Complete | HandshakeOutcome::FastOpen | HandshakeOutcome::Simultaneous
    )
}
