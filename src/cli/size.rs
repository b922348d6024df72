//! Amounts of memory as typed: bytes, or with K, M, G, T, P or E for powers of 1,024.

/// Not an amount of memory, or too little of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SizeError {
    #[error("not a number of bytes such as 536870912, 512M or 2G")]
    NoSize,
    #[error("less than {} MiB is not enough", .0 >> 20)]
    TooSmall(u64),
}

/// Reads amounts of at least `least` bytes.
pub(super) fn at_least(
    least: u64,
) -> impl Fn(&str) -> Result<u64, SizeError> + Clone + Send + Sync + 'static {
    move |text| match parse(text).ok_or(SizeError::NoSize)? {
        size if size < least => Err(SizeError::TooSmall(least)),
        size => Ok(size),
    }
}

fn parse(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let text = text.strip_suffix("IB").or_else(|| text.strip_suffix('B')).unwrap_or(&text);
    let shift = match text.chars().last()? {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        'P' => 50,
        'E' => 60,
        _ => 0,
    };
    let digits = if shift > 0 { text.get(..text.len() - 1)? } else { text };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_however_they_are_written() {
        let sizes = ["512M", "512 MiB", "0.5G", "2g", "1048576", "1TB", "", "M", "-1K"].map(parse);
        let mib = 1 << 20;
        let expected = [
            Some(512 * mib),
            Some(512 * mib),
            None,
            Some(2_048 * mib),
            Some(mib),
            Some(1 << 40),
            None,
            None,
            None,
        ];
        assert_eq!(sizes, expected);
        assert_eq!(
            ["1P", "1E", "16E", "999999999999999999999"].map(parse),
            [Some(1 << 50), Some(1 << 60), None, None]
        );
    }

    #[test]
    fn too_little_is_refused_with_the_least() {
        let error = at_least(64 << 20)("1M").unwrap_err();
        assert_eq!(error.to_string(), "less than 64 MiB is not enough");
    }
}
