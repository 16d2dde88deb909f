//! Bytes become PDUs: resumable at any byte, nothing copied but headers.
//!
//! The driver calls [`Receiver::next`] until it gives `None`, then feeds more bytes. A PDU comes as its header, any
//! number of pieces of its data segment, and its end. The data go wherever the driver wants them.

use crate::connection::error::ProtocolError;
use crate::wire::{BHS_BYTES, Bhs, padding};

pub(crate) const AHS_TOO_LONG: ProtocolError =
    ProtocolError::Fatal { cause: "additional header segments past the limit" };
pub(crate) const SEGMENT_TOO_LONG: ProtocolError = ProtocolError::Fatal { cause: "data segment longer than declared" };
const HEADER_DIGEST_WRONG: ProtocolError = ProtocolError::Fatal { cause: "header digest is wrong" };

const DIGEST_BYTES: usize = 4;
const HEADER_BYTES_MAX: usize = BHS_BYTES + 255 * 4 + DIGEST_BYTES;

/// A part of an incoming PDU.
#[derive(Debug, PartialEq)]
pub enum Part<'a> {
    /// The header is complete, its digest right, its lengths within the limits.
    Header(Bhs),
    /// The next bytes of the data segment.
    Data(&'a [u8]),
    /// The PDU is complete.
    End {
        /// The data digest is right, or there is none.
        digest_ok: bool,
    },
}

/// The state of one connection's receiving side.
#[derive(Debug)]
pub struct Receiver {
    segment_bytes_max: usize,
    ahs_bytes_max: usize,
    header_digest: bool,
    data_digest: bool,
    stage: Stage,
    header: Box<[u8; HEADER_BYTES_MAX]>,
    header_have: usize,
    /// Bytes of the data segment still to come.
    data_left: usize,
    crc: u32,
    /// Padding and data digest.
    tail: [u8; 3 + DIGEST_BYTES],
    tail_have: usize,
    tail_need: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Header,
    Data,
    Tail,
}

impl Receiver {
    /// A receiver that expects a BHS next. `segment_bytes_max` is what we declared as MaxRecvDataSegmentLength,
    /// `ahs_bytes_max` our bound for all AHS of a PDU.
    #[must_use]
    pub fn new(segment_bytes_max: usize, ahs_bytes_max: usize, header_digest: bool, data_digest: bool) -> Self {
        Self {
            segment_bytes_max,
            ahs_bytes_max,
            header_digest,
            data_digest,
            stage: Stage::Header,
            header: Box::new([0; HEADER_BYTES_MAX]),
            header_have: 0,
            data_left: 0,
            crc: 0,
            tail: [0; 7],
            tail_have: 0,
            tail_need: 0,
        }
    }

    /// Takes what it can from the front of `input`. `None`: it is used up and more is needed.
    ///
    /// # Errors
    /// A header digest that is wrong, or a length past a limit: the stream cannot be followed any further, and the
    /// connection must be closed.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Part<'a>>, ProtocolError> {
        match self.stage {
            Stage::Header => self.next_header(input),
            Stage::Data => {
                let (data, rest) = input.split_at(input.len().min(self.data_left));
                *input = rest;
                if data.is_empty() {
                    return Ok(None);
                }
                self.account(data);
                Ok(Some(Part::Data(data)))
            }
            Stage::Tail => Ok(self.next_tail(input)),
        }
    }

    /// Nothing of the next PDU has come.
    #[must_use]
    pub fn is_between_pdus(&self) -> bool {
        matches!(self.stage, Stage::Header) && self.header_have == 0
    }

    /// Bytes of the current data segment still to come: what may be received straight into the place where it
    /// belongs, and is then told with [`Receiver::received_in_place`].
    #[must_use]
    pub fn data_left(&self) -> usize {
        if self.stage == Stage::Data { self.data_left } else { 0 }
    }

    /// Counts `data` as received.
    pub fn received_in_place(&mut self, data: &[u8]) {
        self.account(data);
    }

    /// The AHS of the PDU whose header came last.
    #[must_use]
    pub fn ahs(&self) -> &[u8] {
        &self.header[BHS_BYTES..BHS_BYTES + self.bhs().ahs_bytes()]
    }

    fn bhs(&self) -> Bhs {
        let mut bhs = [0; BHS_BYTES];
        bhs.copy_from_slice(&self.header[..BHS_BYTES]);
        Bhs(bhs)
    }

    fn account(&mut self, data: &[u8]) {
        self.data_left -= data.len();
        if self.data_digest {
            self.crc = crc32c::crc32c_append(self.crc, data);
        }
        if self.data_left == 0 {
            self.stage = Stage::Tail;
        }
    }

    fn next_header<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Part<'a>>, ProtocolError> {
        if !self.take_header(input, BHS_BYTES) {
            return Ok(None);
        }
        let bhs = self.bhs();
        if bhs.ahs_bytes() > self.ahs_bytes_max {
            return Err(AHS_TOO_LONG);
        }
        if bhs.data_segment_bytes() > self.segment_bytes_max {
            return Err(SEGMENT_TOO_LONG);
        }
        let undigested = BHS_BYTES + bhs.ahs_bytes();
        let digest_bytes = if self.header_digest { DIGEST_BYTES } else { 0 };
        if !self.take_header(input, undigested + digest_bytes) {
            return Ok(None);
        }
        let (header, digest) = self.header[..undigested + digest_bytes].split_at(undigested);
        if self.header_digest
            && crc32c::crc32c(header).to_le_bytes() != digest
            && !crate::planted!(HeaderDigestUnchecked)
        {
            return Err(HEADER_DIGEST_WRONG);
        }
        self.header_have = 0;
        self.crc = 0;
        self.tail_have = 0;
        self.data_left = bhs.data_segment_bytes();
        self.tail_need = if self.data_left == 0 {
            0
        } else {
            padding(self.data_left) + if self.data_digest { DIGEST_BYTES } else { 0 }
        };
        self.stage = if self.data_left == 0 { Stage::Tail } else { Stage::Data };
        Ok(Some(Part::Header(bhs)))
    }

    /// Fills the header up to `need` bytes; tells whether they are there.
    fn take_header(&mut self, input: &mut &[u8], need: usize) -> bool {
        if self.header_have < need {
            let before = self.header_have;
            let (bytes, rest) = input.split_at(input.len().min(need - self.header_have));
            self.header[self.header_have..self.header_have + bytes.len()].copy_from_slice(bytes);
            *input = rest;
            self.header_have += bytes.len();
            crate::probe!(HeaderInPieces if before > 0 && before < self.header_have && self.header_have < need);
            if crate::planted!(BhsSplit) && !bytes.is_empty() && self.header_have == 47 {
                self.header_have = 0;
            }
        }
        self.header_have >= need
    }

    fn next_tail<'a>(&mut self, input: &mut &'a [u8]) -> Option<Part<'a>> {
        if crate::planted!(DigestApart) && input.is_empty() && self.tail_have == 0 {
            self.tail_need = 0;
        }
        let (bytes, rest) = input.split_at(input.len().min(self.tail_need - self.tail_have));
        self.tail[self.tail_have..self.tail_have + bytes.len()].copy_from_slice(bytes);
        *input = rest;
        crate::probe!(TailInPieces if self.tail_have > 0 && !bytes.is_empty());
        self.tail_have += bytes.len();
        if self.tail_have < self.tail_need {
            return None;
        }
        self.stage = Stage::Header;
        Some(Part::End { digest_ok: self.tail_digest_ok() })
    }

    fn tail_digest_ok(&self) -> bool {
        if !self.data_digest || self.tail_need == 0 || crate::planted!(DataDigestUnchecked) {
            return true;
        }
        let (pad, digest) = self.tail[..self.tail_need].split_at(self.tail_need - DIGEST_BYTES);
        crc32c::crc32c_append(self.crc, pad).to_le_bytes() == digest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A PDU with `data`, with or without digests.
    fn pdu(data: &[u8], ahs_words: u8, header_digest: bool, data_digest: bool) -> Vec<u8> {
        let mut bytes = vec![0; BHS_BYTES + usize::from(ahs_words) * 4];
        bytes[4] = ahs_words;
        bytes[5..8].copy_from_slice(&(data.len() as u32).to_be_bytes()[1..]);
        bytes[BHS_BYTES..].fill(7);
        if header_digest {
            let digest = crc32c::crc32c(&bytes);
            bytes.extend(digest.to_le_bytes());
        }
        if !data.is_empty() {
            let mut segment = data.to_vec();
            segment.resize(data.len().next_multiple_of(4), 0);
            bytes.extend(&segment);
            if data_digest {
                bytes.extend(crc32c::crc32c(&segment).to_le_bytes());
            }
        }
        bytes
    }

    /// What comes out of `bytes` when they arrive in pieces that end at `cuts`.
    fn receive(receiver: &mut Receiver, bytes: &[u8], cuts: &[usize]) -> Vec<(Vec<u8>, bool)> {
        let (mut pdus, mut data, mut at) = (Vec::new(), Vec::new(), 0);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        for end in ends {
            let mut input = &bytes[at..end];
            at = end;
            while let Some(part) = receiver.next(&mut input).expect("a sound stream") {
                match part {
                    Part::Header(bhs) => assert_eq!(receiver.ahs().len(), bhs.ahs_bytes()),
                    Part::Data(piece) => data.extend_from_slice(piece),
                    Part::End { digest_ok } => pdus.push((std::mem::take(&mut data), digest_ok)),
                }
            }
        }
        pdus
    }

    proptest! {
        /// Cut anywhere, the same PDUs come out.
        #[test]
        fn stream_cut_at_any_byte_gives_the_same_pdus(
            sizes in proptest::collection::vec((0usize..70, 0u8..3), 1..6),
            cuts in proptest::collection::vec(any::<usize>(), 0..40),
            header_digest: bool, data_digest: bool,
        ) {
            let segments: Vec<Vec<u8>> = sizes.iter().map(|&(size, _)| (0..size).map(|byte| byte as u8).collect()).collect();
            let bytes: Vec<u8> = segments.iter().zip(&sizes)
                .flat_map(|(segment, &(_, ahs))| pdu(segment, ahs, header_digest, data_digest)).collect();
            let mut receiver = Receiver::new(100, 64, header_digest, data_digest);
            let pdus = receive(&mut receiver, &bytes, &cuts);
            let expected: Vec<_> = segments.into_iter().map(|segment| (segment, true)).collect();
            prop_assert_eq!(pdus, expected);
        }

        /// A flipped bit in data, padding or data digest is told, and the stream goes on behind it.
        #[test]
        fn flipped_bit_in_the_data_is_told(size in 1usize..50, bit: usize) {
            let data = vec![3; size];
            let mut bytes = pdu(&data, 0, false, true);
            let at = BHS_BYTES * 8 + bit % ((bytes.len() - BHS_BYTES) * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            bytes.extend(pdu(b"next", 0, false, true));
            let mut receiver = Receiver::new(100, 64, false, true);
            let pdus = receive(&mut receiver, &bytes, &[]);
            prop_assert!(!pdus[0].1);
            prop_assert_eq!(&pdus[1], &(b"next".to_vec(), true));
        }
    }

    #[test]
    fn flipped_bit_in_the_header_ends_the_stream() {
        let mut bytes = pdu(b"", 1, true, false);
        bytes[20] ^= 1;
        let error = Receiver::new(100, 64, true, false).next(&mut &bytes[..]).unwrap_err();
        assert_eq!(error, HEADER_DIGEST_WRONG);
    }

    #[test]
    fn lengths_past_the_limits_end_the_stream() {
        let long = pdu(&[0; 101], 0, false, false);
        assert_eq!(Receiver::new(100, 64, false, false).next(&mut &long[..]).unwrap_err(), SEGMENT_TOO_LONG);
        let ahs = pdu(b"", 17, false, false);
        assert_eq!(Receiver::new(100, 64, false, false).next(&mut &ahs[..]).unwrap_err(), AHS_TOO_LONG);
    }
}
