//! The simulated world and the real one are the same to the core: one script, the same observations.
//!
//! The two sides implement the traits of two compilations of the core's sources, so each has a thin adapter to the
//! traits of this file; the scripts and what they observe are written once. Observations are what the core acts on: data,
//! lengths, errors by kind. Where the contract leaves the kernel a choice (whether a receive after a close is an error
//! or the end of the stream), both are observed as the same thing.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use futures_util::poll;
use quintain::runtime::{RealDisk, RealRuntime, RealStream};
use quintain_sim::disk::{DiskSpeed, SimDisk};
use quintain_sim::executor::{self, Executor};
use quintain_sim::initiator::Wire;
use quintain_sim::network::{Cut, Link, Network, SimStream};
use quintain_sim::runtime::Pool;
use quintain_sim::tap::{Blind, Tap};
use quintain_tests::sockets::{SocketWire, run_on_ring};
use tempfile::TempDir;

/// What one side saw, in order.
type Transcript = Vec<String>;

#[test]
fn file_is_the_simulated_disk() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("disk.img");
    std::fs::File::create(&path).and_then(|file| file.set_len(DISK_BYTES)).expect("space");
    compare(&simulated_disk(false), &real_disk(&path, false, 0));
    compare(&simulated_disk(true), &real_disk(&path, true, 0));
    assert_eq!(path.metadata().expect("it is there").len(), DISK_BYTES, "nothing made it longer");
}

#[test]
#[ignore = "needs root and losetup"]
fn block_device_is_the_simulated_disk() {
    let device = LoopDevice::attach();
    // As blockio opens it.
    const O_DIRECT: i32 = 0o40_000;
    compare(&simulated_disk(false), &real_disk(&device.path, false, O_DIRECT));
}

#[test]
fn socket_is_the_simulated_stream() {
    compare(&simulated_stream(), &real_stream());
}

fn compare(simulated: &Transcript, real: &Transcript) {
    assert!(simulated.len() > 5, "the script says something: {simulated:?}");
    for (simulated, real) in simulated.iter().zip(real) {
        assert_eq!(simulated, real, "left: simulated, right: real");
    }
    assert_eq!(simulated.len(), real.len());
}

/// A disk, whichever.
trait AnyDisk {
    async fn read(&self, offset_bytes: u64, length: usize) -> Result<Vec<u8>, ErrorKind>;
    async fn write(&self, offset_bytes: u64, bytes: &[u8], durable: bool) -> Result<usize, ErrorKind>;
    async fn flush(&self) -> Result<(), ErrorKind>;
    /// Size, logical block length and whether it is read-only.
    fn shape(&self) -> (u64, u32, bool);
}

/// A stream, whichever. Receives at the end of the stream give no bytes.
trait AnyStream {
    async fn recv(&self) -> Result<Vec<u8>, ErrorKind>;
    async fn recv_into(&self, length: usize, range: Range<usize>) -> Result<Vec<u8>, ErrorKind>;
    /// Sends two PDUs, the second with a data segment that is `bytes[range]` of a shared buffer.
    async fn send(&self, bytes: &[u8], range: Range<usize>) -> Result<(), ErrorKind>;
    fn close(&self, abort: bool);
}

/// A side's types, behind the traits of its own compilation of the core.
struct Adapter<T, A> {
    inner: T,
    alloc: A,
}

macro_rules! adapt {
    ($core:ident, $disk:ty, $stream:ty, $buf:ty) => {
        impl<A: Fn(usize) -> $buf> AnyDisk for Adapter<$disk, A> {
            async fn read(&self, offset_bytes: u64, length: usize) -> Result<Vec<u8>, ErrorKind> {
                let buf = (self.alloc)(length);
                let (result, buf) = $core::env::Disk::read(&self.inner, offset_bytes, buf, 0..length).await;
                result.map(|bytes| buf.as_ref()[..bytes].to_vec()).map_err(|error| error.kind())
            }

            async fn write(&self, offset_bytes: u64, bytes: &[u8], durable: bool) -> Result<usize, ErrorKind> {
                use $core::env::Durability::{Durable, Volatile};
                let mut buf = (self.alloc)(bytes.len());
                buf.as_mut().copy_from_slice(bytes);
                let durability = if durable { Durable } else { Volatile };
                let range = 0..bytes.len();
                let (result, buf) = $core::env::Disk::write(&self.inner, offset_bytes, buf, range, durability).await;
                assert!(buf.as_ref() == bytes, "a write changes nothing in its buffer");
                result.map_err(|error| error.kind())
            }

            async fn flush(&self) -> Result<(), ErrorKind> {
                $core::env::Disk::flush(&self.inner).await.map_err(|error| error.kind())
            }

            fn shape(&self) -> (u64, u32, bool) {
                let geometry = $core::env::Disk::geometry(&self.inner);
                (geometry.size_bytes, geometry.logical_block_bytes, geometry.read_only)
            }
        }

        impl<A: Fn(usize) -> $buf> AnyStream for Adapter<$stream, A> {
            async fn recv(&self) -> Result<Vec<u8>, ErrorKind> {
                let result = $core::env::ByteStream::recv(&self.inner).await;
                result.map(|chunk| chunk.to_vec()).map_err(|error| error.kind())
            }

            async fn recv_into(&self, length: usize, range: Range<usize>) -> Result<Vec<u8>, ErrorKind> {
                let buf = (self.alloc)(length);
                let (result, buf) = $core::env::ByteStream::recv_into(&self.inner, buf, range.clone()).await;
                let received = |bytes| buf.as_ref()[range.start..range.start + bytes].to_vec();
                result.map(received).map_err(|error| error.kind())
            }

            async fn send(&self, bytes: &[u8], range: Range<usize>) -> Result<(), ErrorKind> {
                use $core::env::{ByteStream, TxData, TxPdu};
                let mut buf = (self.alloc)(bytes.len());
                buf.as_mut().copy_from_slice(bytes);
                let owned = TxPdu::new(&[1; 48], TxData::Owned(vec![2; 5]), &[3; 3]);
                let shared = TxPdu::new(&[4; 52], TxData::Shared(Rc::new(buf), range), &[5; 7]);
                let (result, batch) = ByteStream::send(&self.inner, vec![owned, shared]).await;
                assert_eq!(batch.len(), 2, "the batch comes back");
                result.map_err(|error| error.kind())
            }

            fn close(&self, abort: bool) {
                use $core::env::{ByteStream, Close};
                ByteStream::close(&self.inner, if abort { Close::Abort } else { Close::Graceful });
            }
        }
    };
}

adapt!(quintain_core, RealDisk, RealStream, quintain::runtime::Buf);
adapt!(simulated_core, SimDisk, SimStream, quintain_sim::runtime::SimBuf);

const DISK_BYTES: u64 = 1 << 20;

/// Operations on an empty disk of [`DISK_BYTES`].
async fn disk_script(disk: impl AnyDisk) -> Transcript {
    let log = RefCell::new(vec![format!("shape {:?}", disk.shape())]);
    let read = async |offset: u64, length: usize| {
        let read = disk.read(offset, length).await.map(|bytes| summary(&bytes));
        log.borrow_mut().push(format!("read {offset} {length}: {read:?}"));
    };
    let write = async |offset: u64, length: usize, fill: u8, durable: bool| {
        let written = disk.write(offset, &vec![fill; length], durable).await;
        log.borrow_mut().push(format!("write {offset} {length}: {written:?}"));
    };
    read(0, 4_096).await;
    write(0, 4_096, 1, false).await;
    write(8_192, 512, 2, true).await;
    write(8_704, 1_024, 3, false).await;
    read(0, 16_384).await;
    // What overlaps takes the place of what was there, in the order in which it is written.
    write(512, 8_192, 4, false).await;
    read(0, 16_384).await;
    let flushed = disk.flush().await;
    log.borrow_mut().push(format!("flush {flushed:?}"));
    write(DISK_BYTES - 65_536, 65_536, 5, true).await;
    read(DISK_BYTES - 131_072, 131_072).await;
    write(65_536, 524_288, 6, false).await;
    read(65_024, 525_312).await;
    // Nothing is read or written in part, and nothing beyond the end.
    write(DISK_BYTES - 512, 1_024, 7, false).await;
    write(DISK_BYTES, 512, 7, false).await;
    write(u64::MAX - 511, 512, 7, false).await;
    read(DISK_BYTES - 512, 1_024).await;
    read(DISK_BYTES - 512, 512).await;
    let flushed = disk.flush().await;
    log.borrow_mut().push(format!("flush {flushed:?}"));
    // Several at once, where they do not meet.
    let (first, second) = join(disk.write(131_072, &[8; 4_096], false), disk.write(196_608, &[9; 4_096], true)).await;
    log.borrow_mut().push(format!("two writes {first:?} {second:?}"));
    let (flushed, back) = join(disk.flush(), disk.read(131_072, 69_632)).await;
    log.borrow_mut().push(format!("flush and read {flushed:?} {:?}", back.map(|bytes| summary(&bytes))));
    log.into_inner()
}

/// Runs of equal bytes.
fn summary(bytes: &[u8]) -> String {
    bytes.chunk_by(|left, right| left == right).map(|run| format!("{}x{} ", run[0], run.len())).collect()
}

fn simulated_disk(read_only: bool) -> Transcript {
    simulate(move |executor| async move {
        use simulated_core::env::Geometry;
        let geometry =
            Geometry { size_bytes: DISK_BYTES, logical_block_bytes: 512, physical_block_bytes: 512, read_only };
        let speed = DiskSpeed { latency_min_us: 20, latency_tail_us: 10 };
        let disk = SimDisk::new(executor.clock(), 1, 0, geometry, speed, Rc::default(), Rc::default());
        executor.spawn(disk.clone().drive());
        let pool = Pool::unbounded();
        disk_script(Adapter { inner: disk, alloc: move |length| pool.alloc(length).expect("no bound") }).await
    })
}

fn real_disk(path: &Path, read_only: bool, flags: i32) -> Transcript {
    use quintain_core::env::Geometry;
    let file = OpenOptions::new().read(true).write(!read_only).custom_flags(flags).open(path).expect("it is there");
    let geometry = Geometry { size_bytes: DISK_BYTES, logical_block_bytes: 512, physical_block_bytes: 512, read_only };
    let disk = RealDisk::new(Arc::new(file.into()), geometry);
    if read_only {
        // The script starts on an empty disk, whatever is left of the one before.
        OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(0).and_then(|()| file.set_len(DISK_BYTES)))
            .expect("space");
    }
    run_on_ring(async |runtime| disk_script(Adapter { inner: disk, alloc: real_alloc(runtime) }).await)
}

/// Conversations between our end and a peer; each begins with a new connection.
async fn stream_script<S: AnyStream, P: Wire>(connect: impl AsyncFn() -> (S, P)) -> Transcript {
    let mut log = Transcript::new();
    exchange(&connect, &mut log).await;
    peer_ends(&connect, &mut log).await;
    we_end(&connect, &mut log).await;
    log
}

/// Bytes arrive whole and in order, both ways, however they are cut.
async fn exchange<S: AnyStream, P: Wire>(connect: &impl AsyncFn() -> (S, P), log: &mut Transcript) {
    let (ours, peer) = connect().await;
    let sent: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let sending = async {
        for part in sent.chunks(70_001) {
            peer.send(part.to_vec()).await.expect("we read");
        }
        peer.shutdown();
    };
    let receiving = async {
        let mut received = ours.recv_into(1_000, 100..900).await.expect("the peer sends");
        while let Ok(bytes) = ours.recv().await
            && !bytes.is_empty()
        {
            received.extend(bytes);
        }
        received
    };
    let ((), received) = join(sending, receiving).await;
    log.push(format!("received all: {}", received == sent));
    log.push(format!("at the end: {:?} {:?}", ours.recv().await, ours.recv_into(64, 0..64).await));
    // A peer that half closed still listens.
    let payload = vec![9; 150_000];
    let (result, heard) =
        join(ours.send(&payload, 1..149_999), receive_exactly(&peer, 48 + 8 + 52 + 149_998 + 7)).await;
    log.push(format!("sent {result:?}, heard {}", summary(&heard)));

    let (ours, peer) = connect().await;
    {
        let mut dropped = pin!(ours.recv());
        assert!(poll!(dropped.as_mut()).is_pending());
    }
    peer.send(b"after a dropped receive".to_vec()).await.expect("we read");
    let mut received = ours.recv_into(5, 0..5).await.expect("it was sent");
    while received.len() < 23 {
        received.extend(ours.recv().await.expect("it was sent"));
    }
    log.push(format!("after a dropped receive: {}", String::from_utf8_lossy(&received)));
}

async fn peer_ends<S: AnyStream, P: Wire>(connect: &impl AsyncFn() -> (S, P), log: &mut Transcript) {
    let (ours, peer) = connect().await;
    peer.abort();
    log.push(format!("peer aborted: recv {:?}", ours.recv().await));
    log.push(format!("peer aborted: send failed {}", fails_in_the_end(&ours).await));

    let (ours, peer) = connect().await;
    let (received, ()) = join(ours.recv(), async { peer.abort() }).await;
    log.push(format!("peer aborted meanwhile: recv {received:?}"));

    // Nobody reads: a send that fills all buffers waits until the peer gives up.
    let (ours, peer) = connect().await;
    let (failed, ()) = join(fails_in_the_end(&ours), async { peer.abort() }).await;
    log.push(format!("peer aborted meanwhile: send failed {failed}"));
}

async fn we_end<S: AnyStream, P: Wire>(connect: &impl AsyncFn() -> (S, P), log: &mut Transcript) {
    let (ours, peer) = connect().await;
    ours.send(&[7; 100], 0..100).await.expect("the peer is there");
    ours.close(false);
    log.push(format!("closed: {}", summary(&receive_exactly(&peer, 48 + 8 + 52 + 100 + 7).await)));
    log.push(format!("closed: the peer hears the end: {:?}", peer.recv().await.map_err(|error| error.kind())));
    log.push(format!("closed: our recv is over: {}", is_over(&ours.recv().await)));
    log.push(format!("closed: our send {:?}", ours.send(&[0; 8], 0..8).await));

    let (ours, peer) = connect().await;
    ours.close(true);
    log.push(format!("aborted: the peer hears {:?}", peer.recv().await.map_err(|error| error.kind())));
    log.push(format!("aborted: our recv is over: {}", is_over(&ours.recv().await)));
    log.push(format!("aborted: our send {:?}", ours.send(&[0; 8], 0..8).await));

    for abort in [false, true] {
        let (ours, peer) = connect().await;
        let (received, ()) = join(ours.recv(), async { ours.close(abort) }).await;
        log.push(format!("closed meanwhile: our recv is over: {}", is_over(&received)));
        drop(peer);
    }
}

/// A receive that gives nothing more, as an error or as the end of the stream.
fn is_over(received: &Result<Vec<u8>, ErrorKind>) -> bool {
    received.as_ref().map_or(true, Vec::is_empty)
}

/// How many sends the buffers on the way take is the kernel's business.
async fn fails_in_the_end(ours: &impl AnyStream) -> bool {
    for _ in 0..1_000 {
        if let Err(error) = ours.send(&[0; 65_536], 0..65_536).await {
            return matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        }
    }
    false
}

async fn receive_exactly(peer: &impl Wire, length: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < length {
        received.extend(peer.recv().await.expect("it was sent"));
    }
    received
}

fn simulated_stream() -> Transcript {
    simulate(|executor| async move {
        let link = Link {
            latency_min_us: 20,
            latency_tail_us: 5,
            slow_one_in: 50,
            ns_per_kib: 800,
            window_bytes: 65_536,
            cut: Cut::Random(5_000),
            coalesce: false,
        };
        let tap: Rc<RefCell<dyn Tap>> = Rc::new(RefCell::new(Blind));
        let network = Network::new(executor.clock(), 1, vec![link], Rc::default(), tap);
        network.listen();
        let pool = Pool::unbounded();
        stream_script(async || {
            let peer = network.connect(0).await.expect("it listens");
            let (inner, _) = network.accept().await;
            let pool = pool.clone();
            (Adapter { inner, alloc: move |length| pool.alloc(length).expect("no bound") }, peer)
        })
        .await
    })
}

fn real_stream() -> Transcript {
    run_on_ring(async |runtime| {
        let connect = async || {
            let (ours, theirs) = connection().expect("loopback");
            let peer = SocketWire::new(&runtime, theirs).expect("descriptors");
            (Adapter { inner: runtime.stream(ours), alloc: real_alloc(runtime.clone()) }, peer)
        };
        stream_script(connect).await
    })
}

fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let theirs = TcpStream::connect(listener.local_addr()?)?;
    Ok((listener.accept()?.0, theirs))
}

fn real_alloc(runtime: RealRuntime) -> impl Fn(usize) -> quintain::runtime::Buf {
    move |length| quintain_core::env::Runtime::alloc(&runtime, length).expect("there is room")
}

fn simulate<F: Future<Output = Transcript> + 'static>(
    script: impl FnOnce(Executor) -> F + Send + 'static,
) -> Transcript {
    executor::run(1, Duration::from_secs(60), script).expect("it comes to its end")
}

/// A loop device of [`DISK_BYTES`], detached on drop.
struct LoopDevice {
    path: PathBuf,
    _directory: TempDir,
}

impl LoopDevice {
    fn attach() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("device.img");
        std::fs::File::create(&file).and_then(|file| file.set_len(DISK_BYTES)).expect("space");
        let attached = Command::new("losetup").args(["--find", "--show"]).arg(&file).output();
        let output = attached.expect("losetup is installed");
        assert!(output.status.success(), "losetup: {}", String::from_utf8_lossy(&output.stderr));
        let path = String::from_utf8(output.stdout).expect("a path").trim().into();
        Self { path, _directory: directory }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // Best effort: a device that stays attached goes with its file.
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
    }
}
