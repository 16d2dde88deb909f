//! The real world for the traits of [`quintain_core::env`]: one ring, one thread, one shard.

use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_channel::mpsc::UnboundedSender;
use quintain_core::env::{Runtime, ShardMessage};
use quintain_core::event::Event;
use quintain_core::id::ShardId;
use quintain_core::limits::Limits;

mod disk;
mod limiter;
mod listener;
mod observer;
mod pool;
mod ring;
mod stream;
#[cfg(test)]
mod tests;

pub use disk::RealDisk;
pub use listener::Listener;
pub use observer::Peers;
pub use pool::Buf;
pub use stream::{Chunk, Parked, RealStream};

use observer::Observer;
use pool::Pool;

/// What one shard sends to another.
pub type Message = ShardMessage<Parked>;

/// The real world of one shard. It works only inside [`RealRuntime::run`].
#[derive(Clone)]
pub struct RealRuntime {
    inner: Rc<Inner>,
}

struct Inner {
    start: Instant,
    pool: Pool,
    streams: Rc<stream::Shared>,
    observer: Observer,
    shards: Vec<UnboundedSender<Message>>,
}

/// What a shard's world is made of.
#[derive(Debug)]
pub struct World {
    /// The bounds that the pools keep.
    pub limits: Limits,
    /// The inboxes of all shards, by [`ShardId`].
    pub shards: Vec<UnboundedSender<Message>>,
    /// Who is connected, for the log.
    pub peers: Peers,
    /// The processor to run on; `None` leaves it to the kernel.
    pub processor: Option<usize>,
}

impl RealRuntime {
    /// Runs `body` on this thread with a runtime of its own until it completes.
    ///
    /// # Errors
    /// When the kernel gives no ring: io_uring is not there or not allowed.
    pub fn run<T>(world: World, body: impl AsyncFnOnce(Self) -> T) -> io::Result<T> {
        // Two chunks for each connection: one with the caller, one in flight.
        let receive_bytes = 2 * stream::CHUNK_BYTES_MAX * world.limits.connections.max(1) as usize;
        let runtime = Self {
            inner: Rc::new(Inner {
                start: Instant::now(),
                pool: Pool::new(world.limits.pool_bytes),
                streams: Rc::new(stream::Shared::new(Pool::new(receive_bytes))),
                observer: Observer::new(world.peers),
                shards: world.shards,
            }),
        };
        let streams = runtime.inner.streams.clone();
        ring::run(world.processor, async {
            let output = body(runtime).await;
            streams.settle().await;
            output
        })
    }

    /// A connected socket as a stream of this shard.
    #[must_use]
    pub fn stream(&self, socket: TcpStream) -> RealStream {
        RealStream::new(socket, self.inner.streams.clone())
    }
}

impl Runtime for RealRuntime {
    type Stream = RealStream;
    type Disk = RealDisk;
    type Buf = Buf;
    type Parked = Parked;

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        ring::spawn(task);
    }

    fn now(&self) -> Duration {
        self.inner.start.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        ring::sleep(duration).await;
    }

    fn entropy(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the kernel's random numbers are always there once the system is up");
    }

    fn alloc(&self, len: usize) -> Option<Buf> {
        self.inner.pool.alloc(len)
    }

    fn pool_free_bytes(&self) -> usize {
        self.inner.pool.free_bytes()
    }

    fn event(&self, event: &Event) {
        self.inner.observer.observe(event);
    }

    fn park(&self, stream: RealStream) -> Parked {
        stream.park()
    }

    fn unpark(&self, parked: Parked) -> RealStream {
        RealStream::unpark(parked, self.inner.streams.clone())
    }

    fn post(&self, shard: ShardId, message: Message) {
        // A shard that has stopped takes no messages; what was in it is gone with it.
        let _ = self.inner.shards[usize::from(shard.0)].unbounded_send(message);
    }
}
