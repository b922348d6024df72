//! Turns a scenario's events into frames, and the frames into a capture file or segments.

use super::file::CaptureWriter;
use super::frame::{Packet, TCP_LEN};
use super::scenario::{Event, Observation, Position, Scenario, SegmentEvent, TcpOption, What};
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{Extras, Marks, Segment, Seq};

/// How much later a duplicating tap records the second copy.
const DUPLICATE_DELAY: Span = Span::from_micros(1);
/// What a bad checksum differs by from the right one.
const CHECKSUM_ERROR: u16 = 0x5555;

/// A frame as the capture file holds it.
#[derive(Clone, Debug)]
pub(super) struct Rendered {
    time: Time,
    /// What was captured.
    bytes: Vec<u8>,
    original_len: usize,
    pub(super) observation: Option<Observation>,
}

/// Every frame of the scenario, in order.
pub(super) fn frames(scenario: &Scenario) -> impl Iterator<Item = Rendered> + '_ {
    let copies = scenario.events.iter().flat_map(|event| {
        let duplicated = match &event.what {
            What::Segment(segment) => segment.attributes.duplicated,
            What::Frame(_) | What::Icmp(_) => false,
        };
        let second = duplicated.then_some((event, DUPLICATE_DELAY));
        std::iter::once((event, Span::ZERO)).chain(second)
    });
    copies.zip(1..).map(|((event, delay), number)| {
        let time = scenario.head.start + event.at + event.clock_error + delay;
        render(scenario, event, time, FrameId::new(0, number))
    })
}

/// The bytes of the scenario's capture file.
pub(super) fn compile(scenario: &Scenario) -> Vec<u8> {
    let head = &scenario.head;
    // Writing to memory cannot fail; times and lengths were limited by the parser.
    let Ok(mut writer) = CaptureWriter::new(Vec::new(), head.format, head.link, head.snaplen)
    else {
        return Vec::new();
    };
    let mut records = Vec::new();
    for frame in frames(scenario) {
        records.push(usize::try_from(writer.written()).unwrap_or(usize::MAX));
        if writer.record(frame.time, &frame.bytes, frame.original_len).is_err() {
            break;
        }
    }
    let mut bytes = writer.into_inner();
    for overwrite in &head.overwrites {
        let record = usize::try_from(overwrite.frame.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = records.get(record).copied().unwrap_or(usize::MAX);
        let start = start.saturating_add(overwrite.offset);
        let end = start.saturating_add(overwrite.bytes.len());
        if let Some(range) = bytes.get_mut(start..end) {
            range.copy_from_slice(&overwrite.bytes);
        }
    }
    bytes.truncate(bytes.len().saturating_sub(head.truncate));
    bytes
}

fn render(scenario: &Scenario, event: &Event, time: Time, frame: FrameId) -> Rendered {
    let snaplen = usize::try_from(scenario.head.snaplen).unwrap_or(usize::MAX);
    match &event.what {
        What::Frame(bytes) => Rendered {
            time,
            bytes: bytes.get(..snaplen).unwrap_or(bytes).to_vec(),
            original_len: bytes.len(),
            observation: None,
        },
        What::Icmp(icmp) => {
            let mut bytes = Vec::new();
            icmp.write(scenario.head.link, &mut bytes);
            let original_len = bytes.len();
            bytes.truncate(snaplen);
            let (tuple, error) = icmp.error(time, frame);
            let observation = Some(Observation::Icmp(tuple, error));
            Rendered { time, bytes, original_len, observation }
        }
        What::Segment(event) => {
            let options = option_bytes(event);
            let payload = payload(event);
            let packet = packet(event, &options, &payload);
            let mut bytes = Vec::new();
            let checksum = packet.write(scenario.head.link, &mut bytes);
            let original_len = bytes.len();
            let cut = event.attributes.cut.and_then(|cut| usize::try_from(cut).ok());
            bytes.truncate(snaplen.min(cut.unwrap_or(usize::MAX)));
            let in_packet = bytes.len().saturating_sub(scenario.head.link.header_len());
            let seen = Seen { time, frame, checksum, captured: in_packet };
            let observation = segment(event, &packet, seen).map(|(segment, extras)| {
                Observation::Segment(event.flow.tuple(event.from), segment, extras)
            });
            Rendered { time, bytes, original_len, observation }
        }
    }
}

fn packet<'a>(event: &SegmentEvent, options: &'a [u8], payload: &'a [u8]) -> Packet<'a> {
    let tuple = event.flow.tuple(event.from);
    let ack =
        if event.flags.ack() { event.flow.isn(event.from.peer()).plus(event.ack) } else { Seq(0) };
    Packet {
        source: tuple.source,
        destination: tuple.destination,
        seq: absolute(event),
        ack,
        flags: event.flags,
        window: event.window,
        urgent: event.urgent,
        options,
        payload,
        ip_id: event.attributes.ip_id.unwrap_or(0),
        ttl: event.attributes.ttl,
        traffic_class: event.attributes.traffic_class,
        ip_length: event.attributes.ip_length,
        checksum_error: if event.attributes.bad_checksum { CHECKSUM_ERROR } else { 0 },
        checksum_offloaded: event.attributes.offloaded_checksum,
    }
}

fn absolute(event: &SegmentEvent) -> Seq {
    match event.seq {
        Position::Relative(offset) => event.flow.isn(event.from).plus(offset),
        Position::Absolute(number) => Seq(number),
    }
}

/// Where and how much of a packet was seen.
#[derive(Clone, Copy)]
struct Seen {
    time: Time,
    frame: FrameId,
    checksum: u16,
    /// Captured bytes from the IP header on.
    captured: usize,
}

/// The segment that a decoder finds in the captured bytes; `None` when the fixed header was cut.
fn segment(event: &SegmentEvent, packet: &Packet<'_>, seen: Seen) -> Option<(Segment, Extras)> {
    let before_options = packet.ip_header_len() + TCP_LEN;
    let captured_options = seen.captured.checked_sub(before_options)?;
    let options = packet.options.get(..captured_options).unwrap_or(packet.options);
    let (timestamps, extras) = Extras::parse(options);
    let header_len = packet.ip_header_len() + packet.tcp_header_len();

    let mut marks = Marks::default();
    if timestamps.is_some() {
        marks = marks.with(Marks::TIMESTAMPS);
    }
    if options.len() < packet.options.len() {
        marks = marks.with(Marks::CUT_HEADER);
    }
    if seen.captured < header_len + packet.payload.len() {
        marks = marks.with(Marks::CUT_PAYLOAD);
    } else {
        marks = marks.with(Marks::CHECKSUM_VERIFIED);
        if packet.checksum_error != 0 || packet.checksum_offloaded {
            marks = marks.with(Marks::BAD_CHECKSUM);
        }
        if packet.checksum_offloaded {
            marks = marks.with(Marks::UNFINISHED_CHECKSUM);
        }
    }
    if packet.ip_length == Some(0) {
        marks = marks.with(Marks::GUESSED_LENGTH);
    }
    let segment = Segment {
        time: seen.time,
        frame: seen.frame,
        seq: packet.seq,
        ack: packet.ack,
        timestamps: timestamps.unwrap_or_default(),
        payload_len: u32::try_from(event.len).unwrap_or(u32::MAX),
        header_len: u16::try_from(header_len).unwrap_or(u16::MAX),
        window: packet.window,
        flags: packet.flags,
        ip_id: if packet.source.address.is_ipv4() { packet.ip_id } else { 0 },
        checksum: seen.checksum,
        ttl: packet.ttl,
        traffic_class: packet.traffic_class,
        marks,
        interface: 0,
    };
    Some((segment, extras))
}

/// Bytes that depend on their place in the stream alone, so that a retransmission repeats them.
fn payload(event: &SegmentEvent) -> Vec<u8> {
    let first = match event.seq {
        Position::Relative(number) | Position::Absolute(number) => number,
    };
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789".iter().copied().cycle();
    letters.skip(usize::try_from(first % 36).unwrap_or(0)).take(event.len).collect()
}

/// The option bytes, filled up with no-operations to a multiple of four.
fn option_bytes(event: &SegmentEvent) -> Vec<u8> {
    let mut bytes = Vec::new();
    for option in &event.options {
        push_option(event, option, &mut bytes);
    }
    let filler = u8::from(event.options.last() != Some(&TcpOption::End));
    bytes.resize(bytes.len().next_multiple_of(4), filler);
    bytes
}

fn push_option(event: &SegmentEvent, option: &TcpOption, bytes: &mut Vec<u8>) {
    let mut push = |kind: u8, body: &[u8]| {
        // The parser limits a segment's options to 40 bytes.
        bytes.extend_from_slice(&[kind, u8::try_from(body.len() + 2).unwrap_or(u8::MAX)]);
        bytes.extend_from_slice(body);
    };
    match option {
        TcpOption::MaximumSegmentSize(size) => push(2, &size.to_be_bytes()),
        TcpOption::WindowScale(shift) => push(3, &[*shift]),
        TcpOption::SackPermitted => push(4, &[]),
        TcpOption::Timestamps { value, echo } => {
            push(8, &[value.to_be_bytes(), echo.to_be_bytes()].concat());
        }
        TcpOption::Sack(blocks) => {
            let isn = event.flow.isn(event.from.peer());
            let edges = blocks.iter().flatten().map(|&edge| isn.plus(edge).0.to_be_bytes());
            push(5, &edges.flatten().collect::<Vec<u8>>());
        }
        TcpOption::NoOperation => bytes.push(1),
        TcpOption::End => bytes.push(0),
        TcpOption::FastOpen(cookie) => push(34, cookie),
        TcpOption::Md5 => push(19, &[0x5a; 16]),
        TcpOption::Raw { kind, body } => push(*kind, body),
    }
}
