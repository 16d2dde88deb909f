//! Asynchronous Message (RFC 7143, section 11.9).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError};
use crate::id::{Itt, Lun};

/// Tells the initiator what it did not ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AsyncMessage {
    /// The logical unit, in its eight-byte form.
    pub lun: Lun,
    /// StatSN.
    pub stat_sn: SerialNumber,
    /// ExpCmdSN: the next CmdSN that the target takes in order.
    pub exp_cmd_sn: SerialNumber,
    /// MaxCmdSN: the last CmdSN of the command window.
    pub max_cmd_sn: SerialNumber,
    /// AsyncEvent, see the constants.
    pub event: u8,
    /// AsyncVCode, for vendor-specific events.
    pub vcode: u8,
    /// Parameter1 to Parameter3.
    pub parameters: [u16; 3],
}

impl AsyncMessage {
    /// Event: SCSI asynchronous event, with sense data.
    pub const SCSI_EVENT: u8 = 0;
    /// Event: log this connection out within Parameter3 seconds.
    pub const LOGOUT_REQUESTED: u8 = 1;
    /// Event: the connection Parameter1 will be or was dropped.
    pub const CONNECTION_DROPPED: u8 = 2;
    /// Event: all connections of the session will be dropped.
    pub const SESSION_DROPPED: u8 = 3;
    /// Event: negotiate parameters anew within Parameter3 seconds.
    pub const NEGOTIATION_REQUESTED: u8 = 4;
    /// Event: all tasks of a logical unit were ended (RFC 7143, section 4.2.3.3).
    pub const TASKS_TERMINATED: u8 = 5;
    /// Event: AsyncVCode says which.
    pub const VENDOR_SPECIFIC: u8 = 255;
}

impl AsyncMessage {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::ASYNC_MESSAGE)?;
        Ok(Self {
            lun: bhs.lun(),
            stat_sn: bhs.sn_at(24),
            exp_cmd_sn: bhs.sn_at(28),
            max_cmd_sn: bhs.sn_at(32),
            event: bhs.0[36],
            vcode: bhs.0[37],
            parameters: [bhs.u16_at(38), bhs.u16_at(40), bhs.u16_at(42)],
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::ASYNC_MESSAGE)
            .with_data_segment_bytes(data_segment_bytes)
            .with_flags(FINAL)
            .with_lun(self.lun)
            .with_itt(Itt::NONE)
            .with_target_numbers(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn)
            .with(36, [self.event, self.vcode])
            .with_u16(38, self.parameters[0])
            .with_u16(40, self.parameters[1])
            .with_u16(42, self.parameters[2])
    }
}
