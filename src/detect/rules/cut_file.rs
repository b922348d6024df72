//! A capture file is damaged, or ends inside a record.
//!
//! # What it detects
//! Set when a file holds at least one place that could not be read. The variants:
//! * `cut`: the file ends inside a record, and nothing else is wrong;
//! * `damaged`: something that is no record stands between records.
//!
//! # Why it matters
//! Everything readable was analysed, but frames are missing. What a connection did in them is unknown,
//! and may look like loss or silence.
//!
//! # Evidence
//! The byte offset and kind of the first damaged place, the number of places, the bytes passed over,
//! and the frames that were read.
//!
//! # Thresholds
//!
//! # What to check
//! * A capture program that was killed leaves a cut record: let it end by itself, or rotate.
//! * A full disk, or a copy that broke off: compare sizes with the source.
//! * `pcapfix` or `editcap` for what has to be mended.
//!
//! # False positives
//! * A file that is still being written.
//!
//! # References
//! draft-ietf-opsawg-pcap; draft-ietf-opsawg-pcapng.

use crate::certainty::Certainty;
use crate::detect::advice::{number, setting, text};
use crate::detect::rule::{Check, Draft, Rule, Scope, Spot, Whole};
use crate::detect::words;
use crate::finding::{Code, Finding, Severity, Subject};
use crate::input::{Input, InputDamage};
use crate::stamp::FrameId;
use crate::tcp::Overlay;

const CODE: Code = Code(907);

/// The kind of damage that a file has which ends inside a record.
const CUT_RECORD: &str = "cut_record";

/// TCP907.
pub(in crate::detect) static RULE: Rule = Rule {
    code: CODE,
    name: "cut_file",
    scope: Scope::Capture,
    variants: &["cut", "damaged"],
    thresholds: &[],
    source: include_str!("cut_file.rs"),
    // What ends early says so itself.
    check: Check::Capture { judge, reach: |_| None },
};

fn judge(whole: &Whole<'_>) -> Vec<(Spot, Draft)> {
    let inputs = whole.inputs.iter().zip(0..);
    inputs.filter_map(|(input, index)| judge_input(input, index, whole)).collect()
}

fn judge_input(input: &Input, index: u32, whole: &Whole<'_>) -> Option<(Spot, Draft)> {
    let first = input.damage.first()?;
    let places = input.damage_total.max(input.damage.len() as u64);
    let is_cut = places == 1 && first.kind == CUT_RECORD;
    let skipped: u64 = input.damage.iter().map(|place| place.skipped_bytes).sum();
    let frames = input.damage.iter().filter(|place| place.after_frame > 0);
    let mut frames: Vec<_> = frames.map(|it| FrameId::new(index, it.after_frame)).collect();
    frames.dedup();
    frames.truncate(Finding::MAX_FRAMES);
    let spot = Spot {
        variant: if is_cut { "cut" } else { "damaged" },
        subject: Subject::Capture(input.path.clone()),
        overlay: Overlay::default(),
        first: input.first_time.unwrap_or_else(|| whole.start()),
        last: input.last_time.unwrap_or_else(|| whole.end()),
        count: places,
        frames,
    };
    let read = words::counted(input.frames, "frame");
    let more = if input.damage_total > input.damage.len() as u64 { "at least " } else { "" };
    let draft = Draft {
        severity: if is_cut { Severity::Notice } else { Severity::Warning },
        certainty: Certainty::Observed,
        title: if is_cut { "the file ends inside a record" } else { "the file is damaged" }
            .to_owned(),
        summary: summary(first, places, is_cut, &read),
        evidence: vec![
            text("kind", first.kind),
            number("offset_bytes", first.offset),
            number("places", places),
            number("skipped_bytes", skipped),
            number("frames_read", input.frames),
            number("after_frame", first.after_frame),
        ],
        explanation: format!(
            "{read} were read; {more}{} could not be. What connections did in the missing frames is \
             unknown, and may look like loss or silence.",
            words::counted(skipped, "byte"),
        ),
        advice: vec![setting(
            "how the file was written and copied",
            "check",
            None,
            "A killed capture program, a full disk and a broken copy all leave such files.",
        )],
        display_filter: format!("frame.number >= {}", first.after_frame.max(1)),
        caveat: String::new(),
    };
    Some((spot, draft))
}

fn summary(first: &InputDamage, places: u64, is_cut: bool, read: &str) -> String {
    let offset = words::count(first.offset);
    let frame = words::count(first.after_frame);
    if is_cut {
        format!("cut at byte {offset}, after frame {frame}; {read} read.")
    } else {
        format!(
            "{}, the first ({}) at byte {offset} after frame {frame}; {read} read.",
            words::counted(places, "damaged place"),
            first.kind,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::tests::Run;

    fn input(damage: Vec<InputDamage>) -> Input {
        Input {
            path: "a.pcap".to_owned(),
            frames: 12,
            damage_total: damage.len() as u64,
            damage,
            ..Input::default()
        }
    }

    fn place(kind: &'static str) -> InputDamage {
        InputDamage { kind, offset: 5_000, skipped_bytes: 20, after_frame: 12 }
    }

    #[test]
    fn a_cut_file_is_a_notice_that_says_where() {
        let finding = Run::inputs(&[input(vec![place(CUT_RECORD)])]).only(CODE);
        assert_eq!((finding.variant, finding.severity), ("cut", Severity::Notice));
        assert_eq!(finding.summary, "cut at byte 5,000, after frame 12; 12 frames read.");
        assert_eq!(finding.frames, [FrameId::new(0, 12)]);
    }

    #[test]
    fn damage_between_records_is_a_warning() {
        for damage in [vec![place("bad_record")], vec![place("bad_record"), place(CUT_RECORD)]] {
            let finding = Run::inputs(&[input(damage)]).only(CODE);
            assert_eq!((finding.variant, finding.severity), ("damaged", Severity::Warning));
        }
    }

    #[test]
    fn the_frame_names_the_file_that_is_damaged() {
        let finding = Run::inputs(&[input(Vec::new()), input(vec![place(CUT_RECORD)])]).only(CODE);
        assert_eq!(finding.frames, [FrameId::new(1, 12)]);
    }

    #[test]
    fn a_frame_with_two_places_of_damage_behind_it_is_named_once() {
        let damage = vec![place("bad_record"), place(CUT_RECORD)];
        assert_eq!(Run::inputs(&[input(damage)]).only(CODE).frames, [FrameId::new(0, 12)]);
    }

    #[test]
    fn whole_files_are_quiet() {
        assert!(Run::inputs(&[input(Vec::new())]).none(CODE));
    }
}
