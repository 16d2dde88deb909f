//! NOP-In (RFC 7143, section 11.19).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError};
use crate::id::{Itt, Lun, Ttt};

/// Answers a NOP-Out, asks for one, or only tells the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NopIn {
    /// The logical unit, in its eight-byte form.
    pub lun: Lun,
    /// Initiator Task Tag of the NOP-Out that this answers, else [`Itt::NONE`].
    pub itt: Itt,
    /// A valid Target Transfer Tag when an answer is wanted, else [`Ttt::NONE`].
    pub ttt: Ttt,
    /// StatSN.
    pub stat_sn: SerialNumber,
    /// ExpCmdSN: the next CmdSN that the target takes in order.
    pub exp_cmd_sn: SerialNumber,
    /// MaxCmdSN: the last CmdSN of the command window.
    pub max_cmd_sn: SerialNumber,
}

impl NopIn {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::NOP_IN)?;
        Ok(Self {
            lun: bhs.lun(),
            itt: bhs.itt(),
            ttt: Ttt(bhs.u32_at(20)),
            stat_sn: bhs.sn_at(24),
            exp_cmd_sn: bhs.sn_at(28),
            max_cmd_sn: bhs.sn_at(32),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::NOP_IN)
            .with_data_segment_bytes(data_segment_bytes)
            .with_flags(FINAL)
            .with_lun(self.lun)
            .with_itt(self.itt)
            .with_u32(20, self.ttt.0)
            .with_target_numbers(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn)
    }
}
