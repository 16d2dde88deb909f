//! Text Request (RFC 7143, section 11.10).

use super::{Bhs, CONTINUE, FINAL, Opcode, SerialNumber, WireError, flag};
use crate::id::{Itt, Lun, Ttt};

/// Text keys from the initiator in full feature phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextRequest {
    /// The I bit.
    pub immediate: bool,
    /// The F bit: the initiator has nothing more to say.
    pub final_bit: bool,
    /// The C bit: the text goes on in the next request.
    pub continue_bit: bool,
    /// The logical unit, in its eight-byte form.
    pub lun: Lun,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// Target Transfer Tag of the last Text Response of this exchange; [`Ttt::NONE`] starts anew.
    pub ttt: Ttt,
    /// CmdSN.
    pub cmd_sn: SerialNumber,
    /// ExpStatSN: the initiator has every status before this one.
    pub exp_stat_sn: SerialNumber,
}

impl TextRequest {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::TEXT_REQUEST)?;
        Ok(Self {
            immediate: bhs.immediate(),
            final_bit: bhs.flags() & FINAL != 0,
            continue_bit: bhs.flags() & CONTINUE != 0,
            lun: bhs.lun(),
            itt: bhs.itt(),
            ttt: Ttt(bhs.u32_at(20)),
            cmd_sn: bhs.sn_at(24),
            exp_stat_sn: bhs.sn_at(28),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::TEXT_REQUEST)
            .with_data_segment_bytes(data_segment_bytes)
            .with_immediate(self.immediate)
            .with_flags(flag(self.final_bit, FINAL) | flag(self.continue_bit, CONTINUE))
            .with_lun(self.lun)
            .with_itt(self.itt)
            .with_u32(20, self.ttt.0)
            .with_sn(24, self.cmd_sn)
            .with_sn(28, self.exp_stat_sn)
    }
}
