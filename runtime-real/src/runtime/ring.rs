//! The executor and the submission of operations: the only place that knows which runtime is underneath.
//!
//! One ring per thread. An operation owns everything the kernel reads or writes until its completion has been seen,
//! also when its future is dropped: that is what makes the functions here safe to call.

use std::io;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use compio::driver::{OpCode, OpEntry, ProactorBuilder};
use compio::runtime::{Runtime, RuntimeBuilder, Submit};
use futures_util::FutureExt;
use io_uring::types::{Fd, FsyncFlags};
use io_uring::{opcode, squeue};
use quintain_core::env::TxPdu;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::pool::Buf;

/// Runs `future` to its end on this thread, with a ring of its own. `processor` is where the thread is pinned to.
///
/// # Errors
/// When the kernel gives no ring.
pub(crate) fn run<F: Future>(processor: Option<usize>, future: F) -> io::Result<F::Output> {
    let mut proactor = ProactorBuilder::new();
    // One thread submits and reaps; completions wait until it asks for them instead of interrupting it.
    proactor.capacity(RING_ENTRIES).single_issuer(true).defer_taskrun(true).taskrun_flag(true).coop_taskrun(true);
    if let Some(processor) = processor {
        let mut processors = CpuSet::new();
        processors.set(processor);
        // Best effort: unpinned it is slower, not wrong.
        let _ = sched_setaffinity(None, &processors);
    }
    let runtime: Runtime = RuntimeBuilder::new().with_proactor(proactor).build()?;
    Ok(runtime.block_on(future))
}

/// Starts a task on this thread. A panic ends the task and nothing else.
///
/// # Panics
/// Outside of [`run`].
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    compio::runtime::spawn(async {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            tracing::error!("a task was ended by a broken invariant; this is a bug in Quintain, please report it");
        }
    })
    .detach();
}

/// Completes `duration` from now.
pub(crate) async fn sleep(duration: Duration) {
    compio::runtime::time::sleep(duration).await;
}

/// An operation in flight. It may be kept, polled from several places in turn, or dropped, which cancels it.
pub(crate) struct Operation<T: 'static> {
    submit: Submit<Entry<T>>,
}

impl<T: 'static> Future for Operation<T> {
    type Output = (io::Result<usize>, T);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.submit).poll(context).map(|result| (result.0, result.1.owned))
    }
}

/// Receives into `range` of `buf`: at least one byte, or zero at the end of the stream.
pub(crate) fn receive(socket: &Arc<OwnedFd>, mut buf: Buf, range: Range<usize>) -> Operation<(Arc<OwnedFd>, Buf)> {
    let space = &mut buf.as_mut()[range];
    let entry = opcode::Recv::new(fd(socket), space.as_mut_ptr(), kernel_length(space.len())).build();
    // SAFETY: the entry points into `buf`, whose memory does not move with it, and names `socket`; both are owned by
    // the operation.
    unsafe { submit(entry, (socket.clone(), buf)) }
}

/// Reads from `offset_bytes` of `file` into `range` of `buf`.
pub(crate) fn read(
    file: &Arc<OwnedFd>,
    offset_bytes: u64,
    mut buf: Buf,
    range: Range<usize>,
) -> Operation<(Arc<OwnedFd>, Buf)> {
    let space = &mut buf.as_mut()[range];
    let entry =
        opcode::Read::new(fd(file), space.as_mut_ptr(), kernel_length(space.len())).offset(offset_bytes).build();
    // SAFETY: as in `receive`.
    unsafe { submit(entry, (file.clone(), buf)) }
}

/// Writes `range` of `buf` at `offset_bytes` of `file`; with `durable` it completes when the data would survive a
/// power loss.
pub(crate) fn write(
    file: &Arc<OwnedFd>,
    offset_bytes: u64,
    buf: Buf,
    range: Range<usize>,
    durable: bool,
) -> Operation<(Arc<OwnedFd>, Buf)> {
    let bytes = &buf.as_ref()[range];
    let entry = opcode::Write::new(fd(file), bytes.as_ptr(), kernel_length(bytes.len()))
        .offset(offset_bytes)
        .rw_flags(if durable { libc::RWF_DSYNC } else { 0 })
        .build();
    // SAFETY: as in `receive`; the kernel only reads.
    unsafe { submit(entry, (file.clone(), buf)) }
}

/// Makes what was written to `file` durable.
pub(crate) fn synchronize(file: &Arc<OwnedFd>) -> Operation<Arc<OwnedFd>> {
    let entry = opcode::Fsync::new(fd(file)).flags(FsyncFlags::DATASYNC).build();
    // SAFETY: the entry points to no memory, and the operation owns the file it names.
    unsafe { submit(entry, file.clone()) }
}

/// Waits until `socket` has something to read: bytes, a connection to accept, an error.
pub(crate) fn readable(socket: &Arc<OwnedFd>) -> Operation<Arc<OwnedFd>> {
    let entry = opcode::PollAdd::new(fd(socket), libc::POLLIN as u32).build();
    // SAFETY: the entry points to no memory, and the operation owns the socket it names.
    unsafe { submit(entry, socket.clone()) }
}

/// Sends as much of `message` as fits one call, from where the last one ended.
pub(crate) fn send(socket: &Arc<OwnedFd>, mut message: Box<Message>) -> Operation<(Arc<OwnedFd>, Box<Message>)> {
    message.point();
    let entry = opcode::SendMsg::new(fd(socket), &raw const message.header)
        // Wait for room in the kernel instead of returning after a part.
        .flags((libc::MSG_NOSIGNAL | libc::MSG_WAITALL) as u32)
        .build();
    // SAFETY: the header is in the box, what it points to is in the vectors of the message, and none of that moves or
    // changes while the operation owns the box; `socket` is owned by it too.
    unsafe { submit(entry, (socket.clone(), message)) }
}

/// A batch of PDUs on its way, with what the kernel needs to know about it. Used again for the next batch.
pub(crate) struct Message {
    batch: Vec<TxPdu<Buf>>,
    /// PDUs of the batch that are gone.
    pdus_sent: usize,
    /// Bytes of the next one that are gone.
    bytes_sent: usize,
    /// Slices of the current call.
    slices: Vec<libc::iovec>,
    header: libc::msghdr,
}

impl Message {
    /// A message that holds nothing.
    pub(crate) fn new() -> Box<Self> {
        // SAFETY: `msghdr` is a C structure of integers and pointers, for which zero is a value.
        let header = unsafe { mem::zeroed() };
        Box::new(Self { batch: Vec::new(), pdus_sent: 0, bytes_sent: 0, slices: Vec::new(), header })
    }

    /// Starts on `batch`.
    pub(crate) fn load(&mut self, batch: Vec<TxPdu<Buf>>) {
        self.batch = batch;
        self.pdus_sent = 0;
        self.bytes_sent = 0;
        self.advance(0);
    }

    /// Gives the batch back.
    pub(crate) fn unload(&mut self) -> Vec<TxPdu<Buf>> {
        self.slices.clear();
        mem::take(&mut self.batch)
    }

    /// Whether everything is sent.
    pub(crate) fn is_done(&self) -> bool {
        self.pdus_sent == self.batch.len()
    }

    /// Notes that `bytes` more are gone.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.bytes_sent += bytes;
        while let Some(pdu) = self.batch.get(self.pdus_sent) {
            let length = pdu.wire_len();
            if self.bytes_sent < length {
                break;
            }
            self.bytes_sent -= length;
            self.pdus_sent += 1;
        }
    }

    /// Points the header to what is left, as much of it as one call takes.
    fn point(&mut self) {
        self.slices.clear();
        let mut skip = self.bytes_sent;
        let left = self.batch[self.pdus_sent..].iter().flat_map(TxPdu::slices).filter(|slice| !slice.is_empty());
        for slice in left {
            if self.slices.len() == SLICES_PER_CALL {
                break;
            }
            if skip >= slice.len() {
                skip -= slice.len();
                continue;
            }
            let rest = &slice[mem::take(&mut skip)..];
            self.slices.push(libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() });
        }
        self.header.msg_iov = if self.slices.is_empty() { ptr::null_mut() } else { self.slices.as_mut_ptr() };
        self.header.msg_iovlen = self.slices.len() as _;
    }
}

/// Submission queue entries of a ring; when it is full it is submitted early.
const RING_ENTRIES: u32 = 1_024;
/// The kernel's limit (`UIO_MAXIOV`).
const SLICES_PER_CALL: usize = 1_024;
/// The kernel moves at most this many bytes in one call (`MAX_RW_COUNT`).
const BYTES_PER_CALL: usize = 0x7fff_f000;

struct Entry<T> {
    entry: squeue::Entry,
    owned: T,
    // Buffers are counted without atomics: an operation never leaves its thread.
    _not_send: std::marker::PhantomData<Rc<()>>,
}

// SAFETY: the entry is valid for as long as `owned` lives: the callers of `submit` promise it.
unsafe impl<T: 'static> OpCode for Entry<T> {
    type Control = ();

    fn create_entry(&mut self, _control: &mut ()) -> OpEntry {
        OpEntry::Submission(self.entry.clone())
    }
}

/// # Safety
/// Everything that `entry` names or points to is owned by `owned`, at an address that does not change when `owned`
/// moves, and nothing but the kernel uses it in a conflicting way until `owned` is handed back.
unsafe fn submit<T: 'static>(entry: squeue::Entry, owned: T) -> Operation<T> {
    Operation { submit: compio::runtime::submit(Entry { entry, owned, _not_send: std::marker::PhantomData }) }
}

fn fd(file: &OwnedFd) -> Fd {
    Fd(file.as_raw_fd())
}

fn kernel_length(bytes: usize) -> u32 {
    bytes.min(BYTES_PER_CALL) as u32
}
