//! Numbers as people read them: lengths of time, counts, shares, plurals.
//!
//! Only for the sentences of findings. Knows nothing of what the numbers mean.

use crate::stamp::{FrameId, Span};

/// `850 ns`, `41 us`, `3.1 ms`, `1.50 s`, `41 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn span(span: Span) -> String {
    let nanos = span.nanos().max(0);
    let seconds = nanos / 1_000_000_000;
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{} us", nanos / 1_000),
        1_000_000..1_000_000_000 => tenths(nanos / 100_000, "ms"),
        1_000_000_000..10_000_000_000 => tenths(nanos / 100_000_000, "s"),
        _ if seconds < 120 => format!("{seconds} s"),
        _ if seconds < 7_200 => two(seconds / 60, "min", seconds % 60, "s"),
        _ if seconds < 172_800 => two(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// A display filter that also selects the frames a finding cites, those of the first file: what
/// Wireshark finds by its own rules may be others, or need a preference (`tcp.check_checksum`).
pub(super) fn filter_with(expression: &str, frames: &[FrameId]) -> String {
    let Some(first) = frames.first() else { return expression.to_owned() };
    let cited: Vec<String> = frames
        .iter()
        .filter(|frame| frame.file() == first.file())
        .map(|frame| frame.number().to_string())
        .collect();
    format!("{expression} || frame.number in {{{}}}", cited.join(", "))
}

/// The longest of some lengths of time: `63 s` for a single one, `up to 63 s` for several, and
/// `at least 63 s` where the capture's end cut some off.
pub(super) fn longest(longest: Span, of: u64, cut_off: u64) -> String {
    let text = span(longest);
    match (of, cut_off) {
        (0 | 1, 0) => text,
        (_, 0) => format!("up to {text}"),
        _ => format!("at least {text}"),
    }
}

/// `11,004`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 connection`, `11,004 connections`.
pub(crate) fn counted(value: u64, one: &str) -> String {
    if value == 1 { format!("1 {one}") } else { format!("{} {one}s", count(value)) }
}

/// `never repeated`, `repeated once`, `repeated up to 3 times`.
pub(crate) fn repeated(most: u64) -> String {
    match most {
        0 => "never repeated".to_owned(),
        1 => "repeated once".to_owned(),
        _ => format!("repeated up to {}", counted(most, "time")),
    }
}

/// How many thousandths of the whole a part is, rounded down; 0 of nothing.
pub(super) fn thousandths(part: u64, whole: u64) -> u64 {
    part.saturating_mul(1_000).checked_div(whole).unwrap_or(0)
}

/// Thousandths as a percentage: `99.8 %`, `41 %`.
pub(crate) fn permille(value: u64) -> String {
    if value.is_multiple_of(10) {
        format!("{} %", value / 10)
    } else {
        format!("{}.{} %", value / 10, value % 10)
    }
}

/// A share of a whole in tenths of a percent: `0.4 %`.
pub(crate) fn share(part: u64, whole: u64) -> String {
    let scaled = u128::from(part) * 1_000 + u128::from(whole) / 2;
    let thousandths = scaled.checked_div(u128::from(whole)).unwrap_or(0);
    match u64::try_from(thousandths).unwrap_or(u64::MAX) {
        0 if part > 0 => "under 0.1 %".to_owned(),
        thousandths => permille(thousandths),
    }
}

/// Two units, the smaller one only where it says something.
fn two(large: i64, unit: &str, small: i64, smaller: &str) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {smaller}") }
}

/// Tenths without a needless `.0`.
fn tenths(value: i64, unit: &str) -> String {
    if value % 10 == 0 {
        format!("{} {unit}", value / 10)
    } else {
        format!("{}.{} {unit}", value / 10, value % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_read_naturally() {
        let texts = [850, 41_000, 3_140_000, 1_500_000_000, 63_000_000_000, 250_000_000_000]
            .map(|nanos| span(Span::from_nanos(nanos)));
        assert_eq!(texts, ["850 ns", "41 us", "3.1 ms", "1.5 s", "63 s", "4 min 10 s"]);
        assert_eq!(span(Span::from_secs(7_875)), "2 h 11 min");
        assert_eq!(span(Span::from_secs(120)), "2 min");
        let longest = |of, cut_off| longest(Span::from_secs(9), of, cut_off);
        assert_eq!([longest(1, 0), longest(2, 0)], ["9 s", "up to 9 s"]);
        assert_eq!(longest(1, 1), "at least 9 s");
    }

    #[test]
    fn counts_are_grouped_and_shares_rounded() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(28_232)],
            ["0", "999", "1,000", "28,232"]
        );
        assert_eq!([counted(1, "SYN"), counted(2, "SYN")], ["1 SYN", "2 SYNs"]);
        assert_eq!([permille(998), permille(410)], ["99.8 %", "41 %"]);
    }

    #[test]
    fn shares_never_round_something_to_nothing() {
        assert_eq!(
            [share(0, 9), share(1, 1_000_000), share(1, 3)],
            ["0 %", "under 0.1 %", "33.3 %"]
        );
        assert_eq!(share(0, 0), "0 %");
    }
}
