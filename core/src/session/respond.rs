//! What the session says to its initiator: R2T, Data-In, SCSI Response, and the residual counts.

use std::rc::Rc;

use crate::env::{Runtime, TxData};
use crate::id::{Lun, Ttt};
use crate::scsi::{DataIn, Outcome};
use crate::session::Session;
use crate::session::data_transfer::{ReadyToSend, data_in_parts};
use crate::task::Task;
use crate::task::status::Status;
use crate::wire::{
    self, Bhs, LogoutRequest, LogoutResponse, ReadyToTransfer, Reject, ScsiResponse, SerialNumber,
    TaskManagementRequest, TaskManagementResponse,
};

/// How far the data that moved and the data that were expected lie apart (RFC 7143, section 11.4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Residual {
    /// O bit: `count` bytes were not transferred because too few were expected.
    pub(crate) overflow: bool,
    /// U bit: `count` bytes fewer than expected were transferred.
    pub(crate) underflow: bool,
    /// Bytes.
    pub(crate) count: u32,
}

impl Residual {
    /// Of a transfer of which the device had `available` bytes to move and the initiator expected `expected`.
    #[must_use]
    pub(crate) fn of(expected: u32, available: u64) -> Self {
        let expected = u64::from(expected);
        Self {
            overflow: available > expected,
            underflow: available < expected && !crate::planted!(UnderflowForgotten),
            count: u32::try_from(available.abs_diff(expected)).unwrap_or(u32::MAX),
        }
    }
}

impl<R: Runtime> Session<R> {
    pub(crate) fn send_r2t(&self, task: &Task<R>, r2t: &ReadyToSend) {
        let (exp_cmd_sn, max_cmd_sn) = self.window_numbers();
        let stat_sn = self.connection.stat_sn();
        if crate::planted!(StatSnOnR2t) {
            self.connection.next_stat_sn();
        }
        let pdu = ReadyToTransfer {
            lun: task.address,
            itt: task.itt,
            ttt: r2t.ttt,
            stat_sn,
            exp_cmd_sn,
            max_cmd_sn,
            r2t_sn: r2t.r2t_sn,
            buffer_offset: r2t.offset,
            desired_bytes: r2t.length,
        };
        self.connection.send(pdu.to_bhs(0), TxData::None);
    }

    /// Puts a task's data and status on the write list.
    pub(crate) fn send_outcome(&self, task: &Task<R>, outcome: Outcome<R::Buf>) {
        let Outcome { status, sense, data_in } = outcome;
        let available = match &data_in {
            DataIn::None => 0,
            DataIn::Bytes(bytes) => bytes.len(),
            DataIn::Buffer(buffer) => buffer.as_ref().len(),
        };
        let residual = self.residual(task, available, status);
        let total = if task.read && !task.write { available.min(task.expected_bytes as usize) } else { 0 };
        let collapsed = total > 0 && status == Status::GOOD && sense.is_empty() && !crate::buggify!(StatusApart);
        let parts = self.send_data_in(task, data_in, total, collapsed.then_some((status, residual)));
        if !collapsed {
            self.send_response(task, status, &sense, residual, parts);
        }
    }

    pub(crate) fn send_management_response(&self, request: &TaskManagementRequest, response: u8) {
        let (exp_cmd_sn, max_cmd_sn) = self.window_numbers();
        let stat_sn = self.connection.next_stat_sn();
        let pdu = TaskManagementResponse { response, itt: request.itt, stat_sn, exp_cmd_sn, max_cmd_sn };
        self.connection.send(pdu.to_bhs(0), TxData::None);
    }

    pub(crate) fn send_logout_response(&self, request: &LogoutRequest, response: u8) {
        let (exp_cmd_sn, max_cmd_sn) = self.window_numbers();
        let stat_sn = self.connection.next_stat_sn();
        let (time2wait, time2retain) = {
            let negotiated = self.negotiated.borrow();
            (negotiated.default_time2wait, negotiated.default_time2retain)
        };
        let itt = request.itt;
        let pdu = LogoutResponse { response, itt, stat_sn, exp_cmd_sn, max_cmd_sn, time2wait, time2retain };
        self.connection.send(pdu.to_bhs(0), TxData::None);
    }

    /// Rejects the PDU with this header (RFC 7143, section 11.17): the header is sent back as data.
    pub(crate) fn send_reject(&self, bhs: &Bhs, reason: u8) {
        let (exp_cmd_sn, max_cmd_sn) = self.window_numbers();
        let stat_sn = self.connection.next_stat_sn();
        let pdu = Reject { reason, stat_sn, exp_cmd_sn, max_cmd_sn, data_sn: 0 };
        self.connection.send(pdu.to_bhs(bhs.0.len()), TxData::Owned(bhs.0.to_vec()));
    }

    fn residual(&self, task: &Task<R>, available: usize, status: Status) -> Residual {
        if task.write {
            // A command that was refused moved nothing that counts.
            let moved = if status == Status::GOOD || task.cdb_out_bytes > u64::from(task.expected_bytes) {
                task.cdb_out_bytes
            } else {
                0
            };
            Residual::of(task.expected_bytes, moved)
        } else if task.read {
            Residual::of(task.expected_bytes, available as u64)
        } else {
            // No data were expected, whatever the command would move.
            Residual::of(0, available as u64 + if status == Status::GOOD { 0 } else { task.cdb_out_bytes })
        }
    }

    /// Sends `total` bytes of `data_in`, the last PDU with the status when one is given; tells how many PDUs it took.
    fn send_data_in(
        &self,
        task: &Task<R>,
        data_in: DataIn<R::Buf>,
        total: usize,
        status: Option<(Status, Residual)>,
    ) -> u32 {
        let (segment, burst) = {
            let negotiated = self.negotiated.borrow();
            (negotiated.max_send_data_segment_bytes as usize, negotiated.max_burst_bytes as usize)
        };
        let data = match data_in {
            DataIn::None => return 0,
            DataIn::Bytes(bytes) => Source::Bytes(bytes),
            DataIn::Buffer(buffer) => Source::Buffer(Rc::new(buffer)),
        };
        let mut parts = 0;
        for part in data_in_parts(total, segment, burst) {
            let (exp_cmd_sn, max_cmd_sn) = self.window_numbers();
            let with_status = status.filter(|_| part.last);
            let residual = with_status.map(|(_, residual)| residual).unwrap_or_default();
            let pdu = wire::DataIn {
                final_bit: part.final_bit,
                acknowledge: false,
                overflow: residual.overflow,
                underflow: residual.underflow,
                status_present: with_status.is_some(),
                status: with_status.map_or(0, |(status, _)| status.0),
                lun: Lun::default(),
                itt: task.itt,
                ttt: Ttt::NONE,
                stat_sn: if with_status.is_some() { self.connection.next_stat_sn() } else { SerialNumber(0) },
                exp_cmd_sn,
                max_cmd_sn,
                data_sn: part.data_sn,
                buffer_offset: if crate::planted!(StatusDataOffset) && part.last { 0 } else { part.range.start as u32 },
                residual: residual.count,
            };
            let bhs = pdu.to_bhs(part.range.len());
            let data = match &data {
                Source::Bytes(bytes) => TxData::Owned(bytes[part.range].to_vec()),
                Source::Buffer(buffer) => TxData::Shared(buffer.clone(), part.range),
            };
            self.connection.send(bhs, data);
            parts += 1;
        }
        parts
    }

    fn send_response(&self, task: &Task<R>, status: Status, sense: &[u8], residual: Residual, data_in_pdus: u32) {
        let (exp_cmd_sn, max_cmd_sn) = self.window_numbers();
        let mut segment = Vec::new();
        if !sense.is_empty() {
            segment.reserve(2 + sense.len());
            segment.extend((sense.len() as u16).to_be_bytes());
            segment.extend(sense);
        }
        let pdu = ScsiResponse {
            overflow: residual.overflow,
            underflow: residual.underflow,
            bidirectional_overflow: false,
            bidirectional_underflow: false,
            response: ScsiResponse::COMPLETED,
            status: status.0,
            itt: task.itt,
            snack_tag: 0,
            stat_sn: self.connection.next_stat_sn(),
            exp_cmd_sn,
            max_cmd_sn,
            exp_data_sn: data_in_pdus,
            bidirectional_residual: 0,
            residual: residual.count,
        };
        let data = if segment.is_empty() { TxData::None } else { TxData::Owned(segment) };
        self.connection.send(pdu.to_bhs(data.bytes().len()), data);
    }
}

enum Source<B> {
    Bytes(Vec<u8>),
    Buffer(Rc<B>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residual_says_which_side_had_more() {
        assert_eq!(Residual::of(512, 512), Residual::default());
        assert_eq!(Residual::of(512, 100), Residual { overflow: false, underflow: true, count: 412 });
        assert_eq!(Residual::of(512, 1024), Residual { overflow: true, underflow: false, count: 512 });
        assert_eq!(Residual::of(0, u64::MAX).count, u32::MAX);
    }
}
