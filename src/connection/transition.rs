//! The transition table: RFC 9293 as one exhaustive match.
//!
//! State by state, in the order of a life: "what does a FIN do in SYN-RECEIVED?" is answered under
//! `---- SYN-RECEIVED ----`, in the arm with `ReceiveFin`.
//!
//! Pure and without memory. What counts as "the acknowledgment of the FIN arrived" or "an
//! acceptable RST arrived" is decided by the rest of [`connection`](super); here stands only what
//! follows from it. `docs/transitions.md` is printed from this table.

use super::State;
use State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived,
    SynSent, TimeWait,
};

/// What happens to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It sends a SYN without ACK.
    SendSyn,
    /// A SYN without ACK reaches it, and it accepts it.
    ReceiveSyn,
    /// A SYN-ACK that acknowledges its SYN reaches it.
    ReceiveSynAck,
    /// An acknowledgment of its SYN reaches it (any segment but a SYN-ACK).
    ReceiveAckOfSyn,
    /// An acknowledgment that brings back a SYN cookie reaches its listener.
    ReceiveCookie,
    /// It sends a FIN.
    SendFin,
    /// The peer's FIN reaches it, and nothing before the FIN is missing.
    ReceiveFin,
    /// An acknowledgment of its FIN reaches it.
    ReceiveAckOfFin,
    /// It sends a RST that ends its connection.
    SendRst,
    /// A RST that it accepts reaches it.
    ReceiveRst,
    /// An ICMP error about what it sent reaches it, and it takes it for the end.
    ReceiveIcmpError,
    /// The timer of its state runs out: retransmissions, the orphan's FIN-WAIT-2, 2 MSL.
    TimerExpires,
}

impl Event {
    /// Every event, in the order of the printed table.
    pub const ALL: [Self; 12] = [
        Self::SendSyn,
        Self::ReceiveSyn,
        Self::ReceiveSynAck,
        Self::ReceiveAckOfSyn,
        Self::ReceiveCookie,
        Self::SendFin,
        Self::ReceiveFin,
        Self::ReceiveAckOfFin,
        Self::SendRst,
        Self::ReceiveRst,
        Self::ReceiveIcmpError,
        Self::TimerExpires,
    ];

    /// The event in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendSyn => "sends SYN",
            Self::ReceiveSyn => "receives SYN",
            Self::ReceiveSynAck => "receives SYN-ACK",
            Self::ReceiveAckOfSyn => "receives ACK of SYN",
            Self::ReceiveCookie => "receives SYN cookie",
            Self::SendFin => "sends FIN",
            Self::ReceiveFin => "receives FIN",
            Self::ReceiveAckOfFin => "receives ACK of FIN",
            Self::SendRst => "sends RST",
            Self::ReceiveRst => "receives RST",
            Self::ReceiveIcmpError => "receives ICMP error",
            Self::TimerExpires => "timer expires",
        }
    }
}

/// The state after `event`, or none where the event changes nothing.
///
/// A segment that carries several events (ACK, data, FIN) brings them one after the other in the
/// order of RFC 9293 3.10.7.4: RST, SYN, ACK, FIN.
#[must_use]
#[expect(
    clippy::match_same_arms,
    reason = "one table, in the order of the states, each cell with its section of the RFC"
)]
pub const fn next(state: State, event: Event) -> Option<State> {
    match (state, event) {
        // ---- CLOSED and LISTEN ----
        // OPEN from CLOSED sends a SYN and enters SYN-SENT (3.10.1). So does SEND or an active OPEN
        // in LISTEN (3.10.1, 3.10.2).
        (Closed | Listen, Event::SendSyn) => Some(SynSent),
        // A SYN to a listener is answered with SYN-ACK (3.10.7.2, third); so is a late copy of one whose
        // connection has closed.
        (Closed | Listen, Event::ReceiveSyn) => Some(SynReceived),
        // A listener that answers with SYN cookies has no socket before the acknowledgment comes
        // (RFC 4987 3.6), and one that comes late makes another.
        (Closed | Listen, Event::ReceiveCookie) => Some(Established),
        // A RST from where no connection was proven: the port is closed (3.10.7.1).
        (Listen, Event::SendRst) => Some(Closed),
        // Without a connection everything else changes nothing: segments are answered with RST, or
        // dropped (3.10.7.1, 3.10.7.2).
        (Closed, Event::SendRst)
        | (
            Closed | Listen,
            Event::ReceiveSynAck
            | Event::ReceiveAckOfSyn
            | Event::SendFin
            | Event::ReceiveFin
            | Event::ReceiveAckOfFin
            | Event::ReceiveRst
            | Event::ReceiveIcmpError
            | Event::TimerExpires,
        ) => None,

        // ---- SYN-SENT ----
        // The SYN is acknowledged, and the peer's SYN came with it (3.10.7.3, fourth).
        (SynSent, Event::ReceiveSynAck) => Some(Established),
        // The SYNs cross: simultaneous open (3.10.7.3, fourth; 3.5, figure 7).
        (SynSent, Event::ReceiveSyn) => Some(SynReceived),
        // Refused (3.10.7.3, second), aborted (3.10.5), given up after the last retry (3.8.3), or
        // told by ICMP that nobody can be reached (3.9.2.2; RFC 5461 4.1).
        (
            SynSent,
            Event::ReceiveRst | Event::SendRst | Event::ReceiveIcmpError | Event::TimerExpires,
        ) => Some(Closed),
        // A SYN again is a retransmission; an acknowledgment without SYN, or a FIN, is dropped in
        // SYN-SENT (3.10.7.3, fifth); nothing can be closed gracefully yet (3.10.4).
        (
            SynSent,
            Event::SendSyn
            | Event::ReceiveAckOfSyn
            | Event::ReceiveCookie
            | Event::SendFin
            | Event::ReceiveFin
            | Event::ReceiveAckOfFin,
        ) => None,

        // ---- SYN-RECEIVED ----
        // The third segment of the handshake (3.10.7.4, fifth); in a simultaneous open it is the
        // peer's SYN-ACK.
        (SynReceived, Event::ReceiveAckOfSyn | Event::ReceiveSynAck) => Some(Established),
        // CLOSE before the handshake is complete (3.10.4).
        (SynReceived, Event::SendFin) => Some(FinWait1),
        // A FIN in SYN-RECEIVED is treated as in ESTABLISHED (3.10.7.4, eighth).
        (SynReceived, Event::ReceiveFin) => Some(CloseWait),
        // Reset (3.10.7.4, second; a passive open returns to LISTEN, which is another socket),
        // aborted (3.10.5), given up after the last SYN-ACK (3.8.3), or the SYN-ACK came back in an
        // ICMP error (3.9.2.2).
        (
            SynReceived,
            Event::ReceiveRst | Event::SendRst | Event::ReceiveIcmpError | Event::TimerExpires,
        ) => Some(Closed),
        // A SYN again is answered with the SYN-ACK again (3.10.7.4, fourth).
        (
            SynReceived,
            Event::SendSyn | Event::ReceiveSyn | Event::ReceiveCookie | Event::ReceiveAckOfFin,
        ) => None,

        // ---- ESTABLISHED ----
        // CLOSE by the active closer (3.10.4).
        (Established, Event::SendFin) => Some(FinWait1),
        // The peer closes first (3.10.7.4, eighth).
        (Established, Event::ReceiveFin) => Some(CloseWait),
        // Reset by either side, or nobody answers any more (3.10.7.4, second; 3.10.5; 3.8.3).
        (Established, Event::ReceiveRst | Event::SendRst | Event::TimerExpires) => Some(Closed),
        (Established, Event::ReceiveAckOfFin) => None,

        // ---- FIN-WAIT-1 ----
        // The own FIN is acknowledged, the peer's is still to come (3.10.7.4, fifth).
        (FinWait1, Event::ReceiveAckOfFin) => Some(FinWait2),
        // The FINs cross: simultaneous close (3.10.7.4, eighth; 3.6, figure 13).
        (FinWait1, Event::ReceiveFin) => Some(Closing),
        // Reset by either side, or nobody acknowledges the FIN.
        (FinWait1, Event::ReceiveRst | Event::SendRst | Event::TimerExpires) => Some(Closed),
        (FinWait1, Event::SendFin) => None,

        // ---- FIN-WAIT-2 ----
        // The peer closes as well (3.10.7.4, eighth).
        (FinWait2, Event::ReceiveFin) => Some(TimeWait),
        // Reset, or the orphan's FIN-WAIT-2 ran out (Linux tcp_fin_timeout).
        (FinWait2, Event::ReceiveRst | Event::SendRst | Event::TimerExpires) => Some(Closed),
        (FinWait2, Event::SendFin | Event::ReceiveAckOfFin) => None,

        // ---- CLOSE-WAIT ----
        // CLOSE by the passive closer (3.10.4).
        (CloseWait, Event::SendFin) => Some(LastAck),
        // Reset by either side, or nobody answers any more.
        (CloseWait, Event::ReceiveRst | Event::SendRst | Event::TimerExpires) => Some(Closed),
        // A repeated FIN leaves CLOSE-WAIT as it is (3.10.7.4, eighth).
        (CloseWait, Event::ReceiveFin | Event::ReceiveAckOfFin) => None,

        // ---- CLOSING ----
        // The own FIN is acknowledged after the FINs had crossed (3.10.7.4, fifth).
        (Closing, Event::ReceiveAckOfFin) => Some(TimeWait),
        // Reset by either side, or nobody acknowledges the FIN.
        (Closing, Event::ReceiveRst | Event::SendRst | Event::TimerExpires) => Some(Closed),
        (Closing, Event::SendFin | Event::ReceiveFin) => None,

        // ---- LAST-ACK ----
        // The last acknowledgment (3.10.7.4, fifth), a reset, or nobody answers any more.
        (
            LastAck,
            Event::ReceiveAckOfFin | Event::ReceiveRst | Event::SendRst | Event::TimerExpires,
        ) => Some(Closed),
        (LastAck, Event::SendFin | Event::ReceiveFin) => None,

        // ---- TIME-WAIT ----
        // 2 MSL are over (3.10.8), or a RST ends it early (3.10.7.4, second; the danger is that of
        // RFC 1337).
        (TimeWait, Event::TimerExpires | Event::ReceiveRst | Event::SendRst) => Some(Closed),
        // A repeated FIN only restarts the timer (3.10.7.4, eighth).
        (TimeWait, Event::SendFin | Event::ReceiveFin | Event::ReceiveAckOfFin) => None,

        // ---- every synchronized state ----
        // What belongs to the opening is over: a SYN is answered with a challenge ACK (3.10.7.4,
        // fourth). ICMP errors are remembered at most, since anybody can forge them (RFC 5927 5.2);
        // the retransmission timer decides.
        (
            Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck | TimeWait,
            Event::SendSyn
            | Event::ReceiveSyn
            | Event::ReceiveSynAck
            | Event::ReceiveAckOfSyn
            | Event::ReceiveCookie
            | Event::ReceiveIcmpError,
        ) => None,
    }
}

/// The table as Markdown, and as a diagram of states, for `docs/transitions.md`.
#[must_use]
pub fn as_markdown() -> String {
    let mut text = String::from(
        "# The transition table\n\n\
         Printed from `src/connection/transition.rs`, where each cell is explained with its section\n\
         of RFC 9293; a test fails when this page is stale. An empty cell: the event changes\n\
         nothing. ABORT and the SYN that ends TIME-WAIT by opening a new connection are described\n\
         in `docs/states.md`.\n\n| state |",
    );
    for event in Event::ALL {
        text.push(' ');
        text.push_str(event.name());
        text.push_str(" |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Event::ALL.len()));
    for state in State::ALL {
        text.push_str("\n| ");
        text.push_str(state.name());
        text.push_str(" |");
        for event in Event::ALL {
            text.push(' ');
            text.push_str(next(state, event).map_or("", State::name));
            text.push_str(" |");
        }
    }
    text.push_str("\n\n```mermaid\nstateDiagram-v2\n");
    for state in State::ALL {
        text += &["    ", &format!("{state:?}"), " : ", state.name(), "\n"].concat();
    }
    for from in State::ALL {
        for to in State::ALL {
            let leads = |event: &Event| next(from, *event) == Some(to);
            let events: Vec<_> = Event::ALL.into_iter().filter(leads).map(Event::name).collect();
            if !events.is_empty() {
                text += &["    ", &format!("{from:?} --> {to:?}"), " : ", &events.join(", "), "\n"]
                    .concat();
            }
        }
    }
    text.push_str("```\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(from: State, events: &[Event]) -> Vec<State> {
        events
            .iter()
            .scan(from, |state, event| {
                *state = next(*state, *event)?;
                Some(*state)
            })
            .collect()
    }

    #[test]
    fn the_active_closer_ends_in_time_wait() {
        let events = [
            Event::SendSyn,
            Event::ReceiveSynAck,
            Event::SendFin,
            Event::ReceiveAckOfFin,
            Event::ReceiveFin,
            Event::TimerExpires,
        ];
        assert_eq!(
            walk(Closed, &events),
            [SynSent, Established, FinWait1, FinWait2, TimeWait, Closed]
        );
    }

    #[test]
    fn the_passive_closer_skips_time_wait() {
        let events = [
            Event::ReceiveSyn,
            Event::ReceiveAckOfSyn,
            Event::ReceiveFin,
            Event::SendFin,
            Event::ReceiveAckOfFin,
        ];
        assert_eq!(walk(Listen, &events), [SynReceived, Established, CloseWait, LastAck, Closed]);
    }

    #[test]
    fn crossing_fins_pass_through_closing() {
        let events = [Event::SendFin, Event::ReceiveFin, Event::ReceiveAckOfFin];
        assert_eq!(walk(Established, &events), [FinWait1, Closing, TimeWait]);
    }

    #[test]
    fn no_state_but_closed_survives_a_reset() {
        for state in State::ALL {
            let expected = match state {
                Closed | Listen => None,
                _ => Some(Closed),
            };
            assert_eq!(next(state, Event::ReceiveRst), expected, "{state}");
        }
    }
}
