//! What could not be read of a capture, and where: the report's answer to "can I trust this?".
//!
//! Lists are bounded, and joining the lists of two adjacent walks gives the list of one walk over
//! both. Knows nothing of formats.

/// Why bytes were passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DamageKind {
    /// The file ends inside a record.
    CutRecord,
    /// What stands where a record should begin is none.
    BadRecord,
    /// A pcapng block whose two lengths differ, though the next block is where the first says.
    TrailerMismatch,
    /// A packet of an interface that no block described; it is numbered, its link type is unknown.
    UnknownInterface,
    /// A block too short for its own fixed fields; it was passed over.
    ShortBlock,
}

impl DamageKind {
    /// The kind's name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CutRecord => "cut_record",
            Self::BadRecord => "bad_record",
            Self::TrailerMismatch => "trailer_mismatch",
            Self::UnknownInterface => "unknown_interface",
            Self::ShortBlock => "short_block",
        }
    }
}

/// One damaged place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong there.
    pub kind: DamageKind,
    /// Where it begins, in bytes of the (decompressed) file.
    pub offset: u64,
    /// Bytes that were passed over; 0 where the record was used all the same.
    pub skipped: u64,
    /// Records before it in this walk (or, once lists are joined, in the file).
    pub frame: u64,
}

/// Damage in the order of the file; beyond [`DamageList::MAX_LISTED`] places only counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamageList {
    listed: Vec<Damage>,
    places: u64,
    skipped: u64,
}

impl DamageList {
    /// How many places are listed one by one.
    pub const MAX_LISTED: usize = 64;

    /// Adds a place behind all others.
    pub fn push(&mut self, damage: Damage) {
        self.places += 1;
        self.skipped += damage.skipped;
        if self.listed.len() < Self::MAX_LISTED {
            self.listed.push(damage);
        }
    }

    /// Joins the list of the next range; `frames` is the number of records before that range.
    pub fn absorb(&mut self, later: &Self, frames: u64) {
        self.places += later.places;
        self.skipped += later.skipped;
        let room = Self::MAX_LISTED - self.listed.len();
        let moved = later.listed.iter().take(room);
        self.listed.extend(moved.map(|damage| Damage { frame: damage.frame + frames, ..*damage }));
    }

    /// The first places.
    #[must_use]
    pub fn listed(&self) -> &[Damage] {
        &self.listed
    }

    /// How many places there are, listed or not.
    #[must_use]
    pub const fn places(&self) -> u64 {
        self.places
    }

    /// Bytes that were passed over in all places.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places == 0
    }
}
