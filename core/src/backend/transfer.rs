//! Transfers that are done as a whole or fail, over a disk that may do them in parts.
//!
//! Systems return short counts, EINTR and EAGAIN. What is left then begins at a block: a block is never put together from
//! two reads, between which it may have been written, and a disk that demands alignment gets it. EAGAIN says that it cannot
//! be done now: the next try waits, longer each time.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::Descriptions;
use crate::env::{Disk, Durability, Geometry, Runtime};
use crate::high_water::Bounds;
use crate::planted;

/// The pause before a transfer that was told EAGAIN is tried again: it doubles from the first one to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A write that failed.
#[derive(Debug)]
pub struct WriteFailure {
    /// What the disk said.
    pub error: io::Error,
    /// Some of the data are on the disk.
    pub partly: bool,
}

/// A disk, carried on until a transfer is whole.
pub struct WholeTransfers<R: Runtime> {
    runtime: R,
    disks: Descriptions<R::Disk>,
    block_bytes: usize,
    limits: Rc<Bounds>,
}

impl<R: Runtime> WholeTransfers<R> {
    /// The disk that `disks` are handles to, in blocks of `block_bytes`. A transfer fails when so many calls in a row as the
    /// limits say brought it no further.
    pub fn new(runtime: R, disks: Descriptions<R::Disk>, block_bytes: u32, limits: Rc<Bounds>) -> Self {
        Self { runtime, disks, block_bytes: block_bytes as usize, limits }
    }

    /// Fills `buf` from `offset_bytes` on. A disk that ends before is an error.
    pub async fn read(&self, offset_bytes: u64, mut buf: R::Buf) -> (io::Result<()>, R::Buf) {
        let mut rest = self.all_of(&buf);
        while let Some(mut range) = rest.next() {
            if range.len() > self.block_bytes && crate::buggify!(ReadInParts) {
                range.end = rest.half();
            }
            let (result, returned) =
                self.disks.shards().read(offset_bytes + range.start as u64, buf, range.clone()).await;
            buf = returned;
            let result = if planted!(ShortReadGood) { result.map(|_| range.len()) } else { result };
            match rest.note(result, ErrorKind::UnexpectedEof) {
                Ok(pause) => self.wait(pause).await,
                Err(error) => return (Err(error), buf),
            }
        }
        (Ok(()), buf)
    }

    /// Writes all of `buf` at `offset_bytes`. After an error the disk holds old, new or torn data there.
    pub async fn write(&self, offset_bytes: u64, buf: R::Buf, durability: Durability) -> Result<(), WriteFailure> {
        let own = match durability {
            Durability::Durable if !planted!(DescriptionShared) => Some(self.own_description().await),
            Durability::Durable | Durability::Volatile => None,
        };
        let disk = own.as_ref().unwrap_or_else(|| self.disks.shards());
        let result = self.write_on(disk, offset_bytes, buf, durability).await;
        own.into_iter().for_each(|own| self.disks.give_back(own));
        result
    }

    async fn own_description(&self) -> R::Disk {
        let mark = &self.limits.marks.durable_writes;
        if self.disks.all_lent() {
            crate::probe!(DescriptionAwaited);
            mark.meet();
        }
        let own = self.disks.own().await;
        mark.reach(self.disks.lent());
        own
    }

    async fn write_on(
        &self,
        disk: &R::Disk,
        offset_bytes: u64,
        mut buf: R::Buf,
        durability: Durability,
    ) -> Result<(), WriteFailure> {
        let mut rest = self.all_of(&buf);
        while let Some(mut range) = rest.next() {
            if range.len() > self.block_bytes && crate::buggify!(WriteInParts) {
                range.end = rest.half();
            }
            let offset_bytes = offset_bytes + range.start as u64;
            let (result, returned) = disk.write(offset_bytes, buf, range.clone(), durability).await;
            buf = returned;
            let result = if planted!(ShortWriteGood) { result.map(|_| range.len()) } else { result };
            let pause = rest.note(result, ErrorKind::WriteZero);
            self.wait(pause.map_err(|error| WriteFailure { error, partly: rest.moved })?).await;
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

    async fn wait(&self, pause: Option<Duration>) {
        if let Some(pause) = pause {
            self.runtime.sleep(pause).await;
        }
    }

    fn all_of(&self, buf: &R::Buf) -> Rest<'_> {
        let length = buf.as_ref().len();
        let limits = &self.limits;
        Rest {
            at: 0,
            length,
            block_bytes: self.block_bytes,
            limits,
            moved: false,
            interruptions: 0,
            pause: FIRST_PAUSE,
        }
    }
}

/// What is left of a transfer, in bytes of its buffer.
struct Rest<'a> {
    at: usize,
    length: usize,
    block_bytes: usize,
    limits: &'a Bounds,
    /// Some bytes were moved, be it less than a block.
    moved: bool,
    /// Calls since the last that brought it further.
    interruptions: u32,
    /// Before the next try after EAGAIN.
    pause: Duration,
}

impl Rest<'_> {
    fn next(&self) -> Option<Range<usize>> {
        (self.at < self.length).then_some(self.at..self.length)
    }

    /// Where the first half of the rest ends, in whole blocks.
    fn half(&self) -> usize {
        let left = self.length - self.at;
        self.at + (left / 2).next_multiple_of(self.block_bytes).min(left)
    }

    /// A call moved some bytes of the rest; none is an error of kind `nothing`. Tells how long the next one has to wait.
    fn note(&mut self, result: io::Result<usize>, nothing: ErrorKind) -> io::Result<Option<Duration>> {
        let (bytes, otherwise) = match result {
            Ok(0) => return Err(nothing.into()),
            Ok(bytes) => (bytes, nothing.into()),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => (0, error),
            Err(error) => return Err(error),
        };
        assert!(bytes <= self.length - self.at, "a disk moved more than it was asked to");
        let whole = if self.at + bytes == self.length { bytes } else { bytes - bytes % self.block_bytes };
        self.moved |= bytes > 0;
        crate::probe!(TransferWithinBlock if whole < bytes);
        if whole > 0 {
            self.at += whole;
            self.interruptions = 0;
            self.pause = FIRST_PAUSE;
            return Ok(None);
        }
        self.interruptions += 1;
        let mark = &self.limits.marks.transfer_interruptions;
        mark.reach(self.interruptions as usize);
        if self.interruptions >= self.limits.transfer_interruptions {
            crate::probe!(TransferGivenUp);
            mark.meet();
            return Err(otherwise);
        }
        if otherwise.kind() != ErrorKind::WouldBlock {
            return Ok(None);
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Ok(Some(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Runtime;
    use crate::limits::Limits;
    use crate::testing::{DiskOperation, DiskVerb, MemoryDisk, STALE, TestRuntime};

    const EINTR: i32 = 4;
    const EAGAIN: i32 = 11;
    const EIO: i32 = 5;

    fn bench() -> (TestRuntime, MemoryDisk, WholeTransfers<TestRuntime>) {
        let disk = MemoryDisk::new(8_192, 512);
        let runtime = TestRuntime::new(1 << 20);
        let disks = Descriptions::new(vec![disk.clone(), disk.clone()]);
        let limits = Rc::new(Bounds::new(Limits { transfer_interruptions: 4, ..Limits::default() }));
        (runtime.clone(), disk, WholeTransfers::new(runtime, disks, 1_024, limits))
    }

    #[test]
    fn what_is_left_begins_at_a_block() {
        let (runtime, disk, transfers) = bench();
        let mut buf = runtime.alloc(4_096).expect("room");
        buf.as_mut().fill(7);
        disk.fail_next(DiskVerb::Write, EINTR);
        disk.shorten_next(DiskVerb::Write, 2_500);
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
        assert_eq!(result.expect_err("nothing was written").error.kind(), ErrorKind::WriteZero);
    }

    #[test]
    fn what_cannot_be_done_now_is_tried_again_after_a_pause_that_grows() {
        let disk = MemoryDisk::new(8_192, 512);
        let (runtime, disks) = (TestRuntime::new(1 << 20), Descriptions::new(vec![disk.clone(), disk.clone()]));
        let limits = Rc::new(Bounds::new(Limits { transfer_interruptions: 64, ..Limits::default() }));
        let transfers = WholeTransfers::new(runtime.clone(), disks, 1_024, limits);
        let write_takes = |errors: &[i32]| {
            let start = runtime.now();
            errors.iter().for_each(|errno| disk.fail_next(DiskVerb::Write, *errno));
            let buf = runtime.alloc(1_024).expect("room");
            let result = runtime.block_on(transfers.write(0, buf, Durability::Durable));
            (result.map_err(|failure| failure.error.raw_os_error()), (runtime.now() - start).as_millis())
        };
        assert_eq!(write_takes(&[EINTR; 10]), (Ok(()), 0));
        assert_eq!(write_takes(&[EAGAIN]), (Ok(()), 1));
        assert_eq!(write_takes(&[EAGAIN, EINTR, EAGAIN, EAGAIN]), (Ok(()), 1 + 2 + 4));
        assert_eq!(write_takes(&[EAGAIN; 8]), (Ok(()), 1 + 2 + 4 + 8 + 16 + 32 + 50 + 50));
        assert_eq!(write_takes(&[EAGAIN; 64]), (Err(Some(EAGAIN)), 63 + 57 * 50));
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
