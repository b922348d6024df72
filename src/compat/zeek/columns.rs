//! What Zeek would have logged of a connection, as plain data.

use crate::compact::compact;

use super::{EndpointState, History};
use crate::stamp::{Span, Time};
use crate::tcp::{Endpoint, Side};

/// Zeek's verdict on how a connection was opened and closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnState {
    /// An attempt without an answer.
    S0,
    /// Established, not closed.
    S1,
    /// Established, closed by both.
    Sf,
    /// An attempt that was refused.
    Rej,
    /// Established, closed by the originator only.
    S2,
    /// Established, closed by the responder only.
    S3,
    /// Established, reset by the originator.
    Rsto,
    /// Reset by the responder.
    Rstr,
    /// A SYN and a RST of the originator, no SYN-ACK.
    Rstos0,
    /// A SYN-ACK and a RST of the responder, no SYN.
    Rstrh,
    /// A SYN and a FIN of the originator, no SYN-ACK.
    Sh,
    /// A SYN-ACK and a FIN of the responder, no SYN.
    Shr,
    /// Anything else: mostly traffic whose beginning was not captured.
    #[default]
    Oth,
}

impl ConnState {
    /// Every verdict, in the order of Zeek's documentation.
    pub const ALL: [Self; 13] = [
        Self::S0,
        Self::S1,
        Self::Sf,
        Self::Rej,
        Self::S2,
        Self::S3,
        Self::Rsto,
        Self::Rstr,
        Self::Rstos0,
        Self::Rstrh,
        Self::Sh,
        Self::Shr,
        Self::Oth,
    ];

    /// As Zeek writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::Sf => "SF",
            Self::Rej => "REJ",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::Rsto => "RSTO",
            Self::Rstr => "RSTR",
            Self::Rstos0 => "RSTOS0",
            Self::Rstrh => "RSTRH",
            Self::Sh => "SH",
            Self::Shr => "SHR",
            Self::Oth => "OTH",
        }
    }

    /// The verdict on the states of both endpoints. `is_silent` says that neither sent payload,
    /// `is_aborted_attempt` that the history begins with the originator's SYN and RST.
    pub(super) const fn of(
        originator: EndpointState,
        responder: EndpointState,
        is_silent: bool,
        is_aborted_attempt: bool,
    ) -> Self {
        use EndpointState as E;
        let originator_absent = matches!(originator, E::Inactive | E::Partial);
        let responder_absent = matches!(responder, E::Inactive | E::Partial);
        match (originator, responder) {
            (E::SynSent | E::SynAckSent, E::Reset) => Self::Rej,
            (E::Reset, E::Reset) if is_silent => Self::Rej,
            (E::Inactive | E::Partial, E::Reset) => Self::Rstrh,
            (E::Established | E::Closed | E::Reset, E::Reset) => Self::Rstr,
            (E::Reset, _) if !responder_absent => Self::Rsto,
            (E::Reset, _) if is_aborted_attempt => Self::Rstos0,
            (E::Reset, _) => Self::Oth,
            (E::Closed, E::Closed) => Self::Sf,
            (E::Closed, _) if responder_absent => Self::Sh,
            (E::Closed, _) => Self::S2,
            (_, E::Closed) if originator_absent => Self::Shr,
            (_, E::Closed) => Self::S3,
            (E::SynSent, E::Inactive) => Self::S0,
            (E::Established, E::Established) => Self::S1,
            (E::Inactive | E::SynSent | E::SynAckSent | E::Partial | E::Established, _) => {
                Self::Oth
            }
        }
    }
}

/// What one endpoint sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// IP packets.
    pub packets: u64,
    /// Bytes of IP packets.
    pub ip_bytes: u64,
    /// Payload, by the sequence numbers; set when the columns are made.
    pub payload_bytes: u64,
}

compact!(struct Counts { packets, ip_bytes, payload_bytes });

/// The columns of one row of conn.log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Whether the originator is the endpoint that sends forward through the flow's canonical
    /// tuple.
    pub originator_is_forward: bool,
    /// Time of the first segment.
    pub first: Time,
    /// Time of the last segment that counted.
    pub last: Time,
    /// Zeek's verdict.
    pub conn_state: ConnState,
    /// One letter for each kind of event.
    pub history: History,
    /// Payload that was acknowledged and not captured.
    pub missed_bytes: u64,
    /// What the originator sent.
    pub originator: Counts,
    /// What the responder sent.
    pub responder: Counts,
}

impl Columns {
    /// Which of a connection's sides the originator is.
    #[must_use]
    pub fn originator_side(&self, client: Endpoint, server: Endpoint) -> Side {
        // As in `FourTuple::canonical`.
        if self.originator_is_forward == (client <= server) { Side::Client } else { Side::Server }
    }

    /// How long the connection lasted, in the microseconds that Zeek knows; none where that is no
    /// time at all, and then Zeek writes no payload bytes either.
    #[must_use]
    pub fn duration(&self) -> Option<Span> {
        let micros = |time: Time| time.nanos().div_euclid(1_000);
        let duration = micros(self.last) - micros(self.first);
        (duration > 0).then(|| Span::from_micros(duration))
    }
}
