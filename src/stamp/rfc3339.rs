//! Times as every report prints them: RFC 3339 in UTC, with nine digits of the second.
//!
//! By hand, since the line of a connection holds about forty of them; jiff is the oracle of the test.

use std::cell::Cell;
use std::fmt;

use super::{Time, digits};

/// Length of the text: an `i64` of nanoseconds reaches from 1677 to 2262.
const LENGTH: usize = "2026-01-02T03:04:05.000000001Z".len();

/// A time as text, in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339([u8; LENGTH]);

impl Rfc3339 {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Digits and punctuation.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The text, as bytes.
    pub(crate) const fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Time> for Rfc3339 {
    #[inline]
    fn from(time: Time) -> Self {
        const SECOND: i64 = 1_000_000_000;
        let (seconds, nanos) = (time.nanos().div_euclid(SECOND), time.nanos().rem_euclid(SECOND));
        let (known, mut text) = LATEST.get();
        if known != seconds {
            text = whole(seconds);
            LATEST.set((seconds, text));
        }
        // Nine digits, which fit.
        let nanos = u32::try_from(nanos).unwrap_or_default();
        if let [first, rest @ .., _] = text.get_mut(20..).unwrap_or_default() {
            *first = b'0' + (nanos / digits::LIMIT % 10) as u8;
            rest.copy_from_slice(&digits::eight(nanos % digits::LIMIT));
        }
        Self(text)
    }
}

thread_local! {
    /// The latest second and its text: the times of a connection lie close together as a rule.
    static LATEST: Cell<(i64, [u8; LENGTH])> =
        const { Cell::new((0, *b"1970-01-01T00:00:00.000000000Z")) };
}

/// The text of a second's beginning.
#[cold]
fn whole(seconds: i64) -> [u8; LENGTH] {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    put::<4>(&mut text, 0, year);
    put::<2>(&mut text, 5, month);
    put::<2>(&mut text, 8, day);
    put::<2>(&mut text, 11, second / 3_600);
    put::<2>(&mut text, 14, second / 60 % 60);
    put::<2>(&mut text, 17, second % 60);
    text
}

/// Puts the last digits of a number at a place of the text.
fn put<const DIGITS: usize>(text: &mut [u8; LENGTH], at: usize, number: i64) {
    // As many digits as there are places, none of which has more than nine.
    let mut rest = u32::try_from(number).unwrap_or_default();
    if let Some(place) = text.get_mut(at..at + DIGITS) {
        for index in (0..DIGITS).rev() {
            if let Some(digit) = place.get_mut(index) {
                *digit = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
        }
    }
}

/// Year, month and day of the day that is so many days after 1970-01-01, in the Gregorian calendar.
///
/// Counts from the first of March of the year 0, so that leap days end a year; the algorithm is that
/// of H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn by_jiff(nanos: i64) -> String {
        format!("{:.9}", Timestamp::from_nanosecond(i128::from(nanos)).unwrap())
    }

    #[test]
    fn the_ends_of_the_range_and_leap_days_are_right() {
        let day = 86_400 * 1_000_000_000;
        for nanos in [i64::MIN, i64::MAX, 0, -1, 951_782_400_000_000_000, 68_169_600_000_000_000] {
            for nanos in [nanos.saturating_sub(day), nanos, nanos.saturating_add(day)] {
                assert_eq!(Rfc3339::from(Time::from_nanos(nanos)).as_str(), by_jiff(nanos));
            }
        }
    }

    proptest! {
        #[test]
        fn any_time_is_printed_as_jiff_prints_it(nanos in any::<i64>()) {
            let text = Rfc3339::from(Time::from_nanos(nanos)).to_string();
            prop_assert_eq!(text, by_jiff(nanos));
        }
    }
}
