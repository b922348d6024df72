//! Walks one line of a scenario and knows the column of everything it takes.
//!
//! Exists so that every error can name the line and column as they were written, even when the
//! line came out of a `repeat` block with its `{...}` replaced. Knows the small tokens of the
//! language (numbers, seconds, endpoints, hex), not what they mean.

use std::fmt;

use crate::stamp::Span;
use crate::tcp::Endpoint;

/// Where a scenario's text is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ScenarioError {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1; in the line as written, before `{...}` was replaced.
    pub column: u32,
    /// What is wrong, in words.
    pub message: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// A position in one line.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    /// For each byte of `text` its column as written; empty when nothing was replaced.
    origins: &'a [u32],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, line: u32, origins: &'a [u32]) -> Self {
        Self { text, at: 0, line, origins }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// An error at what comes next, blanks skipped.
    pub(super) fn error(&self, message: impl Into<String>) -> ScenarioError {
        let rest = self.rest();
        self.error_at(self.at + rest.len() - rest.trim_start().len(), message)
    }

    /// An error at the byte offset `at`, as [`Cursor::offset`] gave it.
    pub(super) fn error_at(&self, at: usize, message: impl Into<String>) -> ScenarioError {
        let column = match self.origins {
            [] => column_of(self.text, at),
            origins => origins.get(at).or_else(|| origins.last()).copied().unwrap_or(1),
        };
        ScenarioError { line: self.line, column, message: message.into() }
    }

    /// Whether only blanks are left; steps over them.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest().is_empty()
    }

    pub(super) fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Steps over `wanted`, after blanks, if it comes next.
    pub(super) fn take(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    pub(super) fn require(&mut self, wanted: char) -> Result<(), ScenarioError> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.error(format!("expected `{wanted}`, found {}", self.found())))
        }
    }

    pub(super) fn require_end(&mut self) -> Result<(), ScenarioError> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(self.error(format!("expected the end of the line, found {}", self.found())))
        }
    }

    /// The characters up to the next blank.
    pub(super) fn token(&mut self) -> &'a str {
        self.take_while(|c| !c.is_whitespace())
    }

    /// Letters, digits, `_` and `-`; empty when something else comes next.
    pub(super) fn word(&mut self) -> &'a str {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// Steps over the word `wanted` if it comes next.
    pub(super) fn take_word(&mut self, wanted: &str) -> bool {
        let mut ahead = self.clone();
        let found = ahead.word() == wanted;
        if found {
            *self = ahead;
        }
        found
    }

    pub(super) fn require_word(&mut self, wanted: &str) -> Result<(), ScenarioError> {
        if self.take_word(wanted) {
            Ok(())
        } else {
            Err(self.error(format!("expected `{wanted}`, found {}", self.found())))
        }
    }

    /// A decimal number that fits `T`; `what` names it in the error.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T, ScenarioError> {
        self.skip_blanks();
        let at = self.at;
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(self.error(format!("expected {what}, found {}", self.found())));
        }
        digits
            .parse::<u64>()
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.error_at(at, format!("{what} {digits} is too large")))
    }

    /// Seconds with up to nine decimals, not negative.
    pub(super) fn seconds(&mut self) -> Result<Span, ScenarioError> {
        const LARGEST: i64 = 10 * 366 * 86_400;
        self.skip_blanks();
        let at = self.at;
        let whole: i64 = self.number("a number of seconds")?;
        if whole > LARGEST {
            return Err(self.error_at(at, "more than ten years"));
        }
        let mut nanos = 0;
        if self.rest().starts_with('.') {
            self.at += 1;
            let decimals = self.take_while(|c| c.is_ascii_digit());
            if decimals.is_empty() || decimals.len() > 9 {
                return Err(self.error_at(at, "seconds have one to nine decimals"));
            }
            nanos = format!("{decimals:0<9}").parse().unwrap_or_default();
        }
        Ok(Span::from_nanos(whole * 1_000_000_000 + nanos))
    }

    /// `10.0.0.1:80` or `[2001:db8::1]:80`.
    pub(super) fn endpoint(&mut self) -> Result<Endpoint, ScenarioError> {
        self.skip_blanks();
        let at = self.at;
        let token = self.token();
        token.parse::<std::net::SocketAddr>().map_or_else(
            |_| Err(self.error_at(at, format!("`{token}` is not ADDRESS:PORT"))),
            |socket| Ok(Endpoint { address: socket.ip(), port: socket.port() }),
        )
    }

    /// An even number of hexadecimal digits, at most `most` bytes; none at all is allowed.
    pub(super) fn hex(&mut self, most: usize) -> Result<Vec<u8>, ScenarioError> {
        self.skip_blanks();
        let at = self.at;
        let digits = self.take_while(|c| c.is_ascii_hexdigit());
        if !digits.len().is_multiple_of(2) {
            return Err(self.error_at(at, "an odd number of hexadecimal digits"));
        }
        if digits.len() / 2 > most {
            return Err(self.error_at(at, format!("more than {most} bytes")));
        }
        digits
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| std::str::from_utf8(pair).ok())
            .map(|pair| pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(|| self.error_at(at, "not hexadecimal"))
    }

    /// What comes next, for an error message.
    pub(super) fn found(&self) -> String {
        let next: String =
            self.rest().chars().take_while(|c| !c.is_whitespace()).take(24).collect();
        if next.is_empty() { "the end of the line".into() } else { format!("`{next}`") }
    }
}

/// Column in characters, from 1, of the byte offset `at`.
pub(super) fn column_of(text: &str, at: usize) -> u32 {
    let characters = text.char_indices().take_while(|&(offset, _)| offset < at).count();
    u32::try_from(characters).unwrap_or(u32::MAX).saturating_add(1)
}
