//! The history as intervals: when each command may have taken effect, and how it ended.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Action, Event, History, Nexus, OpId, Outcome, Sector, Unit};
use crate::oracle::Finding;

/// A moment: the position of an event in the history plus one. Zero is before everything.
pub(super) type Moment = u32;

/// Bytes of a sector, the unit of the checker: each carries its own stamp.
const SECTOR_BYTES: u64 = 512;
/// TEST UNIT READY, and VERIFY (10), (12) and (16) without data.
const NEEDS_START: [u8; 4] = [0x00, 0x2f, 0xaf, 0x8f];

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// No status: it took effect before [`Op::end`] or never.
    Unknown,
    /// As [`Ending::Unknown`], and it was fenced by an answer that promised it would have no further effect.
    Fenced,
    /// GOOD.
    Good,
    /// An error half-way: it took effect in some of its sectors, or not, or left garbage.
    Torn,
    /// Refused: no effect at all.
    Refused,
}

/// What a command does to sectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// READ, or VERIFY with data.
    Read,
    /// WRITE.
    Write {
        /// Force unit access.
        fua: bool,
    },
    /// SYNCHRONIZE CACHE that answers when it is done, or a stop that does the same.
    Synchronize,
    /// No effect that the history judges.
    Other,
}

/// One command.
#[derive(Clone, Debug)]
pub(super) struct Op {
    /// Its name.
    pub(super) id: OpId,
    /// Whose it is.
    pub(super) nexus: Nexus,
    /// Which of [`History::units`]; `None` when there is no such logical unit.
    pub(super) unit: Option<usize>,
    /// LUN as addressed.
    pub(super) lun: u16,
    /// What it does.
    pub(super) kind: Kind,
    /// It needs a logical unit that is not stopped.
    pub(super) needs_start: bool,
    /// START STOP UNIT; `true`: it starts.
    pub(super) starts: Option<bool>,
    /// First sector.
    pub(super) first: u64,
    /// One past the last sector.
    pub(super) last: u64,
    /// When it was sent.
    pub(super) start: Moment,
    /// From here on it has no effect: status, fence, power loss, or the end of the history.
    pub(super) end: Moment,
    /// How it ended.
    pub(super) ending: Ending,
    /// When GOOD arrived, which may be after its end (in flight when the target died); otherwise `Moment::MAX`.
    pub(super) good_at: Moment,
    /// A WRITE of blocks to a logical unit that takes none: it has no effect, so that its stamp on any block is a failure.
    pub(super) protected: bool,
    /// Power losses before it was sent.
    pub(super) epoch: usize,
    /// Position of its `Return` among the events.
    pub(super) returned: Option<usize>,
}

impl Op {
    /// It may have changed the sectors it names.
    pub(super) fn may_have_written(&self) -> bool {
        matches!(self.kind, Kind::Write { .. }) && self.ending != Ending::Refused
    }

    /// It did change the sectors it names.
    pub(super) fn has_written(&self) -> bool {
        matches!(self.kind, Kind::Write { .. }) && self.ending == Ending::Good
    }

    /// Its range covers `sector`.
    pub(super) fn covers(&self, sector: u64) -> bool {
        (self.first..self.last).contains(&sector)
    }
}

/// From `at` on, these sectors of the logical unit may hold anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taint {
    /// When.
    pub(super) at: Moment,
    /// First sector.
    pub(super) first: u64,
    /// One past the last sector.
    pub(super) last: u64,
}

/// The whole history as intervals.
#[derive(Default, Debug)]
pub(super) struct Timeline {
    /// Commands in the order in which they were sent.
    pub(super) ops: Vec<Op>,
    /// Where each command is in `ops`.
    pub(super) index: BTreeMap<OpId, usize>,
    /// When power was lost: epoch n ends at the n-th.
    pub(super) power_losses: Vec<Moment>,
    /// When the process died.
    pub(super) crashes: Vec<Moment>,
    /// When the target stopped cleanly.
    pub(super) clean_stops: Vec<Moment>,
    /// When the target came up again.
    pub(super) restarts: Vec<Moment>,
    /// When flushes failed, for each unit.
    pub(super) flush_failures: Vec<Vec<Moment>>,
    /// Taints, for each unit.
    pub(super) taints: Vec<Vec<Taint>>,
    /// What is wrong with the history itself.
    pub(super) findings: Vec<Finding>,
}

impl Timeline {
    /// Reads the history once.
    pub(super) fn of(history: &History) -> Self {
        let units = history.units.len();
        let mut timeline = Self { flush_failures: vec![vec![]; units], taints: vec![vec![]; units], ..Self::default() };
        let mut open: BTreeSet<usize> = BTreeSet::new();
        for (position, event) in history.events.iter().enumerate() {
            timeline.take(history, position, event, &mut open);
        }
        timeline
    }

    fn take(&mut self, history: &History, position: usize, event: &Event, open: &mut BTreeSet<usize>) {
        let at = position as Moment + 1;
        match event {
            Event::Invoke { op, nexus, lun, action } => {
                let index = self.ops.len();
                if self.index.insert(*op, index).is_some() {
                    self.complain("H1", format!("op {} was sent twice: the history itself is broken", op.0));
                }
                self.ops.push(self.sent(history, *op, *nexus, *lun, action, at));
                open.insert(index);
            }
            Event::Return { op, outcome } => self.returned(*op, outcome, position, open),
            Event::Fence { op } => {
                if let Some(&index) = self.index.get(op)
                    && open.remove(&index)
                {
                    self.close(index, at, Ending::Fenced);
                }
            }
            Event::Crash => self.crashes.push(at),
            Event::PowerLoss => {
                self.power_losses.push(at);
                self.close_all(at, open);
            }
            Event::CleanStop => self.clean_stops.push(at),
            Event::Restart => {
                self.restarts.push(at);
                self.close_all(at, open);
            }
            Event::Taint { lun, offset_bytes, length_bytes } => {
                if let Some(unit) = unit_of(&history.units, *lun) {
                    let last = offset_bytes.saturating_add(*length_bytes).div_ceil(SECTOR_BYTES);
                    self.taints[unit].push(Taint { at, first: offset_bytes / SECTOR_BYTES, last });
                }
            }
            Event::FlushFailed { lun } => {
                if let Some(unit) = unit_of(&history.units, *lun) {
                    self.flush_failures[unit].push(at);
                }
            }
        }
    }

    fn sent(&self, history: &History, id: OpId, nexus: Nexus, lun: u16, action: &Action, start: Moment) -> Op {
        let unit = unit_of(&history.units, lun);
        let read_only = unit.is_some_and(|unit| history.units[unit].read_only);
        let protected = read_only && matches!(*action, Action::Write { blocks: 1.., .. });
        let (kind, lba, blocks) = match *action {
            Action::Write { .. } if read_only => (Kind::Other, 0, 0),
            Action::Read { lba, blocks } => (Kind::Read, lba, u64::from(blocks)),
            Action::Write { lba, blocks, fua } => (Kind::Write { fua }, lba, u64::from(blocks)),
            Action::Synchronize { lba, blocks, immediate: false } => {
                let medium = unit.map_or(0, |unit| history.units[unit].blocks);
                let blocks = if blocks == 0 { medium.saturating_sub(lba) } else { u64::from(blocks) };
                (Kind::Synchronize, lba, blocks)
            }
            Action::StartStop { flushes: true, .. } => {
                (Kind::Synchronize, 0, unit.map_or(0, |unit| history.units[unit].blocks))
            }
            Action::Synchronize { .. } | Action::StartStop { .. } | Action::Other { .. } => (Kind::Other, 0, 0),
        };
        let needs_start = match *action {
            Action::Read { .. } | Action::Write { .. } | Action::Synchronize { .. } => true,
            Action::Other { operation_code } => NEEDS_START.contains(&operation_code),
            Action::StartStop { .. } => false,
        };
        let starts = if let Action::StartStop { start, .. } = *action { Some(start) } else { None };
        let sectors = unit.map_or(1, |unit| sectors_per_block(&history.units[unit]));
        Op {
            id,
            nexus,
            unit,
            lun,
            kind,
            needs_start,
            starts,
            first: lba.saturating_mul(sectors),
            last: lba.saturating_add(blocks).saturating_mul(sectors),
            start,
            end: Moment::MAX,
            ending: Ending::Unknown,
            good_at: Moment::MAX,
            protected,
            epoch: self.power_losses.len(),
            returned: None,
        }
    }

    fn returned(&mut self, id: OpId, outcome: &Outcome, position: usize, open: &mut BTreeSet<usize>) {
        let Some(&index) = self.index.get(&id) else {
            return self.complain("H1", format!("op {} ended and was never sent: the history itself is broken", id.0));
        };
        let at = position as Moment + 1;
        let op = &mut self.ops[index];
        if let Some(first) = op.returned {
            let story = format!("op {} got a second status at #{at}; its first came at #{}", id.0, first + 1);
            return self.complain("T7", story);
        }
        op.returned = Some(position);
        op.ending = ending(outcome);
        if op.ending == Ending::Good {
            op.good_at = at;
        }
        // A status that was in flight when the target died says how the command ended, not when.
        if open.remove(&index) {
            op.end = at;
        }
    }

    fn close(&mut self, index: usize, at: Moment, ending: Ending) {
        self.ops[index].end = at;
        self.ops[index].ending = ending;
    }

    fn close_all(&mut self, at: Moment, open: &mut BTreeSet<usize>) {
        for index in std::mem::take(open) {
            self.close(index, at, Ending::Unknown);
        }
    }

    fn complain(&mut self, oracle: &'static str, message: String) {
        self.findings.push(Finding { oracle, message });
    }

    /// A moment of `moments` lies strictly between `after` and `before`.
    pub(super) fn any_between(moments: &[Moment], after: Moment, before: Moment) -> bool {
        moments.iter().any(|&at| after < at && at < before)
    }

    /// When `epoch` began: the power loss before it, or the beginning.
    pub(super) fn epoch_start(&self, epoch: usize) -> Moment {
        epoch.checked_sub(1).map_or(0, |previous| self.power_losses[previous])
    }

    /// When `epoch` ended: its power loss, or never.
    pub(super) fn epoch_end(&self, epoch: usize) -> Moment {
        self.power_losses.get(epoch).copied().unwrap_or(Moment::MAX)
    }
}

/// What the history's outcome means for the medium (SBC-3 and the sense keys of SPC-4, section 4.5.6).
fn ending(outcome: &Outcome) -> Ending {
    const NOT_READY: u8 = 0x2;
    const ILLEGAL_REQUEST: u8 = 0x5;
    const UNIT_ATTENTION: u8 = 0x6;
    const DATA_PROTECT: u8 = 0x7;
    const WRITE_PROTECTED: u16 = 0x2700;
    const TASK_ABORTED: u8 = 0x40;
    match outcome {
        // It read what it was asked to read.
        Outcome::Good { .. } | Outcome::Miscompare { .. } => Ending::Good,
        Outcome::Check { key: NOT_READY | ILLEGAL_REQUEST | UNIT_ATTENTION, .. }
        | Outcome::Check { key: DATA_PROTECT, code: WRITE_PROTECTED } => Ending::Refused,
        Outcome::Check { .. } | Outcome::Refused { status: TASK_ABORTED } => Ending::Torn,
        Outcome::Refused { .. } => Ending::Refused,
    }
}

/// The sectors that a read returned or found to be what was sent.
pub(super) fn sectors_of<'a>(history: &'a History, op: &Op) -> &'a [Sector] {
    match op.returned.map(|position| &history.events[position]) {
        Some(Event::Return { outcome: Outcome::Good { sectors } | Outcome::Miscompare { sectors, .. }, .. }) => sectors,
        _ => &[],
    }
}

/// 512-byte sectors of one logical block.
pub(super) fn sectors_per_block(unit: &Unit) -> u64 {
    (u64::from(unit.block_bytes) / SECTOR_BYTES).max(1)
}

fn unit_of(units: &[Unit], lun: u16) -> Option<usize> {
    units.iter().position(|unit| unit.lun == lun)
}
