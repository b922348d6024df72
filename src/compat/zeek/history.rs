//! The history column: one letter for each kind of event, upper case for the originator.

use std::fmt;

use crate::compact::compact;

/// The letters so far. The usual ones fit without allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    letters: [u8; History::INLINE],
    length: u8,
    /// Letters that did not fit, of connections with many SYNs or RSTs.
    rest: Option<Box<Rest>>,
}

compact!(struct History { letters, length, rest });

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rest {
    letters: Vec<u8>,
}

compact!(struct Rest { letters });

impl History {
    /// Letters kept in place: 16 are the longest in the 16,525 rows of the public captures that
    /// were compared.
    const INLINE: usize = 23;
    /// Letters kept at most. Zeek has no bound.
    pub const MAX: usize = 1024;

    /// Appends a letter; drops it where [`History::MAX`] are there.
    pub(super) fn push(&mut self, letter: u8) {
        if let Some(place) = self.letters.get_mut(usize::from(self.length)) {
            *place = letter;
            self.length += 1;
            return;
        }
        let rest = &mut self.rest.get_or_insert_default().letters;
        if rest.len() < Self::MAX - Self::INLINE {
            rest.push(letter);
        }
    }

    /// Whether the letters are exactly these.
    pub(super) fn is(&self, letters: &[u8]) -> bool {
        self.rest.is_none() && self.inline() == letters
    }

    /// Begins anew with these letters.
    pub(super) fn replace(&mut self, letters: &[u8]) {
        *self = Self::default();
        for letter in letters {
            self.push(*letter);
        }
    }

    /// Whether there is no letter.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The letters, in the order of their events.
    pub fn letters(&self) -> impl Iterator<Item = u8> {
        let rest = self.rest.as_ref().map_or(&[][..], |rest| rest.letters.as_slice());
        self.inline().iter().chain(rest).copied()
    }

    /// Whether the originator sent a SYN and then a RST, and in between nothing that shows a
    /// connection: `^?S[^HAFGIQ]*R` at the beginning.
    pub(super) fn is_aborted_attempt(&self) -> bool {
        let mut letters = self.letters().peekable();
        letters.next_if_eq(&b'^');
        letters.next() == Some(b'S')
            && letters.find(|letter| b"HAFGIQR".contains(letter)) == Some(b'R')
    }

    fn inline(&self) -> &[u8] {
        self.letters.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.letters().try_for_each(|letter| f.write_char(char::from(letter)))
    }
}

/// How often something happened, entered into the history at the 1st, 10th, 100th ... time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scaled(u32);

compact!(struct Scaled as (factor));

impl Scaled {
    /// Counts one; says whether it is to be entered.
    pub(super) const fn count(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        let mut left = self.0;
        while left.is_multiple_of(10) {
            left /= 10;
        }
        left == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(letters: &str) -> History {
        let mut history = History::default();
        letters.bytes().for_each(|letter| history.push(letter));
        history
    }

    #[test]
    fn letters_beyond_the_inline_ones_are_kept_up_to_the_bound() {
        let long = "S".repeat(History::MAX + 5);
        let history = history(&long);
        assert_eq!(history.to_string(), "S".repeat(History::MAX));
        assert!(!history.is(b"S"));
    }

    #[test]
    fn an_aborted_attempt_is_a_syn_and_a_reset_with_nothing_of_weight_between() {
        for (letters, expected) in [
            ("SR", true),
            ("^SR", true),
            ("SaDTRr", true),
            ("SAR", false),
            ("ShAR", false),
            ("R", false),
            ("S", false),
            ("", false),
            ("^", false),
        ] {
            assert_eq!(history(letters).is_aborted_attempt(), expected, "{letters}");
        }
    }

    #[test]
    fn repeated_events_are_entered_at_powers_of_ten() {
        let mut scaled = Scaled::default();
        let entered: Vec<u32> = (1..=1000).filter(|_| scaled.count()).collect();
        assert_eq!(entered, [1, 10, 100, 1000]);
    }
}
