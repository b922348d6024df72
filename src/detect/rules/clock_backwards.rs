//! Capture time runs backwards.
//!
//! # What it detects
//! Set when a frame's time lies before that of the frame ahead of it in the same file, by `min_step` or
//! more.
//!
//! # Why it matters
//! Round trips, retransmission gaps and timers are differences of capture times. Frames are taken in the
//! order of the file, and timers run on the highest time seen so far, so that a step back ends nothing;
//! but durations across the step are wrong. All findings are less certain, and say so.
//!
//! # Evidence
//! How many steps, the largest one and the frame behind it.
//!
//! # Thresholds
//!
//! # What to check
//! * A clock that was set while the capture ran: use `chronyd` or `ntpd` in slewing mode, or capture with
//!   hardware time stamps (`tcpdump -j adapter_unsynced`).
//! * Files that were joined with `cat` or `mergecap -a`: give the single files to the run instead.
//! * Several interfaces or queues in one file: steps below a millisecond are usual, and not reported.
//!
//! # False positives
//! * Several queues or hosts behind one interface, merged without regard to time: `reordercap` puts the
//!   frames in order. Interfaces that take turns in a pcapng file, as dumpcap writes them, are put in
//!   order here, up to 500 ms, and not reported.
//!
//! # References
//! pcap-tstamp(7); reordercap(1).

use crate::certainty::Certainty;
use crate::detect::advice::{length, number, setting};
use crate::detect::rule::{Check, Draft, Reach, Rule, Scope, Spot, Whole};
use crate::detect::thresholds::{Threshold, Unit};
use crate::detect::words;
use crate::finding::{Code, Severity, Subject};
use crate::input::Input;
use crate::stamp::FrameId;
use crate::tcp::Overlay;

const CODE: Code = Code(904);

const MIN_STEP: Threshold = Threshold {
    code: CODE,
    name: "min_step",
    default: 1_000_000,
    unit: Unit::Duration,
    meaning: "largest step back of a file",
    source: "chosen here: receive queues of one network card are drained within less",
};

const WARNING_STEP: Threshold = Threshold {
    code: CODE,
    name: "warning_step",
    default: 1_000_000_000,
    unit: Unit::Duration,
    meaning: "from this step back on it is a warning",
    source: "the first retransmission timeout is 1 s (RFC 6298 2.1): larger steps distort every timer",
};

/// TCP904.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "clock_backwards",
    scope: Scope::Capture,
    variants: &[""],
    thresholds: &[&MIN_STEP, &WARNING_STEP],
    source: include_str!("clock_backwards.rs"),
    check: Check::Capture { judge, reach: |_| Some(Reach::Everything) },
};

fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    let inputs = whole.inputs.iter().zip(0..);
    inputs.filter_map(|(input, index)| judge_input(input, index, whole)).collect()
}

fn judge_input(input: &Input, index: u32, whole: &Whole<'_>) -> Option<(Spot, Draft)> {
    let clock = &input.quality.clock;
    let thresholds = whole.context.thresholds;
    let (frame, time) = clock.at.filter(|_| clock.largest >= thresholds.span(&MIN_STEP))?;
    let warned = clock.largest >= thresholds.span(&WARNING_STEP);
    let spot = Spot {
        variant: "",
        subject: Subject::Capture(input.path.clone()),
        overlay: Overlay::default(),
        first: time,
        last: time + clock.largest,
        count: clock.steps,
        frames: vec![FrameId::new(index, frame)],
    };
    let largest = words::span(clock.largest);
    let draft = Draft {
        severity: if warned { Severity::Warning } else { Severity::Notice },
        certainty: Certainty::Observed,
        title: "capture time runs backwards".to_owned(),
        summary: format!(
            "{}, the largest {largest} at frame {}.",
            steps(clock.steps),
            words::count(frame),
        ),
        evidence: vec![
            number("steps", clock.steps),
            length("largest_step_ns", clock.largest),
            number("frame", frame),
        ],
        explanation: format!(
            "The clock of the capture stepped back by up to {largest}. Frames are taken in the order \
             of the file; durations across a step are wrong."
        ),
        advice: vec![setting(
            "clock of the capturing host",
            "check",
            None,
            "Slew the clock instead of setting it, or take hardware time stamps; files that were \
             joined are better given one by one.",
        )],
        display_filter: format!("frame.number >= {} && frame.number <= {frame}", frame.max(2) - 1),
        caveat: String::new(),
    };
    Some((spot, draft))
}

fn steps(count: u64) -> String {
    format!("{} back", words::counted(count, "step"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;
    use crate::input::{ClockSteps, Quality};
    use crate::stamp::Span;
    use crate::summary::samples::at;

    fn stepped(nanos: i64) -> Input {
        let largest = Span::from_nanos(nanos);
        let clock = ClockSteps { steps: 2, largest, at: Some((9, at(0))) };
        Input { quality: Quality { clock, ..Quality::default() }, ..Input::default() }
    }

    #[test]
    fn steps_from_a_millisecond_on_are_found_and_from_a_second_on_a_warning() {
        assert!(Run::inputs(&[stepped(999_999)]).none(CODE));
        assert!(Run::inputs(&[Input::default()]).none(CODE));
        let severity = |nanos| Run::inputs(&[stepped(nanos)]).only(CODE).severity;
        assert_eq!(
            [severity(1_000_000), severity(1_000_000_000)],
            [Severity::Notice, Severity::Warning]
        );
    }

    #[test]
    fn the_frame_behind_the_largest_step_is_named() {
        let finding = Run::inputs(&[Input::default(), stepped(5_000_000)]).only(CODE);
        assert_eq!(finding.summary, "2 steps back, the largest 5 ms at frame 9.");
        assert_eq!(finding.frames, [FrameId::new(1, 9)]);
    }
}
