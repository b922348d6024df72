//! What the quality of the capture does to the findings about its connections: they are less certain,
//! and say why.
//!
//! The detectors of the capture itself are asked whether they run or not: a user who skips TCP901 does
//! not thereby get better evidence.

use super::advice::list;
use super::registry;
use super::rule::{Check, Scope, Whole};
use crate::finding::{Code, Finding};

/// Which findings a defect of the capture concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Those about connections that the defect touched.
    Touched,
    /// All of them.
    Everything,
}

/// A defect of the capture.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    name: String,
    reach: Reach,
}

/// Connections of a finding that a defect touched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touched {
    /// Some bytes were never captured, or one side never was.
    pub(super) lacking: bool,
}

/// What is doubtful about the capture.
pub(super) fn doubts(whole: &Whole<'_>) -> Vec<Doubt> {
    let rules = registry::RULES.iter().filter(|rule| rule.scope == Scope::Capture);
    let mut doubts = Vec::new();
    for rule in rules {
        let (Some(reach), Check::Totals(judge)) = (reach(rule.code), rule.check) else { continue };
        if !judge(whole).is_empty() {
            doubts.push(Doubt { name: format!("{} {}", rule.code, rule.name), reach });
        }
    }
    doubts
}

/// What a detector of the capture means for the findings; none where it means nothing. Checksums of a
/// sending host and cut files say so themselves.
const fn reach(code: Code) -> Option<Reach> {
    match code.0 {
        901 | 902 => Some(Reach::Touched),
        903 | 904 | 905 | 908 => Some(Reach::Everything),
        _ => None,
    }
}

/// Takes certainty from a finding that rests on doubtful ground, and says so in its evidence.
pub(super) fn apply(doubts: &[Doubt], touched: Touched, finding: &mut Finding) {
    let concerned = doubts.iter().filter(|doubt| match doubt.reach {
        Reach::Everything => true,
        Reach::Touched => touched.lacking,
    });
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
