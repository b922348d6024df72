//! ICMP errors in a scenario: read from a line, and written as frames that quote a segment.

use std::net::IpAddr;

use super::cursor::{Cursor, ScenarioError};
use super::frame::{IpHeader, Link, fold, sum};
use super::scenario::Flow;
use crate::stamp::{FrameId, Time};
use crate::tcp::{FourTuple, IcmpError, Seq, Side};

/// Errors by name: type and code of ICMP, and of `ICMPv6` (RFC 792, RFC 1812 5.2.7, RFC 4443).
const NAMES: [(&str, [u8; 2], [u8; 2]); 7] = [
    ("net-unreachable", [3, 0], [1, 0]),
    ("host-unreachable", [3, 1], [1, 3]),
    ("port-unreachable", [3, 3], [1, 4]),
    ("packet-too-big", [3, 4], [2, 0]),
    ("prohibited", [3, 13], [1, 1]),
    ("time-exceeded", [11, 0], [3, 0]),
    ("source-quench", [4, 0], [4, 0]),
];

/// An error about a segment of `from`.
#[derive(Clone, Copy, Debug)]
pub(super) struct IcmpEvent {
    pub(super) flow: Flow,
    /// Who sent the quoted segment, and gets the error.
    pub(super) from: Side,
    /// From the sender's ISN.
    pub(super) seq: u32,
    pub(super) reporter: IpAddr,
    v4: [u8; 2],
    v6: [u8; 2],
    mtu: u16,
}

impl IcmpEvent {
    /// `> 0 host-unreachable from 10.0.0.254`, or with `mtu 1400` behind it.
    pub(super) fn parse(cursor: &mut Cursor<'_>, flow: Flow) -> Result<Self, ScenarioError> {
        let from = if cursor.take('>') {
            Side::Client
        } else {
            cursor.require('<')?;
            Side::Server
        };
        let seq = cursor.number("a sequence number")?;
        cursor.skip_blanks();
        let at = cursor.offset();
        let name = cursor.word();
        let Some((_, v4, v6)) = NAMES.into_iter().find(|(known, ..)| *known == name) else {
            let names: Vec<_> = NAMES.iter().map(|(name, ..)| *name).collect();
            let message = format!("`{name}` is none of the errors {}", names.join(", "));
            return Err(cursor.error_at(at, message));
        };
        cursor.require_word("from")?;
        cursor.skip_blanks();
        let at = cursor.offset();
        let token = cursor.token();
        let reporter: IpAddr = token
            .parse()
            .map_err(|_| cursor.error_at(at, format!("`{token}` is not an address")))?;
        if reporter.is_ipv4() != flow.client.address.is_ipv4() {
            return Err(cursor.error_at(at, "another address family than the flow's"));
        }
        let mtu = if cursor.take_word("mtu") { cursor.number("an MTU in bytes")? } else { 0 };
        cursor.require_end()?;
        Ok(Self { flow, from, seq, reporter, v4, v6, mtu })
    }

    /// The quoted segment's tuple, and the error as a decoder reads it.
    pub(super) fn error(&self, time: Time, frame: FrameId) -> (FourTuple, IcmpError) {
        let v6 = self.reporter.is_ipv6();
        let [kind, code] = if v6 { self.v6 } else { self.v4 };
        let error = IcmpError {
            time,
            frame,
            reporter: self.reporter,
            seq: Some(self.quoted_seq()),
            mtu: (self.mtu > 0).then_some(self.mtu.into()),
            v6,
            kind,
            code,
        };
        (self.flow.tuple(self.from), error)
    }

    /// Appends the frame to `out`.
    pub(super) fn write(&self, link: Link, out: &mut Vec<u8>) {
        let tuple = self.flow.tuple(self.from);
        let v6 = self.reporter.is_ipv6();
        let mut quote = Vec::new();
        let header = |source, destination, protocol| IpHeader {
            source,
            destination,
            protocol,
            id: 0,
            ttl: 64,
            traffic_class: 0,
            length: None,
        };
        header(tuple.source.address, tuple.destination.address, 6).push(20, &mut quote);
        quote.extend_from_slice(&tuple.source.port.to_be_bytes());
        quote.extend_from_slice(&tuple.destination.port.to_be_bytes());
        quote.extend_from_slice(&self.quoted_seq().0.to_be_bytes());
        let [kind, code] = if v6 { self.v6 } else { self.v4 };
        let mut message = vec![kind, code, 0, 0, 0, 0];
        message.extend_from_slice(&self.mtu.to_be_bytes());
        message.extend_from_slice(&quote);
        let around = header(self.reporter, tuple.source.address, if v6 { 58 } else { 1 });
        around.push_link(link, out);
        let pseudo = around.push(message.len(), out);
        // ICMPv6 sums a pseudo header (RFC 4443 2.3), ICMP does not.
        let pseudo = if v6 { pseudo + 58 + message.len() as u64 } else { 0 };
        let checksum = !fold(pseudo + sum(&message));
        if let Some(field) = message.get_mut(2..4) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
        out.extend_from_slice(&message);
    }

    fn quoted_seq(&self) -> Seq {
        self.flow.isn(self.from).plus(self.seq)
    }
}
