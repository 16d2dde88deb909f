//! A world in memory: virtual time, byte pipes that deliver in odd pieces.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::super::world::{Wire, World};
use crate::chunk::Chunk;

type Task = Pin<Box<dyn Future<Output = ()>>>;
type Accept = dyn Fn(MemoryWorld, MemoryWire);

#[derive(Clone)]
pub(in crate::initiator) struct MemoryWorld(Rc<Inner>);

struct Inner {
    now: Cell<Duration>,
    next_alarm: Cell<Option<Duration>>,
    /// Anything happened since the tasks were last polled.
    progress: Rc<Cell<bool>>,
    spawned: RefCell<Vec<Task>>,
    accept: Box<Accept>,
}

#[derive(Default)]
struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    closed: Cell<bool>,
    broken: Cell<bool>,
}

pub(in crate::initiator) struct MemoryWire {
    incoming: Rc<Pipe>,
    outgoing: Rc<Pipe>,
    progress: Rc<Cell<bool>>,
    pieces: Cell<usize>,
}

impl MemoryWorld {
    pub(in crate::initiator) fn new(accept: impl Fn(Self, MemoryWire) + 'static) -> Self {
        Self(Rc::new(Inner {
            now: Cell::default(),
            next_alarm: Cell::default(),
            progress: Rc::default(),
            spawned: RefCell::default(),
            accept: Box::new(accept),
        }))
    }

    /// Polls everything until `main` is done; time moves on when nothing else does.
    pub(in crate::initiator) fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = std::pin::pin!(main);
        let mut tasks: Vec<Task> = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        loop {
            self.0.progress.set(false);
            self.0.next_alarm.set(None);
            if let Poll::Ready(output) = main.as_mut().poll(&mut context) {
                return output;
            }
            tasks.append(&mut self.0.spawned.borrow_mut());
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            if self.0.progress.get() || !self.0.spawned.borrow().is_empty() {
                continue;
            }
            let alarm = self.0.next_alarm.get().expect("nothing can ever happen again");
            assert!(alarm < Duration::from_secs(100_000), "the run does not end");
            self.0.now.set(alarm);
        }
    }
}

impl World for MemoryWorld {
    type Wire = MemoryWire;

    async fn connect(&self) -> io::Result<MemoryWire> {
        let (up, down) = (Rc::new(Pipe::default()), Rc::new(Pipe::default()));
        let end = |incoming: &Rc<Pipe>, outgoing: &Rc<Pipe>| MemoryWire {
            incoming: incoming.clone(),
            outgoing: outgoing.clone(),
            progress: self.0.progress.clone(),
            pieces: Cell::new(0),
        };
        (self.0.accept)(self.clone(), end(&up, &down));
        Ok(end(&down, &up))
    }

    fn now(&self) -> Duration {
        self.0.now.get()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        let (inner, at) = (self.0.clone(), self.0.now.get().saturating_add(duration));
        std::future::poll_fn(move |_| {
            if inner.now.get() >= at {
                return Poll::Ready(());
            }
            inner.next_alarm.set(Some(inner.next_alarm.get().map_or(at, |alarm| alarm.min(at))));
            Poll::Pending
        })
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawned.borrow_mut().push(Box::pin(task));
    }
}

impl Wire for MemoryWire {
    fn recv(&self) -> impl Future<Output = io::Result<Chunk>> {
        std::future::poll_fn(|_| {
            let pipe = &self.incoming;
            let mut bytes = pipe.bytes.borrow_mut();
            if pipe.broken.get() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if bytes.is_empty() {
                return if pipe.closed.get() { Poll::Ready(Ok(Vec::new().into())) } else { Poll::Pending };
            }
            // 1, 48, 7, everything, ...: headers are cut, PDUs run together.
            self.pieces.set(self.pieces.get() + 1);
            let piece = [1, 48, 7, usize::MAX][self.pieces.get() % 4].min(bytes.len());
            self.progress.set(true);
            Poll::Ready(Ok(bytes.drain(..piece).collect::<Vec<u8>>().into()))
        })
    }

    async fn send(&self, sent: Vec<u8>) -> io::Result<()> {
        if self.outgoing.broken.get() || self.outgoing.closed.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.progress.set(true);
        self.outgoing.bytes.borrow_mut().extend(sent);
        Ok(())
    }

    fn shutdown(&self) {
        self.outgoing.closed.set(true);
        self.progress.set(true);
    }

    fn abort(&self) {
        for pipe in [&self.incoming, &self.outgoing] {
            pipe.broken.set(true);
        }
        self.progress.set(true);
    }
}

impl Drop for MemoryWire {
    fn drop(&mut self) {
        self.outgoing.closed.set(true);
        self.progress.set(true);
    }
}
