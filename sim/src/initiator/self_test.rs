//! The initiators are tested before any seed runs (S10), against targets in memory that share no code with core: whoever
//! keeps the rules is blamed for nothing, whoever breaks one for that.

mod bad_targets;
mod inquiry;
mod memory;
mod small_target;

pub(super) use bad_targets::BadTarget;
pub(super) use memory::MemoryWorld;
pub(super) use small_target::{Deviation, SmallTarget};

use super::plan::{self, Attack, AttackStep, Attribute, CdbSize, HostilePlan, Keys, LoginStyle, Step, Verb};
use super::{InitiatorPlan, Phase, Report, Shared, Violation, World, run};
use crate::history::{History, Unit};
use crate::oracle::{Finding, check_history};
use crate::random::Draws;

pub(super) const TARGET: &str = "iqn.2026-11.invalid.quintain:small";

pub(super) fn units() -> Vec<Unit> {
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

pub(super) struct Outcomes {
    pub(super) report: Report,
    pub(super) violations: Vec<Violation>,
    pub(super) history: History,
}

pub(super) fn play(plan: &InitiatorPlan, deviation: Option<Deviation>) -> Outcomes {
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

pub(super) fn plan(keys: Keys, verbs: Vec<Verb>) -> InitiatorPlan {
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

pub(super) fn read(lun: u16, lba: u64, blocks: u32) -> Verb {
    Verb::Read { lun, lba, blocks, cdb: CdbSize::Ten, fua: false, dpo: false, expect_more: 0 }
}

pub(super) fn write(lun: u16, lba: u64, blocks: u32) -> Verb {
    Verb::Write { lun, lba, blocks, cdb: CdbSize::Ten, fua: false, dpo: false, expect_more: 0 }
}

pub(super) fn compare(blocks: u32, differs: Option<u32>) -> Verb {
    Verb::Compare { lun: 0, blocks, cdb: CdbSize::Ten, one_block: false, differs }
}

pub(super) fn attack(target: BadTarget, attacks: &[Attack]) -> (Report, Vec<Violation>) {
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

/// The attacks that a target falls for which takes everything, with the rule that it breaks then.
const FATAL: &[(Attack, &str)] = &[
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
];

/// One play against a target, with what the initiator complained of.
pub(crate) struct Played {
    /// What the target does.
    pub(crate) name: String,
    /// The rule that it breaks; `None`: it keeps all.
    pub(crate) breaks: Option<&'static str>,
    /// What it is blamed for, by the initiator or by the history.
    pub(crate) findings: Vec<Finding>,
}

/// All plays.
pub(crate) fn plays() -> Vec<Played> {
    let mut plays = vec![against(None, None)];
    let silent = [Deviation::NeverAnswersBlockEight, Deviation::NeverAnswersBlockEightNorAborts];
    plays.extend(silent.map(|deviation| against(Some(deviation), None)));
    plays.extend(Deviation::BLAMED.iter().map(|&(deviation, rule)| against(Some(deviation), Some(rule))));
    plays.extend(FATAL.iter().map(|&(kind, rule)| attacked(BadTarget::Gullible, kind, Some(rule))));
    plays.extend(FATAL.iter().map(|&(kind, _)| attacked(BadTarget::HangsUp, kind, None)));
    plays
}

fn against(deviation: Option<Deviation>, breaks: Option<&'static str>) -> Played {
    let outcomes = play(&everything(), deviation);
    let mut findings: Vec<_> = outcomes.violations.into_iter().map(Finding::from).collect();
    findings.extend(check_history(&outcomes.history));
    if outcomes.report.steps_left > 0 {
        findings.push(Finding { oracle: "S1", message: format!("steps are left: {:?}", outcomes.report) });
    }
    let name = deviation.map_or_else(|| "nothing".to_owned(), |deviation| format!("{deviation:?}"));
    Played { name: format!("what a small target does wrong: {name}"), breaks, findings }
}

fn attacked(target: BadTarget, kind: Attack, breaks: Option<&'static str>) -> Played {
    let findings = attack(target, &[kind]).1.into_iter().map(Finding::from).collect();
    Played { name: format!("{kind:?} at a target that is {target:?}"), breaks, findings }
}

/// A plan that gives each deviation its chance.
fn everything() -> InitiatorPlan {
    let keys = Keys {
        initial_r2t: Some(true),
        immediate_data: Some(false),
        max_burst_length: Some(1_024),
        first_burst_length: Some(1_024),
        max_recv_data_segment_length: Some(512),
        ..Keys::default()
    };
    let inquiry = |lun, page| Verb::Inquiry { lun, page, allocation: 255 };
    let mut verbs = vec![
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
        Verb::Drain,
        Verb::ReadCapacity { lun: 0, sixteen: true },
        inquiry(0, None),
        inquiry(5, None),
    ];
    let pages = [0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2, 0x87].map(Some);
    verbs.extend(pages.iter().flat_map(|&page| [inquiry(0, page), inquiry(1, page), inquiry(0, page)]));
    verbs.extend([Verb::Drain, read(0, 0, u32::from(inquiry::TRANSFER_MAX) + 1), Verb::Drain]);
    verbs.extend([
        read(0, 0, u32::from(inquiry::TRANSFER_MAX)),
        Verb::Drain,
        read(0, 8, 1),
        Verb::Drain,
        read(0, 0, 1),
    ]);
    plan(keys, verbs)
}
