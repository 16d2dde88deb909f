//! `merge`: one result out of those of many shards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::files::Files;
use super::probes::judge;
use super::record::{Found, Outcome, Record};
use super::report::{banner, summary};
use super::shard::Shard;
use super::{EXIT_BUG, EXIT_INCOMPLETE, EXIT_OK, EXIT_USAGE};

/// Merges the records in `paths`, says what they come to and writes `files`; returns the exit code.
pub(super) fn run(paths: &[PathBuf], files: &Files) -> u8 {
    match merge(paths).and_then(|records| files.write(&records).map(|()| records)) {
        Ok(records) => tell(&records),
        Err(message) => {
            eprintln!("{message}");
            EXIT_USAGE
        }
    }
}

fn merge(paths: &[PathBuf]) -> Result<Vec<Record>, String> {
    let mut named = Vec::new();
    for path in paths {
        named.push((path.display().to_string(), Record::read(path)?));
    }
    named.sort_by_key(|(_, record)| (record.origin.seed_base, record.origin.shard));
    check(&named)?;
    Ok(named.into_iter().map(|(_, record)| record).collect())
}

/// No seed is in two of them, and all seeds are of one kind.
fn check(named: &[(String, Record)]) -> Result<(), String> {
    for (at, (name, record)) in named.iter().enumerate() {
        for (earlier_name, earlier) in &named[..at] {
            if let Some(difference) = earlier.origin.difference(&record.origin) {
                return Err(format!("{earlier_name} and {name} do not belong together: {difference}"));
            }
            if overlap(earlier, record) {
                return Err(format!("{earlier_name} and {name} have seeds in common; give only one of them"));
            }
        }
    }
    Ok(())
}

fn overlap(one: &Record, other: &Record) -> bool {
    let (few, many) = if one.outcome.seeds < other.outcome.seeds { (one, other) } else { (other, one) };
    // Shards of one run need not be looked through.
    if few.origin.seed_base == many.origin.seed_base && few.origin.shard.of() == many.origin.shard.of() {
        return few.origin.shard == many.origin.shard && few.outcome.seeds > 0;
    }
    let seed = |index| few.origin.shard.seed(few.origin.seed_base, index);
    let has = |seed| many.origin.shard.has(many.origin.seed_base, many.outcome.seeds, seed);
    (0..few.outcome.seeds).any(|index| has(seed(index)))
}

fn tell(records: &[Record]) -> u8 {
    let total = Total::of(records);
    records.iter().for_each(|record| println!("{}: {} seeds", banner(&record.origin), record.outcome.seeds));
    println!("{} results merged; the time is that of all machines together", records.len());
    println!("{}", summary(&total.outcome));
    total.absent.iter().chain(&total.stopped).for_each(|line| println!("{line}"));
    if total.found.is_empty() {
        println!("all {} seeds passed", total.outcome.seeds);
        // What is too little in each shard may be enough in all.
        let code = records.first().map_or(EXIT_OK, |record| judge(&record.origin, &total.outcome));
        return if total.absent.is_empty() && total.stopped.is_empty() { code } else { EXIT_INCOMPLETE };
    }
    for (fingerprint, found) in &total.found {
        println!("{} seeds failed like {:#x}: {fingerprint}", found.seeds, found.seed);
        found.stories.first().into_iter().for_each(|story| println!("  {story}"));
    }
    // As `run` does: the first one last.
    total.repro.iter().rev().for_each(|line| println!("{line}"));
    EXIT_BUG
}

/// What several records come to.
pub(super) struct Total {
    /// The sum; `found` and `quiet` are left empty.
    pub(super) outcome: Outcome,
    /// By fingerprint, the first seed first.
    pub(super) found: Vec<(String, Found)>,
    /// For each of these the line that does it again.
    pub(super) repro: Vec<String>,
    /// Which shards should be there and are not, in words.
    pub(super) absent: Vec<String>,
    /// Which ones did not come to their end.
    pub(super) stopped: Vec<String>,
}

impl Total {
    pub(super) fn of(records: &[Record]) -> Self {
        let mut outcome = Outcome::default();
        let mut first: BTreeMap<&str, (u64, Found, &Record)> = BTreeMap::new();
        for record in records {
            outcome.seeds += record.outcome.seeds;
            outcome.twice += record.outcome.twice;
            outcome.real_ms += record.outcome.real_ms;
            outcome.stats.add(&record.outcome.stats);
            outcome.first_hits.merge(&record.outcome.first_hits);
            outcome.choices.merge(&record.outcome.choices);
            outcome.paths.extend(&record.outcome.paths);
            for (fingerprint, found) in &record.outcome.found {
                let place = found.seed.wrapping_sub(record.origin.seed_base);
                let known =
                    first.entry(fingerprint).or_insert_with(|| (place, Found { seeds: 0, ..found.clone() }, record));
                let seeds = known.1.seeds + found.seeds;
                if place < known.0 {
                    *known = (place, found.clone(), record);
                }
                known.1.seeds = seeds;
            }
        }
        let mut first: Vec<_> = first.into_iter().collect();
        first.sort_by_key(|(_, (place, _, _))| *place);
        let repro = first.iter().map(|(_, (_, found, record))| record.origin.repro(found)).collect();
        let found = first.into_iter().map(|(fingerprint, (_, found, _))| (fingerprint.to_owned(), found)).collect();
        Self { outcome, found, repro, absent: absent(records), stopped: stopped(records) }
    }
}

/// Shards of which others of the same run are there.
fn absent(records: &[Record]) -> Vec<String> {
    let mut runs: BTreeMap<(u64, u64), BTreeSet<Shard>> = BTreeMap::new();
    for record in records {
        runs.entry((record.origin.seed_base, record.origin.shard.of())).or_default().insert(record.origin.shard);
    }
    let mut lines = Vec::new();
    for ((_, of), shards) in &runs {
        let there: BTreeSet<u64> = shards.iter().map(|shard| shard.number()).collect();
        let gone: Vec<String> =
            (0..*of).filter(|number| !there.contains(number)).map(|number| number.to_string()).collect();
        if !gone.is_empty() {
            lines.push(format!("{} of {of} shards are missing: {}", gone.len(), gone.join(", ")));
        }
    }
    lines
}

fn stopped(records: &[Record]) -> Vec<String> {
    let stopped = records.iter().filter(|record| record.outcome.incomplete);
    stopped.map(|record| format!("shard {} was stopped before its end", record.origin.shard)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::EXIT_NOT_REACHED;
    use super::super::probes::tests::all_but_one;
    use super::super::record::tests::record;
    use super::*;
    use crate::plan::Profile;

    fn checked(records: &[Record]) -> Result<(), String> {
        let named: Vec<_> =
            records.iter().enumerate().map(|(at, record)| (format!("{at}.json"), record.clone())).collect();
        check(&named)
    }

    #[test]
    fn first_failure_of_each_fingerprint_is_the_first_in_the_run_and_not_in_the_list() {
        let base = u64::MAX - 2;
        let found = [
            record("0/2", base, &[(base.wrapping_add(4), "I5", "8 R2Ts"), (base.wrapping_add(6), "B2", "x")]),
            record("1/2", base, &[(base.wrapping_add(1), "I5", "9 R2Ts")]),
        ];
        let total = Total::of(&found);
        assert_eq!((total.outcome.seeds, total.absent.len(), total.stopped.len()), (20, 0, 0));
        let told: Vec<_> = total.found.iter().map(|(name, found)| (name.as_str(), found.seed, found.seeds)).collect();
        assert_eq!(told, [("I5 N R2Ts", u64::MAX - 1, 2), ("B2 x", 3, 1)]);
        assert_eq!(total.repro[1], "cargo sim repro 0x3 --profile lite   # B2 fence");
        assert_eq!(checked(&found), Ok(()));
    }

    #[test]
    fn seeds_in_common_are_refused() {
        let message = checked(&[record("0/2", 0, &[]), record("0/2", 0, &[])]).expect_err("the same");
        assert_eq!(message, "0.json and 1.json have seeds in common; give only one of them");
        // Ten seeds each: 0, 2, 4 ... 18 and 9 to 18.
        assert!(checked(&[record("0/2", 0, &[]), record("0/1", 9, &[])]).is_err());
        assert_eq!(checked(&[record("0/2", 0, &[]), record("0/1", 19, &[])]), Ok(()));
        assert_eq!(checked(&[record("0/2", 0, &[]), record("0/2", 1, &[])]), Ok(()));
    }

    #[test]
    fn other_code_or_profile_is_refused() {
        let mut other = record("1/2", 0, &[]);
        other.origin.commit = Some("0123456789abcdef".to_owned());
        let message = checked(&[record("0/2", 0, &[]), other.clone()]).expect_err("another commit");
        assert_eq!(message, "0.json and 1.json do not belong together: no commit and commit 0123456789ab");
        other.origin.commit = None;
        other.origin.planted = Some("zombie-write".to_owned());
        assert!(checked(&[record("0/2", 0, &[]), other]).is_err());
    }

    #[test]
    fn shards_that_are_not_there_are_named() {
        let mut early = record("4/5", 0, &[]);
        early.outcome.incomplete = true;
        let total = Total::of(&[record("0/5", 0, &[]), early]);
        assert_eq!(total.absent, ["3 of 5 shards are missing: 1, 2, 3"]);
        assert_eq!(total.stopped, ["shard 4/5 was stopped before its end"]);
    }

    /// It once ended as if all had been there.
    #[test]
    fn result_without_all_its_shards_is_none() {
        let all = [record("0/2", 0, &[]), record("1/2", 0, &[])];
        assert_eq!(tell(&all), EXIT_OK);
        assert_eq!(tell(&all[1..]), EXIT_INCOMPLETE);
        let mut stopped = all;
        stopped[0].outcome.incomplete = true;
        assert_eq!(tell(&stopped), EXIT_INCOMPLETE);
        assert_eq!(tell(&[record("1/2", 0, &[(3, "I5", "9 R2Ts")])]), EXIT_BUG, "what was found is more");
    }

    /// Nobody once judged the probes of a run in shards, each of which is too small for it.
    #[test]
    fn probe_that_no_shard_has_hit_fails_all_together() {
        let half = |shard, seeds| {
            let mut half = record(shard, 0, &[]);
            half.origin.profile = Profile::Full;
            half.outcome = all_but_one(seeds);
            half
        };
        assert_eq!(tell(&[half("0/2", 1_000), half("1/2", 1_000)]), EXIT_NOT_REACHED);
        assert_eq!(tell(&[half("0/2", 1_000), half("1/2", 999)]), EXIT_OK);
        let mut stopped = half("1/2", 1_000);
        stopped.outcome.incomplete = true;
        assert_eq!(tell(&[half("0/2", 1_000), stopped]), EXIT_INCOMPLETE);
    }
}
