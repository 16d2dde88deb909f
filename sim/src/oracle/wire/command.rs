//! One SCSI command: its data (I4, I5), its status and residual (T11), its unit attention (T8).

use std::collections::BTreeMap;

use crate::initiator::codec::{NO_TAG, RawPdu};

use super::Report;
use super::login::Agreement;

const GOOD: u8 = 0x00;
const CHECK_CONDITION: u8 = 0x02;
const UNIT_ATTENTION: u8 = 0x06;
const INQUIRY: u8 = 0x12;
const REPORT_LUNS: u8 = 0xa0;
const REQUEST_SENSE: u8 = 0x03;

/// A command that has no status yet.
#[derive(Clone, Debug)]
pub(super) struct Command {
    /// Which command of the connection, counted: a tag may be used again.
    pub(super) serial: u64,
    pub(super) lun: u64,
    /// The LUN field as it came.
    address: u64,
    pub(super) cmd_sn: u32,
    pub(super) immediate: bool,
    /// The initiator broke a rule with it, or something may have ended it: it may be ignored, refused or dropped, and
    /// its data prove nothing.
    pub(super) doubtful: bool,
    /// Something may have ended it without a word, so that its tag may be used again.
    pub(super) may_have_ended: bool,
    /// It came with a number past MaxCmdSN: it may have been dropped.
    pub(super) beyond: bool,
    operation_code: u8,
    reads: bool,
    writes: bool,
    expected: u32,
    /// Data-Out bytes received, immediate data included.
    received: u32,
    unsolicited_open: bool,
    /// Some of its data came with a wrong digest.
    pub(super) damaged: bool,
    r2t_sn: u32,
    /// Open R2Ts by tag: bytes that are still to come.
    r2ts: BTreeMap<u32, u32>,
    /// Where the next R2T begins, once there was one.
    next_r2t: Option<u32>,
    /// Data-In PDUs.
    data_in: u32,
    /// Data-In bytes.
    sent: u32,
    burst: u32,
    burst_ended: bool,
}

impl Command {
    /// From a SCSI Command PDU.
    pub(super) fn new(pdu: &RawPdu, serial: u64, agreement: &Agreement) -> Self {
        let expected = pdu.expected_data_transfer_length();
        let immediate_bytes = pdu.data_bytes() as u32;
        let unsolicited_open = pdu.writes() && !pdu.is_final();
        let broken = immediate_bytes > 0 && !(agreement.immediate_data && pdu.writes())
            || immediate_bytes > expected.min(agreement.first_burst_bytes)
            || unsolicited_open && agreement.initial_r2t
            || pdu.reads() && pdu.writes()
            || !(pdu.reads() || pdu.writes()) && expected > 0
            || pdu.ahs_bytes() > 0
            || pdu.task_attribute() > 3
            || pdu.initiator_task_tag() == NO_TAG;
        Self {
            serial,
            lun: pdu.logical_unit(),
            address: pdu.lun_field(),
            cmd_sn: pdu.cmd_sn(),
            immediate: pdu.is_immediate(),
            doubtful: broken,
            may_have_ended: false,
            beyond: false,
            operation_code: pdu.cdb()[0],
            reads: pdu.reads(),
            writes: pdu.writes(),
            expected,
            received: immediate_bytes,
            unsolicited_open,
            damaged: false,
            r2t_sn: 0,
            r2ts: BTreeMap::new(),
            next_r2t: None,
            data_in: 0,
            sent: 0,
            burst: 0,
            burst_ended: true,
        }
    }

    /// Something may end it without a word.
    pub(super) fn silence(&mut self) {
        (self.doubtful, self.may_have_ended) = (true, true);
    }

    /// An R2T with this tag is open.
    pub(super) fn has_open(&self, ttt: u32) -> bool {
        self.r2ts.contains_key(&ttt)
    }

    /// Data from the initiator.
    pub(super) fn data_out(&mut self, pdu: &RawPdu, agreement: &Agreement) {
        let length = pdu.data_bytes() as u32;
        let ttt = pdu.target_transfer_tag();
        self.received = self.received.saturating_add(length);
        if pdu.data_digest_ok == Some(false) {
            self.doubtful = true;
            self.damaged |= if ttt == NO_TAG { self.unsolicited_open } else { self.r2ts.contains_key(&ttt) };
        } else if ttt == NO_TAG {
            let limit = self.expected.min(agreement.first_burst_bytes);
            self.doubtful |= !self.unsolicited_open || self.received > limit;
            self.unsolicited_open &= !pdu.is_final();
        } else if let Some(left) = self.r2ts.get_mut(&ttt) {
            match left.checked_sub(length) {
                Some(rest) => *left = rest,
                None => self.doubtful = true,
            }
            if pdu.is_final() {
                self.doubtful |= self.r2ts.remove(&ttt) != Some(0);
            }
        } else {
            self.doubtful = true;
        }
    }

    /// Judges an R2T (I5, and I4 for its number).
    pub(super) fn ready_to_transfer(&mut self, pdu: &RawPdu, agreement: &Agreement, report: &mut Report<'_>) {
        let (itt, ttt) = (pdu.initiator_task_tag(), pdu.target_transfer_tag());
        let (offset, length) = (pdu.buffer_offset(), pdu.desired_length());
        if pdu.data_sn() != self.r2t_sn {
            report.add("I4", &format!("R2TSN {} of task {itt:#x} should be {}", pdu.data_sn(), self.r2t_sn));
        }
        self.r2t_sn = pdu.data_sn().wrapping_add(1);
        if pdu.lun_field() != self.address {
            report.add("I8", &format!("an R2T of task {itt:#x} does not echo the LUN"));
        }
        if ttt == NO_TAG {
            report.add("I8", &format!("an R2T of task {itt:#x} has the reserved Target Transfer Tag"));
        }
        let end = u64::from(offset) + u64::from(length);
        if !self.writes || end > u64::from(self.expected) {
            let story = format!("an R2T asks for bytes {offset}..{end} of task {itt:#x}, which has {}", self.expected);
            report.add("I5", &story);
        }
        if length == 0 || length > agreement.max_burst_bytes {
            let most = agreement.max_burst_bytes;
            report.add("I5", &format!("an R2T of task {itt:#x} asks for {length} bytes; MaxBurstLength is {most}"));
        }
        self.r2ts.insert(ttt, length);
        if self.r2ts.len() > agreement.max_outstanding_r2t {
            let (open, most) = (self.r2ts.len(), agreement.max_outstanding_r2t);
            report.add("I5", &format!("{open} R2Ts of task {itt:#x} are open; MaxOutstandingR2T is {most}"));
        }
        let begins = match self.next_r2t {
            Some(next) => next,
            // Unsolicited data that are still on their way will fill the first burst.
            None if self.unsolicited_open => self.expected.min(agreement.first_burst_bytes),
            None => self.received,
        };
        if agreement.in_order && !self.doubtful && offset != begins {
            let story = format!("an R2T of task {itt:#x} begins at {offset}, and what came before it ends at {begins}");
            report.add("I5", &story);
        }
        self.next_r2t = Some(end as u32);
    }

    /// Judges the data of a Data-In PDU (I4).
    pub(super) fn data_in(&mut self, pdu: &RawPdu, agreement: &Agreement, report: &mut Report<'_>) {
        let itt = pdu.initiator_task_tag();
        let length = pdu.data_bytes() as u32;
        if pdu.data_sn() != self.data_in {
            report.add("I4", &format!("DataSN {} of task {itt:#x} should be {}", pdu.data_sn(), self.data_in));
        }
        if agreement.in_order && pdu.buffer_offset() != self.sent {
            let story = format!("Data-In of task {itt:#x} is at {}, not at {}", pdu.buffer_offset(), self.sent);
            report.add("I4", &story);
        }
        self.data_in = pdu.data_sn().wrapping_add(1);
        self.sent = self.sent.saturating_add(length);
        let end = u64::from(pdu.buffer_offset()) + u64::from(length);
        if !self.reads || end > u64::from(self.expected) {
            let story = format!("Data-In of task {itt:#x} ends at {end}; it expects {} bytes", self.expected);
            report.add("T11", &story);
        }
        self.burst = self.burst.saturating_add(length);
        if self.burst > agreement.max_burst_bytes {
            let (burst, most) = (self.burst, agreement.max_burst_bytes);
            report
                .add("I4", &format!("a burst of Data-In of task {itt:#x} has {burst} bytes; MaxBurstLength is {most}"));
        }
        self.burst_ended = pdu.is_final();
        if pdu.is_final() {
            self.burst = 0;
        }
    }

    /// Judges the end of the command: a SCSI Response, or Data-In with status.
    pub(super) fn ended(&self, pdu: &RawPdu, report: &mut Report<'_>) {
        let itt = pdu.initiator_task_tag();
        if self.data_in > 0 && !self.burst_ended {
            report.add("I4", &format!("the last Data-In of task {itt:#x} has no F"));
        }
        if pdu.response() != 0 {
            return;
        }
        self.judge_residual(pdu, report);
    }

    /// Judges the sense data of a SCSI Response, and that it is there.
    pub(super) fn judge_sense(&self, pdu: &RawPdu, report: &mut Report<'_>) {
        let itt = pdu.initiator_task_tag();
        let sense = pdu.sense().filter(|sense| sense.len() >= 8 && (0x70..=0x73).contains(&(sense[0] & 0x7f)));
        if pdu.status() == CHECK_CONDITION && sense.is_none() {
            report.add("T11", &format!("CHECK CONDITION of task {itt:#x} has no sense data"));
        }
        if pdu.status() == GOOD && !pdu.data.is_empty() {
            report.add("T11", &format!("GOOD of task {itt:#x} has {} bytes of sense data", pdu.data.len()));
        }
        if self.reads && !self.writes && pdu.exp_data_sn() != self.data_in {
            let story =
                format!("ExpDataSN {} of task {itt:#x} follows {} Data-In PDUs", pdu.exp_data_sn(), self.data_in);
            report.add("I4", &story);
        }
        let spared = matches!(self.operation_code, INQUIRY | REPORT_LUNS | REQUEST_SENSE);
        if spared && unit_attention(pdu).is_some() {
            let story =
                format!("task {itt:#x} (operation code {:#04x}) was told a unit attention", self.operation_code);
            report.add("T8", &story);
        }
    }

    fn judge_residual(&self, pdu: &RawPdu, report: &mut Report<'_>) {
        let itt = pdu.initiator_task_tag();
        let (over, under, count) = (pdu.residual_overflow(), pdu.residual_underflow(), pdu.residual());
        let good = pdu.status() == GOOD;
        let missing = if under { count } else { 0 };
        let wrong = if over && under {
            Some("overflow and underflow at once".to_owned())
        } else if count > 0 && !over && !under {
            Some(format!("a residual of {count} without O or U"))
        } else if under && count > self.expected {
            Some(format!("{count} bytes fewer than the {} expected", self.expected))
        } else if self.doubtful {
            None
        } else if self.reads && self.sent.checked_add(missing) != Some(self.expected) && (good || under || !over) {
            Some(format!("{} bytes of {} were sent, and U says {missing} are missing", self.sent, self.expected))
        } else if self.writes && good && self.received < self.expected - missing {
            let (received, expected) = (self.received, self.expected);
            Some(format!("GOOD after {received} bytes of {expected}, and U says {missing} are missing"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            report.add("T11", &format!("status of task {itt:#x}: {wrong}"));
        }
    }
}

/// ASC and ASCQ of the unit attention that a SCSI Response reports.
pub(super) fn unit_attention(pdu: &RawPdu) -> Option<u16> {
    let sense = pdu.sense().filter(|_| pdu.status() == CHECK_CONDITION)?;
    let (key, code) = match sense.first()? & 0x7f {
        0x70 | 0x71 => (sense.get(2)?, sense.get(12..14)?),
        _ => (sense.get(1)?, sense.get(2..4)?),
    };
    (key & 0x0f == UNIT_ATTENTION).then(|| u16::from_be_bytes([code[0], code[1]]))
}
