//! One frame of bytes becomes a TCP segment, an IP fragment, an ICMP error that quotes a segment,
//! or a skip with its reason.
//!
//! [`decode`] is pure: no history, so that chunks of a capture can be decoded in parallel. What
//! needs history, rebuilding packets from IP fragments, is [`Reassembler`]'s, which is fed serially
//! in the order of the frames. Nothing here knows what a segment means in its connection.
//!
//! Every function takes one layer off and calls the next one; [`MAX_LAYERS`] bounds the nesting.
//! Lengths come from headers, never from the bytes that the snaplen left, and every access is
//! checked: hostile bytes give a skip.

mod captured;
mod compressed;
mod ethertype;
mod express;
mod extensions;
mod fragment;
mod icmp;
mod ip;
mod link;
mod reassembly;
mod segment;
mod skip;
#[cfg(test)]
mod tests;
mod tunnel;

pub use express::{Express, express_v4, express_v6};
pub use fragment::Fragment;
pub use icmp::IcmpQuote;
pub use reassembly::{EXPIRY as FRAGMENT_EXPIRY, Pushed, Reassembler};
pub use skip::{Skip, SkipCounts};

use crate::capture::LinkType;
use crate::tcp::{Endpoint, Extras, FourTuple, Segment, TunnelLayer};
use captured::Captured;
use std::net::{IpAddr, Ipv4Addr};

/// How many encapsulations (VLAN tags, label stacks, tunnels, ...) a frame may have before its
/// TCP header. Real networks stay below ten; a bound keeps the recursion's stack small.
pub const MAX_LAYERS: u8 = 24;

/// What to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Look inside IP tunnels. Without it, a tunnelled frame is one that carries no TCP.
    pub tunnels: bool,
    /// Verify the TCP checksum of segments that were captured whole.
    pub verify_checksums: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tunnels: true, verify_checksums: false }
    }
}

/// What a frame held; filled by [`decode`], and meaningful only when that says
/// [`Outcome::Segment`]. Meant to be reused from frame to frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Addresses and ports of the innermost IP packet, in the direction of travel.
    pub tuple: FourTuple,
    /// The segment; its time and frame are the caller's to fill.
    pub segment: Segment,
    /// Options besides timestamps; [`Extras::NONE`] without [`Decoded::has_extras`].
    pub extras: Extras,
    /// Whether there are such options.
    pub has_extras: bool,
    /// The tunnels around the segment, outermost first.
    pub tunnel: Vec<TunnelLayer>,
    /// Which interface of the capturing host saw it, in or out, as far as the frame itself tells.
    pub interface: Option<(u32, bool)>,
    /// The outermost VLAN id that is not 0 (0 only tags a priority, IEEE 802.1Q 9.6).
    pub vlan: Option<u16>,
}

impl Default for Decoded {
    fn default() -> Self {
        let nobody = Endpoint { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 0 };
        Self {
            tuple: FourTuple { source: nobody, destination: nobody },
            segment: Segment::default(),
            extras: Extras::NONE,
            has_extras: false,
            tunnel: Vec::new(),
            interface: None,
            vlan: None,
        }
    }
}

/// What one frame turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A TCP segment, in the [`Decoded`] that was handed in.
    Segment,
    /// A piece of a packet, for the [`Reassembler`].
    Fragment(Fragment),
    /// An ICMP error about a TCP segment.
    Quote(IcmpQuote),
    /// Nothing of TCP, or nothing that can be read.
    Skip(Skip),
}

/// Decodes one frame of link type `link`: `frame` holds the captured bytes of a frame that was
/// `wire_len` bytes long.
pub fn decode(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    settings: &Settings,
    out: &mut Decoded,
) -> Outcome {
    let mut walk = Walk::start(*settings, out, 0);
    let length = usize::try_from(wire_len).unwrap_or(usize::MAX);
    settle(link::frame(&mut walk, link, Captured::new(frame, length)))
}

/// What a layer gives: an outcome, or the reason why there is none.
type Walked = Result<Outcome, Skip>;

fn settle(walked: Walked) -> Outcome {
    walked.unwrap_or_else(Outcome::Skip)
}

/// One walk through the layers of a frame.
struct Walk<'d> {
    settings: Settings,
    out: &'d mut Decoded,
    layers: u8,
    /// A compressed packet was opened.
    inflated: bool,
    /// Bytes at the end of the present packet that no frame had room for.
    overhang: usize,
}

impl<'d> Walk<'d> {
    /// Clears what the last frame left behind; `layers` have been taken off already.
    #[inline]
    fn start(settings: Settings, out: &'d mut Decoded, layers: u8) -> Self {
        if out.has_extras {
            out.extras = Extras::NONE;
            out.has_extras = false;
        }
        out.tunnel.clear();
        out.vlan = None;
        out.interface = None;
        Self { settings, out, layers, inflated: false, overhang: 0 }
    }

    /// Takes in that a header claims `total` bytes of the `room` that the layer around it has.
    #[inline]
    fn claim(&mut self, total: usize, room: usize) {
        self.overhang = (self.overhang + total).saturating_sub(room);
    }

    /// Counts one more encapsulation.
    #[inline]
    fn enter(&mut self) -> Result<(), Skip> {
        self.layers += 1;
        if self.layers > MAX_LAYERS { Err(Skip::NestedTooDeep) } else { Ok(()) }
    }
}
