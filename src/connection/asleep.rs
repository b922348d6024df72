//! A connection in few bytes, for one that is silent: most never see another segment.

use super::Connection;
use crate::compact::Room;
use crate::tcp::TunnelLayer;

/// All that a connection knows, in about a fifth of the room.
#[derive(Debug)]
pub struct Asleep {
    bytes: Box<[u8]>,
    /// Kept apart: nearly always none, and made of names that are not copied.
    tunnels: Option<Box<Tunnels>>,
}

/// Those of the connection, and those around the other direction, if they differ.
type Tunnels = (Vec<TunnelLayer>, Option<Box<[TunnelLayer]>>);

impl Connection {
    /// Puts it to sleep, by way of `room`; none where that is too small. What is left here is of no
    /// use then.
    pub fn fall_asleep(&mut self, room: &mut Room) -> Option<Asleep> {
        let bytes = room.pack(self)?.into();
        let tunnels = (std::mem::take(&mut self.tunnel), self.other_tunnel.take());
        let is_bare = tunnels.0.is_empty() && tunnels.1.is_none();
        Some(Asleep { bytes, tunnels: (!is_bare).then(|| Box::new(tunnels)) })
    }
}

impl Asleep {
    /// The connection as it was, by way of `room`; none if the bytes are not those of one, which cannot
    /// be.
    #[must_use]
    pub fn wake(&self, room: &mut Room) -> Option<Box<Connection>> {
        let mut connection: Box<Connection> = room.unpack(&self.bytes)?;
        if let Some((tunnel, other_tunnel)) = self.tunnels.as_deref() {
            connection.tunnel.clone_from(tunnel);
            connection.other_tunnel.clone_from(other_tunnel);
        }
        Some(connection)
    }
}
