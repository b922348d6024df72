//! Pieces of JSON, put into a room that may be too small; each leaves the rest of the room.

use super::line::Unfit;
use crate::stamp::digits;

/// What is left of a room, or that there was not enough.
pub(super) type Rest<'a> = Result<&'a mut [u8], Unfit>;

/// Puts a text.
#[expect(clippy::inline_always, reason = "most texts are known where this is inlined: few stores")]
#[inline(always)]
pub(super) fn text<'a>(room: &'a mut [u8], text: &[u8]) -> Rest<'a> {
    let (place, rest) = room.split_at_mut_checked(text.len()).ok_or(Unfit::Full)?;
    place.copy_from_slice(text);
    Ok(rest)
}

/// Puts a key with its colon behind a comma, or behind what opens the object.
#[expect(clippy::inline_always, reason = "names are known where this is inlined: few stores")]
#[inline(always)]
pub(super) fn key<'a>(room: &'a mut [u8], before: u8, name: &str) -> Rest<'a> {
    let (place, rest) = room.split_at_mut_checked(name.len() + 4).ok_or(Unfit::Full)?;
    if let [first, quote, inside @ .., end, colon] = place
        && inside.len() == name.len()
    {
        (*first, *quote, *end, *colon) = (before, b'"', b'"', b':');
        inside.copy_from_slice(name.as_bytes());
    }
    Ok(rest)
}

/// Puts a number.
#[expect(clippy::inline_always, reason = "most numbers have one digit")]
#[inline(always)]
pub(super) fn number(room: &mut [u8], number: u64) -> Rest<'_> {
    match u8::try_from(number) {
        Ok(digit @ 0..=9) => text(room, &[b'0' + digit]),
        _ => long(room, number),
    }
}

/// Puts a number of several digits.
#[inline(never)]
fn long(room: &mut [u8], number: u64) -> Rest<'_> {
    match u32::try_from(number) {
        Ok(number @ 0..digits::LIMIT) => {
            let (digits, length) = digits::shortest(number);
            // There is room enough as a rule for what follows the number.
            *room.first_chunk_mut().ok_or(Unfit::Full)? = digits;
            room.get_mut(length..).ok_or(Unfit::Full)
        }
        _ => text(room, itoa::Buffer::new().format(number).as_bytes()),
    }
}

/// Puts a string with its quotes.
#[inline]
pub(super) fn string<'a>(room: &'a mut [u8], string: &str) -> Rest<'a> {
    let bytes = string.as_bytes();
    if is_escaped(bytes) {
        let room = escaped(text(room, b"\"")?, bytes)?;
        return text(room, b"\"");
    }
    let (place, rest) = room.split_at_mut_checked(bytes.len() + 2).ok_or(Unfit::Full)?;
    if let [first, inside @ .., last] = place
        && inside.len() == bytes.len()
    {
        (*first, *last) = (b'"', b'"');
        copy(bytes, inside);
    }
    Ok(rest)
}

/// Copies a short text to a place of its length.
// Perf: names have 8 to 16 bytes as a rule, which are two moves, some bytes of which are the same.
#[inline]
fn copy(bytes: &[u8], place: &mut [u8]) {
    if bytes.len() <= 16
        && let (Some(begin), Some(end)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>())
    {
        if let Some(first) = place.first_chunk_mut() {
            *first = *begin;
        }
        if let Some(last) = place.last_chunk_mut() {
            *last = *end;
        }
    } else if place.len() == bytes.len() {
        place.copy_from_slice(bytes);
    }
}

/// Puts a piece of the inside of a string.
pub(super) fn inside<'a>(room: &'a mut [u8], piece: &str) -> Rest<'a> {
    let bytes = piece.as_bytes();
    if is_escaped(bytes) { escaped(room, bytes) } else { text(room, bytes) }
}

/// Whether anything in a string must be escaped.
#[inline]
fn is_escaped(bytes: &[u8]) -> bool {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        // Perf: eight bytes at once, some of them twice.
        (Some(first), Some(last)) => {
            any_escaped(*first)
                || any_escaped(*last)
                || bytes.len() > 16 && bytes.as_chunks().0.iter().any(|chunk| any_escaped(*chunk))
        }
        _ => bytes.iter().any(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')),
    }
}

/// Whether one of eight bytes is to be escaped.
#[inline]
const fn any_escaped(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let bytes = u64::from_le_bytes(bytes);
    let quote = bytes ^ (ONES * b'"' as u64);
    let backslash = bytes ^ (ONES * b'\\' as u64);
    // What is taken from the first byte that is too small sets that byte's high bit; where none is too
    // small, nothing is borrowed from the next. Bytes with a high bit of their own do not count.
    let too_small =
        bytes.wrapping_sub(ONES * 0x20) | quote.wrapping_sub(ONES) | backslash.wrapping_sub(ONES);
    too_small & !bytes & (ONES * 0x80) != 0
}

#[cold]
fn escaped<'a>(mut room: &'a mut [u8], bytes: &[u8]) -> Rest<'a> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
    for byte in bytes {
        room = match byte {
            b'"' => text(room, b"\\\""),
            b'\\' => text(room, b"\\\\"),
            0x08 => text(room, b"\\b"),
            0x0c => text(room, b"\\f"),
            b'\n' => text(room, b"\\n"),
            b'\r' => text(room, b"\\r"),
            b'\t' => text(room, b"\\t"),
            0..0x20 => text(room, &[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]),
            _ => text(room, &[*byte]),
        }?;
    }
    Ok(room)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_byte_that_must_be_escaped_is_found_wherever_it_stands(
            bytes in prop::collection::vec(prop_oneof![9 => 0x20_u8..=0xff, 1 => any::<u8>()], 0..40),
        ) {
            let expected = bytes.iter().any(|byte| *byte < 0x20 || b"\"\\".contains(byte));
            prop_assert_eq!(is_escaped(&bytes), expected);
        }

        #[test]
        fn a_text_of_any_length_is_copied(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut place = vec![0; bytes.len()];
            copy(&bytes, &mut place);
            prop_assert_eq!(place, bytes);
        }
    }
}
