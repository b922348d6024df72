//! Pseudo-random numbers that depend on the seed alone, on every machine and in every version.
//!
//! xoshiro256++ seeded by splitmix64, after the public-domain algorithms of Blackman and Vigna.
//! Own code, since generated captures are compared byte for byte and must not change with a
//! dependency.

/// A stream of pseudo-random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random([u64; 4]);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }))
    }

    pub(super) fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    pub(super) fn next_u32(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    /// A number from `low` up to, not including, `high`; `low` if there is none between.
    ///
    /// Slightly uneven (by less than 2^-32 for the small ranges used here), which is of no matter.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        let range = u64::from(high.saturating_sub(low));
        let scaled = (u64::from(self.next_u32()) * range) >> 32;
        low + u32::try_from(scaled).unwrap_or(0)
    }

    /// True in `count` of 1,000 cases.
    pub(super) fn per_mille(&mut self, count: u32) -> bool {
        self.between(0, 1_000) < count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_the_published_algorithm() {
        // Both computed with the reference definition of the two algorithms in another language.
        let mut random = Random([1, 2, 3, 4]);
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223]);
        assert_eq!(Random::new(0).0[0], 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn ranges_are_kept_and_filled() {
        let mut random = Random::new(1);
        let mut seen = [0_u32; 5];
        for _ in 0..1_000 {
            seen[random.between(3, 8) as usize - 3] += 1;
        }
        assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
        assert_eq!(random.between(5, 5), 5);
    }
}
