//! One core's share of the node: it accepts connections, hands them over, and stops cleanly.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::connection::login::{Identity, Login, LoginStatus};
use crate::connection::login_phase::{self, LoggedIn, LoginFailure};
use crate::connection::opening::Opening;
use crate::env::{ByteStream, Close, Runtime, ShardMessage};
use crate::event::Event;
use crate::high_water::{Bounds, Reading};
use crate::id::{ConnectionId, NexusId, ShardId, machine};
use crate::logical_unit::{Device, LogicalUnit};
use crate::session::{Session, SessionKey};
use crate::sync::{Notify, within};
use crate::target::cross_shard::Acknowledgements;
use crate::target::{ConnectionSlot, Node, TargetShare};
use crate::wire::SerialNumber;

/// The disks of a shard, by target (index in [`crate::target::NodeConfig::targets`]) and LUN; nullio has none. Each comes
/// as [`crate::limits::Limits::disk_handles`] handles with open file descriptions of their own, which no other shard has.
pub type Disks<R> = BTreeMap<(usize, u16), Vec<<R as Runtime>::Disk>>;

/// See the module.
pub struct Shard<R: Runtime> {
    pub(crate) runtime: R,
    pub(crate) node: Arc<Node>,
    pub(crate) id: ShardId,
    pub(crate) limits: Rc<Bounds>,
    pub(crate) targets: Vec<Rc<TargetShare<R>>>,
    sessions: RefCell<BTreeMap<NexusId, Rc<Session<R>>>>,
    /// Connections in login phase, by the machine that they come from.
    logins: RefCell<BTreeMap<IpAddr, u32>>,
    pub(crate) stopping: Cell<bool>,
    pub(crate) next_request: Cell<u64>,
    /// Resets by request: shards that have not acknowledged.
    pub(crate) unacknowledged: RefCell<BTreeMap<u64, Acknowledgements>>,
    pub(crate) acknowledged: Notify,
}

/// A connection that got through login, on its way to the shard that owns its session.
#[derive(Debug)]
pub struct Handoff {
    pub(crate) id: ConnectionId,
    pub(crate) local: SocketAddr,
    pub(crate) logged_in: LoggedIn,
    /// The session that it will be; claimed in the directory. `None` for discovery.
    pub(crate) key: Option<SessionKey>,
    pub(crate) slot: ConnectionSlot,
}

/// How a clean stop went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// Commands that did not end within the deadline and were aborted.
    pub commands_aborted: usize,
    /// Sessions that had not ended within [`crate::limits::Limits::stop_sessions`] and were left behind.
    pub sessions_left: usize,
    /// What could not be flushed: acknowledged data may be lost. One message per logical unit.
    pub flush_errors: Vec<String>,
}

/// Tasks and their session hold each other. A process that ends at once, as simulated ones do, ends none of them.
impl<R: Runtime> Drop for Shard<R> {
    fn drop(&mut self) {
        self.targets.iter().for_each(|target| target.queue.close());
        self.sessions.get_mut().values().for_each(|session| session.let_go());
    }
}

impl<R: Runtime> Shard<R> {
    /// Builds shard `id` and starts its workers.
    ///
    /// # Panics
    /// When `disks` lacks handles to the disk of a logical unit that is not nullio.
    pub fn start(runtime: R, node: Arc<Node>, id: ShardId, mut disks: Disks<R>) -> Rc<Self> {
        let limits = Rc::new(Bounds::new(node.config.limits.clone()));
        let mut targets = Vec::new();
        for (index, config) in node.config.targets.iter().enumerate() {
            let unit = |(&number, lun)| {
                let shared = node.units[index][&number].clone();
                let disks = disks.remove(&(index, number)).unwrap_or_default();
                (number, Rc::new(LogicalUnit::new(runtime.clone(), number, lun, disks, shared, &limits)))
            };
            let luns = config.luns.iter().map(unit).collect();
            let device = Device { runtime: runtime.clone(), name: config.name.clone(), limits: limits.clone(), luns };
            targets.push(TargetShare::start(index, device));
        }
        Rc::new(Self {
            runtime,
            node,
            id,
            limits,
            targets,
            sessions: RefCell::default(),
            logins: RefCell::default(),
            stopping: Cell::new(false),
            next_request: Cell::new(0),
            unacknowledged: RefCell::default(),
            acknowledged: Notify::default(),
        })
    }

    /// Takes a freshly accepted connection that came from `peer` to our address `local`. Never blocks.
    pub fn accept(self: &Rc<Self>, stream: R::Stream, peer: SocketAddr, local: SocketAddr) {
        if self.stopping.get() {
            return stream.close(Close::Abort);
        }
        let Some(slot) = self.node.connection_slot() else {
            let limit = self.limits.marks.connections.meet();
            crate::probe!(ConnectionsMet);
            self.runtime.event(&Event::ConnectionRefused { peer, limit });
            return stream.close(Close::Abort);
        };
        self.limits.marks.connections.reach(self.node.connections() as usize);
        let machine = machine(peer.ip());
        let logins = self.logins.borrow().get(&machine).copied().unwrap_or(0);
        if logins >= self.limits.logins_per_peer {
            let limit = self.limits.marks.logins_per_peer.meet();
            self.runtime.event(&Event::ConnectionRefused { peer, limit });
            return stream.close(Close::Abort);
        }
        self.limits.marks.logins_per_peer.reach(logins as usize + 1);
        *self.logins.borrow_mut().entry(machine).or_default() += 1;
        let id = self.node.next_connection();
        self.runtime.event(&Event::ConnectionOpened { connection: id, peer });
        self.runtime.spawn(self.clone().log_in(id, stream, peer, local, slot));
    }

    /// Takes a message that another shard posted.
    pub fn deliver(self: &Rc<Self>, message: ShardMessage<R::Parked>) {
        match message {
            ShardMessage::Connection { parked, handoff } => {
                let stream = self.runtime.unpark(parked);
                self.runtime.spawn(self.clone().establish(stream, *handoff));
            }
            ShardMessage::CrossShard(message) => self.on_cross_shard(message),
        }
    }

    /// Clean stop of this shard: takes no new commands, lets those in flight finish within `deadline`, aborts the
    /// rest, closes every connection, and makes all acknowledged data durable.
    pub async fn stop(self: &Rc<Self>, deadline: Duration) -> StopReport {
        self.stopping.set(true);
        let sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
        sessions.iter().for_each(|session| self.close_succession(session, LoginStatus::SERVICE_UNAVAILABLE));
        let idle = join_all(
            sessions.iter().map(|session| session.changed.until(|| session.tasks.borrow().is_empty().then_some(()))),
        );
        let _ = within(&self.runtime, deadline, idle).await;
        let mut report = StopReport {
            commands_aborted: sessions.iter().map(|session| session.tasks.borrow().len()).sum(),
            ..StopReport::default()
        };
        crate::probe!(StopAborts if report.commands_aborted > 0);
        let ends = join_all(sessions.iter().map(|session| async move {
            session.connection.finish("the target stops").await;
            session.until_ended().await;
        }));
        if within(&self.runtime, self.limits.stop_sessions, ends).await.is_none() {
            self.limits.marks.stop_sessions.meet();
        }
        for session in sessions.iter().filter(|session| !session.ended.get()) {
            report.sessions_left += 1;
            // Its linger may have been cut short: its peer is not to wait for the flushes as well.
            session.connection.abort("the target stops");
        }
        // All at once, each within its own time: one disk that hangs keeps no other from being flushed.
        let flushes = self.targets.iter().flat_map(|target| {
            target.queue.close();
            target.device.luns.iter().map(|(number, unit)| self.flush(&target.device.name, *number, unit))
        });
        report.flush_errors = join_all(flushes).await.into_iter().flatten().collect();
        report
    }

    /// Makes everything durable that was acknowledged; tells what went wrong.
    async fn flush(&self, target: &str, lun: u16, unit: &LogicalUnit<R>) -> Option<String> {
        match within(&self.runtime, self.limits.final_flush, unit.shut_down()).await {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(format!("{target} LUN {lun}: {error}")),
            None => {
                self.limits.marks.final_flush.meet();
                Some(format!("{target} LUN {lun}: the device did not answer the flush"))
            }
        }
    }

    /// What is in use right now, for leak checks and reports.
    #[must_use]
    pub fn usage(&self) -> BTreeMap<&'static str, u64> {
        let sessions = self.sessions.borrow();
        let sum = |of: &dyn Fn(&Session<R>) -> usize| sessions.values().map(|session| of(session) as u64).sum();
        let by_target = |of: &dyn Fn(&TargetShare<R>) -> u64| self.targets.iter().map(|target| of(target)).sum();
        BTreeMap::from([
            ("connections", u64::from(self.node.connections())),
            ("logins", self.logins.borrow().values().map(|&count| u64::from(count)).sum()),
            ("sessions", sessions.len() as u64),
            ("sessions_in_directory", self.node.directory().len() as u64),
            ("tasks", sum(&|session| session.tasks.borrow().len())),
            ("task_sets", sum(&|session| session.task_sets.borrow().len())),
            ("write_list_bytes", sum(&|session| session.connection.write_list.bytes())),
            ("work_queue_tasks", by_target(&|target| target.queue.len() as u64)),
            ("disowned_tasks", by_target(&|target| target.queue.disowned() as u64)),
        ])
    }

    /// What became of each limit so far, on this shard.
    #[must_use]
    pub fn high_water(&self) -> Vec<Reading> {
        self.limits.readings()
    }

    pub(crate) fn identity(&self, local: SocketAddr) -> Identity<'_> {
        Identity { limits: &self.limits, targets: &self.node.config.targets, local }
    }

    pub(crate) fn sessions_of(&self, target: usize) -> Vec<Rc<Session<R>>> {
        let of_target = |session: &&Rc<Session<R>>| session.key.as_ref().is_some_and(|key| key.target == target);
        self.sessions.borrow().values().filter(of_target).cloned().collect()
    }

    pub(crate) fn session_with(&self, key: &SessionKey) -> Option<Rc<Session<R>>> {
        self.sessions.borrow().values().find(|session| session.key.as_ref() == Some(key)).cloned()
    }

    /// Puts `session` into the table, in the place of the one that it goes on with.
    pub(crate) fn keep_session(&self, session: &Rc<Session<R>>) {
        self.sessions.borrow_mut().insert(session.nexus, session.clone());
        if session.key.is_none() {
            self.limits.marks.sessions_per_target.reach(self.discovery_sessions());
        }
    }

    pub(crate) fn forget_session(&self, session: &Session<R>) {
        self.sessions.borrow_mut().remove(&session.nexus);
    }

    async fn log_in(
        self: Rc<Self>,
        id: ConnectionId,
        stream: R::Stream,
        peer: SocketAddr,
        local: SocketAddr,
        slot: ConnectionSlot,
    ) {
        let identity = self.identity(local);
        let login = Login::new(self.first_stat_sn());
        let opening = Opening::default();
        let negotiation = login_phase::negotiate::<R>(&stream, &identity, login, &opening);
        let result = within(&self.runtime, self.limits.login_deadline, negotiation).await;
        self.login_over(machine(peer.ip()));
        let why = match result {
            Some(Ok(logged_in)) => return self.hand_over(id, stream, local, logged_in, slot).await,
            Some(Err(LoginFailure::Refused(status))) => {
                self.runtime.event(&Event::LoginRefused { connection: id, status });
                "login refused"
            }
            Some(Err(LoginFailure::Dropped(why))) => self.login_broken(id, opening, why),
            None => {
                self.limits.marks.login_deadline.meet();
                self.login_broken(id, opening, "login took too long")
            }
        };
        if crate::planted!(PlaceKept) {
            std::mem::forget(slot);
        }
        stream.close(Close::Graceful);
        self.runtime.event(&Event::ConnectionClosed { connection: id, why });
    }

    /// Tells that a login had no end, and why as far as the first bytes show it.
    fn login_broken(&self, id: ConnectionId, opening: Opening, why: &'static str) -> &'static str {
        let why = opening.other_protocol().unwrap_or(why);
        self.runtime.event(&Event::LoginBroken { connection: id, why, spoke: opening.spoke() });
        why
    }

    fn login_over(&self, machine: IpAddr) {
        let mut logins = self.logins.borrow_mut();
        if let Some(count) = logins.get_mut(&machine) {
            *count -= 1;
            if *count == 0 {
                logins.remove(&machine);
            }
        }
    }

    fn first_stat_sn(&self) -> SerialNumber {
        SerialNumber(self.node.config.initial_stat_sn.unwrap_or_else(|| {
            let mut bytes = [0; 4];
            self.runtime.entropy(&mut bytes);
            u32::from_be_bytes(bytes)
        }))
    }

    /// Hands a connection to the shard that owns its session.
    async fn hand_over(
        self: Rc<Self>,
        id: ConnectionId,
        stream: R::Stream,
        local: SocketAddr,
        logged_in: LoggedIn,
        slot: ConnectionSlot,
    ) {
        let outcome = &logged_in.outcome;
        let key = outcome.target.filter(|_| !outcome.discovery).map(|target| SessionKey {
            target,
            initiator: outcome.initiator_name.to_lowercase(),
            isid: outcome.isid,
        });
        let sessions_max = self.limits.sessions_per_target;
        let home = match &key {
            Some(key) => self.claim(key),
            None if self.discovery_sessions() < sessions_max as usize => Some(self.id),
            None => None,
        };
        let handoff = Handoff { id, local, logged_in, key, slot };
        match home {
            Some(home) if home == self.id => self.establish(stream, handoff).await,
            Some(home) => {
                crate::probe!(LoginHandedOver);
                let parked = self.runtime.park(stream);
                self.runtime.post(home, ShardMessage::Connection { parked, handoff: Box::new(handoff) });
            }
            None => {
                let limit = self.limits.marks.sessions_per_target.meet();
                self.runtime.event(&Event::LimitMet { limit });
                crate::probe!(SessionsMet);
                if crate::planted!(RefusedKept) {
                    std::mem::forget(handoff.slot);
                }
                self.refuse(&stream, handoff.logged_in.login, id, LoginStatus::OUT_OF_RESOURCES).await;
            }
        }
    }

    /// The shard that owns the session `key`, or will; `None` when its target has too many.
    fn claim(&self, key: &SessionKey) -> Option<ShardId> {
        let mut directory = self.node.directory();
        let home = directory.claim(key, self.limits.sessions_per_target);
        self.limits.marks.sessions_per_target.reach(directory.sessions_of(key.target));
        home
    }

    fn discovery_sessions(&self) -> usize {
        self.sessions.borrow().values().filter(|session| session.key.is_none()).count()
    }
}
