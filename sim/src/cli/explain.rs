//! `explain`: what a failure needs, part by part.

use super::record::Origin;
use super::report::plan_banner;
use super::repro::load;
use super::shard::Shard;
use super::shrink::UNREPEATED;
use super::trace::record;
use super::{EXIT_BUG, EXIT_OK, EXIT_USAGE};
use crate::plan::{Plan, Profile};
use crate::runner::{self, Options};
use crate::shrink::{Cause, Size, causes, last_help_us};
use crate::trace::{Filter, line};
use crate::verdict::{WATCHDOG, oracle_name};

/// Beyond this size every part costs a run that nobody waits for.
const OPERATIONS_MAX: usize = 100;

/// More events of one moment than these hide what matters.
const EVENTS_MAX: usize = 8;

/// Explains the failure of the seed or the plan file `what`; returns the exit code.
pub(super) fn run(what: &str, profile: Profile, planted: Option<String>, jobs: usize) -> u8 {
    let plan = match load(what, profile, planted.as_deref()) {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("{message}");
            return EXIT_USAGE;
        }
    };
    let origin = Origin::here(plan.profile, plan.planted.clone(), plan.seed, Shard::WHOLE);
    let header = plan_banner(&origin, &plan);
    println!("{header}");
    let failures = runner::run(&plan, Options::default()).failures;
    let Some(failure) = failures.first() else {
        println!("{what} passes: there is nothing to explain");
        return EXIT_OK;
    };
    if failure.oracle == WATCHDOG {
        println!("{what} does not come to its end: {UNREPEATED}");
        return EXIT_BUG;
    }
    let operations = Size::of(&plan).operations;
    if operations > OPERATIONS_MAX {
        println!("{what} has {operations} operations; make it smaller first: cargo sim shrink {what}");
        return EXIT_USAGE;
    }
    println!("{what} breaks {} ({}):\n  {}", failure.oracle, oracle_name(failure.oracle), failure.message);
    let causes = causes(&plan, failure, jobs);
    let (needed, free): (Vec<&Cause>, Vec<&Cause>) = causes.iter().partition(|cause| cause.needed);
    println!("it needs:");
    needed.iter().for_each(|cause| println!("  {}", told(cause)));
    println!("it does not need, one by one:");
    free.iter().for_each(|cause| println!("  {}", told(cause)));
    if let Some(last) = last_help_us(&plan, failure) {
        tell_calm(&plan, last);
    }
    println!("{header}");
    EXIT_BUG
}

/// Tells until when the end of the chaos still helps, and what happens then.
fn tell_calm(plan: &Plan, last_us: u64) {
    let late_us = last_us + 1;
    println!(
        "the rule is kept when all faults end at {last_us} us, and broken when they end at {late_us} us. Then happens:"
    );
    let then = Filter { from_us: Some(last_us), to_us: Some(late_us), ..Filter::default() };
    then.apply(&record(plan).1).iter().take(EVENTS_MAX).for_each(|entry| println!("  {}", line(entry)));
}

fn told(cause: &Cause) -> String {
    let Some(window) = &cause.window else { return cause.part.clone() };
    let (first, last) = (window.moments.start(), window.moments.end());
    format!("{}\n    (also when it strikes at any time tried from {first} to {last} {})", cause.part, window.unit)
}
