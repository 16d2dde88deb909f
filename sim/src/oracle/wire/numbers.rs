//! CmdSN, ExpCmdSN, MaxCmdSN and StatSN (RFC 7143, sections 4.2.2.1 and 4.2.2.2): I1 to I3.

use std::collections::BTreeSet;

use crate::initiator::codec::serial::before;
use crate::initiator::codec::{NO_TAG, RawPdu, opcode};

use super::Report;

/// The numbers of one connection, which is the only one of its session.
#[derive(Default, Debug)]
pub(super) struct Numbers {
    /// StatSN of the next PDU that consumes one.
    stat_sn: Option<u32>,
    exp_cmd_sn: Option<u32>,
    max_cmd_sn: u32,
    /// CmdSNs received and not yet acknowledged, and those that a task management function made count as received.
    received: BTreeSet<u32>,
}

impl Numbers {
    /// The login request that began it all: immediate, its CmdSN is the first (RFC 7143, section 11.12.9).
    pub(super) fn begin(&mut self, cmd_sn: u32) {
        if self.exp_cmd_sn.is_none() {
            self.exp_cmd_sn = Some(cmd_sn);
            self.max_cmd_sn = cmd_sn.wrapping_sub(1);
        }
    }

    /// The target has acknowledged `cmd_sn`.
    pub(super) fn is_acknowledged(&self, cmd_sn: u32) -> bool {
        self.exp_cmd_sn.is_some_and(|expected| before(cmd_sn, expected))
    }

    /// A non-immediate request came. `false`: its number came before. One past MaxCmdSN may be dropped or, if the
    /// window has moved on meanwhile, be taken.
    pub(super) fn receive(&mut self, cmd_sn: u32) -> bool {
        !self.is_acknowledged(cmd_sn) && self.received.insert(cmd_sn)
    }

    /// The target has not said that `cmd_sn` may come.
    pub(super) fn is_beyond(&self, cmd_sn: u32) -> bool {
        before(self.max_cmd_sn, cmd_sn)
    }

    /// A task management function names `cmd_sn`: the target may count it as received.
    pub(super) fn excuse(&mut self, cmd_sn: u32) {
        if !self.is_acknowledged(cmd_sn) {
            self.received.insert(cmd_sn);
        }
    }

    /// Judges the numbers of a PDU that the target sent.
    pub(super) fn judge(&mut self, pdu: &RawPdu, command_window: u32, report: &mut Report<'_>) {
        self.judge_stat_sn(pdu, report);
        let (exp, max) = (pdu.exp_cmd_sn(), pdu.max_cmd_sn());
        let width = max.wrapping_sub(exp).wrapping_add(1);
        if width > command_window {
            let story = format!(
                "ExpCmdSN {exp} and MaxCmdSN {max} make a window of {} where at most {command_window} is configured",
                width.cast_signed()
            );
            report.add("I2", &story);
        }
        let Some(last) = self.exp_cmd_sn else {
            (self.exp_cmd_sn, self.max_cmd_sn) = (Some(exp), max);
            return;
        };
        if before(exp, last) {
            report.add("I2", &format!("ExpCmdSN went backwards from {last} to {exp}"));
            return;
        }
        if before(max, self.max_cmd_sn) {
            report.add("I2", &format!("MaxCmdSN went backwards from {} to {max}", self.max_cmd_sn));
        }
        let mut next = last;
        while next != exp {
            if !self.received.remove(&next) {
                report.add("I1", &format!("ExpCmdSN {exp} acknowledges CmdSN {next}, which was never received"));
                break;
            }
            next = next.wrapping_add(1);
        }
        self.received.retain(|&number| !before(number, exp));
        (self.exp_cmd_sn, self.max_cmd_sn) = (Some(exp), max);
    }

    fn judge_stat_sn(&mut self, pdu: &RawPdu, report: &mut Report<'_>) {
        let actual = pdu.stat_sn();
        let consumes = pdu.consumes_stat_sn();
        if !consumes && pdu.opcode() == opcode::DATA_IN {
            // Without S the field is reserved.
            return;
        }
        if let Some(expected) = self.stat_sn
            && actual != expected
        {
            let what = if consumes { "" } else { ", though it consumes none" };
            let itt = pdu.initiator_task_tag();
            let task = if itt == NO_TAG { String::new() } else { format!(" of task {itt:#x}") };
            let story =
                format!("operation code {:#04x}{task} has StatSN {actual} instead of {expected}{what}", pdu.opcode());
            report.add("I3", &story);
        }
        self.stat_sn = Some(if consumes { actual.wrapping_add(1) } else { self.stat_sn.unwrap_or(actual) });
    }
}
