//! IPv6 extension headers (RFC 8200 4), and the authentication header in either IP version.

use super::fragment::Piece;
use super::ip::protocol;
use super::{Captured, Skip};
use std::net::Ipv6Addr;

/// More extension headers than this are no packet that a host would send; RFC 8504 5.3 lets hosts
/// limit them to far fewer.
const MAX_EXTENSIONS: usize = 16;
/// "No next header" (RFC 8200 4.7).
const NO_NEXT_HEADER: u8 = 59;
/// The jumbo payload option (RFC 2675 2).
const JUMBO_OPTION: u8 = 0xc2;

/// Where a chain of extension headers led.
pub(super) struct Chain<'a> {
    /// Protocol of what follows; inside the fragment if there is one.
    pub(super) next: u8,
    /// What follows the chain.
    pub(super) rest: Captured<'a>,
    /// The fragment header at which the chain stops, unless the packet is whole.
    pub(super) piece: Option<Piece>,
    /// Where a routing header sends the packet in the end.
    pub(super) destination: Option<Ipv6Addr>,
    /// There was a routing header.
    pub(super) routed: bool,
}

impl<'a> Chain<'a> {
    /// Walks the chain whose first header is of kind `next`.
    pub(super) fn walk(mut next: u8, mut rest: Captured<'a>) -> Result<Self, Skip> {
        let (mut destination, mut routed) = (None, false);
        for _ in 0..MAX_EXTENSIONS {
            let length = match next {
                // Hop-by-hop, destination options, mobility, HIP, shim6: 8-byte units after 8.
                0 | 60 | 135 | 139 | 140 => octets(rest, 8)?,
                43 => {
                    routed = true;
                    destination = routed_to(rest).or(destination);
                    octets(rest, 8)?
                }
                // AH counts words of 4 bytes, less two (RFC 4302 2.2).
                protocol::AH => octets(rest, 4)?,
                44 => {
                    let piece = Piece::of_v6(rest)?;
                    let body = rest.after(8).ok_or(Skip::CutIpHeader)?;
                    if piece.offset != 0 || piece.more {
                        return Ok(Self {
                            next: piece.protocol,
                            rest: body,
                            piece: Some(piece),
                            destination,
                            routed,
                        });
                    }
                    // An "atomic" fragment is a whole packet (RFC 6946).
                    8
                }
                NO_NEXT_HEADER => return Err(Skip::OtherTransport),
                _ => return Ok(Self { next, rest, piece: None, destination, routed }),
            };
            if length > rest.length() {
                return Err(Skip::BadExtensionHeader);
            }
            next = rest.byte(0).ok_or(Skip::CutIpHeader)?;
            rest = rest.after(length).ok_or(Skip::CutIpHeader)?;
        }
        Err(Skip::BadExtensionHeader)
    }
}

/// The payload length that a hop-by-hop header of a jumbogram states, where `next` is its kind.
pub(super) fn jumbo_length(next: u8, body: Captured<'_>) -> Option<usize> {
    if next != 0 {
        return None;
    }
    let end = octets(body, 8).ok()?;
    let mut options = body.bytes().get(2..end)?;
    loop {
        match *options {
            [0, ref rest @ ..] => options = rest,
            [JUMBO_OPTION, 4, a, b, c, d, ..] => {
                let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
                return Some(length).filter(|&length| length > usize::from(u16::MAX));
            }
            [_, length, ref rest @ ..] => options = rest.get(usize::from(length)..)?,
            _ => return None,
        }
    }
}

/// Length of a header whose second byte counts units beyond the first 8 bytes.
fn octets(rest: Captured<'_>, unit: usize) -> Result<usize, Skip> {
    let units = rest.byte(1).ok_or(Skip::CutIpHeader)?;
    Ok(8 + usize::from(units) * unit)
}

/// Where a routing header with segments left leads: the last address of types 0 and 2, the first
/// one of a segment list (RFC 8754 2).
fn routed_to(rest: Captured<'_>) -> Option<Ipv6Addr> {
    let (kind, left) = (rest.byte(2)?, rest.byte(3)?);
    let at = match kind {
        _ if left == 0 => return None,
        0 | 2 => ((octets(rest, 8).ok()? - 8) / 16 * 16).checked_sub(8)?,
        4 => 8,
        _ => return None,
    };
    rest.array::<16>(at).map(Ipv6Addr::from)
}
