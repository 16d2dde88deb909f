use toml::Table;

use super::edits::{self, Pass};
use super::*;
use crate::beginnings::Mark;
use crate::buggify::CATALOGUE;
use crate::initiator::InitiatorPlan;
use crate::initiator::plan::{Attribute, Step, Verb};
use crate::plan::{Fault, FaultKind, Occasion, Profile, StepName, Trigger};
use crate::trace::Recorder;

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
    let shrunk = shrink(&plan, &failures, Budget { jobs: 2, time: EVER, runs: u64::MAX });
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
    let [one, three] = [1, 3].map(|jobs| shrink(&plan, &failures, Budget { jobs, time: EVER, runs: u64::MAX }));
    assert!(one.complete && three.complete);
    assert_eq!((one.plan.to_toml(), one.runs), (three.plan.to_toml(), three.runs));
    let [one, three] = [1, 3].map(|jobs| shrink(&plan, &failures, Budget { jobs, time: EVER, runs: 5 }));
    assert!(!one.complete && (one.runs, three.runs) == (5, 5));
    assert_eq!(one.plan.to_toml(), three.plan.to_toml());
}

/// A limit of runs, not of time: on every machine they come to the same.
fn small(name: &str, plan: &Plan, failures: &[Failure], operations: usize, faults: usize) -> Plan {
    let shrunk = shrink(plan, failures, Budget { jobs: 2, time: EVER, runs: 400 });
    let (size, runs) = (Size::of(&shrunk.plan), shrunk.runs);
    let small = size.operations <= operations && size.faults <= faults;
    assert!(small, "{name}: {size:?} after {runs} runs:\n{}", shrunk.plan.to_toml());
    assert!(breaks(&shrunk.plan, &failures[0].rule()).is_some(), "{name}: the rule is not broken any more");
    shrunk.plan
}

#[test]
fn failures_of_every_kind_become_small_within_so_many_runs() {
    for (name, operations, faults) in
        [("digest-skips-padding", 2, 0), ("ordered-overtakes", 4, 0), ("abort-foreign", 4, 0), ("fua-ignored", 3, 1)]
    {
        let (plan, failures) = failing(name);
        small(name, &plan, &failures, operations, faults);
    }
}

/// This plan could not be made smaller, as its fault moved against the steps when steps went.
#[test]
fn fault_stays_with_its_step_when_others_go() {
    let plan = Plan::from_toml(include_str!("short-write-good.toml")).expect("it is a plan");
    assert_eq!((Size::of(&plan).operations, Size::of(&plan).initiators), (7, 2));
    let failures = runner::run(&plan, Options::default()).failures;
    let small = small("short-write-good", &plan, &failures, 2, 1);
    assert_eq!(small.initiators.len(), 1);
}

/// All that 65 of these 66 operations did was to let time pass until a clock wraps.
#[test]
fn pause_takes_the_place_of_steps_that_only_pass_the_time() {
    let plan = Plan::from_toml(include_str!("deadline-wraps.toml")).expect("it is a plan");
    assert_eq!(Size::of(&plan).operations, 66);
    let failures = runner::run(&plan, Options::default()).failures;
    let small = small("deadline-wraps", &plan, &failures, 2, 0);
    assert!(matches!(small.initiators[0].steps[0].verb, Verb::Pause { .. }), "{}", small.to_toml());
}

fn mark(at_us: u64, events: u64) -> Mark {
    Mark { at_us, events, counts: [(Occasion::WriteIssued, at_us / 10)].into() }
}

/// Initiator 0 with three steps, which began at 100, 200 and 300 us, behind a warm-up of 50 us.
fn three_steps(faults: Vec<Fault>) -> (Plan, Beginnings) {
    let ready = |id| Step {
        id,
        attribute: Attribute::Simple,
        immediate: false,
        flat: false,
        verb: Verb::TestUnitReady { lun: 0 },
    };
    let steps = vec![ready(7), ready(8), ready(9)];
    let initiators = vec![InitiatorPlan { steps, ..InitiatorPlan::default() }];
    let plan = Plan { initiators, faults, ..Plan::generate(0, Profile::Lite) };
    let began = |step, mark| (StepName { initiator: 0, step }, mark);
    let steps = vec![began(7, mark(100, 10)), began(8, mark(200, 20)), began(9, mark(300, 30))];
    (plan, Beginnings { warm_up: mark(50, 5), steps })
}

fn fault(id: u32, when: Trigger) -> Fault {
    Fault { id, when, since: None, kind: FaultKind::Crash { down_us: 1 } }
}

fn since(plan: &Plan) -> Vec<(Option<u32>, u64)> {
    plan.faults.iter().map(|fault| (fault.since.map(|name| name.step), fault.when.count())).collect()
}

#[test]
fn faults_are_bound_to_the_last_step_before_they_strike() {
    let nth = |count| Trigger::OnNth { kind: Occasion::WriteIssued, count };
    let (plan, beginnings) = three_steps(vec![
        fault(1, Trigger::AtUs(200)),
        fault(2, Trigger::AfterEvents(24)),
        fault(3, nth(20)),
        fault(4, Trigger::AtUs(40)),
    ]);
    let bound = anchors::bound(&plan, &beginnings, |_| true);
    assert_eq!(since(&bound), [(Some(8), 50), (Some(8), 9), (Some(8), 5), (None, 40)]);
    let one = anchors::bound(&plan, &beginnings, |fault| fault.id == 2);
    assert_eq!(since(&one), [(None, 200), (Some(8), 9), (None, 20), (None, 40)]);
}

#[test]
fn fault_whose_step_goes_is_bound_to_the_one_before() {
    let (plan, beginnings) = three_steps(vec![fault(1, Trigger::AtUs(200)), fault(2, Trigger::AfterEvents(24))]);
    let bound = anchors::bound(&plan, &beginnings, |_| true);
    let without = |gone: &[u32], same_time| {
        let mut plan = bound.clone();
        plan.initiators[0].steps.retain(|step| !gone.contains(&step.id));
        anchors::mend(&mut plan, &beginnings, same_time);
        since(&plan)
    };
    assert_eq!(without(&[9], false), since(&bound));
    assert_eq!(without(&[8], false), [(Some(7), 50), (Some(7), 9)]);
    assert_eq!(without(&[8], true), [(Some(7), 150), (Some(7), 9)]);
    assert_eq!(without(&[7, 8], true), [(None, 200), (None, 9)], "it counts from the warm-up again");
}

#[test]
fn pauses_take_as_long_as_the_steps_that_they_replace() {
    let (plan, beginnings) = three_steps(Vec::new());
    let filled = |plan: &Plan, gone: &[u32]| {
        let mut smaller = plan.clone();
        smaller.initiators[0].steps.retain(|step| !gone.contains(&step.id));
        pauses::fill(&mut smaller, plan, &beginnings);
        smaller
    };
    let told = |plan: &Plan| {
        let one = |step: &Step| match step.verb {
            Verb::Pause { ms, us } => (step.id, ms * 1_000 + us),
            _ => (step.id, 0),
        };
        plan.initiators[0].steps.iter().map(one).collect::<Vec<_>>()
    };
    let middle = filled(&plan, &[8]);
    assert_eq!(told(&middle), [(7, 0), (8, 200), (9, 0)], "from the step before to the one behind");
    assert_eq!(told(&filled(&middle, &[7])), [(7, 200), (9, 0)], "a pause beside a gap becomes part of it");
    assert_eq!(told(&filled(&plan, &[7, 8])), [(7, 200), (9, 0)]);
    assert_eq!(told(&filled(&plan, &[9])), [(7, 0), (8, 0)], "nothing waits for the end");
    assert_eq!(told(&filled(&plan, &[])), told(&plan));
}

/// The first one does so exactly. Behind it the order of tasks may be another, and so may be the number of events.
#[test]
fn bound_fault_strikes_when_it_did() {
    let strikes = |plan: &Plan| {
        let (sender, entries) = std::sync::mpsc::channel();
        let watch = Recorder::new(plan, move |entry| drop(sender.send(entry)));
        let verdict = runner::run(plan, Options { watch: Some(Box::new(watch)), ..Options::default() });
        let faults = entries.try_iter().filter(|entry| entry.kind == "fault");
        (verdict.beginnings, faults.map(|entry| (entry.at_us, entry.entity)).collect::<Vec<_>>())
    };
    let plans = (0..40).map(|seed| Plan::generate(seed, Profile::Lite)).filter(|plan| plan.faults.len() == 5);
    let mut bound = plans.map(|plan| {
        let (beginnings, before) = strikes(&plan);
        (anchors::bound(&plan, &beginnings, |_| true), before)
    });
    let is_bound = |(plan, _): &(Plan, Vec<_>)| plan.faults.iter().any(|fault| fault.since.is_some());
    let (plan, before) = bound.find(is_bound).expect("faults strike when something has begun");
    assert!(!before.is_empty());
    assert_eq!(strikes(&plan).1.first(), before.first());
}

#[test]
fn without_time_the_plan_stays_what_it_was() {
    let (plan, failures) = failing("double-completion");
    let shrunk = shrink(&plan, &failures, Budget { jobs: 1, time: Duration::ZERO, runs: u64::MAX });
    assert!(!shrunk.complete);
    assert!(shrunk.plan == plan);
}

#[test]
fn every_edit_changes_what_it_names_and_nothing_else() {
    let sites = [CATALOGUE[3].site, CATALOGUE[8].site];
    let plan = Plan { buggify: sites.to_vec(), ..Plan::generate(7, Profile::Swarm) };
    let tree = Table::try_from(&plan).expect("a plan is a table");
    for pass in [Pass::Initiators, Pass::Faults, Pass::Choices, Pass::Kinds, Pass::Operations, Pass::Nodes] {
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
    let last = last_help_us(&plan, &failures[0]).expect("it needs the power loss");
    assert!((19_999..=20_000).contains(&last), "it helps until the power is lost, at 20,000 us: {last}");
}

#[test]
fn end_of_faults_helps_nothing_where_none_is_needed() {
    let plan = Plan { planted: Some("unit-attention-never".to_owned()), ..Plan::generate(3, Profile::Lite) };
    let fault = |count| Fault { id: 0, when: Trigger::AtUs(1), since: None, kind: FaultKind::NoBuffer { count } };
    for faults in [vec![fault(1)], vec![]] {
        let plan = Plan { faults, ..plan.clone() };
        let failures = runner::run(&plan, Options::default()).failures;
        assert_eq!(last_help_us(&plan, &failures[0]), None);
    }
}
