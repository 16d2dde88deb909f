//! Liveness beside what stays broken (S2): when all faults have been undone, the plan may have one thing broken for good.
//! Whatever has nothing to do with it must work, for as long as it lasts.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use super::{RECOVERY_MAX, Run};
use crate::cluster::SimWorld;
use crate::disk::{DiskFault, Part};
use crate::history::Unit;
use crate::initiator::plan::{Attribute, CdbSize, Keys, Step, Timeouts, Verb};
use crate::initiator::{self, InitiatorPlan, Phase};
use crate::network::{Direction, NEVER};
use crate::plan::{Broken, Profile, UnitPlan};
use crate::random::Draws;

/// What is not concerned has so much virtual time for its audit: ten times the longest of the target's own deadlines.
const BESIDE_MAX: Duration = Duration::from_secs(600);
/// Time for the trouble to become one.
const SPREAD: Duration = Duration::from_millis(200);
/// Who never gives a command up waits so long for it, in milliseconds.
const PATIENCE_MS: u64 = 1 << 40;
/// Initiators that keep a disk that hangs busy: one is bounded by its own command window.
const BUSY: u32 = 3;
/// Commands of each, and in a lite run: with those of the others more than there are workers.
const COMMANDS: u64 = 100;
const FEW_COMMANDS: u64 = 20;

impl Run {
    /// The phase of the plan's `core`. What is broken works again at its end.
    pub(super) async fn beside(&self, broken: Broken) {
        self.enter("core");
        // Those who are in trouble go on as if the faults had not ended.
        let phase = Rc::new(Cell::new(Phase::Chaos));
        let mut troubled = self.shared.clone();
        troubled.phase = phase.clone();
        let mut trouble = pin!(join_all(self.troubled(broken).into_iter().map(|plan| {
            let world = SimWorld::new(&self.executor, &self.network, self.cluster.events(), plan.index);
            let shared = troubled.clone();
            self.executor.on_node("troubled", async move { initiator::run(world, &plan, shared).await })
        })));
        self.strike(broken);
        let clock = self.executor.clock();
        select(trouble.as_mut(), clock.sleep(SPREAD)).await;
        if let Broken::SlowReader { .. } = broken {
            self.network.stall(self.plan.auditor() + 1, Direction::ToInitiator, NEVER);
        }
        self.look_beside(broken, trouble.as_mut()).await;
        phase.set(Phase::Healed);
        self.network.heal();
        self.cluster.disks().values().for_each(crate::disk::SimDisk::heal);
        if let Either::Right(_) = select(trouble, clock.sleep(RECOVERY_MAX)).await {
            self.fail("S1", format!("what was in trouble has not come to its end {RECOVERY_MAX:?} after it"));
        }
    }

    /// All logical units that are not concerned work.
    async fn look_beside(&self, broken: Broken, trouble: impl Future + Unpin) {
        let concerned = match broken {
            Broken::HungDisk { lun } => Some(lun),
            Broken::SlowReader { .. } | Broken::Hostile { .. } => None,
        };
        let units: Vec<Unit> = self.plan.units.iter().map(UnitPlan::unit).collect();
        let units: Vec<Unit> = units.into_iter().filter(|unit| Some(unit.lun) != concerned).collect();
        let world = SimWorld::new(&self.executor, &self.network, self.cluster.events(), self.plan.auditor());
        let (shared, of) = (self.shared.clone(), units.clone());
        let before = self.shared.history.borrow().events.len();
        let audit = self.executor.on_node("auditor", async move { initiator::audit(world, shared, &of).await });
        // The trouble goes on meanwhile.
        let audit = async {
            let (mut audit, mut trouble) = (pin!(audit), trouble);
            match select(audit.as_mut(), &mut trouble).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => audit.await,
            }
        };
        match select(pin!(audit), self.executor.clock().sleep(BESIDE_MAX)).await {
            Either::Left((Ok(()), _)) => self.judge_service("S2", &format!("beside {broken:?}"), before, &units),
            Either::Left((Err(violation), _)) => self.fail("S2", format!("beside {broken:?}: {}", violation.message)),
            Either::Right(_) => self.fail("S2", format!("the audit beside {broken:?} did not end in {BESIDE_MAX:?}")),
        }
    }

    fn strike(&self, broken: Broken) {
        let Broken::HungDisk { lun } = broken else { return };
        if let Some(disk) = self.cluster.disks().get(&lun) {
            for part in [Part::Read, Part::Write, Part::Flush] {
                disk.inject(DiskFault::Hang { part, count: u64::MAX });
            }
        }
    }

    /// The initiators that feel it, or cause it: none of the plan's own, which have come to their end.
    fn troubled(&self, broken: Broken) -> Vec<InitiatorPlan> {
        let first = self.plan.auditor() + 1;
        let units: Vec<Unit> = self.plan.units.iter().map(UnitPlan::unit).collect();
        let draws = |index: u32| Draws::new(self.plan.seed, "troubled", index.into());
        let count = if matches!(broken, Broken::HungDisk { .. }) { BUSY } else { 1 };
        (first..first + count)
            .filter_map(|index| {
                let mut draws = draws(index);
                match broken {
                    Broken::HungDisk { lun } | Broken::SlowReader { lun } => {
                        let unit = units.iter().find(|unit| unit.lun == lun)?;
                        let reads = matches!(broken, Broken::SlowReader { .. });
                        let commands = if self.plan.profile == Profile::Lite { FEW_COMMANDS } else { COMMANDS };
                        Some(patient(index, unit, commands, reads, &mut draws))
                    }
                    Broken::Hostile { lun } => {
                        let units: Vec<Unit> = units.iter().filter(|unit| unit.lun == lun).cloned().collect();
                        (!units.is_empty()).then(|| InitiatorPlan::generate(&mut draws, &units, 10_000, index, true))
                    }
                }
            })
            .collect()
    }
}

/// An initiator that fills its window with reads and gives up in time, or with reads, writes and flushes, for which it waits
/// as long as it takes.
fn patient(index: u32, unit: &Unit, commands: u64, reads: bool, draws: &mut Draws) -> InitiatorPlan {
    let most = if reads { 64 } else { 16 };
    let steps = (0..commands).map(|id| {
        let blocks = draws.between(1, most) as u32;
        let (lun, lba) = (unit.lun, draws.below(unit.blocks - u64::from(blocks)));
        let (cdb, fua, dpo) = (CdbSize::Sixteen, false, false);
        let verb = match draws.below(8) {
            0 if !reads => Verb::Synchronize { lun, lba: 0, blocks: 0, sixteen: false, early: false },
            1..4 if !reads => Verb::Write { lun, lba, blocks, cdb, fua, dpo, expect_more: 0 },
            _ => Verb::Read { lun, lba, blocks, cdb, fua, dpo, expect_more: 0 },
        };
        Step { id: id as u32, attribute: Attribute::Simple, immediate: false, flat: false, verb }
    });
    let never = Timeouts {
        command_ms: PATIENCE_MS,
        abort_ms: PATIENCE_MS,
        reset_ms: PATIENCE_MS,
        ping_interval_ms: 0,
        ..Timeouts::default()
    };
    // A connection that nobody reads from stays so: who does not give it up never comes to an end.
    let timeouts = if reads { Timeouts::default() } else { never };
    InitiatorPlan {
        index,
        name: format!("iqn.2026-11.invalid.quintain:troubled-{index}"),
        isid: [0x80, 0, 2, (index >> 8) as u8, index as u8, 0],
        queue_depth: commands as u32,
        keys: Keys { max_recv_data_segment_length: Some(65_536), initial_r2t: Some(false), ..Keys::default() },
        timeouts,
        steps: steps.collect(),
        ..InitiatorPlan::default()
    }
}
