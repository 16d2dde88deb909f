//! A small world for unit tests: one thread, virtual time, a disk in memory that fails and hangs on demand.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::env::{ByteStream, Close, Disk, Durability, Geometry, Runtime, ShardMessage, TxPdu};
use crate::event::Event;
use crate::id::ShardId;
use crate::sync::Notify;

/// What a fresh buffer holds: what its last user left.
pub(crate) const STALE: u8 = 0xaa;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// One shard of a world.
#[derive(Clone)]
pub(crate) struct TestRuntime(Rc<World>);

struct World {
    tasks: RefCell<Vec<Task>>,
    now: Cell<Duration>,
    deadlines: RefCell<Vec<Duration>>,
    pool_free: Rc<Cell<usize>>,
    events: RefCell<Vec<Event>>,
    entropy: Cell<u8>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl TestRuntime {
    /// A shard whose buffer pool holds `pool_bytes`.
    pub(crate) fn new(pool_bytes: usize) -> Self {
        Self(Rc::new(World {
            tasks: RefCell::default(),
            now: Cell::default(),
            deadlines: RefCell::default(),
            pool_free: Rc::new(Cell::new(pool_bytes)),
            events: RefCell::default(),
            entropy: Cell::default(),
        }))
    }

    /// Runs `future`, and with it every spawned task, to its end. Time passes only while nothing else can happen.
    ///
    /// # Panics
    /// When `future` waits for something that will never come.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Some(value) = self.turn(future.as_mut()) {
                return value;
            }
            let next = self.0.deadlines.borrow().iter().copied().filter(|at| *at > self.0.now.get()).min();
            self.0.now.set(next.expect("nothing is left that could wake this future"));
        }
    }

    /// Runs `future` and every spawned task until nothing can happen before time passes.
    pub(crate) fn turn<T>(&self, mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        while woken.0.swap(false, Ordering::SeqCst) {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                self.poll_tasks(&mut context);
                return Some(value);
            }
            if self.poll_tasks(&mut context) {
                waker.wake_by_ref();
            }
        }
        None
    }

    /// Runs the spawned tasks until nothing can happen before time passes.
    pub(crate) fn settle(&self) {
        let _ = self.turn(pin!(std::future::pending::<()>()));
    }

    /// What was reported since the last call.
    pub(crate) fn take_events(&self) -> Vec<Event> {
        self.0.events.take()
    }

    /// Polls every task once. `true` when one of them ended or began another.
    fn poll_tasks(&self, context: &mut Context<'_>) -> bool {
        let mut tasks = self.0.tasks.take();
        let before = tasks.len();
        // A task that panics is over, and nothing else.
        tasks.retain_mut(|task| {
            catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context).is_pending())).unwrap_or(false)
        });
        let mut spawned = self.0.tasks.borrow_mut();
        let changed = tasks.len() != before || !spawned.is_empty();
        tasks.append(&mut spawned);
        *spawned = tasks;
        changed
    }
}

impl Runtime for TestRuntime {
    type Stream = MemoryStream;
    type Disk = MemoryDisk;
    type Buf = TestBuf;
    type Parked = ();

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.tasks.borrow_mut().push(Box::pin(task));
    }

    fn now(&self) -> Duration {
        self.0.now.get()
    }

    async fn sleep(&self, duration: Duration) {
        let deadline = self.now() + duration;
        self.0.deadlines.borrow_mut().push(deadline);
        poll_fn(|_| if self.now() >= deadline { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn entropy(&self, out: &mut [u8]) {
        for byte in out {
            *byte = self.0.entropy.replace(self.0.entropy.get().wrapping_add(1));
        }
    }

    fn alloc(&self, len: usize) -> Option<TestBuf> {
        let pool = &self.0.pool_free;
        pool.set(pool.get().checked_sub(len)?);
        Some(TestBuf { bytes: vec![STALE; len], pool: pool.clone() })
    }

    fn pool_free_bytes(&self) -> usize {
        self.0.pool_free.get()
    }

    fn event(&self, event: &Event) {
        self.0.events.borrow_mut().push(event.clone());
    }

    fn park(&self, _: MemoryStream) {
        unreachable!("this world has no other shard")
    }

    fn unpark(&self, (): ()) -> MemoryStream {
        unreachable!("this world has no other shard")
    }

    fn post(&self, shard: ShardId, _: ShardMessage<()>) {
        unreachable!("this world has no shard {shard}")
    }
}

/// A buffer of the test pool.
#[derive(Debug)]
pub(crate) struct TestBuf {
    bytes: Vec<u8>,
    pool: Rc<Cell<usize>>,
}

impl AsRef<[u8]> for TestBuf {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for TestBuf {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for TestBuf {
    fn drop(&mut self) {
        self.pool.set(self.pool.get() + self.bytes.len());
    }
}

/// A connection in memory that loses nothing. Clones are the same one: the peer's end is held by the test.
#[derive(Clone, Default)]
pub(crate) struct MemoryStream(Rc<Wire>);

#[derive(Default)]
struct Wire {
    arriving: RefCell<VecDeque<u8>>,
    sent: RefCell<Vec<u8>>,
    closed: Cell<bool>,
    changed: Notify,
}

impl MemoryStream {
    /// The peer sends `bytes`.
    pub(crate) fn arrive(&self, bytes: &[u8]) {
        self.0.arriving.borrow_mut().extend(bytes);
        self.0.changed.all();
    }

    /// What the peer got since the last call.
    pub(crate) fn take_sent(&self) -> Vec<u8> {
        self.0.sent.take()
    }

    /// At most so many bytes, and at least one unless the stream is closed.
    async fn next(&self, most: usize) -> Vec<u8> {
        let wire = &self.0;
        wire.changed.until(|| (wire.closed.get() || !wire.arriving.borrow().is_empty()).then_some(())).await;
        let mut arriving = wire.arriving.borrow_mut();
        let count = most.min(arriving.len());
        arriving.drain(..count).collect()
    }
}

impl ByteStream for MemoryStream {
    type Buf = TestBuf;
    type Chunk = Vec<u8>;

    async fn recv(&self) -> io::Result<Vec<u8>> {
        Ok(self.next(usize::MAX).await)
    }

    async fn recv_into(&self, mut buf: TestBuf, range: Range<usize>) -> (io::Result<usize>, TestBuf) {
        let bytes = self.next(range.len()).await;
        buf.bytes[range][..bytes.len()].copy_from_slice(&bytes);
        (Ok(bytes.len()), buf)
    }

    async fn send(&self, batch: Vec<TxPdu<TestBuf>>) -> (io::Result<()>, Vec<TxPdu<TestBuf>>) {
        batch.iter().flat_map(TxPdu::slices).for_each(|bytes| self.0.sent.borrow_mut().extend(bytes));
        (Ok(()), batch)
    }

    fn close(&self, _: Close) {
        self.0.closed.set(true);
        self.0.changed.all();
    }
}

/// What a disk was asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DiskOperation {
    /// Offset and length in bytes.
    Read(u64, usize),
    /// Offset and length in bytes.
    Write(u64, usize, Durability),
    /// Everything.
    Flush,
}

/// A kind of [`DiskOperation`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DiskVerb {
    /// A read.
    Read,
    /// A write.
    Write,
    /// A flush.
    Flush,
}

/// A disk in memory with a volatile cache. Clones are handles to the same disk, and each has a number.
pub(crate) struct MemoryDisk(Rc<DiskState>, u32);

impl Clone for MemoryDisk {
    fn clone(&self) -> Self {
        self.0.handles_made.set(self.0.handles_made.get() + 1);
        Self(self.0.clone(), self.0.handles_made.get())
    }
}

struct DiskState {
    cached: RefCell<Vec<u8>>,
    durable: RefCell<Vec<u8>>,
    physical_block_bytes: u32,
    operations: RefCell<Vec<DiskOperation>>,
    /// What becomes of the next operations: the bytes that are moved, or a system error.
    planned: RefCell<VecDeque<(DiskVerb, Result<usize, i32>)>>,
    held: Cell<Option<DiskVerb>>,
    released: Notify,
    handles_made: Cell<u32>,
    /// Those that made something durable.
    handles: RefCell<Vec<u32>>,
}

impl MemoryDisk {
    /// A disk of zeros.
    pub(crate) fn new(size_bytes: usize, physical_block_bytes: u32) -> Self {
        let state = DiskState {
            cached: RefCell::new(vec![0; size_bytes]),
            durable: RefCell::new(vec![0; size_bytes]),
            physical_block_bytes,
            operations: RefCell::default(),
            planned: RefCell::default(),
            held: Cell::default(),
            released: Notify::default(),
            handles_made: Cell::default(),
            handles: RefCell::default(),
        };
        Self(Rc::new(state), 0)
    }

    /// The next operation of this kind, after those that were planned before, fails with this system error.
    pub(crate) fn fail_next(&self, verb: DiskVerb, errno: i32) {
        self.0.planned.borrow_mut().push_back((verb, Err(errno)));
    }

    /// The next transfer of this kind, after those that were planned before, moves so many bytes.
    pub(crate) fn shorten_next(&self, verb: DiskVerb, bytes: usize) {
        self.0.planned.borrow_mut().push_back((verb, Ok(bytes)));
    }

    /// Operations of this kind do not end before [`MemoryDisk::release`].
    pub(crate) fn hold(&self, verb: DiskVerb) {
        self.0.held.set(Some(verb));
    }

    /// Lets the held operations end.
    pub(crate) fn release(&self) {
        self.0.held.set(None);
        self.0.released.all();
    }

    /// What survives a power loss.
    pub(crate) fn durable(&self, range: Range<usize>) -> Vec<u8> {
        self.0.durable.borrow()[range].to_vec()
    }

    /// What the disk was asked since the last call.
    pub(crate) fn take_operations(&self) -> Vec<DiskOperation> {
        self.0.operations.take()
    }

    /// The handles through which something was made durable since the last call, in the order in which that began.
    pub(crate) fn take_handles(&self) -> Vec<u32> {
        self.0.handles.take()
    }

    async fn begin(&self, operation: DiskOperation, verb: DiskVerb) -> io::Result<()> {
        self.0.operations.borrow_mut().push(operation);
        if matches!(operation, DiskOperation::Flush | DiskOperation::Write(_, _, Durability::Durable)) {
            self.0.handles.borrow_mut().push(self.1);
        }
        self.0.released.until(|| (self.0.held.get() != Some(verb)).then_some(())).await;
        match self.take_planned(verb, Result::is_err) {
            Some(Err(errno)) => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }

    /// How many of `length` bytes a transfer moves.
    fn moved(&self, length: usize, verb: DiskVerb) -> usize {
        self.take_planned(verb, Result::is_ok).and_then(Result::ok).map_or(length, |bytes| bytes.min(length))
    }

    /// What was planned for the next operation of this kind, if it is such.
    fn take_planned(
        &self,
        verb: DiskVerb,
        such: impl FnOnce(&Result<usize, i32>) -> bool,
    ) -> Option<Result<usize, i32>> {
        let mut planned = self.0.planned.borrow_mut();
        let at = planned.iter().position(|(other, _)| *other == verb)?;
        if such(&planned[at].1) { planned.remove(at).map(|(_, what)| what) } else { None }
    }
}

impl Disk for MemoryDisk {
    type Buf = TestBuf;

    async fn read(&self, offset_bytes: u64, mut buf: TestBuf, range: Range<usize>) -> (io::Result<usize>, TestBuf) {
        let at = offset_bytes as usize;
        if let Err(error) = self.begin(DiskOperation::Read(offset_bytes, range.len()), DiskVerb::Read).await {
            return (Err(error), buf);
        }
        let moved = self.moved(range.len(), DiskVerb::Read);
        buf.bytes[range][..moved].copy_from_slice(&self.0.cached.borrow()[at..at + moved]);
        (Ok(moved), buf)
    }

    async fn write(
        &self,
        offset_bytes: u64,
        buf: TestBuf,
        range: Range<usize>,
        durability: Durability,
    ) -> (io::Result<usize>, TestBuf) {
        let at = offset_bytes as usize;
        let operation = DiskOperation::Write(offset_bytes, range.len(), durability);
        if let Err(error) = self.begin(operation, DiskVerb::Write).await {
            return (Err(error), buf);
        }
        let moved = self.moved(range.len(), DiskVerb::Write);
        let bytes = &buf.bytes[range][..moved];
        self.0.cached.borrow_mut()[at..at + moved].copy_from_slice(bytes);
        if durability == Durability::Durable {
            self.0.durable.borrow_mut()[at..at + moved].copy_from_slice(bytes);
        }
        (Ok(moved), buf)
    }

    async fn flush(&self) -> io::Result<()> {
        self.begin(DiskOperation::Flush, DiskVerb::Flush).await?;
        self.0.durable.borrow_mut().copy_from_slice(&self.0.cached.borrow());
        Ok(())
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            size_bytes: self.0.cached.borrow().len() as u64,
            logical_block_bytes: 512,
            physical_block_bytes: self.0.physical_block_bytes,
            read_only: false,
        }
    }
}
