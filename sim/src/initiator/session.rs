//! One session in full feature phase, as a well-behaved initiator keeps it: values in, values out, no waiting.
//!
//! [`Session::start`] turns a step into PDUs in the outbox, [`Session::receive`] takes the target's PDUs and checks
//! each, [`Session::expire`] climbs the recovery ladder: command, ABORT TASK, LOGICAL UNIT RESET, session.

mod attention;
mod command;
mod compare;
mod description;
pub(super) mod inventory;
mod management;
mod outcome;
mod tasks;
mod transfer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::codec::{NO_TAG, RawPdu, next_tag, opcode, serial, text};
use super::login::Established;
use super::parameters::Parameters;
use super::plan::{InitiatorPlan, Step, Verb};
use super::shared::{Report, Shared};
use crate::history::{Nexus, OpId};
use attention::Attention;
pub(super) use command::stamped;
use compare::Seen;
use tasks::{Kind, Task, Tasks};

/// The target broke a rule in a way that leaves the connection of no use.
#[derive(Debug)]
pub(super) struct Breach {
    pub(super) oracle: &'static str,
    pub(super) message: String,
}

impl Breach {
    fn new(oracle: &'static str, message: impl Into<String>) -> Self {
        Self { oracle, message: message.into() }
    }
}

/// A command to be sent again: it was refused for the moment.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) at: Duration,
    pub(super) step: Step,
    pub(super) attempt: u32,
}

/// What the driver has to do next with the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Demand {
    /// The recovery ladder is at its end: give the connection up.
    GiveUp,
    /// The logout was answered.
    LoggedOut,
    /// The target asked for a logout.
    LogOut,
}

/// What is left of a session when another connection goes on with it.
#[derive(Debug)]
pub(super) struct Legacy {
    pub(super) tsih: u16,
    parameters: Parameters,
    attentions: BTreeMap<u16, Attention>,
    login_mark: u64,
}

pub(super) struct Session {
    shared: Shared,
    nexus: Nexus,
    plan: InitiatorPlan,
    tsih: u16,
    parameters: Parameters,
    cmd_sn: u32,
    exp_cmd_sn: u32,
    max_cmd_sn: u32,
    exp_stat_sn: u32,
    next_tag: u32,
    tasks: Tasks,
    fenced_tags: BTreeSet<u32>,
    /// The last command that got its status, unless it was immediate: tag, CmdSN, LUN.
    last_ended: Option<(u32, u32, u16)>,
    outbox: VecDeque<Outgoing>,
    attentions: BTreeMap<u16, Attention>,
    /// By LUN: what its last READ or WRITE moved that ended GOOD.
    seen: BTreeMap<u16, Seen>,
    login_mark: u64,
    window_closed_since: Option<Duration>,
    last_received: Duration,
    pub(super) retries: Vec<Retry>,
    pub(super) report: Report,
    pub(super) demand: Option<Demand>,
    /// Bits have flipped on the way to the target.
    pub(super) flipped_out: bool,
}

/// A PDU that waits to be sent.
struct Outgoing {
    pdu: RawPdu,
    cmd_sn: u32,
    /// It is the last one that this R2T asked for.
    closes: Option<u32>,
}

/// Reason of a Reject (RFC 7143, section 11.17.1).
const DATA_DIGEST_ERROR: u8 = 0x02;
/// A window that is closed with nothing in flight must open within this time (oracle I2).
const WINDOW_LIMIT: Duration = Duration::from_secs(20);

impl Session {
    pub(super) fn new(
        shared: Shared,
        nexus: Nexus,
        plan: &InitiatorPlan,
        established: Established,
        legacy: Option<Legacy>,
        (cmd_sn, next_tag): (u32, u32),
        now: Duration,
    ) -> Self {
        let (parameters, attentions, login_mark) = match legacy {
            Some(legacy) => {
                (legacy.parameters.succeeded_by(&established.parameters), legacy.attentions, legacy.login_mark)
            }
            None => (established.parameters, BTreeMap::new(), shared.resets.borrow().mark()),
        };
        // The steps are the driver's; what is needed here are the plan's numbers.
        let plan = InitiatorPlan { steps: Vec::new(), ..plan.clone() };
        Self {
            shared,
            nexus,
            plan,
            tsih: established.tsih,
            parameters,
            cmd_sn,
            exp_cmd_sn: established.exp_cmd_sn,
            max_cmd_sn: established.max_cmd_sn,
            exp_stat_sn: established.exp_stat_sn,
            next_tag,
            tasks: Tasks::default(),
            fenced_tags: BTreeSet::new(),
            last_ended: None,
            outbox: VecDeque::new(),
            attentions,
            seen: BTreeMap::new(),
            login_mark,
            window_closed_since: None,
            last_received: now,
            retries: Vec::new(),
            report: Report::default(),
            demand: None,
            flipped_out: false,
        }
    }

    /// Where CmdSN and tags go on in the next session.
    pub(super) fn numbers(&self) -> (u32, u32) {
        (self.cmd_sn, self.next_tag)
    }

    /// Nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// What goes on when another connection takes the place of this one, whose commands are lost: one of them may have
    /// told of a unit attention.
    pub(super) fn legacy(mut self) -> Legacy {
        for (_, command) in self.tasks.commands() {
            self.attentions.entry(command.spec.lun).or_default().vanished();
        }
        let Self { tsih, parameters, attentions, login_mark, .. } = self;
        Legacy { tsih, parameters, attentions, login_mark }
    }

    /// Commands that have no status: they end with the connection.
    pub(super) fn open_ops(&self) -> Vec<OpId> {
        self.tasks.commands().map(|(_, command)| command.op).collect()
    }

    /// Starts `step` if there is room for it now. Steps that concern the connection as a whole are the driver's.
    pub(super) fn start(&mut self, step: &Step, attempt: u32, now: Duration) -> bool {
        match step.verb {
            Verb::Ping { bytes } => self.window_allows(step, now) && self.ping(bytes, step.immediate, now),
            Verb::SendTargets { named } => self.window_allows(step, now) && self.send_targets(named, step, now),
            Verb::AbortTask { .. }
            | Verb::AbortTaskSet { .. }
            | Verb::ClearTaskSet { .. }
            | Verb::LogicalUnitReset { .. }
            | Verb::TargetWarmReset
            | Verb::TargetColdReset => self.start_management(step, now),
            Verb::Logout { connection, .. } => {
                let (tag, limit) = (self.tag(), self.plan.timeouts.reset_ms);
                let pdu = RawPdu::logout(u8::from(connection), tag, 0);
                // It does not wait for room in the window.
                let immediate = !serial::at_or_before(self.cmd_sn, self.max_cmd_sn);
                self.issue(pdu, step.immediate || immediate, tag, Kind::Logout, Some(limit), now);
                true
            }
            _ => self.window_allows(step, now) && self.start_command(step, attempt, now),
        }
    }

    /// Takes a PDU from the target.
    pub(super) fn receive(&mut self, pdu: RawPdu, now: Duration) -> Result<(), Breach> {
        self.last_received = now;
        self.check_framing(&pdu)?;
        self.check_numbers(&pdu)?;
        match pdu.opcode() {
            opcode::NOP_IN => self.receive_nop(pdu),
            opcode::SCSI_RESPONSE => self.receive_response(&pdu, now),
            opcode::TASK_MANAGEMENT_RESPONSE => self.receive_management(&pdu, now),
            opcode::TEXT_RESPONSE => self.receive_text(&pdu, now),
            opcode::DATA_IN => self.receive_data_in(pdu, now),
            opcode::LOGOUT_RESPONSE => self.receive_logout(&pdu),
            opcode::R2T => self.receive_r2t(&pdu),
            opcode::ASYNC_MESSAGE => {
                if pdu.async_event() == 1 {
                    self.demand = Some(Demand::LogOut);
                }
                Ok(())
            }
            opcode::REJECT => self.receive_reject(&pdu, now),
            code => Err(Breach::new("I9", format!("the target sent operation code {code:#04x}"))),
        }
    }

    /// The bytes to send next, if there are any.
    pub(super) fn next_batch(&mut self) -> Option<Vec<u8>> {
        let mut batch = Vec::new();
        while let Some(outgoing) = self.outbox.pop_front() {
            let tag = outgoing.pdu.initiator_task_tag();
            if let (Some(transfer_tag), Some(command)) = (outgoing.closes, self.tasks.command_mut(tag)) {
                command.open_r2ts.retain(|&open| open != transfer_tag);
            }
            let pdu = outgoing.pdu.sequenced(outgoing.cmd_sn, self.exp_stat_sn);
            pdu.encode_behind(&mut batch, self.parameters.digests);
            if batch.len() >= self.plan.batch_bytes as usize {
                break;
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn next_deadline(&self) -> Duration {
        if let Some(deadline) = self.tasks.logout() {
            return deadline.unwrap_or(Duration::MAX);
        }
        let window = self.window_closed_since.map(|since| since + WINDOW_LIMIT);
        [self.tasks.first_deadline(), window, self.ping_at()].into_iter().flatten().min().unwrap_or(Duration::MAX)
    }

    /// Does what is due by `now`.
    pub(super) fn expire(&mut self, now: Duration) -> Result<(), Breach> {
        if let Some(deadline) = self.tasks.logout() {
            // Nothing follows a logout.
            if deadline.is_some_and(|at| at <= now) {
                self.demand = Some(Demand::GiveUp);
            }
            return Ok(());
        }
        if let Some(since) = self.window_closed_since.filter(|_| self.tasks.is_empty()) {
            if now >= since + WINDOW_LIMIT {
                let (first, last) = (self.exp_cmd_sn, self.max_cmd_sn);
                return Err(Breach::new(
                    "I2",
                    format!("the window {first}..={last} stays closed, nothing is in flight"),
                ));
            }
        } else {
            self.window_closed_since = None;
        }
        for tag in self.tasks.due(now) {
            self.climb(tag, now);
        }
        if self.ping_at().is_some_and(|at| at <= now) {
            self.ping(16, true, now);
        }
        Ok(())
    }

    /// The next step of the ladder for a task that got no answer.
    fn climb(&mut self, tag: u32, now: Duration) {
        self.tasks.set_deadline(tag, None);
        let Some(task) = self.tasks.get(tag) else { return };
        match &task.kind {
            Kind::Command(_) => self.abort_task(tag, false, now),
            Kind::Management(management) => match management.next_rung() {
                Some(lun) => self.reset_logical_unit(lun, now),
                None => self.demand = Some(Demand::GiveUp),
            },
            Kind::Ping { .. } | Kind::Text { .. } | Kind::Logout => self.demand = Some(Demand::GiveUp),
        }
    }

    /// When to ping: the connection is quiet, and no ping is under way.
    fn ping_at(&self) -> Option<Duration> {
        let interval = self.plan.timeouts.ping_interval_ms;
        (interval != 0 && !self.tasks.is_pinging()).then(|| self.last_received + Duration::from_millis(interval))
    }

    /// Whether the command window has room, or the step does not need it.
    fn window_allows(&mut self, step: &Step, now: Duration) -> bool {
        if step.immediate || serial::at_or_before(self.cmd_sn, self.max_cmd_sn) {
            self.window_closed_since = None;
            return true;
        }
        if self.tasks.is_empty() {
            self.window_closed_since.get_or_insert(now);
        }
        false
    }

    fn tag(&mut self) -> u32 {
        let tag = self.next_tag;
        self.next_tag = next_tag(tag);
        tag
    }

    /// Numbers `pdu`, puts it into the outbox and waits for its answer.
    fn issue(&mut self, pdu: RawPdu, immediate: bool, tag: u32, kind: Kind, limit_ms: Option<u64>, now: Duration) {
        let cmd_sn = self.cmd_sn;
        let pdu = if immediate { pdu.immediate() } else { pdu };
        if !immediate {
            self.cmd_sn = self.cmd_sn.wrapping_add(1);
        }
        self.outbox.push_back(Outgoing { pdu, cmd_sn, closes: None });
        let deadline = limit_ms.map(|limit| now + Duration::from_millis(limit));
        self.tasks.insert(tag, Task::new(kind, cmd_sn, immediate, deadline));
    }

    fn ping(&mut self, bytes: u32, immediate: bool, now: Duration) -> bool {
        let limit = bytes.min(self.parameters.target_max_recv).min(self.parameters.own_max_recv);
        let tag = self.tag();
        let data: Vec<u8> = (0..limit).map(|at| (at ^ tag) as u8).collect();
        let pdu = RawPdu::nop_out(0, tag, NO_TAG, data.clone());
        self.issue(pdu, immediate, tag, Kind::Ping { data }, Some(self.plan.timeouts.ping_ms), now);
        true
    }

    fn send_targets(&mut self, named: bool, step: &Step, now: Duration) -> bool {
        // One text negotiation at a time (RFC 7143, 11.10.4).
        if self.tasks.has_text() {
            return false;
        }
        let value = if named { self.shared.target.to_string() } else { String::new() };
        let tag = self.tag();
        let pdu = RawPdu::text(0x80, tag, NO_TAG, text::encode(&[("SendTargets".to_owned(), value)]));
        let kind = Kind::Text { collected: Vec::new() };
        self.issue(pdu, step.immediate, tag, kind, Some(self.plan.timeouts.reset_ms), now);
        true
    }

    fn receive_nop(&mut self, pdu: RawPdu) -> Result<(), Breach> {
        let tag = pdu.initiator_task_tag();
        if tag == NO_TAG {
            if pdu.target_transfer_tag() != NO_TAG {
                let answer = RawPdu::nop_out(pdu.lun_field(), NO_TAG, pdu.target_transfer_tag(), Vec::new());
                self.outbox.push_back(Outgoing { pdu: answer.immediate(), cmd_sn: self.cmd_sn, closes: None });
            }
            return Ok(());
        }
        let Some(Task { kind: Kind::Ping { data }, .. }) = self.tasks.get(tag) else {
            return Err(self.stranger(&pdu));
        };
        if *data != pdu.data {
            return Err(Breach::new(
                "I8",
                format!("the NOP-In for tag {tag:#x} does not echo the data of the NOP-Out"),
            ));
        }
        if pdu.target_transfer_tag() != NO_TAG {
            return Err(Breach::new("I8", format!("the NOP-In for tag {tag:#x} carries a target transfer tag")));
        }
        self.tasks.remove(tag);
        Ok(())
    }

    fn receive_text(&mut self, pdu: &RawPdu, now: Duration) -> Result<(), Breach> {
        let tag = pdu.initiator_task_tag();
        let Some(Kind::Text { collected }) = self.tasks.kind_mut(tag) else {
            return Err(self.stranger(pdu));
        };
        collected.extend_from_slice(&pdu.data);
        if !pdu.is_final() {
            if pdu.target_transfer_tag() == NO_TAG {
                return Err(Breach::new("I8", "a text response without F has no target transfer tag"));
            }
            self.tasks.set_deadline(tag, Some(now + Duration::from_millis(self.plan.timeouts.reset_ms)));
            let mut more = RawPdu::text(0x80, tag, pdu.target_transfer_tag(), Vec::new());
            more.bhs[8..16].copy_from_slice(&pdu.lun_field().to_be_bytes());
            self.outbox.push_back(Outgoing { pdu: more.immediate(), cmd_sn: self.cmd_sn, closes: None });
            return Ok(());
        }
        let pairs = text::decode(collected).map_err(|message| Breach::new("I9", message))?;
        self.tasks.remove(tag);
        if text::value(&pairs, "TargetName") != Some(&self.shared.target) {
            self.shared.complain("I9", format!("SendTargets was answered {pairs:?}"));
        }
        Ok(())
    }

    fn receive_logout(&mut self, pdu: &RawPdu) -> Result<(), Breach> {
        let tag = pdu.initiator_task_tag();
        let Some(Task { kind: Kind::Logout, .. }) = self.tasks.get(tag) else { return Err(self.stranger(pdu)) };
        if pdu.response() != 0 {
            return Err(Breach::new("I9", format!("logout was answered {}", pdu.response())));
        }
        self.tasks.remove(tag);
        self.demand = Some(Demand::LoggedOut);
        Ok(())
    }

    fn receive_reject(&mut self, pdu: &RawPdu, now: Duration) -> Result<(), Breach> {
        let reason = pdu.response();
        let tag = pdu.data.get(16..20).map(|tag| u32::from_be_bytes([tag[0], tag[1], tag[2], tag[3]]));
        let task = tag.and_then(|tag| self.tasks.get(tag).map(|task| (tag, task)));
        match task {
            // At error recovery level 0 there is no other way on (RFC 7143, section 7.1.4).
            _ if reason == DATA_DIGEST_ERROR && self.flipped_out => {
                self.demand = Some(Demand::GiveUp);
                Ok(())
            }
            // Too many immediate commands at a time (RFC 7143, 11.17.1).
            Some((tag, task)) if reason == 0x06 && task.immediate => {
                self.turned_away(tag, now);
                Ok(())
            }
            _ => Err(Breach::new("I9", format!("a good PDU was rejected with reason {reason:#04x}, tag {tag:x?}"))),
        }
    }

    /// An immediate request was rejected for want of room: it never happened.
    fn turned_away(&mut self, tag: u32, now: Duration) {
        match self.tasks.get(tag).map(|task| &task.kind) {
            Some(Kind::Command(_)) => self.refuse(tag, 0xff, now),
            Some(Kind::Management(_)) => self.management_turned_away(tag, now),
            Some(Kind::Logout) => self.demand = Some(Demand::GiveUp),
            _ => drop(self.tasks.remove(tag)),
        }
    }

    fn check_framing(&self, pdu: &RawPdu) -> Result<(), Breach> {
        let code = pdu.opcode();
        if pdu.pad.iter().any(|&byte| byte != 0) {
            return Err(Breach::new("B4", format!("padding of a PDU with operation code {code:#04x} is not zero")));
        }
        if pdu.has_wrong_digest() {
            return Err(Breach::new("I6", format!("digest of a PDU with operation code {code:#04x} is wrong")));
        }
        Ok(())
    }

    fn check_numbers(&mut self, pdu: &RawPdu) -> Result<(), Breach> {
        let data_in_without_status = pdu.opcode() == opcode::DATA_IN && !pdu.has_status();
        let (actual, expected) = (pdu.stat_sn(), self.exp_stat_sn);
        if !data_in_without_status && actual != expected {
            let code = pdu.opcode();
            return Err(Breach::new("I3", format!("StatSN {actual}, expected {expected}, operation code {code:#04x}")));
        }
        if pdu.consumes_stat_sn() {
            self.exp_stat_sn = expected.wrapping_add(1);
        }
        let (first, last) = (pdu.exp_cmd_sn(), pdu.max_cmd_sn());
        let wrong = if serial::before(first, self.exp_cmd_sn) {
            "ExpCmdSN went back"
        } else if serial::before(self.cmd_sn, first) {
            "ExpCmdSN is past the next command"
        } else if serial::before(last, self.max_cmd_sn) {
            "MaxCmdSN went back"
        } else if serial::before(last, first.wrapping_sub(1)) {
            "MaxCmdSN is before ExpCmdSN - 1"
        } else {
            (self.exp_cmd_sn, self.max_cmd_sn) = (first, last);
            return Ok(());
        };
        let before = (self.exp_cmd_sn, self.max_cmd_sn, self.cmd_sn);
        Err(Breach::new("I2", format!("{wrong}: {first}..={last} after {before:?} (ExpCmdSN, MaxCmdSN, next CmdSN)")))
    }

    /// An answer to a task that has ended or never was.
    fn stranger(&self, pdu: &RawPdu) -> Breach {
        let (code, tag) = (pdu.opcode(), pdu.initiator_task_tag());
        if self.fenced_tags.contains(&tag) {
            Breach::new("T5", format!("operation code {code:#04x} for tag {tag:#x} after its abort was confirmed"))
        } else if self.tasks.get(tag).is_some() {
            Breach::new("I8", format!("operation code {code:#04x} does not answer what tag {tag:#x} asked"))
        } else {
            Breach::new("T7", format!("operation code {code:#04x} for tag {tag:#x}, which has ended or never was"))
        }
    }
}
