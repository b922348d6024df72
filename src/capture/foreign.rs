//! What a file is that is not read here: the capture formats and containers of other programs, by
//! their first bytes.
//!
//! The marks are those by which Wireshark's wiretap library and `file` know them. They are looked
//! for only once every format that is read has refused the file.

use std::ops::Range;

/// A kind of file that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// What it is, with its article.
    pub(super) name: &'static str,
    /// What to do about it.
    pub(super) advice: &'static str,
}

const CONVERT: &str = "convert it with editcap -F pcapng IN OUT.pcapng";
const UNPACK: &str = "unpack it first";
const TEXT: &str = "text2pcap makes captures of hex dumps";

/// What a file begins with, and what that tells.
type Mark = (&'static [u8], Foreign);

const fn capture(mark: &'static [u8], name: &'static str) -> Mark {
    (mark, Foreign { name, advice: CONVERT })
}

const fn container(mark: &'static [u8], name: &'static str) -> Mark {
    (mark, Foreign { name, advice: UNPACK })
}

const MARKS: &[Mark] = &[
    capture(b"GMBU", "a Microsoft Network Monitor 2 capture"),
    capture(b"RTSS", "a Microsoft Network Monitor 1 capture"),
    capture(b"XCP\0", "a NetXRay or Windows Sniffer capture"),
    capture(b"VL\0\0", "a NetXRay capture"),
    capture(b"TRSNIFF data    \x1a", "a Network General Sniffer capture"),
    capture(b"\x7fver", "an OmniPeek or EtherPeek capture"),
    capture(b"btsnoop\0", "a Bluetooth HCI log (btsnoop)"),
    capture(b"iptrace 1.0", "an AIX iptrace capture"),
    capture(b"iptrace 2.0", "an AIX iptrace capture"),
    capture(b"LOGG", "a Vector BLF log"),
    capture(b"ObserverPktBuffe", "a Network Instruments Observer capture"),
    capture(b"\x05VNF", "a Visual Networks capture"),
    capture(b"\xaa\xaa\xaa\xaa", "an InfoVista 5View capture"),
    capture(b"TR\0\x64\0", "an HP-UX nettl trace"),
    capture(b"\0\0\0\x01\0\0\0\0\0\x07\xd0\0", "an HP-UX 9 nettl trace"),
    capture(b"\x01\x10\x4c\0\x01\x05", "a Novell LANalyzer capture"),
    capture(b"\x01\x10\x4e\0\x01\x05", "a Novell LANalyzer capture"),
    capture(b"\0\0\x02\0\x12\x05\0\x10", "a Tektronix K12 capture (rf5)"),
    capture(b"+---------+------", "a Tektronix K12 text export"),
    capture(b"EyeSDN", "an EyeSDN trace"),
    capture(b"ETHERWATCH ", "a DBS Etherwatch trace"),
    capture(b"Session Transcript", "a Catapult DCT2000 log"),
    capture(b"V0208", "an Aethra trace"),
    container(b"\x1f\x8b\x08", "data packed more often than is looked into, by gzip"),
    container(b"\x28\xb5\x2f\xfd", "data packed more often than is looked into, by zstd"),
    container(b"\xfd7zXZ\0", "data packed more often than is looked into, by xz"),
    container(b"BZh", "data packed more often than is looked into, by bzip2"),
    container(b"\x04\x22\x4d\x18", "data packed more often than is looked into, by lz4"),
    container(b"PK\x03\x04", "a zip archive"),
    container(b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    container(b"Rar!\x1a\x07", "a RAR archive"),
    container(b"\x1f\x9d", "a file packed by compress (.Z)"),
    container(b"\x89LZO\0\r\n\x1a\n", "a file packed by lzop"),
    container(b"LZIP", "a file packed by lzip"),
    container(b"\x5d\0\0", "a file packed by lzma, the forerunner of xz"),
    container(b"070701", "a cpio archive"),
    container(b"070707", "a cpio archive"),
    container(b"\xc7\x71", "a cpio archive"),
    container(b"!<arch>\n", "an ar archive"),
];

/// Citrix puts this into the first record of a trace, behind a header whose length depends on the
/// version.
const NETSCALER: &[u8] = b"NetScaler";
const NETSCALER_WITHIN: usize = 64;

/// Where a tar header says what it is. An archive of captures is opened; one within it is not.
const TAR_MARK: Range<usize> = 257..262;

/// So many first bytes tell text from anything else.
const TEXT_SAMPLE: usize = 512;

impl Foreign {
    /// Whether it holds frames, in a format that others read.
    pub(super) fn is_capture(self) -> bool {
        self.advice == CONVERT
    }

    /// Recognises a file by its first bytes.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        if let Some((_, foreign)) = MARKS.iter().find(|(mark, _)| head.starts_with(mark)) {
            return Some(*foreign);
        }
        let start = head.get(..NETSCALER_WITHIN).unwrap_or(head);
        if start.windows(NETSCALER.len()).any(|bytes| bytes == NETSCALER) {
            return Some(Self { name: "a Citrix NetScaler trace", advice: CONVERT });
        }
        if is_commview(head) {
            return Some(Self { name: "a TamoSoft CommView capture", advice: CONVERT });
        }
        if head.get(TAR_MARK).is_some_and(|mark| mark == b"ustar") {
            return Some(Self { name: "a tar archive inside an archive", advice: UNPACK });
        }
        is_text(head).then_some(Self { name: "text", advice: TEXT })
    }
}

/// `CommView` has no mark: a record begins with the length of its data, twice and a version of 0 in the
/// first form (NCF), once in the second one (NCFX), and then the year, month, day, hour, minute and
/// second (Wireshark `commview.c`).
fn is_commview(head: &[u8]) -> bool {
    let ([a, b, c, d, rest @ ..], true) = (head, head.len() >= 24) else { return false };
    let time = match rest {
        [0, time @ ..] if (a, b) == (c, d) && [*a, *b] != [0, 0] => time,
        time if [*c, *d] == [0, 0] && [*a, *b] != [0, 0] => time,
        _ => return false,
    };
    let [low, high, month, day, hour, minute, second, ..] = time else { return false };
    (1990..2200).contains(&u16::from_le_bytes([*low, *high]))
        && (1..=12).contains(month)
        && (1..=31).contains(day)
        && *hour < 24
        && *minute < 60
        && *second < 61
}

/// Whether the bytes are printable throughout, in UTF-8 or ASCII.
fn is_text(head: &[u8]) -> bool {
    let sample = head.get(..TEXT_SAMPLE).unwrap_or(head);
    let text = match std::str::from_utf8(sample) {
        Ok(text) => text,
        // A character that the sample cut.
        Err(error) if error.error_len().is_none() => {
            let whole = sample.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(whole).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(head: &[u8]) -> Option<&'static str> {
        Foreign::of(head).map(|foreign| foreign.name)
    }

    #[test]
    fn captures_of_other_programs_are_named() {
        assert_eq!(name(b"GMBU\0\x02\x01\0"), Some("a Microsoft Network Monitor 2 capture"));
        assert_eq!(name(b"\x7fver\0\0\0\x1d"), Some("an OmniPeek or EtherPeek capture"));
        let trace = [&[0x38, 0, 2][..], b"NetScaler V20 Performance Data"].concat();
        assert_eq!(name(&trace), Some("a Citrix NetScaler trace"));
        assert_eq!(name(b"PK\x03\x04\x14\0"), Some("a zip archive"));
        let first =
            [0x42, 0, 0x42, 0, 0, 0xea, 7, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let second = [0x42, 0, 0, 0, 0xea, 7, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!([name(&first), name(&second)], [Some("a TamoSoft CommView capture"); 2]);
        assert_eq!(name(&[0x42; 24].map(|byte: u8| byte ^ 0x80)), None);
    }

    #[test]
    fn text_is_told_from_other_bytes() {
        let line = "12:00:00.000001 IP 10.0.0.1.80 > 10.0.0.2.40112: Flags [S.]\n";
        assert_eq!(name(line.as_bytes()), Some("text"));
        assert_eq!(name("größer ".repeat(100).as_bytes()), Some("text"), "cut inside a character");
        assert_eq!(name(b"text\0with a zero"), None);
        assert_eq!(name(&[0xff, 0xfe, 0x80]), None);
        assert_eq!(name(b""), None);
    }

    #[test]
    fn a_mark_that_is_part_of_a_longer_one_does_not_hide_it() {
        for (index, (mark, _)) in MARKS.iter().enumerate() {
            let mut earlier = MARKS.iter().take(index);
            assert!(!earlier.any(|(other, _)| mark.starts_with(other)), "{mark:?}");
        }
    }
}
