//! Whole plans against a small target in memory: none is blamed that keeps the rules. That each is that breaks one, the
//! self-test says.

use super::self_test::{
    BadTarget, Deviation, MemoryWorld, SmallTarget, TARGET, attack, compare, plan, play, read, units, write,
};
use super::*;
use crate::history::{Action, Event, History, Outcome, Sector};
use crate::random::Draws;
use plan::{Attack, Hangup, Keys, Verb};

#[test]
fn generated_plans_find_nothing_against_a_target_that_keeps_the_rules() {
    for seed in 0..120 {
        let mut draws = Draws::new(seed, "plan", 3);
        let plan = InitiatorPlan::generate(&mut draws, &units(), 120, 3, false);
        let outcomes = play(&plan, None);
        assert_eq!(outcomes.violations, [], "seed {seed}");
        assert_eq!(outcomes.report.steps_left, 0, "seed {seed}");
        assert!(outcomes.report.good > 20, "seed {seed}: {:?}", outcomes.report);
        every_command_ends_once(&outcomes.history);
    }
}

/// Also: a read with nobody else about sees the last write of each sector.
fn every_command_ends_once(history: &History) {
    let mut open = std::collections::BTreeSet::new();
    for event in &history.events {
        match event {
            Event::Invoke { op, .. } => assert!(open.insert(*op)),
            Event::Return { op, .. } | Event::Fence { op } => assert!(open.remove(op), "{op:?} ended twice"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} never ended");
}

#[test]
fn plan_survives_toml() {
    for seed in 0..20 {
        let plan = InitiatorPlan::generate(&mut Draws::new(seed, "plan", 0), &units(), 60, 0, seed % 5 == 0);
        let text = toml::to_string(&plan).unwrap();
        assert_eq!(toml::from_str::<InitiatorPlan>(&text).unwrap(), plan);
    }
}

/// What the generator cannot make, no seed will ever find.
#[test]
fn generator_makes_every_verb_and_every_attack() {
    let mut verbs = std::collections::BTreeMap::new();
    let mut attacks = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let hostile = seed % 4 == 0;
        let plan = InitiatorPlan::generate(&mut Draws::new(seed, "plan", 0), &units(), 200, 0, hostile);
        attacks.extend(plan.hostile.into_iter().flat_map(|hostile| hostile.attacks).map(|step| step.attack));
        for step in plan.steps {
            let text = toml::to_string(&step).unwrap();
            let verb = text.lines().find(|line| line.starts_with("verb = ")).unwrap().to_owned();
            *verbs.entry(verb).or_insert(0) += 1;
        }
    }
    assert_eq!(attacks.len(), Attack::ALL.len());
    assert_eq!(verbs.len(), 32, "{verbs:?}");
}

#[test]
fn written_blocks_are_read_back_with_their_stamps() {
    let verbs =
        vec![write(1, 5, 3), Verb::Drain, read(1, 4, 5), Verb::Drain, write(7, 0, 1), Verb::Drain, read(7, 0, 1)];
    let outcomes = play(&plan(Keys::default(), verbs), None);
    assert_eq!(outcomes.violations, []);
    let writer = outcomes.history.events.iter().rev().find_map(|event| match event {
        Event::Invoke { op, lun: 1, action: Action::Write { .. }, .. } => Some(*op),
        _ => None,
    });
    let reads: Vec<&Vec<Sector>> = outcomes
        .history
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Return { outcome: Outcome::Good { sectors }, .. } if !sectors.is_empty() => Some(sectors),
            _ => None,
        })
        .collect();
    let written = Sector::Written(writer.unwrap());
    let expected: Vec<Sector> = [vec![Sector::Zero; 8], vec![written; 24], vec![Sector::Zero; 8]].concat();
    assert_eq!(reads, [&expected, &vec![Sector::Zero]]);
}

#[test]
fn verify_with_data_sees_what_was_written_as_far_as_it_agrees() {
    let verbs = vec![write(1, 5, 2), Verb::Drain, compare(2, None), Verb::Drain, compare(2, Some(4_200)), Verb::Drain];
    let verbs = verbs.into_iter().map(|verb| match verb {
        Verb::Compare { blocks, cdb, one_block, differs, .. } => {
            Verb::Compare { lun: 1, blocks, cdb, one_block, differs }
        }
        other => other,
    });
    let outcomes = play(&plan(Keys::default(), verbs.collect()), None);
    assert_eq!(outcomes.violations, []);
    let seen: Vec<usize> = outcomes
        .history
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Return { outcome: Outcome::Good { sectors }, .. } => Some(sectors.len()),
            Event::Return { outcome: Outcome::Miscompare { sectors, unlike: None }, .. } => Some(sectors.len()),
            _ => None,
        })
        .collect();
    assert_eq!(seen, [0, 16, 9]);
}

#[test]
fn stopped_logical_unit_is_started_by_whoever_needs_it() {
    let stop = Verb::StartStop { lun: 0, start: false, early: false, no_flush: false };
    let verbs = vec![Verb::TestUnitReady { lun: 0 }, Verb::Drain, stop, Verb::Drain, read(0, 0, 1), read(0, 8, 1)];
    let outcomes = play(&plan(Keys::default(), verbs), None);
    assert_eq!(outcomes.violations, []);
    let starts = outcomes
        .history
        .events
        .iter()
        .filter(|event| matches!(event, Event::Invoke { action: Action::StartStop { start: true, .. }, .. }));
    assert_eq!((starts.count(), outcomes.report.good), (1, 5));
}

#[test]
fn lost_connection_fences_what_was_in_flight_at_the_next_login() {
    for how in [Hangup::Reset, Hangup::Close] {
        let outcomes = play(&plan(Keys::default(), vec![write(0, 0, 64), Verb::Drop { how }, read(0, 0, 1)]), None);
        assert_eq!(outcomes.violations, []);
        assert_eq!(outcomes.report.logins, 2);
        assert!(matches!(outcomes.history.events[1], Event::Fence { .. }), "{:?}", &outcomes.history.events[..3]);
    }
}

/// A command was left open for good, as one that may have its effect at any time, when its connection went with the last
/// step.
#[test]
fn command_in_flight_at_the_end_of_the_last_step_is_fenced_by_one_login_more() {
    for how in [Hangup::Reset, Hangup::Close] {
        let outcomes = play(&plan(Keys::default(), vec![write(0, 0, 64), Verb::Drop { how }]), None);
        assert_eq!(outcomes.violations, []);
        assert_eq!((outcomes.report.logins, outcomes.report.fenced), (2, 1));
        every_command_ends_once(&outcomes.history);
    }
}

#[test]
fn command_without_an_answer_is_aborted() {
    let mut plan = plan(Keys::default(), vec![read(0, 0, 1), Verb::Drain, read(0, 8, 1), Verb::Drain, read(0, 0, 1)]);
    plan.timeouts.command_ms = 1_000;
    let outcomes = play(&plan, Some(Deviation::NeverAnswersBlockEight));
    assert_eq!(outcomes.violations, []);
    assert_eq!((outcomes.report.fenced, outcomes.report.logins), (1, 1));
}

#[test]
fn abort_without_an_answer_leads_to_a_reset_and_then_to_a_new_session() {
    let mut plan = plan(Keys::default(), vec![read(0, 0, 1), Verb::Drain, read(0, 8, 1), Verb::Drain, read(0, 0, 1)]);
    plan.timeouts.command_ms = 1_000;
    let outcomes = play(&plan, Some(Deviation::NeverAnswersBlockEightNorAborts));
    assert_eq!(outcomes.violations, []);
    assert_eq!((outcomes.report.fenced, outcomes.report.logins), (1, 2));
}

#[test]
fn audit_reads_back_what_was_written() {
    let shared = Shared::new(3, TARGET, units());
    shared.phase.set(Phase::Audit);
    let target = SmallTarget::new(TARGET, units(), None);
    let world = MemoryWorld::new(move |world, end| {
        let (target, server) = (target.clone(), world.clone());
        world.spawn(async move { target.serve(server, end).await });
    });
    let plan = plan(Keys::default(), vec![write(0, 100, 4)]);
    world.block_on(run(world.clone(), &plan, shared.clone()));
    world.block_on(audit(world.clone(), shared.clone(), &units())).unwrap();
    assert_eq!(*shared.violations.borrow(), []);
    let history = shared.history.borrow();
    let sees_write = |event: &&Event| match event {
        Event::Return { outcome: Outcome::Good { sectors }, .. } => {
            sectors.iter().filter(|sector| matches!(sector, Sector::Written(_))).count() == 4
        }
        _ => false,
    };
    assert!(history.events.iter().any(|event| sees_write(&event)));
}

#[test]
fn attacks_end_and_blame_nobody_when_the_target_does_not_answer() {
    for target in [BadTarget::HangsUp, BadTarget::Silent, BadTarget::Dead] {
        let (_, violations) = attack(target, Attack::ALL);
        assert_eq!(violations, [], "{target:?}");
    }
}
