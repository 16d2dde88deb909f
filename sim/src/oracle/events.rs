//! The core's own account of its tasks and unit attentions: T1, T2, T7, T8, S3, S4, I10.
//!
//! There is a task set for each I_T nexus and logical unit (TST = 001b), so the order of tasks is judged within one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quintain_core::event::Event;
use quintain_core::id::{ConnectionId, Itt, Lun, NexusId};
use quintain_core::limits::Limits;

use super::Finding;

/// More stories than this help nobody.
const MOST: usize = 32;
/// A task that is still there at the end of the run and that nothing happened to for so long was forgotten.
const FORGOTTEN: Duration = Duration::from_secs(120);
const GOOD: u8 = 0x00;
const BUSY: u8 = 0x08;
const TASK_SET_FULL: u8 = 0x28;
/// Commands that wait for no data, so that they are ready once they are enabled: TEST UNIT READY, REQUEST SENSE, READ (6),
/// INQUIRY, MODE SENSE (6), START STOP UNIT, READ CAPACITY (10), READ (10), SYNCHRONIZE CACHE (10), MODE SENSE (10), READ
/// (16), SYNCHRONIZE CACHE (16), REPORT LUNS and READ (12).
const READY: [u8; 14] = [0x00, 0x03, 0x08, 0x12, 0x1a, 0x1b, 0x25, 0x28, 0x35, 0x5a, 0x88, 0x91, 0xa0, 0xa8];

/// Task attribute (SAM-5, section 8.9), numbered as on the wire (RFC 7143, section 11.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Attribute {
    Simple,
    Ordered,
    HeadOfQueue,
}

#[derive(Clone, Debug)]
struct Task {
    itt: Itt,
    attribute: Attribute,
    enabled: bool,
    started: bool,
    touched: Duration,
    /// It waits for nothing but a worker once it is enabled.
    ready: bool,
    /// When it was enabled, in their order.
    turn: u64,
    /// Younger ones that were started before it.
    overtaken: usize,
}

/// A task set: its tasks from the oldest to the youngest.
type TaskSet = Vec<Task>;

/// Judges the events of one target, in order.
#[derive(Debug)]
pub struct EventOracle {
    task_set_tasks: usize,
    /// Tasks that found their task set full and have not been answered: they never began.
    turned_away: BTreeSet<(NexusId, Lun, Itt)>,
    /// So many younger tasks may start before an older one.
    overtakers: usize,
    /// Tasks that were enabled so far.
    turns: u64,
    connections: BTreeSet<ConnectionId>,
    live: BTreeSet<NexusId>,
    ended: BTreeSet<NexusId>,
    sets: BTreeMap<(NexusId, Lun), TaskSet>,
    attentions: BTreeMap<(NexusId, Lun), Vec<u16>>,
    now: Duration,
    findings: Vec<Finding>,
}

impl EventOracle {
    /// An oracle of a target that has not been started yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            task_set_tasks: limits.task_set_tasks as usize,
            turned_away: BTreeSet::new(),
            overtakers: limits.workers as usize,
            turns: 0,
            connections: BTreeSet::new(),
            live: BTreeSet::new(),
            ended: BTreeSet::new(),
            sets: BTreeMap::new(),
            attentions: BTreeMap::new(),
            now: Duration::ZERO,
            findings: Vec::new(),
        }
    }

    /// A later process may have as many workers.
    pub fn allow_workers(&mut self, workers: u32) {
        self.overtakers = self.overtakers.max(workers as usize);
    }

    /// The target's process is gone, with all its tasks and ids; a new one may follow.
    pub fn process_ended(&mut self) {
        self.turned_away.clear();
        self.connections.clear();
        self.live.clear();
        self.ended.clear();
        self.sets.clear();
        self.attentions.clear();
    }

    /// Takes the next event.
    pub fn event(&mut self, at: Duration, event: &Event) {
        self.now = at;
        match *event {
            Event::ConnectionOpened { connection, .. } => self.connection_opened(connection),
            Event::SessionStarted { nexus, .. } => self.session_started(nexus),
            Event::SessionContinued { nexus, .. } => self.session_continued(nexus),
            Event::SessionEnded { nexus, .. } => self.session_ended(nexus),
            Event::TaskCreated { nexus, lun, itt, operation_code, attribute } => {
                self.created(nexus, lun, itt, operation_code, attribute);
            }
            Event::TaskEnabled { nexus, lun, itt } => self.enabled(nexus, lun, itt),
            Event::TaskStarted { nexus, lun, itt } => self.started(nexus, lun, itt),
            Event::TaskCompleted { nexus, lun, itt, status } => self.completed(nexus, lun, itt, status),
            Event::TaskAborted { nexus, lun, itt, .. } => {
                self.turned_away.remove(&(nexus, lun, itt));
                // A task that waits for its turn in CmdSN order can be aborted before it is created.
                self.remove(nexus, lun, itt);
            }
            Event::TaskRefused { nexus, lun, itt, limit: "task_set_tasks" } => {
                self.turned_away.insert((nexus, lun, itt));
            }
            Event::UnitAttentionRaised { nexus, lun, code } => {
                self.attentions.entry((nexus, lun)).or_default().push(code);
            }
            Event::UnitAttentionReported { nexus, lun, code } => self.reported(nexus, lun, code),
            _ => {}
        }
    }

    /// What was found so far.
    #[must_use]
    pub fn found(&self) -> &[Finding] {
        &self.findings
    }

    /// The same, to be taken.
    pub fn found_mut(&mut self) -> &mut Vec<Finding> {
        &mut self.findings
    }

    /// The run is over: what was found, and tasks that were forgotten.
    pub fn finish(&mut self) -> Vec<Finding> {
        let forgotten: Vec<_> = self
            .sets
            .iter()
            .flat_map(|(&(nexus, lun), set)| set.iter().map(move |task| (nexus, lun, task.clone())))
            .filter(|(_, _, task)| task.started && task.touched + FORGOTTEN < self.now)
            .collect();
        for (nexus, lun, task) in forgotten {
            let what = format!("started at {:?} and never ended", task.touched);
            self.find("T7", self.story(nexus, lun, task.itt, &what));
        }
        std::mem::take(&mut self.findings)
    }

    fn connection_opened(&mut self, connection: ConnectionId) {
        // Ids are unique in a process: one that comes again comes from the next process.
        if self.connections.contains(&connection) {
            self.process_ended();
        }
        self.connections.insert(connection);
    }

    fn session_started(&mut self, nexus: NexusId) {
        if !self.live.insert(nexus) || self.ended.contains(&nexus) {
            self.find("I10", format!("nexus {nexus} was started twice"));
        }
    }

    /// At error recovery level 0, no task outlives its connection (RFC 7143, section 6.3.4).
    fn session_continued(&mut self, nexus: NexusId) {
        if !self.live.contains(&nexus) {
            self.find("I10", format!("nexus {nexus} goes on, and it is not there"));
        }
        let left: Vec<_> = self
            .sets
            .iter()
            .filter(|((owner, _), _)| *owner == nexus)
            .flat_map(|(&(_, lun), set)| set.iter().map(move |task| (lun, task.itt)))
            .collect();
        for (lun, itt) in left {
            self.find(
                "T7",
                self.story(nexus, lun, itt, "is still there as its session goes on over another connection"),
            );
        }
    }

    fn session_ended(&mut self, nexus: NexusId) {
        self.live.remove(&nexus);
        self.ended.insert(nexus);
        self.sets.retain(|(owner, _), _| *owner != nexus);
        self.turned_away.retain(|(owner, _, _)| *owner != nexus);
        self.attentions.retain(|(owner, _), _| *owner != nexus);
    }

    fn created(&mut self, nexus: NexusId, lun: Lun, itt: Itt, operation_code: u8, attribute: u8) {
        if !self.live.contains(&nexus) {
            self.find("I10", self.story(nexus, lun, itt, "was created for a nexus that is not there"));
            return;
        }
        self.check_head_of_queue(nexus, lun, itt);
        let attribute = match attribute {
            2 => Attribute::Ordered,
            3 => Attribute::HeadOfQueue,
            _ => Attribute::Simple,
        };
        let touched = self.now;
        let set = self.sets.entry((nexus, lun)).or_default();
        let twice = set.iter().any(|task| task.itt == itt);
        let ready = READY.contains(&operation_code);
        set.push(Task { itt, attribute, enabled: false, started: false, touched, ready, turn: 0, overtaken: 0 });
        let tasks = set.len();
        if twice {
            self.find("T7", self.story(nexus, lun, itt, "was created while a task with its tag was alive"));
        }
        if tasks > self.task_set_tasks {
            let what = format!("makes {tasks} tasks in a task set of {} at most", self.task_set_tasks);
            self.find("S4", self.story(nexus, lun, itt, &what));
        }
    }

    fn enabled(&mut self, nexus: NexusId, lun: Lun, itt: Itt) {
        self.check_head_of_queue(nexus, lun, itt);
        let set = self.sets.entry((nexus, lun)).or_default();
        let Some(position) = set.iter().position(|task| task.itt == itt) else {
            if self.live.contains(&nexus) {
                self.find("T7", self.story(nexus, lun, itt, "was enabled after its end"));
            }
            return;
        };
        let (older, rest) = set.split_at_mut(position);
        let task = &mut rest[0];
        task.touched = self.now;
        let twice = std::mem::replace(&mut task.enabled, true);
        self.turns += 1;
        task.turn = self.turns;
        let blocking = match task.attribute {
            Attribute::HeadOfQueue => None,
            Attribute::Ordered => older.first(),
            Attribute::Simple => older.iter().find(|task| task.attribute != Attribute::Simple),
        };
        let blocking = blocking.map(|older| (task.attribute, older.itt, older.attribute));
        if twice {
            self.find("T7", self.story(nexus, lun, itt, "was enabled twice"));
        }
        if let Some((attribute, older, its)) = blocking {
            let rule = if its == Attribute::HeadOfQueue && attribute == Attribute::Simple { "T2" } else { "T1" };
            let what = format!("({attribute:?}) was enabled before the older {its:?} task {older} had ended");
            self.find(rule, self.story(nexus, lun, itt, &what));
        }
    }

    fn started(&mut self, nexus: NexusId, lun: Lun, itt: Itt) {
        self.check_head_of_queue(nexus, lun, itt);
        let now = self.now;
        let task = self.sets.get_mut(&(nexus, lun)).and_then(|set| set.iter_mut().find(|task| task.itt == itt));
        let wrong = match task {
            None => Some(("T7", "was started after its end, or before it was created")),
            Some(task) => {
                task.touched = now;
                if std::mem::replace(&mut task.started, true) {
                    Some(("T7", "was started twice"))
                } else if task.enabled {
                    None
                } else {
                    Some(("T1", "was started while it was dormant"))
                }
            }
        };
        if let Some((rule, what)) = wrong {
            self.find(rule, self.story(nexus, lun, itt, what));
        }
        self.count_overtaken(nexus, lun, itt);
    }

    /// S3: a task that is ready is started before more younger ones of its nexus and logical unit are than there are
    /// workers. HEAD OF QUEUE tasks may pass any.
    fn count_overtaken(&mut self, nexus: NexusId, lun: Lun, started: Itt) {
        let most = self.overtakers;
        let Some(set) = self.sets.get_mut(&(nexus, lun)) else { return };
        let simple = |task: &&Task| task.itt == started && task.attribute != Attribute::HeadOfQueue;
        let Some(turn) = set.iter().find(simple).map(|task| task.turn) else { return };
        let mut starved = None;
        for older in set.iter_mut().filter(|task| task.ready && task.enabled && !task.started && task.turn < turn) {
            older.overtaken += 1;
            // Told once.
            if older.overtaken == most + 1 {
                starved = Some(older.itt);
            }
        }
        if let Some(itt) = starved {
            let what = format!("still waits for a worker, and {} younger ones were started ({most} workers)", most + 1);
            self.find("S3", self.story(nexus, lun, itt, &what));
        }
    }

    fn completed(&mut self, nexus: NexusId, lun: Lun, itt: Itt, status: u8) {
        let turned_away = self.turned_away.remove(&(nexus, lun, itt));
        if self.remove(nexus, lun, itt) || !self.live.contains(&nexus) {
            return;
        }
        // A full task set, or a target without a buffer, never took the task in; it may have been refused for another
        // reason before, and is answered when its data have stopped coming.
        let refused = turned_away && status != GOOD;
        if !refused && !matches!(status, TASK_SET_FULL | BUSY) {
            self.find("T7", self.story(nexus, lun, itt, "completed, but it had ended before or never began"));
        }
    }

    fn remove(&mut self, nexus: NexusId, lun: Lun, itt: Itt) -> bool {
        self.check_head_of_queue(nexus, lun, itt);
        let Some(set) = self.sets.get_mut(&(nexus, lun)) else { return false };
        let position = set.iter().position(|task| task.itt == itt);
        position.map(|position| set.remove(position)).is_some()
    }

    /// T2: nothing may happen to another task of the set before a HEAD OF QUEUE task is enabled.
    fn check_head_of_queue(&mut self, nexus: NexusId, lun: Lun, other: Itt) {
        let Some(set) = self.sets.get_mut(&(nexus, lun)) else { return };
        let late = |task: &&mut Task| task.attribute == Attribute::HeadOfQueue && !task.enabled && task.itt != other;
        if let Some(task) = set.iter_mut().find(late) {
            let itt = task.itt;
            // Told once.
            task.attribute = Attribute::Simple;
            let what = format!("(HeadOfQueue) was not enabled at once: task {other} came first");
            self.find("T2", self.story(nexus, lun, itt, &what));
        }
    }

    fn reported(&mut self, nexus: NexusId, lun: Lun, code: u16) {
        let pending = self.attentions.entry((nexus, lun)).or_default();
        if let Some(position) = pending.iter().position(|raised| *raised == code) {
            pending.remove(position);
            return;
        }
        let raised: Vec<_> = pending.iter().map(|code| format!("{code:#06x}")).collect();
        let story = format!(
            "at {:?} nexus {nexus} was told unit attention {code:#06x} of LUN {lun} once more than it was raised \
             (pending: [{}])",
            self.now,
            raised.join(", ")
        );
        self.find("T8", story);
    }

    fn story(&self, nexus: NexusId, lun: Lun, itt: Itt, what: &str) -> String {
        format!("at {:?} task {itt} of nexus {nexus} on LUN {lun} {what}", self.now)
    }

    fn find(&mut self, oracle: &'static str, message: String) {
        if self.findings.len() < MOST {
            self.findings.push(Finding { oracle, message });
        }
    }
}
