//! One run: `Plan -> Verdict`.
//!
//! Phases: warm-up (the initiators log in and work, and nothing goes wrong), chaos (the initiators do their steps while
//! the plan's faults strike), faults stop, one thing is broken for good while all else works, the plan's ending, the audit (every logical unit can be written, flushed and read again, every block is read), power loss, the audit
//! again, and a clean stop after which nothing may be left over.

mod beside;
mod observers;
mod service;

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, maybe_done, select};
use quintain_core::planted;

use crate::buggify::{self, Fires};
use crate::cells::Cells;
use crate::cluster::{Cluster, ClusterParts, Death, SimWorld};
use crate::executor::{self, Clock, Executor, Lost};
use crate::faults::Faults;
use crate::history::Event as HistoryEvent;
use crate::initiator::{self, Ear, Heard, Phase, Report, Shared};
use crate::network::{Cut, Link, Network};
use crate::oracle;
use crate::plan::{Ending, Plan, TARGET_NAME, UnitPlan};
use crate::probes::Probes;
use crate::trace::{Entity, Fact, Trace, Watch};
use crate::verdict::{Failure, LIVELOCK, Stats, Verdict, WATCHDOG};
use observers::Observers;

/// Virtual time after which the chaos ends, whatever the initiators have done.
const CHAOS_MAX: Duration = Duration::from_secs(600);
/// Virtual time for all that a healed target and its initiators still have to do.
const RECOVERY_MAX: Duration = Duration::from_secs(1_200);
/// For the commands of a clean stop.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How long what is over may stay in memory: longer than any abort, reset or close takes.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// The first phase.
const WARM_UP: &str = "warm-up";
/// How long the target is down between two phases.
const DOWN: Duration = Duration::from_millis(50);
/// The auditor's path. What it looks at is the medium: how a stream may be cut is the initiators' matter, and a megabyte
/// that comes byte by byte costs more than all they do.
const AUDIT_LINK: Link = Link {
    latency_min_us: 20,
    latency_tail_us: 10,
    slow_one_in: 500,
    ns_per_kib: 100,
    window_bytes: 1 << 20,
    cut: Cut::Nowhere,
    coalesce: false,
};
/// More failures of one run than these add nothing.
const FAILURES_MAX: usize = 20;

/// What a run needs besides its plan.
#[derive(Default)]
pub struct Options {
    /// Who is told of everything that happens.
    pub watch: Option<Box<dyn Watch>>,
    /// Real time for the run; zero: two minutes.
    pub limit: Duration,
    /// The chaos, of faults and attacks, ends at this virtual time, if it has not ended before.
    pub calm: Option<Duration>,
}

/// Runs `plan` on a thread of its own.
#[must_use]
pub fn run(plan: &Plan, options: Options) -> Verdict {
    let limit = if options.limit.is_zero() { Duration::from_secs(120) } else { options.limit };
    let (seed, plan) = (plan.seed, plan.clone());
    let result = executor::run(seed, limit, move |executor| async move {
        let bug = plan.planted.as_deref().map(|name| planted_bug(name).expect("the command line checked the name"));
        planted::select(bug);
        if let Some(schedule) = plan.schedule {
            executor.follow(seed, schedule);
        }
        Run::new(plan, executor, options).play().await
    });
    let failure = match result {
        Ok(verdict) => return verdict,
        Err(Lost::Panic(story)) => fallen(&story),
        Err(Lost::Watchdog) => {
            Failure { oracle: WATCHDOG, message: format!("the run did not end within {limit:?} of real time") }
        }
    };
    Verdict { failures: vec![failure], ..Verdict::default() }
}

/// What the panic with this story means: an assertion, or the executor has seen that no time passes.
pub(crate) fn fallen(story: &str) -> Failure {
    match story.split_once('\n').and_then(|(_, message)| message.strip_prefix(executor::LIVELOCK)) {
        Some(message) => Failure { oracle: LIVELOCK, message: message.to_owned() },
        None => Failure { oracle: "S6", message: story.to_owned() },
    }
}

/// The planted bug called `name`.
#[must_use]
pub fn planted_bug(name: &str) -> Option<planted::Bug> {
    planted::CATALOGUE.iter().find(|entry| entry.name == name).map(|entry| entry.bug)
}

/// Tells the trace what the initiators do and see.
fn ear(clock: Clock, trace: Rc<RefCell<Trace>>) -> Ear {
    Ear::new(move |heard| {
        let fact = match *heard {
            Heard::Event(event, tag) => Fact::History { event, tag },
            Heard::Violation(oracle, message) => Fact::Failure { oracle, message },
        };
        trace.borrow_mut().note(clock.now(), Entity::World, &fact);
    })
}

/// The path of each initiator and, behind these, of the auditor.
fn links(plan: &Plan) -> Vec<Link> {
    let mut links = plan.links.clone();
    links.resize(plan.auditor() as usize, Link::default());
    links.push(AUDIT_LINK);
    links
}

struct Run {
    plan: Plan,
    executor: Executor,
    network: Network,
    cluster: Cluster,
    /// [`Options::calm`].
    calm: Duration,
    trace: Rc<RefCell<Trace>>,
    observers: Observers,
    shared: Shared,
    failures: RefCell<Vec<Failure>>,
    reports: Rc<RefCell<Vec<Report>>>,
    faults: Cell<u64>,
    fires: Rc<Cell<Fires>>,
    phase: Cell<&'static str>,
}

impl Run {
    fn new(plan: Plan, executor: Executor, options: Options) -> Self {
        let fires = buggify::activate(plan.seed, &plan.buggify);
        let trace = Rc::new(RefCell::new(Trace::new(options.watch)));
        let units = plan.units.iter().map(UnitPlan::unit).collect();
        let mut shared = Shared::new(plan.seed, TARGET_NAME, units);
        shared.pool_share_bytes = plan.target.pool_bytes / plan.target.pool_shares.max(1) as usize;
        shared.configured = Rc::new(plan.units.iter().map(|unit| (unit.lun, unit.configured(&plan.target))).collect());
        shared.asks_peers = plan.target.nop_interval_ms > 0;
        shared.stall_bytes = plan.target.stall_bytes;
        shared.initiator_stall = Duration::from_millis(plan.target.initiator_stall_ms);
        shared.shortest_stall = plan.shortest(plan.target.initiator_stall_ms);
        if trace.borrow().is_watched() {
            shared.ear = ear(executor.clock(), trace.clone());
        }
        let observers = Observers::new(&plan, shared.violations.clone(), trace.clone());
        let network = Network::new(executor.clock(), plan.seed, links(&plan), trace.clone(), observers.tap());
        let parts = ClusterParts {
            executor: executor.clone(),
            network: network.clone(),
            trace: trace.clone(),
            history: shared.history.clone(),
            sink: observers.sink(),
            process_ended: observers.process_ended(),
        };
        let cluster = Cluster::new(&plan, parts);
        Self {
            plan,
            executor,
            network,
            cluster,
            calm: options.calm.unwrap_or(Duration::MAX),
            trace,
            observers,
            shared,
            failures: RefCell::default(),
            reports: Rc::default(),
            faults: Cell::new(0),
            fires,
            phase: Cell::new(WARM_UP),
        }
    }

    /// All phases; a panic anywhere ends the run.
    async fn play(self) -> Verdict {
        let phases = self.phases();
        let panicked = self.executor.panicked();
        let panic = match select(pin!(phases), pin!(panicked)).await {
            Either::Left(((), _)) => None,
            Either::Right((story, _)) => Some(story),
        };
        if let Some(story) = panic {
            let Failure { oracle, message } = fallen(&story);
            self.fail(oracle, format!("{message} (in the {})", self.phase.get()));
        }
        self.judge()
    }

    async fn phases(&self) {
        self.cluster.start();
        let faults = Faults::arm(&self.plan, &self.executor, &self.network, &self.cluster, &self.trace);
        let mut initiators = pin!(maybe_done(self.start_initiators()));
        let clock = self.executor.clock();
        if self.plan.warm_up_us > 0 {
            self.enter(WARM_UP);
            select(initiators.as_mut(), clock.sleep(Duration::from_micros(self.plan.warm_up_us))).await;
            self.cluster.events().warmed_up(clock.now());
            self.mark_failures();
        }
        self.enter("chaos");
        let end = self.calm.min(clock.now() + CHAOS_MAX);
        let chaos = select(initiators, clock.sleep_until(end)).await;
        faults.stop().await;
        self.enter("healed");
        self.faults.set(faults.struck());
        self.shared.phase.set(Phase::Healed);
        if let Either::Right((_, initiators)) = chaos
            && let Either::Right(_) = select(initiators, clock.sleep(RECOVERY_MAX)).await
        {
            self.fail("S1", format!("initiators have not come to their end {RECOVERY_MAX:?} after the last fault"));
            return;
        }
        if let Some(broken) = self.plan.core {
            self.beside(broken).await;
        }
        self.enter("ending");
        self.end().await;
        self.enter("end");
        if self.failures.borrow().is_empty()
            && let Err(complaints) = self.cluster.retire(STOP_DEADLINE).await
        {
            complaints.into_iter().for_each(|complaint| self.fail("S5", complaint));
        }
    }

    /// The trace, and the stories of failures that have no other time, tell the phase.
    fn enter(&self, phase: &'static str) {
        self.phase.set(phase);
        self.trace.borrow_mut().record(self.executor.clock().now(), Entity::World, &Fact::Phase(phase));
    }

    /// What has gone wrong so far went wrong without any fault.
    fn mark_failures(&self) {
        self.check_bounds();
        let mark = |message: &mut String| message.push_str(" (in the warm-up: no fault had struck)");
        self.shared.violations.borrow_mut().iter_mut().for_each(|violation| mark(&mut violation.message));
        self.failures.borrow_mut().iter_mut().for_each(|failure| mark(&mut failure.message));
    }

    /// What the plan says to come after the chaos, and the audits.
    async fn end(&self) {
        let deaths: &[Option<Death>] = match self.plan.ending {
            Ending::AuditThenPowerLoss => &[None, Some(Death::PowerLoss)],
            Ending::PowerLoss => &[Some(Death::PowerLoss)],
            Ending::Crash => &[Some(Death::Crash), Some(Death::PowerLoss)],
            Ending::CleanStop => &[Some(Death::CleanStop(STOP_DEADLINE)), Some(Death::PowerLoss)],
        };
        // Where nothing is lost with the process' memory at once, what it keeps too long shows.
        if matches!(self.plan.ending, Ending::AuditThenPowerLoss | Ending::CleanStop) {
            self.executor.clock().sleep(FORGOTTEN).await;
            if self.cluster.kept_places().is_some() {
                // The last task of a connection that was given up just now may be at a disk.
                self.executor.clock().sleep(FORGOTTEN).await;
            }
            let kept = self.cluster.strays().into_iter().chain(self.cluster.kept_places());
            kept.for_each(|complaint| self.fail("S5", complaint));
        }
        for death in deaths {
            if let Some(death) = *death
                && let Err(complaint) = self.cluster.bounce(death, DOWN).await
            {
                self.fail("S1", complaint);
            }
            if !self.audit().await {
                return;
            }
        }
    }

    /// Every logical unit works (S1), and every block is read.
    async fn audit(&self) -> bool {
        self.enter("audit");
        self.shared.phase.set(Phase::Audit);
        let world = SimWorld::new(&self.executor, &self.network, self.cluster.events(), self.plan.auditor());
        let (shared, units) = (self.shared.clone(), self.plan.units.iter().map(UnitPlan::unit).collect::<Vec<_>>());
        let (of, before) = (units.clone(), self.shared.history.borrow().events.len());
        let audit = self.executor.on_node("auditor", async move { initiator::audit(world, shared, &of).await });
        match select(pin!(audit), self.executor.clock().sleep(RECOVERY_MAX)).await {
            Either::Left((Ok(()), _)) => {
                self.judge_service("S1", "in an audit after the faults", before, &units);
                true
            }
            Either::Left((Err(violation), _)) => {
                self.fail(violation.oracle, violation.message);
                false
            }
            Either::Right(_) => {
                self.fail("S1", format!("the audit has not come to its end in {RECOVERY_MAX:?}"));
                false
            }
        }
    }

    /// Plays every initiator; completes when all have come to their end.
    fn start_initiators(&self) -> impl Future<Output = ()> + use<> {
        let plays = self.plan.initiators.clone().into_iter().map(|plan| {
            let world = SimWorld::new(&self.executor, &self.network, self.cluster.events(), plan.index);
            let (shared, reports, executor) = (self.shared.clone(), self.reports.clone(), self.executor.clone());
            async move {
                let play = async move { initiator::run(world, &plan, shared).await };
                let report = executor.on_node("initiator", play).await;
                reports.borrow_mut().push(report);
            }
        });
        let plays: Vec<_> = plays.collect();
        async move { drop(futures_util::future::join_all(plays).await) }
    }

    /// No high-water mark is above its limit (S4).
    fn check_bounds(&self) {
        if self.failures.borrow().iter().all(|failure| failure.oracle != "S4") {
            self.cluster.over_bounds().into_iter().for_each(|complaint| self.fail("S4", complaint));
        }
    }

    fn judge(self) -> Verdict {
        self.check_bounds();
        let violations = self.shared.violations.borrow();
        let mut failures = self.failures.take();
        failures.extend(violations.iter().map(|v| Failure { oracle: v.oracle, message: v.message.clone() }));
        let history = self.shared.history.borrow();
        let finding = |finding: oracle::Finding| Failure { oracle: finding.oracle, message: finding.message };
        failures.extend(oracle::check_history(&history).into_iter().map(finding));
        failures.extend(self.observers.finish(&self.cluster.readings()).into_iter().map(finding));
        failures.truncate(FAILURES_MAX);
        let mut trace = self.trace.borrow_mut();
        history.events.iter().for_each(|event| trace.history(event));
        if trace.is_watched() {
            // What was found only now was told by nobody yet.
            let at = self.executor.clock().now();
            for Failure { oracle, message } in &failures {
                trace.note(at, Entity::World, &Fact::Failure { oracle, message });
            }
        }
        trace.finish();
        let (stats, paths) = (self.stats(&trace, &history.events), self.observers.paths());
        let beginnings = self.cluster.events().take_beginnings();
        Verdict { failures, trace_hash: trace.hash(), stats, paths, beginnings }
    }

    fn stats(&self, trace: &Trace, history: &[HistoryEvent]) -> Stats {
        let invoked = |event: &&HistoryEvent| matches!(event, HistoryEvent::Invoke { .. });
        let mut stats = Stats {
            commands: history.iter().filter(invoked).count() as u64,
            faults: self.faults.get(),
            events: trace.events(),
            task_steps: self.executor.clock().steps(),
            virtual_us: self.executor.clock().now().as_micros() as u64,
            probes: Probes::take(),
            cells: Cells::take(),
            fires: self.fires.get(),
            ..Stats::default()
        };
        for report in self.reports.borrow().iter() {
            stats.good += report.good;
            stats.logins += report.logins;
            stats.continued += report.continued;
            stats.steps_left += report.steps_left;
            stats.attacks += report.attacks;
        }
        stats
    }

    fn fail(&self, oracle: &'static str, message: String) {
        let at = self.executor.clock().now();
        self.trace.borrow_mut().note(at, Entity::World, &Fact::Failure { oracle, message: &message });
        self.failures.borrow_mut().push(Failure { oracle, message });
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;
    use crate::plan::Profile;

    /// A livelock and a run without an end were once told as assertions (S6).
    #[test]
    fn livelock_watchdog_and_panic_are_three_rules() {
        let story = |task: fn() -> Poll<()>| {
            executor::run_for_test(3, move |executor| async move {
                executor.spawn(poll_fn(move |cx| {
                    cx.waker().wake_by_ref();
                    task()
                }));
                executor.panicked().await
            })
        };
        let livelock = fallen(&story(|| Poll::Pending).expect("it is noticed"));
        let panic = fallen(&story(|| panic!("no livelock: this one")).expect("it is noticed"));
        let limit = Duration::from_nanos(1);
        let endless = failure(Options { limit, ..Options::default() });
        assert_eq!((livelock.oracle, panic.oracle, endless.oracle), ("livelock", "S6", "watchdog"));
        assert_eq!(livelock.fingerprint(), "livelock tasks run for ever and no time passes");
        assert_eq!(endless.fingerprint(), "watchdog the run did not end within N of real time");
        assert!(panic.rule().starts_with("S6 sim/src/runner.rs:"), "{}", panic.rule());
        assert_eq!((livelock.rule(), endless.rule()), ("livelock".to_owned(), "watchdog".to_owned()));
    }

    fn failure(options: Options) -> Failure {
        run(&Plan::generate(0, Profile::Lite), options).failures.remove(0)
    }
}
