//! The options of a SYN or SYN-ACK in 64 bits.

use crate::tcp::{Extras, SynOptions};

/// Bits that [`pack`] uses at most.
pub(super) const BITS: u32 = 47;

/// Handshake options in 64 bits; none where there is more than those.
pub(super) fn pack(extras: &Extras) -> Option<u64> {
    if extras.is_none() {
        return Some(0);
    }
    if !extras.sack.as_slice().is_empty() || extras.framed_len.is_some() {
        return None;
    }
    let optional = |value: Option<u64>, at: u32| value.map_or(0, |value| (value << 1 | 1) << at);
    let SynOptions { mss, window_scale, sack_permitted, fast_open } = extras.syn;
    Some(
        optional(mss.map(u64::from), 0)
            | optional(window_scale.map(u64::from), 17)
            | optional(fast_open.map(u64::from), 26)
            | optional(extras.mptcp.map(u64::from), 35)
            | u64::from(sack_permitted) << 44
            | u64::from(extras.signed) << 45
            | u64::from(extras.malformed) << 46,
    )
}

/// The options again.
pub(super) fn unpack(bits: u64) -> Extras {
    let mut extras = Extras::NONE;
    unpack_to(&mut extras, bits);
    extras
}

/// The same, to where there are none, or only such as were packed.
#[inline]
pub(super) fn unpack_to(extras: &mut Extras, bits: u64) {
    let flag = |at: u32| bits >> at & 1 == 1;
    #[expect(clippy::cast_possible_truncation, reason = "the field's own bits are kept")]
    let optional = |at: u32| flag(at).then_some((bits >> (at + 1)) as u8);
    #[expect(clippy::cast_possible_truncation, reason = "the field's own bits are kept")]
    let mss = flag(0).then_some((bits >> 1) as u16);
    let syn = SynOptions {
        mss,
        window_scale: optional(17),
        fast_open: optional(26),
        sack_permitted: flag(44),
    };
    (extras.syn, extras.mptcp) = (syn, optional(35));
    (extras.signed, extras.malformed) = (flag(45), flag(46));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn handshake_options_survive_packing(
            mss: Option<u16>, window_scale: Option<u8>, fast_open: Option<u8>,
            mptcp: Option<u8>, flags: [bool; 3],
        ) {
            let [sack_permitted, signed, malformed] = flags;
            let syn = SynOptions { mss, window_scale, sack_permitted, fast_open };
            let extras = Extras { syn, mptcp, signed, malformed, ..Extras::NONE };
            prop_assert_eq!(pack(&extras).map(unpack), Some(extras));
            prop_assert!(pack(&extras).unwrap() >> BITS == 0);
        }
    }
}
