//! Round trips of one direction: from the tap to the receiver and back.
//!
//! A sample is the time from the passage of a segment to that of the acknowledgment which covers
//! its bytes; acknowledgments that could belong to a repetition give none (RFC 6298 3, Karn). The
//! distribution is kept in logarithmic buckets: its size has a bound, and it adds up.

use crate::compact::compact;

use crate::near;
use crate::stamp::Span;

/// The round trips of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Rtt {
    samples: u32,
    min: i64,
    max: i64,
    /// SRTT and RTTVAR of RFC 6298 2, in nanoseconds, as the sender would compute them here.
    smoothed: i64,
    variation: i64,
    histogram: Histogram,
}

compact!(struct Rtt { samples, min, max, smoothed, variation, histogram });

/// What is known about the round trips of one direction, from the tap to the receiver and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RttSummary {
    /// Measurements.
    pub samples: u32,
    /// The shortest, exact.
    pub min: Span,
    /// The median, within 3 %.
    pub median: Span,
    /// 95 % took at most this long, within 3 %.
    pub p95: Span,
    /// The longest, exact.
    pub max: Span,
}

impl Rtt {
    /// Asks the memory for what the next measurement will need.
    #[inline]
    pub(super) fn prefetch(&self) {
        near::value(&self.histogram);
        near::value(&self.smoothed);
    }

    /// Takes a measurement; a negative one (the capture's time ran backwards) is left out.
    pub(super) fn add(&mut self, sample: Span) {
        let nanos = sample.nanos();
        if nanos < 0 {
            return;
        }
        if self.samples == 0 {
            (self.min, self.max) = (nanos, nanos);
            (self.smoothed, self.variation) = (nanos, nanos / 2);
        } else {
            (self.min, self.max) = (self.min.min(nanos), self.max.max(nanos));
            let error = nanos - self.smoothed;
            self.variation += (error.abs() - self.variation) / 4;
            self.smoothed += error / 8;
        }
        self.samples = self.samples.saturating_add(1);
        self.histogram.add(nanos.unsigned_abs());
    }

    /// The smoothed round trip; none without a measurement.
    pub(super) fn smoothed(&self) -> Option<Span> {
        (self.samples > 0).then(|| Span::from_nanos(self.smoothed))
    }

    /// The shortest round trip; none without a measurement.
    pub(super) fn min(&self) -> Option<Span> {
        (self.samples > 0).then(|| Span::from_nanos(self.min))
    }

    /// Four times RTTVAR: what RFC 6298 2.3 adds to the smoothed round trip.
    pub(super) fn margin(&self) -> Span {
        Span::from_nanos(self.variation.saturating_mul(4))
    }

    /// The distribution; none without a measurement.
    pub(super) fn summary(&self) -> Option<RttSummary> {
        let quantile = |percent| {
            let nanos = i64::try_from(self.histogram.quantile(percent)).unwrap_or(i64::MAX);
            Span::from_nanos(nanos.clamp(self.min, self.max))
        };
        (self.samples > 0).then(|| RttSummary {
            samples: self.samples,
            min: Span::from_nanos(self.min),
            median: quantile(50),
            p95: quantile(95),
            max: Span::from_nanos(self.max),
        })
    }
}

/// Counts in buckets that are a sixteenth of a power of two wide: never off by more than 3.2 %.
///
/// Few buckets are in use on one path; four of them need no memory of their own.
#[derive(Clone, Debug, Default)]
struct Histogram {
    few: [Bucket; Self::FEW],
    /// All buckets in order, once there are more than fit in `few`; at most 64 * 16.
    many: Vec<Bucket>,
}

compact!(struct Histogram { few, many });

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket {
    index: u16,
    count: u32,
}

compact!(struct Bucket { index, count });

impl Histogram {
    const FEW: usize = 4;
    /// The bits after the leading one that tell buckets apart.
    const PRECISION: u32 = 4;

    fn add(&mut self, value: u64) {
        let index = Self::index(value);
        if self.many.is_empty() {
            for bucket in &mut self.few {
                if bucket.count == 0 || bucket.index == index {
                    bucket.index = index;
                    bucket.count = bucket.count.saturating_add(1);
                    return;
                }
            }
            self.many.extend_from_slice(&self.few);
            self.many.sort_unstable_by_key(|bucket| bucket.index);
        }
        match self.many.binary_search_by_key(&index, |bucket| bucket.index) {
            Ok(at) => {
                if let Some(bucket) = self.many.get_mut(at) {
                    bucket.count = bucket.count.saturating_add(1);
                }
            }
            Err(at) => self.many.insert(at, Bucket { index, count: 1 }),
        }
    }

    /// The value that `percent` of the counted ones do not exceed: the middle of its bucket.
    fn quantile(&self, percent: u64) -> u64 {
        let mut few = self.few;
        few.sort_unstable_by_key(|bucket| bucket.index);
        let buckets = if self.many.is_empty() { &few[..] } else { &self.many };
        let total: u64 = buckets.iter().map(|bucket| u64::from(bucket.count)).sum();
        let mut rank = (total * percent).div_ceil(100).max(1);
        for bucket in buckets {
            let count = u64::from(bucket.count);
            if count >= rank {
                return Self::middle(bucket.index);
            }
            rank -= count;
        }
        0
    }

    fn index(value: u64) -> u16 {
        let value = value.max(1 << Self::PRECISION);
        let exponent = value.ilog2() - Self::PRECISION;
        let index = u64::from(exponent << Self::PRECISION) + (value >> exponent);
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    fn middle(index: u16) -> u64 {
        let index = u64::from(index) - (1 << Self::PRECISION);
        let (exponent, mantissa) = (index >> Self::PRECISION, index % (1 << Self::PRECISION));
        let low = ((1 << Self::PRECISION) + mantissa) << exponent;
        low + (1_u64 << exponent) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_three_percent_and_the_ends_exact() {
        let mut rtt = Rtt::default();
        for micros in 1..=1_000 {
            rtt.add(Span::from_micros(micros));
        }
        let summary = rtt.summary().unwrap();
        assert_eq!((summary.min, summary.max), (Span::from_micros(1), Span::from_micros(1_000)));
        let near = |span: Span, micros: i64| {
            (span.nanos() - micros * 1_000).abs() <= micros * 1_000 * 4 / 125
        };
        assert!(near(summary.median, 500), "{:?}", summary.median);
        assert!(near(summary.p95, 950), "{:?}", summary.p95);
    }

    #[test]
    fn one_measurement_is_told_exactly() {
        let mut rtt = Rtt::default();
        rtt.add(Span::from_nanos(-5));
        assert_eq!(rtt.summary(), None, "a negative time is no measurement");
        rtt.add(Span::from_nanos(123_457));
        let summary = rtt.summary().unwrap();
        assert_eq!((summary.median, summary.p95), (summary.min, summary.max));
    }

    #[test]
    fn any_value_has_a_bucket_that_contains_it() {
        let mut value = 16_u64;
        while value < u64::MAX / 3 {
            let middle = Histogram::middle(Histogram::index(value));
            assert!(middle.abs_diff(value) * 31 <= value, "{value} {middle}");
            value += value / 7 + 1;
        }
        assert!(Histogram::index(u64::MAX) < 64 * 16 + 16);
    }

    #[test]
    fn the_order_of_measurements_does_not_matter() {
        let values: Vec<i64> = (0..500).map(|at| (at * 7_919) % 100_000 + 20).collect();
        let summary = |values: &mut dyn Iterator<Item = &i64>| {
            let mut rtt = Rtt::default();
            values.for_each(|nanos| rtt.add(Span::from_nanos(*nanos)));
            rtt.summary()
        };
        assert_eq!(summary(&mut values.iter()), summary(&mut values.iter().rev()));
    }
}
