//! Whole plans against a small target in memory: none is blamed that keeps the rules, each is that breaks one.

mod bad_targets;
mod memory;
mod small_target;

use super::*;
use crate::history::{Action, Event, History, Outcome, Sector, Unit};
use crate::random::Draws;
use bad_targets::BadTarget;
use memory::MemoryWorld;
use plan::{Attack, AttackStep, Attribute, CdbSize, Hangup, HostilePlan, Keys, LoginStyle, Step, Verb};
use small_target::{Deviation, SmallTarget};

const TARGET: &str = "iqn.2026-11.invalid.quintain:small";

fn units() -> Vec<Unit> {
    let unit = |lun, block_bytes, nullio| Unit {
        lun,
        block_bytes,
        blocks: 1_024,
        write_cache: false,
        nullio,
        read_only: false,
    };
    vec![unit(0, 512, false), unit(1, 4_096, false), unit(7, 512, true)]
}

struct Outcomes {
    report: Report,
    violations: Vec<Violation>,
    history: History,
}

fn play(plan: &InitiatorPlan, deviation: Option<Deviation>) -> Outcomes {
    let shared = Shared::new(7, TARGET, units());
    shared.phase.set(Phase::Healed);
    let target = SmallTarget::new(TARGET, units(), deviation);
    let world = MemoryWorld::new(move |world, end| {
        let target = target.clone();
        let server = world.clone();
        world.spawn(async move { target.serve(server, end).await });
    });
    let report = world.block_on(run(world.clone(), plan, shared.clone()));
    let violations = shared.violations.borrow().clone();
    let history = shared.history.borrow().clone();
    Outcomes { report, violations, history }
}

fn plan(keys: Keys, verbs: Vec<Verb>) -> InitiatorPlan {
    let units = units();
    let mut plan = InitiatorPlan::generate(&mut Draws::new(1, "test", 0), &units, 0, 0, false);
    plan.keys = keys;
    plan.login_style = LoginStyle::OneShot;
    plan.discovery = false;
    plan.queue_depth = 4;
    let step = |verb| Step { id: 0, attribute: Attribute::Simple, immediate: false, flat: false, verb };
    plan.steps = verbs.into_iter().map(step).collect();
    plan
}

fn read(lun: u16, lba: u64, blocks: u32) -> Verb {
    Verb::Read { lun, lba, blocks, cdb: CdbSize::Ten, fua: false, dpo: false, expect_more: 0 }
}

fn write(lun: u16, lba: u64, blocks: u32) -> Verb {
    Verb::Write { lun, lba, blocks, cdb: CdbSize::Ten, fua: false, dpo: false, expect_more: 0 }
}

fn compare(blocks: u32, differs: Option<u32>) -> Verb {
    Verb::Compare { lun: 0, blocks, cdb: CdbSize::Ten, one_block: false, differs }
}

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
fn each_deviation_is_blamed_on_its_oracle() {
    let keys = || Keys {
        initial_r2t: Some(true),
        immediate_data: Some(false),
        max_burst_length: Some(1_024),
        first_burst_length: Some(1_024),
        max_recv_data_segment_length: Some(512),
        ..Keys::default()
    };
    for (deviation, oracle) in Deviation::BLAMED {
        let verbs = vec![
            Verb::TestUnitReady { lun: 0 },
            Verb::Drain,
            write(0, 0, 8),
            Verb::Drain,
            read(0, 0, 8),
            Verb::Ping { bytes: 7 },
            Verb::ReadCapacity { lun: 0, sixteen: false },
            Verb::Drain,
            read(7, 0, 8),
            read(7, 0, 8),
            Verb::Drain,
            Verb::AbortTask { which: 0, newest: false },
            Verb::Drain,
            Verb::BeyondEnd { lun: 0, direction: plan::Direction::In, blocks: 2, inside: 1, wraps: false },
            Verb::Drain,
            compare(8, Some(100)),
        ];
        let outcomes = play(&plan(keys(), verbs), Some(*deviation));
        let oracles: Vec<_> = outcomes.violations.iter().map(|violation| violation.oracle).collect();
        assert!(oracles.contains(oracle), "{deviation:?}: {:?}", outcomes.violations);
    }
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

fn attack(target: BadTarget, attacks: &[Attack]) -> (Report, Vec<Violation>) {
    let shared = Shared { pool_share_bytes: 1 << 20, ..Shared::new(7, TARGET, units()) };
    let world = MemoryWorld::new(move |world, end| world.spawn(target.serve(end)));
    let step = |(id, attack): (usize, &Attack)| AttackStep { id: id as u32, amount: 4_710, attack: *attack };
    let attacks = attacks.iter().enumerate().map(step).collect();
    let hostile = Some(HostilePlan { lun: 0, attacks });
    let plan = InitiatorPlan { hostile, ..plan(Keys::default(), Vec::new()) };
    let report = world.block_on(run(world.clone(), &plan, shared.clone()));
    let violations = shared.violations.borrow().clone();
    (report, violations)
}

#[test]
fn attacks_end_and_blame_nobody_when_the_target_does_not_answer() {
    for target in [BadTarget::HangsUp, BadTarget::Silent, BadTarget::Dead] {
        let (_, violations) = attack(target, Attack::ALL);
        assert_eq!(violations, [], "{target:?}");
    }
}

#[test]
fn attacks_blame_a_target_that_takes_everything() {
    for (kind, oracle) in [
        (Attack::CommandAboveWindow, "I1"),
        (Attack::CommandBelowWindow, "I1"),
        (Attack::CommandGap, "I1"),
        (Attack::CommandsBackward, "I1"),
        (Attack::OffsetBeyond, "I5"),
        (Attack::OffsetOverlap, "I5"),
        (Attack::TransferTagWrong, "I5"),
        (Attack::FinalEarly, "I5"),
        (Attack::ImmediateTooLong, "I5"),
        (Attack::UnsolicitedForbidden, "I5"),
        (Attack::ExpectsLess, "T11"),
        (Attack::DataWithoutCommand, "I8"),
        (Attack::DataAfterAbort, "T5"),
        (Attack::AnswerToNothing, "I9"),
        (Attack::LoginAgain, "I9"),
        (Attack::OpcodeUnknown, "I9"),
        (Attack::FunctionUnknown, "I9"),
        (Attack::LogoutElsewhere, "I9"),
        (Attack::BeforeLogin, "I7"),
        (Attack::CommandInLogin, "I7"),
        (Attack::LoginEndless, "I7"),
        (Attack::KeyTwice, "I7"),
        (Attack::TextMalformed, "I7"),
        (Attack::StageIllegal, "I7"),
        (Attack::SessionUnknown, "I7"),
        (Attack::TargetUnknown, "I7"),
        (Attack::NameMissing, "I7"),
        (Attack::GreedyWrites, "S4"),
        (Attack::AbortUnsent, "T6"),
        (Attack::AbortConfirmed, "T6"),
        (Attack::UnknownKeys, "I9"),
        (Attack::DataBehindGap, "I5"),
        (Attack::DataWhileDormant, "I5"),
        (Attack::DataOfRefused, "I5"),
        (Attack::DataOfAborted, "T5"),
    ] {
        let (_, violations) = attack(BadTarget::Gullible, &[kind]);
        assert!(violations.iter().any(|violation| violation.oracle == oracle), "{kind:?}: {violations:?}");
    }
}
