//! SCSI Data-Out (RFC 7143, section 11.7.1).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError, flag};
use crate::id::{Itt, Lun, Ttt};

/// Data of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataOut {
    /// The F bit.
    pub final_bit: bool,
    /// The logical unit, in its eight-byte form.
    pub lun: Lun,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// Target Transfer Tag of the R2T that asked; [`Ttt::NONE`] when the data is unsolicited.
    pub ttt: Ttt,
    /// ExpStatSN: the initiator has every status before this one.
    pub exp_stat_sn: SerialNumber,
    /// DataSN: counts from zero within one sequence.
    pub data_sn: u32,
    /// Where in the command's data the segment belongs, in bytes.
    pub buffer_offset: u32,
}

impl DataOut {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::DATA_OUT)?;
        Ok(Self {
            final_bit: bhs.flags() & FINAL != 0,
            lun: bhs.lun(),
            itt: bhs.itt(),
            ttt: Ttt(bhs.u32_at(20)),
            exp_stat_sn: bhs.sn_at(28),
            data_sn: bhs.u32_at(36),
            buffer_offset: bhs.u32_at(40),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::DATA_OUT)
            .with_data_segment_bytes(data_segment_bytes)
            .with_flags(flag(self.final_bit, FINAL))
            .with_lun(self.lun)
            .with_itt(self.itt)
            .with_u32(20, self.ttt.0)
            .with_sn(28, self.exp_stat_sn)
            .with_u32(36, self.data_sn)
            .with_u32(40, self.buffer_offset)
    }
}
