//! The object `zeek` of a connection.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::super::zeek::uid;
use crate::compat::zeek::History;
use crate::connection::ConnectionRecord;

/// What Zeek would have logged of the connection, in the words of its conn.log.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Zeek")]
pub(super) struct ZeekDoc<'a> {
    /// The uid of its row in the conn.log that this program writes of the same capture.
    uid: String,
    /// Who the originator is; the letters of the history are in upper case for it.
    originator: &'static str,
    /// Zeek's verdict: S0, S1, SF, REJ, S2, S3, RSTO, RSTR, RSTOS0, RSTRH, SH, SHR or OTH.
    conn_state: &'static str,
    /// One letter for each kind of event: s SYN, h SYN-ACK, a pure ACK, d payload, f FIN, r RST,
    /// c bad checksum, g gap, t retransmitted payload, w window of zero, i FIN with RST, q SYN with
    /// FIN or RST, ^ roles exchanged.
    #[schemars(with = "String")]
    history: Letters<'a>,
    /// Payload bytes that were acknowledged and not captured, as Zeek counts them.
    missed_bytes: u64,
}

/// A history as a string.
#[derive(Debug)]
struct Letters<'a>(&'a History);

impl Serialize for Letters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

impl<'a> From<&'a ConnectionRecord> for ZeekDoc<'a> {
    fn from(record: &'a ConnectionRecord) -> Self {
        let columns = &record.zeek;
        let ConnectionRecord { client, server, .. } = *record;
        Self {
            uid: uid([client, server], columns.first, record.first_frame),
            originator: columns.originator_side(client, server).name(),
            conn_state: columns.conn_state.name(),
            history: Letters(&columns.history),
            missed_bytes: columns.missed_bytes,
        }
    }
}
