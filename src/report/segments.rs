//! Segments, one a line: what the tap saw, whose it was, and what every school calls it.
//!
//! A line depends on nothing but its segment, so that many can be formatted at the same time.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::ndjson::append_line;
use super::value::{Frame, Stamp};
use crate::analysis::JudgedSegment;
use crate::compat::wireshark::AnalysisFlags;
use crate::connection::State;
use crate::tcp::Flags;

/// Appends the line of one segment.
pub fn write_segment(segment: &JudgedSegment<'_>, buffer: &mut Vec<u8>) {
    append_line(buffer, "segment", SegmentDoc::from(segment));
}

/// One TCP segment: `data` of a line of type `segment`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Segment")]
pub(super) struct SegmentDoc {
    /// The frame that carried it; of several fragments, the last one.
    frame: Frame,
    /// Capture time.
    time: Stamp,
    /// Id of the connection that the segment was taken for part of.
    connection: u64,
    /// Who sent it: `client` or `server`.
    from: &'static str,
    /// The control bits in tcpdump's letters and order: F S R P . U E W e, where `.` is ACK;
    /// `none` where none is set.
    #[schemars(with = "String")]
    flags: Letters,
    /// Sequence number as on the wire.
    seq: u32,
    /// Acknowledgment number as on the wire; it counts only where `flags` holds a dot.
    ack: u32,
    /// Bytes of payload, by the headers.
    len: u32,
    /// Advertised window in bytes: scaled as the handshake agreed, as the sender offered where only
    /// its own SYN was captured, or as sent where no SYN of the sender was captured.
    window: u64,
    /// What Wireshark shows on the segment: names of its `tcp.analysis` fields.
    #[schemars(with = "Vec<String>")]
    wireshark: Names,
    /// Why the segment carries what was carried before, or looks like it, as the tool judges:
    /// `rto`, `fast`, `tail_loss_probe`, `spurious`, `syn`, `syn_ack`, `fin`, `zero_window`,
    /// `unknown`, or no retransmission at all: `reordering`, `keep_alive`, `window_probe`,
    /// `capture_duplicate`, `path_duplicate`. Null where there is nothing to explain.
    cause: Option<&'static str>,
    /// The rule that gave the cause and the numbers that it compared; without a cause, what the
    /// segment proves of an earlier one.
    why: Option<String>,
    /// The client's state after the segment, as far as was known then; null while nothing was.
    client_state: Option<&'static str>,
    /// The server's state after the segment, as far as was known then; null while nothing was.
    server_state: Option<&'static str>,
}

impl From<&JudgedSegment<'_>> for SegmentDoc {
    fn from(judged: &JudgedSegment<'_>) -> Self {
        let placed = judged.placed;
        let segment = &placed.segment;
        let effects = placed.effects;
        let repeat = effects.repeat.map(|repeat| repeat.to_string());
        let why = repeat.or_else(|| effects.proof.map(|proof| proof.to_string()));
        Self {
            frame: segment.frame.into(),
            time: Stamp(segment.time),
            connection: placed.connection,
            from: placed.from.name(),
            flags: Letters(segment.flags),
            seq: segment.seq.0,
            ack: segment.ack.0,
            len: segment.payload_len,
            window: placed.window,
            wireshark: Names(judged.wireshark),
            cause: effects.repeat.map(|repeat| repeat.cause.name()),
            why,
            client_state: placed.states.client.map(State::name),
            server_state: placed.states.server.map(State::name),
        }
    }
}

/// Control bits as tcpdump prints them.
#[derive(Clone, Copy, Debug)]
struct Letters(Flags);

impl Letters {
    const ORDER: [(Flags, u8); 9] = [
        (Flags::FIN, b'F'),
        (Flags::SYN, b'S'),
        (Flags::RST, b'R'),
        (Flags::PSH, b'P'),
        (Flags::ACK, b'.'),
        (Flags::URG, b'U'),
        (Flags::ECE, b'E'),
        (Flags::CWR, b'W'),
        (Flags::AE, b'e'),
    ];
}

impl Serialize for Letters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; Self::ORDER.len()];
        let set = Self::ORDER.iter().filter(|(flag, _)| self.0.contains(*flag));
        let mut length = 0;
        for (place, (_, letter)) in text.iter_mut().zip(set) {
            *place = *letter;
            length += 1;
        }
        let letters = text.get(..length).unwrap_or_default();
        match std::str::from_utf8(letters) {
            Ok(letters) if !letters.is_empty() => serializer.serialize_str(letters),
            _ => serializer.serialize_str("none"),
        }
    }
}

/// Flags as a list of their names.
#[derive(Clone, Copy, Debug)]
struct Names(AnalysisFlags);

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_none() {
            return serializer.collect_seq([(); 0]);
        }
        serializer.collect_seq(self.0.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bits_read_as_tcpdump_prints_them() {
        let text = |bits| serde_json::to_string(&Letters(Flags(bits))).unwrap();
        assert_eq!([text(0x02), text(0x12), text(0x18)], [r#""S""#, r#""S.""#, r#""P.""#]);
        assert_eq!([text(0x11), text(0x1ff)], [r#""F.""#, r#""FSRP.UEWe""#]);
        // A reserved bit alone is no flag.
        assert_eq!([text(0), text(0xe00)], [r#""none""#, r#""none""#]);
    }
}
