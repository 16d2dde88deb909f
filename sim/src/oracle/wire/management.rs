//! Task management functions (RFC 7143, sections 11.5 and 11.6): T5 and T6.

use std::time::Duration;

use crate::initiator::codec::RawPdu;
use crate::initiator::codec::serial::before;

use super::command::Command;

pub(super) const ABORT_TASK: u8 = 1;
pub(super) const ABORT_TASK_SET: u8 = 2;
pub(super) const CLEAR_TASK_SET: u8 = 4;
pub(super) const LOGICAL_UNIT_RESET: u8 = 5;
pub(super) const TARGET_WARM_RESET: u8 = 6;
pub(super) const TARGET_COLD_RESET: u8 = 7;

/// Responses (RFC 7143, section 11.6.1).
pub(super) const FUNCTION_COMPLETE: u8 = 0;
pub(super) const TASK_DOES_NOT_EXIST: u8 = 1;
pub(super) const FUNCTION_REJECTED: u8 = 255;

/// A task management function that was not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Management {
    pub(super) function: u8,
    pub(super) lun: u64,
    pub(super) cmd_sn: u32,
    /// Referenced Task Tag.
    pub(super) task: u32,
    pub(super) ref_cmd_sn: u32,
    /// The tasks that it ends for certain: their tags and serials.
    pub(super) affected: Vec<(u32, u64)>,
    /// ABORT TASK names a command that was answered before the function came, so that there is nothing to abort.
    pub(super) too_late: bool,
    /// While it waited for its answer there were as many others as the target takes: it may be turned away.
    pub(super) crowded: bool,
    /// When the target began it, as far as that is known: an immediate one begins when it comes.
    pub(super) began: Option<Duration>,
}

impl Management {
    pub(super) fn new(pdu: &RawPdu, at: Duration) -> Self {
        Self {
            function: pdu.task_management_function(),
            lun: pdu.logical_unit(),
            cmd_sn: pdu.cmd_sn(),
            task: pdu.referenced_task_tag(),
            ref_cmd_sn: pdu.ref_cmd_sn(),
            affected: Vec::new(),
            too_late: false,
            crowded: false,
            began: pdu.is_immediate().then_some(at),
        }
    }

    /// It may end a command with this CmdSN that comes after it.
    pub(super) fn may_reach(&self, cmd_sn: u32) -> bool {
        let set = matches!(self.function, ABORT_TASK_SET | CLEAR_TASK_SET);
        self.is_reset() || set && before(cmd_sn, self.cmd_sn)
    }

    /// It ends tasks of other sessions too.
    pub(super) fn is_reset(&self) -> bool {
        (LOGICAL_UNIT_RESET..=TARGET_COLD_RESET).contains(&self.function)
    }

    /// The logical unit that it is limited to.
    pub(super) fn scope(&self) -> Option<u64> {
        (!matches!(self.function, TARGET_WARM_RESET | TARGET_COLD_RESET)).then_some(self.lun)
    }

    /// It may end the task of this tag, on a logical unit that `here` knows.
    pub(super) fn may_abort(&self, itt: u32, here: impl Fn(u64) -> bool) -> bool {
        match self.function {
            ABORT_TASK => self.task == itt,
            ABORT_TASK_SET | CLEAR_TASK_SET => here(self.lun),
            _ => self.scope().is_none_or(here),
        }
    }

    /// A command that was there when the function came is ended by it.
    pub(super) fn affects(&self, itt: u32, command: &Command) -> bool {
        let here = self.scope().is_none_or(|lun| lun == command.lun);
        // An immediate command that came before it may have its very number.
        let earlier = before(command.cmd_sn, self.cmd_sn) || command.immediate && command.cmd_sn == self.cmd_sn;
        match self.function {
            ABORT_TASK => itt == self.task && here,
            ABORT_TASK_SET | CLEAR_TASK_SET => here && earlier,
            _ => here && self.is_reset() && earlier,
        }
    }
}
