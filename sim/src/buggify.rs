//! The unlikely choices of core that a run makes: the catalogue is core's (`core/src/buggify.rs`), the draws are keyed
//! here.

use std::cell::Cell;
use std::rc::Rc;

pub use quintain_core::buggify::{CATALOGUE, Entry, Site};

use crate::random::{Draws, key_of};

/// How often each site fired, in the order of [`CATALOGUE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fires([u64; CATALOGUE.len()]);

impl Default for Fires {
    fn default() -> Self {
        Self([0; CATALOGUE.len()])
    }
}

impl Fires {
    /// Of this site.
    #[must_use]
    pub fn of(&self, site: Site) -> u64 {
        self.0[site as usize]
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, fires)| *sum += fires);
    }

    /// One more of this site.
    pub fn note(&mut self, site: Site) {
        self.0[site as usize] += 1;
    }
}

/// Makes `sites` active for all that runs on this thread from now on, and counts what they do. Each draws from a stream of
/// its own, so that one more or less moves no other.
#[must_use]
pub fn activate(seed: u64, sites: &[Site]) -> Rc<Cell<Fires>> {
    let fires = Rc::<Cell<Fires>>::default();
    let counted = fires.clone();
    let mut draws: Vec<Draws> = CATALOGUE.iter().map(|entry| Draws::new(seed, "buggify", key_of(entry.name))).collect();
    let chooser = move |site: Site| {
        let place = site as usize;
        let chosen = draws[place].chance(1, CATALOGUE[place].one_in);
        if chosen {
            let mut fires = counted.get();
            fires.note(site);
            counted.set(fires);
        }
        chosen
    };
    let active = sites.iter().fold(0, |active, &site| active | 1 << site as u32);
    quintain_core::buggify::activate(active, Box::new(chooser));
    fires
}

/// Sites in a plan, by their names.
pub(crate) mod names {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{CATALOGUE, Site};

    pub(crate) fn serialize<S: Serializer>(sites: &[Site], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(sites.iter().map(|&site| CATALOGUE[site as usize].name))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Site>, D::Error> {
        let site = |name: String| {
            let entry = CATALOGUE.iter().find(|entry| entry.name == name);
            entry.map(|entry| entry.site).ok_or_else(|| D::Error::custom(format!("no site is called {name}")))
        };
        Vec::deserialize(deserializer)?.into_iter().map(site).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quintain_core::buggify::fires;

    use super::*;

    #[test]
    fn catalogue_has_25_sites_or_more_and_each_its_place_and_name() {
        assert!(CATALOGUE.len() >= 25, "{} sites", CATALOGUE.len());
        assert!(CATALOGUE.iter().enumerate().all(|(place, entry)| entry.site as usize == place));
        let names: BTreeSet<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), CATALOGUE.len(), "two sites have one name");
        assert!(CATALOGUE.iter().all(|entry| entry.one_in > 1), "what is always chosen is no choice");
    }

    #[test]
    fn site_fires_only_where_it_is_active_and_whatever_others_do() {
        let (one, other) = (CATALOGUE[3].site, CATALOGUE[5].site);
        let _ = activate(7, &[one]);
        let alone: Vec<bool> = (0..100).map(|_| fires(one)).collect();
        assert!((0..100).all(|_| !fires(other)));
        let counted = activate(7, &[one, other]);
        let beside: Vec<bool> = (0..100).map(|_| (fires(other), fires(one)).1).collect();
        assert_eq!(alone, beside);
        assert_eq!(counted.get().of(one), alone.iter().filter(|&&fired| fired).count() as u64);
        assert!(counted.get().of(one) > 0 && counted.get().of(other) > 0);
    }
}
