//! The conversation on the wire, judged by a decoder that shares no code with the target (I1 to I10, T5 to T8, T11).
//!
//! The order of calls is the order in which the target consumed and sent the bytes, so what it sends can be held
//! against all it knows. An initiator may break the protocol: then the rules that take its word for something are
//! off, for the command or for the connection, and the rules about the target's own numbers stay.

mod command;
mod connection;
mod isolation;
mod login;
mod management;
mod numbers;

use std::collections::BTreeMap;
use std::time::Duration;

use quintain_core::event::Event;
use quintain_core::high_water::Reading;
use quintain_core::id::{ConnectionId, NexusId};
use quintain_core::limits::Limits;

use super::Finding;
use super::events::EventOracle;
use super::statistics::Statistics;
use crate::chunk::Chunk;
use crate::tap::Tap;

use connection::Connection;
use isolation::Isolation;
use login::{Session, SessionName};

/// Why the core closes a connection whose peer seems to be gone.
const NO_ANSWER: &str = "no answer to NOP-In";
/// More stories than this help nobody.
const MOST: usize = 32;
/// How much longer than its own limits say the target may take.
const SLACK: Duration = Duration::from_secs(5);
/// How long a reset goes on whose connection is gone.
const RESET_OUTLIVES: Duration = Duration::from_secs(60);

/// Judges all connections of one target, and its events.
#[derive(Debug)]
pub struct WireOracle {
    connections: BTreeMap<u64, Connection>,
    shared: Shared,
    events: EventOracle,
    names: Names,
    isolation: Isolation,
    /// When it heard of something last.
    now: Duration,
    findings: Vec<Finding>,
}

/// A connection when it was closed.
#[derive(Debug)]
struct Closed {
    initiator: u32,
    question: Question,
    at: Duration,
}

/// What became of the last NOP-In that asks for an answer.
#[derive(Debug)]
enum Question {
    /// There is none, or it was answered.
    Answered,
    /// It left then, and nothing came since.
    Open { since: Duration },
    /// Whether it was answered nobody can tell.
    Doubtful,
}

/// Which connection of the network is which of the core.
#[derive(Default, Debug)]
struct Names {
    /// Accepted last.
    accepted: Option<u64>,
    connections: BTreeMap<ConnectionId, u64>,
    /// Closed, and the core has not said why.
    closed: BTreeMap<u64, Closed>,
    nexuses: BTreeMap<NexusId, u64>,
}

/// What connections have to know of each other.
#[derive(Debug)]
struct Shared {
    statistics: Statistics,
    command_window: u32,
    /// Task management functions of one session.
    functions_max: usize,
    /// How long a task management function may take.
    function_limit: Duration,
    /// How long a peer may say nothing before it is asked whether it is there; `None`: it is never asked.
    question_limit: Option<Duration>,
    /// How long a peer may leave the target's NOP-Ins without an answer.
    silence_limit: Duration,
    /// How long after it was sent something a peer is given up that has not answered a NOP-In.
    verdict_limit: Duration,
    /// How long a peer may take for its answer to a NOP-In, at least.
    answer_time: Duration,
    /// Those in full feature phase, and those whose connection was lost and that may be gone on with.
    sessions: BTreeMap<SessionName, Session>,
    /// Resets that were asked for and not answered.
    resets: Vec<Reset>,
    /// Resets ever asked for.
    resets_asked: u32,
    /// Connections whose place another has just taken, for a new session or for the same, and that other.
    reinstated: Vec<(u64, u64)>,
}

/// A task management function that ends tasks of every nexus.
#[derive(Clone, Copy, Debug)]
struct Reset {
    connection: u64,
    itt: u32,
    /// `None`: all logical units.
    lun: Option<u64>,
    /// When it is over even if no answer was seen.
    until: Option<Duration>,
}

/// Where a finding belongs.
struct Report<'a> {
    connection: u64,
    initiator: u32,
    at: Duration,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn add(&mut self, oracle: &'static str, story: &str) {
        if self.findings.len() < MOST {
            let Self { connection, initiator, at, .. } = self;
            let message = format!("at {at:?} on connection {connection} of initiator {initiator}: {story}");
            self.findings.push(Finding { oracle, message });
        }
    }
}

impl WireOracle {
    /// An oracle of a target with these bounds that has not been started yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let shared = Shared {
            statistics: Statistics::default(),
            command_window: limits.command_window,
            functions_max: limits.task_management_functions as usize,
            function_limit: limits.task_management_deadline() + SLACK,
            // A connection that is being closed is not asked.
            question_limit: (!limits.nop_interval.is_zero()).then(|| limits.nop_interval + limits.linger + SLACK),
            silence_limit: limits.nop_interval + limits.nop_timeout + limits.send_stall + SLACK,
            verdict_limit: limits.nop_timeout + limits.send_stall + SLACK,
            answer_time: limits.nop_timeout,
            sessions: BTreeMap::new(),
            resets: Vec::new(),
            resets_asked: 0,
            reinstated: Vec::new(),
        };
        let (connections, names, findings) = (BTreeMap::new(), Names::default(), Vec::new());
        let (events, isolation) = (EventOracle::new(limits), Isolation::default());
        Self { connections, shared, events, names, isolation, now: Duration::ZERO, findings }
    }

    /// A later process of the target may have as many workers.
    pub fn allow_workers(&mut self, workers: u32) {
        self.events.allow_workers(workers);
    }

    /// The target's clock may go so fast that this is all the time that a peer has for its answer to a NOP-In.
    pub fn answer_within(&mut self, time: Duration) {
        self.shared.answer_time = time;
    }

    /// So much of the run the target may spend standing still.
    pub fn allow(&mut self, standstill: Duration) {
        self.shared.function_limit += standstill;
        self.shared.question_limit = self.shared.question_limit.map(|limit| limit + standstill);
        self.shared.silence_limit += standstill;
        self.shared.verdict_limit += standstill;
    }

    /// Takes the next event of the core.
    pub fn event(&mut self, at: Duration, event: &Event) {
        self.now = at;
        self.events.event(at, event);
        self.shared.statistics.event(event);
        self.isolate(at, event);
        match *event {
            // The core hears of a connection right after it was accepted.
            Event::ConnectionOpened { connection, .. } => {
                if let Some(accepted) = self.names.accepted.take() {
                    self.names.connections.insert(connection, accepted);
                }
            }
            Event::SessionStarted { connection, nexus, .. } | Event::SessionContinued { connection, nexus } => {
                if let Some(&name) = self.names.connections.get(&connection) {
                    self.names.nexuses.insert(nexus, name);
                    if matches!(event, Event::SessionContinued { .. }) {
                        self.with(name, at, |connection, _, _| connection.goes_on());
                    }
                }
            }
            Event::PeerAsked { connection } => {
                if let Some(&id) = self.names.connections.get(&connection) {
                    self.with(id, at, |connection, shared, report| connection.is_asking(shared, report));
                }
            }
            Event::ConnectionClosed { connection, why } => self.core_closed(at, connection, why),
            Event::SessionEnded { nexus, .. } => {
                let ended = self.names.nexuses.remove(&nexus);
                self.shared.sessions.retain(|_, session| Some(session.connection) != ended);
            }
            Event::TaskManagementCompleted { nexus, itt, .. } => {
                if let Some(&id) = self.names.nexuses.get(&nexus) {
                    self.with(id, at, |connection, shared, report| {
                        connection.functions_end(Some(itt.0), shared.function_limit, report);
                    });
                }
            }
            Event::TaskCreated { nexus, itt, .. } => {
                if let Some(&id) = self.names.nexuses.get(&nexus) {
                    self.with(id, at, |connection, _, report| connection.task_created(itt.0, report));
                }
            }
            _ => {}
        }
    }

    /// I9: a peer that answers is not given up for not answering, and has its time for it.
    fn core_closed(&mut self, at: Duration, connection: ConnectionId, why: &str) {
        let id = self.names.connections.remove(&connection);
        let closed = id.and_then(|id| Some((id, self.names.closed.remove(&id)?)));
        let (Some((connection, closed)), NO_ANSWER) = (closed, why) else { return };
        let mut report = Report { connection, initiator: closed.initiator, at, findings: &mut self.findings };
        match closed.question {
            Question::Answered => {
                report.add("I9", "the connection was closed for want of an answer to a NOP-In, and it had come");
            }
            Question::Open { since } if closed.at < since + self.shared.answer_time => {
                report
                    .add("I9", &format!("the connection was closed for want of an answer to the NOP-In of {since:?}"));
            }
            Question::Open { .. } | Question::Doubtful => {}
        }
    }

    /// The target's process is gone, by crash, power loss or clean stop, with these counts; a new one may follow.
    pub fn process_ended(&mut self, readings: &[Reading]) {
        self.judge_statistics(readings);
        self.judge_silences();
        self.connections.clear();
        self.shared.sessions.clear();
        self.shared.resets.clear();
        self.names = Names::default();
        self.isolation = Isolation::default();
        self.events.process_ended();
    }

    /// S8: what the target's process has counted so far, all shards as one. It begins anew with the next one.
    pub fn judge_statistics(&mut self, readings: &[Reading]) {
        self.findings.extend(std::mem::take(&mut self.shared.statistics).judge(readings));
    }

    /// Whether anything was found that nobody took.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        !self.findings.is_empty() || !self.events.found().is_empty()
    }

    /// What was found since it was last taken.
    pub fn take_findings(&mut self) -> impl Iterator<Item = Finding> {
        self.findings.drain(..).chain(self.events.found_mut().drain(..))
    }

    /// The run is over: everything that was found.
    pub fn finish(&mut self) -> Vec<Finding> {
        self.judge_silences();
        let mut findings = std::mem::take(&mut self.findings);
        findings.extend(self.events.finish());
        findings
    }

    /// Nothing more is heard of any connection.
    fn judge_silences(&mut self) {
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.with(id, self.now, |connection, shared, report| connection.judge_silence(shared, report));
        }
    }

    fn with(&mut self, id: u64, at: Duration, act: impl FnOnce(&mut Connection, &mut Shared, &mut Report<'_>)) {
        self.now = at;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut report = Report { connection: id, initiator: connection.initiator(), at, findings: &mut self.findings };
        self.shared.resets.retain(|reset| reset.until.is_none_or(|until| at < until));
        act(connection, &mut self.shared, &mut report);
        self.spread();
    }

    /// Tells the other connections what one connection did to them.
    fn spread(&mut self) {
        for (old, by) in self.shared.reinstated.drain(..) {
            if let Some(connection) = self.connections.get_mut(&old) {
                connection.reinstated(by);
            }
        }
        for reset in &self.shared.resets {
            for connection in self.connections.values_mut() {
                connection.doubt(reset);
            }
        }
    }
}

impl Tap for WireOracle {
    fn opened(&mut self, connection: u64, _at: Duration, initiator: u32) {
        self.names.accepted = Some(connection);
        // A reset that is under way may still reach the session.
        let resets_before = self.shared.resets_asked - self.shared.resets.len() as u32;
        self.connections.insert(connection, Connection::new(initiator, resets_before));
    }

    fn received(&mut self, connection: u64, at: Duration, bytes: &Chunk) {
        self.with(connection, at, |connection, shared, report| connection.received(bytes, shared, report));
    }

    fn sent(&mut self, connection: u64, at: Duration, bytes: &Chunk) {
        self.with(connection, at, |connection, shared, report| connection.sent(bytes, shared, report));
    }

    fn closed(&mut self, connection: u64, at: Duration) {
        self.with(connection, at, |connection, shared, report| {
            connection.functions_end(None, shared.function_limit, report);
            connection.judge_silence(shared, report);
        });
        if let Some(closed) = self.connections.remove(&connection) {
            let closed = Closed { initiator: closed.initiator(), question: closed.question(), at };
            self.names.closed.insert(connection, closed);
        }
        for reset in self.shared.resets.iter_mut().filter(|reset| reset.connection == connection) {
            reset.until = Some(at + RESET_OUTLIVES);
        }
    }
}
