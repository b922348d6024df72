//! Connections whose directions travel in different tunnels, or of which one does in none.

use std::fs;

use tcpautopsy::analysis::Analysis;
use tcpautopsy::connection::State;

use super::captures::{analyse, assert_same, generated, options, records, with_records};

/// What is put between the Ethernet header and the IPv4 packet of a frame; its length field is
/// filled in.
type Wrap = fn(is_forward: bool, tenant: u8) -> Vec<u8>;

/// An outer IPv4 header of this protocol, between two fixed hosts, and what follows it.
fn outer(protocol: u8, rest: &[u8]) -> Vec<u8> {
    let header = [0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    [&header[..], rest].concat()
}

fn in_ipip(is_forward: bool, _: u8) -> Vec<u8> {
    if is_forward { outer(4, &[]) } else { Vec::new() }
}

/// GRE with a key for each direction and tenant.
fn in_gre(is_forward: bool, tenant: u8) -> Vec<u8> {
    outer(47, &[0x20, 0, 0x08, 0, 0, 0, tenant, 1 + u8::from(is_forward)])
}

/// A VXLAN network for each tenant, between two hosts.
fn in_vxlan(_: bool, tenant: u8) -> Vec<u8> {
    let udp = [0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0];
    let vxlan = [8, 0, 0, 0, 0, 0, tenant, 0];
    let ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    outer(17, &[&udp[..], &vxlan, &ethernet].concat())
}

fn is_forward(frame: &[u8]) -> bool {
    (&frame[26..30], &frame[34..36]) < (&frame[30..34], &frame[36..38])
}

fn wrapped(capture: &[u8], wrap: Wrap, tenant: u8) -> Vec<Vec<u8>> {
    let wrapped = records(capture).into_iter().map(|record| {
        let (head, frame) = record.split_at(16);
        if frame.len() < 54 || frame[12..15] != [8, 0, 0x45] {
            return record.to_vec();
        }
        let mut before = wrap(is_forward(frame), tenant);
        let inner = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let total = u16::try_from(before.len() + inner).unwrap().to_be_bytes();
        if !before.is_empty() {
            before[2..4].copy_from_slice(&total);
        }
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let more = u32::try_from(before.len()).unwrap();
        let (kept, wire) = ((word(8) + more).to_le_bytes(), (word(12) + more).to_le_bytes());
        [&head[..8], &kept, &wire, &frame[..14], &before, &frame[14..]].concat()
    });
    wrapped.collect()
}

/// All but what the headers around a packet change.
fn facts(analysis: &Analysis) -> Vec<String> {
    let told = analysis.connections.iter().map(|judged| {
        let record = &judged.record;
        let sent = [&record.traffic.client, &record.traffic.server]
            .map(|it| (it.segments, it.unique_bytes, it.retransmitted_bytes, it.missing_bytes));
        let (began, client, states) = (record.first_time, record.client, &record.states);
        format!("{began} {client:?} {sent:?} {states:?} {:?}", judged.findings)
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

#[test]
fn directions_in_different_tunnels_are_one_connection() {
    let capture = generated("mix", 3_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bare.pcap");
    fs::write(&path, &capture).unwrap();
    let bare = analyse(&[path], &options(2, 5_000, 60_000)).analysis;
    for (name, wrap) in [("ipip", in_ipip as Wrap), ("gre", in_gre)] {
        let path = folder.path().join(name);
        let frames = wrapped(&capture, wrap, 1);
        fs::write(&path, with_records(&capture, frames.iter().map(Vec::as_slice))).unwrap();
        let paths = [path];
        let analysis = analyse(&paths, &options(2, 5_000, 60_000)).analysis;
        assert_eq!(facts(&analysis), facts(&bare), "{name}");
        let record = &analysis.connections[0].record;
        assert_ne!(record.other_tunnel.as_ref(), Some(&record.tunnel), "{name}");
        assert_same(&paths, name, |options| options);
    }
}

#[test]
fn tenants_with_the_same_addresses_do_not_mix() {
    let captures = [generated("mix", 2_000), seeded("mix", 2_000)];
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    let mut all = Vec::new();
    for (capture, tenant) in captures.iter().zip(1..) {
        let path = folder.path().join("alone.pcap");
        let frames = wrapped(capture, in_gre, tenant);
        fs::write(&path, with_records(capture, frames.iter().map(Vec::as_slice))).unwrap();
        let alone = analyse(&[path], &options(2, 5_000, 60_000)).analysis;
        expected.push(alone.connections.len());
        all.extend(frames);
    }
    all.sort_by_key(|record| {
        let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
        (word(0), word(4))
    });
    let path = folder.path().join("both.pcap");
    fs::write(&path, with_records(&captures[0], all.iter().map(Vec::as_slice))).unwrap();
    let both = analyse(&[path], &options(2, 5_000, 60_000)).analysis;
    assert_eq!(both.connections.len(), expected.iter().sum::<usize>());
}

/// What is said of listeners, hosts and findings, without numbers of frames.
fn places(analysis: &Analysis) -> Vec<String> {
    let summary = &analysis.summary;
    let place = |overlay, what: &dyn std::fmt::Display| summary.overlay(overlay).place(what);
    let listeners = summary.listeners().into_iter().map(|(key, it)| {
        let totals = (it.totals.connections, it.totals.completed, it.totals.payload_bytes);
        let peaks = it.concurrency.peak(State::TimeWait).map(|peak| (peak.count, peak.at));
        let sources = (it.sources().count(), it.half_open.peak());
        format!("{} {totals:?} {peaks:?} {sources:?}", place(key.overlay, &key.at))
    });
    let hosts = summary.hosts().into_iter().map(|(key, it)| {
        let peak = it.concurrency.peak(State::Established).map(|peak| peak.count);
        format!("{} {} {peak:?}", place(key.overlay, &key.at), it.connections())
    });
    let findings = analysis.findings.iter().map(|it| {
        format!("{} {} {} {} {}", it.code, it.place(), it.fingerprint(), it.count, it.summary)
    });
    let mut told: Vec<String> = listeners.chain(hosts).chain(findings).collect();
    told.sort();
    told
}

#[test]
fn tenants_with_the_same_addresses_have_totals_and_findings_of_their_own() {
    let capture = generated("mix", 3_000);
    let folder = tempfile::tempdir().unwrap();
    let tenants = [1, 2].map(|tenant| {
        let mut frames = wrapped(&capture, in_vxlan, tenant);
        frames.retain(|record| record[28..31] == [8, 0, 0x45]);
        frames
    });
    let write = |name: &str, frames: &[Vec<u8>]| {
        let path = folder.path().join(name);
        fs::write(&path, with_records(&capture, frames.iter().map(Vec::as_slice))).unwrap();
        path
    };
    let mut alone = Vec::new();
    for frames in &tenants {
        let path = write("alone.pcap", frames);
        alone.extend(places(&analyse(&[path], &options(2, 5_000, 60_000)).analysis));
    }
    alone.sort();
    let pairs = tenants[0].iter().zip(&tenants[1]);
    let both: Vec<Vec<u8>> = pairs.flat_map(|(one, other)| [one.clone(), other.clone()]).collect();
    let paths = [write("both.pcap", &both)];
    let told = places(&analyse(&paths, &options(2, 5_000, 60_000)).analysis);
    let differs = told.iter().zip(&alone).find(|(together, alone)| together != alone);
    assert_eq!((differs, told.len()), (None, alone.len()));
    assert!(told.iter().any(|line| line.starts_with("TCP") && line.contains("in vxlan 2")));
    assert_same(&paths, "tenants", |options| options);
}

/// Another capture of the same hosts and ports.
fn seeded(name: &str, packets: u64) -> Vec<u8> {
    let shape = tcpautopsy::testkit::Shape::named(name).unwrap();
    let mut bytes = Vec::new();
    tcpautopsy::testkit::generate(shape, packets, 8, &mut bytes).unwrap();
    bytes
}
