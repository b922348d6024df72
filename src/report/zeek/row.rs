//! One row of conn.log.

use std::io::Write as _;
use std::net::IpAddr;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::local::is_local;
use super::uid::{tunnel_uid, uid};
use crate::compat::zeek::{Columns, Counts};
use crate::flow::ZeekRow;
use crate::stamp::Span;
use crate::tcp::Endpoint;

/// What a row says, in Zeek's units.
#[derive(Debug)]
pub(super) struct Row<'a> {
    columns: &'a Columns,
    /// The first frame's time.
    micros: Micros,
    uid: String,
    originator: Endpoint,
    responder: Endpoint,
    duration: Option<Micros>,
    tunnel: Option<String>,
}

/// A time or a length of time, cut to what Zeek reads out of a capture.
#[derive(Clone, Copy, Debug)]
struct Micros(i64);

impl<'a> Row<'a> {
    pub(super) fn of(row: &'a ZeekRow) -> Self {
        let ZeekRow { tuple, columns, .. } = row;
        let plain =
            |endpoint: Endpoint| Endpoint { address: endpoint.address.to_canonical(), ..endpoint };
        Self {
            columns,
            micros: Micros(columns.first.nanos().div_euclid(1_000)),
            uid: uid([tuple.source, tuple.destination], columns.first, row.first_frame),
            originator: plain(tuple.source),
            responder: plain(tuple.destination),
            duration: columns.duration().map(Micros::from),
            tunnel: row.tunnel.last().map(tunnel_uid),
        }
    }

    /// Appends the row and the end of its line.
    pub(super) fn write_tsv(&self, buffer: &mut Vec<u8>) {
        let Self { columns, originator, responder, uid, .. } = self;
        let before = buffer.len();
        let written = write!(
            buffer,
            "{}\t{uid}\t{}\t{}\t{}\t{}\ttcp\t-\t",
            self.micros, originator.address, originator.port, responder.address, responder.port,
        )
        .and_then(|()| match self.duration {
            Some(duration) => write!(
                buffer,
                "{duration}\t{}\t{}\t",
                columns.originator.payload_bytes, columns.responder.payload_bytes
            ),
            None => write!(buffer, "-\t-\t-\t"),
        })
        .and_then(|()| {
            let letter = |address| if is_local(address) { 'T' } else { 'F' };
            write!(
                buffer,
                "{}\t{}\t{}\t{}\t",
                columns.conn_state.name(),
                letter(originator.address),
                letter(responder.address),
                columns.missed_bytes
            )
        });
        if columns.history.is_empty() {
            buffer.push(b'-');
        } else {
            buffer.extend(columns.history.letters());
        }
        let Counts { packets, ip_bytes, .. } = columns.originator;
        let answered = columns.responder;
        let written = written.and_then(|()| {
            let tunnel = self.tunnel.as_deref().unwrap_or("-");
            let (answers, answer_bytes) = (answered.packets, answered.ip_bytes);
            writeln!(buffer, "\t{packets}\t{ip_bytes}\t{answers}\t{answer_bytes}\t{tunnel}")
        });
        // Memory takes everything.
        if written.is_err() {
            buffer.truncate(before);
        }
    }
}

/// The keys and their order are Zeek's; what is unset is left out.
impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { columns, originator, responder, .. } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ts", &self.micros.seconds())?;
        map.serialize_entry("uid", &self.uid)?;
        for (address, port, endpoint) in
            [("id.orig_h", "id.orig_p", originator), ("id.resp_h", "id.resp_p", responder)]
        {
            map.serialize_entry(address, &endpoint.address)?;
            map.serialize_entry(port, &endpoint.port)?;
        }
        map.serialize_entry("proto", "tcp")?;
        if let Some(duration) = self.duration {
            map.serialize_entry("duration", &duration.seconds())?;
            map.serialize_entry("orig_bytes", &columns.originator.payload_bytes)?;
            map.serialize_entry("resp_bytes", &columns.responder.payload_bytes)?;
        }
        map.serialize_entry("conn_state", columns.conn_state.name())?;
        let local = |address: IpAddr| is_local(address);
        map.serialize_entry("local_orig", &local(originator.address))?;
        map.serialize_entry("local_resp", &local(responder.address))?;
        map.serialize_entry("missed_bytes", &columns.missed_bytes)?;
        if !columns.history.is_empty() {
            map.serialize_entry("history", &columns.history.to_string())?;
        }
        map.serialize_entry("orig_pkts", &columns.originator.packets)?;
        map.serialize_entry("orig_ip_bytes", &columns.originator.ip_bytes)?;
        map.serialize_entry("resp_pkts", &columns.responder.packets)?;
        map.serialize_entry("resp_ip_bytes", &columns.responder.ip_bytes)?;
        if let Some(tunnel) = &self.tunnel {
            map.serialize_entry("tunnel_parents", &[tunnel])?;
        }
        map.end()
    }
}

impl Micros {
    /// As the floating-point number that Zeek's JSON has.
    #[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
    fn seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl From<Span> for Micros {
    fn from(span: Span) -> Self {
        Self(span.nanos().div_euclid(1_000))
    }
}

/// Seconds with six decimals.
impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}
