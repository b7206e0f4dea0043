//! Choices that look random and depend on an index and nothing else.

/// SplitMix64 (Steele, Lea, Flood 2014), seeded by index: its output for neighbouring seeds is unrelated.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(index: u32) -> Self {
        Self(u64::from(index).wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let drawn = self.next().checked_rem(u64::from(bound)).unwrap_or(0);
        u32::try_from(drawn).unwrap_or(0)
    }

    /// True in about `share` of a thousand draws.
    pub(crate) fn per_mille(&mut self, share: u32) -> bool {
        self.below(1000) < share
    }

    pub(crate) fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        let index = self.below(u32::try_from(words.len()).unwrap_or(u32::MAX));
        words.get(index as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Draw;

    #[test]
    fn shares_come_out_as_asked() {
        let hits = (0..10_000).filter(|index| Draw::new(*index).per_mille(100)).count();
        assert!((900..=1100).contains(&hits), "{hits} of 10000 for 100 of 1000");
    }

    #[test]
    fn an_index_draws_the_same_on_every_machine() {
        let mut draw = Draw::new(7);
        let drawn: Vec<_> = (0..4).map(|_| draw.below(1000)).collect();
        assert_eq!(drawn, [955, 511, 470, 773]);
    }
}
