//! Logout Request (RFC 7143, section 11.14).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError};
use crate::id::{Cid, Itt};

/// Asks to end a connection or the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogoutRequest {
    /// The I bit.
    pub immediate: bool,
    /// Seven bits, see the constants. Unknown ones are kept.
    pub reason: u8,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// The connection to be closed; without meaning when the session is.
    pub cid: Cid,
    /// CmdSN.
    pub cmd_sn: SerialNumber,
    /// ExpStatSN: the initiator has every status before this one.
    pub exp_stat_sn: SerialNumber,
}

impl LogoutRequest {
    /// Reason: close the session.
    pub const CLOSE_SESSION: u8 = 0;
    /// Reason: close the connection.
    pub const CLOSE_CONNECTION: u8 = 1;
    /// Reason: remove the connection, its tasks will be reassigned.
    pub const REMOVE_CONNECTION_FOR_RECOVERY: u8 = 2;
}

impl LogoutRequest {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::LOGOUT_REQUEST)?;
        Ok(Self {
            immediate: bhs.immediate(),
            reason: bhs.flags() & !FINAL,
            itt: bhs.itt(),
            cid: Cid(bhs.u16_at(20)),
            cmd_sn: bhs.sn_at(24),
            exp_stat_sn: bhs.sn_at(28),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::LOGOUT_REQUEST)
            .with_data_segment_bytes(data_segment_bytes)
            .with_immediate(self.immediate)
            .with_flags(FINAL | self.reason)
            .with_itt(self.itt)
            .with_u16(20, self.cid.0)
            .with_sn(24, self.cmd_sn)
            .with_sn(28, self.exp_stat_sn)
    }
}
