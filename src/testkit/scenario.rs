//! A scenario: what happened on the wire, parsed, expanded, and ready to become a capture.
//!
//! The language is described in `docs/scenarios.md`. The transforms are for metamorphic tests: the
//! same story under other sequence numbers, times, addresses or file formats.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cursor::ScenarioError;
use super::file::Format;
use super::frame::Link;
use super::icmp::IcmpEvent;
use super::{parse, render};
use crate::stamp::{Span, Time};
use crate::tcp::{Endpoint, Extras, Flags, FourTuple, IcmpError, Segment, Seq, Side};

/// A parsed scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(super) title: String,
    pub(super) head: Head,
    /// In the order of the capture.
    pub(super) events: Vec<Event>,
}

/// What concerns the capture file as a whole.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) start: Time,
    pub(super) format: Format,
    pub(super) link: Link,
    pub(super) snaplen: u32,
    /// Bytes missing at the end of the file.
    pub(super) truncate: usize,
    pub(super) overwrites: Vec<Overwrite>,
    pub(super) sysctls: Vec<(String, String)>,
    /// Connections that the analysis may remember.
    pub(super) limit: Option<usize>,
}

/// Bytes of the file that are replaced after it was written.
#[derive(Clone, Debug)]
pub(super) struct Overwrite {
    /// Which record, from 1.
    pub(super) frame: u64,
    /// Offset in bytes from the beginning of the record's own header.
    pub(super) offset: usize,
    pub(super) bytes: Vec<u8>,
}

/// Something that the tap saw.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Its place in the capture, from the scenario's start.
    pub(super) at: Span,
    /// How far its recorded time lies from its place.
    pub(super) clock_error: Span,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Segment(Box<SegmentEvent>),
    Icmp(Box<IcmpEvent>),
    /// A frame given byte by byte.
    Frame(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(super) struct SegmentEvent {
    pub(super) flow: Flow,
    pub(super) from: Side,
    pub(super) flags: Flags,
    pub(super) seq: Position,
    /// Relative to the peer's ISN; absolute 0 on the wire without ACK.
    pub(super) ack: u32,
    pub(super) len: usize,
    pub(super) window: u16,
    pub(super) urgent: u16,
    pub(super) options: Vec<TcpOption>,
    pub(super) attributes: Attributes,
}

/// Who speaks, and where both sides' sequence numbers begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    pub(super) client_isn: Seq,
    pub(super) server_isn: Seq,
}

impl Flow {
    pub(super) const fn isn(&self, side: Side) -> Seq {
        match side {
            Side::Client => self.client_isn,
            Side::Server => self.server_isn,
        }
    }

    pub(super) const fn tuple(&self, from: Side) -> FourTuple {
        let forward = FourTuple { source: self.client, destination: self.server };
        match from {
            Side::Client => forward,
            Side::Server => forward.reversed(),
        }
    }
}

/// What a decoder returns of a frame.
#[derive(Clone, Copy, Debug)]
pub enum Observation {
    /// A segment, with the tuple of its direction.
    Segment(FourTuple, Segment, Extras),
    /// An ICMP error, with the tuple of the segment that it quotes.
    Icmp(FourTuple, IcmpError),
}

/// A sequence number as a scenario writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// From the sender's ISN.
    Relative(u32),
    /// As on the wire.
    Absolute(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TcpOption {
    MaximumSegmentSize(u16),
    WindowScale(u8),
    SackPermitted,
    Timestamps {
        value: u32,
        echo: u32,
    },
    /// Blocks relative to the peer's ISN.
    Sack(Vec<[u32; 2]>),
    NoOperation,
    End,
    FastOpen(Vec<u8>),
    Md5,
    Raw {
        kind: u8,
        body: Vec<u8>,
    },
}

/// What a segment line says about the packet and the frame around the segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) ttl: u8,
    /// `None` until the parser has numbered the packets of each sender.
    pub(super) ip_id: Option<u16>,
    pub(super) traffic_class: u8,
    pub(super) ip_length: Option<u16>,
    /// The tap recorded the frame twice.
    pub(super) duplicated: bool,
    pub(super) bad_checksum: bool,
    /// The TCP checksum is the sum of the pseudo-header, for the network card to finish.
    pub(super) offloaded_checksum: bool,
    /// Bytes of the frame that were captured.
    pub(super) cut: Option<u32>,
}

impl Scenario {
    /// Most frames that one scenario may have.
    pub const MAX_FRAMES: usize = 400_000;
    /// Most bytes of payload and raw frames that one scenario may have.
    pub const MAX_BYTES: usize = 256 << 20;

    /// Parses and expands the text of a scenario.
    ///
    /// # Errors
    ///
    /// The first place where the text is wrong.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let mut scenario = parse::scenario(text)?;
        scenario.number_packets();
        Ok(scenario)
    }

    /// What the scenario verifies: its first line.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Settings of the hosts that the analysis should be told, as `sysctl -a` names them.
    #[must_use]
    pub fn sysctls(&self) -> &[(String, String)] {
        &self.head.sysctls
    }

    /// The bytes of the capture file.
    #[must_use]
    pub fn compile(&self) -> Vec<u8> {
        render::compile(self)
    }

    /// How many connections the analysis may remember at once, where the text limits it.
    #[must_use]
    pub const fn limit(&self) -> Option<usize> {
        self.head.limit
    }

    /// The segments as a decoder of the compiled capture would return them, in its order.
    ///
    /// Raw frames are counted by the frame numbers and left out, and so are frames that were cut
    /// inside the first 20 bytes of the TCP header. Damage to the file has no effect here.
    pub fn segments(&self) -> impl Iterator<Item = (FourTuple, Segment, Extras)> + '_ {
        self.observations().filter_map(|observation| match observation {
            Observation::Segment(tuple, segment, extras) => Some((tuple, segment, extras)),
            Observation::Icmp(..) => None,
        })
    }

    /// The same with the ICMP errors that quote segments.
    pub fn observations(&self) -> impl Iterator<Item = Observation> + '_ {
        render::frames(self).filter_map(|frame| frame.observation)
    }

    /// The same with every client's and every server's ISN moved; sequence numbers that the text
    /// gives absolutely stay.
    #[must_use]
    pub fn with_isn_shift(mut self, client: u32, server: u32) -> Self {
        for flow in self.flows_mut() {
            flow.client_isn = flow.client_isn.plus(client);
            flow.server_isn = flow.server_isn.plus(server);
        }
        self
    }

    /// The same, earlier or later.
    #[must_use]
    pub fn with_time_shift(mut self, shift: Span) -> Self {
        self.head.start = self.head.start + shift;
        self
    }

    /// The same over IPv6: 10.0.0.1 becomes `2001:db8::a00:1`. Addresses keep their order.
    #[must_use]
    pub fn as_ipv6(mut self) -> Self {
        for event in &mut self.events {
            if let What::Icmp(icmp) = &mut event.what {
                icmp.reporter = to_ipv6(icmp.reporter);
            }
        }
        for flow in self.flows_mut() {
            flow.client.address = to_ipv6(flow.client.address);
            flow.server.address = to_ipv6(flow.server.address);
        }
        self
    }

    /// The same with each flow's client and server having exchanged addresses. Ports stay with
    /// their roles, since a missing SYN leaves nothing else to tell the roles by.
    #[must_use]
    pub fn sides_swapped(mut self) -> Self {
        for flow in self.flows_mut() {
            std::mem::swap(&mut flow.client.address, &mut flow.server.address);
        }
        self
    }

    /// The same as a pcapng file.
    #[must_use]
    pub fn as_pcapng(mut self) -> Self {
        self.head.format = Format::Pcapng;
        self
    }

    fn flows_mut(&mut self) -> impl Iterator<Item = &mut Flow> {
        self.events.iter_mut().filter_map(|event| match &mut event.what {
            What::Segment(segment) => Some(&mut segment.flow),
            What::Icmp(icmp) => Some(&mut icmp.flow),
            What::Frame(_) => None,
        })
    }

    /// Numbers the packets of each direction of each flow as Linux does: a SYN-ACK and a reset
    /// sent without a socket have 0, the others count.
    fn number_packets(&mut self) {
        let mut next: BTreeMap<[Endpoint; 2], u16> = BTreeMap::new();
        for event in &mut self.events {
            let What::Segment(segment) = &mut event.what else { continue };
            if segment.attributes.ip_id.is_some() {
                continue;
            }
            let without_socket = segment.flags.rst()
                && (!segment.flags.ack() || matches!(segment.seq, Position::Absolute(_)));
            let id = if without_socket || (segment.flags.syn() && segment.flags.ack()) {
                0
            } else {
                let tuple = segment.flow.tuple(segment.from);
                let counter = next.entry([tuple.source, tuple.destination]).or_insert(1);
                let id = *counter;
                *counter = counter.wrapping_add(1);
                id
            };
            segment.attributes.ip_id = Some(id);
        }
    }
}

fn to_ipv6(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            const DOCUMENTATION: u128 = 0x2001_0db8 << 96;
            let low = u128::from(Ipv4Addr::to_bits(address));
            IpAddr::V6(Ipv6Addr::from_bits(DOCUMENTATION | low))
        }
        IpAddr::V6(_) => address,
    }
}
