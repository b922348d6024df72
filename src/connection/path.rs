//! How far each side is from the tap, and whether the way there is one on which segments are lost.

use super::Connection;
use super::attempts::Attempts;
use super::endpoint::Endpoint;
use super::opening::Opening;
use crate::stamp::Span;
use crate::tcp::{Side, Sides};

/// The longest path that is to be reckoned with where nothing shows how long it is.
pub(super) const ANY_PATH: Span = Span::from_millis(200);

/// A tap that sees answers sooner than this is at their sender: what it sees reaches that.
pub(crate) const NEAR: Span = Span::from_millis(1);

/// What a sender that answers sooner than this has in flight, shows at the tap, and in segments larger
/// than those of the wire.
pub(super) const BESIDE: Span = Span::from_micros(100);

/// A side that answers sooner than this is at the tap.
const AT_TAP: Span = Span::from_micros(150);

/// Times from the tap to a side and back, as the handshake showed them; zero where unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Legs {
    /// To the sender.
    pub(super) own: Span,
    /// To the receiver.
    pub(super) peer: Span,
}

impl Legs {
    /// For what `from` sends.
    pub(super) fn of(opening: &Opening, from: Side) -> Self {
        let (client, server) = (opening.client_rtt, opening.server_rtt);
        let (own, peer) = match from {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        Self { own: own.unwrap_or(Span::ZERO), peer: peer.unwrap_or(Span::ZERO) }
    }
}

impl Connection {
    /// The shortest time that an answer of `side` took to come back to the tap; zero where unknown.
    pub(super) fn answer_time(&self, side: Side) -> Span {
        self.path(side).unwrap_or(Span::ZERO)
    }

    /// The same, none where unknown.
    pub(super) fn path(&self, side: Side) -> Option<Span> {
        let sending = self.sides.of(side.peer()).stream.sending.as_ref();
        let shortest = sending.and_then(|sending| sending.rtt.min());
        let at_opening = match side {
            Side::Client => self.opening.client_rtt,
            Side::Server => self.opening.server_rtt,
        };
        match (shortest, at_opening) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Whether `side` is where the tap is, as its quick answers show: what passes comes, and in that order.
    pub(super) fn is_beside(&self, side: Side) -> bool {
        self.path(side).is_some_and(|path| path < BESIDE)
    }

    /// Whether what the tap sees reaches `side`, as its quick answers show.
    pub(super) fn is_near(&self, side: Side) -> bool {
        self.path(side).is_some_and(|path| path < NEAR)
    }

    /// Whether `side` is so far from the tap that what is lost on the way is not seen here, and there
    /// is loss.
    pub(super) fn is_lossy_beyond_tap(&self, side: Side) -> bool {
        let troubled = |side: &Endpoint| side.stream.repair.is_some() || side.fin_repeats > 0;
        self.answer_time(side) > AT_TAP
            && (self.repeats_handshake()
                || troubled(&self.sides.client)
                || troubled(&self.sides.server))
    }

    /// Whether anything but a FIN was sent again.
    pub(super) fn repeats_more_than_fins(&self) -> bool {
        let repeats =
            |side: &Endpoint| side.stream.repair.as_ref().is_some_and(|it| it.segments > 0);
        self.repeats_handshake() || repeats(&self.sides.client) || repeats(&self.sides.server)
    }

    fn repeats_handshake(&self) -> bool {
        let repeats = |it: &Sides<Attempts>| it.client.repeated() + it.server.repeated() > 0;
        repeats(&self.opening.syns) || repeats(&self.opening.syn_acks)
    }
}
