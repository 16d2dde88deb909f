//! Keyed randomness: a draw is a function of (seed, stream, entity, counter), so that removing one fault from a plan
//! leaves every other draw where it was.

use std::sync::atomic::{AtomicU64, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::planted::planted;

/// For a planted bug: what no two runs may share.
static SHARED: AtomicU64 = AtomicU64::new(0);

/// The draws of one entity in one stream, in order.
#[derive(Clone, Debug)]
pub struct Draws {
    rng: ChaCha8Rng,
}

impl Draws {
    /// `stream` names what is drawn ("net", "disk", "plan", ...), `entity` which of them.
    #[must_use]
    pub fn new(seed: u64, stream: &str, entity: u64) -> Self {
        // The stream's name goes into the key whole: at most 16 bytes, so that two names never meet.
        assert!(stream.len() <= 16, "a stream's name has at most 16 bytes: {stream}");
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&entity.to_le_bytes());
        key[16..16 + stream.len()].copy_from_slice(stream.as_bytes());
        if stream == "disk" && planted!(DrawShared) {
            key[24..].copy_from_slice(&SHARED.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        }
        Self { rng: ChaCha8Rng::from_seed(key) }
    }

    /// The next 64 random bits.
    pub fn u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of a multiplication by a bound far below 2^64 is of no account here.
        ((u128::from(self.u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True `numerator` times in `denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// A number in `low..=high`, each order of magnitude as likely as another.
    pub fn log_between(&mut self, low: u64, high: u64) -> u64 {
        let bits = self.between(u64::from(low.max(1).ilog2()), u64::from(high.max(1).ilog2()));
        let floor = 1u64 << bits;
        self.between(floor, floor.saturating_mul(2) - 1).clamp(low, high)
    }
}

/// An entity's number by its name (FNV-1a).
#[must_use]
pub fn key_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_of_one_entity_do_not_move_those_of_another() {
        let mut alone = Draws::new(7, "net", 1);
        let expected = [alone.u64(), alone.u64()];
        let (mut first, mut second) = (Draws::new(7, "net", 1), Draws::new(7, "net", 2));
        assert_eq!(
            [first.u64(), {
                second.u64();
                first.u64()
            }],
            expected
        );
        assert_ne!(second.u64(), expected[1]);
    }

    #[test]
    fn bounds_hold() {
        let mut draws = Draws::new(1, "test", 0);
        for _ in 0..1_000 {
            assert!(draws.below(3) < 3);
            assert!((5..=9).contains(&draws.between(5, 9)));
            assert!((1..=1_000_000).contains(&draws.log_between(1, 1_000_000)));
        }
    }
}
