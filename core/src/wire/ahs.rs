//! Additional header segments (RFC 7143, section 11.2.2).

use super::WireError;

/// Type of an extended CDB: the bytes of a CDB past its first sixteen.
pub const EXTENDED_CDB: u8 = 1;
/// Type of a bidirectional read length: four bytes.
pub const BIDIRECTIONAL_READ_LENGTH: u8 = 2;

/// Bytes of a segment before what AHSLength counts: the length itself and the type.
const PREFIX_BYTES: usize = 3;

/// One additional header segment. Unknown types are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ahs<'a> {
    /// AHSType, as sent.
    pub kind: u8,
    /// What follows the type: AHSLength bytes, the first of which is AHS-specific (reserved in the known types).
    pub data: &'a [u8],
}

/// The segments in `bytes`, which is all of the AHS part of a PDU. After an error there is nothing more.
#[derive(Clone, Debug)]
pub struct AhsChain<'a> {
    rest: &'a [u8],
}

impl<'a> AhsChain<'a> {
    /// Over `bytes`, whose length is TotalAHSLength times four.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for AhsChain<'a> {
    type Item = Result<Ahs<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let Some((&[high, low, kind], body)) = rest.split_first_chunk::<PREFIX_BYTES>() else {
            return Some(Err(WireError::AhsLength));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let padded = (PREFIX_BYTES + length).next_multiple_of(4) - PREFIX_BYTES;
        if length == 0 || padded > body.len() {
            return Some(Err(WireError::AhsLength));
        }
        self.rest = &body[padded..];
        Some(Ok(Ahs { kind, data: &body[..length] }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chain_of_both_known_types_is_walked() {
        let bytes = [0, 5, 2, 0, 0, 0, 0x10, 0, 0, 3, 1, 0, 0xaa, 0xbb, 0, 0];
        let chain: Vec<_> = AhsChain::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(chain[0], Ahs { kind: BIDIRECTIONAL_READ_LENGTH, data: &[0, 0, 0, 0x10, 0] });
        assert_eq!(chain[1], Ahs { kind: EXTENDED_CDB, data: &[0, 0xaa, 0xbb] });
        assert_eq!(chain.len(), 2);
    }

    #[test]
    fn length_past_the_end_is_an_error_and_ends_the_chain() {
        for bytes in [&[0, 6, 1, 0, 0, 0, 0, 0][..], &[0, 0, 1, 0], &[0, 1], &[0xff, 0xff, 1, 0]] {
            let mut chain = AhsChain::new(bytes);
            assert_eq!(chain.next(), Some(Err(WireError::AhsLength)));
            assert_eq!(chain.next(), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_segments_within_them(bytes in proptest::collection::vec(any::<u8>(), 0..1_020)) {
            let total: usize = AhsChain::new(&bytes).filter_map(Result::ok).map(|ahs| ahs.data.len() + 3).sum();
            prop_assert!(total <= bytes.len());
        }
    }
}
