//! Lives by kind: who closes first, whether the other one goes on, both at once, an abort; through
//! loss on both sides of the tap, and looked at from both ends.
//!
//! Drawn lives are mostly a mixture; here each kind is drawn alone, so that one that is told badly
//! does not hide among those that are told well.

use proptest::prelude::*;

use super::network::{Act, Plan, run};
use super::{is_made_up, judge, lossy_leg, reconstructed, story};

/// Time between the last word and a close, in microseconds.
const PAUSE: i64 = 400_000;

/// Who does what, and when.
type Acts = Vec<(i64, usize, Act)>;

/// A request, an answer, and the end that `end` makes of the two last moments.
fn life(end: fn(i64, i64) -> Acts) -> impl Strategy<Value = (Plan, bool)> {
    let sizes = (1_u32..4_000, 1_u32..9_000);
    let moments = (0..PAUSE, 0..PAUSE);
    (lossy_leg(), lossy_leg(), sizes, moments, any::<u64>(), any::<bool>()).prop_map(
        move |(near, far, (asked, answered), (one, other), seed, stamps)| {
            let mut acts = vec![(0, 0, Act::Open), (200_000, 0, Act::Write(asked))];
            acts.push((500_000, 1, Act::Write(answered)));
            acts.extend(end(1_000_000 + one, 1_000_000 + other));
            // Whoever has not closed by then does.
            acts.extend([(4_000_000, 0, Act::Close), (4_500_000, 1, Act::Close)]);
            (Plan { legs: [near, far], acts, seed, again: false }, stamps)
        },
    )
}

/// Draws lives of one kind; of a thousand `allowed` may have a state at either end that was never there.
fn judge_kind(end: fn(i64, i64) -> Acts, allowed: usize) {
    judge(&life(end), allowed, |(plan, stamps)| {
        let outcome = run(plan);
        let tool = reconstructed(&outcome.seen, *stamps);
        let wrong = (0..2).find(|&who| is_made_up(&outcome, who, &tool[who]));
        wrong.map_or(Ok(()), |who| {
            Err(story(&outcome.seen, &tool[who], &outcome.peers[who].history))
        })
    });
}

#[test]
fn one_closes_and_the_other_follows() {
    judge_kind(|at, later| vec![(at, 0, Act::Close), (at.max(later) + PAUSE, 1, Act::Close)], 3);
}

/// Its FIN goes with its last words and is lost with them: whether its acknowledgment of the client's answers the
/// first FIN that came, nothing tells.
#[test]
fn the_server_closes_and_the_client_follows() {
    judge_kind(|at, later| vec![(at, 1, Act::Close), (at.max(later) + PAUSE, 0, Act::Close)], 6);
}

#[test]
fn one_closes_and_the_other_goes_on() {
    judge_kind(
        |at, later| {
            let last = at.max(later) + PAUSE;
            vec![(at, 0, Act::Close), (last, 1, Act::Write(3_000)), (last + PAUSE, 1, Act::Close)]
        },
        2,
    );
}

/// A FIN that was lost before the tap looks as if it had never been sent.
#[test]
fn both_close_at_once() {
    judge_kind(|at, later| vec![(at, 0, Act::Close), (at + later % 30_000, 1, Act::Close)], 14);
}

#[test]
fn one_closes_right_behind_its_words() {
    judge_kind(
        |at, later| vec![(at, 1, Act::Write(8_000)), (at, 1, Act::Close), (later, 0, Act::Close)],
        4,
    );
}

#[test]
fn one_aborts() {
    judge_kind(|at, later| vec![(at, 0, Act::Abort), (at + later % 60_000, 1, Act::Close)], 1);
}

/// Both then close at once as well.
#[test]
fn both_open() {
    judge_kind(
        |at, later| {
            vec![(at % 60_000, 1, Act::Open), (at, 0, Act::Close), (at.max(later), 1, Act::Close)]
        },
        18,
    );
}
