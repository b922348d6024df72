//! Small connections, segment by segment. Upper case in a test's letters is the originator's, as in
//! the history.

use std::mem::offset_of;

use proptest::prelude::*;

use super::*;
use crate::stamp::{Span, Time};
use crate::tcp::{Endpoint, Flags, FourTuple, Marks, Segment, Seq};

/// A segment: its flags in tcpdump's letters, sequence number, acknowledgment and payload.
fn segment(flags: &str, seq: u32, ack: u32, payload_len: u32) -> Segment {
    let bit = |letter| match letter {
        'S' => Flags::SYN,
        'F' => Flags::FIN,
        'R' => Flags::RST,
        '.' => Flags::ACK,
        _ => Flags::default(),
    };
    let flags = flags.chars().fold(Flags::default(), |flags, letter| flags | bit(letter));
    let (seq, ack) = (Seq(seq), Seq(ack));
    Segment { seq, ack, payload_len, flags, window: 1_000, header_len: 40, ..Segment::default() }
}

/// The originator and the responder exchange segments, a second apart.
fn exchange(segments: &[(bool, Segment)]) -> Tracker {
    let at = |second: usize| Time::from_nanos(1_000_000_000 * i64::try_from(second).unwrap());
    let mut tracker = Tracker::new(segments[0].0, &segments[0].1);
    for (second, (forward, segment)) in segments.iter().enumerate() {
        tracker.observe(*forward, &Segment { time: at(second), ..*segment });
    }
    tracker
}

fn verdict(segments: &[(bool, Segment)]) -> (&'static str, String) {
    let columns = exchange(segments).columns();
    (columns.conn_state.name(), columns.history.to_string())
}

/// Whether the originator sent it, then as for [`segment`].
type Line = (bool, &'static str, u32, u32, u32);
/// A verdict and a history, and the segments that have them.
type Case = (&'static str, &'static str, Vec<(bool, Segment)>);

const SYN: Line = (true, "S", 100, 0, 0);
const SYN_ACK: Line = (false, "S.", 900, 101, 0);
const ACK: Line = (true, ".", 101, 901, 0);

fn play(of: &[Line]) -> Vec<(bool, Segment)> {
    let one = |(forward, flags, seq, ack, len): &Line| (*forward, segment(flags, *seq, *ack, *len));
    of.iter().map(one).collect()
}

/// With a handshake first.
fn opened(then: &[Line]) -> Vec<(bool, Segment)> {
    let mut all = play(&[SYN, SYN_ACK, ACK]);
    all.extend(play(then));
    all
}

#[test]
fn every_way_to_open_and_to_close_has_its_state_and_history() {
    let cases: &[Case] = &[
        ("S0", "S", play(&[SYN, SYN])),
        ("S1", "ShA", opened(&[])),
        (
            "S1",
            "ShADad",
            opened(&[
                (true, ".", 101, 901, 10),
                (false, ".", 901, 111, 0),
                (false, ".", 901, 111, 20),
            ]),
        ),
        (
            "SF",
            "ShAFfa",
            opened(&[
                (true, "F.", 101, 901, 0),
                (false, "F.", 901, 102, 0),
                (false, ".", 902, 102, 0),
            ]),
        ),
        ("S2", "ShAFa", opened(&[(true, "F.", 101, 901, 0), (false, ".", 901, 102, 0)])),
        ("S3", "ShAf", opened(&[(false, "F.", 901, 101, 0)])),
        ("REJ", "Sr", play(&[SYN, (false, "R.", 0, 101, 0)])),
        ("RSTO", "ShAR", opened(&[(true, "R", 101, 0, 0)])),
        ("RSTR", "ShADr", opened(&[(true, ".", 101, 901, 5), (false, "R", 901, 0, 0)])),
        ("RSTOS0", "SR", play(&[SYN, (true, "R", 101, 0, 0)])),
        (
            "RSTRH",
            "^hdr",
            play(&[(false, "S.", 900, 101, 0), (false, ".", 901, 101, 5), (false, "R", 906, 0, 0)]),
        ),
        ("SH", "SF", play(&[SYN, (true, "F", 101, 0, 0)])),
        (
            "SHR",
            "^hdf",
            play(&[
                (false, "S.", 900, 101, 0),
                (false, ".", 901, 101, 5),
                (false, "F.", 906, 101, 0),
            ]),
        ),
        ("OTH", "Da", play(&[(true, ".", 500, 600, 10), (false, ".", 600, 510, 0)])),
        // A SYN-ACK alone may be a scan's, and keeps its sender as the originator.
        ("OTH", "HR", play(&[(false, "S.", 900, 101, 0), (false, "R", 901, 0, 0)])),
        ("OTH", "R", play(&[(true, "R", 500, 0, 0)])),
    ];
    for (state, history, segments) in cases {
        assert_eq!(verdict(segments), (*state, (*history).to_owned()));
    }
}

#[test]
fn a_syn_ack_first_makes_its_sender_the_responder_once_data_follow() {
    let segments = play(&[(false, "S.", 900, 101, 0), (true, ".", 101, 901, 0)]);
    assert_eq!(verdict(&segments), ("OTH", "^hA".to_owned()));
    assert!(exchange(&segments).columns().originator_is_forward);
    let counts = exchange(&segments).columns();
    assert_eq!((counts.originator.packets, counts.responder.packets), (1, 1));
}

#[test]
fn a_syn_captured_after_its_syn_ack_exchanges_the_roles() {
    let segments = play(&[SYN_ACK, SYN, ACK]);
    assert_eq!(verdict(&segments), ("S1", "Hs^A".to_owned()));
    assert!(exchange(&segments).columns().originator_is_forward);
}

#[test]
fn an_acknowledgment_of_what_was_not_captured_shows_a_gap() {
    let segments =
        opened(&[(true, ".", 101, 901, 10), (true, ".", 151, 901, 10), (false, ".", 901, 161, 0)]);
    let columns = exchange(&segments).columns();
    assert_eq!(columns.missed_bytes, 40);
    assert_eq!(columns.history.to_string(), "ShADaG");
    assert_eq!(columns.originator.payload_bytes, 60);
}

#[test]
fn payload_that_the_snaplen_cut_is_a_gap_as_well() {
    let mut segments = opened(&[(true, ".", 101, 901, 10), (false, ".", 901, 111, 0)]);
    segments[3].1.marks = Marks::CUT_PAYLOAD;
    assert_eq!(exchange(&segments).columns().missed_bytes, 10);
}

#[test]
fn retransmissions_zero_windows_and_impossible_flags_are_entered() {
    let mut segments = opened(&[
        (true, ".", 101, 901, 10),
        (true, ".", 101, 901, 10),
        (false, ".", 901, 111, 0),
        (true, "FR", 111, 0, 0),
        (false, "SF", 901, 0, 0),
    ]);
    segments[5].1.window = 0;
    assert_eq!(verdict(&segments).1, "ShADTawIq");
}

#[test]
fn a_segment_with_a_bad_checksum_counts_for_nothing_but_its_letter() {
    let mut segments = opened(&[(true, ".", 101, 901, 10)]);
    segments[3].1.marks = Marks::BAD_CHECKSUM;
    let columns = exchange(&segments).columns();
    assert_eq!((columns.history.to_string().as_str(), columns.originator.packets), ("ShAC", 2));
}

#[test]
fn repeated_control_segments_are_entered_when_their_number_differs() {
    let segments = play(&[
        SYN,
        SYN,
        (false, "R.", 0, 101, 0),
        (false, "R.", 0, 101, 0),
        (false, "R.", 7, 101, 0),
    ]);
    assert_eq!(verdict(&segments).1, "Srr");
}

#[test]
fn a_syn_begins_a_new_connection_unless_it_repeats_the_first() {
    let tracker = exchange(&play(&[SYN]));
    assert!(!tracker.is_replaced_by(&segment("S", 100, 0, 0)));
    assert!(tracker.is_replaced_by(&segment("S", 101, 0, 0)));
    assert!(!tracker.is_replaced_by(&segment("S.", 900, 101, 0)));
    let closed = exchange(&opened(&[(true, "R", 101, 0, 0)]));
    assert!(closed.is_replaced_by(&segment("S", 100, 0, 0)));
    assert!(!closed.is_replaced_by(&segment(".", 101, 901, 0)));
    assert!(tracker.is_stray(true, &segment("S", 101, 0, 0)));
    assert!(!tracker.is_stray(false, &segment("S", 101, 0, 0)));
    let first = segment("S", 100, 0, 0);
    assert!(!Tracker::new(true, &first).is_stray(true, &first));
}

#[test]
fn byte_counts_are_those_of_the_sequence_numbers() {
    let columns = exchange(&opened(&[
        (true, ".", 101, 901, 10),
        (false, ".", 901, 111, 3_000),
        (true, "F.", 111, 3_901, 0),
        (false, "F.", 3_901, 112, 0),
        (true, ".", 112, 3_902, 0),
    ]))
    .columns();
    assert_eq!(columns.originator.payload_bytes, 10);
    assert_eq!(columns.responder.payload_bytes, 3_000);
    assert_eq!(columns.originator.packets, 5);
    assert_eq!(columns.originator.ip_bytes, 5 * 40 + 10);
    // The last ACK comes when both have closed, and does not count.
    assert_eq!(columns.duration(), Some(Span::from_secs(6)));
}

proptest! {
    /// Segments that are mostly what is to be expected next, and sometimes not.
    #[test]
    fn the_short_way_and_the_long_way_are_the_same(
        starts: [u32; 2],
        cut: bool,
        steps in prop::collection::vec((any::<bool>(), 0_u8..16, 0_u32..3_000), 1..120),
    ) {
        let [start, answer] = starts;
        let mut next = [start.wrapping_add(1), answer.wrapping_add(1)];
        let first = segment("S", start, 0, 0);
        let mut short = Tracker::new(true, &first);
        let mut long = short.clone();
        let mut all = vec![(true, first), (false, segment("S.", answer, next[0], 0))];
        for (forward, kind, length) in steps {
            let (me, peer) = (usize::from(!forward), usize::from(forward));
            let (seq, ack) = (next[me], next[peer]);
            let sent = match kind {
                0 => segment(".", seq.wrapping_sub(length), ack, length),
                1 => segment(".", seq.wrapping_add(length), ack, length),
                2 => segment(".", seq, ack.wrapping_add(length), 0),
                3 => segment(".", seq, ack.wrapping_sub(length), length),
                4 => segment("", seq, ack, length),
                5 if length < 100 => segment("F.", seq, ack, length),
                6 if length < 100 => segment("R", seq, ack, 0),
                7 if length < 300 => Segment { window: 0, ..segment(".", seq, ack, length) },
                8 if length < 300 => {
                    Segment { marks: Marks::CUT_PAYLOAD, ..segment(".", seq, ack, length) }
                }
                9..=11 => segment(".", seq, ack, 0),
                _ => segment(".", seq, ack, length),
            };
            // A snaplen cuts nearly all.
            let is_cut = cut && kind != 15 && length > 40;
            let marks = if is_cut { Marks::CUT_PAYLOAD } else { sent.marks };
            let sent = Segment { marks, ..sent };
            next[me] = sent.seq_end().0;
            all.push((forward, sent));
        }
        for (time, (forward, sent)) in (1..).zip(all) {
            let sent = Segment { time: Time::from_nanos(time), ..sent };
            let effects = short.observe(forward, &sent);
            prop_assert_eq!(effects, long.observe_closely(forward, &sent));
            prop_assert_eq!(short.columns(), long.columns());
            prop_assert_eq!(format!("{:?}", short.both()), format!("{:?}", long.both()));
        }
    }
}

#[test]
fn the_first_data_and_the_first_acknowledgment_of_a_side_take_the_short_way() {
    let mut tracker = exchange(&opened(&[]));
    for (forward, seq, ack, length, history) in [
        (true, 101, 901, 10, "ShAD"),
        (false, 901, 111, 0, "ShADa"),
        (false, 901, 111, 50, "ShADad"),
    ] {
        assert!(tracker.observe_calmly(forward, &segment(".", seq, ack, length)), "{history}");
        assert_eq!(tracker.columns().history.to_string(), history);
    }
}

#[test]
fn a_tracker_takes_five_cache_lines() {
    assert!(size_of::<Tracker>() <= 320, "{}", size_of::<Tracker>());
}

#[test]
fn likely_server_ports_exchange_the_roles_of_what_begins_in_the_middle() {
    let endpoint = |port| Endpoint { address: [10, 0, 0, 1].into(), port };
    let first = |from, to, flags| {
        let tuple = FourTuple { source: endpoint(from), destination: endpoint(to) };
        let segment = segment(flags, 1, 1, if flags == "." { 10 } else { 0 });
        let mut tracker = Tracker::new(true, &segment).with_likely_servers(&tuple, &segment);
        tracker.observe(true, &segment);
        tracker.columns().history.to_string()
    };
    assert_eq!(first(443, 50_000, "."), "^d");
    assert_eq!(first(50_000, 443, "."), "D");
    assert_eq!(first(443, 8_080, "."), "^d");
    assert_eq!(first(8_080, 443, "."), "D");
    assert_eq!(first(443, 50_000, "S"), "S");
    assert_eq!(first(443, 50_000, "S."), "^h");
}

#[test]
fn zeek_forgets_attempts_after_5_s_silence_after_5_min_and_what_is_closed_after_5_s() {
    let due = |segments: &[(bool, Segment)], timers| {
        let mut tracker = Tracker::new(true, &segments[0].1);
        let mut lifetime = Lifetime::new(timers, Time::from_nanos(0));
        for (forward, segment) in segments {
            let effects = tracker.observe(*forward, segment);
            lifetime.observe(timers, effects, &tracker);
        }
        lifetime.due(timers, &tracker).nanos() / 1_000_000_000
    };
    let reset = opened(&[(true, "R", 101, 0, 0)]);
    for (segments, with_defaults) in
        [(play(&[SYN]), 5), (opened(&[]), 300), (play(&[(true, ".", 5, 5, 0)]), 300), (reset, 5)]
    {
        assert_eq!(due(&segments, Timers::DEFAULT), with_defaults);
        assert_eq!(due(&segments, Timers::ONE_DAY), 86_400);
    }
}

#[test]
fn what_the_short_way_touches_of_an_endpoint_lies_together() {
    use endpoint::Endpoint as Side;
    const LINE: usize = crate::near::LINE;
    assert_eq!((offset_of!(Side, counts), size_of::<Side>()), (LINE, 2 * LINE));
    assert!(offset_of!(Side, delivery) + size_of::<delivery::Delivery>() <= LINE);
}
