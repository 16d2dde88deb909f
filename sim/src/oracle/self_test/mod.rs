//! The oracles are tested before any seed runs (S10): each rule must reject a case made to break it, by its own name,
//! and must accept the legal cases that look most like it.
//!
//! What judges data gets data. What the initiators judge themselves is played against targets in memory, and what needs a
//! whole run are small plans, each with a planted bug.

mod conversations;
mod counts;
mod event_streams;
mod histories;
mod isolation;
mod plans;
mod story;
mod talk;

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Finding, check_history};
use crate::plan::{Plan, Profile};
use crate::runner::{Options, fallen, run};
use crate::verdict::{Failure, LIVELOCK, ORACLES, Verdict, WATCHDOG};
use crate::{executor, initiator, trace};

/// A case with the rule that must reject it; `None` when all must accept it.
pub(crate) struct Case<T> {
    /// What happens in it.
    pub(crate) name: &'static str,
    /// The rule that it breaks.
    pub(crate) breaks: Option<&'static str>,
    /// The input of the oracle.
    pub(crate) input: T,
}

/// A case that was judged.
struct Judged {
    breaks: Option<&'static str>,
    /// What was wrong with the judgement.
    result: Result<(), String>,
}

/// Tries every case on its oracle. `Ok` with the number of cases.
///
/// # Errors
/// A line for each case that was judged wrongly: which one, and what the oracle said; and for each rule without a case that
/// breaks it.
pub fn self_test() -> Result<usize, String> {
    let judged = all();
    let cases = judged.len();
    let broken = broken(&judged);
    let unproved = ORACLES.iter().filter(|(id, _)| !broken.contains(id));
    let unproved: Vec<_> = unproved.map(|(id, name)| format!("no case breaks {id} ({name})")).collect();
    let wrong: Vec<_> = judged.into_iter().filter_map(|judged| judged.result.err()).chain(unproved).collect();
    if wrong.is_empty() { Ok(cases) } else { Err(wrong.join("\n")) }
}

fn all() -> Vec<Judged> {
    let mut judged = vec![];
    judged.extend(histories::cases().iter().map(|case| judge(case, &check_history(&case.input.history()))));
    judged.extend(event_streams::cases().iter().map(|case| judge(case, &event_streams::findings(&case.input))));
    judged.extend(counts::cases().iter().map(|case| judge(case, &case.input.findings())));
    judged.extend(conversations::cases().iter().map(|case| judge(case, &case.input.findings())));
    judged.extend(initiator::self_test::plays().iter().map(|play| {
        let result = check(&play.name, play.breaks, &play.findings);
        Judged { breaks: play.breaks, result }
    }));
    judged.extend(plans::judge());
    judged.extend(trace::self_test().into_iter().map(|result| Judged { breaks: Some("S7"), result }));
    judged.extend(repetitions());
    judged.extend(ends());
    judged.extend(checks());
    judged
}

/// The rules that are seen to be broken.
fn broken(judged: &[Judged]) -> BTreeSet<&'static str> {
    judged.iter().filter_map(|judged| judged.breaks).collect()
}

fn judge<T>(case: &Case<T>, findings: &[Finding]) -> Judged {
    Judged { breaks: case.breaks, result: check(case.name, case.breaks, findings) }
}

fn check(name: &str, breaks: Option<&str>, findings: &[Finding]) -> Result<(), String> {
    match breaks {
        None => match findings.first() {
            None => Ok(()),
            Some(finding) => Err(format!("\"{name}\" is legal, yet {finding}")),
        },
        Some(rule) if findings.iter().any(|finding| finding.oracle == rule) => Ok(()),
        Some(rule) => Err(format!("\"{name}\" breaks {rule}, which did not notice; found: {findings:?}")),
    }
}

/// Two runs of one plan.
fn repetitions() -> Vec<Judged> {
    let case = |name, breaks, again| Case { name, breaks, input: again };
    let cases = [case("two runs are the same", None, 1), case("two runs are not the same", Some("S7"), 2)];
    let verdict = |trace_hash| Verdict { trace_hash, ..Verdict::default() };
    let found = |again| verdict(1).difference(&verdict(again)).map(Finding::from);
    cases.iter().map(|case| judge(case, found(case.input).as_slice())).collect()
}

/// Runs that do not end as runs do.
fn ends() -> Vec<Judged> {
    let case = |name, breaks, failure: Failure| judge(&Case { name, breaks, input: () }, &[Finding::from(failure)]);
    let fell = |message: &str| fallen(&format!("sim/src/executor.rs:1\n{message}"));
    // Nobody is so fast.
    let options = Options { limit: Duration::from_nanos(1), ..Options::default() };
    let late = run(&Plan::generate(0, Profile::Lite), options).failures.remove(0);
    vec![
        case("an assertion fails", Some("S6"), fell("more commands than the window")),
        case("no time passes", Some(LIVELOCK), fell(&format!("{}tasks run for ever", executor::LIVELOCK))),
        case("the run takes too long", Some(WATCHDOG), late),
    ]
}

/// What checks the oracles is itself one: it has to tell of an oracle that is blind, one that cries wolf, and one that takes
/// a rule for another.
fn checks() -> Vec<Judged> {
    let wolf = [Finding { oracle: "B1", message: String::new() }];
    let told = |name: &str, result: Result<(), String>| match result {
        Err(_) => Ok(()),
        Ok(()) => Err(format!("nobody noticed {name}")),
    };
    [
        told("a rule that is not noticed to be broken", check("", Some("B1"), &[])),
        told("a legal case that is rejected", check("", None, &wolf)),
        told("a rule taken for another", check("", Some("B2"), &wolf)),
    ]
    .map(|result| Judged { breaks: Some("S10"), result })
    .into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::verdict::ORACLES;

    #[test]
    fn oracles_reject_every_planted_anomaly_and_accept_every_legal_case() {
        if let Err(wrong) = super::self_test() {
            panic!("{wrong}");
        }
    }

    /// Also a new one: a rule that nothing was ever seen to break is no rule.
    #[test]
    fn every_oracle_has_a_case_that_breaks_it() {
        let broken = super::broken(&super::all());
        let known: BTreeSet<&str> = ORACLES.iter().map(|(id, _)| *id).collect();
        assert_eq!(broken, known);
    }
}
