//! The two ends of a connection: the target's behind core's trait, the initiator's behind its own.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quintain_core::env::{ByteStream, Close, TxPdu};

use super::pipe::{Pipe, Read};
use super::{Connection, Direction, NEVER, Network};
use crate::chunk::Chunk;
use crate::executor::{Clock, Sleep};
use crate::initiator::codec::{Digests, opcode};
use crate::initiator::world::Wire;
use crate::plan::Occasion;
use crate::runtime::SimBuf;
use crate::trace::{Entity, Fact, Way};

/// The target's end of a connection. Dropping it closes it, as the end of a process does.
pub struct SimStream {
    network: Network,
    connection: Rc<Connection>,
    parked: Cell<bool>,
    _alive: Rc<()>,
}

/// A connection on its way between shards.
#[derive(Debug)]
pub struct Parked(u64);

impl SimStream {
    pub(super) fn new(network: Network, connection: Rc<Connection>) -> Self {
        let alive = network.state.streams.borrow().clone();
        Self { network, connection, parked: Cell::new(false), _alive: alive }
    }

    pub(crate) fn park(self) -> Parked {
        self.parked.set(true);
        Parked(self.connection.id)
    }

    /// A connection that broke on its way is a closed stream.
    pub(crate) fn unpark(network: &Network, parked: &Parked) -> Self {
        let known = network.state.connections.borrow().get(&parked.0).cloned();
        let connection = known.unwrap_or_else(|| {
            let connection = network.open(0);
            network.close_target(&connection, true);
            connection
        });
        Self::new(network.clone(), connection)
    }

    async fn read(&self, limit: usize) -> io::Result<Chunk> {
        let mut alarm = Alarm::new(self.network.state.clock.clone());
        poll_fn(|cx| {
            if !self.connection.target_open.get() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            read_step(&self.connection.to_target, &mut alarm, limit, cx)
        })
        .await
        .inspect(|chunk| {
            let id = self.connection.id;
            self.network.record(id, &bytes_fact(Way::TargetReceived, chunk));
            self.network.state.tap.borrow_mut().received(id, self.network.now(), chunk);
        })
    }
}

impl ByteStream for SimStream {
    type Buf = SimBuf;
    type Chunk = Chunk;

    async fn recv(&self) -> io::Result<Chunk> {
        self.read(usize::MAX).await
    }

    async fn recv_into(&self, mut buf: SimBuf, range: Range<usize>) -> (io::Result<usize>, SimBuf) {
        let result = self.read(range.len()).await.map(|chunk| {
            buf.as_mut()[range.start..range.start + chunk.len()].copy_from_slice(&chunk);
            chunk.len()
        });
        (result, buf)
    }

    async fn send(&self, batch: Vec<TxPdu<SimBuf>>) -> (io::Result<()>, Vec<TxPdu<SimBuf>>) {
        let mut bytes = Vec::with_capacity(batch.iter().map(TxPdu::wire_len).sum());
        let mut starts = Vec::with_capacity(batch.len());
        for pdu in &batch {
            starts.push(bytes.len());
            if pdu.slices()[0][0] & 0x3f == opcode::R2T
                && let Some(events) = &*self.network.state.events.borrow()
            {
                events.happened(Occasion::R2tSent);
            }
            pdu.slices().iter().for_each(|slice| bytes.extend_from_slice(slice));
        }
        let bytes = Arc::new(bytes);
        let carried = self.network.flip(&self.connection, Direction::ToInitiator, &bytes);
        let (mut alarm, mut at) = (Alarm::new(self.network.state.clock.clone()), 0);
        let result = poll_fn(|cx| {
            if !self.connection.target_open.get() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let before = at;
            let poll = write_step(&self.connection.to_initiator, &mut alarm, &carried, &mut at, &starts, cx);
            if at > before {
                let id = self.connection.id;
                let accepted = Chunk::new(bytes.clone(), before..at);
                self.network.record(id, &bytes_fact(Way::TargetSent, &accepted));
                self.network.state.tap.borrow_mut().sent(id, self.network.now(), &accepted);
                self.network.cut_off(&self.connection);
            }
            poll
        })
        .await;
        (result, batch)
    }

    fn close(&self, how: Close) {
        // A kernel that still has unread data answers it with RST, whatever was asked for (N17).
        let reset = how == Close::Abort || self.connection.to_target.borrow().unread() > 0;
        self.network.close_target(&self.connection, reset);
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if !self.parked.get() {
            self.close(Close::Graceful);
        }
    }
}

/// The initiator's end of a connection. Dropping it closes it with RST.
pub struct SimWire {
    network: Network,
    connection: Rc<Connection>,
}

impl SimWire {
    pub(super) fn new(network: Network, connection: Rc<Connection>) -> Self {
        Self { network, connection }
    }

    fn note(&self, way: Way, bytes: &[u8]) {
        let entity = Entity::Connection(self.connection.id);
        self.network.note(entity, &Fact::Bytes { way, bytes, check: 0 });
    }

    /// What is sent to a closed or forgotten end is answered with RST, as soon as there is a machine to answer.
    fn provoke_reset(&self) {
        if self.connection.target_open.get() || !self.connection.to_target.borrow().is_reader_closed() {
            return;
        }
        let forgotten = self.connection.forgotten.get();
        if forgotten && !self.network.state.listener.borrow().up {
            return;
        }
        let mut pipe = self.connection.to_initiator.borrow_mut();
        if forgotten {
            pipe.break_silence();
        }
        let latency = pipe.latency();
        drop(pipe);
        self.connection.reset_initiator(self.network.now() + latency);
    }
}

impl Wire for SimWire {
    async fn recv(&self) -> io::Result<Chunk> {
        let mut alarm = Alarm::new(self.network.state.clock.clone());
        poll_fn(|cx| {
            if !self.connection.initiator_open.get() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            read_step(&self.connection.to_initiator, &mut alarm, usize::MAX, cx)
        })
        .await
        .inspect(|chunk| self.note(Way::InitiatorReceived, chunk))
    }

    async fn send(&self, bytes: Vec<u8>) -> io::Result<()> {
        let bytes = self.network.flip(&self.connection, Direction::ToTarget, &Arc::new(bytes));
        let (mut alarm, mut at) = (Alarm::new(self.network.state.clock.clone()), 0);
        poll_fn(|cx| {
            if !self.connection.initiator_open.get() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let before = at;
            let poll = write_step(&self.connection.to_target, &mut alarm, &bytes, &mut at, &[0], cx);
            if at > before {
                self.note(Way::InitiatorSent, &bytes[before..at]);
            }
            self.provoke_reset();
            self.network.cut_off(&self.connection);
            poll
        })
        .await
    }

    fn shutdown(&self) {
        if self.connection.initiator_open.get() {
            self.network.record(self.connection.id, &Fact::Network("initiator-fin"));
            self.connection.to_target.borrow_mut().finish();
        }
    }

    fn unread(&self) -> Option<usize> {
        Some(self.connection.to_target.borrow().unread())
    }

    fn agreed(&self, digests: Digests) {
        self.connection.digests.set(Some(digests));
    }

    fn flipped_out(&self) -> bool {
        self.connection.flipped(Direction::ToTarget).get()
    }

    fn flipped_in(&self) -> bool {
        self.connection.flipped(Direction::ToInitiator).get()
    }

    fn abort(&self) {
        if self.connection.initiator_open.replace(false) {
            self.network.record(self.connection.id, &Fact::Network("initiator-reset"));
            self.network.reset_target(&self.connection);
            let wakers = self.connection.to_initiator.borrow_mut().close_reader();
            wakers.into_iter().flatten().for_each(std::task::Waker::wake);
            self.connection.to_target.borrow_mut().wake_writer();
            self.network.sweep_one(&self.connection);
        }
    }
}

impl Drop for SimWire {
    fn drop(&mut self) {
        self.abort();
    }
}

fn bytes_fact(way: Way, bytes: &[u8]) -> Fact<'_> {
    Fact::Bytes { way, bytes, check: crc32c::crc32c(bytes) }
}

/// A timer that moves: re-armed only when the deadline changes.
struct Alarm {
    clock: Clock,
    sleep: Option<(Duration, Sleep)>,
}

impl Alarm {
    fn new(clock: Clock) -> Self {
        Self { clock, sleep: None }
    }

    /// Wakes the task at `at`; with [`NEVER`] not at all.
    fn arm(&mut self, at: Duration, cx: &mut Context<'_>) {
        if at == NEVER {
            self.sleep = None;
            return;
        }
        if self.sleep.as_ref().is_none_or(|(armed, _)| *armed != at) {
            self.sleep = Some((at, self.clock.sleep_until(at)));
        }
        let due = self.sleep.as_mut().is_some_and(|(_, sleep)| Pin::new(sleep).poll(cx).is_ready());
        if due {
            self.sleep = None;
            cx.waker().wake_by_ref();
        }
    }
}

fn read_step(pipe: &RefCell<Pipe>, alarm: &mut Alarm, limit: usize, cx: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
    let mut pipe = pipe.borrow_mut();
    match pipe.read(alarm.clock.now(), limit) {
        Read::Bytes(chunk) => Poll::Ready(Ok(chunk)),
        Read::End => Poll::Ready(Ok(Chunk::from(Vec::new()))),
        Read::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        Read::Wait(until) => {
            pipe.set_reader(cx.waker());
            drop(pipe);
            alarm.arm(until, cx);
            Poll::Pending
        }
    }
}

fn write_step(
    pipe: &RefCell<Pipe>,
    alarm: &mut Alarm,
    bytes: &Arc<Vec<u8>>,
    at: &mut usize,
    starts: &[usize],
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut pipe = pipe.borrow_mut();
    let now = alarm.clock.now();
    if let Some(error) = pipe.write_error(now) {
        return Poll::Ready(Err(error));
    }
    *at += pipe.accept(now, bytes, *at, starts);
    if *at == bytes.len() {
        return Poll::Ready(Ok(()));
    }
    pipe.set_writer(cx.waker());
    let until = pipe.writer_wakes_at();
    drop(pipe);
    alarm.arm(until, cx);
    Poll::Pending
}
