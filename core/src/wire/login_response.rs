//! Login Response (RFC 7143, section 11.13).

use super::{Bhs, CONTINUE, FINAL, Opcode, SerialNumber, WireError, flag};
use crate::id::{Isid, Itt, Tsih};

/// One step of the target's side of a login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginResponse {
    /// The T bit: ready to leave the stage.
    pub transit: bool,
    /// The C bit: the text goes on in the next PDU.
    pub continue_bit: bool,
    /// CSG: two bits, see the constants of [`LoginRequest`](super::LoginRequest).
    pub current_stage: u8,
    /// NSG: two bits; reserved, and read and sent as zero, without the T bit.
    pub next_stage: u8,
    /// Version-max.
    pub version_max: u8,
    /// Version-active.
    pub version_active: u8,
    /// The initiator's part of the session's identity.
    pub isid: Isid,
    /// The target's part; zero for a session that is new.
    pub tsih: Tsih,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// StatSN.
    pub stat_sn: SerialNumber,
    /// ExpCmdSN: the next CmdSN that the target takes in order.
    pub exp_cmd_sn: SerialNumber,
    /// MaxCmdSN: the last CmdSN of the command window.
    pub max_cmd_sn: SerialNumber,
    /// Status-Class: zero is success; else the login is over.
    pub status_class: u8,
    /// Status-Detail, within its class.
    pub status_detail: u8,
}

const STAGE: u8 = 0x03;

impl LoginResponse {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::LOGIN_RESPONSE)?;
        let flags = bhs.flags();
        let transit = flags & FINAL != 0;
        Ok(Self {
            transit,
            continue_bit: flags & CONTINUE != 0,
            current_stage: (flags >> 2) & STAGE,
            next_stage: if transit { flags & STAGE } else { 0 },
            version_max: bhs.0[2],
            version_active: bhs.0[3],
            isid: Isid(bhs.bytes_at(8)),
            tsih: Tsih(bhs.u16_at(14)),
            itt: bhs.itt(),
            stat_sn: bhs.sn_at(24),
            exp_cmd_sn: bhs.sn_at(28),
            max_cmd_sn: bhs.sn_at(32),
            status_class: bhs.0[36],
            status_detail: bhs.0[37],
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        let flags = flag(self.transit, FINAL)
            | flag(self.continue_bit, CONTINUE)
            | ((self.current_stage & STAGE) << 2)
            | if self.transit { self.next_stage & STAGE } else { 0 };
        Bhs::new(Opcode::LOGIN_RESPONSE)
            .with_data_segment_bytes(data_segment_bytes)
            .with(1, [flags, self.version_max, self.version_active])
            .with(8, self.isid.0)
            .with_u16(14, self.tsih.0)
            .with_itt(self.itt)
            .with_target_numbers(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn)
            .with(36, [self.status_class, self.status_detail])
    }
}
