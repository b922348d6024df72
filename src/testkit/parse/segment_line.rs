//! Reads a segment line behind its time and flow: direction, flags, numbers, options, attributes.

use crate::stamp::Span;
use crate::tcp::{Flags, Side};
use crate::testkit::cursor::{Cursor, ScenarioError};
use crate::testkit::scenario::{Attributes, Flow, Position, SegmentEvent, TcpOption};

/// Longest list of options in bytes: a header of 60 less the fixed 20 (RFC 9293 3.1).
const MAX_OPTIONS: usize = 40;
/// Longest payload in bytes: what an IPv4 packet with the longest TCP header holds.
const MAX_PAYLOAD: usize = 65_535 - 20 - 60;
/// The same where `iplen 0` says that the length does not fit the header (segmentation offload).
const MAX_OFFLOADED: usize = 200_000;
const DEFAULT_WINDOW: u16 = 65_535;
const DEFAULT_TTL: u8 = 64;

/// Reads the line; also returns how far its recorded time lies from its place.
pub(super) fn segment(
    cursor: &mut Cursor<'_>,
    flow: Flow,
) -> Result<(SegmentEvent, Span), ScenarioError> {
    let from = if cursor.take('>') {
        Side::Client
    } else if cursor.take('<') {
        Side::Server
    } else {
        let found = cursor.found();
        return Err(cursor.error(format!("expected `>` (client) or `<` (server), found {found}")));
    };
    let flags = flags(cursor)?;
    cursor.skip_blanks();
    let numbers_at = cursor.offset();
    let (seq, len) = numbers(cursor)?;
    let mut segment = SegmentEvent {
        flow,
        from,
        flags,
        seq,
        ack: 0,
        len,
        window: if flags.rst() { 0 } else { DEFAULT_WINDOW },
        urgent: 0,
        options: Vec::new(),
        attributes: Attributes {
            ttl: DEFAULT_TTL,
            ip_id: None,
            traffic_class: 0,
            ip_length: None,
            duplicated: false,
            bad_checksum: false,
            offloaded_checksum: false,
            cut: None,
        },
    };
    let mut clock_error = Span::ZERO;
    let mut acknowledges = false;
    while !cursor.is_at_end() {
        if cursor.take('<') {
            segment.options = options(cursor)?;
            continue;
        }
        let at = cursor.offset();
        match cursor.word() {
            "ack" => {
                segment.ack = cursor.number("an acknowledgment number")?;
                acknowledges = true;
            }
            "clock" => clock_error = signed_seconds(cursor)?,
            word => attribute(word, at, cursor, &mut segment)?,
        }
    }
    if acknowledges != flags.ack() {
        return Err(cursor.error(if acknowledges {
            "`ack` without the flag `.`"
        } else {
            "the flag `.` without `ack`"
        }));
    }
    let limit = if segment.attributes.ip_length == Some(0) { MAX_OFFLOADED } else { MAX_PAYLOAD };
    if len > limit {
        return Err(cursor.error_at(numbers_at, format!("more than {limit} bytes of payload")));
    }
    Ok((segment, clock_error))
}

/// tcpdump's letters in any order, or `none`.
fn flags(cursor: &mut Cursor<'_>) -> Result<Flags, ScenarioError> {
    cursor.skip_blanks();
    let at = cursor.offset();
    let letters = cursor.token();
    if letters == "none" {
        return Ok(Flags::default());
    }
    if letters.is_empty() {
        return Err(cursor.error("expected flags, found the end of the line"));
    }
    let mut flags = Flags::default();
    for (offset, letter) in letters.char_indices() {
        let flag = match letter {
            'F' => Flags::FIN,
            'S' => Flags::SYN,
            'R' => Flags::RST,
            'P' => Flags::PSH,
            '.' => Flags::ACK,
            'U' => Flags::URG,
            'E' => Flags::ECE,
            'W' => Flags::CWR,
            'e' => Flags::AE,
            _ => {
                let message = format!("`{letter}` is not one of the flags S F R P . U E W e");
                return Err(cursor.error_at(at + offset, message));
            }
        };
        if flags.contains(flag) {
            return Err(cursor.error_at(at + offset, format!("the flag `{letter}` stands twice")));
        }
        flags = flags | flag;
    }
    Ok(flags)
}

/// `FIRST:LAST(LENGTH)`, with `=` before it for numbers as on the wire.
fn numbers(cursor: &mut Cursor<'_>) -> Result<(Position, usize), ScenarioError> {
    let absolute = cursor.take('=');
    cursor.skip_blanks();
    let at = cursor.offset();
    let first: u32 = cursor.number("a sequence number")?;
    cursor.require(':')?;
    let last: u32 = cursor.number("a sequence number")?;
    cursor.require('(')?;
    let len: u32 = cursor.number("a length")?;
    cursor.require(')')?;
    if first.wrapping_add(len) != last {
        let message = format!("{first} and {len} bytes do not end at {last}");
        return Err(cursor.error_at(at, message));
    }
    let position = if absolute { Position::Absolute(first) } else { Position::Relative(first) };
    Ok((position, usize::try_from(len).unwrap_or(usize::MAX)))
}

fn attribute(
    word: &str,
    at: usize,
    cursor: &mut Cursor<'_>,
    segment: &mut SegmentEvent,
) -> Result<(), ScenarioError> {
    let attributes = &mut segment.attributes;
    match word {
        "win" => segment.window = cursor.number("a window")?,
        "urg" => segment.urgent = cursor.number("an urgent pointer")?,
        "ttl" => attributes.ttl = cursor.number("a time to live")?,
        "id" => attributes.ip_id = Some(cursor.number("an IP identification")?),
        "tos" => attributes.traffic_class = cursor.number("a type of service")?,
        "iplen" => attributes.ip_length = Some(cursor.number("an IP length")?),
        "cut" => attributes.cut = Some(cursor.number("a captured length")?),
        "dup" => attributes.duplicated = true,
        "badsum" => attributes.bad_checksum = true,
        "offload" => attributes.offloaded_checksum = true,
        "" => return Err(cursor.error(format!("expected an attribute, found {}", cursor.found()))),
        _ => return Err(cursor.error_at(at, format!("`{word}` is no attribute of a segment"))),
    }
    Ok(())
}

fn signed_seconds(cursor: &mut Cursor<'_>) -> Result<Span, ScenarioError> {
    let negative = cursor.take('-');
    if !negative {
        cursor.take('+');
    }
    let span = cursor.seconds()?;
    Ok(if negative { Span::from_nanos(-span.nanos()) } else { span })
}

/// The options behind `<`, up to and with `>`.
fn options(cursor: &mut Cursor<'_>) -> Result<Vec<TcpOption>, ScenarioError> {
    let begin = cursor.offset();
    let mut options = Vec::new();
    let mut total = 0;
    loop {
        let option = option(cursor)?;
        total += wire_len(&option);
        if total > MAX_OPTIONS {
            return Err(cursor.error_at(begin, format!("more than {MAX_OPTIONS} bytes of options")));
        }
        options.push(option);
        if cursor.take('>') {
            return Ok(options);
        }
        cursor.require(',')?;
    }
}

fn option(cursor: &mut Cursor<'_>) -> Result<TcpOption, ScenarioError> {
    cursor.skip_blanks();
    let at = cursor.offset();
    Ok(match cursor.word() {
        "mss" => TcpOption::MaximumSegmentSize(cursor.number("a segment size")?),
        "wscale" => TcpOption::WindowScale(cursor.number("a window scale")?),
        "sackOK" => TcpOption::SackPermitted,
        "TS" => {
            cursor.require_word("val")?;
            let value = cursor.number("a timestamp")?;
            cursor.require_word("ecr")?;
            TcpOption::Timestamps { value, echo: cursor.number("a timestamp")? }
        }
        "sack" => {
            let mut blocks = Vec::new();
            loop {
                let left = cursor.number("a block's first byte")?;
                cursor.require(':')?;
                blocks.push([left, cursor.number("the byte after the block")?]);
                cursor.skip_blanks();
                if blocks.len() == 4 || !cursor.rest().starts_with(|c: char| c.is_ascii_digit()) {
                    break TcpOption::Sack(blocks);
                }
            }
        }
        "nop" => TcpOption::NoOperation,
        "eol" => TcpOption::End,
        "md5" => TcpOption::Md5,
        "fastopen" => TcpOption::FastOpen(cursor.hex(MAX_OPTIONS - 2)?),
        "raw" => TcpOption::Raw {
            kind: cursor.number("an option kind")?,
            body: cursor.hex(MAX_OPTIONS - 2)?,
        },
        "" => return Err(cursor.error(format!("expected an option, found {}", cursor.found()))),
        word => return Err(cursor.error_at(at, format!("`{word}` is no option"))),
    })
}

fn wire_len(option: &TcpOption) -> usize {
    match option {
        TcpOption::NoOperation | TcpOption::End => 1,
        TcpOption::SackPermitted => 2,
        TcpOption::WindowScale(_) => 3,
        TcpOption::MaximumSegmentSize(_) => 4,
        TcpOption::Timestamps { .. } => 10,
        TcpOption::Md5 => 18,
        TcpOption::Sack(blocks) => 2 + 8 * blocks.len(),
        TcpOption::FastOpen(body) | TcpOption::Raw { body, .. } => 2 + body.len(),
    }
}
