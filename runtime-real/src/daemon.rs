//! The running target: one thread and one ring for each shard.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_channel::oneshot;
use futures_util::future::{AbortHandle, Abortable, poll_fn};
use futures_util::stream::StreamExt;
use quintain_core::env::{Disk, Runtime};
use quintain_core::high_water::Reading;
use quintain_core::id::ShardId;
use quintain_core::target::{Disks, Node, NodeConfig, Shard, StopReport};
use tracing::{error, warn};

use crate::ServeError;
use crate::runtime::{Listener, Message, Peers, RealDisk, RealRuntime, World};

/// What a daemon is made of.
pub struct Setup {
    /// Targets and bounds.
    pub node: NodeConfig,
    /// Open disks by target (index in [`NodeConfig::targets`]) and LUN; nullio has none. They are opened again for each
    /// shard.
    pub disks: BTreeMap<(usize, u16), RealDisk>,
    /// Bound sockets.
    pub listeners: Vec<TcpListener>,
    /// Cores to use, at least one.
    pub shards: NonZero<u16>,
}

/// A running target. Dropping it ends its threads without flushing anything.
pub struct Daemon {
    addresses: Vec<SocketAddr>,
    shards: Vec<ShardHandle>,
}

/// How a daemon ended.
#[derive(Debug)]
pub struct Stopped {
    /// What the clean stop achieved.
    pub report: StopReport,
    /// What became of each limit, over all cores.
    pub high_water: Vec<Reading>,
}

struct ShardHandle {
    /// Whoever sends an end of a channel gets the shard's marks.
    ask: UnboundedSender<mpsc::Sender<Vec<Reading>>>,
    stop: oneshot::Sender<Duration>,
    report: mpsc::Receiver<(StopReport, Vec<Reading>)>,
    finish: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What a shard's thread is given.
struct ShardSetup {
    id: ShardId,
    node: Arc<Node>,
    disks: Disks<RealRuntime>,
    listeners: Vec<TcpListener>,
    inbox: UnboundedReceiver<Message>,
    started: mpsc::Sender<()>,
    questions: UnboundedReceiver<mpsc::Sender<Vec<Reading>>>,
    stop: oneshot::Receiver<Duration>,
    report: mpsc::Sender<(StopReport, Vec<Reading>)>,
    finish: oneshot::Receiver<()>,
}

impl Daemon {
    /// Starts serving.
    ///
    /// # Errors
    /// A configuration that the core refuses, or a kernel without rings, threads or descriptors to give.
    pub fn start(setup: Setup) -> Result<Self, ServeError> {
        let resources = |source| ServeError::Resources { source };
        let addresses: io::Result<Vec<_>> = setup.listeners.iter().map(TcpListener::local_addr).collect();
        let limits = setup.node.limits.clone();
        let node = Node::new(setup.node, setup.shards.get())?;
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..setup.shards.get()).map(|_| unbounded()).unzip();
        let processors = processors(setup.shards);
        let peers = Peers::default();
        // All of them before anything is served.
        let disks: io::Result<Vec<_>> = inboxes.iter().map(|_| handles(&setup.disks, limits.disk_handles())).collect();
        let disks = disks.map_err(resources)?;
        let mut daemon = Self { addresses: addresses.map_err(resources)?, shards: Vec::new() };
        // One shard accepts; the core moves a connection to the shard of its session after login.
        let mut listeners = Some(setup.listeners);
        for (((id, inbox), processor), disks) in (0..).zip(inboxes).zip(processors).zip(disks) {
            let world = World { limits: limits.clone(), shards: senders.clone(), peers: peers.clone(), processor };
            let listeners = listeners.take().unwrap_or_default();
            daemon.shards.push(start_shard(world, ShardId(id), node.clone(), disks, listeners, inbox)?);
        }
        Ok(daemon)
    }

    /// Where it listens, with the port that the kernel chose when 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What became of each limit so far, over all cores. A core that does not answer is left out.
    #[must_use]
    pub fn high_water(&self) -> Vec<Reading> {
        let ask = |shard: &ShardHandle| {
            let (answer, readings) = mpsc::channel();
            shard.ask.unbounded_send(answer).ok()?;
            readings.recv_timeout(ANSWER_TIME).ok()
        };
        Reading::merge(self.shards.iter().filter_map(ask))
    }

    /// Stops accepting, lets commands in flight finish within `deadline`, makes all acknowledged data durable, and
    /// ends the threads. Blocks until that is done.
    #[must_use]
    pub fn stop(self, deadline: Duration) -> Stopped {
        let mut total = StopReport::default();
        let mut high_water = Vec::new();
        let mut ending = Vec::new();
        for shard in self.shards {
            // An error means that the shard is gone; its missing report says so below.
            let _ = shard.stop.send(deadline);
            ending.push((shard.report, shard.finish, shard.thread));
        }
        let mut threads = Vec::new();
        for (report, finish, thread) in ending {
            match report.recv() {
                Ok((report, readings)) => {
                    high_water.push(readings);
                    total.commands_aborted += report.commands_aborted;
                    total.sessions_left += report.sessions_left;
                    total.flush_errors.extend(report.flush_errors);
                }
                Err(_) => total.flush_errors.push("a core ended too early and its data was not flushed".to_owned()),
            }
            threads.push((finish, thread));
        }
        // Only now: until all have stopped, they may still have something to tell each other.
        for (finish, thread) in threads {
            drop(finish);
            if thread.join().is_err() {
                error!("a core ended with a broken invariant; this is a bug in Quintain, please report it");
            }
        }
        Stopped { report: total, high_water: Reading::merge(high_water) }
    }
}

/// Handles to all disks for one shard, each with an open file description of its own.
fn handles(disks: &BTreeMap<(usize, u16), RealDisk>, count: u32) -> io::Result<Disks<RealRuntime>> {
    let reopen = |(&unit, disk): (&_, &RealDisk)| {
        // Nothing is durable that is not written.
        let count = if disk.geometry().read_only { 1 } else { count };
        Ok((unit, (0..count).map(|_| disk.reopen()).collect::<io::Result<_>>()?))
    };
    disks.iter().map(reopen).collect()
}

fn start_shard(
    world: World,
    id: ShardId,
    node: Arc<Node>,
    disks: Disks<RealRuntime>,
    listeners: Vec<TcpListener>,
    inbox: UnboundedReceiver<Message>,
) -> Result<ShardHandle, ServeError> {
    let (started, has_started) = mpsc::channel();
    let (ask, questions) = unbounded();
    let (stop, stop_receiver) = oneshot::channel();
    let (report_sender, report) = mpsc::channel();
    let (finish, finish_receiver) = oneshot::channel();
    let (failed, failure) = mpsc::channel();
    let setup = ShardSetup {
        id,
        node,
        disks,
        listeners,
        inbox,
        started,
        questions,
        stop: stop_receiver,
        report: report_sender,
        finish: finish_receiver,
    };
    let body = move || {
        if let Err(error) = RealRuntime::run(world, async move |runtime| run_shard(runtime, setup).await) {
            // Whoever waits for the start reads it.
            let _ = failed.send(error);
        }
    };
    let thread = thread::Builder::new().name(format!("shard-{}", id.0)).spawn(body);
    let thread = thread.map_err(|source| ServeError::Resources { source })?;
    match has_started.recv() {
        Ok(()) => Ok(ShardHandle { ask, stop, report, finish, thread }),
        Err(_) => Err(match failure.recv() {
            Ok(source) => ServeError::Ring { source },
            Err(_) => ServeError::Resources { source: io::Error::other("a core ended while it started") },
        }),
    }
}

async fn run_shard(runtime: RealRuntime, setup: ShardSetup) {
    let shard = Shard::start(runtime.clone(), setup.node, setup.id, setup.disks);
    runtime.spawn(deliver(shard.clone(), setup.inbox));
    runtime.spawn(answer(shard.clone(), setup.questions));
    let mut acceptors = Vec::new();
    for listener in setup.listeners {
        let (handle, registration) = AbortHandle::new_pair();
        let acceptor = Abortable::new(accept(runtime.clone(), shard.clone(), listener), registration);
        runtime.spawn(async {
            // An error means that it was told to stop.
            let _ = acceptor.await;
        });
        acceptors.push(handle);
    }
    // Nobody waits when the start of another shard has failed meanwhile.
    let _ = setup.started.send(());
    let Ok(deadline) = setup.stop.await else { return };
    acceptors.iter().for_each(AbortHandle::abort);
    let report = shard.stop(deadline).await;
    // Who stops the daemon waits for the report and lets go of `finish` when all shards have reported.
    let _ = setup.report.send((report, shard.high_water()));
    let _ = setup.finish.await;
}

async fn deliver(shard: Rc<Shard<RealRuntime>>, mut inbox: UnboundedReceiver<Message>) {
    while let Some(message) = inbox.next().await {
        if catch_unwind(AssertUnwindSafe(|| shard.deliver(message))).is_err() {
            error!(
                "a message between cores was lost to a broken invariant; this is a bug in Quintain, please report it"
            );
        }
    }
}

/// Tells whoever asks how close the limits came to being met.
async fn answer(shard: Rc<Shard<RealRuntime>>, mut questions: UnboundedReceiver<mpsc::Sender<Vec<Reading>>>) {
    while let Some(answer) = questions.next().await {
        // An error means that nobody waits any more.
        let _ = answer.send(shard.high_water());
    }
}

async fn accept(runtime: RealRuntime, shard: Rc<Shard<RealRuntime>>, listener: TcpListener) {
    let mut last_warning: Option<Instant> = None;
    let listener = match Listener::new(listener) {
        Ok(listener) => listener,
        Err(error) => return error!(%error, "cannot accept connections"),
    };
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                // The address that the peer chose; a socket that has lost it is gone already.
                let Ok(local) = socket.local_addr() else { continue };
                shard.accept(runtime.stream(socket), peer, local);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if last_warning.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL) {
                    last_warning = Some(Instant::now());
                    warn!(%error, "cannot accept connections for now");
                }
                runtime.sleep(ACCEPT_PAUSE).await;
            }
        }
        yield_now().await;
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Lets the other tasks run: a flood of connections must not keep the sessions waiting.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Where the threads run: several are pinned, to processors that this process may use; a single one is left to the
/// kernel.
fn processors(shards: NonZero<u16>) -> Vec<Option<usize>> {
    let shards = usize::from(shards.get());
    let allowed: Vec<usize> = match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (0..rustix::thread::CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect(),
        Err(_) => Vec::new(),
    };
    if shards == 1 || shards > allowed.len() {
        return vec![None; shards];
    }
    allowed.into_iter().take(shards).map(Some).collect()
}

/// After an error that concerns all connections, such as no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the marks of a core are waited for.
const ANSWER_TIME: Duration = Duration::from_secs(2);
const WARNING_INTERVAL: Duration = Duration::from_secs(1);
