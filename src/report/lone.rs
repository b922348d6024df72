//! What the line of a SYN that nothing followed says of it alone, value by value, as the line has it.
//!
//! Lines of SYNs that look the same are equal but for these.

use super::community_id::community_id;
use super::value::{Frame, Peer, Stamp};
use super::writer::put;
use super::zeek::uid;
use crate::connection::LoneValue;

/// The values: each is put where a room begins, and says how long it is, if the room is large enough.
pub const LONE_VALUES: &[LoneValue] = &[
    |syn, room| put(&syn.id, room),
    |syn, room| put(&community_id(syn.client, syn.server), room),
    |syn, room| put(&Peer::from(syn.client), room),
    |syn, room| put(&Peer::from(syn.server), room),
    |syn, room| put(&Stamp(syn.mark.time), room),
    |syn, room| put(&Frame::from(syn.mark.frame), room),
    |syn, room| put(&Stamp(syn.known_until), room),
    |syn, room| put(&Stamp(syn.gives_up), room),
    |syn, room| put(&syn.ip_bytes, room),
    |syn, room| put(&uid([syn.client, syn.server], syn.mark.time, syn.mark.frame), room),
];
