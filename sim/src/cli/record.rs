//! What is kept of a run of many seeds: the file of `--json` and `--resume`, and what `merge` reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::checkout::Checkout;
use super::coverage::CellCounts;
use super::probes::{Choices, FirstHits};
use super::shard::Shard;
use crate::plan::{Profile, hexadecimal};
use crate::shrink::Size;
use crate::verdict::{Stats, Verdict, oracle_name};

/// A run of many seeds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Who runs what.
    #[serde(flatten)]
    pub(super) origin: Origin,
    /// What it has shown so far.
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// Who runs what. Two runs with the same origin, but for the host, do the same.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Origin {
    pub(super) version: String,
    /// "rustc 1.95.0": what built it.
    #[serde(default)]
    pub(super) compiler: String,
    /// None without a checkout.
    pub(super) commit: Option<String>,
    pub(super) dirty: bool,
    pub(super) assertions: bool,
    pub(super) profile: Profile,
    pub(super) planted: Option<String>,
    #[serde(with = "hexadecimal")]
    pub(super) seed_base: u64,
    pub(super) shard: Shard,
    pub(super) host: String,
}

/// What the seeds of a run have shown: always its first seeds, without a gap, however many run at a time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Seeds that ran.
    pub(super) seeds: u64,
    /// Of these, run a second time (S7).
    pub(super) twice: u64,
    /// Real time, in milliseconds.
    pub(super) real_ms: u64,
    /// The sum of all runs.
    pub(super) stats: Stats,
    /// Seeds in a row, up to the last one, that showed neither a path, a probe nor a fingerprint that was new.
    pub(super) quiet: u64,
    /// It was stopped from outside, or is still running.
    pub(super) incomplete: bool,
    /// Which of its seeds, counted from one, hit each probe first.
    pub(super) first_hits: FirstHits,
    /// How many of its seeds have been in each cell of core's state machines.
    #[serde(skip)]
    pub(super) cells: CellCounts,
    /// What came of each site of core's unlikely choices.
    pub(super) choices: Choices,
    /// By fingerprint.
    pub(super) found: BTreeMap<String, Found>,
    /// All paths seen (see [`crate::paths`]).
    pub(super) paths: BTreeSet<u32>,
}

/// All failures with one fingerprint.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// The first seed.
    #[serde(with = "hexadecimal")]
    pub(super) seed: u64,
    /// How many seeds failed so.
    pub(super) seeds: u64,
    /// The rule that the first seed broke first.
    pub(super) oracle: String,
    /// All that was wrong in the first seed.
    pub(super) stories: Vec<String>,
    /// What became of its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) small: Option<Small>,
}

/// The plan of a failure, made small.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Small {
    /// Its file.
    pub(super) plan: String,
    /// What is left in it.
    #[serde(flatten)]
    pub(super) size: Size,
}

impl Origin {
    pub(super) fn here(profile: Profile, planted: Option<String>, seed_base: u64, shard: Shard) -> Self {
        let checkout = Checkout::find();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            compiler: env!("QUINTAIN_COMPILER").to_owned(),
            dirty: checkout.as_ref().is_some_and(|checkout| checkout.dirty),
            commit: checkout.map(|checkout| checkout.commit),
            assertions: cfg!(debug_assertions),
            profile,
            planted,
            seed_base,
            shard,
            host: host(),
        }
    }

    /// In what the code or the kind of the runs differ, so that their seeds are not of one kind.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let kind = |origin: &Self| {
            let built = if origin.assertions { "assertions on" } else { "assertions off" };
            [
                format!("version {}", origin.version),
                origin.commit_name().unwrap_or_else(|| "no commit".to_owned()),
                format!("profile {}", origin.profile.name()),
                format!("planted {}", origin.planted.as_deref().unwrap_or("nothing")),
                built.to_owned(),
            ]
        };
        let pairs = kind(self).into_iter().zip(kind(other));
        pairs.into_iter().find(|(one, other)| one != other).map(|(one, other)| format!("{one} and {other}"))
    }

    /// "commit 3f2a1c9d8e7b", with "(dirty)" where it is.
    pub(super) fn commit_name(&self) -> Option<String> {
        let dirty = if self.dirty { " (dirty)" } else { "" };
        self.commit.as_ref().map(|commit| format!("commit {}{dirty}", &commit[..commit.len().min(12)]))
    }

    /// The one line that does it again; with the size and the command of the small plan, if there is one.
    pub(super) fn repro(&self, found: &Found) -> String {
        let line = repro_line(self, &format!("{:#x}", found.seed), &found.oracle, None);
        match &found.small {
            Some(Small { plan, size }) => format!("{line}, {size}: cargo sim repro {plan}"),
            None => line,
        }
    }
}

/// The line that runs `what`, a seed or a file, again. Only where the commit says it all does it name the commit. It tells
/// the size where there is one to tell.
pub(super) fn repro_line(origin: &Origin, what: &str, oracle: &str, size: Option<Size>) -> String {
    let mut line = match &origin.commit {
        Some(commit) if !origin.dirty => format!("git checkout {} && ", &commit[..commit.len().min(12)]),
        _ => String::new(),
    };
    line.push_str("cargo sim repro ");
    line.push_str(what);
    if !what.ends_with(".toml") {
        line.push_str(" --profile ");
        line.push_str(origin.profile.name());
        if let Some(name) = &origin.planted {
            line.push_str(" --planted ");
            line.push_str(name);
        }
    }
    let size = size.map(|size| format!(", {size}")).unwrap_or_default();
    format!("{line}   # {oracle} {}{size}", oracle_name(oracle))
}

impl Outcome {
    /// The next seed has run.
    pub(super) fn add(&mut self, seed: u64, verdict: &Verdict, twice: bool) {
        self.seeds += 1;
        self.twice += u64::from(twice);
        self.stats.add(&verdict.stats);
        let known = self.known();
        self.first_hits.note(self.seeds, verdict.stats.probes);
        self.cells.note(&verdict.stats.cells);
        self.choices.note(self.seeds, &verdict.stats.fires);
        self.paths.extend(&verdict.paths);
        if let Some(first) = verdict.failures.first() {
            let new = || Found {
                seed,
                seeds: 0,
                oracle: first.oracle.to_owned(),
                stories: verdict.failures.iter().map(ToString::to_string).collect(),
                small: None,
            };
            self.found.entry(first.fingerprint()).or_insert_with(new).seeds += 1;
        }
        self.quiet = if self.known() == known { self.quiet + 1 } else { 0 };
    }

    /// What it has seen that was new when it came: paths, probes and fingerprints.
    fn known(&self) -> usize {
        self.paths.len() + self.first_hits.len() + self.found.len()
    }

    /// What was found, the first seeds from `seed_base` on first.
    pub(super) fn in_order(&self, seed_base: u64) -> Vec<(&str, &Found)> {
        let mut found: Vec<_> = self.found.iter().map(|(fingerprint, found)| (fingerprint.as_str(), found)).collect();
        found.sort_by_key(|(_, found)| found.seed.wrapping_sub(seed_base));
        found
    }
}

impl Record {
    /// Reads it from `path`.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{} is not of --json: {error}", path.display()))
    }

    /// Writes it to `path`, whole or not at all. Each failure gets its repro line, for those that read nothing else.
    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        let mut json = serde_json::to_value(self).expect("a record is JSON");
        for (fingerprint, found) in &self.outcome.found {
            json["found"][fingerprint]["repro"] = self.origin.repro(found).into();
        }
        let text = json.to_string();
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let written = std::fs::write(&beside, text + "\n").and_then(|()| std::fs::rename(&beside, path));
        written.map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::probes::{CATALOGUE, Probes, hit};
    use crate::verdict::Failure;

    /// A shard of a lite run of ten seeds each, of which some failed: (seed, oracle, message).
    pub(crate) fn record(shard: &str, seed_base: u64, failed: &[(u64, &'static str, &str)]) -> Record {
        let shard = shard.parse().expect("it is one");
        let mut outcome = Outcome::default();
        for &(seed, oracle, message) in failed {
            let failures = vec![Failure { oracle, message: message.to_owned() }];
            outcome.add(seed, &Verdict { failures, ..Verdict::default() }, false);
        }
        outcome.seeds = 10;
        let origin = Origin { commit: None, dirty: false, ..Origin::here(Profile::Lite, None, seed_base, shard) };
        Record { origin, outcome }
    }

    #[test]
    fn record_is_the_same_after_it_was_written_and_read() {
        let path = std::env::temp_dir().join(format!("quintain-record-{}.json", std::process::id()));
        let mut written = record("3/8", u64::MAX, &[(2, "I5", "9 R2Ts"), (10, "S6", "panicked at a.rs:1:1:\n\"x\"")]);
        written.outcome.paths.extend([1, 77]);
        written.write(&path).expect("a place for files");
        let read = Record::read(&path);
        std::fs::remove_file(&path).expect("it was written");
        assert_eq!(read, Ok(written));
    }

    #[test]
    fn seed_is_quiet_when_neither_a_path_a_probe_nor_a_fingerprint_is_new() {
        let verdict = |paths: &[u32], message: &str| {
            let failures =
                if message.is_empty() { vec![] } else { vec![Failure { oracle: "B1", message: message.to_owned() }] };
            Verdict { paths: paths.to_vec(), failures, ..Verdict::default() }
        };
        let mut outcome = Outcome::default();
        let mut quiet = |verdict: Verdict| {
            outcome.add(outcome.seeds, &verdict, false);
            outcome.quiet
        };
        assert_eq!(quiet(verdict(&[1, 2], "")), 0);
        assert_eq!(quiet(verdict(&[2], "")), 1);
        assert_eq!(quiet(verdict(&[1], "")), 2);
        assert_eq!(quiet(verdict(&[1], "sector 4 is torn")), 0);
        assert_eq!(quiet(verdict(&[1], "sector 7 is torn")), 1);
        assert_eq!(quiet(verdict(&[3], "")), 0);
        let reached = |paths: &[u32]| {
            hit(CATALOGUE[7].probe);
            let stats = Stats { probes: Probes::take(), ..Stats::default() };
            Verdict { stats, ..verdict(paths, "") }
        };
        assert_eq!(quiet(reached(&[1])), 0, "a probe was hit for the first time");
        assert_eq!(quiet(reached(&[1])), 1);
    }

    #[test]
    fn repro_line_names_the_commit_only_where_it_says_all() {
        let mut origin = record("0/1", 0, &[]).origin;
        assert_eq!(repro_line(&origin, "0x2", "B1", None), "cargo sim repro 0x2 --profile lite   # B1 linearizability");
        origin.commit = Some("3f2a1c9d8e7b6a5f".to_owned());
        let clean = "git checkout 3f2a1c9d8e7b && cargo sim repro a.toml   # B1 linearizability, 1 operation, 2 faults";
        let size = Some(Size { operations: 1, faults: 2, initiators: 1 });
        assert_eq!(repro_line(&origin, "a.toml", "B1", size), clean);
        origin.dirty = true;
        assert_eq!(repro_line(&origin, "a.toml", "B1", None), "cargo sim repro a.toml   # B1 linearizability");
    }

    /// It once told neither what the shrinker had left, nor how to run that.
    #[test]
    fn repro_line_of_a_failure_that_was_made_small_tells_its_size_and_its_plan() {
        let mut record = record("0/1", 0, &[(2, "I5", "9 R2Ts")]);
        let Record { origin, outcome } = &mut record;
        let found = outcome.found.values_mut().next().expect("there is one");
        assert_eq!(origin.repro(found), "cargo sim repro 0x2 --profile lite   # I5 R2T");
        let size = Size { operations: 1, faults: 0, initiators: 1 };
        found.small = Some(Small { plan: "repro/0x2.small.toml".to_owned(), size });
        let line = "cargo sim repro 0x2 --profile lite   # I5 R2T, 1 operation, 0 faults: cargo sim repro repro/0x2.small.toml";
        assert_eq!(origin.repro(found), line);
        let path = std::env::temp_dir().join(format!("quintain-small-{}.json", std::process::id()));
        record.write(&path).expect("a place for files");
        let text = std::fs::read_to_string(&path).expect("it was written");
        let read = Record::read(&path);
        std::fs::remove_file(&path).expect("it was written");
        assert!(text.contains(&format!("\"repro\":\"{line}\"")), "{text}");
        assert_eq!(read, Ok(record));
    }
}
