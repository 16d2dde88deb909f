//! Text Response (RFC 7143, section 11.11).

use super::{Bhs, CONTINUE, FINAL, Opcode, SerialNumber, WireError, flag};
use crate::id::{Itt, Lun, Ttt};

/// Text keys from the target in full feature phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextResponse {
    /// The F bit: the exchange is over.
    pub final_bit: bool,
    /// The C bit: the text goes on in the next response.
    pub continue_bit: bool,
    /// The logical unit, in its eight-byte form.
    pub lun: Lun,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// [`Ttt::NONE`] with the F bit; without it a tag that the next request repeats.
    pub ttt: Ttt,
    /// StatSN.
    pub stat_sn: SerialNumber,
    /// ExpCmdSN: the next CmdSN that the target takes in order.
    pub exp_cmd_sn: SerialNumber,
    /// MaxCmdSN: the last CmdSN of the command window.
    pub max_cmd_sn: SerialNumber,
}

impl TextResponse {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::TEXT_RESPONSE)?;
        Ok(Self {
            final_bit: bhs.flags() & FINAL != 0,
            continue_bit: bhs.flags() & CONTINUE != 0,
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
        Bhs::new(Opcode::TEXT_RESPONSE)
            .with_data_segment_bytes(data_segment_bytes)
            .with_flags(flag(self.final_bit, FINAL) | flag(self.continue_bit, CONTINUE))
            .with_lun(self.lun)
            .with_itt(self.itt)
            .with_u32(20, self.ttt.0)
            .with_target_numbers(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn)
    }
}
