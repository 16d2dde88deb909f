//! A block device or file as the back ends see it.

use std::io;

/// How far a write has to be when it completes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// It may still be in a volatile cache.
    Volatile,
    /// It survives a power loss.
    Durable,
}

/// What a disk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Size in bytes.
    pub size_bytes: u64,
    /// The smallest unit that a read or write may address, in bytes.
    pub logical_block_bytes: u32,
    /// The unit that the device writes atomically, in bytes; at least the logical block.
    pub physical_block_bytes: u32,
    /// Writes are refused.
    pub read_only: bool,
}

/// A disk. Every operation covers the whole buffer; offsets and lengths are multiples of
/// [`Geometry::logical_block_bytes`]. Operations may run concurrently and complete in any order. Short transfers and
/// interruptions are the runtime's business: an operation is done as a whole or fails.
pub trait Disk: 'static {
    /// The runtime's buffer.
    type Buf;

    /// Fills `buf` from `offset_bytes` on.
    fn read(&self, offset_bytes: u64, buf: Self::Buf) -> impl Future<Output = (io::Result<()>, Self::Buf)>;
    /// Writes all of `buf` at `offset_bytes`. After an error the range holds old, new or torn data.
    fn write(
        &self,
        offset_bytes: u64,
        buf: Self::Buf,
        durability: Durability,
    ) -> impl Future<Output = (io::Result<()>, Self::Buf)>;
    /// Makes every write that completed before this call durable. After an error, any of them may be lost, and a
    /// second flush that succeeds proves nothing about them.
    fn flush(&self) -> impl Future<Output = io::Result<()>>;
    /// What the disk is.
    fn geometry(&self) -> Geometry;
}
