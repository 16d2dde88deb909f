//! Text keys.

use quintain_core::wire::text::{KEY_BYTES, TextBuilder, TextPairs, VALUE_BYTES};

use crate::Input;

/// The first byte chooses the length of segments. Pairs keep to their bounds, and written anew in segments they read
/// the same.
pub fn text_keys(bytes: &[u8]) {
    let mut input = Input(bytes);
    let segment_bytes = usize::from(input.byte()) + 1;
    let mut pairs = Vec::new();
    let mut builder = TextBuilder::default();
    for (key, value) in TextPairs::new(input.0).map_while(Result::ok) {
        assert!((1..=KEY_BYTES).contains(&key.len()) && value.len() <= VALUE_BYTES);
        builder.push(key, value);
        pairs.push((key, value));
    }
    let mut written = Vec::new();
    while !builder.is_empty() {
        let segment = builder.take(segment_bytes);
        assert!((1..=segment_bytes).contains(&segment.len()));
        written.extend(segment);
    }
    let read: Result<Vec<_>, _> = TextPairs::new(&written).collect();
    assert_eq!(read, Ok(pairs));
}
