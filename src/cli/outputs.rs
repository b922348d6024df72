//! `-o [FORMAT:]PATH`: which reports go where.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail};

use crate::pipeline::Survey;
use crate::report::Connections;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 << 10;

/// A report's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The JSON report.
    Json,
    /// Connections and findings as lines.
    NdJson,
    /// Segments as lines.
    Segments,
    /// Zeek's conn.log, tab-separated.
    Zeek,
    /// Zeek's conn.log as JSON lines.
    ZeekJson,
}

impl Format {
    /// What may stand before the colon.
    const NAMES: [(&str, Self); 6] = [
        ("json", Self::Json),
        ("ndjson", Self::NdJson),
        ("jsonl", Self::NdJson),
        ("segments", Self::Segments),
        ("zeek", Self::Zeek),
        ("zeek-json", Self::ZeekJson),
    ];
    /// How a path may end; the first that fits.
    const ENDINGS: [(&str, Self); 6] = [
        (".segments.ndjson", Self::Segments),
        (".segments.jsonl", Self::Segments),
        (".json", Self::Json),
        (".ndjson", Self::NdJson),
        (".jsonl", Self::NdJson),
        (".log", Self::Zeek),
    ];

    /// The connections that a report holds if nobody says otherwise.
    pub(super) const fn connections(self) -> Connections {
        match self {
            Self::Json => Connections::Flagged,
            Self::NdJson => Connections::All,
            Self::Zeek | Self::ZeekJson | Self::Segments => Connections::None,
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, of)| *of)
    }

    fn of_path(path: &str) -> Option<Self> {
        let path = path.to_ascii_lowercase();
        // An ending alone is a hidden file's name, not an extension.
        let fits = |ending: &str| {
            let name = path.strip_suffix(ending);
            name.is_some_and(|name| !name.is_empty() && !name.ends_with(['/', '\\']))
        };
        Self::ENDINGS.iter().find(|(ending, _)| fits(ending)).map(|(_, of)| *of)
    }
}

/// A report as asked for: its format, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) format: Format,
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Stdout,
    File(PathBuf),
}

/// The format of an output is neither named nor to be seen from its path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no format known for {0:?}; name one, as in json:{0}: json, ndjson, jsonl, segments, zeek \
         or zeek-json"
)]
pub(super) struct UnknownFormat(String);

impl FromStr for Output {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let named =
            text.split_once(':').and_then(|(name, path)| Some((Format::named(name)?, path)));
        let by_ending = || Some((Format::of_path(text)?, text));
        let found = named.filter(|(_, path)| !path.is_empty()).or_else(by_ending);
        let (format, path) = found.ok_or_else(|| UnknownFormat(text.to_owned()))?;
        let target = if path == "-" { Target::Stdout } else { Target::File(path.into()) };
        Ok(Self { format, target })
    }
}

impl Output {
    /// The JSON report on standard output: `--json`.
    pub(super) const JSON: Self = Self { format: Format::Json, target: Target::Stdout };

    pub(super) fn is_stdout(&self) -> bool {
        self.target == Target::Stdout
    }

    /// Opens the file, so that a path that cannot be written fails before anything is read.
    ///
    /// # Errors
    /// The file cannot be created, is one of the inputs, or is `taken` by another report already.
    pub(super) fn open(
        &self,
        inputs: &Survey,
        taken: &mut Vec<PathBuf>,
    ) -> anyhow::Result<OpenOutput> {
        let Target::File(path) = &self.target else {
            return Ok(OpenOutput::new(Box::new(io::stdout()), "standard output".to_owned()));
        };
        if path.exists() && inputs.holds(path) {
            bail!("{} is an input; writing the report there would destroy it", path.display());
        }
        let name = path.display().to_string();
        let file = File::create(path).with_context(|| format!("creating {name}"))?;
        // A pipe or a device may take any number of them.
        if path.is_file() {
            let place = path.canonicalize().with_context(|| format!("finding {name}"))?;
            if taken.contains(&place) {
                bail!("two reports cannot both go to {name}");
            }
            taken.push(place);
        }
        Ok(OpenOutput::new(Box::new(file), name))
    }
}

/// Where a report is about to be written.
pub(super) struct OpenOutput {
    writer: BufWriter<Box<dyn Write + Send + Sync>>,
    name: String,
}

impl OpenOutput {
    fn new(writer: Box<dyn Write + Send + Sync>, name: String) -> Self {
        Self { writer: BufWriter::with_capacity(BUFFER, writer), name }
    }

    /// Writes a piece of the report.
    ///
    /// # Errors
    /// The disk is full, the pipe is broken, and the like.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Writes the report, or the rest of it, to the end.
    ///
    /// # Errors
    /// As for [`OpenOutput::append`].
    pub(super) fn write(
        mut self,
        report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let written = report(&mut self.writer).and_then(|()| self.writer.flush());
        written.with_context(|| format!("writing {}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(Format, Target)> {
        text.parse::<Output>().ok().map(|output| (output.format, output.target))
    }

    #[test]
    fn the_format_is_named_or_seen_from_the_path() {
        let file = |path: &str| Target::File(path.into());
        assert_eq!(parse("a/report.json"), Some((Format::Json, file("a/report.json"))));
        assert_eq!(parse("x.NDJSON"), Some((Format::NdJson, file("x.NDJSON"))));
        assert_eq!(parse("x.jsonl"), Some((Format::NdJson, file("x.jsonl"))));
        assert_eq!(
            parse("a/x.segments.ndjson"),
            Some((Format::Segments, file("a/x.segments.ndjson")))
        );
        assert_eq!(parse("x.Segments.JSONL"), Some((Format::Segments, file("x.Segments.JSONL"))));
        assert_eq!(parse("out/conn.log"), Some((Format::Zeek, file("out/conn.log"))));
        assert_eq!(parse("zeek:-"), Some((Format::Zeek, Target::Stdout)));
        assert_eq!(parse("zeek-json:conn.log"), Some((Format::ZeekJson, file("conn.log"))));
        assert_eq!(parse("segments:-"), Some((Format::Segments, Target::Stdout)));
        assert_eq!(
            parse("ndjson:x.segments.ndjson"),
            Some((Format::NdJson, file("x.segments.ndjson")))
        );
        assert_eq!(parse("ndjson:-"), Some((Format::NdJson, Target::Stdout)));
        assert_eq!(parse("json:report.txt"), Some((Format::Json, file("report.txt"))));
        assert_eq!(parse(r"C:\x.json"), Some((Format::Json, file(r"C:\x.json"))));
        for unknown in
            ["report", "-", "x.pdf", "json:", "pdf:x", ".json", "x.segments", "a/.ndjson"]
        {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
    }
}
