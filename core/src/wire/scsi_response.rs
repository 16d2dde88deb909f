//! SCSI Response (RFC 7143, section 11.4).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError, flag};
use crate::id::Itt;

/// The end of a command; sense data with its two length bytes is the data segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScsiResponse {
    /// The O bit: `residual` bytes did not fit the expected length.
    pub overflow: bool,
    /// The U bit: `residual` bytes of the expected length were not moved.
    pub underflow: bool,
    /// The o bit: as O, for the read of a bidirectional command.
    pub bidirectional_overflow: bool,
    /// The u bit: as U, for the read of a bidirectional command.
    pub bidirectional_underflow: bool,
    /// iSCSI service response, see the constants.
    pub response: u8,
    /// SAM status; meaningful when `response` is completed.
    pub status: u8,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// SNACK Tag, or zero.
    pub snack_tag: u32,
    /// StatSN.
    pub stat_sn: SerialNumber,
    /// ExpCmdSN: the next CmdSN that the target takes in order.
    pub exp_cmd_sn: SerialNumber,
    /// MaxCmdSN: the last CmdSN of the command window.
    pub max_cmd_sn: SerialNumber,
    /// ExpDataSN: number of Data-In and R2T PDUs that the command had.
    pub exp_data_sn: u32,
    /// Residual of the read of a bidirectional command, in bytes.
    pub bidirectional_residual: u32,
    /// Residual, in bytes.
    pub residual: u32,
}

const BIDIRECTIONAL_OVERFLOW: u8 = 0x10;
const BIDIRECTIONAL_UNDERFLOW: u8 = 0x08;
const OVERFLOW: u8 = 0x04;
const UNDERFLOW: u8 = 0x02;

impl ScsiResponse {
    /// Response: the command was completed at the target, `status` says how.
    pub const COMPLETED: u8 = 0x00;
    /// Response: the target failed and has no status.
    pub const TARGET_FAILURE: u8 = 0x01;
}

impl ScsiResponse {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::SCSI_RESPONSE)?;
        let flags = bhs.flags();
        Ok(Self {
            overflow: flags & OVERFLOW != 0,
            underflow: flags & UNDERFLOW != 0,
            bidirectional_overflow: flags & BIDIRECTIONAL_OVERFLOW != 0,
            bidirectional_underflow: flags & BIDIRECTIONAL_UNDERFLOW != 0,
            response: bhs.0[2],
            status: bhs.0[3],
            itt: bhs.itt(),
            snack_tag: bhs.u32_at(20),
            stat_sn: bhs.sn_at(24),
            exp_cmd_sn: bhs.sn_at(28),
            max_cmd_sn: bhs.sn_at(32),
            exp_data_sn: bhs.u32_at(36),
            bidirectional_residual: bhs.u32_at(40),
            residual: bhs.u32_at(44),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        let flags = FINAL
            | flag(self.overflow, OVERFLOW)
            | flag(self.underflow, UNDERFLOW)
            | flag(self.bidirectional_overflow, BIDIRECTIONAL_OVERFLOW)
            | flag(self.bidirectional_underflow, BIDIRECTIONAL_UNDERFLOW);
        Bhs::new(Opcode::SCSI_RESPONSE)
            .with_data_segment_bytes(data_segment_bytes)
            .with(1, [flags, self.response, self.status])
            .with_itt(self.itt)
            .with_u32(20, self.snack_tag)
            .with_target_numbers(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn)
            .with_u32(36, self.exp_data_sn)
            .with_u32(40, self.bidirectional_residual)
            .with_u32(44, self.residual)
    }
}
