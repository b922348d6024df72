//! Numbers, sizes, times and inputs as people read them.

use crate::stamp::{Span, Time};

pub(super) use crate::detect::words::{count, counted, share, span};

/// A file as it is shown: what was piped in has no name.
pub(super) fn file(path: &str) -> &str {
    if path == "-" { "standard input" } else { path }
}

/// `512 bytes`, `1.4 kB`, `23 MB`, `1.2 GB`: decimal units.
pub(super) fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if value < 1_000 {
        return counted(value, "byte");
    }
    let mut tenths = value / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    if tenths < 100 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", count(tenths / 10))
    }
}

/// `2026-01-02 03:04:05.000 - 03:19:41.882 UTC, 15 min 37 s`; the second date only where it differs,
/// and one time only where there is but one.
pub(super) fn period(first: Time, last: Time) -> String {
    let [from, until] = [first, last].map(|time| time.to_string());
    let (day, last_day) = (part(&from, 0, 10), part(&until, 0, 10));
    let (start, end) = (part(&from, 11, 23), part(&until, 11, 23));
    let length = span(last.since(first));
    if first == last {
        format!("{day} {start} UTC")
    } else if day == last_day {
        format!("{day} {start} - {end} UTC, {length}")
    } else {
        format!("{day} {start} - {last_day} {end} UTC, {length}")
    }
}

/// `03:07:31 - 03:11:42` within one day; `03:07:31.250` for what lasts less than a second; with
/// month and day where the capture spans several days, with the year too where it spans several.
pub(super) fn when(first: Time, last: Time, capture: (Time, Time)) -> String {
    let [from, until, begin, end] =
        [first, last, capture.0, capture.1].map(|time| time.to_string());
    let is_same = |until| part(&begin, 0, until) == part(&end, 0, until);
    let first_shown = if is_same(10) {
        11
    } else if is_same(4) {
        5
    } else {
        0
    };
    let shown = |text: &str, until| part(text, first_shown, until).replace('T', " ");
    if last.since(first) < Span::from_secs(1) {
        shown(&from, 23)
    } else {
        format!("{} - {}", shown(&from, 19), shown(&until, 19))
    }
}

/// A row of counts as bars from the lowest to the highest: only what is zero stands lowest.
pub(super) fn sparkline(values: &[i64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = values.iter().copied().max().unwrap_or(0).max(1).unsigned_abs();
    let bar = |value: &i64| {
        let value = u128::from((*value).max(0).unsigned_abs());
        let height = (value * 7).div_ceil(u128::from(highest));
        usize::try_from(height).ok().and_then(|height| BARS.get(height)).copied().unwrap_or('█')
    };
    values.iter().map(bar).collect()
}

/// Inputs as a shell takes them; the first ones, if there are many.
pub(super) fn shell(inputs: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut quoted: Vec<_> = inputs.iter().take(SHOWN).map(|input| quote(input)).collect();
    if inputs.len() > SHOWN {
        quoted.push("...".to_owned());
    }
    quoted.join(" ")
}

fn quote(input: &str) -> String {
    let is_safe = |c: char| c.is_alphanumeric() || "/._-+,:=@%".contains(c);
    if !input.is_empty() && input.chars().all(is_safe) {
        input.to_owned()
    } else {
        format!("'{}'", input.replace('\'', r"'\''"))
    }
}

fn part(text: &str, from: usize, until: usize) -> &str {
    text.get(from..until).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Time = Time::from_nanos(1_767_355_200_000_000_000);

    #[test]
    fn sizes_have_two_digits_or_three() {
        let texts = [1, 999, 1_000, 1_448, 99_999, 1_234_567, 5_300_000_000_000].map(bytes);
        assert_eq!(texts, ["1 byte", "999 bytes", "1.0 kB", "1.4 kB", "99 kB", "1.2 MB", "5.3 TB"]);
        assert_eq!(bytes(u64::MAX), "18,446 PB");
    }

    #[test]
    fn periods_name_the_second_date_only_where_it_differs() {
        let later = NOON + Span::from_millis(937_882);
        assert_eq!(period(NOON, later), "2026-01-02 12:00:00.000 - 12:15:37.882 UTC, 15 min 37 s");
        assert_eq!(period(NOON, NOON), "2026-01-02 12:00:00.000 UTC");
        let tomorrow = NOON + Span::from_secs(86_400);
        assert_eq!(
            period(NOON, tomorrow),
            "2026-01-02 12:00:00.000 - 2026-01-03 12:00:00.000 UTC, 24 h"
        );
    }

    #[test]
    fn moments_are_as_precise_as_they_are_short() {
        let capture = (NOON, NOON + Span::from_secs(60));
        let until = NOON + Span::from_millis(20_500);
        assert_eq!(when(NOON, until, capture), "12:00:00 - 12:00:20");
        assert_eq!(when(until, until, capture), "12:00:20.500");
        let days = (NOON, NOON + Span::from_secs(100_000));
        assert_eq!(when(until, until, days), "01-02 12:00:20.500");
        let years = (NOON - Span::from_secs(86_400 * 2), NOON);
        assert_eq!(when(NOON, NOON, years), "2026-01-02 12:00:00.000");
    }

    #[test]
    fn a_sparkline_tells_zero_from_little() {
        assert_eq!(sparkline(&[0, 1, 500, 1_000]), "▁▂▅█");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
        assert_eq!(sparkline(&[i64::MAX, i64::MIN]), "█▁");
    }

    #[test]
    fn inputs_are_quoted_for_the_shell() {
        let inputs = ["a b.pcap", "it's", "x.pcap", "y.pcap"].map(str::to_owned);
        assert_eq!(shell(&inputs), r"'a b.pcap' 'it'\''s' x.pcap ...");
    }
}
