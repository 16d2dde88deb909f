//! Text keys: `key=value` pairs, each closed by a NUL (RFC 7143, section 6.1).

use super::WireError;

/// The longest key name, in bytes.
pub const KEY_BYTES: usize = 63;
/// The longest value, in bytes: the longest that the RFC grants any key.
pub const VALUE_BYTES: usize = 8_192;

/// The pairs of a whole text, all PDUs of it joined. Empty strings between NULs are skipped. After an error there is
/// nothing more.
#[derive(Clone, Debug)]
pub struct TextPairs<'a> {
    rest: &'a [u8],
}

impl<'a> TextPairs<'a> {
    /// Over `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn pair(text: &'a [u8]) -> Result<(&'a str, &'a str), WireError> {
        let equals = text.iter().position(|&byte| byte == b'=').ok_or(WireError::TextWithoutEquals)?;
        let (key, value) = (&text[..equals], &text[equals + 1..]);
        if key.is_empty() || key.len() > KEY_BYTES || !key.iter().all(|&byte| is_key_character(byte)) {
            return Err(WireError::TextKey);
        }
        if value.len() > VALUE_BYTES {
            return Err(WireError::TextValue);
        }
        let key = str::from_utf8(key).map_err(|_| WireError::TextKey)?;
        let value = str::from_utf8(value).map_err(|_| WireError::TextValue)?;
        Ok((key, value))
    }
}

impl<'a> Iterator for TextPairs<'a> {
    type Item = Result<(&'a str, &'a str), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        let Some(end) = rest.iter().position(|&byte| byte == 0) else {
            return Some(Err(WireError::TextUnterminated));
        };
        let pair = Self::pair(&rest[..end]);
        if pair.is_ok() {
            self.rest = &rest[end + 1..];
        }
        Some(pair)
    }
}

/// Letters, digits and `. - + @ _` make a key name; `#` only in the older `X#` form.
fn is_key_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-+@_#".contains(&byte)
}

/// A text on its way out, taken in segments.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TextBuilder {
    bytes: Vec<u8>,
    taken: usize,
}

impl TextBuilder {
    /// Adds `key=value` and its NUL. Neither may contain a NUL.
    pub fn push(&mut self, key: &str, value: &str) {
        debug_assert!(!key.contains(['\0', '=']) && !value.contains('\0'));
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.push(b'=');
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
    }

    /// Whether everything was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    /// The next segment, at most `limit_bytes` long. A pair may be cut anywhere (RFC 7143, section 6.2): the C bit
    /// tells the reader that the text goes on.
    pub fn take(&mut self, limit_bytes: usize) -> Vec<u8> {
        let rest = &self.bytes[self.taken..];
        let segment = rest[..rest.len().min(limit_bytes)].to_vec();
        self.taken += segment.len();
        if self.is_empty() || crate::planted!(AnswerCut) {
            *self = Self::default();
        }
        segment
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(bytes: &[u8]) -> Result<Vec<(&str, &str)>, WireError> {
        TextPairs::new(bytes).collect()
    }

    #[test]
    fn pairs_are_read_in_order_with_values_that_hold_equals_signs() {
        assert_eq!(pairs(b"A=1\0X-b.c=\0C=x=y\0"), Ok(vec![("A", "1"), ("X-b.c", ""), ("C", "x=y")]));
        assert_eq!(pairs(b""), Ok(vec![]));
    }

    #[test]
    fn surplus_nuls_are_skipped() {
        assert_eq!(pairs(b"\0\0A=1\0\0B=2\0\0\0"), Ok(vec![("A", "1"), ("B", "2")]));
    }

    #[test]
    fn malformed_text_is_told_apart_and_ends_the_iteration() {
        let long_key = [&[b'k'; KEY_BYTES + 1][..], b"=1\0"].concat();
        let long_value = [b"A=", &[b'v'; VALUE_BYTES + 1][..], b"\0"].concat();
        for (bytes, error) in [
            (&b"A=1"[..], WireError::TextUnterminated),
            (b"A\0B=1\0", WireError::TextWithoutEquals),
            (b"=1\0B=1\0", WireError::TextKey),
            (b"A b=1\0B=1\0", WireError::TextKey),
            (b"A=\xff\0B=1\0", WireError::TextValue),
            (&long_key, WireError::TextKey),
            (&long_value, WireError::TextValue),
        ] {
            let mut pairs = TextPairs::new(bytes);
            assert_eq!(pairs.next(), Some(Err(error)));
            assert_eq!(pairs.next(), None);
        }
    }

    #[test]
    fn longest_key_and_value_are_taken() {
        let text = [&[b'k'; KEY_BYTES][..], b"=", &[b'v'; VALUE_BYTES], b"\0"].concat();
        assert_eq!(pairs(&text).map(|pairs| pairs.len()), Ok(1));
    }

    proptest! {
        #[test]
        fn built_text_is_read_back_whatever_the_segments(
            written in proptest::collection::vec(("[A-Z][A-Za-z0-9.+@_-]{0,62}", "[^\0]{0,100}"), 0..20),
            limit in 1..300usize,
        ) {
            let mut builder = TextBuilder::default();
            for (key, value) in &written {
                builder.push(key, value);
            }
            let mut joined = Vec::new();
            while !builder.is_empty() {
                let segment = builder.take(limit);
                prop_assert!(!segment.is_empty() && segment.len() <= limit);
                joined.extend(segment);
            }
            let written: Vec<_> = written.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            prop_assert_eq!(pairs(&joined), Ok(written));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let read = TextPairs::new(&bytes).count();
            prop_assert!(read <= bytes.len());
        }
    }
}
