//! SCSI Data-In (RFC 7143, section 11.7.2).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError, flag};
use crate::id::{Itt, Lun, Ttt};

/// Data of a read, with the command's status when there is nothing more to say. Without `status_present` the fields
/// `overflow`, `underflow`, `status`, `stat_sn` and `residual` are reserved: read and sent as zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataIn {
    /// The F bit: the last PDU of a burst.
    pub final_bit: bool,
    /// The A bit: asks for a DataACK SNACK; error recovery level 1 and up only.
    pub acknowledge: bool,
    /// The O bit: `residual` bytes did not fit the expected length.
    pub overflow: bool,
    /// The U bit: `residual` bytes of the expected length were not moved.
    pub underflow: bool,
    /// The S bit: this PDU ends the command.
    pub status_present: bool,
    /// SAM status.
    pub status: u8,
    /// The logical unit; meaningful with the A bit.
    pub lun: Lun,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// [`Ttt::NONE`] without the A bit.
    pub ttt: Ttt,
    /// StatSN.
    pub stat_sn: SerialNumber,
    /// ExpCmdSN: the next CmdSN that the target takes in order.
    pub exp_cmd_sn: SerialNumber,
    /// MaxCmdSN: the last CmdSN of the command window.
    pub max_cmd_sn: SerialNumber,
    /// DataSN: counts from zero within the command.
    pub data_sn: u32,
    /// Where in the command's data the segment belongs, in bytes.
    pub buffer_offset: u32,
    /// Residual, in bytes.
    pub residual: u32,
}

const ACKNOWLEDGE: u8 = 0x40;
const OVERFLOW: u8 = 0x04;
const UNDERFLOW: u8 = 0x02;
const STATUS: u8 = 0x01;

impl DataIn {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::DATA_IN)?;
        let flags = bhs.flags();
        let status_present = flags & STATUS != 0;
        Ok(Self {
            final_bit: flags & FINAL != 0,
            acknowledge: flags & ACKNOWLEDGE != 0,
            overflow: status_present && flags & OVERFLOW != 0,
            underflow: status_present && flags & UNDERFLOW != 0,
            status_present,
            status: if status_present { bhs.0[3] } else { 0 },
            lun: bhs.lun(),
            itt: bhs.itt(),
            ttt: Ttt(bhs.u32_at(20)),
            stat_sn: if status_present { bhs.sn_at(24) } else { SerialNumber(0) },
            exp_cmd_sn: bhs.sn_at(28),
            max_cmd_sn: bhs.sn_at(32),
            data_sn: bhs.u32_at(36),
            buffer_offset: bhs.u32_at(40),
            residual: if status_present { bhs.u32_at(44) } else { 0 },
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        let flags = flag(self.final_bit, FINAL) | flag(self.acknowledge, ACKNOWLEDGE);
        let bhs = Bhs::new(Opcode::DATA_IN)
            .with_data_segment_bytes(data_segment_bytes)
            .with_flags(flags)
            .with_lun(self.lun)
            .with_itt(self.itt)
            .with_u32(20, self.ttt.0)
            .with_target_numbers(SerialNumber(0), self.exp_cmd_sn, self.max_cmd_sn)
            .with_u32(36, self.data_sn)
            .with_u32(40, self.buffer_offset);
        if !self.status_present {
            return bhs;
        }
        let flags = flags | STATUS | flag(self.overflow, OVERFLOW) | flag(self.underflow, UNDERFLOW);
        bhs.with(1, [flags, 0, self.status]).with_sn(24, self.stat_sn).with_u32(44, self.residual)
    }
}
