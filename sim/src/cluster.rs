//! The simulated target: its process, its disks, and how they die and come back.

pub mod mistakes;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use quintain_core::env::Geometry;
use quintain_core::high_water::Reading;
use quintain_core::id::ShardId;
use quintain_core::sync::Notify;
use quintain_core::target::{
    BackendKind, Disks, IoMode, LunConfig, Node as TargetNode, NodeConfig, Shard, StopReport, TargetConfig,
};

use crate::disk::SimDisk;
use crate::executor::{Clock, Executor, Node};
use crate::history::{Event as HistoryEvent, History};
use crate::initiator::World;
use crate::network::{Network, SimWire};
use crate::plan::{Panicker, Plan, Protection, StepName, TARGET_NAME, TargetPlan, UnitKind, UnitPlan};
use crate::probes::{self, Probe};
use crate::runtime::{EventSink, Events, Process, ProcessParts, SimRuntime};
use crate::trace::{Entity, Fact, Trace};

/// How long a clean stop may take beyond its own deadline before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(120);
/// How long a killed process takes to be gone.
const GONE: Duration = Duration::from_micros(2);

/// Hears what a process had counted when it died.
pub type LastWords = dyn Fn(&[Reading]);

/// What a cluster is made of.
pub struct ClusterParts {
    /// Where tasks run.
    pub executor: Executor,
    /// Where connections are.
    pub network: Network,
    /// The trace of the run.
    pub trace: Rc<RefCell<Trace>>,
    /// What initiators and disks saw.
    pub history: Rc<RefCell<History>>,
    /// Takes core's events.
    pub sink: EventSink,
    /// Hears of each death of the process, and what that had counted.
    pub process_ended: Rc<LastWords>,
}

/// The target's machine.
#[derive(Clone)]
pub struct Cluster {
    state: Rc<State>,
}

struct State {
    seed: u64,
    target: TargetPlan,
    /// Of the next process.
    config: RefCell<NodeConfig>,
    parts: ClusterParts,
    disks: BTreeMap<u16, SimDisk>,
    events: Rc<Events>,
    node: RefCell<Option<Node>>,
    up: RefCell<Option<Up>>,
    /// What was beyond its bound in processes that are gone.
    exceeded: RefCell<Vec<String>>,
    starts: Cell<u64>,
    /// How often its listener moved: part of its address.
    moves: Cell<u8>,
    clock_faults: bool,
    /// Something is happening to the process: one thing at a time.
    busy: Cell<bool>,
    idle: Notify,
    stop: RefCell<Option<Duration>>,
    stop_asked: Notify,
    stopped: RefCell<Option<Vec<StopReport>>>,
    stop_done: Notify,
}

/// A process that is up.
struct Up {
    process: Rc<Process>,
    shards: Vec<Rc<Shard<SimRuntime>>>,
}

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// kill -9.
    Crash,
    /// The machine is dead too.
    PowerLoss,
    /// SIGTERM, and so long for the commands to finish.
    CleanStop(Duration),
}

impl Cluster {
    /// A machine with empty disks and nothing running.
    #[must_use]
    pub fn new(plan: &Plan, parts: ClusterParts) -> Self {
        let disks = plan.units.iter().filter(|unit| unit.kind != UnitKind::Nullio).map(|unit| {
            let disk = new_disk(plan.seed, unit, &parts);
            parts.executor.spawn(disk.clone().drive());
            (unit.lun, disk)
        });
        let disks: BTreeMap<u16, SimDisk> = disks.collect();
        let events: Rc<Events> = Rc::default();
        disks.values().for_each(|disk| disk.count_in(events.clone()));
        parts.network.count_in(events.clone());
        let state = State {
            seed: plan.seed,
            target: plan.target.clone(),
            config: RefCell::new(config(plan)),
            disks,
            parts,
            events,
            node: RefCell::default(),
            up: RefCell::default(),
            exceeded: RefCell::default(),
            starts: Cell::new(0),
            moves: Cell::new(0),
            clock_faults: plan.has_clock_faults(),
            busy: Cell::new(false),
            idle: Notify::default(),
            stop: RefCell::default(),
            stop_asked: Notify::default(),
            stopped: RefCell::default(),
            stop_done: Notify::default(),
        };
        Self { state: Rc::new(state) }
    }

    /// Starts the process for the first time.
    pub fn start(&self) {
        let cluster = self.clone();
        let node = self.state.parts.executor.node("target", move || cluster.clone().serve());
        *self.state.node.borrow_mut() = Some(node);
    }

    /// The disks.
    #[must_use]
    pub fn disks(&self) -> &BTreeMap<u16, SimDisk> {
        &self.state.disks
    }

    /// Counts core's events.
    #[must_use]
    pub fn events(&self) -> &Rc<Events> {
        &self.state.events
    }

    /// The process dies, stays down for `down` and comes back. Waits for its turn if something else happens to it.
    ///
    /// # Errors
    /// A clean stop did not end and was killed in the end.
    pub async fn bounce(&self, death: Death, down: Duration) -> Result<(), String> {
        self.take_turn().await;
        let result = self.die(death).await;
        self.state.parts.executor.clock().sleep(down).await;
        self.record(HistoryEvent::Restart);
        self.node().restart();
        self.end_turn();
        result
    }

    /// Stops the process for good and says what is still in use.
    ///
    /// # Errors
    /// It did not stop, or something leaked.
    pub async fn retire(&self, deadline: Duration) -> Result<(), Vec<String>> {
        self.take_turn().await;
        let Some(reports) = self.stop(deadline).await else {
            return Err(vec![format!("a clean stop did not end within {:?}", deadline + STOP_PATIENCE)]);
        };
        let mut complaints: Vec<String> = reports.iter().flat_map(|report| report.flush_errors.clone()).collect();
        let left: usize = reports.iter().map(|report| report.sessions_left).sum();
        if left > 0 {
            complaints.push(format!("{left} sessions did not end"));
        }
        // Tasks that were told to end do so before time goes on.
        self.state.parts.executor.clock().sleep(GONE).await;
        let up = self.state.up.borrow();
        let Some(Up { process, shards }) = &*up else { return Ok(()) };
        for (index, shard) in shards.iter().enumerate() {
            let usage = shard.usage();
            complaints.extend(
                usage
                    .into_iter()
                    .filter(|&(_, used)| used > 0)
                    .map(|(what, used)| format!("shard {index} still has {used} {what}")),
            );
        }
        let buffers = process.buffers_alive();
        if buffers > 0 {
            complaints.push(format!("{buffers} buffers are out of the pool"));
        }
        let connections = self.state.parts.network.open_at_target();
        if connections > 0 {
            complaints.push(format!("{connections} connections are open"));
        }
        drop(up);
        complaints.extend(self.strays());
        if complaints.is_empty() { Ok(()) } else { Err(complaints) }
    }

    /// Connections that the target has ended and not let go of: a session that is held by its own tasks, a timer, a
    /// function that never comes to its end. Each holds its stream.
    #[must_use]
    pub fn strays(&self) -> Option<String> {
        let (alive, places) = (self.state.parts.network.streams_alive() as u64, self.places());
        let strays = alive.checked_sub(places).filter(|&strays| strays > 0)?;
        Some(format!("{strays} connections are over and still in memory, {places} are open"))
    }

    /// Places that are held for connections which are closed.
    #[must_use]
    pub fn kept_places(&self) -> Option<String> {
        let (open, places) = (self.state.parts.network.open_at_target() as u64, self.places());
        (places > open).then(|| format!("{places} connections have a place, and {open} are open"))
    }

    /// Connections, as the target counts them.
    fn places(&self) -> u64 {
        let up = self.state.up.borrow();
        up.as_ref().and_then(|up| up.shards.first()?.usage().remove("connections")).unwrap_or(0)
    }

    /// The process stands still for `duration`.
    pub async fn pause(&self, duration: Duration) {
        self.take_turn().await;
        self.node().pause();
        self.state.parts.executor.clock().sleep(duration).await;
        self.node().resume();
        self.end_turn();
    }

    /// The process listens nowhere for `duration`; when it does again, perhaps at another address (N18).
    pub async fn rebind(&self, duration: Duration, moves: bool) {
        self.take_turn().await;
        if self.state.up.borrow().is_some() {
            self.state.parts.network.stop_listening();
            self.state.parts.executor.clock().sleep(duration).await;
            self.state.moves.set((self.state.moves.get() + u8::from(moves)) % 16);
            self.state.parts.network.listen();
        }
        self.end_turn();
    }

    /// The clock of the process that is up goes `per_mille` seconds in 1,000 for `duration` (C1).
    pub async fn drift(&self, per_mille: u64, duration: Duration) {
        let process = self.state.up.borrow().as_ref().map(|up| up.process.clone());
        if let Some(process) = process {
            process.drift(per_mille);
            self.state.parts.executor.clock().sleep(duration).await;
            process.set_clock_right();
        }
    }

    /// The clock of the process that is up jumps ahead (C2).
    pub fn jump(&self, by: Duration) {
        if let Some(up) = &*self.state.up.borrow() {
            up.process.jump(by);
        }
    }

    /// The clock of the process goes right from now on.
    pub fn set_clock_right(&self) {
        if let Some(up) = &*self.state.up.borrow() {
            up.process.set_clock_right();
        }
    }

    /// The next task of this kind that tells something panics; with `None`, it does not any more.
    pub fn panic_next(&self, who: Option<Panicker>) {
        if let Some(up) = &*self.state.up.borrow() {
            up.process.panic_next(who);
        }
    }

    /// The target's timers are late until `until`: they go off at multiples of `by`.
    pub fn delay_timers(&self, until: Duration, by: Duration) {
        if let Some(up) = &*self.state.up.borrow() {
            up.process.delay_timers(until, by);
        }
    }

    /// The next `count` requests for a buffer are refused.
    pub fn refuse_buffers(&self, count: u64) {
        if let Some(up) = &*self.state.up.borrow() {
            up.process.refuse_buffers(count);
        }
    }

    /// From its next start on, the process runs with this configuration.
    pub fn reconfigure(&self, workers: u32, command_window: u32, write_through: bool) {
        let mut config = self.state.config.borrow_mut();
        config.limits.workers = workers;
        // What watches the wire knows the widest window.
        config.limits.command_window = config.limits.command_window.min(command_window);
        for lun in config.targets.iter_mut().flat_map(|target| target.luns.values_mut()) {
            if write_through && lun.mode == IoMode::WriteBack {
                lun.mode = IoMode::WriteThrough;
            }
        }
    }

    /// Waits until nothing is happening to the process.
    pub async fn settle(&self) {
        self.take_turn().await;
        self.end_turn();
    }

    /// What was ever beyond its bound (S4).
    #[must_use]
    pub fn over_bounds(&self) -> Vec<String> {
        let up = self.state.up.borrow();
        let mut over = self.state.exceeded.borrow().clone();
        let Some(Up { process, shards }) = &*up else { return over };
        let exceeded = shards.iter().flat_map(|shard| shard.high_water()).filter(Reading::is_exceeded);
        over.extend(exceeded.map(|Reading { name, limit, highest, .. }| {
            format!("{} of {name}, and {limit} are allowed", highest.unwrap_or_default())
        }));
        // The pool is the runtime's, so that the core's word is not enough.
        let pools = process.pool_high_water();
        if pools > self.state.target.pool_bytes {
            over.push(format!("a pool gave out {pools} bytes of {}", self.state.target.pool_bytes));
        }
        over
    }

    /// What the process that is up has counted, all shards as one; nothing while none is.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        let up = self.state.up.borrow();
        Reading::merge(up.iter().flat_map(|up| &up.shards).map(|shard| shard.high_water()))
    }

    async fn die(&self, death: Death) -> Result<(), String> {
        let State { parts, disks, .. } = &*self.state;
        let mut result = Ok(());
        let event = match death {
            Death::Crash => HistoryEvent::Crash,
            Death::PowerLoss => HistoryEvent::PowerLoss,
            Death::CleanStop(deadline) => match self.stop(deadline).await {
                Some(reports) if reports.iter().all(is_clean) => HistoryEvent::CleanStop,
                Some(_) => HistoryEvent::Crash,
                None => {
                    result = Err(format!("a clean stop did not end within {:?}", deadline + STOP_PATIENCE));
                    HistoryEvent::Crash
                }
            },
        };
        if self.state.up.borrow().as_ref().is_some_and(|up| up.shards[0].usage()["logins"] > 0) {
            probes::hit(Probe::DeathInLogin);
        }
        self.record(event);
        parts.network.target_died(death != Death::PowerLoss);
        for disk in disks.values() {
            match death {
                Death::PowerLoss => disk.power_lost(),
                Death::Crash | Death::CleanStop(_) => disk.process_died(),
            }
        }
        *self.state.exceeded.borrow_mut() = self.over_bounds();
        let readings = self.readings();
        if let Some(up) = self.state.up.borrow_mut().take() {
            up.process.bury();
        }
        (parts.process_ended)(&readings);
        *self.state.stop.borrow_mut() = None;
        *self.state.stopped.borrow_mut() = None;
        self.node().kill();
        result
    }

    /// Asks the process to stop and waits for its reports.
    async fn stop(&self, deadline: Duration) -> Option<Vec<StopReport>> {
        let state = &self.state;
        *state.stop.borrow_mut() = Some(deadline);
        state.stop_asked.all();
        let reports = state.stop_done.until(|| state.stopped.borrow_mut().take());
        let patience = state.parts.executor.clock().sleep(deadline + STOP_PATIENCE);
        match futures_util::future::select(std::pin::pin!(reports), patience).await {
            futures_util::future::Either::Left((reports, _)) => Some(reports),
            futures_util::future::Either::Right(_) => None,
        }
    }

    /// The process, from its start on.
    async fn serve(self) {
        let state = &self.state;
        let State { parts, target, .. } = &**state;
        let number = state.starts.get();
        state.starts.set(number + 1);
        let process = Process::new(ProcessParts {
            executor: parts.executor.clone(),
            network: parts.network.clone(),
            seed: state.seed,
            number,
            shards: target.shards,
            pool_bytes: target.pool_bytes,
            post_us: target.post_us,
            clock_origin: Duration::from_micros(target.clock_origin_us),
            clock_faults: state.clock_faults,
            trace: parts.trace.clone(),
            sink: parts.sink.clone(),
            events: state.events.clone(),
        });
        let config = state.config.borrow().clone();
        let handles = config.limits.disk_handles();
        if let Some(which) = target.mistake {
            let (other, good) = mistakes::changed(which, config.clone());
            let taken = TargetNode::new(other, target.shards).is_ok();
            assert!(taken == good, "configuration {which} was {}", if taken { "taken" } else { "refused" });
        }
        let node = TargetNode::new(config, target.shards).expect("the plan's configuration is sound");
        let start = |id: u16| {
            let handles = |disk: &SimDisk| (0..handles).map(|_| disk.reopen()).collect();
            let disks: Disks<SimRuntime> = state.disks.iter().map(|(&lun, disk)| ((0, lun), handles(disk))).collect();
            Shard::start(process.runtime(ShardId(id)), node.clone(), ShardId(id), disks)
        };
        let shards: Vec<_> = (0..target.shards).map(start).collect();
        for (id, shard) in (0..).zip(&shards) {
            let (process, shard) = (process.clone(), shard.clone());
            let deliver = async move { process.deliver(ShardId(id), |message| shard.deliver(message)).await };
            parts.executor.spawn(deliver);
        }
        *state.up.borrow_mut() = Some(Up { process, shards: shards.clone() });
        parts.network.listen();
        let asked = state.stop_asked.until(|| *state.stop.borrow());
        let accepting = accept(&parts.network, &shards[0], &state.moves);
        let deadline = match futures_util::future::select(std::pin::pin!(asked), std::pin::pin!(accepting)).await {
            futures_util::future::Either::Left((deadline, _)) => deadline,
            futures_util::future::Either::Right((never, _)) => match never {},
        };
        parts.network.stop_listening();
        let reports = futures_util::future::join_all(shards.iter().map(|shard| shard.stop(deadline))).await;
        *state.stopped.borrow_mut() = Some(reports);
        state.stop_done.all();
        std::future::pending::<()>().await;
    }

    fn node(&self) -> Node {
        self.state.node.borrow().expect("the process was started")
    }

    fn record(&self, event: HistoryEvent) {
        let at = self.state.parts.executor.clock().now();
        self.state.parts.trace.borrow_mut().record(at, Entity::World, &Fact::Process(death_name(&event)));
        self.state.parts.history.borrow_mut().events.push(event);
    }

    async fn take_turn(&self) {
        let state = &self.state;
        state.idle.until(|| (!state.busy.replace(true)).then_some(())).await;
    }

    fn end_turn(&self) {
        self.state.busy.set(false);
        self.state.idle.one();
    }
}

/// Nothing that was acknowledged may be lost, and nobody is there who acknowledges more.
fn is_clean(report: &StopReport) -> bool {
    report.flush_errors.is_empty() && report.sessions_left == 0
}

fn death_name(event: &HistoryEvent) -> &'static str {
    match event {
        HistoryEvent::Crash => "crash",
        HistoryEvent::PowerLoss => "power-loss",
        HistoryEvent::CleanStop => "clean-stop",
        HistoryEvent::Restart => "restart",
        _ => "history",
    }
}

async fn accept(network: &Network, shard: &Rc<Shard<SimRuntime>>, moves: &Cell<u8>) -> std::convert::Infallible {
    loop {
        let (stream, initiator) = network.accept().await;
        let peer = SocketAddr::from(([10, 0, 1, (initiator % 250) as u8 + 1], 49_152));
        let local = SocketAddr::from(([10, 0, 0, 1 + moves.get()], 3260));
        shard.accept(stream, peer, local);
    }
}

fn new_disk(seed: u64, unit: &UnitPlan, parts: &ClusterParts) -> SimDisk {
    let geometry = Geometry {
        size_bytes: unit.size_bytes,
        // What is used past the page cache demands whole blocks of the device (D19).
        logical_block_bytes: if unit.kind == UnitKind::Blockio { unit.block_bytes } else { 512 },
        physical_block_bytes: unit.physical_block_bytes,
        read_only: unit.protected == Some(Protection::Device),
    };
    let (trace, history) = (parts.trace.clone(), parts.history.clone());
    let disk = SimDisk::new(parts.executor.clock(), seed, unit.lun, geometry, unit.speed.clone(), trace, history);
    if unit.kind == UnitKind::Blockio { disk.direct() } else { disk }
}

fn config(plan: &Plan) -> NodeConfig {
    let lun = |unit: &UnitPlan| LunConfig {
        backend: match unit.kind {
            UnitKind::Nullio => BackendKind::Nullio { size_bytes: unit.size_bytes },
            UnitKind::Fileio => BackendKind::Fileio,
            UnitKind::Blockio => BackendKind::Blockio,
        },
        mode: match unit.write_back {
            _ if unit.protected == Some(Protection::Operator) => IoMode::ReadOnly,
            true => IoMode::WriteBack,
            false => IoMode::WriteThrough,
        },
        block_bytes: unit.block_bytes,
        scsi_id: unit.configured(&plan.target).scsi_id,
        serial: unit.configured(&plan.target).serial,
    };
    let target = TargetConfig {
        name: TARGET_NAME.to_owned(),
        alias: plan.target.alias.then(|| "simulated".to_owned()),
        luns: plan.units.iter().map(|unit| (unit.lun, lun(unit))).collect(),
    };
    NodeConfig {
        targets: vec![target],
        limits: plan.target.limits(),
        initial_stat_sn: plan.target.initial_stat_sn,
        initial_ttt: plan.target.initial_ttt,
    }
}

/// The world of one initiator.
#[derive(Clone)]
pub struct SimWorld {
    executor: Executor,
    clock: Clock,
    network: Network,
    events: Rc<Events>,
    initiator: u32,
}

impl SimWorld {
    /// The world of `initiator`.
    #[must_use]
    pub fn new(executor: &Executor, network: &Network, events: &Rc<Events>, initiator: u32) -> Self {
        let (executor, network, events) = (executor.clone(), network.clone(), events.clone());
        Self { clock: executor.clock(), executor, network, events, initiator }
    }
}

impl World for SimWorld {
    type Wire = SimWire;

    async fn connect(&self) -> std::io::Result<SimWire> {
        self.network.connect(self.initiator).await
    }

    fn now(&self) -> Duration {
        self.clock.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn(task);
    }

    fn began(&self, step: u32) {
        self.events.began(StepName { initiator: self.initiator, step }, self.clock.now());
    }
}
