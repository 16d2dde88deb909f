//! Short workloads with one fault at every place where it could strike, none left out: in the way of ACE, which puts a
//! crash at each persistence point of all workloads of a few operations (CrashMonkey, OSDI 2018).

use crate::disk::DiskSpeed;
use crate::initiator::InitiatorPlan;
use crate::initiator::plan::{CdbSize, Keys, Step, Verb};
use crate::network::{Cut, Direction, Link};
use crate::plan::{Ending, Fault, FaultKind, Occasion, Plan, Profile, TargetPlan, Trigger, UnitPlan};

/// What a power loss keeps of the cache is drawn from the seed: none, any or all of it.
const SEEDS: u64 = 6;
/// Bytes of the longer direction of the conversation, from the first login request to the last response; a test counts.
pub const CONVERSATION_BYTES: usize = 3_072;

/// Runs that are alike.
pub struct Family {
    /// In words.
    pub name: &'static str,
    /// The runs.
    pub runs: Vec<Run>,
}

/// A run of a family.
pub struct Run {
    /// What is special about it, as a part of a file's name.
    pub name: String,
    /// The plan.
    pub plan: Plan,
}

/// All of them.
#[must_use]
pub fn families() -> Vec<Family> {
    vec![
        Family { name: "power loss at every step of three operations", runs: power_losses() },
        Family { name: "a cut at every byte of login and WRITE", runs: cuts() },
        Family { name: "a reset at every byte of login and WRITE", runs: resets() },
    ]
}

/// Writes, with and without FUA, to the same and another place, and flushes.
fn operations() -> Vec<Verb> {
    let write = |lba, fua| Verb::Write { lun: 0, lba, blocks: 2, cdb: CdbSize::Ten, fua, dpo: false, expect_more: 0 };
    let synchronize = Verb::Synchronize { lun: 0, lba: 0, blocks: 0, sixteen: false, early: false };
    vec![write(0, false), write(1, false), write(1, true), synchronize]
}

/// Each three operations, one after the other, with a power loss after each write and flush that is issued and after each
/// answer. The disk is slower than the network, so that an answer that comes too early is there before the flush is done.
fn power_losses() -> Vec<Run> {
    let (verbs, mut runs) = (operations(), Vec::new());
    for number in 0..verbs.len().pow(3) {
        let chosen = [number / 16, number / 4 % 4, number % 4].map(|index| verbs[index].clone());
        let writes = chosen.iter().filter(|verb| matches!(verb, Verb::Write { .. })).count() as u64;
        // TEST UNIT READY is answered twice before, since it meets a unit attention, and once behind: then what was
        // answered before is known to the initiator.
        let occasions = [
            (Occasion::WriteIssued, 1..=writes),
            (Occasion::FlushIssued, 1..=3 - writes),
            (Occasion::TaskCompleted, 3..=6),
        ];
        for (kind, counts) in occasions {
            for (count, seed) in counts.flat_map(|count| (0..SEEDS).map(move |seed| (count, seed))) {
                let ready = [Verb::TestUnitReady { lun: 0 }];
                let steps = ready.iter().chain(&chosen).chain(&ready).flat_map(|verb| [verb.clone(), Verb::Drain]);
                let mut plan = plan(seed, steps.collect());
                plan.units[0].write_back = true;
                plan.units[0].speed = DiskSpeed { latency_min_us: 1_000, latency_tail_us: 1 };
                let when = Trigger::OnNth { kind, count };
                plan.faults = vec![Fault { id: 0, when, since: None, kind: FaultKind::PowerLoss { down_us: 1_000 } }];
                let name = format!("power-{number}-{}-{count}-{seed}", kind.plural().replace(' ', "-"));
                runs.push(Run { name, plan });
            }
        }
    }
    runs
}

/// A login that agrees on digests, and a WRITE of two bursts that is read again.
fn conversation() -> Plan {
    let write = Verb::Write { lun: 0, lba: 0, blocks: 2, cdb: CdbSize::Ten, fua: false, dpo: false, expect_more: 0 };
    let read = Verb::Read { lun: 0, lba: 0, blocks: 1, cdb: CdbSize::Ten, fua: false, dpo: false, expect_more: 0 };
    let mut plan = plan(0, vec![write, Verb::Drain, read]);
    plan.initiators[0].keys = Keys {
        header_digest: Some("CRC32C".to_owned()),
        data_digest: Some("CRC32C".to_owned()),
        initial_r2t: Some(true),
        immediate_data: Some(false),
        max_burst_length: Some(512),
        first_burst_length: Some(512),
        ..Keys::default()
    };
    plan
}

fn cuts() -> Vec<Run> {
    let cut = |at| {
        let mut plan = conversation();
        plan.links = vec![Link { cut: Cut::At(at), coalesce: false, ..Link::default() }];
        Run { name: format!("cut-{at}"), plan }
    };
    (1..CONVERSATION_BYTES).map(cut).collect()
}

fn resets() -> Vec<Run> {
    let reset = |(direction, bytes): (Direction, usize)| {
        let mut plan = conversation();
        let kind = FaultKind::ResetLogin { initiator: 0, direction, bytes: bytes as u64 };
        plan.faults = vec![Fault { id: 0, when: Trigger::AtUs(1), since: None, kind }];
        let way = if direction == Direction::ToTarget { "out" } else { "in" };
        Run { name: format!("reset-{way}-{bytes}"), plan }
    };
    let places = (1..CONVERSATION_BYTES).flat_map(|at| [(Direction::ToTarget, at), (Direction::ToInitiator, at)]);
    places.map(reset).collect()
}

/// One small logical unit and one initiator.
fn plan(seed: u64, verbs: Vec<Verb>) -> Plan {
    let step = |(id, verb)| Step { id, attribute: Default::default(), immediate: false, flat: false, verb };
    let mut initiator = InitiatorPlan { steps: (0..).zip(verbs).map(step).collect(), ..InitiatorPlan::default() };
    initiator.timeouts.retry_ms = 10;
    let speed = DiskSpeed::default();
    Plan {
        seed,
        profile: Profile::Lite,
        planted: None,
        story: None,
        finds: None,
        warm_up_us: 0,
        schedule: None,
        buggify: Vec::new(),
        core: None,
        ending: Ending::AuditThenPowerLoss,
        target: TargetPlan { workers: 2, ..TargetPlan::default() },
        units: vec![UnitPlan { size_bytes: 64 << 10, physical_block_bytes: 512, speed, ..UnitPlan::default() }],
        links: Vec::new(),
        initiators: vec![initiator],
        faults: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::{self, Options};

    /// The reset at the last byte that is tried finds nothing to strike: the conversation is shorter.
    #[test]
    fn every_byte_of_the_conversation_is_tried() {
        for direction in [Direction::ToTarget, Direction::ToInitiator] {
            let logins = |bytes| {
                let mut plan = conversation();
                let kind = FaultKind::ResetLogin { initiator: 0, direction, bytes };
                plan.faults = vec![Fault { id: 0, when: Trigger::AtUs(1), since: None, kind }];
                runner::run(&plan, Options::default()).stats.logins
            };
            assert_eq!(logins(CONVERSATION_BYTES as u64), 1, "{direction:?}");
            assert!(logins(600) > 0, "it comes back after a reset");
        }
    }

    #[test]
    fn power_loss_strikes_in_each_of_its_runs() {
        for run in power_losses().iter().step_by(97) {
            let verdict = runner::run(&run.plan, Options::default());
            assert_eq!((verdict.stats.faults, verdict.failures), (1, vec![]), "{}", run.name);
        }
    }
}
