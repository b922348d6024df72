//! `tcpautopsy analyze`: captures in, summary and reports out.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::conn_log::{ConnLogs, Scripts};
use super::exit::{self, Outcome};
use super::inputs::Inputs;
use super::outputs::{Format, OpenOutput, Output};
use super::progress::Progress;
use super::selection;
use super::settings::{self, ProfileName, SysctlFile};
use super::size;
use super::terminal::{self, Color};
use crate::analysis::{Analysis, JudgedConnection, JudgedSegment};
use crate::connection::LoneValue;
use crate::detect::{Detectors, Selection, Thresholds, rule};
use crate::finding::{Code, Finding, Severity};
use crate::flow::{ZeekRow, ZeekRules};
use crate::pipeline::{self, Keep, Options, Sink, Threads};
use crate::report::{self, Connections, Detail, TextOptions};

/// What `analyze` was asked.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Captures: files, folders (searched to the bottom), patterns, or - for standard input
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Write a report; repeatable. The format is json, ndjson (jsonl), segments, zeek (log) or
    /// zeek-json, taken from the extension (.segments.ndjson for segments) if not named; - is
    /// standard output
    #[arg(short, long = "output", value_name = "[FORMAT:]PATH")]
    outputs: Vec<Output>,
    /// Write the JSON report to standard output: -o json:-
    #[arg(long)]
    json: bool,
    /// Which connections reports hold [default: flagged in json, all in ndjson]
    #[arg(long, value_enum, value_name = "WHICH")]
    connections: Option<Which>,
    /// Cut connections in a conn.log with Zeek's own timers; with =default, also find out servers
    /// by the ports that Zeek's default scripts know
    #[arg(
        long,
        value_enum,
        value_name = "SCRIPTS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "bare"
    )]
    zeek_splitting: Option<Scripts>,
    /// Settings of the hosts: what `sysctl -a` printed, for all, or for an address or network
    #[arg(long, value_name = "FILE|HOST=FILE")]
    sysctl: Vec<SysctlFile>,
    /// Whose timers to assume where nothing better is known
    #[arg(long, value_enum, value_name = "SYSTEM", default_value_t)]
    profile: ProfileName,
    /// Change a detector's threshold, such as `TCP102.min_age=10s`; repeatable
    #[arg(long = "set-threshold", value_name = "CODE.NAME=VALUE")]
    thresholds: Vec<String>,
    /// Run only these detectors, by code or name
    #[arg(long, value_name = "CODE,...", value_delimiter = ',')]
    only: Vec<String>,
    /// Do not run these detectors
    #[arg(long, value_name = "CODE,...", value_delimiter = ',')]
    skip: Vec<String>,
    /// Exit with 1 on findings of this severity or a higher one, or of this detector
    #[arg(long, value_name = "SEVERITY|CODE", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// Look at the outer IP headers only: what travels in a tunnel is no TCP then
    #[arg(long)]
    no_tunnels: bool,
    /// Findings of one kind to tell one by one, the rest being told as one. The JSON report lists
    /// 32 times as many flagged connections of each detector
    #[arg(long, value_name = "N", default_value_t = Detectors::MAX_FINDINGS_PER_VARIANT)]
    max_findings: usize,
    #[command(flatten)]
    selection: selection::Arguments,
    /// Keep to this much memory, such as 512M or 2G, at least 64M. What does not fit is added up
    /// instead of being remembered one by one, and counted
    #[arg(long, value_name = "SIZE", value_parser = size::at_least(Options::LEAST_MEMORY))]
    max_memory: Option<u64>,
    /// Worker threads; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(..=MAX_THREADS))]
    threads: u16,
    /// Show no progress bar
    #[arg(long)]
    no_progress: bool,
    /// Print findings only, without remarks, and nothing when there are none
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print everything
    #[arg(short, long)]
    verbose: bool,
    /// Bytes of a chunk, the unit of parallel reading
    #[arg(long, hide = true, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    chunk_size: Option<u64>,
}

/// More threads only wait for each other.
const MAX_THREADS: i64 = 1_024;
/// Flagged connections that the JSON report lists for each finding that is told.
const FLAGGED_PER_FINDING: usize = 32;

/// Which connections reports hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Every one
    All,
    /// Those that a detector marked
    Flagged,
    /// None
    None,
}

impl From<Which> for Connections {
    fn from(which: Which) -> Self {
        match which {
            Which::All => Self::All,
            Which::Flagged => Self::Flagged,
            Which::None => Self::None,
        }
    }
}

/// Findings that make the exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailOn {
    AtLeast(Severity),
    Detector(Code),
}

/// Neither a severity nor a detector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a severity (info, notice, warning, critical) nor a detector's code or name")]
struct UnknownLimit;

impl FromStr for FailOn {
    type Err = UnknownLimit;

    fn from_str(text: &str) -> Result<Self, UnknownLimit> {
        let text = text.to_ascii_lowercase();
        let severity = Severity::ALL.into_iter().find(|severity| severity.name() == text);
        let detector = || rule(&text).map(|rule| Self::Detector(rule.code));
        severity.map(Self::AtLeast).or_else(detector).ok_or(UnknownLimit)
    }
}

impl FailOn {
    fn holds(self, finding: &Finding) -> bool {
        match self {
            Self::AtLeast(severity) => finding.severity >= severity,
            Self::Detector(code) => finding.code == code,
        }
    }
}

pub(super) fn run(arguments: &Arguments, color: Color) -> anyhow::Result<Outcome> {
    let outputs = outputs(arguments)?;
    let options = options(arguments, &outputs)?;
    let inputs = Inputs::find(&arguments.inputs)?;
    let survey = inputs.survey(&arguments.inputs, options.threads)?;
    if arguments.verbose && survey.passed_over() > 0 {
        exit::warn(format_args!("files in folders that are no captures: {}", survey.passed_over()));
    }
    inputs.unlisted.iter().for_each(exit::complain);
    let mut open = Vec::new();
    let mut lines = Lines {
        connections: chosen(arguments, Format::NdJson),
        outputs: Vec::new(),
        segments: Vec::new(),
        conn_logs: ConnLogs::default(),
    };
    let mut taken = Vec::new();
    for output in &outputs {
        let opened = output.open(&survey, &mut taken)?;
        match output.format {
            Format::Json => open.push(opened),
            Format::NdJson => lines.outputs.push(opened),
            Format::Segments => lines.segments.push(opened),
            Format::Zeek => lines.conn_logs.tables.push(opened),
            Format::ZeekJson => lines.conn_logs.json.push(opened),
        }
    }
    if arguments.max_memory.is_some() && options.keep == Keep::All {
        exit::warn(
            "--max-memory does not bound a JSON report with --connections all, which holds every \
             connection until it is written: -o out.ndjson does not",
        );
    }
    if arguments.zeek_splitting.is_some() && lines.conn_logs.is_empty() {
        exit::warn("--zeek-splitting changes nothing without a conn.log: -o conn.log");
    }
    let progress = Progress::start(!arguments.no_progress && !arguments.quiet);
    let result =
        pipeline::run_surveyed(survey, &options, &mut lines, &|state| progress.show(state));
    let elapsed = progress.finish();
    let outcome = result?;
    complain(&outcome, arguments.verbose);
    let pipeline::Outcome { analysis, unreadable, threads, .. } = outcome;
    let unreadable = !unreadable.is_empty() || !inputs.unlisted.is_empty();
    lines.finish(&analysis)?;
    for output in open {
        let connections = chosen(arguments, Format::Json);
        output.write(|out| report::write_json(&analysis, connections, &threads, out))?;
    }
    let is_told = !outputs.iter().any(Output::is_stdout) && !analysis.inputs.is_empty();
    if is_told {
        let options = TextOptions { elapsed: Some(elapsed), ..text_options(arguments) };
        tell(&analysis, &options, &threads, color)?;
    }
    let outcome = judge(&analysis, &arguments.fail_on, unreadable);
    explain(&analysis, &arguments.fail_on, unreadable);
    // The program ends here: its memory goes at once.
    std::mem::forget((analysis, threads));
    Ok(outcome)
}

/// Says what could not be read, and what had to be forgotten.
fn complain(outcome: &pipeline::Outcome, verbose: bool) {
    for input in &outcome.unreadable {
        let at =
            if input.offset > 0 { format!(" at byte {}", input.offset) } else { String::new() };
        let path = if input.path == "-" { "standard input" } else { &input.path };
        exit::complain(format_args!("reading {path}{at}: {}", input.reason));
    }
    if outcome.unreadable_more > 0 {
        exit::complain(format_args!(
            "inputs that cannot be read either: {}",
            outcome.unreadable_more
        ));
    }
    if verbose && outcome.passed_over > 0 {
        let count = outcome.passed_over;
        exit::warn(format_args!("files in archives that are no captures: {count}"));
    }
    let inputs = outcome.analysis.inputs.iter();
    let not_merged = inputs.filter(|input| input.not_merged).count() as u64;
    for (count, what) in [
        (
            not_merged,
            "captures that overlap in time with those read before them, and could not be merged \
             (unpack the archive)",
        ),
        (outcome.analysis.summary.shed.total(), "connections closed early to save memory"),
        (
            outcome.streams_forgotten,
            "address pairs forgotten to save memory, so that wireshark columns may differ",
        ),
        (outcome.zeek_rows_evicted, "rows of conn.log closed early to save memory"),
    ] {
        if count > 0 {
            exit::warn(format_args!("{what}: {count}"));
        }
    }
}

/// The outputs, of which at most one may be standard output.
fn outputs(arguments: &Arguments) -> anyhow::Result<Vec<Output>> {
    let mut outputs = arguments.outputs.clone();
    if arguments.json {
        outputs.push(Output::JSON);
    }
    if outputs.iter().filter(|output| output.is_stdout()).count() > 1 {
        bail!("two reports cannot both go to standard output");
    }
    Ok(outputs)
}

fn options(arguments: &Arguments, outputs: &[Output]) -> anyhow::Result<Options> {
    let settings = settings::resolve(arguments.profile, &arguments.sysctl)?;
    let mut thresholds = Thresholds::default();
    for assignment in &arguments.thresholds {
        thresholds.set(assignment).context("--set-threshold")?;
    }
    let selected = Selection::new(&arguments.only, &arguments.skip)?;
    if selected.is_empty() && !arguments.only.is_empty() {
        bail!("--skip leaves none of the detectors that --only names");
    }
    let detectors = Detectors::new(settings.clone(), thresholds, &selected);
    let detectors = detectors.telling(arguments.max_findings);
    let mut options = Options::new(settings, detectors);
    options.decode.tunnels = !arguments.no_tunnels;
    options.threads = usize::from(arguments.threads);
    options.zeek = arguments.zeek_splitting.map_or_else(ZeekRules::default, ZeekRules::from);
    options.max_flagged = arguments.max_findings.saturating_mul(FLAGGED_PER_FINDING);
    arguments.selection.apply(&mut options)?;
    options.chunk_size = arguments.chunk_size.unwrap_or(options.chunk_size);
    if let Some(memory) = arguments.max_memory {
        options = options.within(memory);
    }
    // Lines are written as connections end; the JSON report needs them all at once, and the summary
    // in full tells what became of those that findings name.
    let is_kept = outputs.iter().any(|output| output.format == Format::Json);
    options.keep = match chosen(arguments, Format::Json) {
        _ if !is_kept && arguments.verbose => Keep::Flagged,
        _ if !is_kept => Keep::None,
        Connections::All => Keep::All,
        Connections::Flagged => Keep::Flagged,
        Connections::None => Keep::None,
    };
    Ok(options)
}

/// Which connections a report of this format holds.
fn chosen(arguments: &Arguments, format: Format) -> Connections {
    arguments.connections.map_or_else(|| format.connections(), Connections::from)
}

fn text_options(arguments: &Arguments) -> TextOptions {
    let detail = match (arguments.quiet, arguments.verbose) {
        (true, _) => Detail::Quiet,
        (_, true) => Detail::Full,
        _ => Detail::Normal,
    };
    // What came through standard input is gone, and cannot be analysed again.
    let is_stdin = arguments.inputs.iter().any(|path| path.as_os_str() == "-");
    let typed = arguments.inputs.iter().filter(|_| !is_stdin);
    let typed = typed.map(|path| path.display().to_string()).collect();
    TextOptions { detail, width: terminal::width(), color: false, elapsed: None, typed }
}

fn tell(
    analysis: &Analysis,
    options: &TextOptions,
    threads: &Threads,
    color: Color,
) -> anyhow::Result<()> {
    let (mut out, colored) = color.stdout();
    let options = TextOptions { color: colored, ..options.clone() };
    let written =
        report::write_text(analysis, &options, threads, &mut out).and_then(|()| out.flush());
    written.context("writing standard output")
}

fn judge(analysis: &Analysis, fail_on: &[FailOn], unreadable: bool) -> Outcome {
    if unreadable || damaged(analysis) > 0 {
        Outcome::Damaged
    } else if failing(analysis, fail_on).next().is_some() {
        Outcome::Findings
    } else {
        Outcome::Clean
    }
}

/// Says what the exit code means, where nothing else did: a log may hold nothing else of the run.
fn explain(analysis: &Analysis, fail_on: &[FailOn], unreadable: bool) {
    let failing: BTreeSet<Code> = failing(analysis, fail_on).map(|finding| finding.code).collect();
    if !failing.is_empty() {
        let codes: Vec<String> = failing.iter().map(Code::to_string).collect();
        exit::complain(format_args!("found what --fail-on names: {}", codes.join(", ")));
    }
    let damaged = damaged(analysis);
    if damaged > 0 && !unreadable {
        exit::complain(format_args!("damaged files, of which the rest was analysed: {damaged}"));
    }
}

fn damaged(analysis: &Analysis) -> usize {
    analysis.inputs.iter().filter(|input| input.damage_total > 0).count()
}

fn failing<'a>(analysis: &'a Analysis, fail_on: &'a [FailOn]) -> impl Iterator<Item = &'a Finding> {
    let fails = |finding: &&Finding| fail_on.iter().any(|limit| limit.holds(finding));
    analysis.findings.iter().filter(fails)
}

/// Writes connections, segments and rows of conn.log as lines while the run is still reading.
struct Lines {
    outputs: Vec<OpenOutput>,
    connections: Connections,
    segments: Vec<OpenOutput>,
    conn_logs: ConnLogs,
}

impl Sink for Lines {
    fn format(&self, connection: &JudgedConnection, into: &mut Vec<u8>) {
        if self.connections.holds(connection) {
            report::write_connection(connection, into);
        }
    }

    fn lone_values(&self) -> &'static [LoneValue] {
        report::LONE_VALUES
    }

    fn write(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.outputs.iter_mut().try_for_each(|output| output.append(formatted))
    }

    fn is_wanted(&self) -> bool {
        !self.outputs.is_empty()
    }

    fn wants_segments(&self) -> bool {
        !self.segments.is_empty()
    }

    fn format_segment(&self, segment: &JudgedSegment<'_>, into: &mut Vec<u8>) {
        report::write_segment(segment, into);
    }

    fn write_segment(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.segments.iter_mut().try_for_each(|output| output.append(formatted))
    }

    fn wants_zeek_rows(&self) -> bool {
        !self.conn_logs.is_empty()
    }

    fn format_zeek_row(&self, row: &ZeekRow, into: &mut Vec<u8>) {
        self.conn_logs.format(row, into);
    }

    fn write_zeek_row(&mut self, formatted: &[u8]) -> io::Result<()> {
        self.conn_logs.write(formatted)
    }
}

impl Lines {
    /// The lines that can be written only when all connections are over.
    fn finish(self, analysis: &Analysis) -> anyhow::Result<()> {
        let write = |output: OpenOutput| output.write(|out| report::write_rest(analysis, out));
        self.outputs.into_iter().try_for_each(write)?;
        self.segments.into_iter().try_for_each(|output| output.write(|_| Ok(())))?;
        self.conn_logs.finish(analysis)
    }
}
