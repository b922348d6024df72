//! What cannot be done: exit code 2, and a message that says what would be right.

use super::{Desk, REFUSED, capture};

fn refused(arguments: &[&str]) -> String {
    let desk = Desk::new();
    desk.clean("clean.pcap");
    desk.write("bad.sysctl", "kernel.x = 1\nnet.ipv4.tcp_syn_retries = many\n");
    let (code, out, errors) = desk.run(arguments);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {errors}");
    errors
}

#[test]
fn a_mistyped_argument_is_named() {
    for (arguments, message) in [
        (&["analyze"][..], "<INPUT>"),
        (&["analyse", "clean.pcap"], "analyze"),
        (&["analyze", "clean.pcap", "-q", "-v"], "cannot be used with"),
        (&["analyze", "clean.pcap", "-o", "report"], "no format known for \"report\""),
        (&["analyze", "clean.pcap", "--fail-on", "serious"], "neither a severity"),
        (&["analyze", "clean.pcap", "--only", "TCP999"], "no detector `TCP999`"),
        (
            &["analyze", "clean.pcap", "--only", "TCP102", "--skip", "half_open"],
            "--skip leaves none of the detectors that --only names",
        ),
        (&["analyze", "clean.pcap", "--set-threshold", "TCP102.age=1s"], "it has min_age"),
        (&["analyze", "clean.pcap", "--json", "-o", "ndjson:-"], "two reports cannot both"),
        (&["analyze", "clean.pcap", "--sysctl", "web01=x"], "\"web01\" is neither an address"),
        (&["analyze", "clean.pcap", "--sysctl", "10.0.0.2="], "no file is named"),
        (&["analyze", "clean.pcap", "--sysctl", "none"], "reading none: No such file"),
        (&["analyze", "clean.pcap", "--profile", "plan9"], "possible values: linux"),
        (&["analyze", "clean.pcap", "--from", "noon"], "not a time: use RFC 3339"),
        (&["analyze", "clean.pcap", "--from", "+5m", "--to", "+5m"], "--from is not before --to"),
        (&["analyze", "clean.pcap", "--threads", "100000"], "100000 is not in 0..=1024"),
        (
            &["analyze", "clean.pcap", "--filter", "host 10.0.0.1 and port"],
            "a port, such as 443 was expected here\n  host 10.0.0.1 and port\n                        ^",
        ),
        (&["explain", "TCP1O1"], "did you mean TCP101?"),
        (&["analyze", "*.pcapng"], "nothing fits the pattern *.pcapng"),
        (
            &["analyze", "clean.pcap", "-o", "no/such/folder/r.json"],
            "creating no/such/folder/r.json: No such",
        ),
    ] {
        let errors = refused(arguments);
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
}

#[test]
fn a_wrong_setting_is_named_with_its_file_and_line() {
    let errors = refused(&["analyze", "clean.pcap", "--sysctl", "bad.sysctl"]);
    assert_eq!(
        errors,
        "tcpautopsy: error: in bad.sysctl: line 2: net.ipv4.tcp_syn_retries = \"many\": expected \
         a whole number from 0 to 255\n"
    );
}

#[test]
fn what_can_be_read_is_reported_though_something_else_cannot() {
    let desk = Desk::new();
    desk.refused("web.pcap");
    desk.write("notes.txt", "no capture at all");
    let (code, out, errors) = desk.run(&["analyze", "web.pcap", "notes.txt", "gone.pcap"]);
    assert_eq!(code, Some(2));
    assert!(out.contains("TCP105"), "{out}");
    assert!(
        errors.contains(
            "tcpautopsy: error: reading notes.txt: not a capture file that can be read here, but text"
        ),
        "{errors}"
    );
    assert!(errors.contains("tcpautopsy: error: reading gone.pcap: No such file"), "{errors}");
}

#[test]
fn nothing_readable_leaves_no_summary() {
    let errors = refused(&["analyze", "gone.pcap"]);
    assert_eq!(
        errors,
        "tcpautopsy: error: reading gone.pcap: No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_cut_file_is_read_up_to_the_cut_and_exits_with_2() {
    let desk = Desk::new();
    let mut bytes = capture(REFUSED);
    bytes.truncate(bytes.len() - 7);
    desk.write("cut.pcap", bytes);
    let (code, out, _) = desk.run(&["analyze", "cut.pcap", "--fail-on", "notice"]);
    assert_eq!(code, Some(2), "{out}");
    assert!(out.contains("damaged  cut.pcap: cut_record at byte"), "{out}");
    assert!(out.contains("1 frame, 1 TCP segment, 1 connection"), "{out}");
}
