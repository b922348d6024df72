//! The engine against simulated endpoints whose states are known: random lives of two endpoints
//! that keep to RFC 9293, over a network that loses, doubles, delays and reorders.
//!
//! What is asserted depends on what the tap can know. At an endpoint's own end it sees all that
//! the endpoint sends and receives: every state, in order, at its time. At the other end, with
//! nothing lost behind the tap: the same, as late as the path is long. With losses behind the tap:
//! hardly a state that the endpoint never had, as soon as the life has settled.

mod endpoint;
mod network;

use network::{Act, Leg, Plan};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngSeed, TestRunner};
use tcpautopsy::certainty::Certainty;
use tcpautopsy::connection::{Beginning, Cause, Connection, Entry, State};
use tcpautopsy::settings::Settings;
use tcpautopsy::stamp::{FrameId, Time};
use tcpautopsy::tcp::{Endpoint, Extras, Flags, FourTuple, Marks, Segment, Seq, Side, Timestamps};

/// A change and its segment are no more than this apart at the own end, in microseconds.
const AT_ONCE: i64 = 50;

fn acts() -> impl Strategy<Value = Vec<(i64, usize, Act)>> {
    let at = 0_i64..3_000_000;
    let one = prop_oneof![
        4 => (1_u32..9_000).prop_map(Act::Write),
        3 => Just(Act::Close),
        1 => Just(Act::Abort),
    ];
    let later = prop::collection::vec((at, 0_usize..2, one), 0..10);
    let both_open = prop::option::weighted(0.15, 0_i64..60_000);
    (later, both_open).prop_map(|(mut acts, both)| {
        acts.push((0, 0, Act::Open));
        acts.extend(both.map(|at| (at, 1, Act::Open)));
        // Whoever has not closed by then does, so that most lives come to an end.
        acts.extend([(4_000_000, 0, Act::Close), (4_500_000, 1, Act::Close)]);
        acts
    })
}

fn good_leg() -> impl Strategy<Value = Leg> {
    (0_i64..20_000).prop_map(|delay| Leg { delay, ..Leg::default() })
}

fn bad_leg() -> impl Strategy<Value = Leg> {
    (0_i64..20_000, 0_i64..10_000, 0_u64..150, 0_u64..80)
        .prop_map(|(delay, jitter, loss, double)| Leg { delay, jitter, loss, double })
}

/// Loses and doubles, and keeps the order: what was swapped behind the tap no tap can know.
fn lossy_leg() -> impl Strategy<Value = Leg> {
    bad_leg().prop_map(|leg| Leg { jitter: 0, ..leg })
}

fn plan(
    near: impl Strategy<Value = Leg>,
    far: impl Strategy<Value = Leg>,
) -> impl Strategy<Value = Plan> {
    (near, far, acts(), any::<u64>()).prop_map(|(near, far, acts, seed)| Plan {
        legs: [near, far],
        acts,
        seed,
    })
}

/// What the tool makes of what the tap saw: the states of endpoints 0 and 1.
fn reconstructed(seen: &[(i64, endpoint::Wire)]) -> [Vec<Entry>; 2] {
    let settings = Settings::default();
    let address = |who: usize| {
        let port = if who == 0 { 40_000 } else { 80 };
        Endpoint { address: [10, 0, 0, 1 + u8::try_from(who).unwrap()].into(), port }
    };
    let mut connection: Option<(usize, Connection)> = None;
    let mut clock = Time::MIN;
    for (index, (at, it)) in seen.iter().enumerate() {
        let segment = captured(*at, index, it);
        clock = segment.time;
        let (first, connection) = connection.get_or_insert_with(|| {
            let tuple = FourTuple { source: address(it.from), destination: address(1 - it.from) };
            let beginning = Beginning { id: 1, tuple, forward: true, tunnel: Vec::new() };
            (it.from, Connection::new(beginning, &segment))
        });
        connection.observe(it.from == *first, &segment, &Extras::NONE, &settings);
    }
    let Some((_, connection)) = connection else { return [Vec::new(), Vec::new()] };
    let record = connection.finish(clock, None, &settings);
    let states = |who: usize| {
        let side = if record.client == address(who) { Side::Client } else { Side::Server };
        record.states.of(side).clone()
    };
    [states(0), states(1)]
}

fn captured(at: i64, index: usize, it: &endpoint::Wire) -> Segment {
    let mut flags = Flags::default();
    for (set, flag) in [
        (it.syn, Flags::SYN),
        (it.fin, Flags::FIN),
        (it.rst, Flags::RST),
        (it.ack.is_some(), Flags::ACK),
    ] {
        flags = if set { flags | flag } else { flags };
    }
    let (value, echo) = it.stamps;
    Segment {
        time: Time::from_nanos(at * 1_000),
        frame: FrameId::new(0, index as u64 + 1),
        seq: Seq(it.seq),
        ack: Seq(it.ack.unwrap_or(0)),
        timestamps: Timestamps { value, echo },
        marks: if value == 0 { Marks::default() } else { Marks::TIMESTAMPS },
        payload_len: it.len,
        header_len: 52,
        window: 65_535,
        flags,
        ..Segment::default()
    }
}

/// The states that the tool should have: CLOSE before its FIN could leave shows with the FIN.
fn names(history: &[(State, i64)]) -> Vec<State> {
    history.iter().map(|it| it.0).collect()
}

/// Whether `part` follows from `whole` by leaving some out.
fn is_part_of(part: &[State], whole: &[State]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|state| rest.any(|other| other == state))
}

fn story(seen: &[(i64, endpoint::Wire)], tool: &[Entry], truth: &[(State, i64)]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (index, (at, it)) in seen.iter().enumerate() {
        let Segment { flags, .. } = captured(*at, index, it);
        let ack = it.ack.unwrap_or(0);
        writeln!(
            text,
            "{at:>9} #{} {}: {flags:?} {} +{} ack {ack}",
            index + 1,
            it.from,
            it.seq,
            it.len
        )
        .unwrap();
    }
    for entry in tool {
        let at = entry.at.nanos() / 1_000;
        writeln!(text, "tool {at:>9} {} {entry} ({:?})", entry.state, entry.certainty).unwrap();
    }
    for (state, at) in truth {
        writeln!(text, "true {at:>9} {state}").unwrap();
    }
    text
}

/// Whether the life came to an end: nobody waits for an answer any more.
fn is_settled(outcome: &network::Outcome) -> bool {
    outcome.peers.iter().all(|peer| matches!(peer.state, State::Closed | State::TimeWait))
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::with_cases(4_000)
    })]

    #[test]
    fn at_its_own_end_every_state_is_there_in_order_and_at_its_time(
        plan in plan(Just(Leg::default()), bad_leg()),
    ) {
        let outcome = network::run(&plan);
        let truth = &outcome.peers[0].history;
        let tool = &reconstructed(&outcome.seen)[0];
        let story = || story(&outcome.seen, tool, truth);
        let states: Vec<State> = tool.iter().map(|entry| entry.state).collect();
        if outcome.peers[0].fin_waited() {
            let close = |entry: &&Entry| matches!(entry.state, State::FinWait1 | State::LastAck);
            let observed = tool.iter().find(close).map(|entry| entry.certainty);
            prop_assert_ne!(observed, Some(Certainty::Observed), "{}", story());
            return Ok(());
        }
        prop_assert_eq!(&states, &names(truth), "{}", story());
        for (entry, (state, at)) in tool.iter().zip(truth) {
            let off = entry.at.nanos() / 1_000 - at;
            prop_assert!(off.abs() <= AT_ONCE, "{state} {off} us {}", story());
        }
    }

    #[test]
    fn without_loss_behind_the_tap_the_far_end_is_known_as_well(
        plan in plan(bad_leg(), good_leg()),
    ) {
        let outcome = network::run(&plan);
        let truth = &outcome.peers[1].history;
        let tool = &reconstructed(&outcome.seen)[1];
        let story = || story(&outcome.seen, tool, truth);
        let states: Vec<State> = tool.iter().map(|entry| entry.state).collect();
        if !outcome.peers[1].fin_waited() {
            prop_assert_eq!(&states, &names(truth), "{}", story());
        }
    }
}

/// With losses on both sides of the tap a few lives remain of which no tap can tell, as when two
/// FINs cross, the first of each is lost, and nothing but the repetitions pass the tap.
#[test]
fn wherever_the_tap_is_hardly_a_state_is_made_up() {
    const LIVES: usize = 4_000;
    let mut runner = TestRunner::deterministic();
    let mut made_up = 0;
    for _ in 0..LIVES {
        let plan = plan(lossy_leg(), lossy_leg()).new_tree(&mut runner).unwrap().current();
        let graceful = |act: &(i64, usize, Act)| !matches!(act.2, Act::Abort);
        let acts = plan.acts.iter().copied().filter(graceful).collect();
        let outcome = network::run(&Plan { acts, ..plan });
        let tool = reconstructed(&outcome.seen);
        made_up += (0..2).filter(|&who| is_made_up(&outcome, who, &tool[who])).count();
    }
    println!("{made_up} of {} endpoints have a state that they never had", 2 * LIVES);
    assert!(made_up * 500 <= 2 * LIVES);
}

/// Whether the tool has a state of a settled endpoint that it never had, at that place.
fn is_made_up(outcome: &network::Outcome, who: usize, tool: &[Entry]) -> bool {
    // A RST that was lost behind the tap, and that nothing repeats, no tap can tell.
    let told = tool.iter().filter(|entry| entry.cause != Cause::ReceivedRst);
    let states: Vec<State> = told.map(|entry| entry.state).collect();
    let peer = &outcome.peers[who];
    let judged = is_settled(outcome) && !peer.fin_waited();
    judged && !is_part_of(&states, &names(&peer.history))
}
