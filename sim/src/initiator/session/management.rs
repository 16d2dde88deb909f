//! Task management (RFC 7143, 11.5 and 11.6): which commands a function covers, and what its answer means for them.

use std::time::Duration;

use super::super::codec::{NO_TAG, RawPdu};
use super::super::plan::{Attribute, CdbSize, Step, Verb};
use super::{Breach, Demand, Kind, Outgoing, Retry, Session, Task};
use crate::history::Event;

/// A task management function in flight.
pub(super) struct Management {
    function: u8,
    /// `None`: all logical units.
    lun: Option<u16>,
    /// ABORT TASK: the task.
    referenced: Option<u32>,
    /// Commands that were in flight when it was sent and that it ends.
    covers: Vec<u32>,
    /// For [`super::super::shared::Resets::over`].
    reset: Option<usize>,
}

const ABORT_TASK: u8 = 1;
const ABORT_TASK_SET: u8 = 2;
const CLEAR_TASK_SET: u8 = 4;
const LOGICAL_UNIT_RESET: u8 = 5;
const TARGET_WARM_RESET: u8 = 6;
const TARGET_COLD_RESET: u8 = 7;
/// A response (RFC 7143, section 11.6.1).
const FUNCTION_REJECTED: u8 = 255;
/// When a function for which the target had no room is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// Functions in flight at a time, at most.
const FUNCTIONS_MAX: usize = 4;

impl Management {
    /// After ABORT TASK comes a reset of its logical unit; after a reset nothing.
    pub(super) fn next_rung(&self) -> Option<u16> {
        self.lun.filter(|_| self.function < LOGICAL_UNIT_RESET)
    }
}

impl Session {
    /// Starts the task management function of a step.
    pub(super) fn start_management(&mut self, step: &Step, now: Duration) -> bool {
        if self.tasks.function_count() >= FUNCTIONS_MAX || !self.window_allows(step, now) {
            return false;
        }
        let immediate = step.immediate;
        match step.verb {
            Verb::AbortTask { which, newest } => {
                let mut tags: Vec<u32> = self.commands(|_| true);
                if newest {
                    tags.reverse();
                }
                match (tags.is_empty(), self.last_ended) {
                    (false, _) => self.abort_task(tags[which as usize % tags.len()], step.flat, now),
                    (true, Some((tag, cmd_sn, lun))) => {
                        self.abort_referenced((tag, cmd_sn), Vec::new(), (lun, step.flat), now);
                    }
                    (true, None) => {}
                }
            }
            Verb::AbortTaskSet { lun } => self.manage(ABORT_TASK_SET, Some(lun), (immediate, step.flat), now),
            Verb::ClearTaskSet { lun } => self.manage(CLEAR_TASK_SET, Some(lun), (immediate, step.flat), now),
            Verb::LogicalUnitReset { lun } => {
                self.manage(LOGICAL_UNIT_RESET, Some(lun), (immediate, step.flat), now);
            }
            Verb::TargetWarmReset => self.manage(TARGET_WARM_RESET, None, (immediate, false), now),
            Verb::TargetColdReset => self.manage(TARGET_COLD_RESET, None, (immediate, false), now),
            _ => {}
        }
        true
    }

    /// ABORT TASK of the command with `tag`; `flat`: by the other address of its logical unit.
    pub(super) fn abort_task(&mut self, tag: u32, flat: bool, now: Duration) {
        let Some(task) = self.tasks.get(tag) else { return };
        let Some(command) = task.command() else { return };
        let (cmd_sn, lun) = (task.cmd_sn, command.spec.lun);
        self.abort_referenced((tag, cmd_sn), vec![tag], (lun, flat), now);
    }

    /// LOGICAL UNIT RESET, on the recovery ladder.
    pub(super) fn reset_logical_unit(&mut self, lun: u16, now: Duration) {
        self.manage(LOGICAL_UNIT_RESET, Some(lun), (true, false), now);
    }

    /// Whether no command may be sent to `lun` now: a function is in flight there that covers several tasks, and may take
    /// along what follows.
    pub(super) fn is_held(&self, lun: u16) -> bool {
        let holds = |management: &Management| {
            let set = matches!(management.function, ABORT_TASK_SET | CLEAR_TASK_SET);
            let passes = management.function == ABORT_TASK || set && self.plan.goes_on;
            !passes && management.lun.is_none_or(|held| held == lun)
        };
        self.tasks.functions().any(holds)
    }

    pub(super) fn receive_management(&mut self, pdu: &RawPdu, now: Duration) -> Result<(), Breach> {
        let tag = pdu.initiator_task_tag();
        if !matches!(self.tasks.get(tag), Some(Task { kind: Kind::Management(_), .. })) {
            return Err(self.stranger(pdu));
        }
        let Some(Task { kind: Kind::Management(management), .. }) = self.tasks.remove(tag) else { return Ok(()) };
        if let Some(reset) = management.reset {
            self.shared.resets.borrow_mut().over(reset);
        }
        match (pdu.response(), management.referenced) {
            (0, Some(referenced)) if management.covers.is_empty() => {
                let message =
                    format!("ABORT TASK of tag {referenced:#x}, which had ended, was answered FUNCTION COMPLETE");
                return Err(Breach::new("T6", message));
            }
            (0, _) => management.covers.iter().for_each(|&covered| self.fence(covered)),
            (1, Some(referenced)) => self.task_does_not_exist(referenced)?,
            // On the ladder of a command to a LUN that is not mapped, and that got no answer.
            (2, None) if management.lun.is_some_and(|lun| self.shared.unit(lun).is_none()) => {
                self.demand = Some(Demand::GiveUp);
            }
            // As many as the target takes are at work; whether that is so, the wire knows (T6).
            (FUNCTION_REJECTED, _) => self.try_again(&management.covers, now),
            (response, _) => {
                let function = management.function;
                return Err(Breach::new("T6", format!("task management function {function} was answered {response}")));
            }
        }
        self.last_received = now;
        Ok(())
    }

    /// The target had no room for the function: the commands it was to end are still what they were.
    pub(super) fn management_turned_away(&mut self, tag: u32, now: Duration) {
        let Some(Task { kind: Kind::Management(management), .. }) = self.tasks.remove(tag) else { return };
        if let Some(reset) = management.reset {
            self.shared.resets.borrow_mut().over(reset);
        }
        self.try_again(&management.covers, now);
    }

    /// A function did nothing to the commands that it was to end: who was on the ladder is so again, a little later.
    fn try_again(&mut self, covers: &[u32], now: Duration) {
        for &covered in covers {
            if self.tasks.get(covered).is_some_and(|task| !task.has_deadline()) {
                self.tasks.set_deadline(covered, Some(now + AGAIN));
            }
        }
    }

    /// ABORT TASK was answered TASK DOES NOT EXIST: its status must be here, since answers keep their order, and so must
    /// the answer of another function that took it away, unless a reset ended the task in silence.
    fn task_does_not_exist(&mut self, tag: u32) -> Result<(), Breach> {
        let Some(command) = self.tasks.command(tag) else { return Ok(()) };
        let (mark, lun) = (command.mark, command.spec.lun);
        let covers =
            |management: &Management| management.function >= LOGICAL_UNIT_RESET && management.covers.contains(&tag);
        if self.tasks.functions().any(covers) {
            return Ok(());
        }
        if self.shared.resets.borrow().since(mark, lun) == 0 {
            let message = format!("ABORT TASK of tag {tag:#x} was answered TASK DOES NOT EXIST, it never got a status");
            return Err(Breach::new("T6", message));
        }
        self.fence(tag);
        Ok(())
    }

    /// The command is gone for good.
    pub(super) fn fence(&mut self, tag: u32) {
        let Some(Task { kind: Kind::Command(command), .. }) = self.tasks.remove(tag) else { return };
        self.shared.record(Event::Fence { op: command.op });
        self.report.fenced += 1;
        self.fenced_tags.insert(tag);
        self.attentions.entry(command.spec.lun).or_default().vanished();
        self.outbox.retain(|outgoing| !outgoing.is_data_of(tag));
        self.look_at(&command.step);
    }

    /// Reads at once what a write that was aborted may have written: whatever is there now has to stay.
    fn look_at(&mut self, step: &Step) {
        let Verb::Write { lun, lba, blocks, .. } = step.verb else { return };
        let verb = Verb::Read { lun, lba, blocks, cdb: CdbSize::Sixteen, fua: false, dpo: false, expect_more: 0 };
        let step = Step { id: step.id, attribute: Attribute::Simple, immediate: false, flat: false, verb };
        self.retries.push(Retry { at: Duration::ZERO, step, attempt: 0 });
    }

    /// Tags of the commands in flight for which `wanted` holds, oldest first.
    fn commands(&self, wanted: impl Fn(u16) -> bool) -> Vec<u32> {
        let wanted = self.tasks.commands().filter(|(_, command)| wanted(command.spec.lun));
        let mut tags: Vec<(u64, u32)> = wanted.map(|(tag, command)| (command.op.0, tag)).collect();
        tags.sort_unstable();
        tags.into_iter().map(|(_, tag)| tag).collect()
    }

    fn abort_referenced(
        &mut self,
        (referenced, cmd_sn): (u32, u32),
        covers: Vec<u32>,
        (lun, flat): (u16, bool),
        now: Duration,
    ) {
        let tag = self.tag();
        let pdu = RawPdu::task_management(ABORT_TASK, lun, tag, referenced, cmd_sn);
        let pdu = if flat { pdu.flat() } else { pdu };
        let management =
            Management { function: ABORT_TASK, lun: Some(lun), referenced: Some(referenced), covers, reset: None };
        self.issue(pdu, true, tag, Kind::Management(management), Some(self.plan.timeouts.abort_ms), now);
    }

    /// A function that ends all tasks of a logical unit, or of all.
    fn manage(&mut self, function: u8, lun: Option<u16>, (immediate, flat): (bool, bool), now: Duration) {
        let covers = self.commands(|candidate| lun.is_none_or(|lun| lun == candidate));
        let reset = (function >= LOGICAL_UNIT_RESET).then(|| self.shared.resets.borrow_mut().begin(lun));
        let tag = self.tag();
        let pdu = RawPdu::task_management(function, lun.unwrap_or(0), tag, NO_TAG, 0);
        let pdu = if flat { pdu.flat() } else { pdu };
        let management = Management { function, lun, referenced: None, covers, reset };
        self.issue(pdu, immediate, tag, Kind::Management(management), Some(self.plan.timeouts.reset_ms), now);
    }
}

impl Outgoing {
    fn is_data_of(&self, tag: u32) -> bool {
        self.pdu.opcode() == super::opcode::DATA_OUT && self.pdu.initiator_task_tag() == tag
    }
}
