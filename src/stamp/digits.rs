//! Decimal digits, eight at a time: most numbers of a report and the fractions of its times.

/// Numbers of up to eight digits are less.
pub(crate) const LIMIT: u32 = 100_000_000;

/// The last eight digits of a number below [`LIMIT`], with zeros in front.
pub(crate) const fn eight(number: u32) -> [u8; 8] {
    text(values(number))
}

/// A number below [`LIMIT`] without zeros in front, and how many digits it has; what follows them
/// means nothing.
pub(crate) const fn shortest(number: u32) -> ([u8; 8], usize) {
    let values = values(number);
    // The last digit stays if all are zero.
    let zeros = (values | (1 << 56)).trailing_zeros() / 8;
    (text(values >> (8 * zeros)), 8 - zeros as usize)
}

const fn text(values: u64) -> [u8; 8] {
    (values | 0x3030_3030_3030_3030).to_le_bytes()
}

/// The values of eight digits, the first one in the lowest byte.
///
/// Perf: two numbers of four digits, then four of two, then eight of one, each step on all of them at
/// once; a division becomes a multiplication that is exact in the range. The method is that of P. Khuong,
/// "How to print integers really fast".
const fn values(number: u32) -> u64 {
    let number = number as u64;
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(number: u32) {
        assert_eq!(str::from_utf8(&eight(number)).unwrap(), format!("{number:08}"));
        let (text, length) = shortest(number);
        assert_eq!(str::from_utf8(&text[..length]).unwrap(), number.to_string());
    }

    #[test]
    fn all_halves_of_eight_digits_are_right() {
        (0..10_000).for_each(|four| check(four * 10_000 + 9_999 - four));
        (0..10_000).for_each(check);
    }

    proptest! {
        #[test]
        fn any_number_is_written_as_the_standard_library_writes_it(number in 0..LIMIT) {
            check(number);
        }
    }
}
