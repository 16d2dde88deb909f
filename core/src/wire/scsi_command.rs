//! SCSI Command (RFC 7143, section 11.3).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError, flag};
use crate::id::{Itt, Lun};

/// A CDB with what the transport has to know of its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScsiCommand {
    /// The I bit.
    pub immediate: bool,
    /// The F bit: no unsolicited Data-Out follows.
    pub final_bit: bool,
    /// The R bit: Data-In is expected.
    pub read: bool,
    /// The W bit: Data-Out is expected.
    pub write: bool,
    /// Task attribute: three bits, see the constants. Unknown values are kept.
    pub attribute: u8,
    /// The logical unit, in its eight-byte form.
    pub lun: Lun,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// Expected Data Transfer Length, in bytes.
    pub expected_data_transfer_bytes: u32,
    /// CmdSN.
    pub cmd_sn: SerialNumber,
    /// ExpStatSN: the initiator has every status before this one.
    pub exp_stat_sn: SerialNumber,
    /// The CDB, or its first sixteen bytes.
    pub cdb: [u8; 16],
}

const READ: u8 = 0x40;
const WRITE: u8 = 0x20;
const ATTRIBUTE: u8 = 0x07;

impl ScsiCommand {
    /// Attribute: untagged, treated as simple.
    pub const UNTAGGED: u8 = 0;
    /// Attribute: simple.
    pub const SIMPLE: u8 = 1;
    /// Attribute: ordered.
    pub const ORDERED: u8 = 2;
    /// Attribute: head of queue.
    pub const HEAD_OF_QUEUE: u8 = 3;
    /// Attribute: ACA.
    pub const ACA: u8 = 4;
}

impl ScsiCommand {
    /// Reads the fields. Fails when the opcode is another, or when neither F nor W is set.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::SCSI_COMMAND)?;
        let flags = bhs.flags();
        if flags & (FINAL | WRITE) == 0 {
            return Err(WireError::Contradiction("neither F nor W"));
        }
        Ok(Self {
            immediate: bhs.immediate(),
            final_bit: flags & FINAL != 0,
            read: flags & READ != 0,
            write: flags & WRITE != 0,
            attribute: flags & ATTRIBUTE,
            lun: bhs.lun(),
            itt: bhs.itt(),
            expected_data_transfer_bytes: bhs.u32_at(20),
            cmd_sn: bhs.sn_at(24),
            exp_stat_sn: bhs.sn_at(28),
            cdb: bhs.bytes_at(32),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        let flags = flag(self.final_bit, FINAL)
            | flag(self.read, READ)
            | flag(self.write, WRITE)
            | (self.attribute & ATTRIBUTE);
        Bhs::new(Opcode::SCSI_COMMAND)
            .with_data_segment_bytes(data_segment_bytes)
            .with_immediate(self.immediate)
            .with_flags(flags)
            .with_lun(self.lun)
            .with_itt(self.itt)
            .with_u32(20, self.expected_data_transfer_bytes)
            .with_sn(24, self.cmd_sn)
            .with_sn(28, self.exp_stat_sn)
            .with(32, self.cdb)
    }
}
