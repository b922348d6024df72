//! IP payload compression (RFC 3173) with DEFLATE (RFC 2394).
//!
//! Each packet is compressed by itself, so no history is needed. Once per frame: compression inside
//! compression would let a few bytes make work for seconds.

use super::ip::{self, Packet};
use super::{Captured, Skip, Walk, Walked};
use flate2::{Decompress, FlushDecompress, Status};

/// Next header, flags, and a compression parameter index of 16 bits.
const HEADER: usize = 4;
/// The index of DEFLATE where nobody negotiated one (RFC 2394 2).
const DEFLATE: u16 = 2;
/// Indexes from here on are negotiated; in practice for DEFLATE as well (RFC 3173 3.3).
const FIRST_NEGOTIATED: u16 = 256;
/// The longest IP payload.
const MAX_PAYLOAD: usize = 65_535;

/// The payload of a packet of IP protocol 108.
#[cold]
pub(super) fn packet(walk: &mut Walk<'_>, packet: &Packet, payload: Captured<'_>) -> Walked {
    let next = payload.byte(0).ok_or(Skip::CutIpHeader)?;
    let index = payload.be16(2).ok_or(Skip::CutIpHeader)?;
    let rest = payload.after(HEADER).ok_or(Skip::CutIpHeader)?;
    let known = index == DEFLATE || index >= FIRST_NEGOTIATED;
    // What a cut packet was long before it was compressed, nobody can tell.
    if !known || walk.inflated || rest.is_cut() {
        return Err(Skip::Compressed);
    }
    walk.inflated = true;
    walk.enter()?;
    let whole = inflate(rest.bytes()).ok_or(Skip::Compressed)?;
    let mut around = *packet;
    ip::beyond_extensions(walk, &mut around, next, Captured::new(&whole, whole.len()))
}

fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(MAX_PAYLOAD);
    let mut stream = Decompress::new(false);
    let status = stream.decompress_vec(bytes, &mut whole, FlushDecompress::Finish).ok()?;
    matches!(status, Status::StreamEnd).then_some(whole)
}
