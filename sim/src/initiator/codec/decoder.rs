//! A stream of bytes becomes PDUs, wherever it is cut.

use super::{BHS_BYTES, RawPdu};

/// Which digests are on (CRC32C both).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digests {
    /// HeaderDigest.
    pub header: bool,
    /// DataDigest.
    pub data: bool,
}

/// The stream can not be read any further.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// A data segment longer than the reader is willing to hold.
    #[error("a data segment of {actual} bytes where at most {limit} are allowed (operation code {opcode:#04x})")]
    DataTooLong {
        /// Its length.
        actual: usize,
        /// The reader's limit.
        limit: usize,
        /// Operation code of the PDU.
        opcode: u8,
    },
}

/// Cuts one direction of a connection into PDUs.
#[derive(Clone, Debug)]
pub struct Decoder {
    bytes: Vec<u8>,
    start: usize,
    digests: Digests,
    data_limit: usize,
}

impl Decoder {
    /// A decoder without digests, which refuses data segments longer than `data_limit` bytes.
    #[must_use]
    pub fn new(data_limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, digests: Digests::default(), data_limit }
    }

    /// Appends what came next on the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > 1 << 16 && self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Switches digests from the next PDU on that [`Self::next_pdu`] has not returned yet.
    pub fn set_digests(&mut self, digests: Digests) {
        self.digests = digests;
    }

    /// The digests of the next PDU.
    #[must_use]
    pub fn digests(&self) -> Digests {
        self.digests
    }

    /// Refuses longer data segments from the next PDU on, in bytes.
    pub fn set_data_limit(&mut self, data_limit: usize) {
        self.data_limit = data_limit;
    }

    /// Bytes that are not yet part of a whole PDU: zero at a clean end of the stream.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next PDU, if it is there whole. Wrong digests are reported in the PDU, not as an error.
    ///
    /// # Errors
    /// When the data segment is longer than the limit: the stream is lost.
    pub fn next_pdu(&mut self) -> Result<Option<RawPdu>, DecodeError> {
        let Some(bhs) = self.peek_header() else { return Ok(None) };
        let mut pdu = RawPdu { bhs, ..RawPdu::new(0) };
        let data_bytes = pdu.data_bytes();
        if data_bytes > self.data_limit {
            return Err(DecodeError::DataTooLong { actual: data_bytes, limit: self.data_limit, opcode: pdu.opcode() });
        }
        let header_end = BHS_BYTES + pdu.ahs_bytes();
        let data_at = header_end + if self.digests.header { 4 } else { 0 };
        let data_end = data_at + data_bytes;
        let padded_end = data_at + data_bytes.next_multiple_of(4);
        let with_data_digest = self.digests.data && data_bytes != 0;
        let end = padded_end + if with_data_digest { 4 } else { 0 };
        let unread = &self.bytes[self.start..];
        if unread.len() < end {
            return Ok(None);
        }
        pdu.ahs = unread[BHS_BYTES..header_end].to_vec();
        pdu.data = unread[data_at..data_end].to_vec();
        pdu.pad = unread[data_end..padded_end].to_vec();
        if self.digests.header {
            pdu.header_digest_ok = Some(digest_is_right(&unread[..header_end], &unread[header_end..data_at]));
        }
        if with_data_digest {
            pdu.data_digest_ok = Some(digest_is_right(&unread[data_at..padded_end], &unread[padded_end..end]));
        }
        self.start += end;
        Ok(Some(pdu))
    }

    /// The basic header segment of the next PDU, as soon as it is there, even when the rest is not.
    #[must_use]
    pub fn peek_header(&self) -> Option<[u8; BHS_BYTES]> {
        let mut bhs = [0; BHS_BYTES];
        bhs.copy_from_slice(self.bytes.get(self.start..self.start + BHS_BYTES)?);
        Some(bhs)
    }
}

/// The CRC goes onto the wire with its least significant byte first (RFC 7143, 13.1).
fn digest_is_right(covered: &[u8], digest: &[u8]) -> bool {
    crc32c::crc32c(covered).to_le_bytes() == digest
}
