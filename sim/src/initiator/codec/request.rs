//! PDUs that an initiator sends. CmdSN and ExpStatSN are set when they are sent: [`RawPdu::sequenced`].

use super::{RawPdu, opcode};

impl RawPdu {
    /// Sets CmdSN and ExpStatSN. A Data-Out has no CmdSN: bytes 24 to 27 stay zero.
    #[must_use]
    pub fn sequenced(mut self, cmd_sn: u32, exp_stat_sn: u32) -> Self {
        if self.opcode() != opcode::DATA_OUT && self.opcode() != opcode::SNACK {
            self.set_u32(24, cmd_sn);
        }
        self.set_u32(28, exp_stat_sn);
        self
    }

    /// A SCSI Command; `flags` is byte 1 (F 80h, R 40h, W 20h, attribute in bits 0 to 2), `transfer_bytes` the
    /// Expected Data Transfer Length.
    #[must_use]
    pub fn scsi_command(flags: u8, lun: u16, tag: u32, transfer_bytes: u32, cdb: &[u8; 16]) -> Self {
        let mut pdu = Self::new(opcode::SCSI_COMMAND);
        pdu.bhs[1] = flags;
        pdu.set_lun(lun);
        pdu.set_u32(16, tag);
        pdu.set_u32(20, transfer_bytes);
        pdu.bhs[32..].copy_from_slice(cdb);
        pdu
    }

    /// A SCSI Data-Out; `transfer_tag` is the R2T's, or [`super::NO_TAG`] for unsolicited data.
    #[must_use]
    pub fn data_out(lun: u16, tag: u32, transfer_tag: u32, data_sn: u32, offset: u32, last: bool, data: &[u8]) -> Self {
        let mut pdu = Self::new(opcode::DATA_OUT);
        pdu.bhs[1] = if last { 0x80 } else { 0 };
        pdu.set_lun(lun);
        pdu.set_u32(16, tag);
        pdu.set_u32(20, transfer_tag);
        pdu.set_u32(36, data_sn);
        pdu.set_u32(40, offset);
        pdu.data = data.to_vec();
        pdu
    }

    /// A NOP-Out: a ping with `tag`, or with [`super::NO_TAG`] an answer to the NOP-In with `transfer_tag`.
    #[must_use]
    pub fn nop_out(lun_field: u64, tag: u32, transfer_tag: u32, data: Vec<u8>) -> Self {
        let mut pdu = Self::new(opcode::NOP_OUT);
        pdu.bhs[1] = 0x80;
        pdu.bhs[8..16].copy_from_slice(&lun_field.to_be_bytes());
        pdu.set_u32(16, tag);
        pdu.set_u32(20, transfer_tag);
        pdu.data = data;
        pdu
    }

    /// A task management function request (RFC 7143, 11.5).
    #[must_use]
    pub fn task_management(function: u8, lun: u16, tag: u32, referenced_tag: u32, ref_cmd_sn: u32) -> Self {
        let mut pdu = Self::new(opcode::TASK_MANAGEMENT);
        pdu.bhs[1] = 0x80 | function;
        pdu.set_lun(lun);
        pdu.set_u32(16, tag);
        pdu.set_u32(20, referenced_tag);
        pdu.set_u32(32, ref_cmd_sn);
        pdu
    }

    /// A login request; `flags` is byte 1 (T 80h, C 40h, CSG in bits 2 and 3, NSG in bits 0 and 1). Always immediate.
    #[must_use]
    pub fn login(flags: u8, isid: [u8; 6], tsih: u16, tag: u32, connection_id: u16, data: Vec<u8>) -> Self {
        let mut pdu = Self::new(opcode::LOGIN).immediate();
        pdu.bhs[1] = flags;
        pdu.bhs[8..14].copy_from_slice(&isid);
        pdu.set_u16(14, tsih);
        pdu.set_u32(16, tag);
        pdu.set_u16(20, connection_id);
        pdu.data = data;
        pdu
    }

    /// A text request; `flags` is byte 1 (F 80h, C 40h).
    #[must_use]
    pub fn text(flags: u8, tag: u32, transfer_tag: u32, data: Vec<u8>) -> Self {
        let mut pdu = Self::new(opcode::TEXT);
        pdu.bhs[1] = flags;
        pdu.set_u32(16, tag);
        pdu.set_u32(20, transfer_tag);
        pdu.data = data;
        pdu
    }

    /// A logout request (RFC 7143, 11.14.1: 0 closes the session, 1 the connection, 2 removes it for recovery).
    #[must_use]
    pub fn logout(reason: u8, tag: u32, connection_id: u16) -> Self {
        let mut pdu = Self::new(opcode::LOGOUT);
        pdu.bhs[1] = 0x80 | reason;
        pdu.set_u32(16, tag);
        pdu.set_u16(20, connection_id);
        pdu
    }
}
