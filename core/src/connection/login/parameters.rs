//! What a login agrees on.

use crate::limits::Limits;

/// The default MaxRecvDataSegmentLength in bytes, which also holds for both sides all through login (RFC 7143,
/// section 13.12).
pub const DEFAULT_SEGMENT_BYTES: u32 = 8_192;

/// The operational parameters of a session and its connection (RFC 7143, section 13).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Negotiated {
    /// PDU headers carry a CRC32C.
    pub header_digest: bool,
    /// Data segments carry a CRC32C.
    pub data_digest: bool,
    /// What we declared: the longest data segment that the peer may send, in bytes.
    pub max_recv_data_segment_bytes: u32,
    /// What the peer declared: the longest data segment that we may send, in bytes.
    pub max_send_data_segment_bytes: u32,
    /// The most in one Data-In sequence or one solicited Data-Out sequence, in bytes.
    pub max_burst_bytes: u32,
    /// The most unsolicited data of one command, immediate data included, in bytes; at most `max_burst_bytes`.
    pub first_burst_bytes: u32,
    /// Unsolicited Data-Out PDUs are not allowed.
    pub initial_r2t: bool,
    /// Immediate data is allowed.
    pub immediate_data: bool,
    /// Outstanding R2Ts of one task.
    pub max_outstanding_r2t: u16,
    /// Connections of the session.
    pub max_connections: u16,
    /// Seconds before the initiator may come back after a loss.
    pub default_time2wait: u16,
    /// Seconds for which tasks outlive their connection.
    pub default_time2retain: u16,
    /// 0 to 2.
    pub error_recovery_level: u8,
    /// The data PDUs of a sequence come in the order of their offsets.
    pub data_pdu_in_order: bool,
    /// The sequences of a command come in the order of their offsets.
    pub data_sequence_in_order: bool,
}

impl Default for Negotiated {
    /// What holds for keys that nobody mentions.
    fn default() -> Self {
        Self {
            header_digest: false,
            data_digest: false,
            max_recv_data_segment_bytes: DEFAULT_SEGMENT_BYTES,
            max_send_data_segment_bytes: DEFAULT_SEGMENT_BYTES,
            max_burst_bytes: 262_144,
            first_burst_bytes: 65_536,
            initial_r2t: true,
            immediate_data: true,
            max_outstanding_r2t: 1,
            max_connections: 1,
            default_time2wait: 2,
            default_time2retain: 20,
            error_recovery_level: 0,
            data_pdu_in_order: true,
            data_sequence_in_order: true,
        }
    }
}

impl Negotiated {
    /// What holds when a connection for which `login` was agreed takes the place of one for which `self` was: only
    /// digests and segment lengths are each connection's own, all else is the session's (RFC 7143, section 13).
    #[must_use]
    pub fn succeeded_by(&self, login: &Self) -> Self {
        Self {
            header_digest: login.header_digest,
            data_digest: login.data_digest,
            max_recv_data_segment_bytes: login.max_recv_data_segment_bytes,
            max_send_data_segment_bytes: login.max_send_data_segment_bytes,
            ..self.clone()
        }
    }
}

/// What this target brings into a negotiation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ours {
    /// MaxRecvDataSegmentLength, in bytes.
    pub max_recv_data_segment_bytes: u32,
    /// MaxBurstLength and FirstBurstLength, in bytes.
    pub max_burst_bytes: u32,
    /// MaxOutstandingR2T.
    pub max_outstanding_r2t: u16,
}

impl Ours {
    /// From the bounds of the node, kept within what the keys can say.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            max_recv_data_segment_bytes: limits.max_recv_data_segment_bytes.clamp(512, 0x00ff_ffff),
            max_burst_bytes: limits.max_burst_bytes.clamp(512, 0x00ff_ffff),
            max_outstanding_r2t: limits.max_outstanding_r2t.max(1),
        }
    }
}
