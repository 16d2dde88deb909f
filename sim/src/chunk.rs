//! Bytes that are handed on without being copied.

use std::ops::{Deref, Range};
use std::rc::Rc;

/// A part of bytes that others may hold parts of, too.
#[derive(Clone, Debug)]
pub struct Chunk {
    bytes: Rc<Vec<u8>>,
    range: Range<usize>,
}

impl Chunk {
    /// `range` of `bytes`.
    #[must_use]
    pub fn new(bytes: Rc<Vec<u8>>, range: Range<usize>) -> Self {
        Self { bytes, range }
    }

    /// Takes the first `length` bytes away.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn advance(&mut self, length: usize) {
        assert!(length <= self.range.len(), "a chunk of {} bytes lacks {length}", self.range.len());
        self.range.start += length;
    }

    /// Becomes one with `next` if that goes on where this one ends; otherwise gives it back.
    pub fn join(&mut self, next: Self) -> Option<Self> {
        if !Rc::ptr_eq(&self.bytes, &next.bytes) || self.range.end != next.range.start {
            return Some(next);
        }
        self.range.end = next.range.end;
        None
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { bytes: Rc::new(bytes), range }
    }
}

impl From<&[u8]> for Chunk {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}
