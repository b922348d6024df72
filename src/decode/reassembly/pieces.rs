//! The pieces of one packet that is being rebuilt. Knows nothing of other packets or of time.

use crate::decode::fragment::{Fragment, MAX_PACKET};
use crate::decode::ip::{Packet, protocol};
use crate::decode::tunnel::udp;
use crate::decode::{Captured, Skip};
use std::collections::BTreeMap;

/// Pieces of one packet: 65,535 bytes in the smallest pieces of any real path (576 bytes) are 119.
const MAX_PIECES: usize = 1_024;
/// What a piece costs beside its bytes, so that many empty ones are bounded too.
const PIECE_COST: usize = 128;

/// Pieces that do not overlap, by offset.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    by_offset: BTreeMap<usize, Piece>,
    /// Length of the whole, once the last piece is known.
    pub(super) total: Option<usize>,
    covered: usize,
    /// Bytes held, and something for every piece.
    pub(super) cost: usize,
    /// What the first piece said of the packet.
    pub(super) head: Option<Head>,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    length: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) protocol: u8,
    pub(super) packet: Packet,
    pub(super) layers: u8,
}

impl Pieces {
    /// Takes a fragment; an error says why nothing can come of its packet any more.
    pub(super) fn insert(&mut self, fragment: &Fragment) -> Result<(), Skip> {
        let start = usize::try_from(fragment.offset).unwrap_or(MAX_PACKET);
        let end = start.saturating_add(fragment.payload_len);
        self.agree_on_end(end, fragment.more)?;
        if start == 0 {
            if is_plain_udp(fragment) {
                return Err(Skip::Udp);
            }
            self.head.get_or_insert(Head::of(fragment));
        }
        let mut at = start;
        let mut missing = Vec::new();
        // The only piece that begins before `start` and can overlap is the last of those.
        let first = self.by_offset.range(..=start).next_back().map_or(start, |(&from, _)| from);
        for (&from, piece) in self.by_offset.range(first..end) {
            if !piece.agrees(from, start, &fragment.payload) {
                return Err(Skip::FragmentConflict);
            }
            if at < from {
                missing.push((at, from));
            }
            at = at.max(from + piece.length);
        }
        if at < end {
            missing.push((at, end));
        }
        for (from, to) in missing {
            let bytes = &fragment.payload;
            let upto = (to - start).min(bytes.len());
            let bytes = bytes.get(from - start..upto).unwrap_or_default().to_vec();
            self.covered += to - from;
            self.cost += bytes.len() + PIECE_COST;
            self.by_offset.insert(from, Piece { bytes, length: to - from });
        }
        if self.by_offset.len() > MAX_PIECES { Err(Skip::FragmentEvicted) } else { Ok(()) }
    }

    /// Only one piece is the last one, and nothing lies beyond it.
    fn agree_on_end(&mut self, end: usize, more: bool) -> Result<(), Skip> {
        let highest = self.by_offset.last_key_value().map_or(0, |(&at, piece)| at + piece.length);
        match self.total {
            Some(total) if end > total || (!more && end != total) => Err(Skip::FragmentConflict),
            None if !more && highest > end => Err(Skip::FragmentConflict),
            None if !more => {
                self.total = Some(end);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.total == Some(self.covered)
    }

    /// The captured bytes up to the first one that the snaplen cut.
    pub(super) fn leading_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.covered.min(MAX_PACKET));
        for piece in self.by_offset.values() {
            bytes.extend_from_slice(&piece.bytes);
            if piece.bytes.len() < piece.length {
                break;
            }
        }
        bytes
    }
}

impl Piece {
    /// Whether this piece at `from` has the same bytes as `other` at `other_from`, as far as both
    /// were captured.
    fn agrees(&self, from: usize, other_from: usize, other: &[u8]) -> bool {
        let start = from.max(other_from);
        let mine = self.bytes.get(start - from..).unwrap_or_default();
        let theirs = other.get(start - other_from..).unwrap_or_default();
        mine.iter().zip(theirs).all(|(one, two)| one == two)
    }
}

impl Head {
    fn of(fragment: &Fragment) -> Self {
        Self {
            protocol: fragment.protocol,
            packet: Packet {
                source: fragment.source,
                destination: fragment.destination,
                ttl: fragment.ttl,
                traffic_class: fragment.traffic_class,
                id: if fragment.source.is_ipv4() {
                    u16::try_from(fragment.id).unwrap_or_default()
                } else {
                    0
                },
                routed: fragment.routed,
                header_len: fragment.header_len,
                marks: fragment.marks,
            },
            layers: fragment.layers,
        }
    }
}

/// Whether a first fragment shows that its packet is UDP and no tunnel.
fn is_plain_udp(fragment: &Fragment) -> bool {
    let header = Captured::new(&fragment.payload, fragment.payload_len);
    let ports = [header.be16(0), header.be16(2)];
    fragment.protocol == protocol::UDP && !ports.into_iter().flatten().any(udp::is_tunnel_port)
}
