//! The smallest world that a device server runs in: a disk in memory, no time, no peers.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quintain_core::env::{ByteStream, Close, Disk, Durability, Geometry, Runtime, ShardMessage, TxPdu};
use quintain_core::event::Event;
use quintain_core::id::ShardId;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The runtime. Time stands still, so nothing may wait for it.
#[derive(Clone, Default)]
pub(crate) struct NullWorld {
    tasks: Rc<RefCell<Vec<Task>>>,
}

impl NullWorld {
    /// Runs `future` to its end, and the tasks that it started as far as they get.
    ///
    /// # Panics
    /// When `future` waits for something that will not come.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        const ROUNDS: usize = 100;
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..ROUNDS {
            let result = future.as_mut().poll(&mut context);
            let mut tasks = self.tasks.take();
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            self.tasks.borrow_mut().append(&mut tasks);
            if let Poll::Ready(result) = result {
                return result;
            }
        }
        panic!("a command that does not end");
    }
}

/// A stream on which nothing ever comes.
pub(crate) struct NullStream;

/// A handle to a disk in memory.
#[derive(Clone)]
pub(crate) struct MemoryDisk {
    bytes: Rc<RefCell<Vec<u8>>>,
    block_bytes: u32,
}

impl MemoryDisk {
    pub(crate) fn new(size_bytes: usize, block_bytes: u32) -> Self {
        Self { bytes: Rc::new(RefCell::new(vec![0; size_bytes])), block_bytes }
    }

    /// The range of an operation, which the device server has to keep within the disk.
    fn range(&self, offset_bytes: u64, length_bytes: usize) -> Range<usize> {
        let start = usize::try_from(offset_bytes).expect("an offset within the disk");
        let block_bytes = self.block_bytes as usize;
        assert!(start.is_multiple_of(block_bytes) && length_bytes.is_multiple_of(block_bytes));
        assert!(start + length_bytes <= self.bytes.borrow().len(), "past the end of the disk");
        start..start + length_bytes
    }
}

impl Disk for MemoryDisk {
    type Buf = Vec<u8>;

    async fn read(&self, offset_bytes: u64, mut buf: Vec<u8>, range: Range<usize>) -> (io::Result<usize>, Vec<u8>) {
        let length_bytes = range.len();
        let there = self.range(offset_bytes, length_bytes);
        buf[range].copy_from_slice(&self.bytes.borrow()[there]);
        (Ok(length_bytes), buf)
    }

    async fn write(
        &self,
        offset_bytes: u64,
        buf: Vec<u8>,
        range: Range<usize>,
        _: Durability,
    ) -> (io::Result<usize>, Vec<u8>) {
        let length_bytes = range.len();
        let there = self.range(offset_bytes, length_bytes);
        self.bytes.borrow_mut()[there].copy_from_slice(&buf[range]);
        (Ok(length_bytes), buf)
    }

    async fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            size_bytes: self.bytes.borrow().len() as u64,
            logical_block_bytes: self.block_bytes,
            physical_block_bytes: self.block_bytes,
            read_only: false,
        }
    }
}

impl ByteStream for NullStream {
    type Buf = Vec<u8>;
    type Chunk = Vec<u8>;

    async fn recv(&self) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    async fn recv_into(&self, buf: Vec<u8>, _: Range<usize>) -> (io::Result<usize>, Vec<u8>) {
        (Ok(0), buf)
    }

    async fn send(&self, batch: Vec<TxPdu<Vec<u8>>>) -> (io::Result<()>, Vec<TxPdu<Vec<u8>>>) {
        (Ok(()), batch)
    }

    fn close(&self, _: Close) {}
}

impl Runtime for NullWorld {
    type Stream = NullStream;
    type Disk = MemoryDisk;
    type Buf = Vec<u8>;
    type Parked = ();

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().push(Box::pin(task));
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {
        std::future::pending().await
    }

    fn entropy(&self, out: &mut [u8]) {
        out.fill(0);
    }

    /// Stale bytes in every buffer: what the device server hands out has to be its own.
    fn alloc(&self, len: usize) -> Option<Vec<u8>> {
        (len <= 1 << 20).then(|| vec![0xa5; len])
    }

    fn pool_free_bytes(&self) -> usize {
        1 << 20
    }

    fn event(&self, _: &Event) {}

    fn park(&self, _: NullStream) {}

    fn unpark(&self, (): ()) -> NullStream {
        NullStream
    }

    fn post(&self, _: ShardId, _: ShardMessage<()>) {}
}
