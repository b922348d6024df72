//! Packets rebuilt from IP fragments.
//!
//! Needs history, so it runs serially, in the order of the frames and on the capture clock.
//! Fragments are what an attacker sends to confuse an observer, hence: a bound on packets, on
//! pieces and on bytes; overlapping pieces must agree in every byte they share (RFC 5722 and
//! Linux drop even those that agree; taps that see a frame twice make that too strict here), and a
//! packet with a contradiction is given up whole.

mod pieces;
#[cfg(test)]
mod tests;

use super::fragment::Fragment;
use super::ip::{beyond_extensions, protocol};
use super::{Captured, Decoded, Outcome, Settings, Skip, SkipCounts, Walk, settle};
use crate::stamp::{FrameId, Span, Time};
use crate::tcp::{Marks, TunnelLayer};
use pieces::Pieces;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How long a packet may stay incomplete: Linux's `net.ipv4.ipfrag_time` (RFC 8200 4.5: 60 s).
pub const EXPIRY: Span = Span::from_secs(30);
/// Incomplete packets held at once; the oldest leaves first.
const MAX_PACKETS: usize = 4_096;
/// Bytes held at once, for all packets together; the oldest leaves first.
const MAX_BYTES: usize = 16 << 20;

/// Rebuilds packets from the fragments that [`decode`](super::decode) found.
#[derive(Debug, Default)]
pub struct Reassembler {
    packets: BTreeMap<Key, Incomplete>,
    /// The packets by age: their numbers rise with the time of their first fragment.
    by_age: BTreeMap<u64, Key>,
    next_number: u64,
    bytes: usize,
    /// The capture clock: the highest time seen.
    clock: Option<Time>,
    /// Fragments that are counted for good, by index of their file.
    skipped: BTreeMap<u32, SkipCounts>,
}

/// What became of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Kept, or given up; it is or will be counted in [`Reassembler::skipped`].
    Held,
    /// The packet is complete: what it held (never a fragment), as if this frame had carried it
    /// whole. The other fragments are counted as [`Skip::Fragment`].
    Complete(Outcome),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    /// The whole packet's protocol; 0 in IPv6, where fragments of a packet may differ in it
    /// (RFC 8200 4.5).
    protocol: u8,
    vlan: Option<u16>,
    tunnel: Vec<TunnelLayer>,
}

#[derive(Debug)]
struct Incomplete {
    number: u64,
    first_time: Time,
    state: State,
    /// Files and counts of the fragments that were not counted yet.
    frames: BTreeMap<u32, u64>,
}

#[derive(Debug)]
enum State {
    Gathering(Pieces),
    /// Nothing can come of it: later fragments are counted with this reason at once.
    GivenUp(Skip),
}

impl Reassembler {
    /// With nothing held.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the fragment of the frame `frame`, captured at `time`. When that completes its
    /// packet, `out` is filled as [`decode`](super::decode) would fill it.
    pub fn push(
        &mut self,
        fragment: &Fragment,
        time: Time,
        frame: FrameId,
        settings: &Settings,
        out: &mut Decoded,
    ) -> Pushed {
        let clock = self.clock.map_or(time, |clock| clock.max(time));
        self.clock = Some(clock);
        self.expire(clock);
        self.take(fragment, frame, *settings, out)
    }

    /// Gives up every packet whose first fragment is too old at `clock`.
    pub fn expire(&mut self, clock: Time) {
        while let Some((&number, key)) = self.by_age.first_key_value() {
            let too_old =
                self.packets.get(key).is_none_or(|packet| clock.since(packet.first_time) >= EXPIRY);
            if !too_old {
                break;
            }
            self.drop_packet(number, Skip::FragmentIncomplete);
        }
    }

    /// Gives up what is left at the end of the capture.
    pub fn finish(&mut self) {
        while let Some((&number, _)) = self.by_age.first_key_value() {
            self.drop_packet(number, Skip::FragmentIncomplete);
        }
    }

    /// Fragments that gave no segment of their own, by index of their file and by reason. Complete
    /// after [`Reassembler::finish`].
    #[must_use]
    pub fn skipped(&self) -> &BTreeMap<u32, SkipCounts> {
        &self.skipped
    }

    fn take(
        &mut self,
        fragment: &Fragment,
        frame: FrameId,
        settings: Settings,
        out: &mut Decoded,
    ) -> Pushed {
        let key = Key::of(fragment);
        let number = self.next_number;
        let clock = self.clock.unwrap_or_default();
        let packet = self.packets.entry(key.clone()).or_insert_with(|| Incomplete {
            number,
            first_time: clock,
            state: State::Gathering(Pieces::default()),
            frames: BTreeMap::new(),
        });
        if packet.number == number {
            self.next_number += 1;
            self.by_age.insert(number, key.clone());
        }
        let number = packet.number;
        let pieces = match &mut packet.state {
            State::GivenUp(skip) => {
                let skip = *skip;
                count(&mut self.skipped, frame.file(), skip, 1);
                return Pushed::Held;
            }
            State::Gathering(pieces) => pieces,
        };
        *packet.frames.entry(frame.file()).or_default() += 1;
        let before = pieces.cost;
        let refused = pieces.insert(fragment);
        self.bytes = self.bytes - before + pieces.cost;
        if let Err(skip) = refused {
            self.give_up(&key, skip);
        } else if pieces.is_complete() {
            return self.complete(&key, frame, settings, out);
        }
        while self.bytes > MAX_BYTES || self.packets.len() > MAX_PACKETS {
            let Some((&oldest, _)) = self.by_age.first_key_value() else { break };
            self.drop_packet(oldest, Skip::FragmentEvicted);
            if oldest == number {
                break;
            }
        }
        Pushed::Held
    }

    /// Decodes a packet that has all its pieces.
    fn complete(
        &mut self,
        key: &Key,
        frame: FrameId,
        settings: Settings,
        out: &mut Decoded,
    ) -> Pushed {
        let Some(packet) = self.remove(key) else { return Pushed::Held };
        for (&file, &frames) in &packet.frames {
            // The completing frame counts as what it completes.
            let frames = frames - u64::from(file == frame.file());
            count(&mut self.skipped, file, Skip::Fragment, frames);
        }
        let State::Gathering(pieces) = packet.state else { return Pushed::Held };
        let (Some(head), Some(total)) = (pieces.head, pieces.total) else { return Pushed::Held };
        let bytes = pieces.leading_bytes();
        let mut walk = Walk::start(settings, out, head.layers);
        walk.out.tunnel.clone_from(&key.tunnel);
        walk.out.vlan = key.vlan;
        let mut around = head.packet;
        around.marks = around.marks.with(Marks::REASSEMBLED);
        let whole = Captured::new(&bytes, total);
        let entered = walk.enter();
        let walked =
            entered.and_then(|()| beyond_extensions(&mut walk, &mut around, head.protocol, whole));
        match settle(walked) {
            // A packet in a tunnel was split a second time. Nesting is bounded by the layers.
            Outcome::Fragment(inner) => self.take(&inner, frame, settings, out),
            outcome => Pushed::Complete(outcome),
        }
    }

    fn give_up(&mut self, key: &Key, skip: Skip) {
        if let Some(packet) = self.packets.get_mut(key) {
            if let State::Gathering(pieces) = &packet.state {
                self.bytes -= pieces.cost;
            }
            packet.state = State::GivenUp(skip);
            for (file, frames) in std::mem::take(&mut packet.frames) {
                count(&mut self.skipped, file, skip, frames);
            }
        }
    }

    fn drop_packet(&mut self, number: u64, reason: Skip) {
        let Some(key) = self.by_age.remove(&number) else { return };
        if let Some(packet) = self.remove(&key) {
            // Later fragments of UDP have no ports: most were no tunnel's.
            let reason = if key.protocol == protocol::UDP { Skip::Udp } else { reason };
            for (&file, &frames) in &packet.frames {
                count(&mut self.skipped, file, reason, frames);
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Incomplete> {
        let packet = self.packets.remove(key)?;
        self.by_age.remove(&packet.number);
        if let State::Gathering(pieces) = &packet.state {
            self.bytes -= pieces.cost;
        }
        Some(packet)
    }
}

impl Key {
    fn of(fragment: &Fragment) -> Self {
        Self {
            source: fragment.source,
            destination: fragment.destination,
            id: fragment.id,
            protocol: if fragment.source.is_ipv4() { fragment.protocol } else { 0 },
            vlan: fragment.vlan,
            tunnel: fragment.tunnel.clone(),
        }
    }
}

fn count(skipped: &mut BTreeMap<u32, SkipCounts>, file: u32, skip: Skip, frames: u64) {
    if frames > 0 {
        skipped.entry(file).or_default().add(skip, frames);
    }
}
