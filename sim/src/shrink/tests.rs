use toml::Table;

use super::edits::{self, Pass};
use super::*;
use crate::plan::Profile;

const MINUTE: Duration = Duration::from_secs(60);

/// A plan with a planted bug that fails, and what it breaks.
fn failing(name: &str) -> (Plan, Vec<Failure>) {
    (0..200)
        .map(|seed| Plan { planted: Some(name.to_owned()), ..Plan::generate(seed, Profile::Lite) })
        .find_map(|plan| {
            let failures = runner::run(&plan, Options::default()).failures;
            (!failures.is_empty()).then_some((plan, failures))
        })
        .expect("some seed finds the bug")
}

#[test]
fn shrunk_plan_is_small_and_breaks_the_same_rule() {
    let (plan, failures) = failing("fua-ignored");
    let shrunk = shrink(&plan, &failures, Budget { jobs: 2, time: MINUTE });
    let size = Size::of(&shrunk.plan);
    assert!(size.operations <= 8 && size.faults <= 2, "{size:?}:\n{}", shrunk.plan.to_toml());
    let again = runner::run(&shrunk.plan, Options::default()).failures;
    assert_eq!(again.iter().map(Failure::rule).find(|rule| *rule == failures[0].rule()), Some(failures[0].rule()));
    let sound = Plan { planted: None, ..shrunk.plan };
    assert!(runner::run(&sound, Options::default()).passed());
}

#[test]
fn result_does_not_depend_on_the_runs_at_a_time() {
    let (plan, failures) = failing("double-completion");
    let [one, three] = [1, 3].map(|jobs| shrink(&plan, &failures, Budget { jobs, time: MINUTE }));
    assert!(one.complete && three.complete);
    assert_eq!(one.plan.to_toml(), three.plan.to_toml());
}

#[test]
fn without_time_the_plan_stays_what_it_was() {
    let (plan, failures) = failing("double-completion");
    let shrunk = shrink(&plan, &failures, Budget { jobs: 1, time: Duration::ZERO });
    assert!(!shrunk.complete);
    assert!(shrunk.plan == plan);
}

#[test]
fn every_edit_changes_what_it_names_and_nothing_else() {
    let plan = Plan::generate(7, Profile::Swarm);
    let tree = Table::try_from(&plan).expect("a plan is a table");
    for pass in [Pass::Faults, Pass::Operations, Pass::Nodes] {
        for edit in edits::of(&tree, pass) {
            let smaller = edits::apply(&tree, std::slice::from_ref(&edit));
            let smaller = Plan::deserialize(smaller).unwrap_or_else(|error| panic!("{edit:?}: {error}"));
            let parts = |plan: &Plan| {
                let size = Size::of(plan);
                size.operations + size.faults + size.initiators + plan.units.len() + plan.links.len()
            };
            assert!(parts(&smaller) < parts(&plan), "{edit:?}");
        }
    }
    let all = edits::apply(&tree, &edits::of(&tree, Pass::Operations));
    let all = Plan::deserialize(all).expect("a plan without steps is a plan");
    assert_eq!(Size::of(&all).operations, 0);
    assert!(all.faults == plan.faults);
}
