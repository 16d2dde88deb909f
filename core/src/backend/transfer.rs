//! Transfers that are done as a whole or fail, over a disk that may do them in parts.
//!
//! Systems return short counts, EINTR and EAGAIN. What is left then begins at a block: a block is never put together from
//! two reads, between which it may have been written, and a disk that demands alignment gets it.

use std::io::{self, ErrorKind};
use std::ops::Range;

use super::Descriptions;
use crate::env::{Disk, Durability, Geometry};
use crate::planted;

/// A disk, carried on until a transfer is whole.
pub struct WholeTransfers<D> {
    disks: Descriptions<D>,
    block_bytes: usize,
    interruptions_max: u32,
}

impl<D: Disk<Buf: AsRef<[u8]>>> WholeTransfers<D> {
    /// The disk that `disks` are handles to, in blocks of `block_bytes`. A transfer fails when `interruptions_max` calls in a row brought it no further.
    pub fn new(disks: Descriptions<D>, block_bytes: u32, interruptions_max: u32) -> Self {
        Self { disks, block_bytes: block_bytes as usize, interruptions_max }
    }

    /// Fills `buf` from `offset_bytes` on. A disk that ends before is an error.
    pub async fn read(&self, offset_bytes: u64, mut buf: D::Buf) -> (io::Result<()>, D::Buf) {
        let mut rest = self.all_of(&buf);
        while let Some(range) = rest.next() {
            let (result, returned) =
                self.disks.shards().read(offset_bytes + range.start as u64, buf, range.clone()).await;
            buf = returned;
            let result = if planted!(ShortReadGood) { result.map(|_| range.len()) } else { result };
            if let Err(error) = rest.note(result, ErrorKind::UnexpectedEof) {
                return (Err(error), buf);
            }
        }
        (Ok(()), buf)
    }

    /// Writes all of `buf` at `offset_bytes`. After an error the disk holds old, new or torn data there.
    pub async fn write(&self, offset_bytes: u64, buf: D::Buf, durability: Durability) -> io::Result<()> {
        let own = match durability {
            Durability::Durable if !planted!(DescriptionShared) => Some(self.disks.own().await),
            Durability::Durable | Durability::Volatile => None,
        };
        let disk = own.as_ref().unwrap_or_else(|| self.disks.shards());
        let result = self.write_on(disk, offset_bytes, buf, durability).await;
        own.into_iter().for_each(|own| self.disks.give_back(own));
        result
    }

    async fn write_on(&self, disk: &D, offset_bytes: u64, mut buf: D::Buf, durability: Durability) -> io::Result<()> {
        let mut rest = self.all_of(&buf);
        while let Some(range) = rest.next() {
            let offset_bytes = offset_bytes + range.start as u64;
            let (result, returned) = disk.write(offset_bytes, buf, range.clone(), durability).await;
            buf = returned;
            let result = if planted!(ShortWriteGood) { result.map(|_| range.len()) } else { result };
            rest.note(result, ErrorKind::WriteZero)?;
        }
        Ok(())
    }

    /// Makes every write that completed before this call durable. One that fails is not tried again: a system tells of
    /// lost writes once.
    pub async fn flush(&self) -> io::Result<()> {
        self.disks.shards().flush().await
    }

    /// What the disk is.
    pub fn geometry(&self) -> Geometry {
        self.disks.shards().geometry()
    }

    fn all_of(&self, buf: &D::Buf) -> Rest {
        let length = buf.as_ref().len();
        Rest { at: 0, length, block_bytes: self.block_bytes, patience: self.interruptions_max, interruptions: 0 }
    }
}

/// What is left of a transfer, in bytes of its buffer.
struct Rest {
    at: usize,
    length: usize,
    block_bytes: usize,
    patience: u32,
    /// Calls since the last that brought it further.
    interruptions: u32,
}

impl Rest {
    fn next(&self) -> Option<Range<usize>> {
        (self.at < self.length).then_some(self.at..self.length)
    }

    /// A call moved some bytes of the rest; none is an error of kind `nothing`.
    fn note(&mut self, result: io::Result<usize>, nothing: ErrorKind) -> io::Result<()> {
        let (bytes, otherwise) = match result {
            Ok(0) => return Err(nothing.into()),
            Ok(bytes) => (bytes, nothing.into()),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => (0, error),
            Err(error) => return Err(error),
        };
        assert!(bytes <= self.length - self.at, "a disk moved more than it was asked to");
        let whole = if self.at + bytes == self.length { bytes } else { bytes - bytes % self.block_bytes };
        if whole > 0 {
            self.at += whole;
            self.interruptions = 0;
            return Ok(());
        }
        self.interruptions += 1;
        if self.interruptions < self.patience { Ok(()) } else { Err(otherwise) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Runtime;
    use crate::testing::{DiskOperation, DiskVerb, MemoryDisk, STALE, TestRuntime};

    const EINTR: i32 = 4;
    const EAGAIN: i32 = 11;
    const EIO: i32 = 5;

    fn bench() -> (TestRuntime, MemoryDisk, WholeTransfers<MemoryDisk>) {
        let disk = MemoryDisk::new(8_192, 512);
        (
            TestRuntime::new(1 << 20),
            disk.clone(),
            WholeTransfers::new(Descriptions::new(vec![disk.clone(), disk]), 1_024, 4),
        )
    }

    #[test]
    fn what_is_left_begins_at_a_block() {
        let (runtime, disk, transfers) = bench();
        let mut buf = runtime.alloc(4_096).expect("room");
        buf.as_mut().fill(7);
        disk.shorten_next(DiskVerb::Write, 2_500);
        disk.fail_next(DiskVerb::Write, EINTR);
        runtime.block_on(transfers.write(1_024, buf, Durability::Durable)).expect("it goes on");
        assert_eq!(
            disk.take_operations(),
            [
                DiskOperation::Write(1_024, 4_096, Durability::Durable),
                DiskOperation::Write(1_024, 4_096, Durability::Durable),
                DiskOperation::Write(3_072, 2_048, Durability::Durable),
            ]
        );
        assert_eq!(disk.durable(1_024..5_120), [7; 4_096]);
        disk.fail_next(DiskVerb::Read, EAGAIN);
        disk.shorten_next(DiskVerb::Read, 1_025);
        let (result, buf) = runtime.block_on(transfers.read(0, runtime.alloc(4_096).expect("room")));
        result.expect("it goes on");
        assert_eq!(buf.as_ref(), [[0; 1_024].as_slice(), &[7; 3_072]].concat());
        assert_eq!(disk.take_operations().last(), Some(&DiskOperation::Read(1_024, 3_072)));
    }

    #[test]
    fn disk_that_ends_early_is_an_error() {
        let (runtime, disk, transfers) = bench();
        disk.shorten_next(DiskVerb::Read, 2_048);
        disk.shorten_next(DiskVerb::Read, 0);
        let (result, buf) = runtime.block_on(transfers.read(0, runtime.alloc(4_096).expect("room")));
        assert_eq!(result.expect_err("half of it is not there").kind(), ErrorKind::UnexpectedEof);
        assert_eq!(buf.as_ref()[2_048..], [STALE; 2_048]);
        disk.shorten_next(DiskVerb::Write, 0);
        let result = runtime.block_on(transfers.write(0, buf, Durability::Volatile));
        assert_eq!(result.expect_err("nothing was written").kind(), ErrorKind::WriteZero);
    }

    #[test]
    fn patience_ends_and_begins_anew_with_every_block() {
        let (runtime, disk, transfers) = bench();
        let read = |interruptions: &[i32]| {
            for errno in interruptions {
                disk.fail_next(DiskVerb::Read, *errno);
            }
            let (result, buf) = runtime.block_on(transfers.read(0, runtime.alloc(4_096).expect("room")));
            (result.map_err(|error| error.raw_os_error()), buf)
        };
        assert_eq!(read(&[EINTR; 3]).0, Ok(()));
        assert_eq!(read(&[EINTR, EIO]).0, Err(Some(EIO)));
        assert_eq!(read(&[EINTR, EINTR, EINTR, EAGAIN]).0, Err(Some(EAGAIN)));
        // Less than a block is no progress.
        for bytes in [1, 1_023, 1_024, 512, 1, 1] {
            disk.shorten_next(DiskVerb::Read, bytes);
        }
        assert_eq!(read(&[]).0, Ok(()));
        for bytes in [1_024, 1, 1_023, 512, 1] {
            disk.shorten_next(DiskVerb::Read, bytes);
        }
        assert_eq!(read(&[]).0, Err(None));
    }
}
