//! What the quality of the capture does to the findings about its connections: they are less certain,
//! and say why.
//!
//! The detectors of the capture itself are asked whether they run or not: a user who skips TCP901 does
//! not thereby get better evidence. What is wrong with one file of several concerns what was found while
//! that file was captured.

use std::collections::HashMap;

use super::advice::list;
use super::registry;
use super::rule::{Check, Reach, Spot, Whole};
use crate::finding::{Finding, Subject};
use crate::input::Input;
use crate::stamp::Time;

/// A defect of the capture.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    name: String,
    reach: Reach,
    /// When the files with the defect were captured, if it is one of files: ascending, and apart.
    during: Option<Vec<(Time, Time)>>,
}

impl Doubt {
    fn concerns(&self, finding: &Finding, touched: Touched) -> bool {
        let is_during = self.during.as_ref().is_none_or(|during| {
            let next = during.partition_point(|(_, last)| *last < finding.first_time);
            during.get(next).is_some_and(|(first, _)| *first <= finding.last_time)
        });
        is_during && (self.reach == Reach::Everything || touched.lacking)
    }
}

/// Connections of a finding that a defect touched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touched {
    /// Some bytes were never captured, or one side never was.
    pub(super) lacking: bool,
}

/// What is doubtful about the capture.
pub(super) fn doubts(whole: &Whole<'_>) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for rule in registry::RULES {
        let Check::Capture { judge, reach } = rule.check else { continue };
        let Some(reach) = reach(whole) else { continue };
        let spots: Vec<Spot> = judge(whole).into_iter().map(|(spot, _)| spot).collect();
        if !spots.is_empty() {
            let name = format!("{} {}", rule.code, rule.name);
            doubts.push(Doubt { name, reach, during: during(&spots, whole.inputs) });
        }
    }
    doubts
}

/// When the files that a defect was seen in were captured; none if it is not one of files among others.
fn during(spots: &[Spot], inputs: &[Input]) -> Option<Vec<(Time, Time)>> {
    if inputs.len() < 2 {
        return None;
    }
    let by_path: HashMap<&str, &Input> =
        inputs.iter().map(|input| (input.path.as_str(), input)).collect();
    let period = |spot: &Spot| {
        let Subject::Capture(path) = &spot.subject else { return None };
        let input = by_path.get(path.as_str())?;
        input.first_time.zip(input.last_time)
    };
    let mut all: Vec<(Time, Time)> = spots.iter().map(period).collect::<Option<_>>()?;
    all.sort_unstable();
    all.dedup_by(|next, before| {
        let joins = next.0 <= before.1;
        before.1 = if joins { before.1.max(next.1) } else { before.1 };
        joins
    });
    Some(all)
}

/// Takes certainty from a finding that rests on doubtful ground, and says so in its evidence.
pub(super) fn apply(doubts: &[Doubt], touched: Touched, finding: &mut Finding) {
    let concerned = doubts.iter().filter(|doubt| doubt.concerns(finding, touched));
    let names: Vec<String> = concerned.map(|doubt| doubt.name.clone()).collect();
    if names.is_empty() {
        return;
    }
    finding.certainty = finding.certainty.lowered();
    if finding.caveat.is_empty() {
        finding.caveat = format!("The capture is doubtful: {}.", names.join(", "));
    }
    finding.evidence.push(list("doubted_for", names));
}

#[cfg(test)]
mod tests {
    use crate::certainty::Certainty;
    use crate::detect::tests::Run;
    use crate::finding::{Code, Finding, Value};
    use crate::input::{ClockSteps, Input, Quality};
    use crate::settings::Settings;
    use crate::stamp::Span;
    use crate::summary::samples::{at, graceful, refused};

    fn doubted(finding: &Finding) -> Option<Value> {
        let doubt = finding.evidence.iter().find(|evidence| evidence.name == "doubted_for");
        doubt.map(|evidence| evidence.value.clone())
    }

    #[test]
    fn a_clock_that_ran_backwards_takes_certainty_from_every_finding() {
        let clock = ClockSteps { steps: 1, largest: Span::from_secs(5), at: Some((3, at(0))) };
        let input = Input { quality: Quality { clock, ..Quality::default() }, ..Input::default() };
        let told = |inputs: &[Input]| {
            let run = Run::configured(Settings::default(), &[], [refused(1, 0)], inputs);
            let finding = run.only(Code(105));
            (finding.certainty, doubted(&finding), finding.caveat)
        };
        assert_eq!(told(&[]), (Certainty::Observed, None, String::new()));
        let names = Value::List(vec!["TCP904 clock_backwards".to_owned()]);
        let caveat = "The capture is doubtful: TCP904 clock_backwards.".to_owned();
        assert_eq!(told(&[input]), (Certainty::Inferred, Some(names), caveat));
    }

    #[test]
    fn a_bad_clock_in_one_file_concerns_what_was_found_while_that_was_captured() {
        let steps = ClockSteps { steps: 1, largest: Span::from_secs(5), at: Some((3, at(0))) };
        let input = |path: &str, (first, last), clock| Input {
            path: path.to_owned(),
            first_time: Some(at(first)),
            last_time: Some(at(last)),
            quality: Quality { clock, ..Quality::default() },
            ..Input::default()
        };
        // The finding is at 0.
        let is_doubted = |period| {
            let inputs =
                [input("good", (0, 9), ClockSteps::default()), input("bad", period, steps)];
            let run = Run::configured(Settings::default(), &[], [refused(1, 0)], &inputs);
            doubted(&run.only(Code(105))).is_some()
        };
        assert_eq!(
            [(0, 5), (-9, 20), (500, 900), (-9, -1)].map(is_doubted),
            [true, true, false, false]
        );
    }

    #[test]
    fn copies_concern_others_only_where_one_segment_in_a_hundred_is_one() {
        let is_doubted = |segments| {
            let run = Run::with_summary([refused(1, 0)], |summary| {
                summary.totals.ground.copies = 10;
                summary.totals.segments.client = segments;
                summary.totals.segments.server = 0;
            });
            assert_eq!(run.all(Code(903)).len(), 1);
            doubted(&run.only(Code(105))).is_some()
        };
        assert_eq!([1_000, 1_001].map(is_doubted), [true, false]);
    }

    #[test]
    fn one_sided_connections_leave_findings_about_others_alone() {
        let one_sided = |id| {
            let mut record = graceful(id, 0, 90_000);
            record.traffic.client.segments = 9;
            record.traffic.server.segments = 0;
            record
        };
        let mut whole = refused(9, 0);
        whole.traffic.client.segments = 1;
        whole.traffic.server.segments = 1;
        let run = Run::of([one_sided(1), one_sided(2), whole]);
        assert_eq!(run.all(Code(902)).len(), 1);
        assert_eq!(doubted(&run.only(Code(105))), None);
    }
}
