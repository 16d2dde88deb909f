//! NOP-Out (RFC 7143, section 11.18).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError};
use crate::id::{Itt, Lun, Ttt};

/// Asks for an answer (a ping), or answers a NOP-In.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NopOut {
    /// The I bit.
    pub immediate: bool,
    /// The logical unit, in its eight-byte form.
    pub lun: Lun,
    /// Initiator Task Tag; [`Itt::NONE`] when no answer is wanted.
    pub itt: Itt,
    /// Target Transfer Tag of the NOP-In that this answers, else [`Ttt::NONE`].
    pub ttt: Ttt,
    /// CmdSN.
    pub cmd_sn: SerialNumber,
    /// ExpStatSN: the initiator has every status before this one.
    pub exp_stat_sn: SerialNumber,
}

impl NopOut {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::NOP_OUT)?;
        Ok(Self {
            immediate: bhs.immediate(),
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
        Bhs::new(Opcode::NOP_OUT)
            .with_data_segment_bytes(data_segment_bytes)
            .with_immediate(self.immediate)
            .with_flags(FINAL)
            .with_lun(self.lun)
            .with_itt(self.itt)
            .with_u32(20, self.ttt.0)
            .with_sn(24, self.cmd_sn)
            .with_sn(28, self.exp_stat_sn)
    }
}
