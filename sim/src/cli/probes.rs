//! `probes`: after how many seeds each probe is hit and each unlikely choice made, and what `run` says of those that never
//! are (S9).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::batch::{Batch, sweep};
use super::record::{Origin, Outcome};
use super::report::Progress;
use super::{EXIT_BUG, EXIT_NOT_REACHED, EXIT_OK};
use crate::buggify::{self, Fires};
use crate::plan::Profile;
use crate::probes::{CATALOGUE, Entry, Probes};

/// Within so many full seeds every probe has to be hit.
const SEEDS: u64 = 2_000;

/// The first seed of a batch, counted from one, that hit each probe, by its name.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct FirstHits(BTreeMap<String, u64>);

impl FirstHits {
    /// The seed with this number, counted from one, hit `probes`.
    pub(super) fn note(&mut self, number: u64, probes: Probes) {
        for entry in CATALOGUE.iter().filter(|entry| probes.contains(entry.probe)) {
            let first = self.0.entry(entry.name.to_owned()).or_insert(number);
            *first = number.min(*first);
        }
    }

    /// How many probes were hit.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn never(&self) -> impl Iterator<Item = &'static Entry> {
        CATALOGUE.iter().filter(|entry| !self.0.contains_key(entry.name))
    }

    /// Another shard's: what either has hit, and sooner.
    pub(super) fn merge(&mut self, other: &Self) {
        for (name, &number) in &other.0 {
            let first = self.0.entry(name.clone()).or_insert(number);
            *first = number.min(*first);
        }
    }

    /// "61 of 63 probes".
    pub(super) fn count(&self) -> String {
        format!("{} of {} probes", self.len(), CATALOGUE.len())
    }
}

/// What came of each site of core's unlikely choices, by its name.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Choices(BTreeMap<String, Choice>);

/// What came of one site.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Choice {
    /// The first seed of a batch, counted from one, in which it fired.
    first: u64,
    /// Seeds in which it did.
    seeds: u64,
    /// How often it did in all of these.
    fires: u64,
}

impl Choices {
    /// In the seed with this number, counted from one, the sites fired so often.
    pub(super) fn note(&mut self, number: u64, fires: &Fires) {
        let fired = buggify::CATALOGUE.iter().map(|entry| (entry.name, fires.of(entry.site)));
        for (name, fires) in fired.filter(|&(_, fires)| fires > 0) {
            self.add(name, Choice { first: number, seeds: 1, fires });
        }
    }

    /// Another shard's.
    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, &choice)| self.add(name, choice));
    }

    fn add(&mut self, name: &str, more: Choice) {
        let choice = self.0.entry(name.to_owned()).or_insert(Choice { first: more.first, seeds: 0, fires: 0 });
        choice.first = choice.first.min(more.first);
        choice.seeds += more.seeds;
        choice.fires += more.fires;
    }

    fn never(&self) -> impl Iterator<Item = &'static buggify::Entry> {
        buggify::CATALOGUE.iter().filter(|entry| !self.0.contains_key(entry.name))
    }

    /// "32 of 32 unlikely choices".
    pub(super) fn count(&self) -> String {
        format!("{} of {} unlikely choices", self.0.len(), buggify::CATALOGUE.len())
    }

    fn table(&self) -> String {
        let mut entries: Vec<_> = buggify::CATALOGUE.iter().collect();
        entries.sort_by_key(|entry| Reverse(self.0.get(entry.name).map_or(u64::MAX, |choice| choice.first)));
        let mut table = "| site | the choice | seeds | in each of these |\n| --- | --- | --- | --- |\n".to_owned();
        for entry in entries {
            let told = self.0.get(entry.name).map_or_else(
                || "MISSED | 0".to_owned(),
                |choice| format!("{} | {}", choice.first, choice.fires / choice.seeds.max(1)),
            );
            table.push_str(&format!("| `{}` | {} | {told} |\n", entry.name, entry.choice));
        }
        table
    }
}

/// Measures all probes with the seeds of `batch`, and prints a table, misses first; returns the exit code.
pub(super) fn run(batch: &Batch) -> u8 {
    let (progress, mut outcome) = (Progress::new(batch, 0), Outcome::default());
    sweep(batch, &mut outcome, &AtomicBool::new(false), |outcome| progress.seed_done(outcome));
    progress.finish();
    let mut entries: Vec<&Entry> = CATALOGUE.iter().collect();
    let number = |entry: &Entry| outcome.first_hits.0.get(entry.name).copied().unwrap_or(u64::MAX);
    entries.sort_by_key(|entry| Reverse(number(entry)));
    println!("| probe | the moment | seeds |\n| --- | --- | --- |");
    for entry in entries {
        let seeds = outcome.first_hits.0.get(entry.name).map_or_else(|| "MISSED".to_owned(), u64::to_string);
        println!("| `{}` | {} | {seeds} |", entry.name, entry.moment);
    }
    println!("\n{}", outcome.choices.table());
    println!(
        "{} hit, {} made in {} seeds of profile {}",
        outcome.first_hits.count(),
        outcome.choices.count(),
        outcome.seeds,
        batch.profile.name()
    );
    match outcome.in_order(batch.seed_base).first() {
        Some((fingerprint, found)) => {
            println!("seed {:#x} failed: {fingerprint}", found.seed);
            EXIT_BUG
        }
        None if outcome.first_hits.never().next().is_some() || outcome.choices.never().next().is_some() => {
            EXIT_NOT_REACHED
        }
        None => EXIT_OK,
    }
}

/// Tells how many probes seeds that passed have hit, and which ones they should have; returns the exit code.
pub(super) fn judge(origin: &Origin, outcome: &Outcome) -> u8 {
    println!("{} hit, {} made", outcome.first_hits.count(), outcome.choices.count());
    let missed = missed(origin, outcome);
    missed.iter().for_each(|line| println!("{line}"));
    if missed.is_empty() { EXIT_OK } else { EXIT_NOT_REACHED }
}

/// A line for each probe and each choice that should have come in that many seeds and did not.
pub(super) fn missed(origin: &Origin, outcome: &Outcome) -> Vec<String> {
    let enough = outcome.seeds >= SEEDS && origin.profile == Profile::Full && origin.planted.is_none();
    let hit = outcome.first_hits.never().map(|entry| format!("never hit (S9): {}: {}", entry.name, entry.moment));
    let made = outcome.choices.never().map(|entry| format!("never made (S9): {}: {}", entry.name, entry.choice));
    hit.chain(made).filter(|_| enough).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::shard::Shard;
    use super::*;
    use crate::probes::hit;

    fn origin(profile: Profile, planted: Option<&str>) -> Origin {
        Origin::here(profile, planted.map(str::to_owned), 0, Shard::WHOLE)
    }

    /// What a batch has shown that hit all probes but the last, each in the seed with its own number, and in later ones.
    pub(crate) fn all_but_one(seeds: u64) -> Outcome {
        let mut outcome = Outcome { seeds, ..Outcome::default() };
        for (number, entry) in (1..).zip(&CATALOGUE[..CATALOGUE.len() - 1]) {
            hit(entry.probe);
            let probes = Probes::take();
            outcome.first_hits.note(number + 1_000, probes);
            outcome.first_hits.note(number, probes);
        }
        let mut fires = Fires::default();
        buggify::CATALOGUE.iter().for_each(|entry| fires.note(entry.site));
        outcome.choices.note(1, &fires);
        outcome
    }

    #[test]
    fn first_hit_is_the_lowest_number_in_whatever_order_seeds_end() {
        let outcome = all_but_one(SEEDS);
        assert_eq!(outcome.first_hits.0[CATALOGUE[4].name], 5);
        assert_eq!(
            outcome.first_hits.never().map(|entry| entry.probe).collect::<Vec<_>>(),
            [CATALOGUE.last().expect("one").probe]
        );
    }

    #[test]
    fn choices_of_shards_add_up() {
        let (one, other) = (buggify::CATALOGUE[0], buggify::CATALOGUE[1]);
        let noted = |number, sites: &[buggify::Site]| {
            let (mut choices, mut fires) = (Choices::default(), Fires::default());
            sites.iter().for_each(|&site| fires.note(site));
            choices.note(number, &fires);
            choices
        };
        let mut all = noted(5, &[one.site, one.site]);
        all.merge(&noted(3, &[one.site, other.site]));
        assert_eq!(all.0[one.name], Choice { first: 3, seeds: 2, fires: 3 });
        assert_eq!(all.0[other.name], Choice { first: 3, seeds: 1, fires: 1 });
        assert_eq!(all.never().count(), buggify::CATALOGUE.len() - 2);
    }

    #[test]
    fn probe_that_was_never_hit_fails_a_batch_of_enough_full_seeds() {
        let full = origin(Profile::Full, None);
        assert_eq!(judge(&full, &all_but_one(SEEDS)), EXIT_NOT_REACHED);
        assert_eq!(judge(&full, &all_but_one(SEEDS - 1)), EXIT_OK);
        assert_eq!(judge(&origin(Profile::Lite, None), &all_but_one(SEEDS)), EXIT_OK);
        assert_eq!(judge(&origin(Profile::Full, Some("zombie-write")), &all_but_one(SEEDS)), EXIT_OK);
        let mut all = all_but_one(SEEDS);
        hit(CATALOGUE.last().expect("one").probe);
        all.first_hits.note(7, Probes::take());
        assert_eq!(judge(&full, &all), EXIT_OK);
        all.choices.0.pop_last();
        assert_eq!(judge(&full, &all), EXIT_NOT_REACHED);
    }
}
