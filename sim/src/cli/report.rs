//! What the user sees: banner, progress, summary.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::batch::Batch;
use super::record::{Origin, Outcome};
use super::shard::Shard;
use crate::plan::Plan;
use crate::strikes::kind_name;
use crate::trace::hash_of;

/// Time between two lines of progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// Steps of a bar whose end is a time.
const BAR_STEPS: u64 = 1_000;

/// Who runs what.
pub(super) fn banner(origin: &Origin) -> String {
    let mut parts = vec![format!("quintain-sim {}", origin.version)];
    // Results of older versions do not say.
    parts.extend(Some(origin.compiler.clone()).filter(|compiler| !compiler.is_empty()));
    parts.extend(origin.commit_name());
    parts.push(format!("seeds from {:#x}", origin.seed_base));
    if origin.shard != Shard::WHOLE {
        parts.push(format!("shard {}", origin.shard));
    }
    parts.push(format!("profile {}", origin.profile.name()));
    parts.push(if origin.assertions { "assertions on" } else { "assertions off" }.to_owned());
    parts.extend(origin.planted.as_ref().map(|name| format!("planted {name}")));
    parts.push(format!("{} on {} {}", origin.host, std::env::consts::OS, std::env::consts::ARCH));
    parts.join(" · ")
}

/// The banner of one plan: its hash, which says whether two are the same, and the kinds of its faults.
pub(super) fn plan_banner(origin: &Origin, plan: &Plan) -> String {
    let hash = hash_of(&plan.to_toml());
    let kinds: BTreeSet<String> = plan.faults.iter().map(|fault| kind_name(&fault.kind)).collect();
    let kinds = match kinds.len() {
        0 => "no faults".to_owned(),
        _ => format!("faults {}", kinds.into_iter().collect::<Vec<_>>().join(", ")),
    };
    banner(origin).replacen("seeds from", "seed", 1) + &format!(" · plan {hash:032x} · {kinds}")
}

/// A bar on a terminal, a line now and then otherwise.
pub(super) struct Progress<'a> {
    batch: &'a Batch,
    bar: Option<ProgressBar>,
    start: Instant,
    /// Seeds that were there before it started.
    before: u64,
    last_line: Cell<Instant>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(batch: &'a Batch, before: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {msg}");
            ProgressBar::new(BAR_STEPS).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { batch, bar, start: Instant::now(), before, last_line: Cell::new(Instant::now()) }
    }

    pub(super) fn seed_done(&self, outcome: &Outcome) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.line(outcome, self.start.elapsed()));
            bar.set_position(self.part_done(outcome, self.start.elapsed()));
        } else if self.last_line.get() + LINE_EVERY < Instant::now() {
            self.last_line.set(Instant::now());
            println!("{}", self.line(outcome, self.start.elapsed()));
        }
    }

    /// Real time since the start.
    pub(super) fn finish(&self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.start.elapsed()
    }

    fn line(&self, outcome: &Outcome, elapsed: Duration) -> String {
        let mut line = outcome.seeds.to_string();
        if let Some(share) = self.batch.share() {
            line.push_str(&format!(" of {share}"));
        }
        line.push_str(&format!(" seeds, {} a second, ", per_second(outcome.seeds - self.before, elapsed)));
        line.push_str(&failures(outcome));
        line.push_str(&format!(
            ", {}, {} paths, {} s of virtual time",
            outcome.first_hits.count(),
            outcome.paths.len(),
            outcome.stats.virtual_us / 1_000_000
        ));
        if let Some(quiet) = self.batch.until_stable {
            line.push_str(&format!(", nothing new in {} of {quiet} seeds", outcome.quiet));
        }
        if let Some(left) = self.left(outcome, elapsed) {
            line.push_str(&format!(", {} s left", left.as_secs()));
        }
        line
    }

    /// By the seeds or by the time, whichever ends it sooner.
    fn left(&self, outcome: &Outcome, elapsed: Duration) -> Option<Duration> {
        let ran = outcome.seeds - self.before;
        let by_seeds = self.batch.share().filter(|_| ran > 0).map(|share| {
            let milliseconds = elapsed.as_millis() * u128::from(share.saturating_sub(outcome.seeds)) / u128::from(ran);
            Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
        });
        let by_time = self.batch.time.map(|time| time.saturating_sub(elapsed));
        by_seeds.into_iter().chain(by_time).min()
    }

    fn part_done(&self, outcome: &Outcome, elapsed: Duration) -> u64 {
        let left = self.left(outcome, elapsed).map_or(u128::MAX, |left| left.as_millis());
        let all = elapsed.as_millis().saturating_add(left).max(1);
        (elapsed.as_millis() * u128::from(BAR_STEPS) / all) as u64
    }
}

/// "none failed", or "I5 x 3, B2 x 1": how often each fingerprint, by its oracle.
pub(super) fn failures(outcome: &Outcome) -> String {
    if outcome.found.is_empty() {
        return "none failed".to_owned();
    }
    let each: Vec<_> = outcome.found.values().map(|found| format!("{} x {}", found.oracle, found.seeds)).collect();
    each.join(", ")
}

/// The numbers of a batch; seeds per second are of real time, over all jobs.
pub(super) fn summary(outcome: &Outcome) -> String {
    let seeds = outcome.seeds.max(1);
    let stats = &outcome.stats;
    let elapsed = Duration::from_millis(outcome.real_ms);
    format!(
        "{} seeds in {}.{} s: {} seeds a second, {} run twice, {} paths\n\
         per seed: {} commands ({} GOOD), {}.{} faults, {} logins ({}.{} to a session that was there), {} attacks, {} events, {} s of virtual time",
        outcome.seeds,
        elapsed.as_secs(),
        elapsed.subsec_millis() / 100,
        per_second(outcome.seeds + outcome.twice, elapsed),
        outcome.twice,
        outcome.paths.len(),
        stats.commands / seeds,
        stats.good / seeds,
        stats.faults / seeds,
        stats.faults * 10 / seeds % 10,
        stats.logins / seeds,
        stats.continued / seeds,
        stats.continued * 10 / seeds % 10,
        stats.attacks / seeds,
        stats.events / seeds,
        stats.virtual_us / seeds / 1_000_000,
    )
}

/// What was found: for each fingerprint the first seed, with all that was wrong in it.
pub(super) fn stories(origin: &Origin, outcome: &Outcome) -> String {
    let mut text = String::new();
    for (fingerprint, found) in outcome.in_order(origin.seed_base) {
        let alike = match found.seeds - 1 {
            0 => String::new(),
            more => format!(" ({more} more seeds alike: {fingerprint})"),
        };
        text.push_str(&format!("seed {:#x} failed{alike}:\n", found.seed));
        found.stories.iter().for_each(|story| text.push_str(&format!("  {story}\n")));
    }
    text
}

/// One decimal place, without floats.
fn per_second(count: u64, elapsed: Duration) -> String {
    let tenths = u128::from(count) * 10_000 / elapsed.as_millis().max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Keeps the plan of a failure.
pub(super) fn save_plan(plan: &Plan) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all("repro")?;
    let path = PathBuf::from(format!("repro/{:#x}.toml", plan.seed));
    std::fs::write(&path, plan.to_toml())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{DiskFault, Part};
    use crate::plan::{Fault, FaultKind, Profile, Trigger};

    #[test]
    fn banner_of_a_plan_tells_the_compiler_its_hash_and_each_kind_of_fault_once() {
        let origin = Origin::here(Profile::Lite, None, 7, Shard::WHOLE);
        let mut plan = Plan { faults: Vec::new(), ..Plan::generate(7, Profile::Lite) };
        let without = plan_banner(&origin, &plan);
        assert!(without.ends_with(" · no faults") && without.contains(" · seed 0x7 · "), "{without}");
        assert!(without.contains(" · rustc 1."), "{without}");
        let fault = |id, kind| Fault { id, when: Trigger::AtUs(1), since: None, kind };
        let hang = FaultKind::Disk { lun: 0, how: DiskFault::Hang { part: Part::Flush, count: 1 } };
        plan.faults = vec![fault(0, hang), fault(1, FaultKind::Swizzle { for_us: 1 }), fault(2, hang)];
        let with = plan_banner(&origin, &plan);
        assert!(with.ends_with(" · faults disk hang, swizzle"), "{with}");
        let hash = |banner: &str| banner.split(" · ").find_map(|part| part.strip_prefix("plan ").map(str::to_owned));
        assert_eq!(hash(&with).map(|hash| hash.len()), Some(32));
        assert_ne!(hash(&with), hash(&without));
    }

    #[test]
    fn progress_tells_how_much_was_seen_and_simulated() {
        let batch = Batch::first_failure(40, 0, 1, Profile::Lite, None);
        let progress = Progress {
            batch: &batch,
            bar: None,
            start: Instant::now(),
            before: 0,
            last_line: Cell::new(Instant::now()),
        };
        let mut outcome = Outcome { seeds: 10, ..Outcome::default() };
        outcome.paths.extend([1, 5, 7]);
        outcome.stats.virtual_us = 90_500_000;
        let line = progress.line(&outcome, Duration::from_secs(2));
        assert!(line.starts_with("10 of 40 seeds, 5.0 a second, none failed, 0 of "), "{line}");
        assert!(line.ends_with(" probes, 3 paths, 90 s of virtual time, 6 s left"), "{line}");
    }
}
