//! Findings in the summary: the worst in full, the rest by number.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::heading::capture_period;
use super::human::{counted, file, sparkline, when};
use super::page::Page;
use super::story::stories;
use super::{Detail, TextOptions};
use crate::analysis::{Analysis, Input};
use crate::detect::words;
use crate::finding::{Advice, Code, Finding, Severity, Value};
use crate::stamp::{FrameId, Time};

/// Findings told in full on the first screen.
const TOLD: usize = 6;
/// Findings of one detector and severity among them.
const ALIKE_TOLD: usize = 2;
/// Notices told in full where nothing is worse.
const NOTICES_TOLD: usize = 3;
/// Detectors named among the findings that are only counted.
const KINDS_NAMED: usize = 4;
/// Frames named in a finding on the first screen.
const FRAMES_TOLD: usize = 3;
/// Advice named in a finding on the first screen.
const ADVICE_TOLD: usize = 3;

pub(super) fn write(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let findings = &analysis.findings;
    let (shown, hidden) = match options.detail {
        Detail::Full => (findings.iter().collect(), Vec::new()),
        Detail::Quiet => {
            let told = findings.iter().filter(|finding| finding.severity > Severity::Info);
            (told.collect(), Vec::new())
        }
        Detail::Normal => told(findings),
    };
    let capture = capture_period(&analysis.inputs).unwrap_or_default();
    if !shown.is_empty() && options.detail > Detail::Quiet {
        page.blank();
    }
    for finding in shown {
        headline(page, finding, capture);
        body(page, finding, analysis, options.detail);
    }
    if options.detail == Detail::Quiet {
        return;
    }
    if findings.is_empty() && analysis.summary.totals.connections > 0 {
        page.blank();
        page.paragraph(&page.plain(""), "No findings.");
    }
    if !hidden.is_empty() && hidden.len() == findings.len() {
        page.blank();
    }
    rest(page, &hidden);
}

/// What the first screen tells, and what it only counts: what is a warning or worse, and where
/// nothing is, the first notices; few of one kind, so that the next kind is told as well. Findings
/// come the worst first.
fn told(findings: &[Finding]) -> (Vec<&Finding>, Vec<&Finding>) {
    let serious = findings.iter().any(|finding| finding.severity >= Severity::Warning);
    let (least, limit) =
        if serious { (Severity::Warning, TOLD) } else { (Severity::Notice, NOTICES_TOLD) };
    let (mut shown, mut hidden) = (Vec::new(), Vec::new());
    for finding in findings {
        let alike =
            |other: &&&Finding| (other.code, other.severity) == (finding.code, finding.severity);
        let is_told = finding.severity >= least
            && shown.len() < limit
            && shown.iter().filter(alike).count() < ALIKE_TOLD;
        if is_told { shown.push(finding) } else { hidden.push(finding) }
    }
    (shown, hidden)
}

/// `more with -v   31 warnings (29 TCP201, 2 TCP306)   3 notices (TCP304)   2 remarks (TCP110)`.
fn rest(page: &mut Page, hidden: &[&Finding]) {
    let part = |severity, one: &str| {
        let codes = hidden.iter().filter(|finding| finding.severity == severity);
        let mut numbers: Vec<(Code, u64)> = Vec::new();
        for code in codes.map(|finding| finding.code) {
            match numbers.iter_mut().find(|(known, _)| *known == code) {
                Some((_, number)) => *number += 1,
                None => numbers.push((code, 1)),
            }
        }
        numbers.sort_by_key(|(code, number)| (Reverse(*number), *code));
        let all: u64 = numbers.iter().map(|(_, number)| number).sum();
        (all > 0).then(|| format!("{} ({})", counted(all, one), kinds(&numbers)))
    };
    let parts: Vec<_> = [
        part(Severity::Critical, "critical finding"),
        part(Severity::Warning, "warning"),
        part(Severity::Notice, "notice"),
        part(Severity::Info, "remark"),
    ]
    .into_iter()
    .flatten()
    .map(|text| page.plain(text))
    .collect();
    if !parts.is_empty() {
        page.items(&page.dim("more with -v   "), &parts);
    }
}

/// `29 TCP201, 2 TCP306`; the number only where it says something.
fn kinds(numbers: &[(Code, u64)]) -> String {
    let named =
        numbers.iter().take(KINDS_NAMED).map(|(code, number)| match (numbers.len(), number) {
            (1, _) | (_, 1) => code.to_string(),
            _ => format!("{} {code}", words::count(*number)),
        });
    let mut parts: Vec<_> = named.collect();
    if numbers.len() > KINDS_NAMED {
        parts.push("...".to_owned());
    }
    parts.join(", ")
}

/// `CRITICAL  TCP101 syn_flood   10.0.0.2:443   03:07:31 - 03:11:42`.
fn headline(page: &mut Page, finding: &Finding, capture: (Time, Time)) {
    let severity = finding.severity;
    let lead = format!("{:<10}", severity.name().to_uppercase());
    let kind = if finding.variant.is_empty() { "" } else { " " };
    let name = format!("{} {}{kind}{}", finding.code, finding.name, finding.variant);
    let time = when(finding.first_time, finding.last_time, capture);
    let items = [page.bold(name), page.plain(file(&finding.place()).to_owned()), page.plain(time)];
    page.items(&page.of(severity, lead), &items);
}

fn body(page: &mut Page, finding: &Finding, analysis: &Analysis, detail: Detail) {
    let text = format!("{}: {}", sentence(&finding.title), finding.summary);
    page.paragraph(&page.plain("  "), &text);
    if detail == Detail::Quiet {
        return;
    }
    if !finding.caveat.is_empty() {
        page.paragraph(&page.dim("  but    "), &finding.caveat);
    }
    for (name, values) in timelines(finding) {
        let lead = format!("  {name}  ");
        let line = [page.dim(lead), page.plain(sparkline(values))];
        page.line(&line);
    }
    if detail == Detail::Full {
        page.paragraph(&page.dim("  why    "), &finding.explanation);
        evidence(page, finding);
        for (lead, story) in stories(finding, analysis) {
            page.paragraph(&page.dim(format!("  {lead}  ")), &story);
        }
        finding.advice.iter().for_each(|advice| {
            let text = format!("{}. {}", instruction(advice), advice.side_effects);
            page.paragraph(&page.dim("  check  "), &text);
        });
        page.paragraph(&page.dim("  filter "), &finding.display_filter);
    } else if !finding.advice.is_empty() {
        let advice: Vec<_> = finding.advice.iter().take(ADVICE_TOLD).map(instruction).collect();
        page.paragraph(&page.dim("  check  "), &advice.join("; "));
    }
    let number = if detail == Detail::Full { Finding::MAX_FRAMES } else { FRAMES_TOLD };
    let frames = frames(&finding.frames, number, analysis);
    let more = format!("more   tcpautopsy explain {}", finding.code);
    if detail == Detail::Full || frames.is_empty() {
        if !frames.is_empty() {
            page.paragraph(&page.dim("  open   "), &frames);
        }
        page.items(&page.plain("  "), &[page.plain(more)]);
    } else {
        page.items(&page.dim("  open   "), &[page.plain(frames), page.plain(more)]);
    }
}

/// The series among the evidence: `half_open_timeline` is the timeline of what is `half-open`.
fn timelines(finding: &Finding) -> impl Iterator<Item = (String, &[i64])> {
    finding.evidence.iter().filter_map(|piece| match &piece.value {
        Value::Series(values) if !values.is_empty() => {
            let name = piece.name.strip_suffix("_timeline").unwrap_or(piece.name);
            Some((name.replace('_', "-"), values.as_slice()))
        }
        _ => None,
    })
}

fn evidence(page: &mut Page, finding: &Finding) {
    let items: Vec<_> = finding
        .evidence
        .iter()
        .filter_map(|piece| {
            Some(format!("{} {}", piece.name, value_text(piece.name, &piece.value)?))
        })
        .map(|text| page.plain(text))
        .collect();
    page.items(&page.dim("  seen   "), &items);
}

/// A value as people read it; none for a series, which has a line of its own.
fn value_text(name: &str, value: &Value) -> Option<String> {
    Some(match value {
        Value::Integer(nanos) if name.ends_with("_ns") => {
            words::span(crate::stamp::Span::from_nanos(*nanos))
        }
        Value::Integer(number) => match u64::try_from(*number) {
            Ok(number) => words::count(number),
            Err(_) => number.to_string(),
        },
        Value::Ratio(ratio) => format!("{ratio:.3}"),
        Value::Text(text) => text.clone(),
        Value::Time(time) => time.to_string(),
        Value::Flag(set) => if *set { "yes" } else { "no" }.to_owned(),
        Value::Series(_) => return None,
        Value::List(words) => words.join(", "),
    })
}

/// `net.ipv4.tcp_syncookies = 1`, `lower net.ipv4.tcp_synack_retries to 2`.
fn instruction(advice: &Advice) -> String {
    let Advice { setting, direction, value, .. } = advice;
    match (*direction, value) {
        ("set" | "enable" | "disable", Some(value)) => format!("{setting} = {value}"),
        ("check", None) => setting.clone(),
        ("check", Some(value)) => format!("{setting} ({value})"),
        (direction, Some(value)) => format!("{direction} {setting} to {value}"),
        (direction, None) => format!("{direction} {setting}"),
    }
}

/// `incident-2.pcapng frame 120331`, with further frames of the same file behind it.
fn frames(frames: &[FrameId], number: usize, analysis: &Analysis) -> String {
    let mut text = String::new();
    let mut file = None;
    for frame in frames.iter().take(number) {
        if file == Some(frame.file()) {
            let _ = write!(text, ", {}", frame.number());
            continue;
        }
        file = Some(frame.file());
        let input = usize::try_from(frame.file()).ok().and_then(|at| analysis.inputs.get(at));
        let name = input.map_or("", |input| name_among(&analysis.inputs, &input.path));
        let comma = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{comma}{name} frame {}", frame.number());
    }
    text
}

/// A file's name, with as many of the folders above it as it takes to tell it from the other inputs.
fn name_among<'a>(inputs: &[Input], path: &'a str) -> &'a str {
    let ends = |input: &Input, tail: &str| {
        let head = input.path.strip_suffix(tail);
        head.is_some_and(|head| head.is_empty() || head.ends_with('/'))
    };
    let tails = path.rmatch_indices('/').filter_map(|(slash, _)| path.get(slash + 1..));
    let mut clear = tails.filter(|tail| inputs.iter().filter(|it| ends(it, tail)).count() == 1);
    file(clear.next().unwrap_or(path))
}

/// The text with its first letter in upper case.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
