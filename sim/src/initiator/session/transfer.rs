//! Data of commands: R2Ts are answered, Data-In is put together, both are checked (RFC 7143, 11.7 and 11.8).

use std::time::Duration;

use super::super::codec::{NO_TAG, RawPdu};
use super::super::plan::Direction;
use super::{Breach, Session};

impl Session {
    pub(super) fn receive_data_in(&mut self, mut pdu: RawPdu, now: Duration) -> Result<(), Breach> {
        let tag = pdu.initiator_task_tag();
        let max_burst = self.parameters.max_burst;
        let Some(command) = self.tasks.command_mut(tag) else { return Err(self.stranger(&pdu)) };
        let offset = command.received.len();
        command.burst_bytes += pdu.data.len() as u32;
        let rules = [
            (command.spec.direction == Some(Direction::In), "T11", "for a command that reads nothing"),
            (pdu.data_sn() == command.data_in_pdus, "I4", "with DataSN out of order"),
            (pdu.buffer_offset() as usize == offset, "I4", "with a buffer offset that is not the next byte"),
            (offset + pdu.data.len() <= command.spec.expected_bytes as usize, "T11", "past the expected length"),
            (command.burst_bytes <= max_burst, "I4", "past MaxBurstLength without F"),
            (!pdu.asks_acknowledgement(), "I4", "with A at error recovery level 0"),
            (!pdu.has_status() || pdu.is_final(), "I4", "with S but without F"),
            (!pdu.has_status() || pdu.status() == 0, "I4", "with a status that needs a response of its own"),
        ];
        if let Some((_, oracle, what)) = rules.iter().find(|(kept, ..)| !kept) {
            let (sn, at, length) = (pdu.data_sn(), pdu.buffer_offset(), pdu.data.len());
            return Err(Breach::new(
                oracle,
                format!("Data-In {what}: tag {tag:#x}, DataSN {sn}, offset {at}, {length} bytes, {offset} received"),
            ));
        }
        command.data_in_pdus += 1;
        if command.received.is_empty() && pdu.has_status() {
            command.received = std::mem::take(&mut pdu.data);
        } else {
            command.received.reserve_exact(command.spec.expected_bytes as usize - offset);
            command.received.extend_from_slice(&pdu.data);
        }
        if pdu.is_final() {
            command.burst_bytes = 0;
        }
        if pdu.has_status() {
            self.complete(tag, &pdu, now)?;
        }
        Ok(())
    }

    pub(super) fn receive_r2t(&mut self, pdu: &RawPdu) -> Result<(), Breach> {
        let (tag, transfer_tag) = (pdu.initiator_task_tag(), pdu.target_transfer_tag());
        let open_elsewhere = self.tasks.commands().any(|(_, command)| command.open_r2ts.contains(&transfer_tag));
        let parameters = &self.parameters;
        let Some(command) = self.tasks.command_mut(tag) else { return Err(self.stranger(pdu)) };
        let (offset, length) = (pdu.buffer_offset(), pdu.desired_length());
        let end = u64::from(offset) + u64::from(length);
        let rules = [
            (command.spec.direction == Some(Direction::Out), "I5", "for a command that writes nothing"),
            (pdu.data_sn() == command.r2ts, "I4", "with R2TSN out of order"),
            (transfer_tag != NO_TAG, "I8", "with the reserved transfer tag"),
            (!open_elsewhere, "I5", "with a transfer tag that is in use"),
            (pdu.lun_field() == command.lun_field, "I8", "with another LUN"),
            (length != 0 && length <= parameters.max_burst, "I5", "for no data or more than MaxBurstLength"),
            (end <= u64::from(command.spec.expected_bytes), "I5", "past the expected length"),
            (offset == command.asked_bytes, "I5", "that leaves a hole or asks twice"),
            (
                command.open_r2ts.len() < parameters.max_outstanding_r2t as usize,
                "I5",
                "while MaxOutstandingR2T are outstanding",
            ),
        ];
        if let Some((_, oracle, what)) = rules.iter().find(|(kept, ..)| !kept) {
            let (asked, sn) = (command.asked_bytes, pdu.data_sn());
            return Err(Breach::new(
                oracle,
                format!("R2T {what}: tag {tag:#x}, R2TSN {sn}, {length} bytes at {offset}, next is {asked}"),
            ));
        }
        command.r2ts += 1;
        command.asked_bytes = end as u32;
        command.open_r2ts.push(transfer_tag);
        let lun = command.lun_field;
        // Lent to be cut: the outbox copies segment by segment.
        let data = std::mem::take(&mut command.spec.data_out);
        self.push_data(lun, tag, transfer_tag, &data[..end as usize], offset);
        if let Some(command) = self.tasks.command_mut(tag) {
            command.spec.data_out = data;
        }
        Ok(())
    }
}
