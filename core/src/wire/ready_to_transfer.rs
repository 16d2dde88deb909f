//! Ready To Transfer (RFC 7143, section 11.8).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError};
use crate::id::{Itt, Lun, Ttt};

/// Asks for data of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadyToTransfer {
    /// The logical unit, in its eight-byte form.
    pub lun: Lun,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// Target Transfer Tag.
    pub ttt: Ttt,
    /// StatSN: the next one to be used; it does not advance.
    pub stat_sn: SerialNumber,
    /// ExpCmdSN: the next CmdSN that the target takes in order.
    pub exp_cmd_sn: SerialNumber,
    /// MaxCmdSN: the last CmdSN of the command window.
    pub max_cmd_sn: SerialNumber,
    /// R2TSN: counts from zero within the command.
    pub r2t_sn: u32,
    /// Where in the command's data the wanted bytes begin.
    pub buffer_offset: u32,
    /// Desired Data Transfer Length, in bytes; never zero.
    pub desired_bytes: u32,
}

impl ReadyToTransfer {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::READY_TO_TRANSFER)?;
        Ok(Self {
            lun: bhs.lun(),
            itt: bhs.itt(),
            ttt: Ttt(bhs.u32_at(20)),
            stat_sn: bhs.sn_at(24),
            exp_cmd_sn: bhs.sn_at(28),
            max_cmd_sn: bhs.sn_at(32),
            r2t_sn: bhs.u32_at(36),
            buffer_offset: bhs.u32_at(40),
            desired_bytes: bhs.u32_at(44),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::READY_TO_TRANSFER)
            .with_data_segment_bytes(data_segment_bytes)
            .with_flags(FINAL)
            .with_lun(self.lun)
            .with_itt(self.itt)
            .with_u32(20, self.ttt.0)
            .with_target_numbers(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn)
            .with_u32(36, self.r2t_sn)
            .with_u32(40, self.buffer_offset)
            .with_u32(44, self.desired_bytes)
    }
}
