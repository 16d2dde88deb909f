//! The basic header segment (RFC 7143, section 11.2.1).

use super::{BHS_BYTES, Opcode, SerialNumber, WireError};
use crate::id::{Itt, Lun};

/// The I bit of byte 0.
const IMMEDIATE: u8 = 0x40;

/// The 48 bytes that begin every PDU. Any content is a valid `Bhs`; what it means is for the PDU types to say.
///
/// Offsets are those of the RFC's tables. The accessors by offset are for offsets that are constants of a PDU's
/// layout: one past the end is a mistake of ours and panics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bhs(pub [u8; BHS_BYTES]);

impl Bhs {
    /// A BHS of zeros but for the opcode.
    #[must_use]
    pub fn new(opcode: Opcode) -> Self {
        let mut bytes = [0; BHS_BYTES];
        bytes[0] = opcode.0;
        Self(bytes)
    }

    /// The opcode, known or not, without the I bit.
    #[must_use]
    pub fn opcode(&self) -> Opcode {
        Opcode(self.0[0] & 0x3f)
    }

    /// The I bit: deliver at once, outside the order of CmdSN.
    #[must_use]
    pub fn immediate(&self) -> bool {
        self.0[0] & IMMEDIATE != 0
    }

    /// Byte 1: the F bit and what the opcode defines.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.0[1]
    }

    /// Length of all additional header segments in bytes: 0 to 1,020, a multiple of four.
    #[must_use]
    pub fn ahs_bytes(&self) -> usize {
        usize::from(self.0[4]) * 4
    }

    /// Length of the data segment in bytes, without padding: 0 to 2^24 - 1.
    #[must_use]
    pub fn data_segment_bytes(&self) -> usize {
        (self.u32_at(4) & 0x00ff_ffff) as usize
    }

    /// Bytes 8 to 15 as a LUN.
    #[must_use]
    pub fn lun(&self) -> Lun {
        Lun(self.u64_at(8))
    }

    /// The Initiator Task Tag.
    #[must_use]
    pub fn itt(&self) -> Itt {
        Itt(self.u32_at(16))
    }

    /// `N` bytes from `offset` on.
    #[must_use]
    pub fn bytes_at<const N: usize>(&self, offset: usize) -> [u8; N] {
        std::array::from_fn(|index| self.0[offset + index])
    }

    /// Two bytes, most significant first.
    #[must_use]
    pub fn u16_at(&self, offset: usize) -> u16 {
        u16::from_be_bytes(self.bytes_at(offset))
    }

    /// Four bytes, most significant first.
    #[must_use]
    pub fn u32_at(&self, offset: usize) -> u32 {
        u32::from_be_bytes(self.bytes_at(offset))
    }

    /// Eight bytes, most significant first.
    #[must_use]
    pub fn u64_at(&self, offset: usize) -> u64 {
        u64::from_be_bytes(self.bytes_at(offset))
    }

    /// A sequence number.
    #[must_use]
    pub fn sn_at(&self, offset: usize) -> SerialNumber {
        SerialNumber(self.u32_at(offset))
    }

    /// `Ok` when the opcode is `opcode`.
    pub fn expect(&self, opcode: Opcode) -> Result<(), WireError> {
        if self.opcode() == opcode {
            Ok(())
        } else {
            Err(WireError::WrongOpcode { expected: opcode, found: self.opcode() })
        }
    }

    /// With the I bit set to `immediate`.
    #[must_use]
    pub fn with_immediate(mut self, immediate: bool) -> Self {
        self.0[0] = self.opcode().0 | super::flag(immediate, IMMEDIATE);
        self
    }

    /// With byte 1 set.
    #[must_use]
    pub fn with_flags(self, flags: u8) -> Self {
        self.with(1, [flags])
    }

    /// With TotalAHSLength set to `bytes`, a multiple of four up to 1,020.
    #[must_use]
    pub fn with_ahs_bytes(self, bytes: usize) -> Self {
        debug_assert!(bytes <= 1_020 && bytes.is_multiple_of(4));
        self.with(4, [(bytes / 4) as u8])
    }

    /// With DataSegmentLength set to `bytes`, less than 2^24.
    #[must_use]
    pub fn with_data_segment_bytes(self, bytes: usize) -> Self {
        debug_assert!(bytes < 1 << 24);
        let [_, high, middle, low] = (bytes as u32).to_be_bytes();
        self.with(5, [high, middle, low])
    }

    /// With the LUN set.
    #[must_use]
    pub fn with_lun(self, lun: Lun) -> Self {
        self.with(8, lun.0.to_be_bytes())
    }

    /// With the Initiator Task Tag set.
    #[must_use]
    pub fn with_itt(self, itt: Itt) -> Self {
        self.with_u32(16, itt.0)
    }

    /// With two bytes set, most significant first.
    #[must_use]
    pub fn with_u16(self, offset: usize, value: u16) -> Self {
        self.with(offset, value.to_be_bytes())
    }

    /// With four bytes set, most significant first.
    #[must_use]
    pub fn with_u32(self, offset: usize, value: u32) -> Self {
        self.with(offset, value.to_be_bytes())
    }

    /// With a sequence number set.
    #[must_use]
    pub fn with_sn(self, offset: usize, value: SerialNumber) -> Self {
        self.with_u32(offset, value.0)
    }

    /// With StatSN, ExpCmdSN and MaxCmdSN set, which all PDUs from the target have at the same place.
    #[must_use]
    pub fn with_target_numbers(self, stat: SerialNumber, exp_cmd: SerialNumber, max_cmd: SerialNumber) -> Self {
        self.with_sn(24, stat).with_sn(28, exp_cmd).with_sn(32, max_cmd)
    }

    /// With `bytes` at `offset`.
    #[must_use]
    pub fn with<const N: usize>(mut self, offset: usize, bytes: [u8; N]) -> Self {
        self.0[offset..offset + N].copy_from_slice(&bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ahs_and_data_segment_lengths_share_a_word_without_touching() {
        let bhs = Bhs::new(Opcode::SCSI_COMMAND).with_ahs_bytes(1_020).with_data_segment_bytes(0x01_0203);
        assert_eq!((bhs.ahs_bytes(), bhs.data_segment_bytes()), (1_020, 0x01_0203));
        assert_eq!(bhs.0[4..8], [255, 1, 2, 3]);
    }

    #[test]
    fn immediate_bit_is_no_part_of_the_opcode() {
        let bhs = Bhs::new(Opcode::NOP_OUT).with_immediate(true);
        assert_eq!((bhs.opcode(), bhs.immediate(), bhs.0[0]), (Opcode::NOP_OUT, true, 0x40));
        assert!(!bhs.with_immediate(false).immediate());
    }
}
