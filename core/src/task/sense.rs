//! Sense data: why a command did not end as asked (SPC-4, section 4.5).

/// A sense key (SPC-4, section 4.5.6); unknown values are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenseKey(pub u8);

impl SenseKey {
    /// Nothing to report.
    pub const NO_SENSE: Self = Self(0x0);
    /// The logical unit cannot be accessed.
    pub const NOT_READY: Self = Self(0x2);
    /// A flaw in the medium or an error in the recorded data.
    pub const MEDIUM_ERROR: Self = Self(0x3);
    /// The device itself failed.
    pub const HARDWARE_ERROR: Self = Self(0x4);
    /// The command cannot be meant.
    pub const ILLEGAL_REQUEST: Self = Self(0x5);
    /// Something happened that the initiator has to know of.
    pub const UNIT_ATTENTION: Self = Self(0x6);
    /// The blocks are protected against this operation.
    pub const DATA_PROTECT: Self = Self(0x7);
    /// The target ended the command.
    pub const ABORTED_COMMAND: Self = Self(0xb);
    /// The data did not match the medium.
    pub const MISCOMPARE: Self = Self(0xe);
}

/// How sense data is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SenseFormat {
    /// 18 bytes; INFORMATION has 32 bits (SPC-4, section 4.5.3).
    Fixed,
    /// A header and descriptors; INFORMATION has 64 bits (SPC-4, section 4.5.2).
    Descriptor,
}

/// The part of the CDB that is wrong (SPC-4, section 4.5.2.4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldPointer {
    /// The byte where the field begins.
    pub byte: u16,
    /// The leftmost bit of the field, if it does not begin with its byte: 7 is the most significant.
    pub bit: Option<u8>,
}

/// Sense data before it is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sense {
    /// What kind of condition.
    pub key: SenseKey,
    /// ADDITIONAL SENSE CODE in the high byte, its QUALIFIER in the low one.
    pub code: u16,
    /// INFORMATION: a block address or a byte offset, as the code says.
    pub information: Option<u64>,
    /// Which field of the CDB is to blame.
    pub field: Option<FieldPointer>,
    /// The condition belongs to an earlier command.
    pub deferred: bool,
}

impl Sense {
    /// NO ADDITIONAL SENSE INFORMATION.
    pub const NONE: Self = Self::new(SenseKey::NO_SENSE, 0x0000);
    /// LOGICAL UNIT NOT READY, INITIALIZING COMMAND REQUIRED: it was stopped.
    pub const STOPPED: Self = Self::new(SenseKey::NOT_READY, 0x0402);
    /// LOGICAL UNIT NOT READY, CAUSE NOT REPORTABLE: the device behind it is gone.
    pub const DEVICE_GONE: Self = Self::new(SenseKey::NOT_READY, 0x0400);
    /// WRITE ERROR.
    pub const WRITE_ERROR: Self = Self::new(SenseKey::MEDIUM_ERROR, 0x0c00);
    /// INVALID FIELD IN COMMAND INFORMATION UNIT: less data came than the CDB needs.
    pub const DATA_TOO_SHORT: Self = Self::new(SenseKey::ILLEGAL_REQUEST, 0x0e03);
    /// LOGICAL BLOCK ADDRESS OUT OF RANGE.
    pub const LBA_OUT_OF_RANGE: Self = Self::new(SenseKey::ILLEGAL_REQUEST, 0x2100);
    /// LOGICAL UNIT NOT SUPPORTED.
    pub const LOGICAL_UNIT_NOT_SUPPORTED: Self = Self::new(SenseKey::ILLEGAL_REQUEST, 0x2500);
    /// SAVING PARAMETERS NOT SUPPORTED.
    pub const SAVING_NOT_SUPPORTED: Self = Self::new(SenseKey::ILLEGAL_REQUEST, 0x3900);
    /// WRITE PROTECTED.
    pub const WRITE_PROTECTED: Self = Self::new(SenseKey::DATA_PROTECT, 0x2700);
    /// SPACE ALLOCATION FAILED WRITE PROTECT: the store is full.
    pub const SPACE_EXHAUSTED: Self = Self::new(SenseKey::DATA_PROTECT, 0x2707);

    /// A current condition without further detail.
    #[must_use]
    pub const fn new(key: SenseKey, code: u16) -> Self {
        Self { key, code, information: None, field: None, deferred: false }
    }

    /// INVALID COMMAND OPERATION CODE.
    #[must_use]
    pub const fn invalid_operation_code() -> Self {
        Self { field: Some(FieldPointer { byte: 0, bit: None }), ..Self::new(SenseKey::ILLEGAL_REQUEST, 0x2000) }
    }

    /// INVALID FIELD IN CDB, for a field that begins with `byte`.
    #[must_use]
    pub const fn invalid_field(byte: u16) -> Self {
        Self { field: Some(FieldPointer { byte, bit: None }), ..Self::new(SenseKey::ILLEGAL_REQUEST, 0x2400) }
    }

    /// INVALID FIELD IN CDB, for a field whose leftmost bit is `bit` of `byte`.
    #[must_use]
    pub const fn invalid_bit(byte: u16, bit: u8) -> Self {
        Self { field: Some(FieldPointer { byte, bit: Some(bit) }), ..Self::new(SenseKey::ILLEGAL_REQUEST, 0x2400) }
    }

    /// UNRECOVERED READ ERROR, at block `lba` or after it.
    #[must_use]
    pub const fn read_error(lba: u64) -> Self {
        Self { information: Some(lba), ..Self::new(SenseKey::MEDIUM_ERROR, 0x1100) }
    }

    /// MISCOMPARE DURING VERIFY OPERATION, `offset_bytes` into the verified range.
    #[must_use]
    pub const fn miscompare(offset_bytes: u64) -> Self {
        Self { information: Some(offset_bytes), ..Self::new(SenseKey::MISCOMPARE, 0x1d00) }
    }

    /// A unit attention condition with the given code.
    #[must_use]
    pub const fn unit_attention(code: u16) -> Self {
        Self::new(SenseKey::UNIT_ATTENTION, code)
    }

    /// The bytes, laid out as `format` says.
    #[must_use]
    pub fn encode(&self, format: SenseFormat) -> Vec<u8> {
        match format {
            SenseFormat::Fixed => self.fixed().to_vec(),
            SenseFormat::Descriptor => self.descriptors(),
        }
    }

    fn fixed(&self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[0] = 0x70 | u8::from(self.deferred);
        bytes[2] = self.key.0;
        // A value that does not fit is left out, and VALID says so.
        if let Some(information) = self.information.and_then(|value| u32::try_from(value).ok()) {
            bytes[0] |= VALID;
            bytes[3..7].copy_from_slice(&information.to_be_bytes());
        }
        bytes[7] = 10;
        bytes[12..14].copy_from_slice(&self.code.to_be_bytes());
        if let Some(field) = self.field {
            bytes[15..18].copy_from_slice(&field.encode());
        }
        bytes
    }

    fn descriptors(&self) -> Vec<u8> {
        let [asc, ascq] = self.code.to_be_bytes();
        let mut bytes = vec![0x72 | u8::from(self.deferred), self.key.0, asc, ascq, 0, 0, 0, 0];
        if let Some(information) = self.information {
            bytes.extend_from_slice(&[0x00, 0x0a, VALID, 0]);
            bytes.extend_from_slice(&information.to_be_bytes());
        }
        if let Some(field) = self.field {
            bytes.extend_from_slice(&[0x02, 0x06, 0, 0]);
            bytes.extend_from_slice(&field.encode());
            bytes.push(0);
        }
        bytes[7] = (bytes.len() - 8) as u8;
        bytes
    }
}

impl FieldPointer {
    /// The sense key specific bytes for ILLEGAL REQUEST, with SKSV set and the pointer into the CDB.
    fn encode(self) -> [u8; 3] {
        const SKSV: u8 = 0x80;
        const IN_CDB: u8 = 0x40;
        const BIT_POINTER_VALID: u8 = 0x08;
        let [high, low] = self.byte.to_be_bytes();
        [SKSV | IN_CDB | self.bit.map_or(0, |bit| BIT_POINTER_VALID | bit), high, low]
    }
}

const VALID: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_sense_of_a_wrong_bit_points_at_it() {
        let bytes = Sense::invalid_bit(1, 7).encode(SenseFormat::Fixed);
        assert_eq!(bytes, [0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xcf, 0, 1]);
    }

    #[test]
    fn fixed_sense_of_a_wrong_byte_has_no_bit_pointer() {
        let bytes = Sense::invalid_field(2).encode(SenseFormat::Fixed);
        assert_eq!(bytes[15..], [0xc0, 0, 2]);
    }

    #[test]
    fn descriptor_sense_carries_information_and_field() {
        let sense = Sense { field: Some(FieldPointer { byte: 0x0102, bit: None }), ..Sense::read_error(0x1_0000_0000) };
        assert_eq!(
            sense.encode(SenseFormat::Descriptor),
            [
                0x72, 3, 0x11, 0, 0, 0, 0, 20, // header
                0, 10, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, // information
                2, 6, 0, 0, 0xc0, 1, 2, 0, // sense key specific
            ]
        );
    }

    #[test]
    fn information_past_32_bits_is_not_valid_in_fixed_sense() {
        assert_eq!(Sense::read_error(7).encode(SenseFormat::Fixed)[..7], [0xf0, 0, 3, 0, 0, 0, 7]);
        assert_eq!(Sense::read_error(1 << 32).encode(SenseFormat::Fixed)[..7], [0x70, 0, 3, 0, 0, 0, 0]);
    }

    #[test]
    fn deferred_sense_has_its_own_response_codes() {
        let sense = Sense { deferred: true, ..Sense::WRITE_ERROR };
        assert_eq!(sense.encode(SenseFormat::Fixed)[0], 0x71);
        assert_eq!(sense.encode(SenseFormat::Descriptor)[0], 0x73);
    }
}
