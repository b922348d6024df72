//! What a connection learns from its neighbours, from the capture file to the states.

use std::fmt::Write as _;
use std::fs;

use tcpautopsy::connection::{CookieSign, State};
use tcpautopsy::pipeline::Options;
use tcpautopsy::testkit::Scenario;

use super::captures::{
    all, analyse, analyse_scenario, assert_same, options, records, told, with_records,
};

/// A SYN-ACK of a host that may answer with SYN cookies, which nobody acknowledges and which does not
/// come again, while a listener of that port answers somebody else `later`: what is said of it, and the
/// server's states. `before` is what the capture begins with.
fn unrepeated(before: &str, later: &str, cookies: u8) -> (Option<&'static str>, Vec<State>) {
    let text = format!(
        "# Somebody who is never heard again, and somebody else\nclient 10.0.0.1:40000\nserver 10.0.0.2:80\n\
         {before}\
         +0.001 > S 0:0(0) win 64240 <mss 1460>\n\
         +0.0001 < S. 0:0(0) ack 1 win 65160 <mss 1460>\n\
         flow other client 10.0.0.3:40001 server 10.0.0.2:80\n\
         +{later} other > S 0:0(0) win 64240 <mss 1460>\n\
         +0.0001 other < S. 0:0(0) ack 1 win 65160 <mss 1460>\n\
         +0.0001 other > . 1:1(0) ack 1 win 64240\n\
         +9.000 other > P. 1:101(100) ack 1 win 64240\n\
         +0.0001 other < . 1:1(0) ack 101 win 65160\n"
    );
    let mut options = options(2, 100, 400);
    let cookies = format!("net.ipv4.tcp_syncookies = {cookies}");
    options.settings.default = options.settings.default.with_sysctl(&cookies).unwrap();
    let analysis = analyse_scenario(&text, &options);
    let mut records = analysis.connections.iter().map(|judged| &judged.record);
    let record = records.find(|record| record.client.port == 40_000).unwrap();
    let states = record.states.server.iter().map(|entry| entry.state).collect();
    (record.handshake.cookie.map(CookieSign::name), states)
}

/// The capture lacks SYNs: nobody knows how many half-open connections the listener holds.
const LACKS_SYNS: &str = "flow unseen client 10.0.0.4:40002 server 10.0.0.2:80\n\
                          +0.000 unseen < S. 0:0(0) ack 1 win 65160 <mss 1460>\n";

#[test]
fn a_syn_ack_that_is_not_repeated_by_a_listener_that_is_heard_was_a_cookie() {
    assert_eq!(unrepeated(LACKS_SYNS, "2.000", 1), (Some("silence"), vec![]));
    let (told, states) = unrepeated(LACKS_SYNS, "0.200", 1);
    assert_eq!((told, states[0]), (None, State::SynReceived), "the listener may have been closed");
    let (told, states) = unrepeated(LACKS_SYNS, "2.000", 0);
    assert_eq!((told, states[0]), (None, State::SynReceived), "the host sends no cookies");
}

/// A client that takes its half-open connection back.
const TAKES_IT_BACK: &str = "flow hasty client 10.0.0.4:40002 server 10.0.0.2:80\n\
                             +0.000 hasty > S 0:0(0) win 64240 <mss 1460>\n\
                             +0.0001 hasty < S. 0:0(0) ack 1 win 65160 <mss 1460>\n\
                             +0.0001 hasty > R 1:1(0) win 0\n";

#[test]
fn who_found_the_queue_empty_got_no_cookie_and_ended_with_its_listener() {
    let ended = vec![State::SynReceived, State::Closed];
    assert_eq!(unrepeated("", "2.000", 1), (None, ended.clone()));
    assert_eq!(
        unrepeated(TAKES_IT_BACK, "2.000", 1),
        (None, ended),
        "who was reset left its place"
    );
}

/// With limits that hosts come to.
fn limited(mut options: Options) -> Options {
    let settings = "net.ipv4.tcp_syncookies = 1\nnet.ipv4.tcp_max_tw_buckets = 3\n\
                    net.core.somaxconn = 4\nnet.ipv4.tcp_fin_timeout = 60\n";
    let host = &options.settings.default;
    options.settings.default = host.clone().with_sysctl(settings).unwrap();
    options
}

/// Which acknowledgments are looked at depends on what of a flow is read with them.
#[test]
fn what_settings_tell_of_neighbours_is_the_same_for_every_cut() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in all() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_same(std::slice::from_ref(&path), name, limited);
    }
}

/// Of a capture over Ethernet, what the host with the lower address sent, and the rest.
fn directions(capture: &[u8]) -> [Vec<u8>; 2] {
    let is_of_lower = |record: &&[u8]| {
        let (addresses, length) = if record[28..30] == [8, 0] { (42, 4) } else { (38, 16) };
        let [source, destination] = [0, length].map(|at| &record[addresses + at..][..length]);
        source < destination
    };
    let (lower, higher): (Vec<&[u8]>, Vec<&[u8]>) =
        records(capture).into_iter().partition(is_of_lower);
    [lower, higher].map(|records| with_records(capture, records))
}

/// Five clients close, are acknowledged at once, and may have their places in TIME-WAIT then already, when
/// others take all of them before the servers close.
fn places_taken_in_between() -> Vec<u8> {
    let mut text =
        "# Others take the places\nclient [fd00::1]:40000\nserver [fd00::2]:80\n".to_string();
    for port in 40_001..40_101 {
        write!(
            text,
            "flow f{port} client [fd00::1]:{port} server [fd00::2]:80\n\
             +0.001 f{port} > S 0:0(0) win 64240 <mss 1460>\n\
             +0.0001 f{port} < S. 0:0(0) ack 1 win 65160 <mss 1460>\n\
             +0.0001 f{port} > . 1:1(0) ack 1 win 64240\n"
        )
        .unwrap();
    }
    for port in 40_001..40_006 {
        write!(
            text,
            "+0.010 f{port} > F. 1:1(0) ack 1 win 64240\n\
             +0.0001 f{port} < . 1:1(0) ack 2 win 65160\n"
        )
        .unwrap();
    }
    for port in (40_006..40_011).chain(40_001..40_006) {
        if port > 40_005 {
            writeln!(text, "+0.010 f{port} > F. 1:1(0) ack 1 win 64240").unwrap();
        }
        write!(
            text,
            "+0.060 f{port} < F. 1:1(0) ack 2 win 65160\n\
             +0.0001 f{port} > . 2:2(0) ack 2 win 64240\n"
        )
        .unwrap();
    }
    Scenario::parse(&text).unwrap().compile()
}

/// A tap for each direction: a wave may have an acknowledgment of one, and only the next the FIN, of the
/// other one, that it answers.
#[test]
fn what_settings_tell_of_neighbours_is_the_same_where_each_direction_has_its_tap() {
    let folder = tempfile::tempdir().unwrap();
    let taps = ["lower", "higher"].map(|name| folder.path().join(name));
    for (path, bytes) in taps.iter().zip(directions(&places_taken_in_between())) {
        fs::write(path, bytes).unwrap();
    }
    let told = |threads, chunk, wave| {
        let outcome = analyse(&taps, &limited(options(threads, chunk, wave)));
        assert!(outcome.analysis.inputs.iter().all(|input| input.frames > 100));
        told(&outcome)
    };
    let serial = told(1, 1 << 30, 1 << 40);
    for chunk in [80, 120, 300, 500, 900] {
        for (threads, wave) in [(1, 1), (2, 1), (2, 2 * chunk), (2, 5 * chunk)] {
            assert!(serial == told(threads, chunk, wave), "{threads} threads, {chunk}, {wave}");
        }
    }
}
