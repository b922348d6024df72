//! Whether a file lies outside the period as a whole, judged by a few samples of it.
//!
//! Frames may be out of order, so the first and the last one alone do not tell. A file is left out
//! only if its beginning, its end and places between them all lie on the same side of the period,
//! well away from it, and follow one another in time. Whatever is odd about a file makes it one to
//! be read.

use std::io;

use super::look::Look;
use super::plan::{Planned, likely_end, open};
use crate::capture::{Context, Input, Source, Window};
use crate::stamp::{Span, Time};

/// Shorter files are read: that costs about as much.
const MIN_LEN: u64 = 16 << 20;

/// Samples of a file.
const SAMPLES: u64 = 16;

/// Bytes of a sample.
const SAMPLE: usize = 128 << 10;

/// How far from the period a file has to be. Captures of several interfaces, queues or hosts are out
/// of order by less.
const MARGIN: Span = Span::from_secs(60);

/// Longest time that a file is believed to cover: times beyond are more likely misread, as those of
/// an appended section whose interfaces count time in other units.
const MAX_EXTENT: Span = Span::from_secs(366 * 86_400);

/// Whether the input is a file that lies outside the period as a whole.
pub(super) fn is_outside(planned: &Planned, look: Look<'_>) -> bool {
    let may_be = !planned.is_alone() && planned.open.is_none();
    may_be && look.is_far_from(planned.first_time, MARGIN) && {
        match open(&planned.path) {
            Ok(Input::File(source)) if source.len() >= MIN_LEN => {
                all_is_far(&source, look).unwrap_or(false)
            }
            _ => false,
        }
    }
}

fn all_is_far(source: &Source, look: Look<'_>) -> io::Result<bool> {
    let mut head = vec![0; Context::HEAD];
    let count = source.read_at(0, &mut head)?;
    head.truncate(count);
    let Ok((mut context, header)) = Context::open(&head) else { return Ok(false) };
    let window = Window { bytes: &head, base: 0, at_end: false };
    context.walk(window, header..likely_end(&head, false), &mut |_| {});
    let mut bytes = vec![0; SAMPLE];
    let last = source.len().saturating_sub(SAMPLE as u64);
    let mut covered: Option<(Time, Time)> = None;
    for index in 0..=SAMPLES {
        let place = last / SAMPLES * index;
        let place = if index == SAMPLES { last } else { place.max(header as u64) };
        let count = source.read_at(place, &mut bytes)?;
        let sample = bytes.get(..count).unwrap_or_default();
        let window = Window { bytes: sample, base: place, at_end: index == SAMPLES };
        let Some((first, latest)) = times(&context, window) else { return Ok(false) };
        let follows = covered.is_none_or(|(_, before)| first + MARGIN >= before);
        let begin = covered.map_or(first, |(begin, _)| begin.min(first));
        let end = covered.map_or(latest, |(_, end)| end.max(latest));
        if !follows || end.since(begin) > MAX_EXTENT {
            return Ok(false);
        }
        covered = Some((begin, end));
    }
    Ok(covered.is_some_and(|(first, last)| look.is_far_between(first, last, MARGIN)))
}

/// The earliest and latest time of the records in a window; none if that cannot be told for sure.
fn times(context: &Context, window: Window<'_>) -> Option<(Time, Time)> {
    let mut context = context.clone();
    let start = context.guess(window, 0)?;
    let mut covered: Option<(Time, Time)> = None;
    let mut are_timed = true;
    let walk = context.walk(window, start..window.bytes.len(), &mut |record| {
        are_timed &= record.timed;
        let (first, last) = covered.unwrap_or((record.time, record.time));
        covered = Some((first.min(record.time), last.max(record.time)));
    });
    let is_plain = are_timed && walk.damage.is_empty() && !walk.context_changed;
    covered.filter(|_| is_plain)
}
