//! The phases of a run, as its trace tells them.

use std::sync::mpsc;

use quintain_sim::plan::{Fault, FaultKind, Plan, Profile, Trigger};
use quintain_sim::runner::{self, Options};
use quintain_sim::trace::{Entry, Recorder};

const WARM_UP_US: u64 = 7_000;

/// A plan whose only fault would strike at once, but for the warm-up.
fn plan() -> Plan {
    let mut plan = Plan::generate(1, Profile::Lite);
    plan.warm_up_us = WARM_UP_US;
    plan.faults = vec![Fault { id: 0, when: Trigger::AtUs(1), since: None, kind: FaultKind::Pause { for_us: 10 } }];
    plan
}

#[test]
fn no_fault_strikes_in_the_warm_up() {
    let (sender, trace) = mpsc::channel();
    let watch = Recorder::new(&plan(), move |entry| sender.send(entry).expect("it is read below"));
    let verdict = runner::run(&plan(), Options { watch: Some(Box::new(watch)), ..Options::default() });
    assert!(verdict.failures.is_empty(), "{:?}", verdict.failures);
    let trace: Vec<Entry> = trace.try_iter().collect();
    let at = |kind: &str, detail: Option<&str>| {
        let found = trace.iter().position(|entry| entry.kind == kind && entry.detail.as_deref() == detail);
        found.unwrap_or_else(|| panic!("no {kind} {detail:?}"))
    };
    let fault = trace.iter().find(|entry| entry.kind == "fault").expect("there is one");
    assert_eq!((&*fault.entity, fault.at_us), ("fault 0", WARM_UP_US + 1));
    let phase = |name| at("phase", Some(name));
    let order = [
        phase("warm-up"),
        at("session-started", Some("normal")),
        phase("chaos"),
        phase("healed"),
        phase("ending"),
        phase("end"),
    ];
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn failure_without_any_fault_says_so() {
    let planted = Plan { planted: Some("stat-sn-login-skips".to_owned()), ..plan() };
    let failures = runner::run(&planted, Options::default()).failures;
    let early = failures.iter().filter(|failure| failure.message.contains("in the warm-up")).count();
    assert!(early > 0, "{failures:?}");
}
