//! Lets the plan's faults strike.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::cluster::{Cluster, Death};
use crate::executor::Executor;
use crate::network::{Direction, NEVER, Network};
use crate::plan::{Fault, FaultKind, Plan, Trigger};
use crate::random::Draws;
use crate::trace::{Entity, Fact, Trace};

/// The faults of a run.
#[derive(Clone)]
pub struct Faults {
    executor: Executor,
    network: Network,
    cluster: Cluster,
    trace: Rc<std::cell::RefCell<Trace>>,
    seed: u64,
    initiators: u32,
    warm_up: Duration,
    over: Rc<Cell<bool>>,
    struck: Rc<Cell<u64>>,
}

impl Faults {
    /// Arms every fault of `plan`.
    #[must_use]
    pub fn arm(
        plan: &Plan,
        executor: &Executor,
        network: &Network,
        cluster: &Cluster,
        trace: &Rc<std::cell::RefCell<Trace>>,
    ) -> Self {
        let faults = Self {
            executor: executor.clone(),
            network: network.clone(),
            cluster: cluster.clone(),
            trace: trace.clone(),
            seed: plan.seed,
            initiators: plan.initiators.iter().map(|initiator| initiator.index + 1).max().unwrap_or(0),
            warm_up: Duration::from_micros(plan.warm_up_us),
            over: Rc::default(),
            struck: Rc::default(),
        };
        for fault in plan.faults.iter().cloned() {
            let faults = faults.clone();
            executor.spawn(async move { faults.wait_and_strike(fault).await });
        }
        faults
    }

    /// No fault strikes from now on, and what they did to network and disks is undone.
    pub async fn stop(&self) {
        self.over.set(true);
        self.cluster.settle().await;
        self.cluster.panic_next(None);
        self.cluster.delay_timers(Duration::ZERO, Duration::ZERO);
        self.cluster.refuse_buffers(0);
        self.cluster.set_clock_right();
        self.executor.hold_up("", 0, Duration::ZERO);
        self.network.heal();
        self.cluster.disks().values().for_each(crate::disk::SimDisk::heal);
    }

    /// How many have struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck.get()
    }

    async fn wait_and_strike(self, fault: Fault) {
        let (clock, events) = (self.executor.clock(), self.cluster.events());
        if !self.warm_up.is_zero() {
            clock.sleep_until(self.warm_up).await;
        }
        let mut start = self.warm_up;
        if let Some(step) = fault.since {
            events.reach_step(step).await;
            start = clock.now();
        }
        match fault.when {
            Trigger::AtUs(us) => clock.sleep_until(start + Duration::from_micros(us)).await,
            Trigger::AfterEvents(count) => events.reach(events.count() + count).await,
            Trigger::OnNth { kind, count } => events.reach_nth(kind, events.count_of(kind) + count).await,
        }
        if self.over.get() {
            return;
        }
        self.struck.set(self.struck.get() + 1);
        let at = self.executor.clock().now();
        let fact = Fact::Fault { name: fault_name(&fault.kind), fault: &fault };
        self.trace.borrow_mut().record(at, Entity::Fault(fault.id), &fact);
        if self.strike_network(&fault).await {
            return;
        }
        self.strike_target(&fault).await;
    }

    async fn strike_network(&self, fault: &Fault) -> bool {
        let network = &self.network;
        match fault.kind {
            FaultKind::Cut { initiator, cut, for_us } => {
                network.reshape(initiator, |link| {
                    link.cut = cut;
                    link.coalesce = false;
                });
                self.restore_after(initiator, for_us).await;
            }
            FaultKind::Window { initiator, window_bytes, for_us } => {
                network.reshape(initiator, |link| link.window_bytes = window_bytes);
                self.restore_after(initiator, for_us).await;
            }
            FaultKind::StallLink { initiator, direction, for_us } => {
                network.stall(initiator, direction, self.after(for_us));
            }
            FaultKind::Swizzle { for_us } => self.swizzle(fault.id, for_us),
            FaultKind::Reset { initiator, direction, bytes } => network.reset_after(initiator, direction, bytes),
            FaultKind::ResetLogin { initiator, direction, bytes } => network.reset_next(initiator, direction, bytes),
            FaultKind::Flip { initiator, direction, place, bits } => {
                network.flip_next(initiator, direction, place, bits, fault.id);
            }
            FaultKind::Silence { initiator } => {
                network.stall(initiator, Direction::ToTarget, NEVER);
                network.stall(initiator, Direction::ToInitiator, NEVER);
            }
            FaultKind::Connects { initiator, how, for_us } => {
                network.fail_connects(initiator, how, self.after(for_us));
            }
            FaultKind::Accepts { for_us } => network.fail_accepts(self.after(for_us)),
            FaultKind::LateBytes { initiator, after_us } => {
                network.hold_until_next(initiator, Duration::from_micros(after_us));
            }
            _ => return false,
        }
        true
    }

    async fn strike_target(&self, fault: &Fault) {
        let us = Duration::from_micros;
        // A clean stop that does not end is judged when no fault can be the reason.
        match fault.kind {
            FaultKind::Disk { lun, how } => {
                if let Some(disk) = self.cluster.disks().get(&lun) {
                    disk.inject(how);
                }
            }
            FaultKind::Crash { down_us } => drop(self.cluster.bounce(Death::Crash, us(down_us)).await),
            FaultKind::PowerLoss { down_us } => drop(self.cluster.bounce(Death::PowerLoss, us(down_us)).await),
            FaultKind::CleanStop { deadline_us, down_us } => {
                drop(self.cluster.bounce(Death::CleanStop(us(deadline_us)), us(down_us)).await);
            }
            FaultKind::Pause { for_us } => self.cluster.pause(us(for_us)).await,
            FaultKind::Panic { who } => self.cluster.panic_next(Some(who)),
            FaultKind::LateTimers { by_us, for_us } => self.cluster.delay_timers(self.after(for_us), us(by_us)),
            FaultKind::NoBuffer { count } => self.cluster.refuse_buffers(count),
            FaultKind::CrashTwice { down_us, up_us } => {
                drop(self.cluster.bounce(Death::Crash, us(down_us)).await);
                self.executor.clock().sleep(us(up_us)).await;
                drop(self.cluster.bounce(Death::Crash, us(down_us)).await);
            }
            FaultKind::Reconfigure { down_us, workers, command_window, write_through } => {
                self.cluster.reconfigure(workers, command_window, write_through);
                drop(self.cluster.bounce(Death::Crash, us(down_us)).await);
            }
            FaultKind::Rebind { for_us, moves } => self.cluster.rebind(us(for_us), moves).await,
            FaultKind::Drift { per_mille, for_us } => self.cluster.drift(per_mille, us(for_us)).await,
            FaultKind::Jump { by_us } => self.cluster.jump(us(by_us)),
            FaultKind::Preempt { who, count, for_us } => self.executor.hold_up(who.path(), count, us(for_us)),
            FaultKind::Freeze { for_us } => self.executor.clock().freeze(us(for_us)),
            _ => {}
        }
    }

    async fn restore_after(&self, initiator: u32, for_us: u64) {
        self.executor.clock().sleep(Duration::from_micros(for_us)).await;
        self.network.restore(initiator);
    }

    /// Each direction of each initiator is free again at a time of its own.
    fn swizzle(&self, id: u32, for_us: u64) {
        let mut draws = Draws::new(self.seed, "swizzle", id.into());
        for initiator in 0..self.initiators {
            for direction in [Direction::ToTarget, Direction::ToInitiator] {
                self.network.stall(initiator, direction, self.after(draws.between(0, for_us)));
            }
        }
    }

    fn after(&self, us: u64) -> Duration {
        self.executor.clock().now() + Duration::from_micros(us)
    }
}

fn fault_name(kind: &FaultKind) -> &'static str {
    match kind {
        FaultKind::Cut { .. } => "cut",
        FaultKind::Window { .. } => "window",
        FaultKind::StallLink { .. } => "stall-link",
        FaultKind::Swizzle { .. } => "swizzle",
        FaultKind::Reset { .. } => "reset",
        FaultKind::ResetLogin { .. } => "reset-login",
        FaultKind::Flip { .. } => "flip",
        FaultKind::Silence { .. } => "silence",
        FaultKind::Connects { .. } => "connects",
        FaultKind::Accepts { .. } => "accepts",
        FaultKind::Disk { .. } => "disk",
        FaultKind::Crash { .. } => "crash",
        FaultKind::PowerLoss { .. } => "power-loss",
        FaultKind::CleanStop { .. } => "clean-stop",
        FaultKind::Pause { .. } => "pause",
        FaultKind::Panic { .. } => "panic",
        FaultKind::LateTimers { .. } => "late-timers",
        FaultKind::NoBuffer { .. } => "no-buffer",
        FaultKind::CrashTwice { .. } => "crash-twice",
        FaultKind::Reconfigure { .. } => "reconfigure",
        FaultKind::LateBytes { .. } => "late-bytes",
        FaultKind::Rebind { .. } => "rebind",
        FaultKind::Drift { .. } => "drift",
        FaultKind::Jump { .. } => "jump",
        FaultKind::Preempt { .. } => "preempt",
        FaultKind::Freeze { .. } => "freeze",
    }
}
