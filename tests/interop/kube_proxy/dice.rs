//! Chance that follows from a seed.

/// Numbers by chance (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 on.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap();
        usize::try_from(self.next() % limit).unwrap()
    }

    /// Whether it happens, in so many of a hundred.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// One of these, each as likely as its weight says.
    pub(super) fn weighted<T: Clone>(&mut self, of: &[(usize, T)]) -> T {
        let sum = of.iter().map(|(weight, _)| weight).sum();
        let mut number = self.below(sum);
        for (weight, value) in of {
            if number < *weight {
                return value.clone();
            }
            number -= weight;
        }
        unreachable!("the number is below the sum")
    }

    /// Puts them in any order.
    pub(super) fn shuffle<T>(&mut self, of: &mut [T]) {
        for last in (1..of.len()).rev() {
            of.swap(last, self.below(last + 1));
        }
    }

    /// One after the other, in any mixture.
    pub(super) fn mix<T>(&mut self, one: Vec<T>, other: Vec<T>) -> Vec<T> {
        let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
        let mut mixed = Vec::new();
        while one.peek().is_some() || other.peek().is_some() {
            let next = if self.chance(50) {
                one.next()
            } else {
                other.next()
            };
            mixed.extend(next);
        }
        mixed
    }
}
