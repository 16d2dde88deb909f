//! A block device or file as the back ends see it.

use std::io;
use std::ops::Range;

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

/// A disk, as the system gives it: a handle with an open file description of its own, which a system tells once that data
/// was lost on the way from its cache to the medium, whoever's data. Offsets and ranges are multiples of [`Geometry::logical_block_bytes`]. Operations may
/// run concurrently and complete in any order. A transfer may move less than it was asked to, or be interrupted
/// ([`io::ErrorKind::Interrupted`], [`io::ErrorKind::WouldBlock`]): carrying it on is the back end's business.
pub trait Disk: 'static {
    /// The runtime's buffer.
    type Buf;

    /// Reads from `offset_bytes` on into `range` of `buf`, and says how many bytes came; none is the end of the disk.
    fn read(
        &self,
        offset_bytes: u64,
        buf: Self::Buf,
        range: Range<usize>,
    ) -> impl Future<Output = (io::Result<usize>, Self::Buf)>;
    /// Writes `range` of `buf` at `offset_bytes`, and says how many bytes went. Beyond those, and after an error, the
    /// disk holds old, new or torn data.
    fn write(
        &self,
        offset_bytes: u64,
        buf: Self::Buf,
        range: Range<usize>,
        durability: Durability,
    ) -> impl Future<Output = (io::Result<usize>, Self::Buf)>;
    /// Makes every write that completed before this call durable, those through other handles included. After an error,
    /// any of them may be lost, and a second flush that succeeds proves nothing about them; nor does one that succeeds
    /// while a flush or durable write through the same handle is under way, which may be the one that is told.
    fn flush(&self) -> impl Future<Output = io::Result<()>>;
    /// What the disk is.
    fn geometry(&self) -> Geometry;
}
