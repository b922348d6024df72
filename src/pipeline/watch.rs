//! From which time on an input's segments are to be remembered, to be found again in other inputs.
//!
//! Inputs that overlap in time may be taps that saw the same segments. Whether one overlaps with
//! the next is known only when both have been read: until then what lies near the next one's
//! beginning is watched. Once an input is known to lie by itself, nothing of it is. Whether
//! something is watched for nothing leaves no trace in the output.
//!
//! Of files that follow one another within a moment, most is watched for nothing. While an input is
//! the only one of its group that has shown anything, nothing has to be looked for, so shards put off
//! remembering what it shows, which costs little.

use super::lane::Lane;
use super::plan::Planned;
use super::reading::Reading;
use super::wave::Wave;
use crate::flow::SIGHTING_WINDOW;
use crate::stamp::Time;

impl Reading<'_> {
    /// From which time on other taps may have seen what input `input`, whose clock shows `clock`,
    /// is about to show; and before which time none of them has shown anything yet. Early rather than
    /// late: what is watched for nothing changes nothing.
    pub(super) fn watch(&self, input: u32, clock: Time) -> (Time, Time) {
        let mut others = self.lanes.iter().filter(|lane| lane.input != input);
        if others.any(Lane::is_under_way) || self.joins.is_near(input, clock) {
            return (Time::MIN, Time::MIN);
        }
        let later = self.accounts.get(input as usize + 1..).unwrap_or_default();
        let registered = later.iter().find_map(|account| account.expected);
        let next = || self.plan.inputs.last().filter(|next| !next.is_alone());
        let first = registered.or_else(|| next().map(Planned::earliest));
        let Some(first) = first else { return (Time::MAX, Time::MIN) };
        let alone_until = if self.joins.is_only(input) { first } else { Time::MIN };
        (first - SIGHTING_WINDOW, alone_until)
    }

    /// Stops watching the inputs of a verified wave that turned out to lie by themselves.
    pub(super) fn unwatch(&self, wave: &mut Wave) {
        let mut known = None;
        for chunk in wave.chunks_mut() {
            let count = chunk.batch.strips().len();
            for index in 0..count {
                let strip = chunk.batch.strip_mut(index);
                let input = strip.first.file();
                let of_input = known.filter(|(of, _)| *of == input);
                let (_, is_apart) = of_input.unwrap_or_else(|| (input, self.is_apart(input)));
                known = Some((input, is_apart));
                if is_apart {
                    strip.watched_from = Time::MAX;
                }
            }
        }
    }

    /// Whether no other input overlaps with this one, nor ever will.
    fn is_apart(&self, input: u32) -> bool {
        let begins_group =
            |index: u32| self.accounts.get(index as usize).is_some_and(|it| it.group == index);
        let mut later = self.accounts.iter().zip(0_u32..).skip(input as usize + 1);
        begins_group(input)
            && match later.find(|(account, _)| !account.input.not_read) {
                Some((_, next)) => begins_group(next),
                None => self.lanes.iter().all(|lane| lane.feeding.is_none()) && self.is_over(),
            }
    }

    /// Whether all that is still to be read lies behind what was read.
    fn is_over(&self) -> bool {
        let next = self.plan.inputs.last();
        next.is_none_or(|next| next.is_alone() || next.earliest() >= self.clock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Detectors, Selection, Thresholds};
    use crate::pipeline::look::Look;
    use crate::pipeline::{Candidate, Options, Survey};
    use crate::settings::Settings;
    use crate::testkit::generate::{Shape, generate};
    use crate::testkit::split;

    /// How the segments of a strip are watched.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Watched {
        Not,
        /// They are remembered, and need not be looked for.
        Alone,
        Compared,
    }
    use Watched::{Alone, Compared, Not};

    /// One file for each frame.
    fn frames(count: u64) -> Vec<Vec<u8>> {
        let mut capture = Vec::new();
        generate(Shape::named("mix").unwrap(), count, 1, &mut capture).unwrap();
        split(&capture, 1).collect()
    }

    /// The frames as one file.
    fn file(frames: &[Vec<u8>]) -> Vec<u8> {
        let head = frames[0][..24].to_vec();
        frames.iter().fold(head, |file, frame| [&file, &frame[24..]].concat())
    }

    /// How the strips of each file are watched when one thread reads the files.
    fn watched(files: &[Vec<u8>]) -> Vec<Vec<Watched>> {
        let folder = tempfile::tempdir().unwrap();
        let candidates = files.iter().zip(0..).map(|(file, index)| {
            let path = folder.path().join(format!("{index}.pcap"));
            std::fs::write(&path, file).unwrap();
            Candidate { path, may_be_other: false }
        });
        let candidates: Vec<Candidate> = candidates.collect();
        let settings = Settings::default();
        let selection = Selection::default();
        let detectors = Detectors::new(settings.clone(), Thresholds::default(), &selection);
        let mut options = Options::new(settings, detectors).on_threads(1);
        // A wave is one chunk of some ten frames.
        (options.chunk_size, options.wave_size) = (4_000, 4_000);
        let plan = Survey::of(&candidates, 1).unwrap().plan;
        let look = Look::new(&options, plan.start());
        let mut reading = Reading::new(plan, &options, look);
        let (mut wave, mut all) = (Wave::default(), vec![Vec::new(); files.len()]);
        loop {
            reading.fill(&mut wave);
            if wave.is_empty() {
                return all;
            }
            for strip in wave.chunks().iter().flat_map(|chunk| chunk.batch.strips()) {
                all[strip.first.file() as usize].push(match strip.clock_after() {
                    clock if clock < strip.watched_from => Not,
                    clock if clock < strip.alone_until => Alone,
                    _ => Compared,
                });
            }
        }
    }

    #[test]
    fn nothing_of_short_files_that_follow_one_another_is_looked_for() {
        let frames = frames(600);
        let watched =
            watched(&[file(&frames[..200]), file(&frames[200..400]), file(&frames[400..])]);
        let [first, second, third] = &watched[..] else { panic!("{watched:?}") };
        for file in [first, second] {
            let (last, before) = file.split_last().unwrap();
            assert_eq!(*last, Not, "its end is known");
            assert!(before.len() > 5 && before.iter().all(|it| *it == Alone), "{before:?}");
        }
        assert!(third.iter().all(|it| *it == Not), "{third:?}");
    }

    #[test]
    fn files_that_touch_follow_one_another() {
        let frames = frames(400);
        let watched = watched(&[file(&frames[..200]), file(&frames[199..])]);
        assert_eq!(watched[0].last(), Some(&Not));
        assert!(!watched[0].contains(&Compared) && watched[1].iter().all(|it| *it == Not));
    }

    #[test]
    fn what_overlaps_is_looked_for_from_where_the_next_file_begins() {
        let frames = frames(400);
        let watched = watched(&[file(&frames[..200]), file(&frames[100..])]);
        let alone = watched[0].iter().take_while(|it| **it == Alone).count();
        let (before, behind) = watched[0].split_at(alone);
        assert!(before.len() > 2 && behind.len() > 2, "{watched:?}");
        assert!(behind.iter().all(|it| *it == Compared), "{behind:?}");
        assert!(watched[1].iter().all(|it| *it == Compared), "within 200 ms: {watched:?}");
    }

    #[test]
    fn a_clock_that_went_ahead_overlaps_though_the_file_ends_before() {
        let frames = frames(400);
        let ahead = [&frames[..100], &frames[250..251], &frames[100..200]].concat();
        let watched = watched(&[file(&ahead), file(&frames[200..])]);
        assert_eq!(watched[0].last(), Some(&Compared), "{watched:?}");
        assert!(watched[1].iter().all(|it| *it == Compared), "{watched:?}");
    }

    #[test]
    fn a_copy_is_compared_from_its_first_segment_on() {
        let frames = frames(200);
        let watched = watched(&[file(&frames), file(&frames)]);
        assert!(watched.iter().flatten().all(|it| *it == Compared), "{watched:?}");
    }

    /// The frames with five milliseconds from each to the next.
    fn paced(frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let set = |(mut frame, at): (Vec<u8>, u32)| {
            let time = [1 + at / 200, at % 200 * 5_000].map(u32::to_le_bytes);
            frame[24..32].copy_from_slice(time.as_flattened());
            frame
        };
        frames.into_iter().zip(0..).map(set).collect()
    }

    #[test]
    fn one_that_another_file_lay_beside_is_not_alone_any_more_before_a_third() {
        let frames = paced(frames(240));
        let all = [file(&frames[..200]), file(&frames[10..14]), file(&frames[180..])];
        let watched = watched(&all);
        let mut first = watched[0].clone();
        first.dedup();
        assert_eq!(first, [Compared, Not, Compared], "{watched:?}");
        assert!(watched[0].iter().rev().take_while(|it| **it == Compared).count() > 2);
    }
}
