//! What the initiators of one run have in common.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::description::{Configured, Descriptions};
use crate::history::{Action, Event, History, Nexus, OpId, Unit};
use crate::planted::planted;

/// Where the run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Faults come and go: nothing need succeed.
    Chaos,
    /// No more faults: everything must succeed in bounded time.
    Healed,
    /// The medium is read back.
    Audit,
}

/// The target broke a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which oracle saw it, as docs/SIMULATION.md numbers them ("I4", "T8", ...).
    pub oracle: &'static str,
    /// What happened.
    pub message: String,
}

/// What one initiator got done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Commands sent, retries included.
    pub commands: u64,
    /// Of these: ended GOOD.
    pub good: u64,
    /// Successful logins.
    pub logins: u64,
    /// Of these: to a session that was there, over a new connection.
    pub continued: u64,
    /// Commands given up by a task management function, a reset or a lost connection.
    pub fenced: u64,
    /// Attacks played; zero for a well-behaved initiator.
    pub attacks: u64,
    /// Steps that were not reached because the target stayed away.
    pub steps_left: u64,
}

/// What is heard of initiators.
#[derive(Debug)]
pub enum Heard<'a> {
    /// They did or saw this; a command that is sent has this Initiator Task Tag.
    Event(&'a Event, Option<u32>),
    /// They complain: the rule, and the story.
    Violation(&'static str, &'a str),
}

/// Hears what initiators do and see while they do it; nobody, by default.
#[derive(Clone, Default)]
pub struct Ear(Option<Rc<Hear>>);

type Hear = dyn Fn(&Heard<'_>);

impl Ear {
    /// Somebody who hears.
    pub fn new(hear: impl Fn(&Heard<'_>) + 'static) -> Self {
        Self(Some(Rc::new(hear)))
    }

    fn hear(&self, heard: &Heard<'_>) {
        if let Some(hear) = &self.0 {
            hear(heard);
        }
    }
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Ear" } else { "Nobody" })
    }
}

/// Handles to the state of the run; clones share it.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What the initiators did and saw.
    pub history: Rc<RefCell<History>>,
    /// What they complain of.
    pub violations: Rc<RefCell<Vec<Violation>>>,
    /// The next command's number.
    pub next_op: Rc<Cell<u64>>,
    /// Seed of the run: part of every stamp.
    pub seed: u64,
    /// How long the target waits for the data of a WRITE before it gives the command up.
    pub initiator_stall: Duration,
    /// The shortest time that the target may take for that long: its clock may be wrong.
    pub shortest_stall: Duration,
    /// The target asks silent peers whether they are there.
    pub asks_peers: bool,
    /// Bytes of data that WRITEs have to get in that time while buffers are short.
    pub stall_bytes: usize,
    /// Bytes of the buffer pool that one session's WRITEs may hold while their data are on the way.
    pub pool_share_bytes: usize,
    /// Where the run is.
    pub phase: Rc<Cell<Phase>>,
    /// Name of the target to log in to.
    pub target: Rc<str>,
    /// Who listens.
    pub ear: Ear,
    /// What the operator made of each logical unit; those that are not there are not judged by it.
    pub configured: Rc<BTreeMap<u16, Configured>>,
    pub(super) descriptions: Rc<RefCell<Descriptions>>,
    pub(super) resets: Rc<RefCell<Resets>>,
    pub(super) audits: Rc<Cell<u32>>,
}

/// More complaints than these add nothing.
const VIOLATIONS_MAX: usize = 64;

impl Shared {
    /// The state at the start of a run against the target called `target` with the logical units `units`.
    #[must_use]
    pub fn new(seed: u64, target: &str, units: Vec<Unit>) -> Self {
        Self {
            history: Rc::new(RefCell::new(History { units, events: Vec::new() })),
            violations: Rc::default(),
            next_op: Rc::default(),
            seed,
            initiator_stall: Duration::from_secs(60),
            shortest_stall: Duration::from_secs(60),
            asks_peers: true,
            stall_bytes: 4 << 20,
            pool_share_bytes: 32 << 20,
            phase: Rc::new(Cell::new(Phase::Chaos)),
            target: target.into(),
            ear: Ear::default(),
            configured: Rc::default(),
            descriptions: Rc::default(),
            resets: Rc::default(),
            audits: Rc::default(),
        }
    }

    pub(super) fn op(&self) -> OpId {
        let op = self.next_op.get();
        self.next_op.set(op + 1);
        OpId(op)
    }

    pub(super) fn record(&self, event: Event) {
        self.ear.hear(&Heard::Event(&event, None));
        self.history.borrow_mut().events.push(event);
    }

    /// A command is about to be sent with the Initiator Task Tag `tag`.
    pub(super) fn invoke(&self, op: OpId, nexus: Nexus, lun: u16, action: Action, tag: u32) {
        let event = Event::Invoke { op, nexus, lun, action };
        self.ear.hear(&Heard::Event(&event, Some(tag)));
        if planted!(EventDropped) && op.0.is_multiple_of(64) {
            return;
        }
        self.history.borrow_mut().events.push(event);
    }

    pub(super) fn complain(&self, oracle: &'static str, message: String) {
        self.ear.hear(&Heard::Violation(oracle, &message));
        let mut violations = self.violations.borrow_mut();
        if violations.len() < VIOLATIONS_MAX {
            violations.push(Violation { oracle, message });
        }
    }

    pub(super) fn unit(&self, lun: u16) -> Option<Unit> {
        self.history.borrow().units.iter().find(|unit| unit.lun == lun).cloned()
    }
}

/// Which resets were asked for, by whomever: they end tasks of other nexuses in silence and leave a unit attention.
/// One that was never answered, since its session was lost, may happen at any time.
#[derive(Debug, Default)]
pub(super) struct Resets {
    clock: u64,
    begun: Vec<Reset>,
}

#[derive(Debug)]
struct Reset {
    /// `None`: all logical units.
    lun: Option<u16>,
    /// When it was answered.
    over: Option<u64>,
}

impl Resets {
    /// A reset of `lun`, or of all, is about to be sent; the number is for [`Self::over`].
    pub(super) fn begin(&mut self, lun: Option<u16>) -> usize {
        self.begun.push(Reset { lun, over: None });
        self.begun.len() - 1
    }

    /// The reset was answered.
    pub(super) fn over(&mut self, reset: usize) {
        self.clock += 1;
        self.begun[reset].over = Some(self.clock);
    }

    /// Now, for [`Self::since`].
    pub(super) fn mark(&self) -> u64 {
        self.clock
    }

    /// How many resets may have hit `lun` since `mark`.
    pub(super) fn since(&self, mark: u64, lun: u16) -> usize {
        let hits = |reset: &&Reset| {
            reset.lun.is_none_or(|reset_lun| reset_lun == lun) && reset.over.is_none_or(|over| over > mark)
        };
        self.begun.iter().filter(hits).count()
    }
}

/// Sense key and additional sense code, of fixed or descriptor format (SPC-4, 4.5).
pub(crate) fn parse_sense(sense: &[u8]) -> Option<(u8, u16)> {
    let (key, code) = match sense.first()? & 0x7f {
        0x70 | 0x71 => (*sense.get(2)?, [*sense.get(12)?, *sense.get(13)?]),
        0x72 | 0x73 => (*sense.get(1)?, [*sense.get(2)?, *sense.get(3)?]),
        _ => return None,
    };
    Some((key & 0x0f, u16::from_be_bytes(code)))
}

/// The INFORMATION field of fixed sense data, if it is valid (SPC-4, 4.5.3).
pub(super) fn information(sense: &[u8]) -> Option<u32> {
    let field = sense.get(3..7)?;
    matches!(sense[0], 0xf0 | 0xf1).then(|| u32::from_be_bytes([field[0], field[1], field[2], field[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_counts_from_its_sending_to_its_answer() {
        let mut resets = Resets::default();
        let first = resets.begin(Some(1));
        let mark = resets.mark();
        assert_eq!((resets.since(mark, 1), resets.since(mark, 2)), (1, 0));
        resets.over(first);
        assert_eq!(resets.since(mark, 1), 1, "it may have happened after the mark");
        assert_eq!(resets.since(resets.mark(), 1), 0);
        resets.begin(None);
        assert_eq!(resets.since(resets.mark(), 2), 1);
    }
}
