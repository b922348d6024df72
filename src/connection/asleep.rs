//! A connection in few bytes, for one that is silent: most never see another segment.

use super::Connection;
use crate::compact::Room;
use crate::tcp::TunnelLayer;

/// What is kept apart of a connection asleep: nearly always nothing, and made of names that are not
/// copied.
#[derive(Debug)]
pub struct Tunnels {
    tunnel: Vec<TunnelLayer>,
    /// Those around the other direction, if they differ.
    other_tunnel: Option<Box<[TunnelLayer]>>,
}

impl Connection {
    /// Puts it to sleep, in `room`: what has to be kept to wake it again, in about a sixth of the bytes.
    /// None where the room is too small. What is left here is of no use then.
    pub fn fall_asleep<'a>(
        &mut self,
        room: &'a mut Room,
    ) -> Option<(&'a [u8], Option<Box<Tunnels>>)> {
        let bytes = room.pack(self)?;
        let tunnel = std::mem::take(&mut self.tunnel);
        let other_tunnel = self.other_tunnel.take();
        let is_bare = tunnel.is_empty() && other_tunnel.is_none();
        Some((bytes, (!is_bare).then(|| Box::new(Tunnels { tunnel, other_tunnel }))))
    }

    /// The connection as it was, by way of `room`; none if the bytes are not those of one, which cannot
    /// be.
    #[must_use]
    pub fn wake(bytes: &[u8], tunnels: Option<&Tunnels>, room: &mut Room) -> Option<Box<Self>> {
        let mut connection: Box<Self> = room.unpack(bytes)?;
        if let Some(Tunnels { tunnel, other_tunnel }) = tunnels {
            connection.tunnel.clone_from(tunnel);
            connection.other_tunnel.clone_from(other_tunnel);
        }
        Some(connection)
    }
}
