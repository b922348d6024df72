//! Runs the detectors that the user left on, and turns what they gathered into findings.

use std::cmp::Reverse;

use super::accumulate::Accumulator;
use super::doubt::{self, Doubt, Touched};
use super::fold::{fold, is_folded};
use super::registry::{RULES, rule};
use super::rule::{Check, Context, Rule, Scope, Whole};
use super::thresholds::{ThresholdInForce, Thresholds};
use crate::connection::{Beginning, Connection, ConnectionRecord};
use crate::finding::{Code, Finding, Severity, Subject};
use crate::input::Input;
use crate::settings::Settings;
use crate::stamp::{FrameId, Span};
use crate::summary::{Evicted, Hands, Summary};
use crate::tcp::{Endpoint, Extras, Flags, FourTuple, Overlay, Segment};

/// The detectors of a run, with the settings and thresholds in force.
#[derive(Clone, Debug)]
pub struct Detectors {
    /// Index in the registry, and the rule.
    enabled: Vec<(usize, &'static Rule)>,
    settings: Settings,
    thresholds: Thresholds,
    ignore_lone_syns: bool,
    max_findings: usize,
}

/// Which detectors are to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    only: Vec<Code>,
    skip: Vec<Code>,
}

/// A name in `--only` or `--skip` that no detector has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no detector `{0}`; `tcpautopsy detectors` lists them")]
pub struct UnknownDetector(pub String);

impl Selection {
    /// All detectors, or only those named, without those to skip. Codes and names are understood.
    ///
    /// # Errors
    /// When a name belongs to no detector.
    pub fn new<T: AsRef<str>>(only: &[T], skip: &[T]) -> Result<Self, UnknownDetector> {
        let codes = |names: &[T]| {
            let code = |name: &T| {
                let name = name.as_ref();
                rule(name).map(|rule| rule.code).ok_or_else(|| UnknownDetector(name.to_owned()))
            };
            names.iter().map(code).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { only: codes(only)?, skip: codes(skip)? })
    }

    /// Whether no detector is to run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !RULES.iter().any(|rule| self.holds(rule.code))
    }

    fn holds(&self, code: Code) -> bool {
        (self.only.is_empty() || self.only.contains(&code)) && !self.skip.contains(&code)
    }
}

impl Detectors {
    /// Findings of one variant of a detector that are told one by one by default; the rest is told as one.
    pub const MAX_FINDINGS_PER_VARIANT: usize = 32;

    /// The detectors of `selection`.
    #[must_use]
    pub fn new(settings: Settings, thresholds: Thresholds, selection: &Selection) -> Self {
        let all = RULES.iter().copied().enumerate();
        let enabled = all.filter(|(_, rule)| selection.holds(rule.code)).collect();
        let mut detectors = Self {
            enabled,
            settings,
            thresholds,
            ignore_lone_syns: false,
            max_findings: Self::MAX_FINDINGS_PER_VARIANT,
        };
        let samples = [Span::ZERO, Span::from_secs(3_600)].map(|age| detectors.lone_syn(age));
        detectors.ignore_lone_syns = samples.iter().all(|record| {
            let mut accumulator = Accumulator::default();
            detectors.connection(record, &mut accumulator);
            accumulator.is_empty()
        });
        detectors
    }

    /// The same detectors, telling `limit` findings of one variant one by one.
    #[must_use]
    pub fn telling(self, limit: usize) -> Self {
        Self { max_findings: limit, ..self }
    }

    /// Whether no detector that is on has anything to say about a SYN without payload that nothing
    /// followed: then nobody needs its record. Found out by asking them about such SYNs.
    #[must_use]
    pub const fn ignore_lone_syns(&self) -> bool {
        self.ignore_lone_syns
    }

    /// The record of a lone SYN at the age `age`.
    fn lone_syn(&self, age: Span) -> ConnectionRecord {
        let endpoint = |last: u8| Endpoint { address: [192, 0, 2, last].into(), port: 443 };
        let tuple = FourTuple { source: endpoint(1), destination: endpoint(2) };
        let syn = Segment { flags: Flags::SYN, header_len: 40, ttl: 64, ..Segment::default() };
        let beginning = Beginning { id: 1, tuple, forward: true, tunnel: Vec::new() };
        let mut connection = Connection::new(beginning, &syn);
        connection.observe(true, &syn, &Extras::NONE, &self.settings);
        connection.finish(syn.time + age, None, &self.settings)
    }

    /// Judges a connection that is over, and gathers what was found. Returns the codes of the
    /// detectors that mark this connection, ascending.
    pub fn connection(
        &self,
        record: &ConnectionRecord,
        accumulator: &mut Accumulator,
    ) -> Vec<Code> {
        let context = self.context();
        let mut codes = Vec::new();
        for (index, rule) in &self.enabled {
            let (judge, marks) = match rule.check {
                Check::Grouped { judge, marks, .. } => (judge, marks),
                Check::Both { judge, .. } => (judge, false),
                Check::Totals(_) | Check::Capture { .. } => continue,
            };
            if let Some(hit) = judge(record, &context) {
                accumulator.add(*index, &hit, record);
                if marks {
                    codes.push(rule.code);
                }
            }
        }
        codes
    }

    /// The findings of a run, the worst first, then by code and the number of connections. `hands` ask
    /// the detectors.
    #[must_use]
    pub fn conclude(
        &self,
        accumulator: &Accumulator,
        summary: &Summary,
        inputs: &[Input],
        hands: &impl Hands,
    ) -> Vec<Finding> {
        let whole = Whole { context: self.context(), summary, inputs };
        let doubts = doubt::doubts(&whole);
        let rules = self.enabled.iter().collect();
        let found = hands.each(rules, |(index, rule)| {
            let (found, evicted) = found(*index, rule, accumulator, &whole, &doubts);
            fold(&found, evicted, self.max_findings)
        });
        let mut findings: Vec<Finding> = found.into_iter().flatten().collect();
        findings.sort_by(|one, other| rank(one).cmp(&rank(other)));
        findings
    }

    /// Every threshold with the value that it has in this run.
    #[must_use]
    pub fn thresholds_in_force(&self) -> Vec<ThresholdInForce> {
        self.thresholds.in_force()
    }

    const fn context(&self) -> Context<'_> {
        Context { settings: &self.settings, thresholds: &self.thresholds }
    }
}

/// The findings of one detector, and what it lost.
fn found(
    index: usize,
    rule: &Rule,
    accumulator: &Accumulator,
    whole: &Whole<'_>,
    doubts: &[Doubt],
) -> (Vec<Finding>, Evicted) {
    let (describe, totals) = match rule.check {
        Check::Grouped { describe, .. } => (Some(describe), None),
        Check::Totals(totals) | Check::Capture { judge: totals, .. } => (None, Some(totals)),
        Check::Both { describe, totals, .. } => (Some(describe), Some(totals)),
    };
    let (mut found, mut evicted) = (Vec::new(), Evicted::default());
    if let Some(describe) = describe {
        evicted = accumulator.evicted(index);
        let groups = accumulator.groups(index).into_iter();
        found.extend(groups.filter_map(|(key, group)| {
            let draft = describe(group, whole)?;
            let spot = group.spot(key);
            let mut finding = rule.finding(spot, group.connections(), draft);
            let touched = Touched { lacking: group.lossy + group.one_sided > 0 };
            doubt::apply(doubts, touched, &mut finding);
            Some(finding)
        }));
    }
    for (spot, draft) in totals.map_or_else(Vec::new, |totals| totals(whole)) {
        let mut finding = rule.finding(spot, Vec::new(), draft);
        if rule.scope != Scope::Capture {
            doubt::apply(doubts, Touched::default(), &mut finding);
        }
        found.push(finding);
    }
    (found, evicted)
}

type Rank<'a> = (Reverse<Severity>, Code, bool, Reverse<u64>, Option<&'a FrameId>);

/// The worst first, then by code; the largest of a code first, and what was folded together last.
fn rank(finding: &Finding) -> (Rank<'_>, (&Subject, &Overlay), &'static str) {
    let Finding { severity, code, count, subject, overlay, variant, .. } = finding;
    let earliest = finding.frames.iter().min();
    let rank = (Reverse(*severity), *code, is_folded(finding), Reverse(*count), earliest);
    (rank, (subject, overlay), variant)
}
