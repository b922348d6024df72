//! The decoder and the reassembly of fragments on arbitrary frames, and the short way against the
//! long way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tcpautopsy::capture::LinkType;
use tcpautopsy::decode::{Decoded, Outcome, Reassembler, Settings, decode, express_v4, express_v6};
use tcpautopsy::stamp::{FrameId, Time};

/// Every link type that has a reader, by its number.
const LINKS: [u32; 40] = [
    0, 1, 6, 9, 10, 11, 12, 14, 50, 51, 100, 101, 104, 105, 106, 107, 108, 109, 113, 117, 119, 123,
    127, 138, 143, 149, 163, 166, 192, 204, 226, 228, 229, 239, 242, 258, 274, 276, 281, 284,
];

fuzz_target!(|data: &[u8]| {
    // A sequence of frames, each with its length before it, so that fragments can meet.
    let Some((first, mut rest)) = data.split_first() else { return };
    let link = LinkType(LINKS[usize::from(*first) % LINKS.len()]);
    let mut reassembler = Reassembler::new();
    let mut number = 0;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (frame, behind) = behind.split_at(length);
        rest = behind;
        number += 1;
        let wire_len = u32::try_from(length).unwrap_or(u32::MAX);
        for settings in [
            Settings { tunnels: true, verify_checksums: false },
            Settings { tunnels: false, verify_checksums: true },
        ] {
            for wire_len in [wire_len, wire_len.saturating_add(u32::from(*first) * 7)] {
                let mut out = Decoded::default();
                let outcome = decode(link, frame, wire_len, &settings, &mut out);
                let mut extras = None;
                let v4 = express_v4(link, frame, wire_len, &settings, &mut extras)
                    .map(|short| (short.tuple(), short.segment));
                let short = v4.or_else(|| {
                    express_v6(link, frame, wire_len, &settings, &mut extras)
                        .map(|short| (short.tuple(), short.segment))
                });
                if let Some(short) = short {
                    assert_eq!(outcome, Outcome::Segment, "the short way found a segment");
                    assert_eq!(short, (out.tuple, out.segment));
                    assert_eq!(extras.unwrap_or(out.extras), out.extras);
                }
                if let Outcome::Fragment(fragment) = outcome {
                    let (time, id) = (Time::from_nanos(number), FrameId::new(0, number as u64));
                    let _ = reassembler.push(&fragment, time, id, &settings, &mut out);
                }
            }
        }
    }
    reassembler.finish();
});
