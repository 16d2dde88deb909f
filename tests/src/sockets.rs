//! The world of the simulator's initiators over real sockets, on the daemon's own runtime.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use quintain::runtime::{Peers, RealRuntime, RealStream, World as Ring};
use quintain_core::env::{ByteStream, Close, Runtime, TxData, TxPdu};
use quintain_core::limits::Limits;
use quintain_sim::chunk::Chunk;
use quintain_sim::initiator::{Wire, World};

/// Initiators in this world connect to one portal over TCP.
#[derive(Clone)]
pub struct SocketWorld {
    runtime: RealRuntime,
    portal: SocketAddr,
}

impl SocketWorld {
    /// Runs `body` in a world whose target listens at `portal`.
    ///
    /// # Panics
    /// When the kernel gives no ring.
    pub fn run<T>(portal: SocketAddr, body: impl AsyncFnOnce(Self) -> T) -> T {
        run_on_ring(async |runtime| body(Self { runtime, portal }).await)
    }
}

/// Runs `body` on this thread with a ring of its own.
///
/// # Panics
/// When the kernel gives no ring.
pub fn run_on_ring<T>(body: impl AsyncFnOnce(RealRuntime) -> T) -> T {
    let ring = Ring { limits: Limits::default(), shards: Vec::new(), peers: Peers::default(), processor: None };
    RealRuntime::run(ring, body).expect("the kernel has io_uring")
}

impl World for SocketWorld {
    type Wire = SocketWire;

    async fn connect(&self) -> io::Result<SocketWire> {
        // On loopback the kernel answers at once, whether anybody accepts or not.
        let socket = TcpStream::connect(self.portal)?;
        SocketWire::new(&self.runtime, socket)
    }

    fn now(&self) -> Duration {
        self.runtime.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.runtime.sleep(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.runtime.spawn(task);
    }
}

/// One TCP connection to the portal. Dropping it resets it.
pub struct SocketWire {
    stream: RealStream,
    /// The same socket, for what a target never does to its own: half closing it.
    control: TcpStream,
}

impl SocketWire {
    /// Takes over a connected socket.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn new(runtime: &RealRuntime, socket: TcpStream) -> io::Result<Self> {
        let control = socket.try_clone()?;
        Ok(Self { stream: runtime.stream(socket), control })
    }
}

impl Wire for SocketWire {
    async fn recv(&self) -> io::Result<Chunk> {
        Ok(self.stream.recv().await?[..].into())
    }

    async fn send(&self, bytes: Vec<u8>) -> io::Result<()> {
        let batch = vec![TxPdu::new(&[], TxData::Owned(bytes), &[])];
        self.stream.send(batch).await.0
    }

    fn shutdown(&self) {
        // An error means that the peer is gone, which a receive says as well.
        let _ = self.control.shutdown(Shutdown::Write);
    }

    fn abort(&self) {
        self.stream.close(Close::Abort);
    }
}

impl Drop for SocketWire {
    fn drop(&mut self) {
        self.abort();
    }
}
