//! One core's share of the node: it accepts connections, makes sessions of them, and stops cleanly.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::connection::Connection;
use crate::connection::full_feature::Driver;
use crate::connection::login::{Identity, Login, LoginOutcome, LoginStatus};
use crate::connection::login_phase::{self, LoggedIn, LoginFailure, encode_reply};
use crate::connection::timers;
use crate::env::{ByteStream, Close, Runtime, ShardMessage};
use crate::event::Event;
use crate::id::{ConnectionId, NexusId, ShardId, Tsih};
use crate::logical_unit::{Device, LogicalUnit, UnitAttention};
use crate::session::abort::Owed;
use crate::session::{Session, SessionKey};
use crate::sync::{Notify, within};
use crate::target::{ConnectionSlot, Node, TargetShare};
use crate::wire::SerialNumber;

/// The disks of a shard, by target (index in [`crate::target::NodeConfig::targets`]) and LUN; nullio has none.
pub type Disks<R> = BTreeMap<(usize, u16), <R as Runtime>::Disk>;

/// See the module.
pub struct Shard<R: Runtime> {
    pub(crate) runtime: R,
    pub(crate) node: Arc<Node>,
    pub(crate) id: ShardId,
    pub(crate) targets: Vec<Rc<TargetShare<R>>>,
    sessions: RefCell<BTreeMap<NexusId, Rc<Session<R>>>>,
    /// Connections in login phase, by peer address.
    logins: RefCell<BTreeMap<IpAddr, u32>>,
    pub(crate) stopping: Cell<bool>,
    pub(crate) next_request: Cell<u64>,
    /// Resets by request: shards that have not acknowledged.
    pub(crate) unacknowledged: RefCell<BTreeMap<u64, usize>>,
    pub(crate) acknowledged: Notify,
}

/// A connection that got through login, on its way to the shard that owns its session.
#[derive(Debug)]
pub struct Handoff {
    id: ConnectionId,
    local: SocketAddr,
    logged_in: LoggedIn,
    /// The session that it will be; claimed in the directory. `None` for discovery.
    key: Option<SessionKey>,
    slot: ConnectionSlot,
}

/// How a clean stop went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// Commands that did not end within the deadline and were aborted.
    pub commands_aborted: usize,
    /// What could not be flushed: acknowledged data may be lost. One message per logical unit.
    pub flush_errors: Vec<String>,
}

impl<R: Runtime> Shard<R> {
    /// Builds shard `id` and starts its workers.
    ///
    /// # Panics
    /// When `disks` lacks the disk of a logical unit that is not nullio.
    pub fn start(runtime: R, node: Arc<Node>, id: ShardId, mut disks: Disks<R>) -> Rc<Self> {
        let mut targets = Vec::new();
        for (index, config) in node.config.targets.iter().enumerate() {
            let limits = &node.config.limits;
            let unit = |(&number, lun)| {
                let shared = node.units[index][&number].clone();
                let disk = disks.remove(&(index, number));
                (number, Rc::new(LogicalUnit::new(runtime.clone(), number, lun, disk, shared, limits)))
            };
            let luns = config.luns.iter().map(unit).collect();
            let device = Device { runtime: runtime.clone(), name: config.name.clone(), limits: limits.clone(), luns };
            targets.push(TargetShare::start(index, device));
        }
        Rc::new(Self {
            runtime,
            node,
            id,
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
            self.runtime.event(&Event::ConnectionRefused { limit: "connections" });
            return stream.close(Close::Abort);
        };
        let logins = self.logins.borrow().get(&peer.ip()).copied().unwrap_or(0);
        if logins >= self.node.config.limits.logins_per_peer {
            self.runtime.event(&Event::ConnectionRefused { limit: "logins_per_peer" });
            return stream.close(Close::Abort);
        }
        *self.logins.borrow_mut().entry(peer.ip()).or_default() += 1;
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
        let idle = join_all(
            sessions.iter().map(|session| session.changed.until(|| session.tasks.borrow().is_empty().then_some(()))),
        );
        let _ = within(&self.runtime, deadline, idle).await;
        let mut report = StopReport {
            commands_aborted: sessions.iter().map(|session| session.tasks.borrow().len()).sum(),
            flush_errors: Vec::new(),
        };
        join_all(sessions.iter().map(|session| async move {
            session.connection.finish("the target stops", session.limits.linger).await;
            session.until_ended().await;
        }))
        .await;
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
        match within(&self.runtime, self.node.config.limits.final_flush, unit.shut_down()).await {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(format!("{target} LUN {lun}: {error}")),
            None => Some(format!("{target} LUN {lun}: the device did not answer the flush")),
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
            ("disowned_tasks", by_target(&|target| u64::from(target.disowned()))),
        ])
    }

    /// The most that was ever in use of what [`crate::limits::Limits`] bounds, by the name of the bound.
    #[must_use]
    pub fn high_water(&self) -> BTreeMap<&'static str, u64> {
        let sessions = self.sessions.borrow();
        let lists = sessions.values().map(|session| session.connection.write_list.high_water_pdus() as u64);
        let queues = self.targets.iter().map(|target| target.queue.high_water() as u64);
        BTreeMap::from([("write_list_pdus", lists.max().unwrap_or(0)), ("work_queue_tasks", queues.max().unwrap_or(0))])
    }

    pub(crate) fn identity(&self, local: SocketAddr) -> Identity<'_> {
        Identity { limits: &self.node.config.limits, targets: &self.node.config.targets, local }
    }

    pub(crate) fn sessions_of(&self, target: usize) -> Vec<Rc<Session<R>>> {
        let of_target = |session: &&Rc<Session<R>>| session.key.as_ref().is_some_and(|key| key.target == target);
        self.sessions.borrow().values().filter(of_target).cloned().collect()
    }

    fn session_with(&self, key: &SessionKey) -> Option<Rc<Session<R>>> {
        self.sessions.borrow().values().find(|session| session.key.as_ref() == Some(key)).cloned()
    }

    async fn log_in(
        self: Rc<Self>,
        id: ConnectionId,
        stream: R::Stream,
        peer: SocketAddr,
        local: SocketAddr,
        slot: ConnectionSlot,
    ) {
        let limits = &self.node.config.limits;
        let identity = self.identity(local);
        let login = Login::new(self.first_stat_sn());
        let negotiation = login_phase::negotiate::<R>(&stream, &identity, login);
        let result = within(&self.runtime, limits.login_deadline, negotiation).await;
        self.login_over(peer.ip());
        let why = match result {
            Some(Ok(logged_in)) => return self.hand_over(id, stream, local, logged_in, slot).await,
            Some(Err(LoginFailure::Refused(status))) => {
                self.runtime.event(&Event::LoginRefused { connection: id, status });
                "login refused"
            }
            Some(Err(LoginFailure::Dropped(why))) => why,
            None => "login took too long",
        };
        stream.close(Close::Graceful);
        self.runtime.event(&Event::ConnectionClosed { connection: id, why });
    }

    fn login_over(&self, peer: IpAddr) {
        let mut logins = self.logins.borrow_mut();
        if let Some(count) = logins.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                logins.remove(&peer);
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
        let sessions_max = self.node.config.limits.sessions_per_target;
        let home = match &key {
            Some(key) => self.node.directory().claim(key, sessions_max),
            None if self.discovery_sessions() < sessions_max as usize => Some(self.id),
            None => None,
        };
        let handoff = Handoff { id, local, logged_in, key, slot };
        match home {
            Some(home) if home == self.id => self.establish(stream, handoff).await,
            Some(home) => {
                let parked = self.runtime.park(stream);
                self.runtime.post(home, ShardMessage::Connection { parked, handoff: Box::new(handoff) });
            }
            None => {
                self.runtime.event(&Event::LimitMet { limit: "sessions_per_target" });
                self.refuse(&stream, handoff.logged_in.login, id, LoginStatus::OUT_OF_RESOURCES).await;
            }
        }
    }

    fn discovery_sessions(&self) -> usize {
        self.sessions.borrow().values().filter(|session| session.key.is_none()).count()
    }

    async fn refuse(&self, stream: &R::Stream, mut login: Login, id: ConnectionId, status: LoginStatus) {
        self.runtime.event(&Event::LoginRefused { connection: id, status: status.0 });
        let reply = login.refused(status);
        let _ = within(&self.runtime, self.node.config.limits.linger, stream.send(vec![encode_reply(reply)])).await;
        stream.close(Close::Graceful);
        self.runtime.event(&Event::ConnectionClosed { connection: id, why: "login refused" });
    }

    /// Makes a session of a connection that got through login, and serves it to its end. This shard owns it.
    async fn establish(self: Rc<Self>, stream: R::Stream, handoff: Handoff) {
        let Handoff { id, local, logged_in, key, slot } = handoff;
        let LoggedIn { login, outcome, unread } = logged_in;
        let reinstates = match self.make_room(key.as_ref(), outcome.tsih).await {
            Ok(reinstates) => reinstates,
            Err(status) => {
                if let Some(key) = &key {
                    self.node.directory().release(key);
                }
                return self.refuse(&stream, login, id, status).await;
            }
        };
        let tsih = self.node.directory().new_tsih();
        let Some(tsih) = tsih else {
            if let Some(key) = &key {
                self.node.directory().release(key);
            }
            return self.refuse(&stream, login, id, LoginStatus::OUT_OF_RESOURCES).await;
        };
        // From here to the insertion into the table nothing waits: no other login can come between.
        let session = self.new_session(id, stream, local, login, outcome, key, tsih, reinstates);
        self.runtime.spawn(session.connection.clone().write());
        self.runtime.spawn(timers::watch(session.clone()));
        let why = Driver::new(self.clone(), session.clone()).run(&unread).await;
        session.connection.abort(why);
        self.end_session(&session).await;
        session.connection.closed(why);
        drop(slot);
    }

    /// Ends the sessions whose place the new one takes (RFC 7143, section 6.3.5); tells whether there was one.
    async fn make_room(&self, key: Option<&SessionKey>, tsih: Tsih) -> Result<bool, LoginStatus> {
        let Some(key) = key else {
            return if tsih == Tsih(0) { Ok(false) } else { Err(LoginStatus::SESSION_DOES_NOT_EXIST) };
        };
        if tsih != Tsih(0) {
            // A second connection, or a new one in the place of the old: sessions have one connection.
            let exists = self.session_with(key).is_some_and(|session| session.tsih == tsih);
            return Err(if exists { LoginStatus::TOO_MANY_CONNECTIONS } else { LoginStatus::SESSION_DOES_NOT_EXIST });
        }
        let mut reinstates = false;
        while let Some(old) = self.session_with(key) {
            reinstates = true;
            if crate::planted!(ReinstatementKeepsOld) {
                old.connection.abort("session reinstated");
                self.sessions.borrow_mut().remove(&old.nexus);
                break;
            }
            old.connection.abort("session reinstated");
            old.until_ended().await;
        }
        Ok(reinstates)
    }

    #[allow(clippy::too_many_arguments, reason = "they are what a session is made of")]
    fn new_session(
        &self,
        id: ConnectionId,
        stream: R::Stream,
        local: SocketAddr,
        mut login: Login,
        outcome: LoginOutcome,
        key: Option<SessionKey>,
        tsih: Tsih,
        reinstates: bool,
    ) -> Rc<Session<R>> {
        let limits = &self.node.config.limits;
        let digests = (outcome.negotiated.header_digest, outcome.negotiated.data_digest);
        let connection =
            Connection::new(self.runtime.clone(), id, stream, local, digests, outcome.next_stat_sn, limits);
        connection.write_list.push(encode_reply(login.established(tsih)));
        let nexus = self.node.next_nexus();
        let target = key.as_ref().map(|key| self.targets[key.target].clone());
        if let Some(target) = &target {
            let first = if reinstates { UnitAttention::NEXUS_LOSS } else { UnitAttention::POWER_ON };
            for unit in target.device.luns.values() {
                unit.attach(nexus, first);
            }
        }
        let session = Rc::new(Session::new(
            nexus,
            (tsih, outcome.cid),
            key,
            target,
            outcome.negotiated,
            outcome.exp_cmd_sn,
            limits.clone(),
            connection,
        ));
        self.sessions.borrow_mut().insert(nexus, session.clone());
        let discovery = session.key.is_none();
        self.runtime.event(&Event::SessionStarted { connection: id, nexus, discovery });
        session
    }

    async fn end_session(&self, session: &Rc<Session<R>>) {
        session.leaving.set(true);
        session.abort(&session.tasks_of(None), Owed::Drop).await;
        // They hold the session, which holds them.
        session.window.borrow_mut().drop_pending();
        if let Some(target) = &session.target {
            for unit in target.device.luns.values() {
                unit.detach(session.nexus);
            }
        }
        self.sessions.borrow_mut().remove(&session.nexus);
        let mut directory = self.node.directory();
        directory.release_tsih(session.tsih);
        if let Some(key) = &session.key {
            directory.release(key);
        }
        drop(directory);
        self.runtime.event(&Event::SessionEnded { nexus: session.nexus });
        session.ended.set(true);
        session.changed.all();
    }
}
