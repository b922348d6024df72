//! What a capture file is: formats, chunks of records, damage and resync.
//!
//! Works on byte ranges, so that the same code serves files read in parallel and streams. Knows
//! nothing of what a frame holds.

/// A link-layer header type, by its number in the LINKTYPE registry of the tcpdump group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);
