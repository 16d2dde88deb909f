//! A step of the plan becomes a command: CDB, expected length, data, and what may come of it.

use std::time::Duration;

use super::super::cdb;
use super::super::codec::{NO_TAG, RawPdu};
use super::super::plan::{CdbSize, Direction, Step, Verb};
use super::compare::{Comparison, Seen};
use super::inventory::Asked;
use super::{Kind, Outgoing, Session};
use crate::history::{Action, OpId, Unit, stamp};

/// The mode pages of a logical unit; 3Fh asks for all of them.
const MODE_PAGES: [u8; 5] = [0x02, 0x08, 0x0a, 0x1c, 0x3f];
const INVALID_FIELD_IN_CDB: u16 = 0x2400;

/// A command in flight.
pub(super) struct Command {
    pub(super) op: OpId,
    pub(super) step: Step,
    pub(super) attempt: u32,
    /// When it was put into the outbox.
    pub(super) started: Duration,
    pub(super) spec: Spec,
    /// How its logical unit is addressed.
    pub(super) lun_field: u64,
    /// Data-In so far.
    pub(super) received: Vec<u8>,
    /// Data-In PDUs so far.
    pub(super) data_in_pdus: u32,
    /// Bytes of the Data-In burst that is open.
    pub(super) burst_bytes: u32,
    /// R2Ts so far.
    pub(super) r2ts: u32,
    /// Bytes sent without being asked for, or asked for so far.
    pub(super) asked_bytes: u32,
    /// Transfer tags of the R2Ts whose data are not all sent.
    pub(super) open_r2ts: Vec<u32>,
    /// For [`super::super::shared::Resets::since`].
    pub(super) mark: u64,
}

/// What a command is, on the wire and for the checks.
pub(super) struct Spec {
    pub(super) lun: u16,
    pub(super) cdb: [u8; 16],
    pub(super) direction: Option<Direction>,
    /// Expected Data Transfer Length in bytes.
    pub(super) expected_bytes: u32,
    /// Bytes that the CDB asks for; for parameter data the allocation length.
    pub(super) cdb_bytes: u64,
    pub(super) data_out: Vec<u8>,
    pub(super) action: Action,
    pub(super) expect: Expect,
    /// What a VERIFY compares.
    pub(super) comparison: Option<Comparison>,
}

/// What a command must come to, when it is not refused for a reason of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expect {
    /// GOOD without data to look at.
    Good,
    /// CHECK CONDITION, DATA PROTECT, WRITE PROTECTED.
    Protected,
    /// GOOD with stamped blocks from this one on.
    Blocks {
        lba: u64,
    },
    /// CHECK CONDITION, INVALID FIELD IN CDB: more than MAXIMUM TRANSFER LENGTH.
    TooLong,
    /// GOOD with parameter data.
    Inquiry {
        page: Option<u8>,
    },
    Capacity {
        sixteen: bool,
    },
    Modes {
        ten: bool,
    },
    Sense {
        descriptor: bool,
    },
    Luns,
    Commands {
        asked: Asked,
        timeouts: bool,
    },
    Functions {
        extended: bool,
    },
    /// GOOD when the blocks are what was sent, else MISCOMPARE.
    Compared,
    /// CHECK CONDITION, ILLEGAL REQUEST with this additional sense code.
    Illegal(u16),
}

impl Session {
    pub(super) fn start_command(&mut self, step: &Step, attempt: u32, now: Duration) -> bool {
        let Some(lun) = lun_of(&step.verb) else { return true };
        if self.tasks.command_count() >= self.plan.queue_depth as usize || self.is_held(lun) {
            return false;
        }
        let op = self.shared.op();
        let unit = self.shared.unit(lun);
        let mut spec = Spec::new(&step.verb, unit.as_ref(), self.seen.get(&lun), op, self.shared.seed);
        if spec.moves_blocks() && self.is_too_long(lun, spec.cdb_bytes, unit.as_ref()) {
            spec.expect = Expect::TooLong;
            spec.action = Action::Other { operation_code: spec.cdb[0] };
        }
        let mark = self.shared.resets.borrow().mark();
        let tag = self.tag();
        self.shared.invoke(op, self.nexus, lun, spec.action.clone(), tag);
        self.report.commands += 1;
        let mut flags = 0x80 | step.attribute as u8;
        let mut immediate_bytes = 0;
        let mut unsolicited_bytes = 0;
        match spec.direction {
            Some(Direction::In) => flags |= 0x40,
            Some(Direction::Out) => {
                flags |= 0x20;
                (immediate_bytes, unsolicited_bytes) = self.unasked(spec.expected_bytes);
                if unsolicited_bytes > immediate_bytes {
                    flags &= 0x7f;
                }
            }
            None => {}
        }
        let mut pdu = RawPdu::scsi_command(flags, lun, tag, spec.expected_bytes, &spec.cdb);
        pdu.data = spec.data_out[..immediate_bytes as usize].to_vec();
        if step.flat {
            pdu = pdu.flat();
        }
        let lun_field = pdu.lun_field();
        let mut command = Command {
            op,
            step: step.clone(),
            attempt,
            started: now,
            spec,
            lun_field,
            received: Vec::new(),
            data_in_pdus: 0,
            burst_bytes: 0,
            r2ts: 0,
            asked_bytes: unsolicited_bytes,
            open_r2ts: Vec::new(),
            mark,
        };
        // Lent to be cut: the outbox copies segment by segment.
        let data = std::mem::take(&mut command.spec.data_out);
        let kind = Kind::Command(Box::new(command));
        self.issue(pdu, step.immediate, tag, kind, Some(self.plan.timeouts.command_ms), now);
        self.push_data(0, tag, NO_TAG, &data[..unsolicited_bytes as usize], immediate_bytes);
        if let Some(command) = self.tasks.command_mut(tag) {
            command.spec.data_out = data;
        }
        true
    }

    /// How many bytes go with the command, and how many go unasked in all (RFC 7143, 11.3.4: the whole first burst or
    /// the immediate data alone).
    fn unasked(&self, expected_bytes: u32) -> (u32, u32) {
        let parameters = &self.parameters;
        let first_burst = parameters.first_burst.min(expected_bytes);
        let immediate = if parameters.immediate_data {
            first_burst.min(parameters.target_max_recv).min(self.plan.immediate_bytes)
        } else {
            0
        };
        let unsolicited = !parameters.initial_r2t && self.plan.unsolicited;
        (immediate, if unsolicited { first_burst } else { immediate })
    }

    /// Puts `data` from `from` on into the outbox as one sequence of Data-Out PDUs.
    pub(super) fn push_data(&mut self, lun_field: u64, tag: u32, transfer_tag: u32, data: &[u8], from: u32) {
        let segment = self.parameters.target_max_recv as usize;
        let parts = data[from as usize..].chunks(segment);
        let count = parts.len();
        for (number, part) in parts.enumerate() {
            let offset = from as usize + number * segment;
            let last = number + 1 == count;
            let mut pdu = RawPdu::data_out(0, tag, transfer_tag, number as u32, offset as u32, last, part);
            pdu.bhs[8..16].copy_from_slice(&lun_field.to_be_bytes());
            let closes = (last && transfer_tag != NO_TAG).then_some(transfer_tag);
            self.outbox.push_back(Outgoing { pdu, cmd_sn: 0, closes });
        }
    }
}

impl Spec {
    /// The command of `verb`; `unit` is the logical unit it names, if that is mapped, and `seen` what is known of it.
    fn new(verb: &Verb, unit: Option<&Unit>, seen: Option<&Seen>, op: OpId, seed: u64) -> Self {
        let block_bytes = unit.map_or(512, |unit| unit.block_bytes);
        let lun = lun_of(verb).unwrap_or(0);
        let mut spec = match *verb {
            Verb::Read { lba, blocks, cdb, fua, dpo, expect_more, .. } => {
                let expected = (i64::from(blocks) + i64::from(expect_more)).max(0) as u32;
                let cdb = cdb::transfer(Direction::In, cdb, lba, blocks, fua, dpo);
                let action = Action::Read { lba, blocks: expected.min(blocks) };
                Self::data_in(cdb, expected * block_bytes, action, Expect::Blocks { lba })
                    .asking(u64::from(blocks) * u64::from(block_bytes))
            }
            Verb::Write { lba, blocks, cdb, fua, dpo, expect_more, .. } => {
                let cdb = cdb::transfer(Direction::Out, cdb, lba, blocks, fua, dpo);
                let data = stamped(seed, lun, lba, blocks + expect_more, block_bytes, op);
                let protected = blocks > 0 && unit.is_some_and(|unit| unit.read_only);
                let expect = if protected { Expect::Protected } else { Expect::Good };
                Self::data_out(cdb, data, Action::Write { lba, blocks, fua }, expect)
                    .asking(u64::from(blocks) * u64::from(block_bytes))
            }
            Verb::BeyondEnd { direction, blocks, inside, wraps, .. } => {
                let end = unit.map_or(0, |unit| unit.blocks);
                // Half of the blocks are past 2^64, or all but `inside` past the end. Of no blocks, the address may be the
                // one past the last.
                let past = end.saturating_sub(u64::from(inside)) + u64::from(blocks == 0);
                let lba = if wraps { u64::MAX - u64::from(blocks / 2) } else { past };
                beyond_end(direction, lba, blocks, block_bytes, stamped(seed, lun, lba, blocks, block_bytes, op))
            }
            Verb::Synchronize { lba, blocks, sixteen, early, .. } => {
                let action = Action::Synchronize { lba, blocks, immediate: early };
                Self { action, ..Self::without_data(cdb::synchronize(sixteen, lba, blocks, early)) }
            }
            Verb::Verify { lba, blocks, cdb, .. } => Self::without_data(cdb::verify(cdb, 0b00, lba, blocks)),
            Verb::Compare { blocks, cdb, one_block, differs, .. } => {
                let place = unit.map_or((512, 1), |unit| (unit.block_bytes, unit.blocks));
                let comparison = Comparison::new(seen, place, blocks, one_block, differs);
                let (lba, blocks) = comparison.range();
                let data = comparison.data(seed, lun);
                let cdb = cdb::verify(cdb, if one_block { 0b11 } else { 0b01 }, lba, blocks);
                let spec = Self::data_out(cdb, data, Action::Read { lba, blocks }, Expect::Compared);
                Self { comparison: Some(comparison), ..spec }
            }
            Verb::StartStop { start, early, no_flush, .. } => {
                let action = Action::StartStop { start, flushes: !(start || early || no_flush) };
                Self { action, ..Self::without_data(cdb::start_stop(start, early, no_flush)) }
            }
            Verb::TestUnitReady { .. } => Self::without_data([0; 16]),
            Verb::Unknown { operation_code, .. } => {
                let mut cdb = [0; 16];
                cdb[0] = operation_code;
                Self { expect: Expect::Illegal(0x2000), ..Self::without_data(cdb) }
            }
            Verb::InvalidField { which, .. } => {
                let (cdb, code) = cdb::INVALID[usize::from(which) % cdb::INVALID.len()];
                Self { expect: Expect::Illegal(code), ..Self::without_data(cdb) }
            }
            _ => Self::parameters(verb),
        };
        spec.lun = lun;
        if unit.is_none() && !matches!(spec.expect, Expect::Inquiry { .. } | Expect::Luns | Expect::Sense { .. }) {
            spec.expect = Expect::Illegal(0x2500);
            spec.action = Action::Other { operation_code: spec.cdb[0] };
        }
        spec
    }

    /// Commands that return parameter data.
    fn parameters(verb: &Verb) -> Self {
        let (cdb, allocation, expect) = match *verb {
            Verb::Inquiry { page, allocation, .. } => {
                (cdb::inquiry(page, allocation), u32::from(allocation), Expect::Inquiry { page })
            }
            Verb::ReadCapacity { sixteen, .. } => {
                (cdb::read_capacity(sixteen), if sixteen { 32 } else { 8 }, Expect::Capacity { sixteen })
            }
            Verb::ModeSense { page, ten, allocation, .. } => {
                let known = MODE_PAGES.contains(&page);
                let expect = if known { Expect::Modes { ten } } else { Expect::Illegal(INVALID_FIELD_IN_CDB) };
                (cdb::mode_sense(ten, page, allocation), u32::from(allocation), expect)
            }
            Verb::RequestSense { descriptor, .. } => {
                (cdb::request_sense(descriptor, 252), 252, Expect::Sense { descriptor })
            }
            Verb::ReportLuns { allocation, .. } => (cdb::report_luns(allocation), allocation, Expect::Luns),
            Verb::SupportedCommands { which, either, timeouts, allocation, .. } => {
                let asked = Asked::new(which);
                let cdb = asked.cdb(either, timeouts, allocation);
                (cdb, u32::from(allocation), Expect::Commands { asked, timeouts })
            }
            Verb::SupportedFunctions { extended, allocation, .. } => {
                let cdb = cdb::supported_functions(extended, allocation);
                (cdb, u32::from(allocation), Expect::Functions { extended })
            }
            _ => return Self::without_data([0; 16]),
        };
        Self::data_in(cdb, allocation, Action::Other { operation_code: cdb[0] }, expect)
    }

    fn without_data(cdb: [u8; 16]) -> Self {
        Self {
            lun: 0,
            cdb,
            direction: None,
            expected_bytes: 0,
            cdb_bytes: 0,
            data_out: Vec::new(),
            action: Action::Other { operation_code: cdb[0] },
            expect: Expect::Good,
            comparison: None,
        }
    }

    fn data_in(cdb: [u8; 16], expected_bytes: u32, action: Action, expect: Expect) -> Self {
        let cdb_bytes = u64::from(expected_bytes);
        let direction = Some(Direction::In);
        Self { direction, expected_bytes, cdb_bytes, action, expect, ..Self::without_data(cdb) }
    }

    fn data_out(cdb: [u8; 16], data_out: Vec<u8>, action: Action, expect: Expect) -> Self {
        let expected_bytes = data_out.len() as u32;
        let (direction, cdb_bytes) = (Some(Direction::Out), u64::from(expected_bytes));
        Self { direction, expected_bytes, cdb_bytes, data_out, action, expect, ..Self::without_data(cdb) }
    }

    fn moves_blocks(&self) -> bool {
        self.direction.is_some() && matches!(self.expect, Expect::Blocks { .. } | Expect::Good)
    }

    fn asking(mut self, cdb_bytes: u64) -> Self {
        self.cdb_bytes = cdb_bytes;
        self
    }
}

/// A transfer that leaves the medium. It has no effect on blocks: the history knows it as some other command, so that
/// its stamp on any block is a failure.
fn beyond_end(direction: Direction, lba: u64, blocks: u32, block_bytes: u32, data: Vec<u8>) -> Spec {
    let cdb = cdb::transfer(direction, CdbSize::Sixteen, lba, blocks, false, false);
    let action = Action::Other { operation_code: cdb[0] };
    match direction {
        Direction::In => Spec::data_in(cdb, blocks * block_bytes, action, Expect::Illegal(0x2100)),
        Direction::Out => Spec::data_out(cdb, data, action, Expect::Illegal(0x2100)),
    }
}

/// Blocks with the stamp of `op`.
pub(in super::super) fn stamped(seed: u64, lun: u16, lba: u64, blocks: u32, block_bytes: u32, op: OpId) -> Vec<u8> {
    let sectors_per_block = u64::from(block_bytes) / stamp::SECTOR_BYTES as u64;
    let first = lba.wrapping_mul(sectors_per_block);
    let mut data = vec![0; blocks as usize * block_bytes as usize];
    for (number, sector) in data.chunks_exact_mut(stamp::SECTOR_BYTES).enumerate() {
        stamp::write(sector, seed, lun, first.wrapping_add(number as u64), op);
    }
    data
}

/// The logical unit that a command goes to; `None` when the step is no command.
fn lun_of(verb: &Verb) -> Option<u16> {
    match *verb {
        Verb::Read { lun, .. }
        | Verb::Write { lun, .. }
        | Verb::BeyondEnd { lun, .. }
        | Verb::Synchronize { lun, .. }
        | Verb::Verify { lun, .. }
        | Verb::Inquiry { lun, .. }
        | Verb::ReadCapacity { lun, .. }
        | Verb::ModeSense { lun, .. }
        | Verb::TestUnitReady { lun }
        | Verb::RequestSense { lun, .. }
        | Verb::ReportLuns { lun, .. }
        | Verb::SupportedCommands { lun, .. }
        | Verb::SupportedFunctions { lun, .. }
        | Verb::Unknown { lun, .. }
        | Verb::Compare { lun, .. }
        | Verb::StartStop { lun, .. }
        | Verb::InvalidField { lun, .. } => Some(lun),
        _ => None,
    }
}
