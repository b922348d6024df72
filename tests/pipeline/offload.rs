//! A tap in a host that sees large segments, and one on the wire that sees their pieces.

use std::fs;

use tcpautopsy::analysis::Analysis;

use super::captures::{analyse, generated, options, records, with_records};

/// Payload of a piece.
const PIECE: usize = 500;

/// The record's frame in pieces, as a network card cuts it, each a little later.
fn cut(record: &[u8]) -> Vec<Vec<u8>> {
    let frame = &record[16..];
    let is_tcp = frame.len() > 54 && frame[12..15] == [8, 0, 0x45] && frame[23] == 6;
    let headers = if is_tcp { 34 + usize::from(frame[46] >> 4) * 4 } else { frame.len() };
    let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    if !is_tcp || frame.len() != 14 + total || frame.len() <= headers + PIECE {
        return vec![record.to_vec()];
    }
    let pieces = frame[headers..].chunks(PIECE).zip(0_u16..);
    let cut = pieces.map(|(payload, index)| {
        let mut piece = [&record[..16 + headers], payload].concat();
        let length = u32::try_from(piece.len() - 16).unwrap();
        piece[8..12].copy_from_slice(&length.to_le_bytes());
        piece[12..16].copy_from_slice(&length.to_le_bytes());
        let total = u16::try_from(length - 14).unwrap().to_be_bytes();
        piece[32..34].copy_from_slice(&total);
        let id = u16::from_be_bytes([frame[18], frame[19]]).wrapping_add(index);
        piece[34..36].copy_from_slice(&id.to_be_bytes());
        let seq = u32::from_be_bytes(frame[38..42].try_into().unwrap());
        let offset = u32::from(index) * u32::try_from(PIECE).unwrap();
        piece[54..58].copy_from_slice(&seq.wrapping_add(offset).to_be_bytes());
        piece
    });
    cut.collect()
}

/// The capture of a host that counts its packets by the pieces that they will be cut into.
fn counted(capture: &[u8]) -> Vec<u8> {
    let mut next = 1_u16;
    let counted = records(capture).into_iter().map(|record| {
        let mut counted = record.to_vec();
        if record.len() > 16 + 54 && record[28..31] == [8, 0, 0x45] {
            counted[34..36].copy_from_slice(&next.to_be_bytes());
            next = next.wrapping_add(u16::try_from(cut(record).len()).unwrap());
        }
        counted
    });
    let counted: Vec<Vec<u8>> = counted.collect();
    with_records(capture, counted.iter().map(Vec::as_slice))
}

/// The record, so many microseconds later.
fn later(mut record: Vec<u8>, micros: u64) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
    let time = u64::from(word(0)) * 1_000_000 + u64::from(word(4)) + micros;
    let (seconds, rest) = (time / 1_000_000, time % 1_000_000);
    record[0..4].copy_from_slice(&u32::try_from(seconds).unwrap().to_le_bytes());
    record[4..8].copy_from_slice(&u32::try_from(rest).unwrap().to_le_bytes());
    record
}

fn facts(analysis: &Analysis) -> Vec<String> {
    let told = analysis.connections.iter().map(|judged| {
        let record = &judged.record;
        let sent = [&record.traffic.client, &record.traffic.server]
            .map(|it| (it.unique_bytes, it.retransmitted_bytes, it.missing_bytes));
        format!("{:?} {sent:?} {:?}", record.client, record.close.outcome)
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

#[test]
fn large_segments_and_their_pieces_at_another_tap_are_the_same() {
    let capture = counted(&generated("mix", 3_000));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pieces: Vec<Vec<u8>> = records(&capture).into_iter().flat_map(cut).collect();
    assert!(pieces.len() > records(&capture).len() + 500);
    // The wire's clock is behind, and then ahead.
    for (name, host_later, wire_later) in [("behind", 300, 0), ("ahead", 0, 300)] {
        let host_frames: Vec<Vec<u8>> =
            records(&capture).into_iter().map(|it| later(it.to_vec(), host_later)).collect();
        let wire_frames: Vec<Vec<u8>> =
            pieces.iter().map(|it| later(it.clone(), wire_later)).collect();
        let write = |name: &str, frames: &[Vec<u8>]| {
            fs::write(at(name), with_records(&capture, frames.iter().map(Vec::as_slice))).unwrap();
            at(name)
        };
        let paths = [write("one.pcap", &host_frames), write("two.pcap", &wire_frames)];
        let both = analyse(&paths, &options(2, 5_000, 60_000)).analysis;
        let seen: u64 = both.inputs.iter().map(|input| input.seen_elsewhere).sum();
        let late = usize::from(wire_later > 0);
        let unseen = &analyse(&paths[late..][..1], &options(2, 5_000, 60_000)).analysis.inputs[0];
        assert_eq!(seen, unseen.tcp_segments, "{name}");
        let alone =
            analyse(&paths[usize::from(wire_later == 0)..][..1], &options(2, 5_000, 60_000));
        assert_eq!(facts(&both), facts(&alone.analysis), "{name}");
    }
}

/// The record as `-i any` writes it (Linux SLL2): at interface `index`, coming in or going out.
fn cooked(record: &[u8], index: u8, outgoing: bool) -> Vec<u8> {
    let frame = &record[16..];
    let kind = if outgoing { 4 } else { 0 };
    let header = [0, 0, 0, 0, 0, 0, 0, index, 0, 1, kind, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    let length = u32::try_from(frame.len() + 6).unwrap().to_le_bytes();
    [&record[..8], &length, &length, &frame[12..14], &header[2..], &frame[14..]].concat()
}

#[test]
fn what_a_bridge_passes_on_is_seen_twice_and_was_sent_once() {
    let capture = counted(&generated("mix", 3_000));
    let folder = tempfile::tempdir().unwrap();
    // Network 276: Linux SLL2.
    let head = [&capture[..20], &276_u32.to_le_bytes()].concat();
    let write = |name: &str, frames: &[Vec<u8>]| {
        let path = folder.path().join(name);
        fs::write(&path, with_records(&head, frames.iter().map(Vec::as_slice))).unwrap();
        path
    };
    let all = records(&capture);
    let once: Vec<Vec<u8>> = all.iter().map(|record| cooked(record, 2, false)).collect();
    let out = |record: &Vec<u8>| later(cooked(record, 3, true), 40);
    let pieces = |record: &&[u8]| cut(record).iter().map(out).collect::<Vec<_>>();
    let mut twice: Vec<Vec<u8>> = all.iter().flat_map(pieces).chain(once.clone()).collect();
    twice.sort_by_key(|record| {
        let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
        (word(0), word(4))
    });
    let [once, twice] = [write("once.pcap", &once), write("twice.pcap", &twice)]
        .map(|path| analyse(&[path], &options(2, 5_000, 60_000)).analysis);
    let (told, expected) = (facts(&twice), facts(&once));
    let differs: Vec<_> = told.iter().zip(&expected).filter(|(one, other)| one != other).collect();
    assert!(differs.is_empty() && told.len() == expected.len(), "{differs:#?}");
    let copies = twice.summary.totals.ground.copies;
    let passed_on = twice.inputs[0].tcp_segments - once.inputs[0].tcp_segments;
    assert!(copies * 100 > passed_on * 98, "{copies} of {passed_on}");
}
