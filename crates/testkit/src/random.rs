//! Numbers drawn from a seed, the same on every machine (SplitMix64).

/// A source of numbers. What is drawn from a seed stays what it is: inputs that once failed are kept by their seeds.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A source that this seed stands for.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or 0.
    pub fn number(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// A position or a count below `bound`, or 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.number(bound)).unwrap_or(0)
    }

    /// True in `part` of `of` cases.
    pub fn chance(&mut self, part: usize, of: usize) -> bool {
        self.below(of) < part
    }

    /// One of them.
    ///
    /// # Panics
    /// If there are none.
    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_what_they_always_were() {
        let mut random = Random::new(1);
        assert_eq!([random.draw(), random.draw()], [0x910A_2DEC_8902_5CC1, 0xBEEB_8DA1_658E_EC67]);
    }
}
