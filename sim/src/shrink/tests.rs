use toml::Table;

use super::edits::{self, Pass};
use super::*;
use crate::buggify::CATALOGUE;
use crate::plan::Profile;

/// Not a limit: what a test finds must not depend on how fast it is.
const EVER: Duration = Duration::from_secs(3_600);

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
    let (plan, failures) = failing("data-sn-stuck");
    let shrunk = shrink(&plan, &failures, Budget { jobs: 2, time: EVER });
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
    let [one, three] = [1, 3].map(|jobs| shrink(&plan, &failures, Budget { jobs, time: EVER }));
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
    let sites = [CATALOGUE[3].site, CATALOGUE[8].site];
    let plan = Plan { buggify: sites.to_vec(), ..Plan::generate(7, Profile::Swarm) };
    let tree = Table::try_from(&plan).expect("a plan is a table");
    for pass in [Pass::Faults, Pass::Choices, Pass::Operations, Pass::Nodes] {
        for edit in edits::of(&tree, pass) {
            let smaller = edits::apply(&tree, std::slice::from_ref(&edit));
            let smaller = Plan::deserialize(smaller).unwrap_or_else(|error| panic!("{edit:?}: {error}"));
            let parts = |plan: &Plan| {
                let size = Size::of(plan);
                let sites = plan.buggify.len();
                size.operations + size.faults + size.initiators + sites + plan.units.len() + plan.links.len()
            };
            assert!(parts(&smaller) < parts(&plan), "{edit:?}");
        }
    }
    let told: Vec<_> = edits::of(&tree, Pass::Choices).iter().map(|edit| edit.told(&tree)).collect();
    let sites = sites.map(|site| format!("buggify: {}", CATALOGUE[site as usize].name));
    assert_eq!(told, sites);
    let all = edits::apply(&tree, &edits::of(&tree, Pass::Operations));
    let all = Plan::deserialize(all).expect("a plan without steps is a plan");
    assert_eq!(Size::of(&all).operations, 0);
    assert!(all.faults == plan.faults);
}

#[test]
fn causes_of_a_small_failure_are_named_in_the_words_of_the_plan() {
    let plan = Plan::from_toml(include_str!("fua-ignored.toml")).expect("it is a plan");
    let failures = runner::run(&plan, Options::default()).failures;
    assert_eq!(failures[0].oracle, "B5");
    let causes = causes(&plan, &failures[0], 2);
    let of =
        |part: &str| causes.iter().find(|cause| cause.part.starts_with(part)).unwrap_or_else(|| panic!("{causes:#?}"));
    let write = of("step 1 of initiator 2: write, lun 3, lba 1, blocks 8, fua");
    assert!(write.needed);
    assert!(of("fua = true of step 1 of initiator 2").needed, "without FUA nothing is durable that was lost");
    assert!(of("write_back = true of unit 3").needed, "what is written through is not lost");
    assert!(!of("step 2 of initiator 2: test-unit-ready").needed);
    let loss = of("fault 6: when at-us");
    let window = loss.window.as_ref().expect("the power loss has to come at its time");
    assert!(loss.needed && window.unit == "us");
    assert!(window.moments.contains(&20_000) && *window.moments.end() < 200_000, "{window:?}");
}
