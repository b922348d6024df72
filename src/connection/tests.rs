//! The engine on every scenario of `testdata/scenarios/life`: what it says of both endpoints.
//!
//! The snapshots are read by people; the decisive facts are asserted beside them.

use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::Path;

use super::stream::Stream;
use super::*;
use crate::stamp::Time;
use crate::testkit::{Observation, Scenario};

/// The records of a scenario's connections, in the order in which they began.
fn lives(text: &str) -> Vec<ConnectionRecord> {
    let mut settings = Settings::default();
    let scenario = Scenario::parse(text).unwrap();
    for (name, value) in scenario.sysctls() {
        settings.default = settings.default.with_sysctl(&format!("{name} = {value}")).unwrap();
    }
    let mut live: Vec<(FourTuple, Connection)> = Vec::new();
    let mut records = Vec::new();
    let mut clock = Time::MIN;
    // What clients said to their listeners.
    let mut acknowledged = Vec::new();
    for observation in scenario.observations() {
        let (tuple, segment, extras) = match observation {
            Observation::Segment(tuple, segment, extras) => (tuple, segment, extras),
            Observation::Icmp(tuple, error) => {
                let (key, orientation) = tuple.canonical();
                let forward = orientation == tcp::Orientation::Forward;
                if let Some((_, quoted)) = live.iter_mut().find(|(known, _)| *known == key) {
                    quoted.quote(forward, &error, &settings);
                }
                continue;
            }
        };
        clock = clock.max(segment.time);
        let (key, orientation) = tuple.canonical();
        let forward = orientation == tcp::Orientation::Forward;
        if segment.flags.ack() && !segment.flags.syn() {
            acknowledged.push((tuple.destination, segment.time));
        }
        let at = live.iter().position(|(known, _)| *known == key);
        let mut stray = None;
        if let Some(index) = at
            && live[index].1.is_replaced_by(forward, &segment)
        {
            let (_, mut old) = live.remove(index);
            stray = old.take_stray_syn(forward, &segment);
            let mark = stray.as_ref().map_or(Mark::of(&segment), |stray| Mark::of(&stray.1));
            records.push(old.finish(clock, Some(mark), &settings));
        }
        let index = live.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            let beginning = |tuple, forward, segment: &Segment| Beginning {
                id: segment.frame.number(),
                tuple,
                forward,
                tunnel: Vec::new(),
            };
            let connection = if let Some((towards, syn, options)) = &stray {
                let tuple = if *towards == forward { tuple } else { tuple.reversed() };
                let mut connection = Connection::new(beginning(tuple, *towards, syn), syn);
                connection.observe(*towards, syn, options, &settings);
                connection
            } else {
                Connection::new(beginning(tuple, forward, &segment), &segment)
            };
            live.push((key, connection));
            live.len() - 1
        });
        live[index].1.observe(forward, &segment, &extras, &settings);
    }
    let waiting: Vec<_> = live.iter().filter(|(_, life)| life.opening.deferred).collect();
    let waiting: Vec<_> = waiting.iter().map(|(_, life)| life.addresses.server).collect();
    for (_, mut life) in live {
        if life.may_be_deferred().is_some_and(|listener| waiting.contains(&listener)) {
            life.was_deferred();
        }
        let asked = life.may_be_overtaken();
        let fits = |(listener, from, until): (tcp::Endpoint, Time, Time)| {
            acknowledged.iter().any(|(to, at)| *to == listener && from < *at && *at < until)
        };
        if asked.is_some_and(fits) {
            life.was_overtaken();
        }
        records.push(life.finish(clock, None, &settings));
    }
    records.sort_by_key(|record| record.id);
    records
}

fn describe(records: &[ConnectionRecord]) -> String {
    let mut text = String::new();
    for record in records {
        writeln!(
            text,
            "{} -> {}  handshake {}  close {}",
            record.client,
            record.server,
            record.handshake.outcome.name(),
            record.close.outcome.name()
        )
        .unwrap();
        for side in Side::BOTH {
            for entry in record.states.of(side) {
                let after = entry.at.since(record.first_time).nanos() / 1_000;
                let frame =
                    entry.frame.map_or(String::from("-"), |frame| frame.number().to_string());
                writeln!(
                    text,
                    "  {} {:12} +{:>11} us  frame {frame:>3}  {}  {entry}",
                    side.name(),
                    entry.state,
                    after,
                    entry.certainty.name()
                )
                .unwrap();
            }
        }
        if let Some(reset) = record.close.reset {
            writeln!(text, "  reset by {}: {}", reset.by.name(), reset.kind.name()).unwrap();
        }
    }
    text
}

fn scenario(name: &str) -> Vec<ConnectionRecord> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios/life").join(name);
    lives(&std::fs::read_to_string(path).unwrap())
}

fn states(record: &ConnectionRecord, side: Side) -> Vec<&'static str> {
    record.states.of(side).iter().map(|entry| entry.state.name()).collect()
}

#[test]
fn every_scenario_reads_as_its_snapshot() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios/life");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() > 20, "scenarios are missing");
    let mut text = String::new();
    for name in names {
        let records = scenario(&name);
        write!(text, "## {name}\n{}\n", describe(&records)).unwrap();
    }
    insta::assert_snapshot!(text);
}

/// What a side went through behind ESTABLISHED.
#[test]
fn what_crossed_on_the_way_is_told_as_far_as_it_shows() {
    let cases = [
        ("reset-of-an-orphan-that-data-met.tcp", Side::Client, &["FIN-WAIT-1", "CLOSED"][..]),
        ("reset-of-an-orphan-that-data-may-have-met.tcp", Side::Client, &["FIN-WAIT-1", "CLOSED"]),
        (
            "reset-of-an-orphan-that-a-fin-met.tcp",
            Side::Client,
            &["FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"],
        ),
        (
            "reset-of-an-orphan-at-the-tap.tcp",
            Side::Client,
            &["FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"],
        ),
        (
            "reset-that-crossed-an-answer-to-the-fin.tcp",
            Side::Server,
            &["CLOSE-WAIT", "LAST-ACK", "CLOSED"],
        ),
        ("reset-that-acknowledges-the-fin.tcp", Side::Client, &["CLOSE-WAIT", "CLOSED"]),
        (
            "close-fins-crossed-in-an-order-that-nothing-tells.tcp",
            Side::Server,
            &["FIN-WAIT-1", "TIME-WAIT"],
        ),
        (
            "close-fins-crossed-as-a-late-answer-shows.tcp",
            Side::Server,
            &["FIN-WAIT-1", "CLOSING", "TIME-WAIT"],
        ),
        (
            "close-fins-crossed-as-an-overtaken-fin-shows.tcp",
            Side::Client,
            &["FIN-WAIT-1", "CLOSING", "TIME-WAIT"],
        ),
        (
            "close-by-a-fin-that-was-never-seen.tcp",
            Side::Server,
            &["FIN-WAIT-1", "CLOSING", "CLOSED"],
        ),
        ("reset-that-overtook-the-ack-of-the-fin.tcp", Side::Client, &["FIN-WAIT-1", "CLOSED"]),
        ("reset-that-overtook-the-fin.tcp", Side::Client, &["CLOSED"]),
        ("reset-by-a-server-whose-opening-was-not-seen.tcp", Side::Server, &["CLOSED"]),
        ("reset-behind-the-fin.tcp", Side::Server, &["CLOSE-WAIT", "CLOSED"]),
        (
            "close-ack-and-fin-that-came-together.tcp",
            Side::Server,
            &["CLOSE-WAIT", "LAST-ACK", "CLOSED"],
        ),
    ];
    for (name, side, expected) in cases {
        let seen = states(&scenario(name)[0], side);
        let open = seen.iter().position(|state| *state == "ESTABLISHED").unwrap();
        assert_eq!(&seen[open + 1..], expected, "{name}");
    }
}

#[test]
fn crossing_fins_pass_through_closing_on_both_sides() {
    let records = scenario("close-simultaneous.tcp");
    for side in Side::BOTH {
        let seen = states(&records[0], side);
        assert!(seen.ends_with(&["FIN-WAIT-1", "CLOSING", "TIME-WAIT"]), "{seen:?}");
    }
    assert_eq!(records[0].close.outcome, CloseOutcome::Simultaneous);
}

#[test]
fn what_a_fin_does_behind_an_assumed_state_is_observed_only_where_its_peer_had_not_closed() {
    let of = |name| {
        let records = scenario(name);
        let certain = |side| {
            let last = records[0].states.of(side).last().unwrap();
            (last.state.name(), last.certainty)
        };
        Side::BOTH.map(certain)
    };
    let inferred = |state| (state, Certainty::Inferred);
    assert_eq!(
        of("midstream-fin-of-one-side.tcp"),
        [inferred("CLOSE-WAIT"), inferred("FIN-WAIT-2")]
    );
    assert_eq!(
        of("midstream-fin-acknowledged-at-once.tcp"),
        [inferred("TIME-WAIT"), inferred("CLOSED")]
    );
    let both = of("midstream-close.tcp").map(|(_, certainty)| certainty);
    assert_eq!(both, [Certainty::Observed; 2]);
}

#[test]
fn a_syn_ack_that_echoes_an_earlier_syn_shows_that_the_first_one_is_not_in_the_capture() {
    let record = &scenario("syn-repeated-before-the-capture.tcp")[0];
    let (client, server) = (&record.states.client[0], &record.states.server[0]);
    assert_eq!((client.state, client.cause), (State::SynSent, Cause::SentSynAgain));
    assert_eq!((server.state, server.cause), (State::SynReceived, Cause::ReceivedSyn));
    assert_eq!([client, server].map(|entry| entry.certainty), [Certainty::Inferred; 2]);
}

#[test]
fn another_socket_made_by_a_late_cookie_closes_on_its_own() {
    let record = &scenario("cookie-brought-back-late-and-closed.tcp")[0];
    let seen = states(record, Side::Server);
    assert!(seen.ends_with(&["CLOSED", "ESTABLISHED", "FIN-WAIT-1"]), "{seen:?}");
    let record = &scenario("cookie-brought-back-late-and-reset.tcp")[0];
    let seen = states(record, Side::Server);
    assert!(seen.ends_with(&["CLOSED", "ESTABLISHED", "CLOSED"]), "{seen:?}");
}

#[test]
fn a_syn_ack_that_meets_time_wait_begins_no_connection() {
    let records = scenario("time-wait-gets-a-syn-ack.tcp");
    assert_eq!(records.len(), 1);
    assert_eq!(states(&records[0], Side::Server).last(), Some(&"TIME-WAIT"));
}

#[test]
fn a_late_fin_that_did_not_know_the_peers_shows_that_they_crossed() {
    let records = scenario("close-fins-crossed-as-a-late-one-shows.tcp");
    let client = states(&records[0], Side::Client);
    assert!(client.ends_with(&["FIN-WAIT-1", "CLOSING", "TIME-WAIT"]), "{client:?}");
}

#[test]
fn a_fin_that_was_sent_behind_the_answer_did_not_cross_that() {
    let server = states(&scenario("close-fins-crossed-as-numbers-show.tcp")[0], Side::Server);
    assert!(server.ends_with(&["FIN-WAIT-1", "CLOSING", "TIME-WAIT"]), "{server:?}");
}

#[test]
fn what_is_left_of_a_socket_echoes_no_fin_that_came_later() {
    let server = &scenario("close-repeated-fin-into-time-wait.tcp")[0].states.server;
    let entry = server.last().unwrap();
    assert_eq!((entry.state, entry.frame.unwrap().number()), (State::TimeWait, 8));
}

#[test]
fn a_fin_behind_something_unseen_does_not_show_when_its_side_closed() {
    let client = &scenario("close-behind-what-was-not-seen.tcp")[0].states.client;
    let closed = client.iter().find(|it| it.state == State::FinWait1).unwrap();
    assert_eq!(closed.certainty, Certainty::Inferred);
}

#[test]
fn who_opens_and_answers_unseen_had_received_the_syn() {
    let server = states(&scenario("open-simultaneous-syn-ack-lost.tcp")[0], Side::Server);
    assert_eq!(server, ["SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]);
    let server = states(&scenario("open-simultaneous-syn-ack-none.tcp")[0], Side::Server);
    assert_eq!(server, ["SYN-SENT", "ESTABLISHED"]);
}

#[test]
fn a_reset_that_answers_nothing_does_not_end_who_seems_to_send_it() {
    let record = &scenario("reset-by-a-third-party.tcp")[0];
    assert_eq!(states(record, Side::Server).last(), Some(&"ESTABLISHED"));
    assert_eq!(states(record, Side::Client).last(), Some(&"CLOSED"));
}

#[test]
fn what_was_overtaken_asks_for_no_answer() {
    let server = &scenario("reset-in-time-wait-behind-what-was-overtaken.tcp")[0].states.server;
    let entry = server.last().unwrap();
    assert_eq!((entry.state, entry.frame.unwrap().number()), (State::Closed, 11));
}

#[test]
fn what_no_timer_can_have_sent_asks_for_no_answer() {
    let server = &scenario("reset-in-time-wait-behind-an-old-ack.tcp")[0].states.server;
    let entry = server.last().unwrap();
    assert_eq!((entry.state, entry.frame.unwrap().number()), (State::Closed, 9));
}

#[test]
fn a_fin_that_waits_for_room_was_there_before_the_peers_where_that_was_answered_at_once() {
    let records = scenario("close-fin-waits-for-room.tcp");
    let server = states(&records[0], Side::Server);
    assert!(server.ends_with(&["FIN-WAIT-1", "CLOSING", "TIME-WAIT"]), "{server:?}");
    let server = states(&records[1], Side::Server);
    assert!(server.ends_with(&["CLOSE-WAIT", "LAST-ACK", "CLOSED"]), "{server:?}");
}

#[test]
fn a_fin_that_comes_again_needlessly_had_come_before() {
    let server = &scenario("close-fin-repeated-needlessly.tcp")[0].states.server;
    let received = server.iter().find(|it| it.state == State::CloseWait).unwrap();
    assert_eq!(received.frame.unwrap().number(), 5);
}

#[test]
fn a_fin_that_waits_for_data_brought_what_it_acknowledges_at_once() {
    let client = &scenario("close-fin-waited-for-lost-data.tcp")[0].states.client;
    let frames: Vec<_> = client.iter().map(|it| (it.state, it.frame.unwrap().number())).collect();
    assert!(frames.ends_with(&[(State::FinWait2, 7), (State::TimeWait, 9)]), "{frames:?}");
}

#[test]
fn what_a_reset_overtook_is_no_sign_of_life() {
    let record = &scenario("reset-that-overtook-an-acknowledgment.tcp")[0];
    assert_eq!(states(record, Side::Client).last(), Some(&"CLOSED"));
    assert_eq!(states(record, Side::Server).last(), Some(&"CLOSED"));
}

#[test]
fn a_syn_ack_of_other_numbers_shows_where_another_connection_began() {
    for (name, first) in [
        ("port-reuse-behind-a-close-that-was-not-seen.tcp", 6),
        ("port-reuse-by-a-syn-that-was-not-seen.tcp", 7),
    ] {
        let records = scenario(name);
        assert_eq!(records.len(), 2, "{name}");
        assert_eq!(records[1].first_frame.number(), first, "{name}");
    }
}

#[test]
fn of_two_syns_into_a_time_wait_the_one_that_is_answered_ended_it() {
    let server = &scenario("port-reuse-in-time-wait-syn-lost.tcp")[1].states.server;
    assert_eq!((server[0].state, server[0].frame.unwrap().number()), (State::SynReceived, 8));
}

#[test]
fn a_fin_of_the_connection_before_closes_nothing_of_the_next() {
    let records = scenario("port-reuse-behind-an-old-fin.tcp");
    let client = states(&records[1], Side::Client);
    assert!(client.ends_with(&["CLOSE-WAIT", "LAST-ACK", "CLOSED"]), "{client:?}");
}

#[test]
fn two_syn_acks_behind_one_syn_show_that_an_earlier_one_had_come() {
    let server = &scenario("syn-ack-lost-and-sent-twice.tcp")[0].states.server;
    assert_eq!((server[0].state, server[0].frame.unwrap().number()), (State::SynReceived, 1));
}

#[test]
fn of_two_syn_acks_from_afar_the_first_one_answers_an_earlier_syn_however_late_the_second_comes() {
    let server = &scenario("syn-ack-late-and-sent-twice.tcp")[0].states.server;
    assert_eq!((server[0].state, server[0].frame.unwrap().number()), (State::SynReceived, 1));
}

#[test]
fn of_a_fin_that_came_again_the_answers_tell_whether_it_crossed() {
    for (name, expected) in [
        ("close-fins-crossed-in-an-order-that-nothing-tells.tcp", None),
        ("close-fins-crossed-answer-doubled.tcp", None),
        ("close-fins-crossed-all-answered.tcp", Some("CLOSING")),
        ("close-fins-crossed-and-came-again-too-soon.tcp", Some("CLOSING")),
        ("close-fins-crossed-as-a-missing-answer-shows.tcp", Some("CLOSING")),
        ("close-fin-that-would-have-crossed-was-lost.tcp", Some("FIN-WAIT-2")),
        ("close-fin-lost-as-a-word-shows.tcp", Some("FIN-WAIT-2")),
    ] {
        let server = states(&scenario(name)[0], Side::Server);
        let of_close: Vec<&str> =
            ["FIN-WAIT-1"].into_iter().chain(expected).chain(["TIME-WAIT"]).collect();
        assert!(server.ends_with(&of_close), "{name}: {server:?}");
    }
}

#[test]
fn a_fin_came_when_it_passed_although_the_reset_behind_it_was_lost() {
    let record = &scenario("reset-lost-behind-a-fin-that-came.tcp")[0];
    assert_eq!(states(record, Side::Server)[2..], ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]);
    assert_eq!(record.states.server[2].frame.unwrap().number(), 4);
}

#[test]
fn the_last_acknowledgment_of_a_fin_is_taken_for_all_that_is_known() {
    let server = &scenario("fin-acknowledged-for-the-last-time.tcp")[0].states.server;
    let end = server.last().unwrap();
    assert_eq!((end.state, end.certainty), (State::Closed, Certainty::Assumed));
}

#[test]
fn a_repeated_syn_ack_takes_back_the_servers_established() {
    let records = scenario("server-ack-lost-after-tap.tcp");
    let entry = records[0].states.server.last().unwrap();
    assert_eq!(entry.state, State::Established);
    assert!(entry.corrected_by.is_some());
    assert!(entry.at.since(records[0].first_time) > Span::from_secs(1));
}

#[test]
fn behind_a_syn_cookie_is_no_socket_before_the_acknowledgment() {
    for (name, sign) in [
        ("cookie-always.tcp", Some("settings")),
        ("cookie-told-by-the-clock.tcp", Some("clock")),
        ("cookie-told-by-options.tcp", Some("options")),
        ("cookie-not-told-by-a-slow-path.tcp", None),
        ("cookie-disproved-by-a-timer.tcp", None),
    ] {
        let record = &scenario(name)[0];
        assert_eq!(record.handshake.cookie.map(CookieSign::name), sign, "{name}");
        let expected: &[&str] =
            if sign.is_some() { &["ESTABLISHED"] } else { &["SYN-RECEIVED", "ESTABLISHED"] };
        assert_eq!(states(record, Side::Server), expected, "{name}");
    }
    assert!(scenario("cookie-always.tcp")[1].states.server.is_empty(), "nobody completed that one");
}

#[test]
fn a_cookie_that_comes_back_late_makes_another_socket() {
    let server = states(&scenario("cookie-brought-back-late.tcp")[0], Side::Server);
    assert_eq!(server, ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED", "ESTABLISHED"]);
}

#[test]
fn a_late_copy_of_a_syn_makes_a_half_open_connection_at_a_closed_server() {
    let records = scenario("late-copy-of-syn.tcp");
    assert_eq!(records.len(), 1);
    let (client, server) = (states(&records[0], Side::Client), states(&records[0], Side::Server));
    assert_eq!(server[3..], ["LAST-ACK", "CLOSED", "SYN-RECEIVED"]);
    assert!(client.ends_with(&["TIME-WAIT", "CLOSED"]), "{client:?}");
}

#[test]
fn a_cookie_that_a_full_queue_dropped_makes_its_socket_when_it_is_taken_or_never() {
    let taken = &scenario("cookie-dropped-and-taken-later.tcp")[0];
    assert_eq!(states(taken, Side::Server), ["ESTABLISHED"]);
    assert_eq!(taken.states.server[0].frame.unwrap().number(), 8);
    let dropped = &scenario("cookie-dropped-for-good.tcp")[0];
    assert!(dropped.states.server.is_empty(), "{:?}", dropped.states.server);
    assert_eq!(dropped.handshake.cookie.map(CookieSign::name), Some("silence"));
}

#[test]
fn what_others_left_no_room_for_is_open_when_there_is_room_and_silence_alone_fills_no_queue() {
    let full = &scenario("accept-queue-full-until-the-data-comes-again.tcp")[0];
    assert_eq!(states(full, Side::Server), ["SYN-RECEIVED", "ESTABLISHED"]);
    let opened = full.states.server[1];
    assert_eq!((opened.frame.unwrap().number(), opened.certainty), (8, Certainty::Inferred));
    let silent = &scenario("silence-behind-the-handshake.tcp")[0];
    assert_eq!(states(silent, Side::Server), ["SYN-RECEIVED", "ESTABLISHED"]);
    assert_eq!(silent.states.server[1].frame.unwrap().number(), 3);
}

#[test]
fn a_client_that_repeats_its_syn_has_not_heard_that_it_was_refused() {
    let refused = &scenario("refused-unheard.tcp")[0];
    assert_eq!(states(refused, Side::Client), ["SYN-SENT", "CLOSED"]);
    assert_eq!(refused.states.client[1].frame.unwrap().number(), 4);
    assert_eq!(refused.close.reset.map(|reset| reset.by), Some(Side::Server));
}

#[test]
fn a_half_open_connection_that_was_forgotten_is_made_anew() {
    let records = scenario("half-open-forgotten-and-made-anew.tcp");
    let expected = ["SYN-RECEIVED", "CLOSED", "SYN-RECEIVED", "ESTABLISHED"];
    assert_eq!(states(&records[0], Side::Server), expected);
    assert_eq!(records[0].states.server[1].certainty, Certainty::Inferred);
}

#[test]
fn a_fin_that_nothing_acknowledges_was_not_received_though_a_reset_followed_it() {
    let server = states(&scenario("reset-behind-a-lost-fin.tcp")[0], Side::Server);
    assert_eq!(server, ["SYN-RECEIVED", "ESTABLISHED", "CLOSED"]);
}

#[test]
fn an_acknowledgment_behind_which_no_syn_ack_is_due_any_more_was_taken() {
    let record = &scenario("deferred-accept-takes-the-second-ack.tcp")[0];
    assert_eq!(states(record, Side::Server), ["SYN-RECEIVED", "ESTABLISHED"]);
    assert_eq!(record.states.server[1].frame.unwrap().number(), 5);
}

#[test]
fn a_listener_that_lets_its_first_timers_pass_waits_for_the_data_of_all_its_clients() {
    let records = scenario("deferred-accept-told-by-another.tcp");
    let opened = &records[0].states.server[1];
    assert_eq!((opened.state, opened.frame.unwrap().number()), (State::Established, 4));
    assert_eq!(opened.certainty, Certainty::Inferred);
    assert_eq!(states(&records[1], Side::Server), ["SYN-RECEIVED", "CLOSED"]);
    let silent = &records[2].states.server[1];
    assert_eq!((silent.state, silent.frame.unwrap().number()), (State::Established, 16));
}

#[test]
fn a_fin_that_waits_for_one_segment_or_a_window_shows_in_the_answer_to_the_peers() {
    let records = scenario("close-fin-held-behind-one-segment.tcp");
    let server = states(&records[0], Side::Server);
    assert_eq!(server[2..], ["FIN-WAIT-1", "CLOSING", "CLOSED"]);
    let server = states(&records[1], Side::Server);
    assert_eq!(server[2..], ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]);
    let server = states(&scenario("close-fin-held-behind-a-closed-window.tcp")[0], Side::Server);
    assert_eq!(server[2..], ["FIN-WAIT-1", "CLOSING", "TIME-WAIT"]);
}

#[test]
fn a_fin_that_a_side_at_the_tap_does_not_acknowledge_had_not_come_before_the_reset() {
    let client = states(&scenario("reset-behind-a-fin-that-a-firewall-ate.tcp")[0], Side::Client);
    assert_eq!(client[2..], ["FIN-WAIT-1", "FIN-WAIT-2"]);
}

#[test]
fn a_side_at_the_tap_that_sends_its_words_again_has_no_acknowledgment_of_the_fin_behind_them() {
    let name = "close-data-again-behind-the-ack-of-the-fin.tcp";
    let server = &scenario(name)[0].states.server;
    let entry = server.iter().find(|it| it.state == State::FinWait2).unwrap();
    assert_eq!(entry.frame.unwrap().number(), 11);
}

#[test]
fn what_no_socket_says_behind_its_fin_takes_nothing_back() {
    let server = &scenario("close-strange-words-behind-the-last-ack.tcp")[0].states.server;
    let closed = server.last().unwrap();
    assert_eq!((closed.state, closed.frame.unwrap().number()), (State::Closed, 6));
}

#[test]
fn a_server_that_took_data_with_the_syn_may_close_before_the_acknowledgment_comes() {
    let server = states(&scenario("fast-open-closes-before-the-ack.tcp")[0], Side::Server);
    assert_eq!(server, ["SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2"]);
}

#[test]
fn acknowledgments_that_a_deaf_side_repeats_its_fin_after_prove_nothing() {
    let server = states(&scenario("fin-unacknowledged-by-a-deaf-side.tcp")[0], Side::Server);
    assert_eq!(server.last(), Some(&"FIN-WAIT-1"));
}

#[test]
fn a_reset_from_where_an_orphan_has_died_does_not_show_when() {
    let record = &scenario("reset-where-an-orphan-has-died.tcp")[0];
    assert_eq!(states(record, Side::Client)[3..], ["LAST-ACK", "CLOSED"]);
    assert_eq!(record.states.client.last().unwrap().certainty, Certainty::Inferred);
}

#[test]
fn a_syn_of_a_client_whose_orphan_ran_out_does_not_end_the_servers_close_wait() {
    let records = scenario("port-reuse-after-an-orphan-ran-out.tcp");
    assert_eq!(records.len(), 2);
    let end = records[0].states.server.last().unwrap();
    assert_eq!((end.state, end.frame.unwrap().number()), (State::Closed, 8));
    assert_eq!(records[1].states.client[0].frame.unwrap().number(), 6);

    let records = scenario("port-reuse-behind-a-reset-that-was-not-accepted.tcp");
    assert_eq!(records.len(), 2);
    let end = records[0].states.server.last().unwrap();
    assert_eq!((end.state, end.frame.unwrap().number()), (State::Closed, 9));
    assert_eq!(records[1].states.client[0].frame.unwrap().number(), 7);
}

#[test]
fn a_reset_with_ack_comes_from_a_socket_that_no_timer_had_ended() {
    let client = &scenario("reset-by-a-half-closed-socket.tcp")[0].states.client;
    assert_eq!(client.last().unwrap().frame.unwrap().number(), 6);
}

#[test]
fn a_copy_of_what_was_acknowledged_completes_no_stream_up_to_a_fin() {
    let server = &scenario("close-with-late-copy-of-data.tcp")[0].states.server;
    let entry = server.last().unwrap();
    assert_eq!((entry.state, entry.frame.unwrap().number()), (State::CloseWait, 6));
}

#[test]
fn a_challenge_that_acknowledges_no_fin_shows_that_the_reset_behind_it_was_not_accepted() {
    let server = &scenario("reset-behind-a-lost-fin-is-challenged.tcp")[0].states.server;
    let seen: Vec<_> = server.iter().map(|it| it.state.name()).collect();
    assert_eq!(seen, ["SYN-RECEIVED", "ESTABLISHED", "CLOSED"]);
    assert_eq!(server[2].frame.unwrap().number(), 7);
}

#[test]
fn a_reset_that_comes_sooner_than_an_answer_crossed_what_it_seems_to_follow() {
    let server = states(&scenario("reset-that-crossed-the-ack-of-the-fin.tcp")[0], Side::Server);
    assert_eq!(server, ["SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "CLOSED"]);
}

#[test]
fn behind_many_ignored_segments_the_first_one_opened_for_all_that_is_known() {
    let records = scenario("accept-queue-full-data-opens.tcp");
    let entry = records[0].states.server.last().unwrap();
    assert_eq!((entry.state, entry.frame.unwrap().number()), (State::Established, 8));
    assert_eq!(entry.certainty, Certainty::Inferred);
}

#[test]
fn a_reset_ends_nobody_to_whom_more_was_on_its_way() {
    let records = scenario("reset-too-late-for-what-was-on-its-way.tcp");
    let client = &records[0].states.client;
    assert_eq!(states(&records[0], Side::Client)[2..], ["CLOSE-WAIT", "CLOSED"]);
    assert_eq!(client.last().unwrap().frame.unwrap().number(), 9);
}

#[test]
fn a_syn_into_time_wait_begins_a_new_connection_and_a_repeated_one_does_not() {
    assert_eq!(scenario("port-reuse-in-time-wait.tcp").len(), 2);
    assert_eq!(scenario("syn-repeated-late.tcp").len(), 1);
    assert_eq!(scenario("idle-gap.tcp").len(), 1);
}

#[test]
fn an_unanswered_client_stays_in_syn_sent_until_its_retries_are_over() {
    let records = scenario("unanswered-classic.tcp");
    assert_eq!(states(&records[0], Side::Client), ["SYN-SENT", "CLOSED"]);
    assert_eq!(records[0].states.client[1].certainty, Certainty::Inferred);
    assert!(records[0].states.server.is_empty(), "nothing is known of the server");
}

#[test]
fn a_syn_that_was_captured_after_its_answer_still_says_what_it_offered() {
    let records = scenario("handshake-syn-captured-late.tcp");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].options.client.window_scale, Some(4));
    assert_eq!(states(&records[0], Side::Client)[..2], ["SYN-SENT", "ESTABLISHED"]);
}

#[test]
fn one_captured_syn_tells_the_scale_of_its_senders_windows_and_its_lack_that_of_both() {
    let largest = |option: &str, side| {
        let text = format!(
            "# one SYN\nclient 10.0.0.1:40000\nserver 10.0.0.2:80\n@0 > S 0:0(0) win 65535 <mss 1460{option}>\n\
             +0.002 > . 1:1(0) ack 1 win 1000\n+0.001 < . 1:1(0) ack 1 win 500\n"
        );
        let window = lives(&text)[0].traffic.of(side).window.unwrap();
        (window.max, window.scaled)
    };
    assert_eq!(largest(",wscale 4", Side::Client), (16_000, true));
    assert_eq!(largest(",wscale 4", Side::Server), (500, false));
    assert_eq!(largest("", Side::Server), (500, true));
}

#[test]
fn a_connection_fits_the_allocators_class_of_two_kibibytes() {
    // The next one is of 2,560 bytes: a fifth of every connection's memory would be lost.
    assert!(size_of::<Connection>() <= 2_048, "{}", size_of::<Connection>());
}

#[test]
fn what_the_short_way_touches_lies_together() {
    const LINE: usize = crate::near::LINE;
    assert_eq!(offset_of!(Connection, zeek), LINE);
    assert_eq!(offset_of!(Connection, sides) % LINE, 0);
    // What is heard from the peer, and what is sent besides.
    assert!(offset_of!(Endpoint, stream) == 0 && offset_of!(Stream, print) == 2 * LINE);
    assert!(offset_of!(Endpoint, unanswered) < 5 * LINE);
}
