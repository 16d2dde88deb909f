//! Facts become entries: bytes become PDUs, and each entry learns what it is about and what brought it about.
//!
//! It sees what the wire oracle sees, and both ends of each connection. What it cannot know it leaves out: which task a
//! flush is for when several wait for one, or which task's end enabled another.

mod connection;
mod disks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quintain_core::event::Event as CoreEvent;
use quintain_core::id::{ConnectionId, NexusId};

use super::core_event::{self, Whose};
use super::entry::{Entry, Text};
use super::{Entity, Fact, Watch, Way, command};
use crate::history::{Action, Event as HistoryEvent, Outcome};
use crate::initiator::AUDITORS;
use crate::plan::{Fault, FaultKind, Plan};
use connection::Connection;
use disks::{Disks, Task};

/// Makes entries and hands them on.
pub struct Recorder {
    out: Box<dyn FnMut(Entry) + Send>,
    seq: u64,
    /// Logical block length in bytes.
    block_bytes: BTreeMap<u16, u32>,
    /// The number of the auditor, as the network has it.
    auditor: u32,
    connections: BTreeMap<u64, Connection>,
    ops: BTreeMap<u64, Op>,
    /// The command that an initiator's tag means now.
    tags: BTreeMap<(u32, u32), u64>,
    /// The connection that each initiator opened last.
    newest: BTreeMap<u32, u64>,
    names: Names,
    disks: Disks,
    struck: Struck,
    failures: BTreeSet<(String, String)>,
}

/// Which connection of the network is which of the core: anew in each process.
#[derive(Default)]
struct Names {
    accepted: Option<u64>,
    connections: BTreeMap<ConnectionId, u64>,
    nexuses: BTreeMap<NexusId, u64>,
}

/// The entries of faults that struck last.
#[derive(Default)]
struct Struck {
    /// Resets, by initiator.
    resets: BTreeMap<u32, u64>,
    /// What ends a process, by its name.
    deaths: BTreeMap<&'static str, u64>,
    /// Faults of connects, by initiator.
    connects: BTreeMap<u32, u64>,
    /// Faults of disks.
    disks: BTreeMap<u16, u64>,
}

/// A command of the history.
struct Op {
    initiator: u32,
    lun: u16,
    itt: Option<u32>,
    command: Text,
    /// The entry at which it was sent.
    invoked: u64,
}

impl Recorder {
    /// A recorder of a run of `plan` that hands each entry to `out`.
    #[must_use]
    pub fn new(plan: &Plan, out: impl FnMut(Entry) + Send + 'static) -> Self {
        Self {
            out: Box::new(out),
            seq: 0,
            block_bytes: plan.units.iter().map(|unit| (unit.lun, unit.block_bytes)).collect(),
            auditor: plan.auditor(),
            connections: BTreeMap::new(),
            ops: BTreeMap::new(),
            tags: BTreeMap::new(),
            newest: BTreeMap::new(),
            names: Names::default(),
            disks: Disks::default(),
            struck: Struck::default(),
            failures: BTreeSet::new(),
        }
    }

    /// Numbers the entry, hands it on, and returns its number.
    fn push(&mut self, at: Duration, entity: Entity, mut entry: Entry) -> u64 {
        let seq = self.seq;
        self.seq += 1;
        entry.seq = seq;
        entry.at_us = at.as_micros() as u64;
        entry.entity = Text::Owned(entity.to_string());
        (self.out)(entry);
        seq
    }

    fn bytes(&mut self, at: Duration, id: u64, way: Way, bytes: &[u8], check: u32) {
        if matches!(way, Way::TargetReceived | Way::TargetSent) {
            let kind = if way == Way::TargetReceived { "bytes-received" } else { "bytes-sent" };
            let entry = Entry {
                kind: kind.into(),
                connection: Some(id),
                initiator: self.connections.get(&id).map(|connection| connection.initiator),
                length: Some(bytes.len() as u64),
                crc32c: Some(check),
                ..Entry::default()
            };
            self.push(at, Entity::Connection(id), entry);
        }
        let Some(mut connection) = self.connections.remove(&id) else { return };
        connection.feed(way, bytes);
        while let Some(entry) = connection.next(way, |lun| self.block_bytes.get(&lun).copied().unwrap_or(512)) {
            self.pdu(at, id, way, &mut connection, entry);
        }
        self.connections.insert(id, connection);
    }

    fn pdu(&mut self, at: Duration, id: u64, way: Way, connection: &mut Connection, mut entry: Entry) {
        entry.kind = match way {
            Way::InitiatorSent => "initiator-sent",
            Way::TargetReceived => "target-received",
            Way::TargetSent => "target-sent",
            Way::InitiatorReceived => "initiator-received",
        }
        .into();
        entry.connection = Some(id);
        entry.initiator = Some(connection.initiator);
        if way == Way::InitiatorSent
            && let (Some(itt), Some(pdu)) = (entry.itt, &entry.pdu)
        {
            let op = self.tags.get(&(connection.initiator, itt)).copied();
            connection.tag_sent(itt, pdu, op);
        }
        entry.op = entry.itt.and_then(|itt| connection.op(itt));
        entry.lun = entry.lun.or_else(|| Some(self.ops.get(&entry.op?)?.lun));
        entry.cause = connection.cause(way, &entry).or_else(|| {
            // The first PDU of a command: the command itself.
            (way == Way::InitiatorSent).then(|| Some(self.ops.get(&entry.op?)?.invoked)).flatten()
        });
        let passed = entry.clone();
        let seq = self.push(at, Entity::Connection(id), entry);
        connection.passed(way, passed, seq);
    }

    fn core(&mut self, at: Duration, event: &CoreEvent) {
        let (whose, mut entry) = core_event::describe(event);
        match *event {
            CoreEvent::ConnectionOpened { connection, .. } => {
                if let Some(accepted) = self.names.accepted.take() {
                    self.names.connections.insert(connection, accepted);
                }
            }
            CoreEvent::SessionStarted { connection, nexus, .. } | CoreEvent::SessionContinued { connection, nexus } => {
                if let Some(&id) = self.names.connections.get(&connection) {
                    self.names.nexuses.insert(nexus, id);
                }
            }
            _ => {}
        }
        let id = match whose {
            Whose::Connection(connection) => self.names.connections.get(&connection).copied(),
            Whose::Nexus(nexus) => {
                entry.nexus = Some(nexus.0);
                self.names.nexuses.get(&nexus).copied()
            }
            Whose::Nobody => None,
        };
        entry.connection = id;
        if let Some(connection) = id.and_then(|id| self.connections.get(&id)) {
            entry.initiator = Some(connection.initiator);
            entry.op = entry.itt.and_then(|itt| connection.op(itt));
            entry.cause = match entry.itt {
                Some(itt) => connection.last_at_target(itt),
                None => connection.function(&entry),
            };
            if entry.command.is_none() {
                entry.command = entry.op.and_then(|op| Some(self.ops.get(&op)?.command.clone()));
            }
        }
        if matches!(event, CoreEvent::MediumFailed { .. } | CoreEvent::FlushFailed { .. }) {
            entry.cause = entry.lun.and_then(|lun| self.disks.last_failure(lun));
        }
        let (itt, op) = (entry.itt, entry.op);
        let seq = self.push(at, Entity::Target, entry);
        let Some((id, itt)) = id.zip(itt) else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.touch_at_target(itt, seq);
        match *event {
            CoreEvent::TaskStarted { lun, .. } => {
                if let (Some(lun), Some((access, range))) = (lun.number(), connection.access(itt)) {
                    let initiator = connection.initiator;
                    self.disks.started(Task { connection: id, itt, op, initiator, lun, access, range, seq });
                }
            }
            CoreEvent::TaskCompleted { .. } | CoreEvent::TaskAborted { .. } => self.disks.ended(id, itt),
            _ => {}
        }
    }

    fn disk(&mut self, at: Duration, lun: u16, how: &'static str, mut entry: Entry) {
        entry.lun = Some(lun);
        entry.kind = Text::Owned(format!("disk-{how}"));
        let task = if how == "issued" {
            let task = self.disks.task(lun, &entry);
            entry.cause = task.as_ref().map(|task| task.seq);
            task
        } else {
            let (began, task) = self.disks.issued(lun, &entry, how != "hangs");
            entry.began = began;
            entry.cause = if how == "done" { began } else { self.struck.disks.get(&lun).copied().or(began) };
            task
        };
        if let Some(task) = &task {
            (entry.connection, entry.itt) = (Some(task.connection), Some(task.itt));
            (entry.op, entry.initiator) = (task.op, Some(task.initiator));
        }
        let (kept, key) = (entry.clone(), task.as_ref().map(|task| (task.connection, task.itt)));
        let seq = self.push(at, Entity::Disk(lun), entry);
        match how {
            "issued" => self.disks.issue(lun, kept, seq, task),
            "done" | "hangs" => {}
            _ => self.disks.failed(lun, seq),
        }
        // What a disk says is why the task goes on.
        if let Some((id, itt)) = key
            && let Some(connection) = self.connections.get_mut(&id)
        {
            connection.touch_at_target(itt, seq);
        }
    }

    fn fault(&mut self, at: Duration, name: &'static str, fault: &Fault) {
        let mut entry = Entry { kind: "fault".into(), command: Some(name.into()), ..Entry::default() };
        entry.detail = Some(Text::Owned(fault.kind.to_words()));
        (entry.initiator, entry.lun, entry.for_us) = fault_subject(&fault.kind);
        let (initiator, lun) = (entry.initiator, entry.lun);
        let seq = self.push(at, Entity::Fault(fault.id), entry);
        match fault.kind {
            FaultKind::Reset { .. } | FaultKind::ResetLogin { .. } => {
                self.struck.resets.extend(initiator.map(|initiator| (initiator, seq)));
            }
            FaultKind::Connects { .. } => self.struck.connects.extend(initiator.map(|initiator| (initiator, seq))),
            FaultKind::Disk { .. } => self.struck.disks.extend(lun.map(|lun| (lun, seq))),
            FaultKind::Crash { .. } | FaultKind::PowerLoss { .. } | FaultKind::CleanStop { .. } => {
                self.struck.deaths.insert(name, seq);
            }
            _ => {}
        }
    }

    fn network(&mut self, at: Duration, id: u64, what: &'static str) {
        if what == "accepted" {
            self.names.accepted = Some(id);
        }
        let initiator = self.connections.get(&id).map(|connection| connection.initiator);
        let cause = initiator.filter(|_| what == "reset").and_then(|i| self.struck.resets.get(&i).copied());
        let entry = Entry { kind: what.into(), connection: Some(id), initiator, cause, ..Entry::default() };
        self.push(at, Entity::Connection(id), entry);
    }

    fn process(&mut self, at: Duration, what: &'static str) {
        let cause = self.struck.deaths.remove(what);
        if what != "restart" {
            self.names = Names::default();
            self.disks.process_ended();
        }
        self.push(at, Entity::Target, Entry { kind: what.into(), cause, ..Entry::default() });
    }

    fn history(&mut self, at: Duration, event: &HistoryEvent, tag: Option<u32>) {
        match event {
            HistoryEvent::Invoke { op, nexus, lun, action } => {
                let (command, detail, range) = action_text(action);
                let block = u64::from(self.block_bytes.get(lun).copied().unwrap_or(512));
                let initiator = if nexus.initiator < AUDITORS { nexus.initiator } else { self.auditor };
                let entry = Entry {
                    kind: "invoke".into(),
                    initiator: Some(initiator),
                    login: Some(nexus.login),
                    connection: self.newest.get(&initiator).copied(),
                    lun: Some(*lun),
                    op: Some(op.0),
                    itt: tag,
                    command: Some(command.clone()),
                    offset: range.map(|(lba, _)| lba.saturating_mul(block)),
                    length: range.map(|(_, blocks)| u64::from(blocks) * block),
                    detail,
                    ..Entry::default()
                };
                let invoked = self.push(at, Entity::Initiator(initiator), entry);
                let op_of = Op { initiator, lun: *lun, itt: tag, command, invoked };
                self.ops.insert(op.0, op_of);
                self.tags.extend(tag.map(|tag| ((initiator, tag), op.0)));
            }
            HistoryEvent::Return { op, outcome } => {
                let (status, detail) = outcome_text(outcome);
                self.end_of_op(at, "return", op.0, Some(status), detail);
            }
            HistoryEvent::Fence { op } => {
                self.end_of_op(at, "fence", op.0, None, None);
            }
            // The process and the disks say the rest themselves.
            _ => {}
        }
    }

    fn end_of_op(&mut self, at: Duration, kind: &'static str, op: u64, status: Option<Text>, detail: Option<Text>) {
        let mut entry = Entry { kind: kind.into(), op: Some(op), status, detail, ..Entry::default() };
        let mut entity = Entity::World;
        if let Some(Op { initiator, lun, itt, command, invoked }) = self.ops.get(&op) {
            entity = Entity::Initiator(*initiator);
            (entry.initiator, entry.lun, entry.itt) = (Some(*initiator), Some(*lun), *itt);
            (entry.command, entry.began) = (Some(command.clone()), Some(*invoked));
            entry.connection = self.newest.get(initiator).copied();
            let connection = entry.connection.and_then(|id| self.connections.get(&id));
            entry.cause = connection.zip(*itt).and_then(|(connection, itt)| connection.last_at_initiator(itt));
        }
        self.push(at, entity, entry);
    }

    fn failure(&mut self, at: Duration, oracle: &'static str, message: &str) {
        // At the end of the run everything is told again, with the phase behind it.
        let told = |(rule, told): &&(String, String)| rule == oracle && message.starts_with(told.as_str());
        if self.failures.iter().find(told).is_some() {
            return;
        }
        self.failures.insert((oracle.to_owned(), message.to_owned()));
        let op = named_op(message);
        let entry = Entry {
            kind: "failure".into(),
            oracle: Some(oracle.into()),
            detail: Some(Text::Owned(message.to_owned())),
            op,
            // Whatever happened last is what was found to be wrong.
            cause: if op.is_some() { None } else { self.seq.checked_sub(1) },
            ..Entry::default()
        };
        self.push(at, Entity::World, entry);
    }
}

impl Watch for Recorder {
    fn fact(&mut self, at: Duration, entity: Entity, fact: &Fact<'_>) {
        match (*fact, entity) {
            (Fact::Phase(name), _) => {
                self.push(at, entity, Entry { kind: "phase".into(), detail: Some(name.into()), ..Entry::default() });
            }
            (Fact::Process(what), _) => self.process(at, what),
            (Fact::Core(event), _) => self.core(at, event),
            (Fact::Fault { name, fault }, _) => self.fault(at, name, fault),
            (Fact::Disk { what, how, offset_bytes, length_bytes }, Entity::Disk(lun)) => {
                let entry = Entry {
                    command: Some(what.into()),
                    offset: Some(offset_bytes),
                    length: Some(length_bytes as u64),
                    ..Entry::default()
                };
                self.disk(at, lun, how, entry);
            }
            (Fact::Network(what), Entity::Connection(id)) => self.network(at, id, what),
            (Fact::Bytes { way, bytes, check }, Entity::Connection(id)) => self.bytes(at, id, way, bytes, check),
            (Fact::Connect { initiator }, Entity::Connection(id)) => {
                self.connections.insert(id, Connection::new(initiator));
                self.newest.insert(initiator, id);
                self.network(at, id, "connect");
            }
            (Fact::ConnectFailed { silent }, Entity::Initiator(initiator)) => {
                let entry = Entry {
                    kind: "connect-failed".into(),
                    initiator: Some(initiator),
                    cause: self.struck.connects.get(&initiator).copied(),
                    detail: Some(if silent { "no answer" } else { "refused" }.into()),
                    ..Entry::default()
                };
                self.push(at, entity, entry);
            }
            (Fact::History { event, tag }, _) => self.history(at, event, tag),
            (Fact::Failure { oracle, message }, _) => self.failure(at, oracle, message),
            // No other fact is of such an entity.
            _ => {}
        }
    }
}

/// The command that a story of the history begins with: such a rule is found broken when the run is over.
fn named_op(story: &str) -> Option<u64> {
    if story.starts_with("at ") {
        return None;
    }
    let (_, rest) = story.split_once("op ")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// A command in words, what else there is to say, and the blocks that it is about.
fn action_text(action: &Action) -> (Text, Option<Text>, Option<(u64, u32)>) {
    match *action {
        Action::Read { lba, blocks } => ("READ".into(), None, Some((lba, blocks))),
        Action::Write { lba, blocks, fua } => ("WRITE".into(), fua.then(|| "FUA".into()), Some((lba, blocks))),
        Action::Synchronize { lba, blocks, immediate } => {
            ("SYNCHRONIZE CACHE".into(), immediate.then(|| "IMMED".into()), Some((lba, blocks)))
        }
        Action::StartStop { start, flushes } => {
            let detail = if start {
                "start"
            } else if flushes {
                "stop, flushes"
            } else {
                "stop"
            };
            ("START STOP UNIT".into(), Some(detail.into()), None)
        }
        Action::Other { operation_code } => (command::name(operation_code), None, None),
    }
}

fn outcome_text(outcome: &Outcome) -> (Text, Option<Text>) {
    match outcome {
        Outcome::Good { sectors } => {
            let detail = (!sectors.is_empty()).then(|| Text::Owned(seen_text(sectors)));
            ("GOOD".into(), detail)
        }
        Outcome::Miscompare { .. } => ("CHECK CONDITION".into(), Some("MISCOMPARE".into())),
        Outcome::Check { key, code } => ("CHECK CONDITION".into(), Some(Text::Owned(command::sense(*key, *code)))),
        Outcome::Refused { status } => (command::status(*status), None),
    }
}

/// What a read saw: each writer with the number of its sectors in a row.
fn seen_text(sectors: &[crate::history::Sector]) -> String {
    use crate::history::Sector;
    const RUNS_MAX: usize = 8;
    let runs: Vec<_> = sectors.chunk_by(|one, other| one == other).collect();
    let mut words: Vec<String> = runs
        .iter()
        .take(RUNS_MAX)
        .map(|run| {
            let what = match run[0] {
                Sector::Zero => "zeros".to_owned(),
                Sector::Written(op) => format!("op {}", op.0),
                Sector::Foreign => "foreign".to_owned(),
                Sector::Garbage => "garbage".to_owned(),
            };
            format!("{what} x{}", run.len())
        })
        .collect();
    if runs.len() > RUNS_MAX {
        words.push("...".to_owned());
    }
    format!("saw {}", words.join(" "))
}

/// Initiator, logical unit and duration of a fault.
fn fault_subject(kind: &FaultKind) -> (Option<u32>, Option<u16>, Option<u64>) {
    use crate::disk::DiskFault;
    match *kind {
        FaultKind::Cut { initiator, for_us, .. }
        | FaultKind::Window { initiator, for_us, .. }
        | FaultKind::StallLink { initiator, for_us, .. }
        | FaultKind::Connects { initiator, for_us, .. } => (Some(initiator), None, Some(for_us)),
        FaultKind::Swizzle { for_us }
        | FaultKind::Accepts { for_us }
        | FaultKind::Pause { for_us }
        | FaultKind::Freeze { for_us }
        | FaultKind::LateTimers { for_us, .. } => (None, None, Some(for_us)),
        FaultKind::Rebind { for_us, .. } | FaultKind::Drift { for_us, .. } | FaultKind::Preempt { for_us, .. } => {
            (None, None, Some(for_us))
        }
        FaultKind::LateBytes { initiator, .. }
        | FaultKind::Reset { initiator, .. }
        | FaultKind::ResetLogin { initiator, .. }
        | FaultKind::Flip { initiator, .. } => (Some(initiator), None, None),
        FaultKind::Panic { .. } | FaultKind::NoBuffer { .. } | FaultKind::Jump { .. } => (None, None, None),
        FaultKind::Silence { initiator } => (Some(initiator), None, None),
        FaultKind::Disk { lun, how } => {
            let for_us = match how {
                DiskFault::Stall { for_us } | DiskFault::Slow { for_us, .. } | DiskFault::Full { for_us } => {
                    Some(for_us)
                }
                _ => None,
            };
            (None, Some(lun), for_us)
        }
        FaultKind::Crash { down_us } | FaultKind::PowerLoss { down_us } | FaultKind::Reconfigure { down_us, .. } => {
            (None, None, Some(down_us))
        }
        FaultKind::CrashTwice { down_us, up_us } => (None, None, Some(2 * down_us + up_us)),
        FaultKind::CleanStop { deadline_us, down_us } => (None, None, Some(deadline_us + down_us)),
    }
}
