//! The content of a disk, sparse, and the writes that a power loss may take back.

use std::collections::VecDeque;
use std::rc::Rc;

const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;
/// What a cache holds before it writes back on its own, in bytes.
const VOLATILE_BYTES_MAX: usize = 2 << 20;

/// Shared by the images that hold the same.
type Page = Rc<[u8; PAGE_BYTES]>;

/// Bytes by page; a page that was never written is zero and takes no memory. Each sector knows the number of the
/// write that it holds, so that an old write that lands late does not undo a newer one.
#[derive(Clone, PartialEq)]
pub(super) struct Image {
    pages: Vec<Option<Page>>,
    /// What a page begins as.
    zeros: Page,
    writers: Vec<u64>,
}

impl Image {
    pub(super) fn new(size_bytes: u64) -> Self {
        let size = usize::try_from(size_bytes).expect("a simulated disk is small");
        let (pages, writers) = (vec![None; size.div_ceil(PAGE_BYTES)], vec![0; size.div_ceil(SECTOR_BYTES)]);
        Self { pages, zeros: Rc::new([0; PAGE_BYTES]), writers }
    }

    pub(super) fn read(&self, offset_bytes: u64, out: &mut [u8]) {
        for (page, within, part) in pieces(offset_bytes, out.len()) {
            let target = &mut out[part];
            match &self.pages[page] {
                Some(bytes) => target.copy_from_slice(&bytes[within..within + target.len()]),
                None => target.fill(0),
            }
        }
    }

    /// Writes each sector that does not hold a newer write than `number`.
    pub(super) fn write(&mut self, offset_bytes: u64, bytes: &[u8], number: u64) {
        let first = offset_bytes as usize / SECTOR_BYTES;
        let sectors = first..first + bytes.len() / SECTOR_BYTES;
        if self.writers[sectors.clone()].iter().all(|&writer| writer <= number) {
            self.writers[sectors].fill(number);
            for (page, within, part) in pieces(offset_bytes, bytes.len()) {
                let source = &bytes[part];
                self.page(page)[within..within + source.len()].copy_from_slice(source);
            }
            return;
        }
        for (sector, source) in sectors.zip(bytes.chunks(SECTOR_BYTES)) {
            if self.writers[sector] <= number {
                self.writers[sector] = number;
                let within = sector * SECTOR_BYTES % PAGE_BYTES;
                self.page(sector * SECTOR_BYTES / PAGE_BYTES)[within..within + source.len()].copy_from_slice(source);
            }
        }
    }

    pub(super) fn is_allocated(&self, offset_bytes: u64, length: usize) -> bool {
        pieces(offset_bytes, length).all(|(page, _, _)| self.pages[page].is_some())
    }

    /// Flips a bit of what was ever written.
    pub(super) fn flip(&mut self, offset_bytes: u64, bit: u32) {
        if let Some(page) = &mut self.pages[offset_bytes as usize / PAGE_BYTES] {
            Rc::make_mut(page)[offset_bytes as usize % PAGE_BYTES] ^= 1 << bit;
        }
    }

    /// From `end_bytes` on, nothing was ever written.
    pub(super) fn cut(&mut self, end_bytes: u64) {
        let (page, within) = (end_bytes as usize / PAGE_BYTES, end_bytes as usize % PAGE_BYTES);
        if let Some(Some(last)) = self.pages.get_mut(page) {
            Rc::make_mut(last)[within..].fill(0);
        }
        self.pages.iter_mut().skip(page + usize::from(within > 0)).for_each(|page| *page = None);
    }

    fn page(&mut self, index: usize) -> &mut [u8; PAGE_BYTES] {
        Rc::make_mut(self.pages[index].get_or_insert_with(|| self.zeros.clone()))
    }
}

/// A range of bytes as (page, offset within it, range within the caller's slice).
fn pieces(offset_bytes: u64, length: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let (offset, mut at) = (offset_bytes as usize, 0);
    std::iter::from_fn(move || {
        if at == length {
            return None;
        }
        let (page, within) = ((offset + at) / PAGE_BYTES, (offset + at) % PAGE_BYTES);
        let part = at..length.min(at + PAGE_BYTES - within);
        at = part.end;
        Some((page, within, part))
    })
}

/// A write that is not durable yet.
pub(super) struct Write {
    pub(super) number: u64,
    pub(super) offset_bytes: u64,
    pub(super) bytes: Vec<u8>,
}

/// The volatile writes of a disk, oldest first.
#[derive(Default)]
pub(super) struct Volatile {
    writes: VecDeque<Write>,
    bytes: usize,
}

impl Volatile {
    /// Adds a write; when the cache is full, its oldest become durable on their own.
    pub(super) fn push(&mut self, number: u64, offset_bytes: u64, bytes: &[u8], durable: &mut Image) {
        self.bytes += bytes.len();
        self.writes.push_back(Write { number, offset_bytes, bytes: bytes.to_vec() });
        while self.bytes > VOLATILE_BYTES_MAX {
            let Some(oldest) = self.writes.pop_front() else { break };
            self.bytes -= oldest.bytes.len();
            durable.write(oldest.offset_bytes, &oldest.bytes, oldest.number);
        }
    }

    /// Removes the writes numbered below `number`.
    pub(super) fn take_below(&mut self, number: u64) -> Vec<Write> {
        let count = self.writes.partition_point(|write| write.number < number);
        let taken: Vec<Write> = self.writes.drain(..count).collect();
        self.bytes -= taken.iter().map(|write| write.bytes.len()).sum::<usize>();
        taken
    }

    /// What lies behind `end_bytes` will never be written.
    pub(super) fn cut(&mut self, end_bytes: u64) {
        for write in &mut self.writes {
            write.bytes.truncate(end_bytes.saturating_sub(write.offset_bytes) as usize);
        }
        self.bytes = self.writes.iter().map(|write| write.bytes.len()).sum();
    }

    /// Power loss: each sector of each write reaches `durable` if `survives` says so.
    pub(super) fn lose(&mut self, durable: &mut Image, sector: usize, mut survives: impl FnMut() -> bool) {
        self.bytes = 0;
        for write in self.writes.drain(..) {
            for (index, part) in write.bytes.chunks(sector).enumerate() {
                if survives() {
                    durable.write(write.offset_bytes + (index * sector) as u64, part, write.number);
                }
            }
        }
    }
}
