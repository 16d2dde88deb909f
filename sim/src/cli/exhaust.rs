//! `exhaust`: every place at which one fault can strike a short workload.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::{EXIT_BUG, EXIT_OK, EXIT_USAGE};
use crate::exhaust::{self, Family, Run};
use crate::runner::{self, Options};
use crate::verdict::Failure;

/// Runs all of them, `jobs` at a time; returns the exit code.
pub(super) fn run(jobs: usize, planted: Option<&str>) -> u8 {
    let start = Instant::now();
    let mut total = 0;
    for Family { name, mut runs } in exhaust::families() {
        runs.iter_mut().for_each(|run| run.plan.planted = planted.map(str::to_owned));
        println!("{name}: {} runs", runs.len());
        total += runs.len();
        let Some((index, failure)) = first_failure(&runs, jobs) else { continue };
        let Run { name, plan } = &runs[index];
        let path = format!("repro/{name}.toml");
        println!("{name} failed:\n  {failure}");
        if let Err(error) = std::fs::create_dir_all("repro").and_then(|()| std::fs::write(&path, plan.to_toml())) {
            println!("{path} cannot be written: {error}");
            return EXIT_USAGE;
        }
        println!("cargo sim repro {path}   # {}", failure.oracle);
        return EXIT_BUG;
    }
    println!("all {total} runs passed in {:.1} s", start.elapsed().as_secs_f64());
    EXIT_OK
}

/// The first run, in their order, that broke a rule.
fn first_failure(runs: &[Run], jobs: usize) -> Option<(usize, Failure)> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(None));
    let work = || {
        while let Some((index, run)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, runs.get(at)?)))
        {
            let Some(failure) = runner::run(&run.plan, Options::default()).failures.into_iter().next() else {
                continue;
            };
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            if found.as_ref().is_none_or(|&(first, _)| index < first) {
                *found = Some((index, failure));
            }
            // Those before it are under way.
            next.store(runs.len(), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(work))));
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
