//! The phases of a run, as its trace tells them.

use std::fs::{self, File};
use std::path::Path;

use quintain_sim::plan::{Fault, FaultKind, Plan, Profile, Trigger};
use quintain_sim::runner::{self, Options};

const WARM_UP_US: u64 = 7_000;

/// A plan whose only fault would strike at once, but for the warm-up.
fn plan() -> Plan {
    let mut plan = Plan::generate(1, Profile::Lite);
    plan.warm_up_us = WARM_UP_US;
    plan.faults = vec![Fault { id: 0, when: Trigger::AtUs(1), kind: FaultKind::Pause { for_us: 10 } }];
    plan
}

#[test]
fn no_fault_strikes_in_the_warm_up() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("phases.jsonl");
    let trace = File::create(&path).expect("a directory of our own");
    let verdict = runner::run(&plan(), Options { trace: Some(trace), ..Options::default() });
    assert!(verdict.failures.is_empty(), "{:?}", verdict.failures);
    let trace = fs::read_to_string(&path).expect("it was written");
    let at = |what: &str| trace.lines().position(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what}"));
    assert!(trace.lines().nth(at("\"fault 0\"")).is_some_and(|line| line.contains("\"at_us\":7001,")));
    let phases = [r#"\"warm-up\""#, "SessionStarted", r#"\"chaos\""#, r#"\"healed\""#, r#"\"ending\""#, r#"\"end\""#];
    assert!(phases.map(at).is_sorted(), "{:?}", phases.map(at));
}

#[test]
fn failure_without_any_fault_says_so() {
    let planted = Plan { planted: Some("stat-sn-login-skips".to_owned()), ..plan() };
    let failures = runner::run(&planted, Options::default()).failures;
    let early = failures.iter().filter(|failure| failure.message.contains("in the warm-up")).count();
    assert!(early > 0, "{failures:?}");
}
