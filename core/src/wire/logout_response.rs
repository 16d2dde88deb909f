//! Logout Response (RFC 7143, section 11.15).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError};
use crate::id::Itt;

/// Whether the connection or session is ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogoutResponse {
    /// See the constants.
    pub response: u8,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// StatSN.
    pub stat_sn: SerialNumber,
    /// ExpCmdSN: the next CmdSN that the target takes in order.
    pub exp_cmd_sn: SerialNumber,
    /// MaxCmdSN: the last CmdSN of the command window.
    pub max_cmd_sn: SerialNumber,
    /// Time2Wait: seconds before the initiator may come back.
    pub time2wait: u16,
    /// Time2Retain: seconds for which tasks wait to be reassigned.
    pub time2retain: u16,
}

impl LogoutResponse {
    /// Closed as asked.
    pub const CLOSED: u8 = 0;
    /// There is no such connection.
    pub const CID_NOT_FOUND: u8 = 1;
    /// Connections cannot be recovered.
    pub const RECOVERY_NOT_SUPPORTED: u8 = 2;
    /// Closing failed.
    pub const CLEANUP_FAILED: u8 = 3;
}

impl LogoutResponse {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::LOGOUT_RESPONSE)?;
        Ok(Self {
            response: bhs.0[2],
            itt: bhs.itt(),
            stat_sn: bhs.sn_at(24),
            exp_cmd_sn: bhs.sn_at(28),
            max_cmd_sn: bhs.sn_at(32),
            time2wait: bhs.u16_at(40),
            time2retain: bhs.u16_at(42),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::LOGOUT_RESPONSE)
            .with_data_segment_bytes(data_segment_bytes)
            .with(1, [FINAL, self.response])
            .with_itt(self.itt)
            .with_target_numbers(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn)
            .with_u16(40, self.time2wait)
            .with_u16(42, self.time2retain)
    }
}
