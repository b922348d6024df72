//! What a connection inherits from the one that had its port pair before: a TIME-WAIT that had run
//! out by the host's timer, and may not have; or one that its SYN ended.
//!
//! A peer that is in TIME-WAIT all the same answers the new SYN with the acknowledgment of the old
//! connection (RFC 9293 3.10.7.4), and the new one cannot open.

use crate::compact::compact;

use super::{Cause, ConnectionRecord, Mark, State};
use crate::settings::Settings;
use crate::stamp::Time;
use crate::tcp::{Endpoint, Side};

/// The TIME-WAIT of the connection before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWaitBefore {
    /// Who was in it.
    pub endpoint: Endpoint,
    /// When it was entered.
    pub entered: Time,
    /// When its timer ran out, or the SYN came that ended it.
    pub expired: Time,
    /// The new connection's SYN ended it.
    pub recycled: bool,
}

compact!(struct TimeWaitBefore { endpoint, entered, expired, recycled });

impl TimeWaitBefore {
    /// That of `record`; the server's where both have one. One that a SYN ended matters only to a
    /// server that may bake SYN cookies: for that one it does not.
    #[must_use]
    pub fn of(record: &ConnectionRecord, settings: &Settings) -> Option<Self> {
        let of = |side| {
            let entries = record.states.of(side);
            let (last, before) = entries.split_last()?;
            let entered = before.last().filter(|entry| entry.state == State::TimeWait)?;
            let bakes = settings.of(record.endpoint(side).address).syncookies > Some(0);
            let recycled = last.cause == Cause::Reused;
            ((recycled && bakes) || last.cause == Cause::TimeWaitExpired).then_some(Self {
                endpoint: record.endpoint(side),
                entered: entered.at,
                expired: last.at,
                recycled,
            })
        };
        of(Side::Server).or_else(|| of(Side::Client).filter(|it| !it.recycled))
    }
}

/// An attempt to connect that the socket of the connection before turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// What still held the port pair.
    pub by: TimeWaitBefore,
    /// Its answer to the SYN.
    pub answer: Mark,
}

compact!(struct Blocked { by, answer });
