//! Which probes a run has hit (S9): the catalogue is core's (`core/src/probe.rs`).

pub use quintain_core::probe::{CATALOGUE, Entry, Probe, hit};

/// A set of probes: bit n is the n-th of [`CATALOGUE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Probes(u128);

impl Probes {
    /// What was hit on this thread since the last time it was asked.
    #[must_use]
    pub fn take() -> Self {
        Self(quintain_core::probe::take())
    }

    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether `probe` is among them.
    #[must_use]
    pub fn contains(self, probe: Probe) -> bool {
        self.0 >> probe as u32 & 1 == 1
    }

    /// How many they are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn place_in_the_catalogue_is_the_number_of_the_probe() {
        assert!(CATALOGUE.iter().enumerate().all(|(place, entry)| entry.probe as usize == place));
        let names: BTreeSet<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), CATALOGUE.len(), "two probes have one name");
    }

    #[test]
    fn what_was_hit_is_told_once() {
        let (first, last) = (CATALOGUE[0].probe, CATALOGUE[CATALOGUE.len() - 1].probe);
        hit(first);
        hit(last);
        hit(last);
        let probes = Probes::take();
        assert!(probes.contains(first) && probes.contains(last) && !probes.contains(CATALOGUE[1].probe));
        assert_eq!(probes.len(), 2);
        assert!(Probes::take().is_empty());
    }
}
