//! Tests of all formats over analyses built by hand.

use serde_json::{Value, json};

use super::*;
use crate::analysis::{Analysis, Input, InputDamage};
use crate::capture::LinkType;
use crate::certainty::Certainty;
use crate::connection::{
    CloseOutcome, ConnectionRecord, OfferedOptions, RepeatCause, RepeatCounts, ResetKind,
    Unacknowledged,
};
use crate::detect::{Accumulator, Detectors, Selection, Thresholds};
use crate::settings::Settings;
use crate::stamp::Span;
use crate::summary::samples::{at, graceful, half_open, mark, open, refused, reset, unanswered};
use crate::summary::{OneHand, Summary};
use crate::tcp::{IcmpError, Side, TunnelLayer};

/// The analysis of one file with these connections, judged by all detectors.
pub(super) fn analysis(records: Vec<ConnectionRecord>) -> Analysis {
    let input = Input {
        path: "incident/web.pcapng".to_owned(),
        format: "pcapng",
        compression: "none",
        link_types: vec![LinkType(1)],
        bytes: 73_400,
        frames: 1_204,
        tcp_segments: 1_204,
        first_time: records.iter().map(|record| record.first_time).min(),
        last_time: records.iter().map(|record| record.known_until).max(),
        ..Input::default()
    };
    with_inputs(vec![input], records)
}

pub(super) fn with_inputs(inputs: Vec<Input>, records: Vec<ConnectionRecord>) -> Analysis {
    let settings = Settings::default();
    let detectors = Detectors::new(settings.clone(), Thresholds::default(), &Selection::default());
    let (mut summary, mut accumulator) = (Summary::default(), Accumulator::default());
    let mut connections = Vec::new();
    for record in records {
        let findings = detectors.connection(&record, &mut accumulator);
        summary.add(&record);
        connections.push(JudgedConnection { record, findings });
    }
    Analysis {
        findings: detectors.conclude(&accumulator, &summary, &inputs, &OneHand),
        inputs,
        selection: crate::analysis::Selection::default(),
        settings,
        thresholds: detectors.thresholds_in_force(),
        summary,
        connections,
    }
}

/// Ordinary traffic before and after 1,200 handshakes that one after another are left half-open.
pub(super) fn flood() -> Analysis {
    let end = 300_000;
    let mut records: Vec<_> =
        (0..20).map(|id| graceful(id, i64::try_from(id).unwrap() * 500, end)).collect();
    for id in 20..1_220_u64 {
        let from = 20_000 + i64::try_from(id).unwrap() * 20;
        let mut record = half_open(id, from, &[1_000, 2_000, 4_000, 8_000, 16_000], end);
        record.client.address =
            std::net::Ipv4Addr::from(0x0b00_0000 + u32::try_from(id).unwrap() * 977).into();
        records.push(record);
    }
    let mut analysis = analysis(records);
    let input = &mut analysis.inputs[0];
    input.skipped = vec![("arp", 10), ("cut_tcp_header", 2)];
    analysis
}

/// One connection in which every field that can be absent is present.
fn full() -> ConnectionRecord {
    let mut record = reset(graceful(3, 0, 70_000), Side::Client, ResetKind::UnreadData, 20);
    record.tunnel = vec![TunnelLayer {
        kind: "vxlan",
        low: "192.0.2.1".parse().unwrap(),
        high: "192.0.2.2".parse().unwrap(),
        id: Some(7),
    }];
    let handshake = &mut record.handshake;
    handshake.server_rtt = Some(Span::from_micros(41));
    handshake.client_rtt = Some(Span::from_micros(90));
    handshake.syn_gaps = vec![Span::from_millis(1_000)];
    handshake.rst = handshake.ack;
    handshake.icmp_error = Some(IcmpError {
        time: mark(3, 1).time,
        frame: mark(3, 1).frame,
        reporter: "10.0.0.254".parse().unwrap(),
        seq: None,
        mtu: None,
        v6: false,
        kind: 3,
        code: 13,
    });
    record.close.reused_by = Some(mark(3, 60_000));
    let traffic = &mut record.traffic.client;
    traffic.unacknowledged = Some(Unacknowledged {
        bytes: 5,
        first_sent: mark(3, 4),
        last_sent: mark(3, 5),
        retransmissions: 1,
    });
    let entry = &mut record.states.client[1];
    entry.frame = Some(mark(3, 1).frame);
    entry.corrected_by = Some(mark(3, 2).frame);
    entry.certainty = Certainty::Inferred;
    record.options.client = OfferedOptions {
        seen: true,
        mss: Some(1_460),
        window_scale: Some(7),
        sack_permitted: true,
        ..OfferedOptions::default()
    };
    record
}

fn report(analysis: &Analysis, connections: Connections) -> Value {
    let mut out = Vec::new();
    write_json(analysis, connections, &OneHand, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn lines(analysis: &Analysis) -> Vec<Value> {
    let mut out = Vec::new();
    analysis.connections.iter().for_each(|judged| write_connection(judged, &mut out));
    write_rest(analysis, &mut out).unwrap();
    assert_eq!(out.last(), Some(&b'\n'));
    out.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[test]
fn a_connection_says_all_that_is_known_of_it() {
    let analysis = analysis(vec![full()]);
    let document = report(&analysis, Connections::All);
    let connection = &document["connections"][0];
    assert_eq!(
        connection["states"]["client"][1]["cause"],
        "sent a segment of an open connection; corrected by frame 301"
    );
    assert_eq!(connection["handshake"]["server_rtt_ns"], 41_000);
    assert_eq!(connection["close"]["reset_kind"], "unread_data");
    assert_eq!(connection["options"]["server"]["sack_permitted"], Value::Null);
    assert_eq!(connection["first_time"], "2026-01-02T03:04:05.000000000Z");
    insta::assert_snapshot!(serde_json::to_string_pretty(connection).unwrap());
}

#[test]
fn a_flood_is_reported_with_its_listener_and_its_timeline() {
    let analysis = flood();
    let document = report(&analysis, Connections::None);
    assert_eq!(document["connections"], json!([]));
    let finding = &document["findings"][0];
    assert_eq!((&finding["code"], &finding["severity"]), (&json!("TCP101"), &json!("critical")));
    let listener = &document["listeners"][0];
    assert_eq!((&listener["address"], &listener["port"]), (&json!("10.0.0.2"), &json!(443)));
    let timeline = listener["half_open"]["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), 60);
    assert_eq!(
        timeline.iter().max_by_key(|value| value.as_u64()),
        Some(&listener["half_open"]["peak"]["count"])
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}

#[test]
fn an_empty_run_is_a_whole_report() {
    let document = report(&with_inputs(Vec::new(), Vec::new()), Connections::All);
    let keys: Vec<_> = document.as_object().unwrap().keys().cloned().collect();
    let mut expected = [
        "schema_version",
        "tool",
        "inputs",
        "settings",
        "summary",
        "listeners",
        "hosts",
        "findings",
        "quality",
        "connections",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(document["summary"]["connections"], 0);
}

#[test]
fn flagged_connections_are_those_that_a_detector_marked() {
    let analysis = analysis(vec![graceful(0, 0, 90_000), refused(1, 10)]);
    let ids = |connections| {
        let document = report(&analysis, connections);
        let ids = document["connections"].as_array().unwrap().iter();
        ids.map(|connection| connection["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(Connections::Flagged), [1]);
    assert_eq!(ids(Connections::All), [0, 1]);
    assert_eq!(ids(Connections::None), [] as [u64; 0]);
    assert_eq!(
        report(&analysis, Connections::All)["connections"][1]["findings"],
        json!(["TCP105", "TCP301"])
    );
}

#[test]
fn lines_hold_the_same_objects_as_the_report() {
    let analysis =
        analysis(vec![graceful(0, 0, 90_000), unanswered(1, 10, &[1_000, 2_000], 90_000)]);
    let document = report(&analysis, Connections::All);
    let lines = lines(&analysis);
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["connection", "connection", "finding", "run"]);
    assert_eq!(lines[1]["data"], document["connections"][1]);
    assert_eq!(lines[2]["data"], document["findings"][0]);
    assert_eq!(lines[3]["data"]["summary"], document["summary"]);
}

/// What makes a part of a connection differ from its default.
const CHANGES: [fn(&mut ConnectionRecord); 16] = [
    |it| it.traffic.server.segments = 1,
    |it| it.traffic.server.bad_checksums = 2,
    |it| it.traffic.server.last_segment = it.handshake.syn,
    |it| it.traffic.client.retransmitted_segments = 3,
    |it| it.traffic.client.retransmitted_bytes = 4,
    |it| it.traffic.client.retransmissions = it.handshake.syn.zip(it.handshake.syn),
    |it| it.traffic.client.repeats = counts(RepeatCause::PathDuplicate),
    |it| it.traffic.client.needless = counts(RepeatCause::Fast),
    |it| it.traffic.client.rto.estimated = Some(Span::from_millis(201)),
    |it| it.traffic.client.closed_window.count = 5,
    |it| it.traffic.server.full_window.total = Span::from_millis(6),
    |it| it.close.resets.server = 7,
    |it| it.close.reused_by = it.handshake.syn,
    |it| it.icmp.count = 8,
    |it| it.options.client.ecn = true,
    |it| it.options.server.mss = Some(9),
];

fn counts(cause: RepeatCause) -> RepeatCounts {
    let mut counts = RepeatCounts::default();
    counts.add(cause);
    counts
}

#[test]
fn the_texts_of_parts_at_their_defaults_are_what_serde_json_writes_of_them() {
    let same = |record: ConnectionRecord| {
        let judged = JudgedConnection { record, findings: Vec::new() };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        write_connection(&judged, &mut ours);
        write_connection_by_serde_json(&judged, &mut theirs);
        assert_eq!(String::from_utf8(ours).unwrap(), String::from_utf8(theirs).unwrap());
    };
    let plain = || {
        let mut record = unanswered(1, 10, &[], 90_000);
        record.traffic.server = crate::connection::Traffic::default();
        record
    };
    let mut all = plain();
    for change in CHANGES {
        let mut one = plain();
        change(&mut one);
        assert!(one != plain());
        same(one);
        change(&mut all);
        same(all.clone());
    }
    for record in [plain(), full(), graceful(0, 0, 90_000)] {
        same(record);
    }
}

#[test]
fn the_same_analysis_gives_the_same_bytes() {
    let bytes = || {
        let mut out = Vec::new();
        write_json(&flood(), Connections::All, &OneHand, &mut out).unwrap();
        write_rest(&flood(), &mut out).unwrap();
        out
    };
    assert!(bytes() == bytes());
}

#[test]
fn what_is_written_fits_the_schema() {
    let validator = |of| jsonschema::validator_for(&schema(of)).unwrap();
    let reports = validator(Schema::Report);
    let damaged = Input {
        damage: vec![InputDamage {
            kind: "cut_record",
            offset: 9,
            skipped_bytes: 3,
            after_frame: 1,
        }],
        damage_total: 1,
        ..Input::default()
    };
    for analysis in [
        with_inputs(vec![damaged], Vec::new()),
        analysis(vec![full(), open(4, 0, 10), refused(5, 7)]),
        flood(),
    ] {
        let document = report(&analysis, Connections::All);
        let errors: Vec<_> =
            reports.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        for line in lines(&analysis) {
            match line["type"].as_str() {
                Some("connection") => {
                    assert!(validator(Schema::Connection).is_valid(&line["data"]));
                }
                Some("finding") => assert!(validator(Schema::Finding).is_valid(&line["data"])),
                _ => {}
            }
        }
    }
}

#[test]
fn the_schema_refuses_what_is_broken() {
    let reports = jsonschema::validator_for(&schema(Schema::Report)).unwrap();
    let whole = report(&analysis(vec![full()]), Connections::All);
    let breaks: [fn(&mut Value); 5] = [
        |report| drop(report["connections"][0].as_object_mut().unwrap().remove("handshake")),
        |report| report["connections"][0]["first_time"] = json!("yesterday"),
        |report| report["summary"]["handshake"]["complete"] = json!("many"),
        |report| report["connections"][0]["close"]["fin"]["client"] = json!(7),
        |report| drop(report.as_object_mut().unwrap().remove("schema_version")),
    ];
    for (index, damage) in breaks.into_iter().enumerate() {
        let mut broken = whole.clone();
        damage(&mut broken);
        assert!(!reports.is_valid(&broken), "break {index}");
    }
    assert!(reports.is_valid(&whole));
}

#[test]
fn every_field_of_a_schema_is_described() {
    fn undescribed(value: &Value, path: &str, found: &mut Vec<String>) {
        let Some(object) = value.as_object() else { return };
        if let Some(properties) = object.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                if property.get("description").is_none() && property.get("$ref").is_none() {
                    found.push(format!("{path}.{name}"));
                }
            }
        }
        for (name, inner) in object.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            undescribed(inner, name, found);
        }
    }
    let mut found = Vec::new();
    for of in [Schema::Report, Schema::Connection, Schema::Finding] {
        undescribed(&schema(of), "", &mut found);
    }
    assert_eq!(found, [] as [String; 0]);
}

#[test]
fn a_close_outcome_of_its_own_is_counted_in_the_summary() {
    let mut record = open(0, 0, 10);
    record.close.outcome = CloseOutcome::TimedOut;
    record.last_time = at(10);
    let document = report(&analysis(vec![record]), Connections::None);
    assert_eq!(document["summary"]["close"]["timed_out"], 1);
    assert_eq!(document["summary"]["final_states"]["server"]["ESTABLISHED"], 1);
}
