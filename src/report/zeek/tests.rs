//! What a conn.log looks like.

use serde_json::json;

use super::*;
use crate::compat::zeek::{Columns, Counts, Tracker};
use crate::stamp::{FrameId, Span};
use crate::tcp::{Endpoint, Flags, FourTuple, Segment, TunnelLayer};

const START: Time = Time::from_nanos(1_767_323_045_000_001_999);

fn row() -> ZeekRow {
    let endpoint = |text: &str, port| Endpoint { address: text.parse().unwrap(), port };
    let tuple = FourTuple {
        source: endpoint("10.0.0.1", 40_000),
        destination: endpoint("::ffff:8.8.8.8", 443),
    };
    let syn = Segment {
        time: START,
        flags: Flags::SYN,
        window: 64_240,
        header_len: 40,
        ..Segment::default()
    };
    let mut tracker = Tracker::new(true, &syn);
    tracker.observe(true, &syn);
    let columns = Columns {
        last: START + Span::from_micros(1_500),
        originator: Counts { packets: 5, ip_bytes: 812, payload_bytes: 512 },
        responder: Counts { packets: 4, ip_bytes: 300, payload_bytes: 100 },
        ..tracker.columns()
    };
    let first_frame = FrameId::new(0, 7);
    let at = START + Span::from_secs(5);
    ZeekRow { id: 7, first_frame, tuple, tunnel: Vec::new(), columns, at, is_evicted: false }
}

fn tsv(row: &ZeekRow) -> String {
    let mut buffer = Vec::new();
    write_zeek_row(row, &mut buffer);
    String::from_utf8(buffer).unwrap()
}

#[test]
fn the_header_is_zeeks() {
    let expected = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n\
        #path\tconn\n#open\t2026-01-02-03-04-05\n#fields\tts\tuid\tid.orig_h\tid.orig_p\t\
        id.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\t\
        local_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\t\
        resp_ip_bytes\ttunnel_parents\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\t\
        interval\tcount\tcount\tstring\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\t\
        set[string]\n";
    assert_eq!(zeek_header(START), expected);
    assert_eq!(zeek_footer(START), "#close\t2026-01-02-03-04-05\n");
}

#[test]
fn a_row_has_a_value_for_every_field() {
    let text = tsv(&row());
    let mut values: Vec<&str> = text.trim_end_matches('\n').split('\t').collect();
    assert_eq!(values.len(), FIELDS.len());
    values.remove(1);
    let expected = "1767323045.000001\t10.0.0.1\t40000\t8.8.8.8\t443\ttcp\t-\t0.001500\t512\t100\t\
        S0\tT\tF\t0\tS\t5\t812\t4\t300\t-";
    assert_eq!(values.join("\t"), expected);
    assert_eq!(zeek_row_time(text.as_bytes()), Some(Time::from_nanos(1_767_323_045_000_001_000)));
}

#[test]
fn what_took_no_time_has_no_duration_and_no_payload_and_a_tunnel_its_name() {
    let mut row = row();
    row.columns.last = row.columns.first;
    let outer = |last| [192, 0, 2, last].into();
    row.tunnel = vec![TunnelLayer { kind: "vxlan", low: outer(1), high: outer(2), id: Some(5) }];
    let text = tsv(&row);
    assert!(text.contains("\ttcp\t-\t-\t-\t-\tS0\t"), "{text}");
    let parent = text.trim_end().rsplit('\t').next().unwrap();
    assert!(parent.starts_with('C') && parent.len() > 14, "{parent}");
}

#[test]
fn the_json_form_leaves_out_what_is_unset() {
    let mut buffer = Vec::new();
    write_zeek_json(&row(), &mut buffer);
    let mut value: serde_json::Value = serde_json::from_slice(&buffer).unwrap();
    assert!(value["uid"].take().is_string());
    let expected = json!({
        "ts": 1_767_323_045.000_001, "uid": null, "id.orig_h": "10.0.0.1", "id.orig_p": 40_000,
        "id.resp_h": "8.8.8.8", "id.resp_p": 443, "proto": "tcp", "duration": 0.0015,
        "orig_bytes": 512, "resp_bytes": 100, "conn_state": "S0", "local_orig": true,
        "local_resp": false, "missed_bytes": 0, "history": "S", "orig_pkts": 5,
        "orig_ip_bytes": 812, "resp_pkts": 4, "resp_ip_bytes": 300,
    });
    assert_eq!(value, expected);
}

#[test]
fn times_before_1970_keep_their_sign() {
    let mut row = row();
    row.columns.first = Time::from_nanos(-1_500_000_000);
    let text = tsv(&row);
    assert!(text.starts_with("-1.500000\t"), "{text}");
    assert_eq!(zeek_row_time(text.as_bytes()), Some(row.columns.first));
}
