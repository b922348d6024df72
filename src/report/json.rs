//! The JSON report: outer levels indented for people, every finding and connection on a line of its
//! own for `grep` and `diff`.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::Connections;
use super::document::ReportDoc;
use crate::analysis::Analysis;

/// Writes the report, with the connections that `connections` names.
///
/// # Errors
/// Whatever the writer says.
pub fn write_json(
    analysis: &Analysis,
    connections: Connections,
    mut out: impl Write,
) -> io::Result<()> {
    let report = ReportDoc::of(analysis, connections);
    report.serialize(&mut Serializer::with_formatter(&mut out, Outline::default()))?;
    out.write_all(b"\n")
}

/// How many levels are indented: the report's own fields, and the elements of its lists.
const INDENTED: usize = 2;

/// Indents the outer [`INDENTED`] levels and writes the inner ones in one line.
#[derive(Debug, Default)]
struct Outline {
    depth: usize,
    /// The innermost open object or list has an element.
    filled: bool,
}

impl Outline {
    fn open(&mut self) {
        self.depth += 1;
        self.filled = false;
    }

    fn close(&mut self, out: &mut (impl ?Sized + Write)) -> io::Result<()> {
        let filled = std::mem::replace(&mut self.filled, true);
        let indented = self.depth <= INDENTED;
        self.depth -= 1;
        if filled && indented { self.line(out) } else { Ok(()) }
    }

    fn element(&mut self, out: &mut (impl ?Sized + Write), first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        if self.depth <= INDENTED { self.line(out) } else { Ok(()) }
    }

    fn line(&self, out: &mut (impl ?Sized + Write)) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| out.write_all(b"  "))
    }
}

impl Formatter for Outline {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open();
        out.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out)?;
        out.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.element(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open();
        out.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out)?;
        out.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.element(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(if self.depth <= INDENTED { b": " } else { b":" })
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_levels_are_indented_and_the_rest_stays_on_one_line() {
        let value = json!({ "a": [{ "b": [1, 2], "c": {} }, []], "d": {}, "e": { "f": [] } });
        let mut out = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut out, Outline::default())).unwrap();
        let expected = "{\n  \"a\": [\n    {\"b\":[1,2],\"c\":{}},\n    []\n  ],\n  \"d\": {},\n  \
                        \"e\": {\n    \"f\": []\n  }\n}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
