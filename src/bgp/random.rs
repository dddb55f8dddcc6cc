//! The one source of chance in the core: a small generator that a seed fully determines.
//!
//! Used for jitter only, so that many speakers that lost one router do not return to it in
//! step. It must never be used for anything an attacker must not guess.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose every answer follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number; all 2^64 of them come before the first returns.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The interval times a factor between 0.75 and 1.0 (RFC 4271 section 10).
    pub fn jitter(&mut self, interval: Duration) -> Duration {
        let thousandths = 750 + u32::try_from(self.next_u64() % 251).expect("at most 250");
        interval * thousandths / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence_comes_out() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn jitter_stays_between_three_quarters_and_the_whole() {
        let mut random = Random::new(7);
        let interval = Duration::from_secs(1000);
        let drawn: Vec<_> = (0..1000).map(|_| random.jitter(interval)).collect();
        assert!(drawn.iter().all(|d| (750..=1000).contains(&d.as_secs())));
        assert!(drawn.iter().any(|d| d.as_secs() < 770));
        assert!(drawn.iter().any(|d| d.as_secs() > 980));
    }
}
