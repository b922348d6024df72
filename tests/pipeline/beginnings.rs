//! Captures that begin in the middle of traffic: whether a SYN is the first one of its connection.

use tcpautopsy::certainty::Certainty;
use tcpautopsy::connection::{Cause, State};

use super::captures::{analyse_scenario, options};

/// A connection whose SYN comes `after` what stands in `before`, and again after `gap` where that is
/// some: what the client's SYN-SENT, and the server's SYN-RECEIVED, are said to come from.
fn opened(before: &str, after: &str, gap: Option<&str>) -> [(Cause, Certainty); 2] {
    let again =
        gap.map_or(String::new(), |gap| format!("+{gap} new > S 0:0(0) win 64240 <mss 1460>\n"));
    let text = format!(
        "# A connection, and what stands before it\nclient 10.0.0.1:40000\nserver 10.0.0.2:80\n{before}\n\
         flow new client 10.0.0.1:40001 server 10.0.0.2:80\n\
         +{after} new > S 0:0(0) win 64240 <mss 1460>\n{again}\
         +0.001 new < S. 0:0(0) ack 1 win 65160 <mss 1460>\n\
         +0.001 new > . 1:1(0) ack 1 win 64240\n"
    );
    let analysis = analyse_scenario(&text, &options(2, 100, 400));
    let mut records = analysis.connections.iter().map(|judged| &judged.record);
    let record = records.find(|record| record.client.port == 40_001).unwrap();
    let (client, server) = (&record.states.client[0], &record.states.server[0]);
    assert_eq!((client.state, server.state), (State::SynSent, State::SynReceived), "{text}");
    [client, server].map(|entry| (entry.cause, entry.certainty))
}

const OPEN: &str = "+0.000 > P. 1:101(100) ack 1 win 502\n+0.001 < . 1:1(0) ack 101 win 502";
const FIRST: [(Cause, Certainty); 2] =
    [(Cause::SentSyn, Certainty::Observed), (Cause::ReceivedSyn, Certainty::Observed)];
const AGAIN: [(Cause, Certainty); 2] =
    [(Cause::SentSynAgain, Certainty::Inferred), (Cause::ReceivedSyn, Certainty::Inferred)];

#[test]
fn a_syn_soon_after_the_beginning_of_a_capture_in_traffic_may_have_been_sent_before() {
    assert_eq!(opened(OPEN, "0.500", None), AGAIN);
    assert_eq!(opened(OPEN, "5.000", None), AGAIN);
    assert_eq!(opened(OPEN, "80.000", None), FIRST, "no client waits as long between two SYNs");
}

#[test]
fn a_capture_that_begins_with_a_connection_is_taken_for_one_that_was_there_before() {
    let first =
        "+0.000 > S 0:0(0) win 64240 <mss 1460>\n+0.001 < S. 0:0(0) ack 1 win 65160 <mss 1460>";
    assert_eq!(opened(first, "0.500", None), FIRST);
    assert_eq!(opened("", "0.000", None), FIRST);
}

#[test]
fn the_distance_of_two_syns_shows_whether_there_was_another_one_before() {
    let client = |gap| opened("", "0.000", Some(gap))[0];
    assert_eq!(client("1.000"), FIRST[0]);
    assert_eq!(client("2.000"), AGAIN[0]);
    assert_eq!(client("3.000"), FIRST[0], "some systems begin with 3 s");
    assert_eq!(client("4.000"), AGAIN[0]);
    let late = opened("+0.000 > S 0:0(0) win 64240 <mss 1460>", "3.000", Some("2.000"));
    assert_eq!(late[0], FIRST[0], "that one would be in the capture");
}
