//! A stream of bytes becomes PDUs, wherever it is cut.

use std::collections::VecDeque;

use super::{BHS_BYTES, RawPdu, opcode};
use crate::chunk::Chunk;

const DIGEST_BYTES: usize = 4;

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
    chunks: VecDeque<Chunk>,
    pending_bytes: usize,
    digests: Digests,
    data_limit: usize,
    keeps_blocks: bool,
    /// With fewer bytes, there is no whole PDU.
    wanted_bytes: usize,
}

impl Decoder {
    /// A decoder without digests, which refuses data segments longer than `data_limit` bytes.
    #[must_use]
    pub fn new(data_limit: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            pending_bytes: 0,
            digests: Digests::default(),
            data_limit,
            keeps_blocks: true,
            wanted_bytes: BHS_BYTES,
        }
    }

    /// As [`Self::new`], for whoever looks at how blocks travel but not at what they hold: the data of SCSI commands,
    /// Data-In and Data-Out goes into its digest and is not kept.
    #[must_use]
    pub fn without_blocks(data_limit: usize) -> Self {
        Self { keeps_blocks: false, ..Self::new(data_limit) }
    }

    /// Appends what came next on the stream.
    pub fn feed(&mut self, bytes: impl Into<Chunk>) {
        let chunk = bytes.into();
        if chunk.is_empty() {
            return;
        }
        self.pending_bytes += chunk.len();
        let rest = match self.chunks.back_mut() {
            Some(last) => last.join(chunk),
            None => Some(chunk),
        };
        self.chunks.extend(rest);
    }

    /// Switches digests from the next PDU on that [`Self::next_pdu`] has not returned yet.
    pub fn set_digests(&mut self, digests: Digests) {
        self.digests = digests;
        self.wanted_bytes = BHS_BYTES;
    }

    /// The digests of the next PDU.
    #[must_use]
    pub fn digests(&self) -> Digests {
        self.digests
    }

    /// Refuses longer data segments from the next PDU on, in bytes.
    pub fn set_data_limit(&mut self, data_limit: usize) {
        self.data_limit = data_limit;
        self.wanted_bytes = BHS_BYTES;
    }

    /// Bytes that are not yet part of a whole PDU: zero at a clean end of the stream.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// The next PDU, if it is there whole. Wrong digests are reported in the PDU, not as an error.
    ///
    /// # Errors
    /// When the data segment is longer than the limit: the stream is lost.
    pub fn next_pdu(&mut self) -> Result<Option<RawPdu>, DecodeError> {
        if self.pending_bytes < self.wanted_bytes {
            return Ok(None);
        }
        let Some(bhs) = self.peek_header() else { return Ok(None) };
        let mut pdu = RawPdu { bhs, ..RawPdu::new(0) };
        let data_bytes = pdu.data_bytes();
        if data_bytes > self.data_limit {
            return Err(DecodeError::DataTooLong { actual: data_bytes, limit: self.data_limit, opcode: pdu.opcode() });
        }
        let pad_bytes = data_bytes.next_multiple_of(4) - data_bytes;
        let with_data_digest = self.digests.data && data_bytes != 0;
        let digest_bytes = |on: bool| if on { DIGEST_BYTES } else { 0 };
        let digests_bytes = digest_bytes(self.digests.header) + digest_bytes(with_data_digest);
        self.wanted_bytes = BHS_BYTES + pdu.ahs_bytes() + data_bytes + pad_bytes + digests_bytes;
        if self.pending_bytes < self.wanted_bytes {
            return Ok(None);
        }
        self.wanted_bytes = BHS_BYTES;
        self.take(BHS_BYTES, |_| {});
        pdu.ahs = self.take_vec(pdu.ahs_bytes());
        if self.digests.header {
            let digest = crc32c::crc32c_append(crc32c::crc32c(&pdu.bhs), &pdu.ahs);
            pdu.header_digest_ok = Some(self.take_digest() == digest);
        }
        let keep = self.keeps_blocks || !carries_blocks(pdu.opcode());
        let mut data = Vec::with_capacity(if keep { data_bytes } else { 0 });
        let mut digest = 0;
        self.take(data_bytes, |part| {
            if keep {
                data.extend_from_slice(part);
            }
            if with_data_digest {
                digest = crc32c::crc32c_append(digest, part);
            }
        });
        pdu.data = data;
        pdu.pad = self.take_vec(pad_bytes);
        if with_data_digest {
            digest = crc32c::crc32c_append(digest, &pdu.pad);
            pdu.data_digest_ok = Some(self.take_digest() == digest);
        }
        Ok(Some(pdu))
    }

    /// The basic header segment of the next PDU, as soon as it is there, even when the rest is not.
    #[must_use]
    pub fn peek_header(&self) -> Option<[u8; BHS_BYTES]> {
        if self.pending_bytes < BHS_BYTES {
            return None;
        }
        let mut bhs = [0; BHS_BYTES];
        let mut at = 0;
        for chunk in &self.chunks {
            let part = chunk.len().min(BHS_BYTES - at);
            bhs[at..at + part].copy_from_slice(&chunk[..part]);
            at += part;
            if at == BHS_BYTES {
                break;
            }
        }
        Some(bhs)
    }

    /// Takes the next `length` bytes, which are there, part by part.
    fn take(&mut self, mut length: usize, mut each: impl FnMut(&[u8])) {
        self.pending_bytes -= length;
        while length > 0 {
            let front = self.chunks.front_mut().expect("the caller saw that there are so many bytes");
            let part = length.min(front.len());
            each(&front[..part]);
            length -= part;
            if part < front.len() {
                front.advance(part);
            } else {
                self.chunks.pop_front();
            }
        }
    }

    fn take_vec(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        self.take(length, |part| bytes.extend_from_slice(part));
        bytes
    }

    /// The CRC goes onto the wire with its least significant byte first (RFC 7143, 13.1).
    fn take_digest(&mut self) -> u32 {
        let (mut digest, mut at) = ([0; DIGEST_BYTES], 0);
        self.take(DIGEST_BYTES, |part| {
            digest[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        });
        u32::from_le_bytes(digest)
    }
}

fn carries_blocks(code: u8) -> bool {
    matches!(code, opcode::SCSI_COMMAND | opcode::DATA_OUT | opcode::DATA_IN)
}
