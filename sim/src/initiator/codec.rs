//! iSCSI PDUs as RFC 7143 section 11 draws them: a basic header segment of 48 bytes, additional header segments, a
//! data segment, each with its padding and digest.
//!
//! [`RawPdu`] keeps the bytes as they are and reads fields at their offsets, so that a PDU that breaks a rule can be
//! built and looked at as easily as a good one. Written from the RFC's tables; the target's codec is another.

mod decoder;
mod request;
pub mod serial;
#[cfg(test)]
mod tests;
pub mod text;

pub use decoder::{DecodeError, Decoder, Digests};

/// Length of the basic header segment in bytes.
pub const BHS_BYTES: usize = 48;
/// The reserved tag: no task (RFC 7143, 11.2.1.8), no transfer (11.7.4).
pub const NO_TAG: u32 = 0xffff_ffff;

/// Byte 1 of a login request from the operational stage straight to full feature phase: T, CSG 1, NSG 3 (RFC 7143, 11.12).
pub const TO_FULL_FEATURE: u8 = 0x87;

/// The tag after `tag`, never the reserved one.
#[must_use]
pub fn next_tag(tag: u32) -> u32 {
    if tag >= NO_TAG - 1 { 0 } else { tag + 1 }
}

/// Operation codes (RFC 7143, 11.2.1.2).
pub mod opcode {
    /// NOP-Out, from the initiator.
    pub const NOP_OUT: u8 = 0x00;
    /// SCSI Command, from the initiator.
    pub const SCSI_COMMAND: u8 = 0x01;
    /// Task Management Function Request, from the initiator.
    pub const TASK_MANAGEMENT: u8 = 0x02;
    /// Login Request, from the initiator.
    pub const LOGIN: u8 = 0x03;
    /// Text Request, from the initiator.
    pub const TEXT: u8 = 0x04;
    /// SCSI Data-Out, from the initiator.
    pub const DATA_OUT: u8 = 0x05;
    /// Logout Request, from the initiator.
    pub const LOGOUT: u8 = 0x06;
    /// SNACK Request, from the initiator.
    pub const SNACK: u8 = 0x10;
    /// NOP-In, from the target.
    pub const NOP_IN: u8 = 0x20;
    /// SCSI Response, from the target.
    pub const SCSI_RESPONSE: u8 = 0x21;
    /// Task Management Function Response, from the target.
    pub const TASK_MANAGEMENT_RESPONSE: u8 = 0x22;
    /// Login Response, from the target.
    pub const LOGIN_RESPONSE: u8 = 0x23;
    /// Text Response, from the target.
    pub const TEXT_RESPONSE: u8 = 0x24;
    /// SCSI Data-In, from the target.
    pub const DATA_IN: u8 = 0x25;
    /// Logout Response, from the target.
    pub const LOGOUT_RESPONSE: u8 = 0x26;
    /// Ready To Transfer, from the target.
    pub const R2T: u8 = 0x31;
    /// Asynchronous Message, from the target.
    pub const ASYNC_MESSAGE: u8 = 0x32;
    /// Reject, from the target.
    pub const REJECT: u8 = 0x3f;
}

/// One PDU as it is on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawPdu {
    /// Basic header segment.
    pub bhs: [u8; BHS_BYTES],
    /// Additional header segments, with their padding: a multiple of four bytes.
    pub ahs: Vec<u8>,
    /// Data segment without padding.
    pub data: Vec<u8>,
    /// Padding of the data segment: none to three bytes, zero if the sender keeps to the rule.
    pub pad: Vec<u8>,
    /// Whether the header digest was right; `None` without header digests.
    pub header_digest_ok: Option<bool>,
    /// Whether the data digest was right; `None` without data digests or without data.
    pub data_digest_ok: Option<bool>,
}

impl RawPdu {
    /// A PDU of `opcode` with nothing else set.
    #[must_use]
    pub fn new(opcode: u8) -> Self {
        let mut bhs = [0; BHS_BYTES];
        bhs[0] = opcode;
        Self { bhs, ahs: Vec::new(), data: Vec::new(), pad: Vec::new(), header_digest_ok: None, data_digest_ok: None }
    }

    /// One of its digests was wrong.
    #[must_use]
    pub fn has_wrong_digest(&self) -> bool {
        self.header_digest_ok == Some(false) || self.data_digest_ok == Some(false)
    }

    /// The bytes to send, with TotalAHSLength and DataSegmentLength set to what is there.
    #[must_use]
    pub fn encode(self, digests: Digests) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_behind(&mut bytes, digests);
        bytes
    }

    /// As [`Self::encode`], behind what `bytes` holds.
    pub fn encode_behind(mut self, bytes: &mut Vec<u8>, digests: Digests) {
        assert!(self.ahs.len().is_multiple_of(4), "additional header segments are padded to words");
        self.bhs[4] = (self.ahs.len() / 4) as u8;
        let length = (self.data.len() as u32).to_be_bytes();
        self.bhs[5..8].copy_from_slice(&length[1..]);
        self.put(bytes, digests);
    }

    /// The bytes to send, with the length fields as they are: they may lie.
    #[must_use]
    pub fn encode_as_is(self, digests: Digests) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.put(&mut bytes, digests);
        bytes
    }

    fn put(&self, bytes: &mut Vec<u8>, digests: Digests) {
        let (header_at, padded) = (bytes.len(), self.data.len().next_multiple_of(4));
        bytes.reserve(BHS_BYTES + self.ahs.len() + padded + 8);
        bytes.extend_from_slice(&self.bhs);
        bytes.extend_from_slice(&self.ahs);
        if digests.header {
            let digest = crc32c::crc32c(&bytes[header_at..]);
            bytes.extend_from_slice(&digest.to_le_bytes());
        }
        let data_at = bytes.len();
        bytes.extend_from_slice(&self.data);
        bytes.resize(data_at + padded, 0);
        if digests.data && !self.data.is_empty() {
            let digest = crc32c::crc32c(&bytes[data_at..]);
            bytes.extend_from_slice(&digest.to_le_bytes());
        }
    }

    /// The same PDU, marked for immediate delivery (I bit).
    #[must_use]
    pub fn immediate(mut self) -> Self {
        self.bhs[0] |= 0x40;
        self
    }

    /// Operation code, without the I bit.
    #[must_use]
    pub fn opcode(&self) -> u8 {
        self.bhs[0] & 0x3f
    }

    /// The I bit: delivered at once, outside the order of CmdSN.
    #[must_use]
    pub fn is_immediate(&self) -> bool {
        self.bhs[0] & 0x40 != 0
    }

    /// Byte 1: F and whatever the operation code makes of the rest.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.bhs[1]
    }

    /// F bit, called T in login PDUs: the last of a sequence.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.bhs[1] & 0x80 != 0
    }

    /// C bit of login and text PDUs: the text goes on in the next PDU.
    #[must_use]
    pub fn continues(&self) -> bool {
        self.bhs[1] & 0x40 != 0
    }

    /// TotalAHSLength field in bytes.
    #[must_use]
    pub fn ahs_bytes(&self) -> usize {
        usize::from(self.bhs[4]) * 4
    }

    /// DataSegmentLength field in bytes.
    #[must_use]
    pub fn data_bytes(&self) -> usize {
        u32::from_be_bytes([0, self.bhs[5], self.bhs[6], self.bhs[7]]) as usize
    }

    /// LUN field as it is (SAM-5, 4.7).
    #[must_use]
    pub fn lun_field(&self) -> u64 {
        u64::from(self.u32_at(8)) << 32 | u64::from(self.u32_at(12))
    }

    /// Initiator Task Tag.
    #[must_use]
    pub fn initiator_task_tag(&self) -> u32 {
        self.u32_at(16)
    }

    /// Target Transfer Tag of R2T, Data-In, Data-Out, NOP and text PDUs.
    #[must_use]
    pub fn target_transfer_tag(&self) -> u32 {
        self.u32_at(20)
    }

    /// A big-endian number of four bytes at `at`.
    #[must_use]
    pub fn u32_at(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.bhs[at], self.bhs[at + 1], self.bhs[at + 2], self.bhs[at + 3]])
    }

    /// A big-endian number of two bytes at `at`.
    #[must_use]
    pub fn u16_at(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.bhs[at], self.bhs[at + 1]])
    }

    /// Sets a big-endian number of four bytes at `at`.
    pub fn set_u32(&mut self, at: usize, value: u32) {
        self.bhs[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// Sets a big-endian number of two bytes at `at`.
    pub fn set_u16(&mut self, at: usize, value: u16) {
        self.bhs[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }

    /// Sets the LUN field to logical unit `lun`: peripheral addressing below 256, flat space above (SAM-5, 4.7.7).
    pub fn set_lun(&mut self, lun: u16) {
        let field = if lun < 256 { lun } else { lun | 0x4000 };
        self.set_u16(8, field);
    }

    /// The same PDU with its LUN in flat space addressing, which every single-level LUN has (SAM-5, 4.7.7.3).
    #[must_use]
    pub fn flat(mut self) -> Self {
        self.bhs[8] |= 0x40;
        self
    }

    /// The logical unit that the LUN field means: a small LUN has two addresses, of which this is the peripheral one.
    #[must_use]
    pub fn logical_unit(&self) -> u64 {
        let field = self.lun_field();
        if field >> 56 == 0x40 { field & 0x00ff_ffff_ffff_ffff } else { field }
    }
}

/// Fields of PDUs from the initiator.
impl RawPdu {
    /// CmdSN.
    #[must_use]
    pub fn cmd_sn(&self) -> u32 {
        self.u32_at(24)
    }

    /// ExpStatSN.
    #[must_use]
    pub fn exp_stat_sn(&self) -> u32 {
        self.u32_at(28)
    }

    /// SCSI Command: Expected Data Transfer Length in bytes.
    #[must_use]
    pub fn expected_data_transfer_length(&self) -> u32 {
        self.u32_at(20)
    }

    /// SCSI Command: the CDB, without what an AHS may add.
    #[must_use]
    pub fn cdb(&self) -> [u8; 16] {
        let mut cdb = [0; 16];
        cdb.copy_from_slice(&self.bhs[32..48]);
        cdb
    }

    /// SCSI Command: R, data comes in.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.bhs[1] & 0x40 != 0
    }

    /// SCSI Command: W, data goes out.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.bhs[1] & 0x20 != 0
    }

    /// SCSI Command: task attribute (0 untagged, 1 SIMPLE, 2 ORDERED, 3 HEAD OF QUEUE, 4 ACA).
    #[must_use]
    pub fn task_attribute(&self) -> u8 {
        self.bhs[1] & 0x07
    }

    /// Task management request: the function.
    #[must_use]
    pub fn task_management_function(&self) -> u8 {
        self.bhs[1] & 0x7f
    }

    /// Task management request: Referenced Task Tag.
    #[must_use]
    pub fn referenced_task_tag(&self) -> u32 {
        self.u32_at(20)
    }

    /// Task management request: RefCmdSN.
    #[must_use]
    pub fn ref_cmd_sn(&self) -> u32 {
        self.u32_at(32)
    }

    /// Logout request: the reason.
    #[must_use]
    pub fn logout_reason(&self) -> u8 {
        self.bhs[1] & 0x7f
    }
}

/// Fields of PDUs from the target.
impl RawPdu {
    /// StatSN.
    #[must_use]
    pub fn stat_sn(&self) -> u32 {
        self.u32_at(24)
    }

    /// ExpCmdSN.
    #[must_use]
    pub fn exp_cmd_sn(&self) -> u32 {
        self.u32_at(28)
    }

    /// MaxCmdSN.
    #[must_use]
    pub fn max_cmd_sn(&self) -> u32 {
        self.u32_at(32)
    }

    /// SCSI Response, task management, logout: the response; Reject: the reason.
    #[must_use]
    pub fn response(&self) -> u8 {
        self.bhs[2]
    }

    /// SCSI Response and Data-In with status: SAM status.
    #[must_use]
    pub fn status(&self) -> u8 {
        self.bhs[3]
    }

    /// Data-In: S, the PDU carries status.
    #[must_use]
    pub fn has_status(&self) -> bool {
        self.bhs[1] & 0x01 != 0
    }

    /// Data-In: A, an acknowledgement is asked for.
    #[must_use]
    pub fn asks_acknowledgement(&self) -> bool {
        self.bhs[1] & 0x40 != 0
    }

    /// SCSI Response and Data-In with status: O, the residual is an overflow.
    #[must_use]
    pub fn residual_overflow(&self) -> bool {
        self.bhs[1] & 0x04 != 0
    }

    /// SCSI Response and Data-In with status: U, the residual is an underflow.
    #[must_use]
    pub fn residual_underflow(&self) -> bool {
        self.bhs[1] & 0x02 != 0
    }

    /// SCSI Response and Data-In: residual count in bytes.
    #[must_use]
    pub fn residual(&self) -> u32 {
        self.u32_at(44)
    }

    /// SCSI Response: ExpDataSN, the number of Data-In and R2T PDUs of the command.
    #[must_use]
    pub fn exp_data_sn(&self) -> u32 {
        self.u32_at(36)
    }

    /// Data-In, Data-Out, R2T: DataSN or R2TSN.
    #[must_use]
    pub fn data_sn(&self) -> u32 {
        self.u32_at(36)
    }

    /// Data-In, Data-Out, R2T: buffer offset in bytes.
    #[must_use]
    pub fn buffer_offset(&self) -> u32 {
        self.u32_at(40)
    }

    /// R2T: desired data transfer length in bytes.
    #[must_use]
    pub fn desired_length(&self) -> u32 {
        self.u32_at(44)
    }

    /// Login PDUs: current stage (0 security, 1 operational, 3 full feature phase).
    #[must_use]
    pub fn current_stage(&self) -> u8 {
        self.bhs[1] >> 2 & 3
    }

    /// Login PDUs: next stage; of meaning with T only.
    #[must_use]
    pub fn next_stage(&self) -> u8 {
        self.bhs[1] & 3
    }

    /// Login PDUs: ISID.
    #[must_use]
    pub fn isid(&self) -> [u8; 6] {
        [self.bhs[8], self.bhs[9], self.bhs[10], self.bhs[11], self.bhs[12], self.bhs[13]]
    }

    /// Login PDUs: TSIH.
    #[must_use]
    pub fn tsih(&self) -> u16 {
        self.u16_at(14)
    }

    /// Login response: status class in the high byte, detail in the low one.
    #[must_use]
    pub fn login_status(&self) -> u16 {
        self.u16_at(36)
    }

    /// Logout response: Time2Wait in seconds.
    #[must_use]
    pub fn time2wait(&self) -> u16 {
        self.u16_at(40)
    }

    /// Logout response: Time2Retain in seconds.
    #[must_use]
    pub fn time2retain(&self) -> u16 {
        self.u16_at(42)
    }

    /// Asynchronous message: AsyncEvent.
    #[must_use]
    pub fn async_event(&self) -> u8 {
        self.bhs[36]
    }

    /// SCSI Response with CHECK CONDITION: the sense data behind its length prefix (RFC 7143, 11.4.7.2), if it is
    /// whole.
    #[must_use]
    pub fn sense(&self) -> Option<&[u8]> {
        let length = u16::from_be_bytes([*self.data.first()?, *self.data.get(1)?]);
        self.data.get(2..2 + usize::from(length)).filter(|sense| !sense.is_empty())
    }

    /// Whether the PDU advances StatSN (RFC 7143, 4.2.2.2): all but R2T, Data-In without status and a NOP-In that
    /// answers no NOP-Out.
    #[must_use]
    pub fn consumes_stat_sn(&self) -> bool {
        match self.opcode() {
            opcode::R2T => false,
            opcode::DATA_IN => self.has_status(),
            opcode::NOP_IN => self.initiator_task_tag() != NO_TAG,
            _ => true,
        }
    }
}
