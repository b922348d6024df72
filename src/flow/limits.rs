//! How much a shard may remember, so that no capture can make it grow without end.

use super::batch::SHARDS;

/// How many connections a shard remembers at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Handshakes that have not advanced beyond SYN and SYN-ACK.
    pub embryonic: usize,
    /// All other connections.
    pub connections: usize,
    /// Those among the other connections that are over and only wait for stragglers.
    pub over: usize,
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

    /// The share of one shard in the limits of a run.
    #[must_use]
    pub const fn per_shard(self) -> Self {
        Self {
            embryonic: self.embryonic.div_ceil(SHARDS),
            connections: self.connections.div_ceil(SHARDS),
            over: self.over.div_ceil(SHARDS),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { embryonic: Self::EMBRYONIC, connections: Self::CONNECTIONS, over: Self::OVER }
    }
}
