//! Reject (RFC 7143, section 11.17).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError};
use crate::id::Itt;

/// Says that a PDU was not taken. The data segment is the BHS (with AHS) of that PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reject {
    /// See the constants.
    pub reason: u8,
    /// StatSN.
    pub stat_sn: SerialNumber,
    /// ExpCmdSN: the next CmdSN that the target takes in order.
    pub exp_cmd_sn: SerialNumber,
    /// MaxCmdSN: the last CmdSN of the command window.
    pub max_cmd_sn: SerialNumber,
    /// DataSN or R2TSN, for a protocol error in a sequence; else zero.
    pub data_sn: u32,
}

impl Reject {
    /// Reason: the data digest is wrong.
    pub const DATA_DIGEST_ERROR: u8 = 0x02;
    /// Reason: the SNACK cannot be fulfilled.
    pub const SNACK_REJECT: u8 = 0x03;
    /// Reason: the PDU breaks the protocol.
    pub const PROTOCOL_ERROR: u8 = 0x04;
    /// Reason: the target does not know the opcode.
    pub const COMMAND_NOT_SUPPORTED: u8 = 0x05;
    /// Reason: too many immediate commands.
    pub const IMMEDIATE_COMMAND_REJECT: u8 = 0x06;
    /// Reason: the tag is in use.
    pub const TASK_IN_PROGRESS: u8 = 0x07;
    /// Reason: the data acknowledgement is wrong.
    pub const INVALID_DATA_ACK: u8 = 0x08;
    /// Reason: a field has an illegal value.
    pub const INVALID_PDU_FIELD: u8 = 0x09;
    /// Reason: there is no room for so long a negotiation. (0x0b, of older targets, must not be used any more.)
    pub const LONG_OPERATION_REJECT: u8 = 0x0a;
    /// Reason: the initiator was asked to log out.
    pub const WAITING_FOR_LOGOUT: u8 = 0x0c;

    /// What the peer did that `reason` answers, in words for a log line.
    #[must_use]
    pub fn meaning(reason: u8) -> &'static str {
        match reason {
            Self::DATA_DIGEST_ERROR => "a PDU was rejected: its data digest is wrong",
            Self::SNACK_REJECT => "a PDU was rejected: SNACK is for higher error recovery levels",
            Self::PROTOCOL_ERROR => "a PDU was rejected: it breaks the protocol",
            Self::COMMAND_NOT_SUPPORTED => "a PDU was rejected: its kind is not supported",
            Self::IMMEDIATE_COMMAND_REJECT => "a PDU was rejected: too many immediate commands",
            Self::TASK_IN_PROGRESS => "a PDU was rejected: its tag is in use",
            Self::INVALID_PDU_FIELD => "a PDU was rejected: a field is wrong",
            Self::LONG_OPERATION_REJECT => "a PDU was rejected: its negotiation is too long",
            Self::WAITING_FOR_LOGOUT => "a PDU was rejected: after a logout",
            _ => "a PDU was rejected",
        }
    }
}

impl Reject {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::REJECT)?;
        Ok(Self {
            reason: bhs.0[2],
            stat_sn: bhs.sn_at(24),
            exp_cmd_sn: bhs.sn_at(28),
            max_cmd_sn: bhs.sn_at(32),
            data_sn: bhs.u32_at(36),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::REJECT)
            .with_data_segment_bytes(data_segment_bytes)
            .with(1, [FINAL, self.reason])
            .with_itt(Itt::NONE)
            .with_target_numbers(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn)
            .with_u32(36, self.data_sn)
    }
}
