//! The answers of full feature phase, each held against the request that it belongs to.

use crate::initiator::codec::{NO_TAG, RawPdu};

use super::super::command::{self, Command};
use super::super::login::Agreement;
use super::super::management::{ABORT_TASK, FUNCTION_COMPLETE, FUNCTION_REJECTED, TASK_DOES_NOT_EXIST};
use super::super::{Report, Shared};
use super::{Connection, Request};

const RESET_ATTENTIONS: std::ops::RangeInclusive<u16> = 0x2900..=0x29ff;

impl Connection {
    /// The command that a PDU belongs to, or what is wrong with its tag.
    fn find(&mut self, pdu: &RawPdu, what: &str, report: &mut Report<'_>) -> Option<&mut Command> {
        let itt = pdu.initiator_task_tag();
        let found = matches!(self.requests.get(&itt), Some(Request::Command(_)));
        if !found {
            self.complain_of_tag(itt, what, report);
        }
        match self.requests.get_mut(&itt) {
            Some(Request::Command(command)) if !self.distrusted => Some(command),
            _ => None,
        }
    }

    fn complain_of_tag(&self, itt: u32, what: &str, report: &mut Report<'_>) {
        if self.distrusted {
            return;
        }
        if self.aborted.contains(&itt) {
            report.add("T5", &format!("{what} of task {itt:#x} follows the FUNCTION COMPLETE that ended it"));
        } else if self.answered.contains(&itt) {
            report.add("T7", &format!("{what} of task {itt:#x} follows its completion"));
        } else {
            report.add("I8", &format!("{what} has the tag {itt:#x}, which no request carries"));
        }
    }

    pub(super) fn ready_to_transfer(&mut self, pdu: &RawPdu, agreement: &Agreement, report: &mut Report<'_>) {
        let (itt, ttt) = (pdu.initiator_task_tag(), pdu.target_transfer_tag());
        let open = |request: &Request| matches!(request, Request::Command(command) if command.has_open(ttt));
        if !self.distrusted && self.requests.values().any(open) {
            report.add("I5", &format!("the Target Transfer Tag {ttt:#x} of an R2T of task {itt:#x} is in use"));
        }
        if let Some(command) = self.find(pdu, "an R2T", report) {
            command.ready_to_transfer(pdu, agreement, report);
        }
    }

    pub(super) fn data_in(&mut self, pdu: &RawPdu, agreement: &Agreement, report: &mut Report<'_>) {
        let itt = pdu.initiator_task_tag();
        let Some(command) = self.find(pdu, "Data-In", report) else { return };
        command.data_in(pdu, agreement, report);
        if pdu.has_status() {
            if !pdu.is_final() {
                report.add("I4", &format!("Data-In of task {itt:#x} has S without F"));
            }
            command.ended(pdu, report);
            self.requests.remove(&itt);
            self.answered.insert(itt);
        }
    }

    pub(super) fn scsi_response(&mut self, pdu: &RawPdu, shared: &Shared, report: &mut Report<'_>) {
        let itt = pdu.initiator_task_tag();
        let Some(command) = self.find(pdu, "a SCSI Response", report) else { return };
        command.ended(pdu, report);
        command.judge_sense(pdu, report);
        let lun = command.lun;
        if command.damaged && pdu.status() == 0 {
            let story = format!("task {itt:#x} ended GOOD, though data of it came with a wrong digest");
            report.add("I6", &story);
        }
        self.requests.remove(&itt);
        self.answered.insert(itt);
        if let Some(code) = command::unit_attention(pdu)
            && RESET_ATTENTIONS.contains(&code)
        {
            self.told_of_reset(lun, shared.resets_asked, report);
        }
    }

    /// T8: a nexus is told of its beginning, and of each reset since, once.
    fn told_of_reset(&mut self, lun: u64, resets_asked: u32, report: &mut Report<'_>) {
        let mut resets = self.resets.borrow_mut();
        let most = 1 + resets_asked - resets.before;
        let told = resets.told.entry(lun).or_default();
        *told += 1;
        if *told > most {
            let story = format!("the nexus was told {told} resets of LUN {lun:#x}; {most} can have happened");
            report.add("T8", &story);
        }
    }

    /// Takes the request that a PDU answers, which has to be of the right kind.
    pub(super) fn take(
        &mut self,
        itt: u32,
        pdu: &RawPdu,
        report: &mut Report<'_>,
        right: impl Fn(&Request) -> bool,
    ) -> Option<Request> {
        if self.requests.get(&itt).is_some_and(right) {
            self.answered.insert(itt);
            return self.requests.remove(&itt);
        }
        self.complain_of_tag(itt, &format!("operation code {:#04x}", pdu.opcode()), report);
        None
    }

    pub(super) fn nop_in(&mut self, pdu: &RawPdu, agreement: &Agreement, report: &mut Report<'_>) {
        let itt = pdu.initiator_task_tag();
        if pdu.target_transfer_tag() != NO_TAG {
            report.add("I8", &format!("the NOP-In that answers {itt:#x} has a Target Transfer Tag"));
        }
        let Some(Request::Nop(data)) = self.take(itt, pdu, report, |request| matches!(request, Request::Nop(_))) else {
            return;
        };
        let fits = &data[..data.len().min(agreement.segment_bytes)];
        if pdu.data != fits && !self.distrusted {
            report.add("I8", &format!("the NOP-In that answers {itt:#x} does not echo its data"));
        }
    }

    pub(super) fn text_response(&mut self, pdu: &RawPdu, report: &mut Report<'_>) {
        let itt = pdu.initiator_task_tag();
        match self.requests.get_mut(&itt) {
            Some(Request::Text(waiting)) if *waiting > 0 => {
                *waiting -= 1;
                if pdu.is_final() {
                    self.requests.remove(&itt);
                    self.answered.insert(itt);
                }
            }
            _ => self.complain_of_tag(itt, "a Text Response", report),
        }
    }

    /// The rejected PDU's header is in the data segment: its task may be over, or may still be answered.
    pub(super) fn rejected(&mut self, pdu: &RawPdu) {
        let Some(header) = pdu.data.get(..48) else { return };
        let itt = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
        match self.requests.get_mut(&itt) {
            Some(Request::Command(command)) => command.silence(),
            Some(request) => {
                self.functions -= usize::from(matches!(request, Request::Management(_)));
                self.requests.remove(&itt);
            }
            None => {}
        }
    }

    pub(super) fn management_response(&mut self, pdu: &RawPdu, shared: &mut Shared, report: &mut Report<'_>) {
        let itt = pdu.initiator_task_tag();
        let right = |request: &Request| matches!(request, Request::Management(_));
        let Some(Request::Management(function)) = self.take(itt, pdu, report, right) else { return };
        self.functions -= 1;
        shared.resets.retain(|reset| reset.connection != report.connection || reset.itt != itt);
        if self.distrusted {
            return;
        }
        let still_there: Vec<_> = function
            .affected
            .iter()
            .filter(|(itt, serial)| {
                matches!(self.requests.get(itt), Some(Request::Command(command)) if command.serial == *serial)
            })
            .map(|(itt, _)| *itt)
            .collect();
        match pdu.response() {
            FUNCTION_COMPLETE => {
                if function.too_late && function.function == ABORT_TASK {
                    let task = function.task;
                    report.add(
                        "T6",
                        &format!("ABORT TASK of {task:#x}, which had ended long before, was FUNCTION COMPLETE"),
                    );
                }
                for itt in still_there {
                    self.requests.remove(&itt);
                    self.aborted.insert(itt);
                }
            }
            TASK_DOES_NOT_EXIST => {
                for itt in still_there {
                    self.judge_denial(itt, report);
                }
            }
            FUNCTION_REJECTED if !function.crowded => {
                let story =
                    format!("function {} ({itt:#x}) was rejected, and there was room for it", function.function);
                report.add("T6", &story);
            }
            _ => {}
        }
    }

    /// T6: a task that was taken, has no status and is not being ended by a reset does exist: while another function is
    /// ending it, too, until that is answered.
    fn judge_denial(&self, itt: u32, report: &mut Report<'_>) {
        let Some(Request::Command(command)) = self.requests.get(&itt) else { return };
        let ending = |request: &Request| matches!(request, Request::Management(other) if other.is_reset() && other.affected.contains(&(itt, command.serial)));
        let taken = command.immediate || self.numbers.is_acknowledged(command.cmd_sn);
        if taken && !command.doubtful && !self.requests.values().any(ending) {
            report.add("T6", &format!("task {itt:#x} has no status, and yet it is said not to exist"));
        }
    }
}
