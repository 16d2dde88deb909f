//! One plan is one run: the trace hash is the same each time, alone or among others.

use quintain_sim::plan::{Plan, Profile, Schedule};
use quintain_sim::runner::{self, Options};
use quintain_sim::verdict::Verdict;

fn run(seed: u64) -> Verdict {
    runner::run(&Plan::generate(seed, Profile::Lite), Options::default())
}

#[test]
fn same_plan_gives_the_same_trace_alone_and_among_jobs() {
    let alone: Vec<Verdict> = (0..6).map(run).collect();
    let among = std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..6).map(|seed| scope.spawn(move || run(seed))).collect();
        jobs.into_iter().map(|job| job.join().expect("no job panics")).collect::<Vec<_>>()
    });
    for (seed, verdict) in alone.iter().enumerate() {
        assert_eq!(verdict.failures, [], "seed {seed}");
        assert!(verdict.trace_hash != 0 && verdict.stats.good > 0, "seed {seed}: {:?}", verdict.stats);
    }
    assert_eq!(alone, among);
}

#[test]
fn run_by_priorities_is_repeatable_passes_and_is_another() {
    for seed in 0..6 {
        let plan = Plan { schedule: Some(Schedule::generate(seed)), ..Plan::generate(seed, Profile::Lite) };
        let (one, other) = (runner::run(&plan, Options::default()), runner::run(&plan, Options::default()));
        assert_eq!(one.failures, [], "seed {seed}");
        assert_eq!(one, other);
        let in_any_order = runner::run(&Plan { schedule: None, ..plan }, Options::default());
        assert_ne!(one.trace_hash, in_any_order.trace_hash);
    }
}

#[test]
fn other_seed_gives_another_trace() {
    let (one, other) = (run(1), run(2));
    assert!(one.passed() && other.passed(), "{one:?} {other:?}");
    assert_ne!(one.trace_hash, other.trace_hash);
}

#[test]
fn plan_read_back_from_toml_gives_the_same_trace() {
    let plan = Plan::generate(3, Profile::Lite);
    let read = Plan::from_toml(&plan.to_toml()).expect("it was written");
    let (drawn, read) = (runner::run(&plan, Options::default()), runner::run(&read, Options::default()));
    assert_eq!(drawn.failures, []);
    assert_eq!(drawn, read);
}
