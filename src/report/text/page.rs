//! Lines that fit a width: words that wrap, items that fold, colours that take no room.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::finding::Severity;

/// Text that grows line by line.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    width: usize,
    color: bool,
}

/// A piece of text that is never broken, and how it looks.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    text: String,
    style: Style,
}

impl Piece {
    fn len(&self) -> usize {
        self.text.chars().count()
    }
}

/// Space between the items of a line.
const GAP: usize = 3;
/// No terminal is taken to be narrower.
const NARROWEST: usize = 40;
/// Lines longer than this are hard to read.
const WIDEST: usize = 120;

impl Page {
    pub(super) fn new(width: usize, color: bool) -> Self {
        Self { text: String::new(), width: width.clamp(NARROWEST, WIDEST), color }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// An empty line, except at the top.
    pub(super) fn blank(&mut self) {
        if !self.is_empty() {
            self.text.push('\n');
        }
    }

    pub(super) fn plain(&self, text: impl Into<String>) -> Piece {
        self.styled(text, Style::new())
    }

    pub(super) fn bold(&self, text: impl Into<String>) -> Piece {
        self.styled(text, Style::new().bold())
    }

    pub(super) fn dim(&self, text: impl Into<String>) -> Piece {
        self.styled(text, Style::new().dimmed())
    }

    pub(super) fn of(&self, severity: Severity, text: impl Into<String>) -> Piece {
        let color = match severity {
            Severity::Critical => AnsiColor::Red,
            Severity::Warning => AnsiColor::Yellow,
            Severity::Notice => AnsiColor::Cyan,
            Severity::Info => AnsiColor::Blue,
        };
        self.styled(text, color.on_default().bold())
    }

    fn styled(&self, text: impl Into<String>, style: Style) -> Piece {
        let style = if self.color { style } else { Style::new() };
        Piece { text: printable(&text.into()), style }
    }

    /// Items side by side behind a lead; what does not fit goes below the first one.
    pub(super) fn items(&mut self, lead: &Piece, items: &[Piece]) {
        self.fold(lead, items, GAP);
    }

    /// Words behind a lead, wrapped below the first one.
    pub(super) fn paragraph(&mut self, lead: &Piece, words: &str) {
        let mut pieces: Vec<Piece> = Vec::new();
        for word in words.split_whitespace() {
            match pieces.last_mut() {
                Some(last)
                    if is_unit(word) && last.text.ends_with(|c: char| c.is_ascii_digit()) =>
                {
                    last.text.push(' ');
                    last.text.push_str(&printable(word));
                }
                _ => pieces.push(self.plain(word)),
            }
        }
        self.fold(lead, &pieces, 1);
    }

    /// One line as it is.
    pub(super) fn line(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            self.put(piece);
        }
        self.text.push('\n');
    }

    fn fold(&mut self, lead: &Piece, items: &[Piece], gap: usize) {
        let indent = lead.len();
        self.put(lead);
        let mut column = indent;
        for item in items {
            let space = if column == indent { 0 } else { gap };
            if column > indent && column + space + item.len() > self.width {
                let _ = write!(self.text, "\n{:indent$}", "");
                column = indent;
            } else {
                let _ = write!(self.text, "{:space$}", "");
                column += space;
            }
            self.put(item);
            column += item.len();
        }
        self.text.push('\n');
    }

    fn put(&mut self, piece: &Piece) {
        let Piece { text, style } = piece;
        let _ = write!(self.text, "{style}{text}{style:#}");
    }
}

/// Whether the word is a unit, which stays beside its number.
fn is_unit(word: &str) -> bool {
    const UNITS: [&str; 14] =
        ["ns", "us", "ms", "s", "min", "h", "d", "%", "bytes", "kB", "MB", "GB", "TB", "PB"];
    UNITS.contains(&word.trim_end_matches([',', ';', '.', ':']))
}

/// The text without control characters, which a file's name may hold.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_fold_below_the_first_one() {
        let mut page = Page::new(40, false);
        let items: Vec<_> =
            ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"].map(|i| page.plain(i)).into();
        page.items(&page.plain(" lead  "), &items);
        assert_eq!(page.text(), " lead  aaaaaaaaaa   bbbbbbbbbb\n       cccccccccc\n");
    }

    #[test]
    fn a_word_that_is_too_long_still_appears() {
        let mut page = Page::new(40, false);
        page.paragraph(&page.plain("  "), &format!("a {} b", "x".repeat(60)));
        assert_eq!(page.text(), format!("  a\n  {}\n  b\n", "x".repeat(60)));
    }

    #[test]
    fn a_number_is_not_parted_from_its_unit() {
        let mut page = Page::new(40, false);
        page.paragraph(&page.plain(""), &format!("{} 75 s; b", "a".repeat(36)));
        assert_eq!(page.text(), format!("{}\n75 s; b\n", "a".repeat(36)));
    }

    #[test]
    fn colours_take_no_room_and_can_be_left_out() {
        let write = |color| {
            let mut page = Page::new(40, color);
            let items = [page.bold("a".repeat(20)), page.bold("b".repeat(17))];
            page.items(&page.plain(""), &items);
            page.text().to_owned()
        };
        assert_eq!(write(true).lines().count(), 1);
        assert!(write(true).contains("\u{1b}[1m") && !write(false).contains('\u{1b}'));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut page = Page::new(80, false);
        page.items(&page.plain("a\u{1b}[2Jb\n"), &[]);
        assert_eq!(page.text(), "a\u{FFFD}[2Jb\u{FFFD}\n");
    }
}
