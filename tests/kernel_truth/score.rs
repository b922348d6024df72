//! The rules by which the tool's states are scored against the kernel's.
//!
//! | kernel's transition | what the tool must say |
//! |---|---|
//! | `wire` | the state, in order, within 1 ms of the kernel (10 ms if the kernel was only polled) |
//! | `timer` | the state, in order, within an eighth of the time since the state before (the kernel's timer wheel) |
//! | `invisible` | nothing, or the state at any time, but not `observed` unless within the tolerance |
//! | none | nothing: a state that the kernel never had is an error, whatever its certainty; only that of a segment which a raw socket sent in the host's name is nobody's |
//!
//! From the other end's capture, the tolerance of a transition grows by the time that the very
//! segment behind it was on its way between the two taps, read from both captures; and a
//! transition whose segment that capture does not hold is not expected. A timer that ran out after
//! the capture's last frame is not expected either: nothing in the capture says that time went on.

use tcpautopsy::certainty::Certainty;
use tcpautopsy::connection::{Entry, State};

use super::run::{Capture, Run, Tag, Transition};

/// A change that a segment triggers, known from a tracepoint or a timer event.
const EXACT_NS: i64 = 1_000_000;
/// A change known from polling only.
const POLLED_NS: i64 = 10_000_000;
/// Timers: the kernel's wheel fires up to an eighth late.
const TIMER_SHARE: i64 = 8;

/// What went wrong, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A `wire` transition that the tool does not have, or at another time.
    Missed,
    /// A `timer` transition that the tool does not have, or at another time.
    TimerMissed,
    /// A state that the kernel never had.
    NeverThere,
    /// An `invisible` transition claimed as observed.
    Dishonest,
}

/// One thing that went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Complaint {
    pub(crate) fault: Fault,
    pub(crate) text: String,
}

/// What a comparison found.
#[derive(Debug, Default, Clone)]
pub(crate) struct Score {
    pub(crate) wire: usize,
    pub(crate) wire_found: usize,
    pub(crate) timers: usize,
    pub(crate) timers_found: usize,
    pub(crate) invisible: usize,
    /// Not expected: the capture lacks the segment, or ended before the timer.
    pub(crate) beyond: usize,
    pub(crate) complaints: Vec<Complaint>,
    /// Largest error of a `wire` transition that was found, in nanoseconds.
    pub(crate) worst_ns: i64,
}

impl Score {
    /// How often `fault` occurred.
    pub(crate) fn count(&self, fault: Fault) -> usize {
        self.complaints.iter().filter(|it| it.fault == fault).count()
    }

    /// Adds another score.
    pub(crate) fn add(&mut self, other: &Self) {
        self.wire += other.wire;
        self.wire_found += other.wire_found;
        self.timers += other.timers;
        self.timers_found += other.timers_found;
        self.invisible += other.invisible;
        self.beyond += other.beyond;
        self.worst_ns = self.worst_ns.max(other.worst_ns);
        self.complaints.extend_from_slice(&other.complaints);
    }

    fn complain(&mut self, fault: Fault, text: String) {
        self.complaints.push(Complaint { fault, text });
    }
}

/// Scores the states of `host` in the capture `seen`; `own` is the capture taken at that host.
pub(crate) fn score(run: &Run, host: &str, own: &Capture, seen: &Capture) -> Score {
    let at_own_end = std::ptr::eq(own, seen);
    let mut score = Score::default();
    for ((owner, local, remote), kernel) in run.transitions() {
        if owner != host {
            continue;
        }
        let expected: Vec<Expected<'_>> = kernel
            .iter()
            .enumerate()
            .map(|(index, it)| {
                let before = index.checked_sub(1).and_then(|before| kernel.get(before));
                expect(it, before, (own, seen, &local), at_own_end)
            })
            .collect();
        let who = format!("{local} > {remote}");
        let never_there = compare(&who, &expected, &seen.entries(&local, &remote), &mut score);
        for entry in never_there.iter().filter(|entry| !seen.is_forged(&local, entry)) {
            let text = format!("{who}: {} never there ({entry})", entry.state);
            score.complain(Fault::NeverThere, text);
        }
    }
    strangers(run, host, seen, &mut score);
    score
}

/// Sockets that the host never had, in any state but CLOSED.
fn strangers(run: &Run, host: &str, seen: &Capture, score: &mut Score) {
    let sockets = run.transitions();
    for (local, remote) in seen.endpoints() {
        let key = (host.to_owned(), local.to_string(), remote.to_string());
        if !run.has_address(host, local.address) || sockets.contains_key(&key) {
            continue;
        }
        for entry in seen.entries(&key.1, &key.2) {
            if entry.state != State::Closed && !seen.is_forged(&key.1, &entry) {
                let text = format!("{local} > {remote}: {} never there ({entry})", entry.state);
                score.complain(Fault::NeverThere, text);
            }
        }
    }
}

/// A kernel transition with what may be asked of the tool.
struct Expected<'a> {
    it: &'a Transition,
    tolerance: i64,
    /// Whether the capture can show it at all.
    within_reach: bool,
}

fn expect<'a>(
    it: &'a Transition,
    before: Option<&Transition>,
    (own, seen, local): (&Capture, &Capture, &str),
    at_own_end: bool,
) -> Expected<'a> {
    let exact = if it.polled { POLLED_NS } else { EXACT_NS };
    let delay_of = |it: &Transition| {
        it.frame.filter(|_| !at_own_end).map(|frame| seen.delay_of(own, frame, local))
    };
    let delay = delay_of(it);
    // What crosses a FIN and that FIN are each on their way for a time that no tap can know; and what passed
    // the tap before the FIN cannot stand there before the state that this made.
    let own_fin = before
        .filter(|before| matches!(before.to.as_str(), "FIN-WAIT-1" | "LAST-ACK"))
        .and_then(|before| {
            let of = |it: &Transition| Some((own.time_of(it.frame?)?, delay_of(it)??));
            let ((sent, fin), (came, received)) = (of(before)?, of(it)?);
            (came - received < sent + fin).then_some(fin)
        })
        .unwrap_or(0);
    match it.tag {
        Tag::Timer => {
            let length = before.map_or(0, |before| it.at - before.at);
            Expected {
                it,
                tolerance: length / TIMER_SHARE + POLLED_NS,
                within_reach: it.at <= seen.last,
            }
        }
        Tag::Wire | Tag::Invisible => Expected {
            it,
            tolerance: exact + delay.flatten().unwrap_or(0).max(own_fin),
            within_reach: at_own_end || (!it.hidden_at_other_end && delay != Some(None)),
        },
    }
}

/// Judges each kernel transition; returns what the tool has and the kernel never had.
fn compare(who: &str, kernel: &[Expected<'_>], tool: &[Entry], score: &mut Score) -> Vec<Entry> {
    let pairs = align(kernel, tool);
    for (index, expected) in kernel.iter().enumerate() {
        let matched = pairs.iter().find(|pair| pair.0 == index).map(|pair| &tool[pair.1]);
        judge(who, expected, matched, score);
    }
    let unpaired = |index: &usize| !pairs.iter().any(|pair| pair.1 == *index);
    (0..tool.len()).filter(unpaired).map(|index| tool[index]).collect()
}

fn judge(who: &str, expected: &Expected<'_>, matched: Option<&Entry>, score: &mut Score) {
    let it = expected.it;
    let label = format!("{who}: {} -> {}", it.from, it.to);
    let off = matched.map(|entry| entry.at.nanos() - it.at);
    let good = off.is_some_and(|off| off.abs() <= expected.tolerance);
    let what_is_wrong = || match off {
        Some(off) => format!("{label} off by {} us", off / 1_000),
        None => format!("{label} missing"),
    };
    match it.tag {
        Tag::Wire | Tag::Timer if !expected.within_reach => score.beyond += 1,
        Tag::Wire => {
            score.wire += 1;
            score.wire_found += usize::from(good);
            if good {
                score.worst_ns = score.worst_ns.max(off.unwrap_or(0).abs());
            } else {
                score.complain(Fault::Missed, what_is_wrong());
            }
        }
        Tag::Timer => {
            score.timers += 1;
            score.timers_found += usize::from(good);
            if !good {
                score.complain(Fault::TimerMissed, what_is_wrong());
            }
        }
        Tag::Invisible => {
            score.invisible += 1;
            let observed = matched.is_some_and(|entry| entry.certainty == Certainty::Observed);
            if observed && !good {
                score.complain(Fault::Dishonest, format!("{label} claimed as observed"));
            }
        }
    }
}

/// Pairs both sequences in order: as many equal states as possible, at fitting times before others.
fn align(kernel: &[Expected<'_>], tool: &[Entry]) -> Vec<(usize, usize)> {
    let (rows, columns) = (kernel.len(), tool.len());
    let mut best = vec![vec![0_usize; columns + 1]; rows + 1];
    let weight = |row: usize, column: usize| {
        let (expected, entry) = (&kernel[row], &tool[column]);
        let fits = (entry.at.nanos() - expected.it.at).abs() <= expected.tolerance;
        if expected.it.to == entry.state.name() { 100 + usize::from(fits) } else { 0 }
    };
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let skip = best[row + 1][column].max(best[row][column + 1]);
            let paired = weight(row, column);
            let take = if paired > 0 { best[row + 1][column + 1] + paired } else { 0 };
            best[row][column] = skip.max(take);
        }
    }
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < rows && column < columns {
        let paired = weight(row, column);
        if paired > 0 && best[row][column] == best[row + 1][column + 1] + paired {
            pairs.push((row, column));
            (row, column) = (row + 1, column + 1);
        } else if best[row + 1][column] >= best[row][column + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}
