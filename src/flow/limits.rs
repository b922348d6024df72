//! How much a shard may remember, so that no capture can make it grow without end.

use super::deal::SHARDS;
use super::lives::Lives;
use super::table::Slot;

/// How many connections a shard remembers at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Handshakes that have not advanced beyond SYN and SYN-ACK or were refused, and flows of which one segment
    /// was seen.
    pub embryonic: usize,
    /// All other connections.
    pub connections: usize,
    /// Those among the other connections that are over and only wait for stragglers.
    pub over: usize,
    /// Those among the other connections that keep their state at hand though they are silent; more
    /// are put into few bytes until a segment comes.
    pub awake: usize,
    /// How many may be awake before one that has closed, and was silent for a quarter of a second, sleeps; where no
    /// more than half of `awake` are to be expected, none does.
    pub closed_awake: usize,
}

impl Limits {
    /// Half-open handshakes of a run by default: about 85 MB.
    pub const EMBRYONIC: usize = 1 << 20;
    /// Other connections of a run by default.
    pub const CONNECTIONS: usize = 1 << 20;
    /// Tuples of a run for which Wireshark's view is kept, where segments are asked for: about
    /// 200 MB.
    pub const TUPLES: usize = 1 << 20;
    /// Connections of a run that are over, by default: about 20 MB.
    pub const OVER: usize = 1 << 14;

    /// Silent connections of a run with their state at hand, by default: about 500 MB. Putting one to
    /// sleep and waking it takes about 3 us, half of what the connection costs otherwise.
    pub const AWAKE: usize = 1 << 17;
    /// Connections of a run that are awake before closed ones sleep, by default: about 10 MB. A closed
    /// one seldom sees another segment, so that it sleeps once.
    pub const CLOSED_AWAKE: usize = 1 << 12;

    /// Bytes that a remembered connection takes, about, with its timelines and its place in the
    /// tables.
    const CONNECTION: u64 = Lives::SIZE as u64 + 1_300;
    /// Bytes that a half-open handshake takes, about, with its place in the tables.
    const EMBRYO: u64 = 120;

    /// The limits of a run whose connections may take `memory` bytes, at most the default ones.
    #[must_use]
    pub fn within(memory: u64) -> Self {
        let of = |share: u64, size: u64, most: usize| {
            let count = memory / 100 * share / size;
            usize::try_from(count).unwrap_or(usize::MAX).clamp(SHARDS, most)
        };
        Self {
            embryonic: of(30, Self::EMBRYO, Self::EMBRYONIC),
            connections: of(70, Self::CONNECTION, Self::CONNECTIONS),
            over: of(15, Self::CONNECTION, Self::OVER),
            awake: of(35, Self::CONNECTION, Self::AWAKE),
            closed_awake: of(10, Self::CONNECTION, Self::CLOSED_AWAKE),
        }
    }

    /// The share of one shard in the limits of a run.
    #[must_use]
    pub const fn per_shard(self) -> Self {
        Self {
            embryonic: at_most(Slot::MOST, self.embryonic.div_ceil(SHARDS)),
            connections: at_most(Slot::MOST / Lives::FOR_ONE, self.connections.div_ceil(SHARDS)),
            over: self.over.div_ceil(SHARDS),
            awake: self.awake.div_ceil(SHARDS),
            closed_awake: self.closed_awake.div_ceil(SHARDS),
        }
    }
}

/// The smaller of two numbers.
const fn at_most(most: u32, wanted: usize) -> usize {
    if wanted < most as usize { wanted } else { most as usize }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            embryonic: Self::EMBRYONIC,
            connections: Self::CONNECTIONS,
            over: Self::OVER,
            awake: Self::AWAKE,
            closed_awake: Self::CLOSED_AWAKE,
        }
    }
}
