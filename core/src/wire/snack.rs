//! SNACK Request (RFC 7143, section 11.16).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError};
use crate::id::{Itt, Lun, Ttt};

/// Asks for PDUs again, or acknowledges data; error recovery level 1 and up only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snack {
    /// Type: four bits, see the constants.
    pub kind: u8,
    /// The logical unit, in its eight-byte form.
    pub lun: Lun,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// Target Transfer Tag or SNACK Tag.
    pub ttt: Ttt,
    /// ExpStatSN: the initiator has every status before this one.
    pub exp_stat_sn: SerialNumber,
    /// BegRun: the first number wanted.
    pub beg_run: u32,
    /// RunLength: how many; zero means all.
    pub run_length: u32,
}

impl Snack {
    /// Type: Data-In or R2T PDUs again.
    pub const DATA_OR_R2T: u8 = 0;
    /// Type: status PDUs again.
    pub const STATUS: u8 = 1;
    /// Type: acknowledges data.
    pub const DATA_ACK: u8 = 2;
    /// Type: Data-In PDUs again, cut anew.
    pub const R_DATA: u8 = 3;
}

impl Snack {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::SNACK)?;
        Ok(Self {
            kind: bhs.flags() & 0x0f,
            lun: bhs.lun(),
            itt: bhs.itt(),
            ttt: Ttt(bhs.u32_at(20)),
            exp_stat_sn: bhs.sn_at(28),
            beg_run: bhs.u32_at(40),
            run_length: bhs.u32_at(44),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::SNACK)
            .with_data_segment_bytes(data_segment_bytes)
            .with_flags(FINAL | (self.kind & 0x0f))
            .with_lun(self.lun)
            .with_itt(self.itt)
            .with_u32(20, self.ttt.0)
            .with_sn(28, self.exp_stat_sn)
            .with_u32(40, self.beg_run)
            .with_u32(44, self.run_length)
    }
}
