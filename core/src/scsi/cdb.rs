//! The fields of a command descriptor block (SPC-4, section 4.2).

use crate::task::sense::Sense;

/// Operation codes (SPC-4, annex D; SBC-3, section 5).
pub(crate) mod operation {
    pub(crate) const TEST_UNIT_READY: u8 = 0x00;
    pub(crate) const REQUEST_SENSE: u8 = 0x03;
    pub(crate) const READ_6: u8 = 0x08;
    pub(crate) const WRITE_6: u8 = 0x0a;
    pub(crate) const INQUIRY: u8 = 0x12;
    pub(crate) const MODE_SENSE_6: u8 = 0x1a;
    pub(crate) const START_STOP_UNIT: u8 = 0x1b;
    pub(crate) const READ_CAPACITY_10: u8 = 0x25;
    pub(crate) const READ_10: u8 = 0x28;
    pub(crate) const WRITE_10: u8 = 0x2a;
    pub(crate) const VERIFY_10: u8 = 0x2f;
    pub(crate) const SYNCHRONIZE_CACHE_10: u8 = 0x35;
    pub(crate) const MODE_SENSE_10: u8 = 0x5a;
    pub(crate) const READ_16: u8 = 0x88;
    pub(crate) const WRITE_16: u8 = 0x8a;
    pub(crate) const VERIFY_16: u8 = 0x8f;
    pub(crate) const SYNCHRONIZE_CACHE_16: u8 = 0x91;
    pub(crate) const SERVICE_ACTION_IN_16: u8 = 0x9e;
    pub(crate) const REPORT_LUNS: u8 = 0xa0;
    pub(crate) const MAINTENANCE_IN: u8 = 0xa3;
    pub(crate) const READ_12: u8 = 0xa8;
    pub(crate) const WRITE_12: u8 = 0xaa;
    pub(crate) const VERIFY_12: u8 = 0xaf;
}

/// The service action of SERVICE ACTION IN (16) that we know.
pub(crate) const READ_CAPACITY_16: u8 = 0x10;

/// The service actions of MAINTENANCE IN that we know.
pub(crate) const REPORT_SUPPORTED_OPERATION_CODES: u8 = 0x0c;
pub(crate) const REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS: u8 = 0x0d;

/// What a command does to blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Read,
    Write,
    Verify,
}

/// What VERIFY compares (SBC-3, section 5.32).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ByteCheck {
    /// Nothing: the blocks have to be readable.
    Medium,
    /// The blocks with as many blocks of Data-Out.
    Blocks,
    /// Each block with the one block of Data-Out.
    OneBlock,
}

/// A command descriptor block. Bytes past its length are zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cdb(pub(crate) [u8; 16]);

impl Cdb {
    pub(crate) fn operation_code(&self) -> u8 {
        self.0[0]
    }

    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.0[at]
    }

    pub(crate) fn bit(&self, at: usize, bit: u8) -> bool {
        self.0[at] & (1 << bit) != 0
    }

    pub(crate) fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    pub(crate) fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) << 32 | u64::from(self.u32(at + 4))
    }

    /// Refuses NACA: there is no auto contingent allegiance here (SAM-5, section 5.2).
    pub(crate) fn check_control(&self) -> Result<(), Sense> {
        const NACA: u8 = 2;
        let control = self.length() - 1;
        if self.bit(control, NACA) { Err(Sense::invalid_bit(control as u16, NACA)) } else { Ok(()) }
    }

    /// What the command does to blocks, if it does.
    pub(crate) fn access(&self) -> Option<Access> {
        use operation::*;
        match self.operation_code() {
            READ_6 | READ_10 | READ_12 | READ_16 => Some(Access::Read),
            WRITE_6 | WRITE_10 | WRITE_12 | WRITE_16 => Some(Access::Write),
            VERIFY_10 | VERIFY_12 | VERIFY_16 => Some(Access::Verify),
            _ => None,
        }
    }

    /// First block and number of blocks of READ, WRITE, VERIFY and SYNCHRONIZE CACHE: all of them have the fields of
    /// their CDB length's standard form (SPC-4, section 4.2.2).
    pub(crate) fn block_range(&self) -> (u64, u32) {
        match self.length() {
            6 => {
                let blocks = if self.byte(4) == 0 { 256 } else { u32::from(self.byte(4)) };
                (u64::from(self.u32(0) & 0x001f_ffff), blocks)
            }
            10 => (u64::from(self.u32(2)), u32::from(self.u16(7))),
            12 => (u64::from(self.u32(2)), self.u32(6)),
            _ => (self.u64(2), self.u32(10)),
        }
    }

    /// The byte where [`Cdb::block_range`]'s number of blocks begins.
    pub(crate) fn length_field(&self) -> u16 {
        match self.length() {
            6 => 4,
            10 => 7,
            12 => 6,
            _ => 10,
        }
    }

    /// FUA. The six-byte forms have none.
    pub(crate) fn force_unit_access(&self) -> bool {
        self.length() > 6 && self.bit(1, 3)
    }

    /// Refuses RDPROTECT, WRPROTECT and VRPROTECT: there is no protection information. The six-byte forms have none.
    pub(crate) fn check_protect(&self) -> Result<(), Sense> {
        if self.length() > 6 && self.byte(1) >> 5 != 0 { Err(Sense::invalid_bit(1, 7)) } else { Ok(()) }
    }

    /// BYTCHK of VERIFY; `None` for its reserved value.
    pub(crate) fn byte_check(&self) -> Option<ByteCheck> {
        match self.byte(1) >> 1 & 0b11 {
            0b00 => Some(ByteCheck::Medium),
            0b01 => Some(ByteCheck::Blocks),
            0b11 => Some(ByteCheck::OneBlock),
            _ => None,
        }
    }

    /// The service action of the operation codes that have one in byte 1.
    pub(crate) fn service_action(&self) -> u8 {
        self.byte(1) & 0x1f
    }

    /// The operation code has this service action among others, and it is none of ours (SPC-4, section 4.2.5.2).
    pub(crate) fn refuse_service_action(&self) -> Sense {
        Sense::invalid_bit(1, 4)
    }

    /// Length in bytes, by the group of the operation code (SPC-4, section 4.2.5.1).
    fn length(&self) -> usize {
        match self.operation_code() >> 5 {
            0 => 6,
            1 | 2 => 10,
            5 => 12,
            _ => 16,
        }
    }
}
