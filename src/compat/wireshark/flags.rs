//! The set of `tcp.analysis.*` fields that one segment carries.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// Which `tcp.analysis.*` fields Wireshark shows on a segment.
///
/// The bits stand in the order in which [`AnalysisFlags::names`] gives them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct AnalysisFlags(u16);

impl AnalysisFlags {
    /// Nothing to say.
    pub const NONE: Self = Self(0);
    /// `tcp.analysis.retransmission`; also shown with a fast or spurious one.
    pub const RETRANSMISSION: Self = Self(0x0001);
    /// `tcp.analysis.fast_retransmission`.
    pub const FAST_RETRANSMISSION: Self = Self(0x0002);
    /// `tcp.analysis.spurious_retransmission`.
    pub const SPURIOUS_RETRANSMISSION: Self = Self(0x0004);
    /// `tcp.analysis.out_of_order`.
    pub const OUT_OF_ORDER: Self = Self(0x0008);
    /// `tcp.analysis.lost_segment`: an earlier segment was not captured.
    pub const LOST_SEGMENT: Self = Self(0x0010);
    /// `tcp.analysis.ack_lost_segment`: acknowledges a segment that was not captured.
    pub const ACK_LOST_SEGMENT: Self = Self(0x0020);
    /// `tcp.analysis.duplicate_ack`.
    pub const DUPLICATE_ACK: Self = Self(0x0040);
    /// `tcp.analysis.keep_alive`.
    pub const KEEP_ALIVE: Self = Self(0x0080);
    /// `tcp.analysis.keep_alive_ack`.
    pub const KEEP_ALIVE_ACK: Self = Self(0x0100);
    /// `tcp.analysis.zero_window`.
    pub const ZERO_WINDOW: Self = Self(0x0200);
    /// `tcp.analysis.window_full`.
    pub const WINDOW_FULL: Self = Self(0x0400);
    /// `tcp.analysis.window_update`.
    pub const WINDOW_UPDATE: Self = Self(0x0800);
    /// `tcp.analysis.zero_window_probe`.
    pub const ZERO_WINDOW_PROBE: Self = Self(0x1000);
    /// `tcp.analysis.zero_window_probe_ack`.
    pub const ZERO_WINDOW_PROBE_ACK: Self = Self(0x2000);
    /// `tcp.analysis.reused_ports`.
    pub const REUSED_PORTS: Self = Self(0x4000);

    /// Every flag with its name, which is the field's without `tcp.analysis.`.
    const NAMES: [(Self, &'static str); 15] = [
        (Self::RETRANSMISSION, "retransmission"),
        (Self::FAST_RETRANSMISSION, "fast_retransmission"),
        (Self::SPURIOUS_RETRANSMISSION, "spurious_retransmission"),
        (Self::OUT_OF_ORDER, "out_of_order"),
        (Self::LOST_SEGMENT, "lost_segment"),
        (Self::ACK_LOST_SEGMENT, "ack_lost_segment"),
        (Self::DUPLICATE_ACK, "duplicate_ack"),
        (Self::KEEP_ALIVE, "keep_alive"),
        (Self::KEEP_ALIVE_ACK, "keep_alive_ack"),
        (Self::ZERO_WINDOW, "zero_window"),
        (Self::WINDOW_FULL, "window_full"),
        (Self::WINDOW_UPDATE, "window_update"),
        (Self::ZERO_WINDOW_PROBE, "zero_window_probe"),
        (Self::ZERO_WINDOW_PROBE_ACK, "zero_window_probe_ack"),
        (Self::REUSED_PORTS, "reused_ports"),
    ];

    /// Every flag by itself, in the order of their names.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::NAMES.iter().map(|(flag, _)| *flag)
    }

    /// Whether nothing is set, as for most segments.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the flags that are set: Wireshark's field names without `tcp.analysis.`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
    }

    /// The flag of that name, without `tcp.analysis.`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(flag, _)| *flag)
    }

    /// Reads a list of names separated by commas; none when a name is unknown.
    #[must_use]
    pub fn parse(list: &str) -> Option<Self> {
        let mut flags = Self::NONE;
        for name in list.split(',').filter(|name| !name.is_empty()) {
            flags |= Self::named(name)?;
        }
        Some(flags)
    }
}

impl BitOr for AnalysisFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for AnalysisFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The names, separated by commas.
impl fmt::Display for AnalysisFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AnalysisFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_bit_and_a_name_of_its_own() {
        for (flag, name) in AnalysisFlags::NAMES {
            assert_eq!(flag.0.count_ones(), 1);
            assert_eq!(AnalysisFlags::named(name), Some(flag));
            assert_eq!(flag.to_string(), name);
        }
    }

    #[test]
    fn a_list_of_names_reads_back_as_it_was_printed() {
        let both = AnalysisFlags::RETRANSMISSION | AnalysisFlags::SPURIOUS_RETRANSMISSION;
        assert_eq!(both.to_string(), "retransmission,spurious_retransmission");
        assert_eq!(AnalysisFlags::parse(&both.to_string()), Some(both));
        assert_eq!(AnalysisFlags::parse(""), Some(AnalysisFlags::NONE));
        assert_eq!(AnalysisFlags::parse("no_such_flag"), None);
    }
}
