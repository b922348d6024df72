//! What a connection learns from its neighbours, from the capture file to the states.

use std::fs;

use tcpautopsy::connection::{CookieSign, State};

use super::captures::{all, analyse_scenario, assert_same, options};

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

/// Which acknowledgments are looked at depends on what of a flow is read with them.
#[test]
fn what_settings_tell_of_neighbours_is_the_same_for_every_cut() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "net.ipv4.tcp_syncookies = 1\nnet.ipv4.tcp_max_tw_buckets = 3\n\
                    net.core.somaxconn = 4\nnet.ipv4.tcp_fin_timeout = 60\n";
    for (name, bytes) in all() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_same(std::slice::from_ref(&path), name, |mut options| {
            let host = &options.settings.default;
            options.settings.default = host.clone().with_sysctl(settings).unwrap();
            options
        });
    }
}
