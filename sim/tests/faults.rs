//! What faults of the plan do that no unit test shows: each is seen in the trace of a run, and strikes as often as it says.

use std::sync::mpsc;

use quintain_sim::plan::{Fault, FaultKind, Panicker, Plan, Profile, Trigger};
use quintain_sim::runner::{self, Options};
use quintain_sim::trace::{Entry, Recorder};

/// A small run with one fault, right at its start.
fn run(kind: Option<FaultKind>) -> Vec<Entry> {
    run_at(10, kind)
}

/// A small run with one fault after so many microseconds.
fn run_at(at_us: u64, kind: Option<FaultKind>) -> Vec<Entry> {
    let mut plan = Plan::generate(1, Profile::Lite);
    plan.warm_up_us = 0;
    plan.core = None;
    let when = Trigger::AtUs(at_us);
    plan.faults = kind.map(|kind| Fault { id: 0, when, since: None, kind }).into_iter().collect();
    let (sender, trace) = mpsc::channel();
    let watch = Recorder::new(&plan, move |entry| sender.send(entry).expect("it is read below"));
    let verdict = runner::run(&plan, Options { watch: Some(Box::new(watch)), ..Options::default() });
    assert!(verdict.failures.is_empty(), "{:?}", verdict.failures);
    assert_eq!(verdict.stats.faults, u64::from(kind.is_some()), "strikes");
    trace.try_iter().collect()
}

fn first(trace: &[Entry], kind: &str) -> Option<u64> {
    trace.iter().find(|entry| entry.kind == kind).map(|entry| entry.at_us)
}

/// N18: nobody gets in while nothing listens.
#[test]
fn rebound_listener_refuses_and_then_accepts() {
    let trace = run(Some(FaultKind::Rebind { for_us: 2_000_000, moves: true }));
    assert!(first(&trace, "connect-failed").is_some_and(|at| at < 2_000_000), "a connect is refused");
    assert!(first(&trace, "accepted").is_some_and(|at| at > 2_000_000), "until the target listens again");
}

/// C1, C2: a login that is under way for microseconds takes too long for a clock that jumps ahead, or is far too fast.
#[test]
fn target_goes_by_its_own_clock() {
    let calm = run(None);
    assert_eq!(first(&calm, "login-broken"), None);
    let began = first(&calm, "accepted").expect("somebody logs in");
    let ended = |kind| first(&run_at(began + 1, Some(kind)), "login-broken");
    assert!(ended(FaultKind::Jump { by_us: 30_000_000 }).is_some_and(|at| at < began + 1_000));
    let drift = FaultKind::Drift { per_mille: 1_000_000_000, for_us: 1_000 };
    assert!(ended(drift).is_some_and(|at| at < began + 1_000));
}

/// P9: a worker that is held up lets time pass between a command and its start.
#[test]
fn preempted_worker_starts_late() {
    let started = |kind| first(&run(kind), "task-started").expect("there is one");
    let kind = FaultKind::Preempt { who: Panicker::Worker, count: 1, for_us: 50_000 };
    assert_eq!(started(Some(kind)), started(None) + 50_000);
}
