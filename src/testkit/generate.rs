//! Captures of any size, made from a seed: for benches, memory limits and comparisons.
//!
//! Streams to a writer in bounded memory: what is kept is one bounded plan per live connection.
//! The same shape, packet count and seed give the same bytes on every machine.

mod connection;
mod flood;
mod noise;
mod plan;
mod tap;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufWriter, Write};

use self::connection::{Connection, Profile};
use self::flood::Flood;
use self::tap::Tap;
use super::file::Format;
use super::frame::Link;
use super::random::Random;
use crate::stamp::{Span, Time};

/// `2026-01-02T03:04:05Z`
const START: Time = Time::from_nanos(1_767_323_045_000_000_000);
const OUTPUT_BUFFER: usize = 1 << 20;

/// What kind of traffic a generated capture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Thousands of connections at once: requests and responses, bulk data, losses repaired by
    /// SACK or timeout, failed handshakes, every way to close, some IPv6, UDP and ARP.
    Mix,
    /// The same with two short exchanges a connection: 24 segments each, five times as many connections.
    MixShort,
    /// Eight connections that carry bulk data without end.
    FewLarge,
    /// Twenty thousand short connections at once: one request, one response, close.
    ManySmall,
    /// SYNs, each from another spoofed source, to one listener.
    Flood {
        /// The listener answers while its backlog of 1,024 has room, and retries its SYN-ACKs.
        answered: bool,
    },
    /// One connection that carries bulk data without end.
    Elephant,
}

/// What a generated capture looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What happens in it.
    pub traffic: Traffic,
    /// The file's format.
    pub format: Format,
    /// What stands below IP.
    pub link: Link,
    /// Captured bytes of each frame at most.
    pub snaplen: u32,
}

impl Shape {
    /// The names that [`Shape::named`] knows.
    pub const NAMES: [&str; 7] =
        ["mix", "mix_short", "few_large", "many_small", "flood", "flood_answered", "elephant"];

    /// A classic pcap over Ethernet with whole frames.
    #[must_use]
    pub const fn new(traffic: Traffic) -> Self {
        Self { traffic, format: Format::Pcap, link: Link::Ethernet, snaplen: 262_144 }
    }

    /// The shape of that name, out of [`Shape::NAMES`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let traffic = match name {
            "mix" => Traffic::Mix,
            "mix_short" => Traffic::MixShort,
            "few_large" => Traffic::FewLarge,
            "many_small" => Traffic::ManySmall,
            "flood" => Traffic::Flood { answered: false },
            "flood_answered" => Traffic::Flood { answered: true },
            "elephant" => Traffic::Elephant,
            _ => return None,
        };
        Some(Self::new(traffic))
    }
}

/// What was generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames of any kind.
    pub frames: u64,
    /// Frames that hold a TCP segment.
    pub segments: u64,
    /// Connections, or spoofed sources, that sent at least one segment.
    pub connections: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes a capture of exactly `packets` frames to `out`.
///
/// # Errors
///
/// What `out` reports, or a time beyond what the format can hold (more than 10^13 packets).
pub fn generate(shape: Shape, packets: u64, seed: u64, out: &mut impl Write) -> io::Result<Totals> {
    let mut random = Random::new(seed);
    let mut tap = Tap::new(BufWriter::with_capacity(OUTPUT_BUFFER, out), shape)?;
    match shape.traffic {
        Traffic::Flood { answered } => {
            Flood::new(START, answered).run(packets, &mut random, &mut tap)?;
        }
        Traffic::Mix => connections(&Profile::MIX, packets, &mut random, &mut tap)?,
        Traffic::MixShort => connections(&Profile::MIX_SHORT, packets, &mut random, &mut tap)?,
        Traffic::FewLarge => connections(&Profile::FEW_LARGE, packets, &mut random, &mut tap)?,
        Traffic::ManySmall => connections(&Profile::MANY_SMALL, packets, &mut random, &mut tap)?,
        Traffic::Elephant => connections(&Profile::ELEPHANT, packets, &mut random, &mut tap)?,
    }
    tap.finish()
}

/// Interleaves the profile's connections by time; one that ended is replaced by a new one.
fn connections<W: Write>(
    profile: &'static Profile,
    packets: u64,
    random: &mut Random,
    tap: &mut Tap<W>,
) -> io::Result<()> {
    let mut slots = Vec::new();
    let mut due = BinaryHeap::new();
    for (slot, index) in (0..profile.concurrent).zip(0..) {
        let begin = START + Span::from_micros(i64::from(random.between(0, profile.ramp_micros)));
        slots.push(Connection::new(profile, index, begin, random));
        due.push(Reverse((begin, slot)));
    }
    let mut opened = u64::from(profile.concurrent);
    while let Some(Reverse((time, slot))) = due.pop() {
        if tap.totals().frames >= packets {
            break;
        }
        if random.per_mille(profile.noise_per_mille) {
            noise::emit(time, random, tap)?;
            if tap.totals().frames >= packets {
                break;
            }
        }
        let Some(connection) = slots.get_mut(slot as usize) else { break };
        connection.emit(time, tap)?;
        let next = connection.next_time(random).unwrap_or_else(|| {
            let pause = Span::from_micros(i64::from(random.between(10, profile.pause_micros)));
            *connection = Connection::new(profile, opened, time + pause, random);
            opened += 1;
            time + pause
        });
        due.push(Reverse((next, slot)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
