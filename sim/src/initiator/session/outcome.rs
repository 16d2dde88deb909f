//! A command ends: its status goes into the history, and is held against what it must come to (oracle T11).

use std::time::Duration;

use super::super::codec::RawPdu;
use super::super::plan::{Attribute, Direction, Step, Verb};
use super::super::shared::parse_sense;
use super::command::{Command, Expect};
use super::compare::Seen;
use super::{Breach, Kind, Retry, Session, Task, inventory};
use crate::history::{Action, Event, Outcome, Sector, Unit, stamp};

/// SAM-5, 5.3.1.
mod status {
    pub(super) const GOOD: u8 = 0x00;
    pub(super) const CHECK_CONDITION: u8 = 0x02;
    pub(super) const BUSY: u8 = 0x08;
    pub(super) const TASK_SET_FULL: u8 = 0x28;
    pub(super) const TASK_ABORTED: u8 = 0x40;
    /// Not a status: a Reject PDU.
    pub(super) const REJECTED: u8 = 0xff;
}

/// Sense keys (SPC-4, 4.5.6).
mod sense_key {
    pub(super) const NOT_READY: u8 = 0x2;
    pub(super) const MEDIUM_ERROR: u8 = 0x3;
    pub(super) const HARDWARE_ERROR: u8 = 0x4;
    pub(super) const ILLEGAL_REQUEST: u8 = 0x5;
    pub(super) const UNIT_ATTENTION: u8 = 0x6;
    pub(super) const DATA_PROTECT: u8 = 0x7;
    pub(super) const ABORTED_COMMAND: u8 = 0xb;
}

/// LOGICAL UNIT NOT READY, INITIALIZING COMMAND REQUIRED: it was stopped.
const STOPPED: (u8, u16) = (sense_key::NOT_READY, 0x0402);
const WRITE_PROTECTED: (u8, u16) = (sense_key::DATA_PROTECT, 0x2700);
/// MISCOMPARE DURING VERIFY OPERATION.
const MISCOMPARE: (u8, u16) = (0xe, 0x1d00);
/// Not enough data (RFC 7143, section 11.4.7.2), which the network can cause, too.
const DATA_CAME_TOO_LATE: (u8, u16) = (sense_key::ABORTED_COMMAND, 0x0c0d);
/// Protocol Service CRC error (the same section): the data came with a wrong digest.
const DATA_CAME_WRONG: (u8, u16) = (sense_key::ABORTED_COMMAND, 0x4705);

/// Write protected, in the device-specific parameter of mode data (SBC-3, section 6.4.1).
const WP: u8 = 0x80;

/// A command that was refused for the moment is sent this many times.
const ATTEMPTS_MAX: u32 = 8;

impl Session {
    pub(super) fn receive_response(&mut self, pdu: &RawPdu, now: Duration) -> Result<(), Breach> {
        let tag = pdu.initiator_task_tag();
        let Some(command) = self.tasks.command(tag) else { return Err(self.stranger(pdu)) };
        if pdu.response() != 0 {
            return Err(Breach::new("I9", format!("SCSI response {} (target failure), tag {tag:#x}", pdu.response())));
        }
        let expected = match command.spec.direction {
            Some(Direction::In) => [command.data_in_pdus, command.data_in_pdus],
            // 11.4.8 can be read in two ways for commands that write.
            Some(Direction::Out) => [command.r2ts, 0],
            None => [0, 0],
        };
        if !expected.contains(&pdu.exp_data_sn()) {
            let (actual, expected) = (pdu.exp_data_sn(), expected[0]);
            self.shared
                .complain("I4", format!("ExpDataSN {actual} in the response for tag {tag:#x}, expected {expected}"));
        }
        if command.burst_bytes != 0 {
            return Err(Breach::new("I4", format!("the last Data-In before the response for tag {tag:#x} has no F")));
        }
        self.complete(tag, pdu, now)
    }

    /// The command with `tag` ends with the status in `pdu`, a SCSI Response or a Data-In with S.
    pub(super) fn complete(&mut self, tag: u32, pdu: &RawPdu, now: Duration) -> Result<(), Breach> {
        let Some(task) = self.tasks.remove(tag) else { return Err(self.stranger(pdu)) };
        let Task { kind: Kind::Command(command), cmd_sn, immediate, .. } = task else { return Err(self.stranger(pdu)) };
        if !immediate {
            self.last_ended = Some((tag, cmd_sn, command.spec.lun));
        }
        let unit = self.shared.unit(command.spec.lun);
        if let Err(message) = check_residual(&command, pdu) {
            self.complain("T11", tag, &command, &message);
        }
        match pdu.status() {
            status::GOOD => self.complete_good(tag, &command, unit.as_ref()),
            status::CHECK_CONDITION => self.complete_check(tag, command, pdu, now)?,
            status::BUSY | status::TASK_SET_FULL => self.put_off(command, pdu.status(), now),
            status::TASK_ABORTED => self.complete_aborted(tag, &command),
            other => {
                let outcome = Outcome::Refused { status: other };
                self.shared.record(Event::Return { op: command.op, outcome });
                self.complain("T11", tag, &command, &format!("status {other:#04x} has no cause"));
            }
        }
        Ok(())
    }

    /// The command with `tag` was rejected, or answered with a status that asks to try again later.
    pub(super) fn refuse(&mut self, tag: u32, status: u8, now: Duration) {
        if let Some(Task { kind: Kind::Command(command), .. }) = self.tasks.remove(tag) {
            self.put_off(command, status, now);
        }
    }

    fn put_off(&mut self, command: Box<Command>, status: u8, now: Duration) {
        self.shared.record(Event::Return { op: command.op, outcome: Outcome::Refused { status } });
        let wait = if status == status::REJECTED { Duration::from_millis(10) } else { command.patience() };
        self.retry(*command, now + wait);
    }

    fn retry(&mut self, command: Command, at: Duration) {
        if command.attempt < ATTEMPTS_MAX {
            self.retries.push(Retry { at, step: command.step, attempt: command.attempt + 1 });
        }
    }

    fn complete_good(&mut self, tag: u32, command: &Command, unit: Option<&Unit>) {
        self.report.good += 1;
        let spec = &command.spec;
        let mut sectors = Vec::new();
        if let (Expect::Blocks { lba }, Some(unit)) = (spec.expect, unit) {
            sectors = read_stamps(&command.received, self.shared.seed, unit, lba);
            if unit.nullio && sectors.iter().any(|sector| *sector != Sector::Zero) {
                self.complain("B11", tag, command, "a read of nullio is not zeros");
            }
        }
        if let Some(comparison) = &spec.comparison {
            sectors = comparison.equal();
        }
        self.remember(command, &sectors, unit);
        self.shared.record(Event::Return { op: command.op, outcome: Outcome::Good { sectors } });
        if spec.direction == Some(Direction::Out) && !matches!(spec.expect, Expect::Illegal(_)) {
            let due = u64::from(spec.expected_bytes).min(spec.cdb_bytes);
            if u64::from(command.asked_bytes) < due {
                self.complain("I5", tag, command, "GOOD before all data were asked for");
            }
        }
        if let Err(message) = check_parameters(command, unit, &self.shared) {
            self.complain("T11", tag, command, &message);
        }
        if let Err(message) = self.check_description(command, unit) {
            self.complain("T12", tag, command, &message);
        }
        self.note_attention(tag, command, unit);
    }

    fn complete_check(&mut self, tag: u32, command: Box<Command>, pdu: &RawPdu, now: Duration) -> Result<(), Breach> {
        let Some((key, code)) = pdu.sense().and_then(parse_sense) else {
            return Err(Breach::new(
                "T11",
                format!("CHECK CONDITION without sense data, tag {tag:#x}: {:x?}", pdu.data),
            ));
        };
        let mut outcome = Outcome::Check { key, code };
        let mut compared = false;
        if let Some(comparison) = command.spec.comparison.as_ref().filter(|_| (key, code) == MISCOMPARE) {
            compared = true;
            match comparison.unequal(pdu.sense().unwrap_or_default()) {
                Ok(unequal) => outcome = unequal,
                Err(message) => self.complain("T11", tag, &command, &message),
            }
        }
        self.shared.record(Event::Return { op: command.op, outcome });
        if compared {
            return Ok(());
        }
        if key == sense_key::UNIT_ATTENTION {
            self.report_attention(tag, &command, code);
            self.retry(*command, now);
            return Ok(());
        }
        if let Some(judged) = self.check_refusal(&command, (key, code)) {
            if let Err(message) = judged {
                self.complain("T12", tag, &command, &message);
            }
            return Ok(());
        }
        let medium = matches!(command.spec.expect, Expect::Blocks { .. } | Expect::Good | Expect::Compared);
        if (medium || command.spec.expect == Expect::Protected) && (key, code) == STOPPED {
            self.start_unit(&command, now);
            let wait = command.patience();
            self.retry(*command, now + wait);
            return Ok(());
        }
        let fits = match command.spec.expect {
            // Whatever it asks for: it is judged when its data are there.
            _ if (key, code) == DATA_CAME_TOO_LATE => command.can_be_late(now, self.shared.shortest_stall),
            _ if (key, code) == DATA_CAME_WRONG => self.flipped_out && command.spec.direction == Some(Direction::Out),
            Expect::Illegal(expected) => key == sense_key::ILLEGAL_REQUEST && code == expected,
            Expect::Protected => (key, code) == WRITE_PROTECTED,
            Expect::Compared if key == sense_key::DATA_PROTECT => false,
            _ if key == sense_key::DATA_PROTECT => command.spec.direction == Some(Direction::Out) || code == 0x2707,
            _ if medium => {
                matches!(key, sense_key::NOT_READY | sense_key::MEDIUM_ERROR | sense_key::HARDWARE_ERROR)
            }
            _ => false,
        };
        if !fits {
            self.complain("T11", tag, &command, &format!("CHECK CONDITION {key:x}/{code:04x} has no cause"));
        }
        Ok(())
    }

    /// Keeps in mind what a READ or WRITE moved.
    fn remember(&mut self, command: &Command, sectors: &[Sector], unit: Option<&Unit>) {
        let (Some(unit), lun) = (unit, command.spec.lun) else { return };
        match (&command.spec.action, command.spec.expect) {
            (Action::Read { lba, .. }, Expect::Blocks { .. }) => drop(self.seen.insert(lun, Seen::read(*lba, sectors))),
            (Action::Write { lba, blocks, .. }, Expect::Good) => {
                let sectors = u64::from(*blocks) * u64::from(unit.block_bytes) / stamp::SECTOR_BYTES as u64;
                self.seen.insert(lun, Seen::written(*lba, sectors, command.op));
            }
            _ => {}
        }
    }

    /// The logical unit was stopped, by whomever: starts it, unless that is under way.
    fn start_unit(&mut self, command: &Command, now: Duration) {
        let lun = command.spec.lun;
        let starts = |step: &Step| matches!(step.verb, Verb::StartStop { lun: its, start: true, .. } if its == lun);
        let under_way = self.tasks.commands().any(|(_, command)| starts(&command.step));
        if under_way || self.retries.iter().any(|retry| starts(&retry.step)) {
            return;
        }
        let verb = Verb::StartStop { lun, start: true, early: false, no_flush: false };
        let step = Step { id: command.step.id, attribute: Attribute::Simple, immediate: false, flat: false, verb };
        self.retries.push(Retry { at: now, step, attempt: 0 });
    }

    /// TASK ABORTED: the command may have had part of its effect, and has no more.
    fn complete_aborted(&mut self, tag: u32, command: &Command) {
        self.shared.record(Event::Fence { op: command.op });
        self.report.fenced += 1;
        if self.shared.resets.borrow().since(command.mark, command.spec.lun) == 0 {
            self.complain("T5", tag, command, "TASK ABORTED, and nobody reset the logical unit");
        }
        self.attentions.entry(command.spec.lun).or_default().vanished();
    }

    fn report_attention(&mut self, tag: u32, command: &Command, code: u16) {
        let lun = command.spec.lun;
        let exempt = matches!(command.spec.expect, Expect::Inquiry { .. } | Expect::Luns | Expect::Sense { .. });
        let resets = self.shared.resets.borrow().since(self.login_mark, lun);
        let result = if code >> 8 != 0x29 {
            Err(format!("unit attention {code:04x} has no cause"))
        } else if exempt {
            Err(format!("unit attention {code:04x} reported by a command that must not"))
        } else {
            self.attentions.entry(lun).or_default().reported(resets)
        };
        if let Err(message) = result {
            self.complain("T8", tag, command, &message);
        }
    }

    /// A command ended GOOD: it had no unit attention to report.
    fn note_attention(&mut self, tag: u32, command: &Command, unit: Option<&Unit>) {
        let lun = command.spec.lun;
        if unit.is_none() || matches!(command.spec.expect, Expect::Inquiry { .. } | Expect::Luns) {
            return;
        }
        let attention = self.attentions.entry(lun).or_default();
        let in_sense = matches!(command.spec.expect, Expect::Sense { .. })
            && parse_sense(&command.received).is_some_and(|(key, _)| key == sense_key::UNIT_ATTENTION);
        let result = if in_sense {
            let resets = self.shared.resets.borrow().since(self.login_mark, lun);
            attention.reported(resets)
        } else {
            attention.passed(self.tasks.commands().any(|(_, other)| other.spec.lun == lun))
        };
        if let Err(message) = result {
            self.complain("T8", tag, command, &message);
        }
    }

    fn complain(&self, oracle: &'static str, tag: u32, command: &Command, message: &str) {
        let (op, lun, cdb) = (command.op.0, command.spec.lun, command.spec.cdb);
        let (initiator, login) = (self.nexus.initiator, self.nexus.login);
        self.shared.complain(
            oracle,
            format!(
                "{message} (initiator {initiator}, login {login}, op {op}, tag {tag:#x}, LUN {lun}, CDB {cdb:02x?})"
            ),
        );
    }
}

impl Command {
    /// How long to wait before it is sent again: four times as long each time, so that nobody hammers at a target that is
    /// busy for long.
    fn patience(&self) -> Duration {
        Duration::from_millis(1 << (2 * self.attempt).min(10))
    }

    /// The target may have waited for its data for as long as `stall`.
    fn can_be_late(&self, now: Duration, stall: Duration) -> bool {
        self.spec.direction == Some(Direction::Out) && self.started + stall <= now
    }
}

/// Residual count and its flags (RFC 7143, 11.4.5) against what was transferred and what the CDB asks for.
fn check_residual(command: &Command, pdu: &RawPdu) -> Result<(), String> {
    let spec = &command.spec;
    let expected = u64::from(spec.expected_bytes);
    let received = command.received.len() as u64;
    let actual = (pdu.residual_overflow(), pdu.residual_underflow(), u64::from(pdu.residual()));
    let good = pdu.status() == status::GOOD;
    let exact = match spec.direction {
        _ if !good => None,
        Some(Direction::In) if !matches!(spec.expect, Expect::Blocks { .. }) => {
            Some((false, received < expected, expected - received))
        }
        _ if spec.cdb_bytes > expected => Some((true, false, spec.cdb_bytes - expected)),
        _ => Some((false, spec.cdb_bytes < expected, expected - spec.cdb_bytes)),
    };
    let fits = match (exact, actual) {
        (Some(exact), actual) => exact == actual,
        (None, (false, false, residual)) => residual == 0,
        (None, (false, true, residual)) if spec.direction == Some(Direction::In) => residual == expected - received,
        (None, (false, true, residual)) => residual <= expected,
        (None, (true, false, residual)) => spec.cdb_bytes.checked_sub(expected) == Some(residual),
        (None, (true, true, _)) => false,
    };
    if good && matches!(spec.expect, Expect::Blocks { .. }) && received != expected.min(spec.cdb_bytes) {
        return Err(format!("{received} bytes of data came, expected {}", expected.min(spec.cdb_bytes)));
    }
    if fits {
        return Ok(());
    }
    let cdb_bytes = spec.cdb_bytes;
    Err(format!(
        "residual (O, U, count) {actual:?} with status {:#04x}; expected length {expected}, CDB asks for {cdb_bytes}, received {received}",
        pdu.status()
    ))
}

/// What each whole sector of `data` holds, which begins at block `lba`.
fn read_stamps(data: &[u8], seed: u64, unit: &Unit, lba: u64) -> Vec<Sector> {
    let first = lba * (u64::from(unit.block_bytes) / stamp::SECTOR_BYTES as u64);
    let sectors = data.chunks_exact(stamp::SECTOR_BYTES).enumerate();
    sectors.map(|(number, sector)| stamp::read(sector, seed, unit.lun, first + number as u64)).collect()
}

/// Parameter data against the logical unit.
fn check_parameters(command: &Command, unit: Option<&Unit>, shared: &super::Shared) -> Result<(), String> {
    let (spec, data) = (&command.spec, command.received.as_slice());
    let complete = |length: usize| length.min(spec.expected_bytes as usize) == data.len();
    let kept = match spec.expect {
        Expect::Good | Expect::Blocks { .. } | Expect::Compared => true,
        Expect::Protected => return Err("GOOD, and the logical unit is read-only".to_owned()),
        // See `description`.
        Expect::Inquiry { .. } | Expect::TooLong => true,
        Expect::Illegal(code) => return Err(format!("GOOD, expected ILLEGAL REQUEST {code:04x}")),
        Expect::Capacity { sixteen } => unit.is_none_or(|unit| data.starts_with(&capacity(unit, sixteen))),
        Expect::Modes { ten } => {
            let total = match (ten, data) {
                (true, [high, low, ..]) => 2 + (usize::from(*high) << 8 | usize::from(*low)),
                (false, [length, ..]) => 1 + usize::from(*length),
                _ => 0,
            };
            let pages = match (ten, data) {
                (true, [_, _, _, _, _, _, high, low, rest @ ..]) => {
                    rest.get(usize::from(*high) << 8 | usize::from(*low)..)
                }
                (false, [_, _, _, descriptors, rest @ ..]) => rest.get(usize::from(*descriptors)..),
                _ => None,
            };
            let protected = data.get(if ten { 3 } else { 2 }).map(|parameter| parameter & WP != 0);
            let told = protected.is_none_or(|told| unit.is_none_or(|unit| unit.read_only == told));
            told && (data.len() < 2 || complete(total) && (data.len() < total || pages.is_some_and(are_mode_pages)))
        }
        Expect::Sense { descriptor } => {
            let format = if descriptor { 0x72 } else { 0x70 };
            data.first() == Some(&format) && parse_sense(data).is_some()
        }
        Expect::Commands { asked, timeouts } => asked.fits(data, timeouts, spec.expected_bytes as usize),
        Expect::Functions { extended } => inventory::functions_fit(data, extended, spec.expected_bytes as usize),
        Expect::Luns => {
            let mut luns: Vec<u16> = shared.history.borrow().units.iter().map(|unit| unit.lun).collect();
            luns.sort_unstable();
            let mut listed: Vec<u16> = data
                .get(8..)
                .unwrap_or_default()
                .chunks_exact(8)
                .map(|lun| u16::from_be_bytes([lun[0], lun[1]]) & 0x3fff)
                .collect();
            listed.sort_unstable();
            let whole = 8 + 8 * luns.len();
            let told = data.first_chunk().map(|length| u32::from_be_bytes(*length) as usize);
            complete(whole) && told.is_none_or(|told| told == whole - 8) && (data.len() < whole || listed == luns)
        }
    };
    if kept { Ok(()) } else { Err(format!("the parameter data is wrong: {data:02x?}")) }
}

/// Mode pages follow one another in ascending order, each as long as it says, to the end (SPC-4, 6.13 and 7.5).
fn are_mode_pages(mut rest: &[u8]) -> bool {
    let mut last = 0;
    while let [code, length, body @ ..] = rest {
        let Some(next) = body.get(usize::from(*length)..).filter(|_| code & 0x3f > last) else { return false };
        (last, rest) = (code & 0x3f, next);
    }
    rest.is_empty() && last > 0
}

/// The first bytes of READ CAPACITY data.
fn capacity(unit: &Unit, sixteen: bool) -> Vec<u8> {
    let last = unit.blocks - 1;
    let mut data = if sixteen {
        last.to_be_bytes().to_vec()
    } else {
        u32::try_from(last).unwrap_or(u32::MAX).to_be_bytes().to_vec()
    };
    data.extend_from_slice(&unit.block_bytes.to_be_bytes());
    data
}
