//! Login Request (RFC 7143, section 11.12).

use super::{Bhs, CONTINUE, FINAL, Opcode, SerialNumber, WireError, flag};
use crate::id::{Cid, Isid, Itt, Tsih};

/// One step of the initiator's login. It is always immediate, whatever its I bit says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginRequest {
    /// The T bit: ready to leave the stage.
    pub transit: bool,
    /// The C bit: the text goes on in the next PDU.
    pub continue_bit: bool,
    /// CSG: two bits, see the constants.
    pub current_stage: u8,
    /// NSG: two bits; reserved, and read and sent as zero, without the T bit.
    pub next_stage: u8,
    /// Version-max.
    pub version_max: u8,
    /// Version-min.
    pub version_min: u8,
    /// The initiator's part of the session's identity.
    pub isid: Isid,
    /// The target's part; zero for a session that is new.
    pub tsih: Tsih,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// Connection ID.
    pub cid: Cid,
    /// CmdSN.
    pub cmd_sn: SerialNumber,
    /// ExpStatSN: the initiator has every status before this one.
    pub exp_stat_sn: SerialNumber,
}

const STAGE: u8 = 0x03;

impl LoginRequest {
    /// Stage: who the initiator is.
    pub const SECURITY_NEGOTIATION: u8 = 0;
    /// Stage: how the session works.
    pub const OPERATIONAL_NEGOTIATION: u8 = 1;
    /// Stage: login is over.
    pub const FULL_FEATURE_PHASE: u8 = 3;
}

impl LoginRequest {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::LOGIN_REQUEST)?;
        let flags = bhs.flags();
        let transit = flags & FINAL != 0;
        Ok(Self {
            transit,
            continue_bit: flags & CONTINUE != 0,
            current_stage: (flags >> 2) & STAGE,
            next_stage: if transit { flags & STAGE } else { 0 },
            version_max: bhs.0[2],
            version_min: bhs.0[3],
            isid: Isid(bhs.bytes_at(8)),
            tsih: Tsih(bhs.u16_at(14)),
            itt: bhs.itt(),
            cid: Cid(bhs.u16_at(20)),
            cmd_sn: bhs.sn_at(24),
            exp_stat_sn: bhs.sn_at(28),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        let flags = flag(self.transit, FINAL)
            | flag(self.continue_bit, CONTINUE)
            | ((self.current_stage & STAGE) << 2)
            | if self.transit { self.next_stage & STAGE } else { 0 };
        Bhs::new(Opcode::LOGIN_REQUEST)
            .with_data_segment_bytes(data_segment_bytes)
            .with_immediate(true)
            .with(1, [flags, self.version_max, self.version_min])
            .with(8, self.isid.0)
            .with_u16(14, self.tsih.0)
            .with_itt(self.itt)
            .with_u16(20, self.cid.0)
            .with_sn(24, self.cmd_sn)
            .with_sn(28, self.exp_stat_sn)
    }
}
