//! Buffers of one shard, with a bound.

use std::alloc::{self, Layout};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;

/// Hands out buffers until the bound is reached. What is given back is kept for the next one of its size class.
#[derive(Clone)]
pub(crate) struct Pool {
    inner: Rc<Inner>,
}

struct Inner {
    bound_bytes: usize,
    /// Memory that exists, handed out or kept.
    held_bytes: Cell<usize>,
    /// Memory that is handed out.
    out_bytes: Cell<usize>,
    /// Kept blocks by size class; the last one given back is the warmest in the cache.
    kept: RefCell<[Vec<Block>; CLASSES]>,
}

impl Pool {
    /// A pool that holds at most `bound_bytes`.
    pub(crate) fn new(bound_bytes: usize) -> Self {
        let kept = RefCell::new([const { Vec::new() }; CLASSES]);
        Self { inner: Rc::new(Inner { bound_bytes, held_bytes: Cell::new(0), out_bytes: Cell::new(0), kept }) }
    }

    /// A buffer of exactly `len` bytes, or `None` at the bound or above the largest class. Its content is that of an
    /// earlier buffer of this pool, or zeros.
    pub(crate) fn alloc(&self, len: usize) -> Option<Buf> {
        let class = class_of(len)?;
        let block = self.inner.kept.borrow_mut()[class].pop();
        let block = match block {
            Some(block) => block,
            None => self.inner.fresh(class)?,
        };
        self.inner.out_bytes.set(self.inner.out_bytes.get() + block.bytes());
        Some(Buf { block: Some(block), len, pool: self.inner.clone() })
    }

    /// What could still be handed out.
    pub(crate) fn free_bytes(&self) -> usize {
        self.inner.bound_bytes - self.inner.out_bytes.get()
    }

    /// Memory that exists, handed out or kept.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.inner.held_bytes.get()
    }
}

impl Inner {
    fn fresh(&self, class: usize) -> Option<Block> {
        let bytes = class_bytes(class);
        if bytes > self.bound_bytes {
            return None;
        }
        while self.held_bytes.get() > self.bound_bytes - bytes {
            // What is kept for other classes must not starve this one.
            let dropped = self.kept.borrow_mut().iter_mut().rev().find_map(Vec::pop)?;
            self.held_bytes.set(self.held_bytes.get() - dropped.bytes());
        }
        self.held_bytes.set(self.held_bytes.get() + bytes);
        Some(Block::new(class))
    }
}

/// An owned buffer, aligned to 4,096 bytes, at an address that does not change. It goes back to its pool on drop.
pub struct Buf {
    /// `None` only while it is being dropped.
    block: Option<Block>,
    len: usize,
    pool: Rc<Inner>,
}

impl Buf {
    fn block(&self) -> &Block {
        self.block.as_ref().expect("only drop takes the block")
    }
}

impl AsRef<[u8]> for Buf {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the block has at least `len` initialised bytes and is owned by this buffer alone.
        unsafe { slice::from_raw_parts(self.block().start.as_ptr(), self.len) }
    }
}

impl AsMut<[u8]> for Buf {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the buffer is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.block().start.as_ptr(), self.len) }
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            let class = block.class;
            self.pool.out_bytes.set(self.pool.out_bytes.get() - block.bytes());
            self.pool.kept.borrow_mut()[class].push(block);
        }
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buf").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Alignment, and the smallest class: a page, which is also what direct I/O asks for.
const PAGE_BYTES: usize = 4_096;
/// 4 KiB to 4 MiB.
const CLASSES: usize = 11;

fn class_of(len: usize) -> Option<usize> {
    let pages = len.div_ceil(PAGE_BYTES).max(1).next_power_of_two();
    let class = pages.trailing_zeros() as usize;
    (class < CLASSES).then_some(class)
}

fn class_bytes(class: usize) -> usize {
    PAGE_BYTES << class
}

/// Memory of one size class.
struct Block {
    start: NonNull<u8>,
    class: usize,
}

impl Block {
    fn new(class: usize) -> Self {
        let layout = Self::layout(class);
        // SAFETY: the layout's size is not zero. Zeroed, so that every byte is initialised.
        let start = unsafe { alloc::alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(layout) };
        Self { start, class }
    }

    fn bytes(&self) -> usize {
        class_bytes(self.class)
    }

    fn layout(class: usize) -> Layout {
        Layout::from_size_align(class_bytes(class), PAGE_BYTES).expect("sizes and alignment are powers of two")
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc_zeroed` with this very layout, and nobody else has it.
        unsafe { alloc::dealloc(self.start.as_ptr(), Self::layout(self.class)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_has_the_asked_length_and_a_page_aligned_address() {
        let pool = Pool::new(1 << 20);
        for len in [0, 1, 512, 4_096, 4_097, 65_536, 1 << 20] {
            let mut buf = pool.alloc(len).expect("there is room");
            assert_eq!(buf.as_ref().len(), len);
            assert_eq!(buf.as_mut().as_ptr() as usize % 4_096, 0);
        }
    }

    #[test]
    fn pool_at_its_bound_gives_nothing_until_something_comes_back() {
        let pool = Pool::new(3 * 4_096);
        let mut held: Vec<_> = (0..3).map(|_| pool.alloc(4_096).expect("there is room")).collect();
        assert!(pool.alloc(1).is_none());
        assert_eq!(pool.free_bytes(), 0);
        held.pop();
        assert_eq!(pool.free_bytes(), 4_096);
        assert!(pool.alloc(1).is_some());
    }

    #[test]
    fn memory_kept_for_one_size_serves_another() {
        let pool = Pool::new(4 * 4_096);
        let small: Vec<_> = (0..4).map(|_| pool.alloc(4_096).expect("there is room")).collect();
        drop(small);
        assert!(pool.alloc(16_384).is_some());
        assert!(pool.held_bytes() <= 4 * 4_096);
    }

    #[test]
    fn length_above_the_largest_class_is_refused() {
        let pool = Pool::new(1 << 30);
        assert!(pool.alloc((4 << 20) + 1).is_none());
        assert!(pool.alloc(usize::MAX).is_none());
    }
}
