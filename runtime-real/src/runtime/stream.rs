//! TCP connections.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::TcpStream;
use std::ops::{Deref, Range};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use quintain_core::env::{ByteStream, Close, TxPdu};
use rustix::net::{Shutdown, sockopt};

use super::pool::{Buf, Pool};
use super::ring::{self, Message, Operation};

/// A TCP connection on this shard.
pub struct RealStream {
    socket: Arc<OwnedFd>,
    shared: Rc<Shared>,
    receive: RefCell<Receive>,
    /// Size of the next receive buffer: small while little comes, so that idle connections hold little memory.
    chunk_bytes: Cell<usize>,
    /// A receive into the caller's buffer is in flight.
    receiving_into: Cell<bool>,
    /// Who waits in `recv`.
    receiver: RefCell<Option<Waker>>,
    /// What the last send used, for the next one.
    message: RefCell<Option<Box<Message>>>,
    closed: Cell<Option<Close>>,
}

/// What the streams of one shard share.
pub(super) struct Shared {
    receive_pool: Pool,
    /// Connections that are closed here but whose peer has not closed yet.
    lingering: Cell<u32>,
    /// The shard ends: no new tasks.
    ending: Cell<bool>,
}

impl Shared {
    pub(super) fn new(receive_pool: Pool) -> Self {
        Self { receive_pool, lingering: Cell::new(0), ending: Cell::new(false) }
    }

    /// Gives the closed connections a moment to end well, and starts waiting for no others.
    pub(super) async fn settle(&self) {
        for _ in 0..SETTLE_STEPS {
            if self.lingering.get() == 0 {
                break;
            }
            ring::sleep(SETTLE_STEP).await;
        }
        self.ending.set(true);
    }
}

/// Where the next bytes come from. At most one of these is there.
#[derive(Default)]
enum Receive {
    /// Nothing is under way.
    #[default]
    Idle,
    /// Bytes that arrived and that nobody took yet.
    Early(Chunk),
    /// A receive in flight. It outlives the future that started it, so that a dropped future loses no data.
    InFlight(Operation<(Arc<OwnedFd>, Buf)>),
    /// A receive in flight on the shard that the connection came from.
    Elsewhere(oneshot::Receiver<io::Result<Vec<u8>>>),
}

/// Received bytes.
pub struct Chunk {
    /// `None` at the end of the stream.
    storage: Storage,
    range: Range<usize>,
}

enum Storage {
    None,
    Pooled(Buf),
    /// It came from another shard, whose buffers stay there.
    Moved(Vec<u8>),
}

impl Chunk {
    fn end_of_stream() -> Self {
        Self { storage: Storage::None, range: 0..0 }
    }

    fn moved(bytes: Vec<u8>) -> Self {
        Self { range: 0..bytes.len(), storage: Storage::Moved(bytes) }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all = match &self.storage {
            Storage::None => &[],
            Storage::Pooled(buf) => buf.as_ref(),
            Storage::Moved(bytes) => bytes.as_slice(),
        };
        &all[self.range.clone()]
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").field("len", &self.len()).finish()
    }
}

/// A connection between two shards.
pub struct Parked {
    socket: Arc<OwnedFd>,
    early: Early,
    chunk_bytes: usize,
}

/// What the old shard received, or is about to receive.
enum Early {
    None,
    Bytes(Vec<u8>),
    Later(oneshot::Receiver<io::Result<Vec<u8>>>),
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl RealStream {
    /// Takes over an accepted or connected socket.
    pub(super) fn new(socket: TcpStream, shared: Rc<Shared>) -> Self {
        // Best effort: without it a connection is slower, not wrong.
        let _ = socket.set_nodelay(true);
        Self::assemble(Arc::new(OwnedFd::from(socket)), Receive::Idle, CHUNK_BYTES_MIN, shared)
    }

    pub(super) fn park(mut self) -> Parked {
        let early = match std::mem::take(self.receive.get_mut()) {
            Receive::Idle => Early::None,
            Receive::Early(chunk) => Early::Bytes(chunk.to_vec()),
            Receive::InFlight(operation) => Early::Later(forward(operation)),
            Receive::Elsewhere(bytes) => Early::Later(bytes),
        };
        Parked { socket: self.socket.clone(), early, chunk_bytes: self.chunk_bytes.get() }
    }

    pub(super) fn unpark(parked: Parked, shared: Rc<Shared>) -> Self {
        let receive = match parked.early {
            Early::None => Receive::Idle,
            Early::Bytes(bytes) => Receive::Early(Chunk::moved(bytes)),
            Early::Later(bytes) => Receive::Elsewhere(bytes),
        };
        Self::assemble(parked.socket, receive, parked.chunk_bytes, shared)
    }

    fn assemble(socket: Arc<OwnedFd>, receive: Receive, chunk_bytes: usize, shared: Rc<Shared>) -> Self {
        Self {
            socket,
            shared,
            receive: RefCell::new(receive),
            chunk_bytes: Cell::new(chunk_bytes),
            receiving_into: Cell::new(false),
            receiver: RefCell::new(None),
            message: RefCell::new(None),
            closed: Cell::new(None),
        }
    }

    fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        let mut receive = self.receive.borrow_mut();
        loop {
            match std::mem::take(&mut *receive) {
                Receive::Early(chunk) => return Poll::Ready(Ok(chunk)),
                Receive::Elsewhere(mut bytes) => match Pin::new(&mut bytes).poll(context) {
                    Poll::Ready(Ok(bytes)) => return Poll::Ready(bytes.map(Chunk::moved)),
                    // The old shard is gone, and with it what it may have received.
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                    Poll::Pending => *receive = Receive::Elsewhere(bytes),
                },
                Receive::InFlight(mut operation) => match Pin::new(&mut operation).poll(context) {
                    Poll::Ready((Err(error), _)) if is_transient(&error) => continue,
                    Poll::Ready((result, (_, buf))) => return Poll::Ready(result.map(|n| self.received(buf, n))),
                    Poll::Pending => *receive = Receive::InFlight(operation),
                },
                Receive::Idle if self.closed.get().is_none() => {
                    let bytes = self.chunk_bytes.get();
                    let Some(buf) = self.shared.receive_pool.alloc(bytes) else {
                        return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
                    };
                    *receive = Receive::InFlight(ring::receive(&self.socket, buf, 0..bytes));
                    continue;
                }
                Receive::Idle => {}
            }
            if self.closed.get().is_some() {
                return Poll::Ready(Ok(Chunk::end_of_stream()));
            }
            *self.receiver.borrow_mut() = Some(context.waker().clone());
            return Poll::Pending;
        }
    }

    /// `bytes` were received into `buf`: the next buffer is larger when this one was filled, smaller when it was
    /// nearly empty.
    fn received(&self, buf: Buf, bytes: usize) -> Chunk {
        if bytes == self.chunk_bytes.get() {
            self.chunk_bytes.set(CHUNK_BYTES_MAX);
        } else if bytes < CHUNK_BYTES_MIN / 2 {
            self.chunk_bytes.set(CHUNK_BYTES_MIN);
        }
        Chunk { storage: Storage::Pooled(buf), range: 0..bytes }
    }

    /// Takes what is there, or under way, into `buf`; `None` when nothing is.
    async fn take_early(&self, buf: &mut Buf, range: Range<usize>) -> Option<io::Result<usize>> {
        if matches!(*self.receive.borrow(), Receive::Idle) {
            return None;
        }
        let mut chunk = match self.recv().await {
            Ok(chunk) => chunk,
            Err(error) => return Some(Err(error)),
        };
        let bytes = chunk.len().min(range.len());
        buf.as_mut()[range][..bytes].copy_from_slice(&chunk[..bytes]);
        chunk.range.start += bytes;
        if !chunk.is_empty() {
            *self.receive.borrow_mut() = Receive::Early(chunk);
        }
        Some(Ok(bytes))
    }

    fn stop_sending_and_receiving(&self) {
        // Whatever fails here: the peer is gone already, which is what was asked for.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Write);
        if self.receiving_into.get() {
            let _ = rustix::net::shutdown(&self.socket, Shutdown::Read);
        }
    }

    fn reset(&self) {
        // No lingering: whoever closes the descriptor last sends RST if it was not sent yet.
        let _ = sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
        // Dissolving the association sends RST now, although operations still hold the descriptor.
        let _ = rustix::net::connect_unspec(self.socket.as_fd());
    }
}

impl ByteStream for RealStream {
    type Buf = Buf;
    type Chunk = Chunk;

    async fn recv(&self) -> io::Result<Chunk> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    async fn recv_into(&self, mut buf: Buf, range: Range<usize>) -> (io::Result<usize>, Buf) {
        if let Some(result) = self.take_early(&mut buf, range.clone()).await {
            return (result, buf);
        }
        loop {
            if self.closed.get().is_some() {
                return (Ok(0), buf);
            }
            self.receiving_into.set(true);
            let (result, (_, returned)) = ring::receive(&self.socket, buf, range.clone()).await;
            self.receiving_into.set(false);
            match result {
                Err(error) if is_transient(&error) => buf = returned,
                result => return (result, returned),
            }
        }
    }

    async fn send(&self, batch: Vec<TxPdu<Buf>>) -> (io::Result<()>, Vec<TxPdu<Buf>>) {
        let mut message = self.message.take().unwrap_or_else(Message::new);
        message.load(batch);
        let result = loop {
            if message.is_done() {
                break Ok(());
            }
            if self.closed.get().is_some() {
                break Err(io::ErrorKind::BrokenPipe.into());
            }
            let (result, (_, returned)) = ring::send(&self.socket, message).await;
            message = returned;
            match result {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => message.advance(bytes),
                Err(error) if is_transient(&error) => {}
                Err(error) => break Err(error),
            }
        };
        let batch = message.unload();
        self.message.replace(Some(message));
        (result, batch)
    }

    fn close(&self, how: Close) {
        match (self.closed.get(), how) {
            (None, Close::Graceful) => self.stop_sending_and_receiving(),
            (None | Some(Close::Graceful), Close::Abort) => self.reset(),
            (Some(_), _) => return,
        }
        self.closed.set(Some(how));
        if let Some(receiver) = self.receiver.take() {
            receiver.wake();
        }
    }
}

impl Drop for RealStream {
    /// Closing a socket that holds unread bytes resets the connection, and what was sent may be lost on the way. So a
    /// gracefully closed one is read until the peer closes too, for a while and for a few connections at a time.
    fn drop(&mut self) {
        let lingers = self.closed.get() == Some(Close::Graceful) && !self.shared.ending.get();
        if !lingers || self.shared.lingering.get() >= LINGERING_MAX {
            return;
        }
        let (socket, shared) = (self.socket.clone(), self.shared.clone());
        let receive = std::mem::take(self.receive.get_mut());
        shared.lingering.set(shared.lingering.get() + 1);
        ring::spawn(async move {
            let drained = pin!(drain(&socket, receive, &shared.receive_pool));
            select(drained, pin!(ring::sleep(LINGER))).await;
            shared.lingering.set(shared.lingering.get() - 1);
        });
    }
}

/// Reads and forgets until the peer closes.
async fn drain(socket: &Arc<OwnedFd>, receive: Receive, pool: &Pool) {
    let mut buf = None;
    if let Receive::InFlight(operation) = receive {
        let (result, (_, returned)) = operation.await;
        if !matches!(result, Ok(1..)) {
            return;
        }
        buf = Some(returned);
    }
    let Some(mut buf) = buf.or_else(|| pool.alloc(CHUNK_BYTES_MIN)) else { return };
    loop {
        let length = buf.as_ref().len();
        let (result, (_, returned)) = ring::receive(socket, buf, 0..length).await;
        if !matches!(result, Ok(1..)) {
            return;
        }
        buf = returned;
    }
}

/// Waits here for a receive that was started here, for a connection that goes to another shard. It is cancelled when
/// the connection is closed there.
fn forward(operation: Operation<(Arc<OwnedFd>, Buf)>) -> oneshot::Receiver<io::Result<Vec<u8>>> {
    let (mut sender, receiver) = oneshot::channel();
    ring::spawn(async move {
        let bytes = match select(operation, sender.cancellation()).await {
            Either::Left(((result, (_, buf)), _)) => result.map(|length| buf.as_ref()[..length].to_vec()),
            Either::Right(((), _)) => return,
        };
        // Nobody there any more: the connection was closed in between.
        let _ = sender.send(bytes);
    });
    receiver
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// A receive buffer while little comes: some tens of PDUs without data.
const CHUNK_BYTES_MIN: usize = 4 * 1024;
/// A receive buffer while much comes.
pub(super) const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// How long a closed connection waits for the peer to close.
const LINGER: Duration = Duration::from_secs(2);
/// Connections of one shard that wait like that.
const LINGERING_MAX: u32 = 64;
/// How often, and how many times at most, the end of a shard looks whether they are gone.
const SETTLE_STEP: Duration = Duration::from_millis(10);
const SETTLE_STEPS: u32 = 50;
