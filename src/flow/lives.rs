//! A shard's connections with all their state: awake, or asleep in few bytes.
//!
//! What is needed of all of them to find them and to let them go lies close together. Sleep leaves
//! no trace in what is told of a connection.

use std::num::NonZeroU64;

use super::shelf::{Shelf, Spot};
use super::slab::Slab;
use super::table::Key;
use crate::connection::{Connection, Room, Tunnels};
use crate::near;
use crate::stamp::Time;

/// The connections of a shard.
#[derive(Debug)]
pub(super) struct Lives {
    all: Slab<Member>,
    /// How many are awake.
    awake: usize,
    /// Where those that sleep lie.
    shelf: Shelf,
    /// Where connections are put into few bytes; made for the first one.
    room: Option<Room>,
    /// Where connections lay that fell asleep last.
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    spare: Vec<Box<Connection>>,
    /// The place that is looked at next for a silent connection.
    hand: u32,
}

#[derive(Debug)]
struct Member {
    live: Live,
    body: Body,
}

/// What is at hand of a connection, even if it sleeps.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: u64,
    pub(super) key: Key,
    /// When it leaves if nothing else comes; never before the clock at its last segment.
    pub(super) due: Time,
    /// The earliest timer set for it.
    pub(super) armed: Time,
    /// Its place among those that are over, if it is one of them.
    pub(super) ticket: Option<NonZeroU64>,
    /// A segment came since eviction was last considered.
    pub(super) touched: bool,
}

#[derive(Debug)]
enum Body {
    Awake(Box<Connection>),
    Asleep(Spot, Option<Box<Tunnels>>),
}

impl Lives {
    /// So many connections asleep take the room of one that is awake, about.
    pub(super) const FOR_ONE: u32 = 4;

    /// Bytes of a connection's own state, without what it points to.
    pub(super) const SIZE: usize = size_of::<Option<Member>>() + size_of::<Connection>();

    /// Places that are kept for new connections.
    const SPARE: usize = 8;

    pub(super) fn new() -> Self {
        Self {
            all: Slab::new(),
            awake: 0,
            shelf: Shelf::default(),
            room: None,
            spare: Vec::new(),
            hand: 0,
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    /// How many of them are awake.
    pub(super) const fn awake(&self) -> usize {
        self.awake
    }

    /// How many of those that are awake would take as much room as all of them do.
    pub(super) const fn weight(&self) -> usize {
        self.awake + (self.len() - self.awake).div_ceil(Self::FOR_ONE as usize)
    }

    /// Adds one, awake and without a deadline.
    pub(super) fn insert(&mut self, connection: Box<Connection>, id: u64, key: Key) -> u32 {
        let (due, armed, ticket, touched) = (Time::MAX, Time::MAX, None, false);
        self.awake += 1;
        self.all.insert(Member {
            live: Live { id, key, due, armed, ticket, touched },
            body: Body::Awake(connection),
        })
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Live> {
        self.all.get(index).map(|member| &member.live)
    }

    /// Asks the memory for what is at hand of a connection.
    #[inline]
    pub(super) fn prefetch(&self, index: u32) {
        self.all.prefetch(index);
    }

    /// Asks the memory for what is not at hand of it.
    pub(super) fn prefetch_body(&self, index: u32) {
        match self.all.get(index).map(|member| &member.body) {
            Some(Body::Awake(connection)) => connection.prefetch(),
            Some(Body::Asleep(spot, _)) => near::slice(self.shelf.get(*spot)),
            None => {}
        }
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Live> {
        self.all.get_mut(index).map(|member| &mut member.live)
    }

    /// All of them, in the order of their indexes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Live)> {
        self.all.iter().map(|(index, member)| (index, &member.live))
    }

    /// One that is awake.
    #[inline]
    pub(super) fn at_hand(&self, index: u32) -> Option<&Connection> {
        match &self.all.get(index)?.body {
            Body::Awake(connection) => Some(connection),
            Body::Asleep(..) => None,
        }
    }

    /// One that is awake, to be changed.
    #[inline]
    pub(super) fn at_hand_mut(&mut self, index: u32) -> Option<(&mut Live, &mut Connection)> {
        match self.all.get_mut(index)? {
            Member { live, body: Body::Awake(connection) } => Some((live, connection)),
            Member { body: Body::Asleep(..), .. } => None,
        }
    }

    /// One of them, which wakes if it slept.
    #[inline]
    pub(super) fn wake(&mut self, index: u32) -> Option<(&mut Live, &mut Connection)> {
        if let Body::Asleep(spot, tunnels) = &self.all.get(index)?.body {
            let spot = *spot;
            let room = self.room.get_or_insert_default();
            let awake = Connection::wake(self.shelf.get(spot), tunnels.as_deref(), room)?;
            self.all.get_mut(index)?.body = Body::Awake(awake);
            self.awake += 1;
            self.leave(spot);
        }
        self.at_hand_mut(index)
    }

    /// What `look` sees of one of them, which goes on sleeping if it slept.
    pub(super) fn look<T>(&self, index: u32, look: impl FnOnce(&Connection) -> T) -> Option<T> {
        match &self.all.get(index)?.body {
            Body::Awake(connection) => Some(look(connection)),
            Body::Asleep(spot, tunnels) => {
                let bytes = self.shelf.get(*spot);
                Connection::wake(bytes, tunnels.as_deref(), &mut Room::new()).as_deref().map(look)
            }
        }
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, index: u32) -> Option<(Live, Box<Connection>)> {
        let Member { live, body } = self.all.remove(index)?;
        match body {
            Body::Awake(connection) => {
                self.awake -= 1;
                Some((live, connection))
            }
            Body::Asleep(spot, tunnels) => {
                let room = self.room.get_or_insert_default();
                let awake = Connection::wake(self.shelf.get(spot), tunnels.as_deref(), room);
                self.leave(spot);
                Some((live, awake?))
            }
        }
    }

    /// Puts one to sleep.
    pub(super) fn put_to_sleep(&mut self, index: u32) {
        let room = self.room.get_or_insert_default();
        if let Some(Member { body, .. }) = self.all.get_mut(index)
            && let Body::Awake(connection) = body
            && let Some((bytes, tunnels)) = connection.fall_asleep(room)
            && let Some(spot) = self.shelf.put(index, bytes)
        {
            self.awake -= 1;
            if let Body::Awake(place) = std::mem::replace(body, Body::Asleep(spot, tunnels))
                && self.spare.len() < Self::SPARE
            {
                self.spare.push(place);
            }
        }
    }

    /// Clears what one that slept has left, and moves those that are left with few beside them.
    fn leave(&mut self, spot: Spot) {
        let Some(page) = self.shelf.take(spot) else { return };
        for (owner, spot) in self.shelf.owners(page) {
            if let Some(Member { body: Body::Asleep(at, _), .. }) = self.all.get_mut(owner)
                && *at == spot
                && let Some(moved) = self.shelf.move_on(owner, spot)
            {
                *at = moved;
            }
        }
    }

    /// A place for a new connection: what lies there is of no use.
    ///
    /// Perf: a place that was just left is in the core's cache, which what the allocator gives is not.
    pub(super) fn spare(&mut self) -> Option<Box<Connection>> {
        self.spare.pop()
    }

    /// Looks at the next one, and puts it to sleep if nothing came since `before`.
    pub(super) fn turn_hand(&mut self, before: Time) {
        self.hand = if self.hand < self.all.places() { self.hand } else { 0 };
        if self.at_hand(self.hand).is_some_and(|connection| connection.last_seen() < before) {
            self.put_to_sleep(self.hand);
        }
        self.hand += 1;
    }
}
