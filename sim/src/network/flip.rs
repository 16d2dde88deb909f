//! Bits that flip on the wire (N12), where a digest covers them.
//!
//! Without digests nobody can tell (class T): a flip waits for a PDU whose place is covered. Its bits lie within 32 bits in
//! a row, in the order in which CRC32C takes them, so that it is always noticed (RFC 7143, section 13.1).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Direction;
use crate::initiator::codec::{BHS_BYTES, Digests};
use crate::random::Draws;

const DIGEST_BYTES: usize = 4;
/// The longest burst that a CRC of 32 bits notices for certain.
const BURST_BITS: u64 = 32;

/// Which part of a PDU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// BHS and AHS.
    Header,
    /// Their digest.
    HeaderDigest,
    /// The data segment.
    Data,
    /// Its padding.
    Pad,
    /// The digest of both.
    DataDigest,
}

/// The next PDU of an initiator's connections that has this place, under a digest, comes with flipped bits.
#[derive(Debug)]
pub(super) struct Flip {
    pub(super) initiator: u32,
    pub(super) direction: Direction,
    pub(super) place: Place,
    /// 1 to 32.
    pub(super) bits: u32,
    pub(super) draws: Draws,
}

/// Lets the flips of `pending` strike that find their place in `bytes`, which are whole PDUs; each PDU is struck once.
/// `None`: nothing has changed.
pub(super) fn strike(pending: &mut Vec<Flip>, bytes: &[u8], digests: Digests) -> Option<Vec<u8>> {
    let mut flipped: Option<Vec<u8>> = None;
    let mut at = 0;
    while !pending.is_empty() && at < bytes.len() {
        let pdu = Layout::of(&bytes[at..], digests);
        let struck = pending.iter().position(|flip| pdu.range(flip.place, digests).is_some());
        if let Some(mut flip) = struck.map(|index| pending.remove(index)) {
            let range = pdu.range(flip.place, digests).expect("it was found");
            let copy = flipped.get_or_insert_with(|| bytes.to_vec());
            flip.strike(&mut copy[at + range.start..at + range.end]);
        }
        at += pdu.end;
    }
    flipped
}

impl Flip {
    fn strike(&mut self, bytes: &mut [u8]) {
        let all = bytes.len() as u64 * 8;
        let burst = all.min(BURST_BITS);
        let first = self.draws.below(all - burst + 1);
        let mut places: Vec<u64> = (first..first + burst).collect();
        for _ in 0..u64::from(self.bits).clamp(1, burst) {
            let bit = places.swap_remove(self.draws.below(places.len() as u64) as usize);
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
}

/// Where the parts of a PDU end, from its first byte on.
struct Layout {
    header: usize,
    data_from: usize,
    data: usize,
    pad: usize,
    end: usize,
}

impl Layout {
    fn of(pdu: &[u8], digests: Digests) -> Self {
        let header = BHS_BYTES + usize::from(pdu[4]) * 4;
        let data_bytes = u32::from_be_bytes([0, pdu[5], pdu[6], pdu[7]]) as usize;
        let data_from = header + if digests.header { DIGEST_BYTES } else { 0 };
        let data = data_from + data_bytes;
        let pad = data_from + data_bytes.next_multiple_of(4);
        let end = pad + if digests.data && data_bytes > 0 { DIGEST_BYTES } else { 0 };
        Self { header, data_from, data, pad, end }
    }

    /// The bytes of `place`, if there are any and a digest covers them.
    fn range(&self, place: Place, digests: Digests) -> Option<Range<usize>> {
        let (covered, range) = match place {
            Place::Header => (digests.header, 0..self.header),
            Place::HeaderDigest => (digests.header, self.header..self.data_from),
            Place::Data => (digests.data, self.data_from..self.data),
            Place::Pad => (digests.data, self.data..self.pad),
            Place::DataDigest => (digests.data, self.pad..self.end),
        };
        (covered && !range.is_empty()).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initiator::codec::{Decoder, NO_TAG, RawPdu};

    /// Any flip is in its place, and noticed by the digest of that place alone.
    #[test]
    fn flip_is_noticed_by_the_digest_of_its_place() {
        let digests = Digests { header: true, data: true };
        let pdus = || RawPdu::nop_out(0, 1, NO_TAG, vec![7; 9]).encode(digests);
        let places = [Place::Header, Place::HeaderDigest, Place::Data, Place::Pad, Place::DataDigest];
        for (place, bits) in places.into_iter().flat_map(|place| (1..=32).map(move |bits| (place, bits))) {
            let draws = Draws::new(1, "test", bits.into());
            let mut pending = vec![Flip { initiator: 0, direction: Direction::ToTarget, place, bits, draws }];
            let bytes = [pdus(), pdus()].concat();
            let flipped = strike(&mut pending, &bytes, digests).expect("it has such a place");
            assert!(pending.is_empty());
            assert_eq!(flipped[bytes.len() / 2..], bytes[bytes.len() / 2..], "the second PDU is whole");
            let struck = bytes.iter().zip(&flipped).map(|(one, other)| (one ^ other).count_ones()).sum::<u32>();
            assert!((1..=bits).contains(&struck), "{struck} of {bits} bits in {place:?}");
            let in_header = matches!(place, Place::Header | Place::HeaderDigest);
            if in_header && flipped[4..8] != bytes[4..8] {
                continue; // Its lengths are wrong: the decoder waits for more.
            }
            let mut decoder = Decoder::new(1 << 24);
            decoder.set_digests(digests);
            decoder.feed(flipped);
            let pdu = decoder.next_pdu().expect("short").expect("whole");
            assert_eq!((pdu.header_digest_ok, pdu.data_digest_ok), (Some(!in_header), Some(in_header)));
        }
    }

    #[test]
    fn flip_waits_for_a_place_that_a_digest_covers() {
        let place = Place::Data;
        let draws = Draws::new(1, "test", 0);
        let mut pending = vec![Flip { initiator: 0, direction: Direction::ToTarget, place, bits: 1, draws }];
        for digests in [Digests::default(), Digests { header: true, data: false }] {
            let bytes = RawPdu::nop_out(0, 1, NO_TAG, vec![7; 9]).encode(digests);
            assert_eq!(strike(&mut pending, &bytes, digests), None);
        }
        let digests = Digests { header: false, data: true };
        let empty = RawPdu::nop_out(0, 1, NO_TAG, Vec::new()).encode(digests);
        assert_eq!(strike(&mut pending, &empty, digests), None);
        let bytes = RawPdu::nop_out(0, 1, NO_TAG, vec![7; 9]).encode(digests);
        assert!(strike(&mut pending, &bytes, digests).is_some());
    }
}
