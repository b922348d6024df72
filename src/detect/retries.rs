//! What the distances between repeated SYNs or SYN-ACKs tell about the sender's settings.
//!
//! Pure arithmetic on gaps. Knows nothing of who sent them.

use crate::stamp::{Span, Time};

/// How a sender spaces its repetitions, and how often it repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Distance of the first repetition, in seconds: 1 today, 3 on kernels before 3.1.
    pub(super) first: u32,
    /// Repetitions at even distances beyond the ordinary first one (`tcp_syn_linear_timeouts`).
    pub(super) linear: u32,
    /// Repetitions in all.
    pub(super) repetitions: u32,
}

impl Schedule {
    /// The schedule that `gaps` fit; none where they fit none.
    ///
    /// Linux doubles each distance. With `tcp_syn_linear_timeouts` = L there are L + 1 even ones
    /// before the first doubling, and L more repetitions in all (networking/ip-sysctl).
    pub(super) fn of(gaps: &[Span]) -> Option<Self> {
        let gap = *gaps.first()?;
        let first = [1_u32, 3].into_iter().find(|first| is_near(gap, *first))?;
        let even = gaps.iter().take_while(|gap| is_near(**gap, first)).count();
        let mut expected = first;
        for gap in gaps.iter().skip(even) {
            expected = expected.saturating_mul(2).min(MAX_GAP);
            if !is_near(*gap, expected) {
                return None;
            }
        }
        let (even, repetitions) = (u32::try_from(even).ok()?, u32::try_from(gaps.len()).ok()?);
        Some(Self { first, linear: even - 1, repetitions })
    }

    /// The `tcp_syn_retries` that a sender with this schedule has, once it has given up.
    pub(super) const fn retries(self) -> u32 {
        self.repetitions - self.linear
    }
}

/// TCP's retransmission timeout never exceeds 120 s (Linux `TCP_RTO_MAX`).
const MAX_GAP: u32 = 120;

/// Whether a sender that spoke first at `first`, and then after each of `gaps`, has certainly given
/// up by `until`: another repetition would have come within twice the last gap, and half of that
/// again is allowed for its timer.
pub(super) fn gave_up(first: Time, gaps: &[Span], until: Time) -> bool {
    let last = gaps.iter().fold(first, |time, gap| time + *gap);
    let gap = gaps.last().map_or(1_000_000_000, |gap| gap.nanos());
    let next = gap.saturating_mul(2).clamp(1_000_000_000, i64::from(MAX_GAP) * 1_000_000_000);
    until.since(last).nanos() > next.saturating_mul(3) / 2
}

/// Within a quarter of `seconds`: timers are late, never that early.
fn is_near(gap: Span, seconds: u32) -> bool {
    let expected = i64::from(seconds) * 1_000_000_000;
    gap.nanos().abs_diff(expected) <= expected.unsigned_abs() / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(seconds: &[i64]) -> Vec<Span> {
        seconds.iter().map(|seconds| Span::from_millis(seconds * 1_000 + 24)).collect()
    }

    #[test]
    fn the_classic_schedule_gives_its_number_of_retries() {
        let schedule = Schedule::of(&gaps(&[1, 2, 4, 8, 16, 32])).unwrap();
        assert_eq!((schedule.first, schedule.linear, schedule.retries()), (1, 0, 6));
    }

    #[test]
    fn four_linear_timeouts_are_taken_off() {
        let schedule = Schedule::of(&gaps(&[1, 1, 1, 1, 1, 2, 4, 8, 16, 32])).unwrap();
        assert_eq!((schedule.linear, schedule.retries()), (4, 6));
    }

    #[test]
    fn old_kernels_begin_at_three_seconds() {
        let schedule = Schedule::of(&gaps(&[3, 6, 12, 24, 48])).unwrap();
        assert_eq!((schedule.first, schedule.retries()), (3, 5));
    }

    #[test]
    fn gaps_grow_to_two_minutes_and_no_further() {
        let schedule = Schedule::of(&gaps(&[1, 2, 4, 8, 16, 32, 64, 120]));
        assert_eq!(schedule.unwrap().retries(), 8);
        assert_eq!(Schedule::of(&gaps(&[1, 2, 4, 8, 16, 32, 64, 128, 256])), None);
    }

    #[test]
    fn other_spacings_fit_no_schedule() {
        assert_eq!(Schedule::of(&gaps(&[1, 7])), None);
        assert_eq!(Schedule::of(&gaps(&[10, 10])), None);
        assert_eq!(Schedule::of(&[]), None);
    }

    #[test]
    fn giving_up_is_certain_only_after_the_next_gap_has_passed() {
        let at = |millis| Time::from_nanos(0) + Span::from_millis(millis);
        let three = gaps(&[1, 2, 4]);
        assert!(!gave_up(at(0), &three, at(7_072 + 12_072)));
        assert!(gave_up(at(0), &three, at(7_072 + 12_073)));
    }
}
