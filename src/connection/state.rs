//! The states of RFC 9293 3.3.2.

use std::fmt;

use crate::compact::compact;

/// A state of one endpoint, as RFC 9293 3.3.2 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// No connection.
    Closed,
    /// Waiting for a SYN.
    Listen,
    /// Sent a SYN, waiting for its acknowledgment.
    SynSent,
    /// Received a SYN and answered it.
    SynReceived,
    /// Data can flow both ways.
    Established,
    /// Sent a FIN, not yet acknowledged.
    FinWait1,
    /// The own FIN is acknowledged, the peer's has not come.
    FinWait2,
    /// The peer's FIN came, the own has not been sent.
    CloseWait,
    /// Both FINs crossed; the own is not yet acknowledged.
    Closing,
    /// Sent the FIN after the peer's, waiting for its acknowledgment.
    LastAck,
    /// Both FINs acknowledged; waiting for old segments to die.
    TimeWait,
}

compact!(
    enum State {
        Closed,
        Listen,
        SynSent,
        SynReceived,
        Established,
        FinWait1,
        FinWait2,
        CloseWait,
        Closing,
        LastAck,
        TimeWait,
    }
);

impl State {
    /// Every state, in the order in which RFC 9293 lists them.
    pub const ALL: [Self; 11] = [
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
        Self::Closed,
    ];

    /// The name as the RFC prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
