//! Words and signs of an expression, with their places.

/// A word or a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Word(&'a str),
    Open,
    Close,
    Not,
    And,
    Or,
    /// Anything that the language has no use for.
    Other(&'a str),
    End,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Offset in bytes.
    pub(super) at: usize,
}

/// Gives the tokens one after the other; at the end, the end again and again.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        let at = self.at + rest.len() - trimmed.len();
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | ':' | '/' | '-' | '_');
        let length = trimmed.find(|c| !is_part(c)).unwrap_or(trimmed.len());
        let (kind, length) = if length > 0 {
            (word(trimmed.get(..length).unwrap_or_default()), length)
        } else {
            sign(trimmed)
        };
        self.at = at + length;
        Token { kind, at }
    }
}

fn word(word: &str) -> Kind<'_> {
    match word {
        "and" => Kind::And,
        "or" => Kind::Or,
        "not" => Kind::Not,
        _ => Kind::Word(word),
    }
}

fn sign(rest: &str) -> (Kind<'_>, usize) {
    for (sign, kind) in [
        ("&&", Kind::And),
        ("||", Kind::Or),
        ("!", Kind::Not),
        ("(", Kind::Open),
        (")", Kind::Close),
    ] {
        if rest.starts_with(sign) {
            return (kind, sign.len());
        }
    }
    let length = rest.chars().next().map_or(0, char::len_utf8);
    match rest.get(..length) {
        Some(other) if length > 0 => (Kind::Other(other), length),
        _ => (Kind::End, 0),
    }
}
