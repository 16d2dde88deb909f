//! Header and data digests: CRC32C (RFC 7143, section 13.1).

use super::padding;

/// Length of a digest in bytes.
pub const DIGEST_BYTES: usize = 4;

/// A CRC32C over bytes that come in pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest(u32);

impl Digest {
    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = crc32c::crc32c_append(self.0, bytes);
    }

    /// The digest as it stands on the wire: the CRC's least significant byte first.
    #[must_use]
    pub fn finish(self) -> [u8; DIGEST_BYTES] {
        self.0.to_le_bytes()
    }
}

/// The digest of `slices`, one after the other. A header digest covers BHS and AHS, a data digest the data segment and
/// its pad bytes.
#[must_use]
pub fn digest(slices: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    let mut digest = Digest::default();
    for slice in slices {
        digest.update(slice);
    }
    digest.finish()
}

/// The digest of a data segment that we send, whose pad bytes are zeros. For one that was received use [`digest`] or
/// [`verify`] over the pad bytes as they came.
#[must_use]
pub fn data_digest(data: &[u8]) -> [u8; DIGEST_BYTES] {
    let pad = &[0; 3][..padding(data.len())];
    if crate::planted!(DigestSkipsPadding) {
        return digest(&[data]);
    }
    digest(&[data, pad])
}

/// Whether `expected` is the digest of `slices`.
#[must_use]
pub fn verify(slices: &[&[u8]], expected: [u8; DIGEST_BYTES]) -> bool {
    digest(slices) == expected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7143, appendix A (in wire order).
    #[test]
    fn digest_of_the_rfcs_examples_matches() {
        assert_eq!(digest(&[&[0; 32]]), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(digest(&[&[0xff; 32]]), [0x43, 0xab, 0xa8, 0x62]);
        let rising: [u8; 32] = std::array::from_fn(|index| index as u8);
        assert_eq!(digest(&[&rising]), [0x4e, 0x79, 0xdd, 0x46]);
        let falling: [u8; 32] = std::array::from_fn(|index| 31 - index as u8);
        assert_eq!(digest(&[&falling]), [0x5c, 0xdb, 0x3f, 0x11]);
    }

    #[test]
    fn digest_does_not_depend_on_where_the_bytes_are_cut() {
        let bytes: [u8; 97] = std::array::from_fn(|index| (index * 7) as u8);
        for cut in 0..bytes.len() {
            assert!(verify(&[&bytes[..cut], &[], &bytes[cut..]], digest(&[&bytes])));
        }
    }

    #[test]
    fn data_digest_covers_the_pad_bytes() {
        assert_eq!(data_digest(b"abcde"), digest(&[b"abcde\0\0\0"]));
        assert_eq!(data_digest(b"abcd"), digest(&[b"abcd"]));
    }
}
