//! The timed states of one endpoint, and why each was entered.

use std::fmt;

use crate::compact::compact;

use super::State;
use crate::certainty::Certainty;
use crate::stamp::{FrameId, Time};
use crate::tcp::IcmpMeaning;

/// What moved an endpoint into a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The endpoint sent a SYN.
    SentSyn,
    /// The endpoint sent a SYN, and may have sent it before the capture began.
    SentSynAgain,
    /// A SYN arrived.
    ReceivedSyn,
    /// The endpoint sent a SYN-ACK whose SYN is not in the capture.
    SentSynAck,
    /// A SYN-ACK that acknowledges the endpoint's SYN arrived.
    ReceivedSynAck,
    /// The acknowledgment of the endpoint's SYN arrived.
    ReceivedAckOfSyn,
    /// The acknowledgment arrived that brings back a SYN cookie: the listener makes the socket.
    ReceivedCookie,
    /// The endpoint sent a segment that only an open connection sends.
    SentInConnection,
    /// The endpoint sent a FIN.
    SentFin,
    /// The application closed, and the FIN had to wait behind data.
    HeldFin,
    /// The peer's FIN arrived, with nothing missing before it.
    ReceivedFin,
    /// Data arrived that filled the gap before a FIN that had come early.
    ReceivedDataBeforeFin,
    /// The endpoint acknowledged the peer's FIN, whose arrival the capture does not show.
    SentAckOfFin,
    /// The acknowledgment of the endpoint's FIN arrived.
    ReceivedAckOfFin,
    /// The peer's FIN and the acknowledgment of the endpoint's own arrived, and nothing tells which came
    /// first: by way of FIN-WAIT-2 or of CLOSING.
    ReceivedFinAndAck,
    /// The endpoint sent a RST.
    SentRst,
    /// An acceptable RST arrived.
    ReceivedRst,
    /// The endpoint answered as only an endpoint without this connection does.
    ConnectionGone,
    /// The capture began while the connection was open.
    Midstream,
    /// TIME-WAIT ran out.
    TimeWaitExpired,
    /// The host held as many sockets in TIME-WAIT as it may, and closed this one at once.
    NoTimeWaitBucket,
    /// FIN-WAIT-2 of an orphaned socket ran out.
    FinWait2Expired,
    /// The half-open connection was given up after the last SYN-ACK retransmission.
    HalfOpenExpired,
    /// The client gave up after its last SYN retransmission.
    ConnectTimeout,
    /// A new connection took over the port pair.
    Reused,
    /// An ICMP error ended the attempt.
    IcmpError(IcmpMeaning),
}

compact!(
    enum Cause {
        SentSyn,
        SentSynAgain,
        ReceivedSyn,
        SentSynAck,
        ReceivedSynAck,
        ReceivedAckOfSyn,
        ReceivedCookie,
        SentInConnection,
        SentFin,
        HeldFin,
        ReceivedFin,
        ReceivedDataBeforeFin,
        SentAckOfFin,
        ReceivedAckOfFin,
        ReceivedFinAndAck,
        SentRst,
        ReceivedRst,
        ConnectionGone,
        Midstream,
        TimeWaitExpired,
        NoTimeWaitBucket,
        FinWait2Expired,
        HalfOpenExpired,
        ConnectTimeout,
        Reused,
        IcmpError(meaning),
    }
);

impl Cause {
    /// The cause in words, as reports print it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::SentSyn => "sent SYN",
            Self::SentSynAgain => "sent SYN, perhaps not for the first time",
            Self::ReceivedSyn => "received SYN",
            Self::SentSynAck => "sent SYN-ACK",
            Self::ReceivedSynAck => "received SYN-ACK",
            Self::ReceivedAckOfSyn => "received ACK of SYN-ACK",
            Self::ReceivedCookie => "received ACK of a SYN cookie",
            Self::SentInConnection => "sent a segment of an open connection",
            Self::SentFin => "sent FIN",
            Self::HeldFin => "closed, the FIN held back",
            Self::ReceivedFin => "received FIN",
            Self::ReceivedDataBeforeFin => "received data that completed the stream up to the FIN",
            Self::SentAckOfFin => "acknowledged the FIN",
            Self::ReceivedAckOfFin => "received ACK of FIN",
            Self::ReceivedFinAndAck => {
                "received FIN and ACK of FIN, in an order that nothing tells"
            }
            Self::SentRst => "sent RST",
            Self::ReceivedRst => "received RST",
            Self::ConnectionGone => "answered as without a connection",
            Self::Midstream => "capture began in mid-connection",
            Self::TimeWaitExpired => "TIME-WAIT timer expired",
            Self::NoTimeWaitBucket => "no TIME-WAIT bucket was free",
            Self::FinWait2Expired => "orphan FIN-WAIT-2 timer expired",
            Self::HalfOpenExpired => "SYN-ACK retransmissions exhausted",
            Self::ConnectTimeout => "SYN retransmissions exhausted",
            Self::Reused => "port pair reused by a new connection",
            Self::IcmpError(meaning) => meaning.received(),
        }
    }
}

/// One state of one endpoint, from `at` until the next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The state entered.
    pub state: State,
    /// When, by the capture's clock.
    pub at: Time,
    /// The frame that caused it; none for a timer.
    pub frame: Option<FrameId>,
    /// Why.
    pub cause: Cause,
    /// How sure this is.
    pub certainty: Certainty,
    /// The later frame that corrected the entry, where one did.
    pub corrected_by: Option<FrameId>,
}

compact!(struct Entry { state, at, frame, cause, certainty, corrected_by });

/// The cause as reports print it, with the correction.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.text())?;
        match self.corrected_by {
            Some(frame) => write!(f, "; corrected by frame {}", frame.number()),
            None => Ok(()),
        }
    }
}
