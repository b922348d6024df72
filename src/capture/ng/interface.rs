//! Interfaces of a pcapng section: link types, clocks, and the counters that end a capture.
//!
//! Interprets block bodies only; where blocks begin and end is not known here.

use std::collections::BTreeMap;

use byteorder_slice::ByteOrder;

use super::options::{Options, eight};
use crate::capture::LinkType;
use crate::stamp::Time;

/// Interfaces kept in one section. Packets of further ones are reported as damage.
pub const MAX_INTERFACES: usize = 4096;

/// Bytes kept of an interface's name and of its description.
const MAX_TEXT: usize = 128;

const NANOS: u64 = 1_000_000_000;

/// One interface of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its link type.
    pub link: LinkType,
    /// Bytes kept of each frame; 0 means no limit.
    pub snaplen: u32,
    /// Its name (`if_name`), empty if not told.
    pub name: String,
    /// Its description (`if_description`), empty if not told.
    pub description: String,
    /// Bytes of frame check sequence at the end of each frame.
    pub fcs_len: u8,
    clock: Clock,
}

/// How a timestamp becomes nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    unit: Unit,
    /// `if_tsoffset` in nanoseconds, saturated.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// A tick is so many nanoseconds.
    Nanos(u64),
    /// So many ticks are a nanosecond.
    PerNano(u64),
    /// A tick is 2^-n seconds.
    Binary(u32),
}

impl Interface {
    /// Stands in for an interface whose block could not be read, so that the next ones keep their
    /// numbers.
    pub(super) fn unknown() -> Self {
        Self {
            link: LinkType::UNKNOWN,
            snaplen: 0,
            name: String::new(),
            description: String::new(),
            fcs_len: 0,
            clock: Clock { unit: Unit::Nanos(1_000), offset: 0 },
        }
    }

    /// Reads an interface description block; also returns how many options were unreadable.
    /// None if the block is too short.
    pub(super) fn parse<B: ByteOrder>(body: &[u8]) -> Option<(Self, u64)> {
        let (fixed, options) = body.split_first_chunk::<8>()?;
        let [link, _, snap @ ..] = fixed.as_chunks::<2>().0 else { return None };
        let mut new = Self {
            link: LinkType(u32::from(B::read_u16(link))),
            snaplen: B::read_u32(snap.as_flattened()),
            ..Self::unknown()
        };
        let mut options = Options::new(options);
        let mut bad = 0;
        while let Some(option) = options.next::<B>() {
            bad += u64::from(new.apply::<B>(option.code, option.value).is_none());
        }
        Some((new, bad + u64::from(options.broken)))
    }

    /// Takes over one option; none if its length is wrong.
    fn apply<B: ByteOrder>(&mut self, code: u16, value: &[u8]) -> Option<()> {
        match code {
            2 => self.name = text(value),
            3 => self.description = text(value),
            9 => self.clock.unit = Unit::from_tsresol(*single(value)?),
            13 => {
                // The draft counts bits but its example, and writers, count bytes.
                let count = *single(value)?;
                self.fcs_len = if count >= 16 { count / 8 } else { count };
            }
            14 => {
                let seconds = eight::<B>(value)?.cast_signed();
                self.clock.offset = seconds.saturating_mul(NANOS.cast_signed());
            }
            _ => {}
        }
        Some(())
    }

    /// The time that a packet's timestamp stands for.
    #[inline]
    pub(super) fn time(&self, ticks: u64) -> Time {
        let nanos = match self.clock.unit {
            Unit::Nanos(factor) => ticks.saturating_mul(factor),
            Unit::PerNano(divisor) => ticks / divisor,
            Unit::Binary(bits) => {
                let nanos = (u128::from(ticks) * u128::from(NANOS)) >> bits;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        Time::from_nanos(nanos.saturating_add(self.clock.offset))
    }
}

impl Unit {
    /// Reads `if_tsresol`: the top bit tells powers of two from powers of ten.
    fn from_tsresol(value: u8) -> Self {
        let power = u32::from(value & 0x7f);
        if value & 0x80 != 0 {
            return Self::Binary(power);
        }
        if power <= 9 {
            return Self::Nanos(10_u64.pow(9 - power));
        }
        // From 10^-29 s on no 64-bit count of ticks reaches a nanosecond.
        Self::PerNano(10_u64.checked_pow(power - 9).unwrap_or(u64::MAX))
    }
}

fn single(value: &[u8]) -> Option<&u8> {
    if let [one] = value { Some(one) } else { None }
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    let kept = value.get(..end.min(MAX_TEXT)).unwrap_or_default();
    String::from_utf8_lossy(kept).into_owned()
}

/// What an interface statistics block says; each number only if the block holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStatistics {
    /// The interface's name, empty if not told.
    pub name: String,
    /// Packets received (`isb_ifrecv`).
    pub received: Option<u64>,
    /// Packets that the interface dropped for lack of resources (`isb_ifdrop`).
    pub dropped: Option<u64>,
    /// Packets that passed the filter (`isb_filteraccept`).
    pub accepted: Option<u64>,
    /// Packets that the operating system dropped (`isb_osdrop`).
    pub os_dropped: Option<u64>,
    /// Packets delivered to the capturing program (`isb_usrdeliv`).
    pub delivered: Option<u64>,
}

/// Statistics by (section from 0, interface); later blocks replace earlier ones, since their
/// counters run from the start of the capture.
pub type Statistics = BTreeMap<(u32, u32), InterfaceStatistics>;

impl InterfaceStatistics {
    /// Reads the body of a statistics block: the interface, what is told of it, and how many
    /// options were unreadable. None if the block is too short.
    pub(super) fn parse<B: ByteOrder>(body: &[u8]) -> Option<(u32, Self, u64)> {
        let (fixed, options) = body.split_first_chunk::<12>()?;
        let interface = B::read_u32(fixed);
        let mut options = Options::new(options);
        let (mut told, mut bad) = (Self::default(), 0);
        while let Some(option) = options.next::<B>() {
            let slot = match option.code {
                4 => &mut told.received,
                5 => &mut told.dropped,
                6 => &mut told.accepted,
                7 => &mut told.os_dropped,
                8 => &mut told.delivered,
                _ => continue,
            };
            let count = eight::<B>(option.value);
            bad += u64::from(count.is_none());
            *slot = count.or(*slot);
        }
        Some((interface, told, bad + u64::from(options.broken)))
    }
}

#[cfg(test)]
mod tests {
    use byteorder_slice::LittleEndian;

    use super::*;

    fn interface(options: &[u8]) -> (Interface, u64) {
        let mut body = vec![1, 0, 0, 0, 96, 0, 0, 0];
        body.extend(options);
        Interface::parse::<LittleEndian>(&body).unwrap()
    }

    fn clock(tsresol: u8) -> Interface {
        interface(&[9, 0, 1, 0, tsresol, 0, 0, 0, 0, 0, 0, 0]).0
    }

    #[test]
    fn without_a_resolution_ticks_are_microseconds() {
        let (it, bad) = interface(&[]);
        assert_eq!((it.link, it.snaplen, bad), (LinkType(1), 96, 0));
        assert_eq!(it.time(5), Time::from_nanos(5_000));
    }

    #[test]
    fn decimal_resolutions_from_seconds_to_attoseconds_become_nanoseconds() {
        for (resolution, ticks, nanos) in [
            (0, 7, 7_000_000_000),
            (3, 7, 7_000_000),
            (6, 7, 7_000),
            (9, 7, 7),
            (12, 7_999, 7),
            (18, 7_000_000_000, 7),
            (28, u64::MAX, 1),
            (29, 1 << 60, 0),
            (127, 1 << 60, 0),
        ] {
            let time = clock(resolution).time(ticks);
            assert_eq!(time, Time::from_nanos(nanos), "10^-{resolution}");
        }
    }

    #[test]
    fn binary_resolutions_keep_every_bit() {
        for (resolution, ticks, nanos) in
            [(0x80, 3, 3_000_000_000), (0x81, 3, 1_500_000_000), (0xa0, 1 << 31, 500_000_000)]
        {
            assert_eq!(clock(resolution).time(ticks), Time::from_nanos(nanos));
        }
        assert_eq!(clock(0xff).time(u64::MAX), Time::from_nanos(0));
    }

    #[test]
    fn offsets_are_signed_seconds_and_saturate() {
        let mut options = vec![14, 0, 8, 0];
        options.extend((-3_i64).to_le_bytes());
        assert_eq!(interface(&options).0.time(4_000_000), Time::from_nanos(1_000_000_000));
        options.splice(4.., i64::MAX.to_le_bytes());
        assert_eq!(interface(&options).0.time(u64::MAX), Time::MAX);
    }

    #[test]
    fn an_option_of_the_wrong_length_is_passed_over_and_the_next_one_counts() {
        let options = [9, 0, 2, 0, 9, 9, 0, 0, 2, 0, 3, 0, b'e', b't', b'h', 0];
        let (it, bad) = interface(&options);
        assert_eq!((it.name.as_str(), bad), ("eth", 1));
        assert_eq!(it.time(1), Time::from_nanos(1_000));
    }

    #[test]
    fn an_option_longer_than_its_block_ends_the_options_only() {
        let (it, bad) = interface(&[2, 0, 1, 0, b'a', 0, 0, 0, 3, 0, 0xff, 0xff, 1]);
        assert_eq!((it.name.as_str(), it.description.as_str(), bad), ("a", "", 1));
    }

    #[test]
    fn frame_check_sequences_are_read_as_bytes_or_as_bits() {
        assert_eq!(interface(&[13, 0, 1, 0, 4, 0, 0, 0]).0.fcs_len, 4);
        assert_eq!(interface(&[13, 0, 1, 0, 32, 0, 0, 0]).0.fcs_len, 4);
    }

    #[test]
    fn drop_counters_are_read_and_those_not_told_stay_unknown() {
        let mut body = vec![2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for (code, count) in [(4_u8, 100_u64), (5, 7)] {
            body.extend([code, 0, 8, 0]);
            body.extend(count.to_le_bytes());
        }
        let (interface, told, bad) = InterfaceStatistics::parse::<LittleEndian>(&body).unwrap();
        assert_eq!((interface, bad), (2, 0));
        assert_eq!((told.received, told.dropped, told.os_dropped), (Some(100), Some(7), None));
    }
}
