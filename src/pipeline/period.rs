//! `--from` and `--to`: the period to look at.
//!
//! Frames outside are counted and passed over before they are decoded, and do not move the clock.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::stamp::{Span, Time};

/// From a moment on, and before another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// The first moment of it; none for the capture's beginning.
    pub from: Option<Moment>,
    /// The first moment behind it; none for the capture's end.
    pub to: Option<Moment>,
}

/// A moment as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A time.
    At(Time),
    /// So long after the first frame of all inputs.
    AfterStart(Span),
}

/// What is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a time: use RFC 3339 (2026-01-02T03:04:05Z; UTC without a zone), seconds since 1970, or \
     +5m after the first frame"
)]
pub struct NoMoment;

impl Period {
    /// Its first moment and the first one behind it, in a capture whose first frame is at `start`.
    #[must_use]
    pub fn resolve(self, start: Time) -> (Option<Time>, Option<Time>) {
        let time = |moment| match moment {
            Moment::At(time) => time,
            Moment::AfterStart(span) => start + span,
        };
        (self.from.map(time), self.to.map(time))
    }
}

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        if let Some(after) = text.strip_prefix('+') {
            let span = seconds(after).or_else(|| {
                let duration: SignedDuration = after.parse().ok()?;
                i64::try_from(duration.as_nanos()).ok()
            });
            return span.map(|nanos| Self::AfterStart(Span::from_nanos(nanos))).ok_or(NoMoment);
        }
        if let Some(nanos) = seconds(text) {
            return Ok(Self::At(Time::from_nanos(nanos)));
        }
        let stamp = text.parse::<Timestamp>().ok().or_else(|| {
            let civil: DateTime = text.parse().ok()?;
            civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
        });
        let nanos = stamp.and_then(|stamp| i64::try_from(stamp.as_nanosecond()).ok());
        nanos.map(|nanos| Self::At(Time::from_nanos(nanos))).ok_or(NoMoment)
    }
}

/// Nanoseconds of a number of seconds with up to nine digits behind the point.
fn seconds(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 9 {
        return None;
    }
    let nanos: i64 = format!("{part:0<9}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        match text.parse() {
            Ok(Moment::At(time)) => time.nanos(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn times_come_with_a_zone_without_one_and_as_seconds() {
        let expected = 1_767_323_045_000_000_000;
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T04:04:05+01:00",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05",
            "1767323045",
            "1767323045.000000000",
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
        assert_eq!(at("2026-01-02T03:04"), expected - 5_000_000_000);
        assert_eq!(at("2026-01-02"), expected - 11_045_000_000_000);
        assert_eq!(at("1767323045.25"), expected + 250_000_000);
        assert_eq!(at("2026-01-02T03:04:05.000000001Z"), expected + 1);
    }

    #[test]
    fn spans_count_from_the_first_frame() {
        for (text, seconds) in [("+5m", 300), ("+1h30m", 5_400), ("+90s", 90), ("+30", 30)] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment, Moment::AfterStart(Span::from_secs(seconds)), "{text}");
        }
        let period = Period { from: Some("+1s".parse().unwrap()), to: None };
        let start = Time::from_nanos(5);
        assert_eq!(period.resolve(start), (Some(Time::from_nanos(1_000_000_005)), None));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "+", "yesterday", "12:30", "1.2.3", "99999999999999999999", "+5 apples"] {
            assert_eq!(text.parse::<Moment>(), Err(NoMoment), "{text}");
        }
    }
}
