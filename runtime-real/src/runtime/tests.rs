//! Streams and disks against the kernel: loopback sockets and temporary files.

use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use futures_util::future::join;
use quintain_core::env::{ByteStream, Close, Disk, Durability, Runtime, TxData, TxPdu};
use quintain_core::limits::Limits;

use super::{Peers, RealDisk, RealRuntime, RealStream, World};

#[test]
fn bytes_cut_anywhere_arrive_complete_and_in_order() {
    let sent = pattern(300_000);
    let (ours, mut theirs) = connection();
    let to_send = sent.clone();
    let peer = thread::spawn(move || {
        for cut in to_send.chunks(1_237) {
            theirs.write_all(cut).expect("we read");
        }
    });
    let received = on_shard(async |runtime| receive_all(&runtime.stream(ours)).await);
    peer.join().expect("the peer ended well");
    assert!(received == sent);
}

#[test]
fn batch_of_more_slices_than_one_call_takes_arrives_in_order_at_a_slow_reader() {
    let (ours, mut theirs) = connection();
    let peer = thread::spawn(move || {
        let mut received = Vec::new();
        let mut part = [0; 100_000];
        loop {
            thread::yield_now();
            match theirs.read(&mut part).expect("no reset") {
                0 => return received,
                bytes => received.extend_from_slice(&part[..bytes]),
            }
        }
    });
    let sent = on_shard(async |runtime| {
        let stream = runtime.stream(ours);
        let shared = Rc::new(filled(&runtime, 8_192));
        let batch: Vec<_> = (0..2_500_u32)
            .map(|n| match n % 3 {
                0 => TxPdu::new(&n.to_be_bytes(), TxData::None, &[]),
                1 => TxPdu::new(&[n as u8; 52], TxData::Owned(n.to_le_bytes().to_vec()), &[0; 3]),
                _ => TxPdu::new(&[n as u8; 48], TxData::Shared(shared.clone(), 7..8_000), &[n as u8; 7]),
            })
            .collect();
        let expected: Vec<u8> = batch.iter().flat_map(TxPdu::slices).flatten().copied().collect();
        let (result, batch) = stream.send(batch).await;
        result.expect("the peer reads");
        assert_eq!(batch.len(), 2_500);
        stream.close(Close::Graceful);
        expected
    });
    assert!(peer.join().expect("the peer ended well") == sent);
}

#[test]
fn dropped_recv_loses_nothing() {
    let (ours, mut theirs) = connection();
    on_shard(async |runtime| {
        let stream = runtime.stream(ours);
        poll_once_and_drop(&stream).await;
        theirs.write_all(b"first").expect("open");
        runtime.sleep(Duration::from_millis(20)).await;
        assert_eq!(&*stream.recv().await.expect("bytes are there"), b"first");
        poll_once_and_drop(&stream).await;
        poll_once_and_drop(&stream).await;
        theirs.write_all(b"second").expect("open");
        theirs.shutdown(Shutdown::Write).expect("open");
        assert_eq!(receive_all(&stream).await, b"second");
    });
}

#[test]
fn recv_into_after_a_dropped_recv_takes_its_bytes_first() {
    let (ours, mut theirs) = connection();
    on_shard(async |runtime| {
        let stream = runtime.stream(ours);
        poll_once_and_drop(&stream).await;
        theirs.write_all(b"0123456789").expect("open");
        let buf = runtime.alloc(6).expect("there is room");
        let (received, buf) = stream.recv_into(buf, 2..6).await;
        assert_eq!(received.expect("bytes are there"), 4);
        assert_eq!(&buf.as_ref()[2..], b"0123");
        assert_eq!(&*stream.recv().await.expect("the rest is there"), b"456789");
        theirs.write_all(b"ab").expect("open");
        let (received, buf) = stream.recv_into(buf, 0..6).await;
        assert_eq!(received.expect("bytes are there"), 2);
        assert_eq!(&buf.as_ref()[..2], b"ab");
    });
}

#[test]
fn close_ends_a_pending_recv() {
    for how in [Close::Graceful, Close::Abort] {
        let (ours, theirs) = connection();
        on_shard(async |runtime| {
            let stream = Rc::new(runtime.stream(ours));
            close_soon(&runtime, &stream, how);
            assert!(stream.recv().await.map_or(true, |chunk| chunk.is_empty()), "{how:?}");
        });
        drop(theirs);
    }
}

#[test]
fn close_ends_a_pending_recv_into() {
    for how in [Close::Graceful, Close::Abort] {
        let (ours, theirs) = connection();
        on_shard(async |runtime| {
            let stream = Rc::new(runtime.stream(ours));
            close_soon(&runtime, &stream, how);
            let (result, buf) = stream.recv_into(runtime.alloc(512).expect("there is room"), 0..512).await;
            assert!(result.map_or(true, |bytes| bytes == 0), "{how:?}");
            assert_eq!(buf.as_ref().len(), 512);
        });
        drop(theirs);
    }
}

#[test]
fn close_ends_a_send_to_a_peer_that_does_not_read() {
    for how in [Close::Graceful, Close::Abort] {
        let (ours, theirs) = connection();
        on_shard(async |runtime| {
            let stream = Rc::new(runtime.stream(ours));
            close_soon(&runtime, &stream, how);
            let shared = Rc::new(filled(&runtime, 1 << 20));
            let batch = (0..64).map(|_| TxPdu::new(&[], TxData::Shared(shared.clone(), 0..1 << 20), &[])).collect();
            assert!(stream.send(batch).await.0.is_err(), "{how:?}");
        });
        drop(theirs);
    }
}

#[test]
fn send_and_recv_run_at_the_same_time() {
    let (ours, mut theirs) = connection();
    let peer = thread::spawn(move || {
        let mut question = [0; 1 << 20];
        theirs.write_all(b"first").expect("open");
        theirs.read_exact(&mut question).expect("open");
    });
    on_shard(async |runtime| {
        let stream = runtime.stream(ours);
        let shared = Rc::new(filled(&runtime, 1 << 20));
        let batch = vec![TxPdu::new(&[], TxData::Shared(shared, 0..1 << 20), &[])];
        let (received, (sent, _)) = join(stream.recv(), stream.send(batch)).await;
        assert_eq!(&*received.expect("the peer wrote"), b"first");
        sent.expect("the peer reads");
    });
    peer.join().expect("the peer ended well");
}

#[test]
fn graceful_close_delivers_what_was_sent_although_bytes_are_left_unread() {
    let (ours, mut theirs) = connection();
    theirs.write_all(&pattern(50_000)).expect("open");
    let (sent, all_sent) = mpsc::channel();
    let peer = thread::spawn(move || {
        all_sent.recv().expect("the shard runs");
        let mut received = Vec::new();
        theirs.read_to_end(&mut received).expect("no reset");
        received
    });
    on_shard(async |runtime| {
        let stream = runtime.stream(ours);
        stream.recv().await.expect("bytes are there");
        let batch = vec![TxPdu::new(b"last words", TxData::None, &[])];
        stream.send(batch).await.0.expect("there is room");
        stream.close(Close::Graceful);
        drop(stream);
        sent.send(()).expect("the peer waits");
        runtime.sleep(Duration::from_millis(50)).await;
    });
    assert_eq!(peer.join().expect("the peer ended well"), b"last words");
}

#[test]
fn abort_resets_the_connection_while_a_recv_is_in_flight() {
    let (ours, mut theirs) = connection();
    on_shard(async |runtime| {
        let stream = runtime.stream(ours);
        poll_once_and_drop(&stream).await;
        stream.close(Close::Abort);
        let error = theirs.read(&mut [0; 16]).expect_err("a reset, not an end");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn parked_connection_brings_its_early_bytes_to_the_other_shard() {
    let (ours, mut theirs) = connection();
    let (hand_over, handed_over) = mpsc::channel();
    let other = thread::spawn(move || {
        on_shard(async |runtime| {
            let stream = runtime.unpark(handed_over.recv().expect("a connection comes"));
            receive_all(&stream).await
        })
    });
    on_shard(async |runtime| {
        let stream = runtime.stream(ours);
        theirs.write_all(b"a").expect("open");
        assert_eq!(&*stream.recv().await.expect("a byte is there"), b"a");
        // This receive stays in flight here, and what it gets has to follow the connection.
        poll_once_and_drop(&stream).await;
        hand_over.send(runtime.park(stream)).expect("the other shard waits");
        theirs.write_all(b"bc").expect("open");
        runtime.sleep(Duration::from_millis(20)).await;
        theirs.write_all(b"de").expect("open");
        theirs.shutdown(Shutdown::Write).expect("open");
    });
    assert_eq!(other.join().expect("the other shard ended well"), b"bcde");
}

#[test]
fn disk_gives_back_what_was_written() {
    let file = tempfile::tempfile().expect("a temporary directory");
    file.set_len(1 << 20).expect("space");
    let mut outside = file.try_clone().expect("descriptors");
    on_shard(async |runtime| {
        let disk = RealDisk::of_file(file, false).expect("a size");
        assert_eq!(disk.geometry().size_bytes, 1 << 20);
        for (offset, durability) in [(0, Durability::Volatile), (131_072, Durability::Durable)] {
            let (written, buf) = disk.write(offset, filled(&runtime, 65_536), 0..65_536, durability).await;
            assert_eq!(written.expect("space"), 65_536);
            let (read, back) = disk.read(offset, runtime.alloc(65_536).expect("there is room"), 0..65_536).await;
            assert_eq!(read.expect("it was written"), 65_536);
            assert!(back.as_ref() == buf.as_ref());
        }
        disk.flush().await.expect("a flush");
        let (read, zeros) = disk.read(65_536, runtime.alloc(512).expect("there is room"), 0..512).await;
        assert_eq!(read.expect("a hole"), 512);
        assert!(zeros.as_ref().iter().all(|byte| *byte == 0));
    });
    let mut byte = [0];
    outside.seek(SeekFrom::Start(131_073)).expect("a file");
    outside.read_exact(&mut byte).expect("a byte");
    assert_eq!(byte, [pattern(2)[1]]);
}

#[test]
fn read_ends_where_a_file_was_cut_short() {
    let file = tempfile::tempfile().expect("a temporary directory");
    file.set_len(8_192).expect("space");
    let outside = file.try_clone().expect("descriptors");
    on_shard(async |runtime| {
        let disk = RealDisk::of_file(file, false).expect("a size");
        outside.set_len(6_000).expect("a shorter file");
        let (read, buf) = disk.read(4_096, runtime.alloc(4_096).expect("there is room"), 0..4_096).await;
        assert_eq!(read.expect("a part of it is there"), 1_904);
        let (read, _) = disk.read(6_144, buf, 2_048..4_096).await;
        assert_eq!(read.expect("the end is no error here"), 0);
    });
}

#[test]
fn dropped_operations_give_their_buffers_back() {
    let file = tempfile::tempfile().expect("a temporary directory");
    file.set_len(1 << 20).expect("space");
    on_shard(async |runtime| {
        let disk = RealDisk::of_file(file, false).expect("a size");
        // More than the pool holds, so that each buffer has to come back although nobody waited for its write.
        for _ in 0..200 {
            let buf = alloc_when_there_is_room(&runtime, 1 << 20).await;
            let mut write = pin!(disk.write(0, buf, 0..1 << 20, Durability::Durable));
            assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
    });
}

#[test]
fn panic_of_a_task_ends_that_task_only_with_one_line_in_the_log() {
    let log: Arc<Mutex<Vec<u8>>> = Arc::default();
    let subscriber = tracing_subscriber::fmt().with_writer({
        let log = log.clone();
        move || Writer(log.clone())
    });
    let _here = tracing::subscriber::set_default(subscriber.finish());
    on_shard(async |runtime| {
        runtime.spawn(async { panic!("planted") });
        let (sender, receiver) = futures_channel::oneshot::channel();
        runtime.spawn(async move { sender.send(5).expect("the test waits") });
        assert_eq!(receiver.await, Ok(5));
    });
    let log = String::from_utf8(log.lock().expect("it is whole").clone()).expect("text");
    assert_eq!(log.matches("a task was ended by a broken invariant").count(), 1, "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}

/// Keeps the log.
struct Writer(Arc<Mutex<Vec<u8>>>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("it is whole").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs `body` on a shard of its own.
fn on_shard<T>(body: impl AsyncFnOnce(RealRuntime) -> T) -> T {
    let limits = Limits { pool_bytes: 64 << 20, ..Limits::default() };
    let world = World { limits, shards: Vec::new(), peers: Peers::default(), processor: None };
    RealRuntime::run(world, body).expect("io_uring is there")
}

/// Two ends of a TCP connection.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let theirs = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    (listener.accept().expect("connected").0, theirs)
}

async fn receive_all(stream: &RealStream) -> Vec<u8> {
    let mut received = Vec::new();
    loop {
        let chunk = stream.recv().await.expect("no reset");
        if chunk.is_empty() {
            return received;
        }
        received.extend_from_slice(&chunk);
    }
}

/// Leaves a receive in flight whose future is gone.
async fn poll_once_and_drop(stream: &RealStream) {
    let mut receive = pin!(stream.recv());
    let polled = receive.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "nothing has arrived");
}

fn close_soon(runtime: &RealRuntime, stream: &Rc<RealStream>, how: Close) {
    let (sleeper, stream) = (runtime.clone(), stream.clone());
    runtime.spawn(async move {
        sleeper.sleep(Duration::from_millis(50)).await;
        stream.close(how);
    });
}

fn filled(runtime: &RealRuntime, len: usize) -> super::Buf {
    let mut buf = runtime.alloc(len).expect("there is room");
    buf.as_mut().copy_from_slice(&pattern(len));
    buf
}

async fn alloc_when_there_is_room(runtime: &RealRuntime, len: usize) -> super::Buf {
    for _ in 0..10_000 {
        match runtime.alloc(len) {
            Some(buf) => return buf,
            None => runtime.sleep(Duration::from_millis(1)).await,
        }
    }
    panic!("the pool stays empty");
}

/// Bytes that differ from their neighbours and from those a page away.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n ^ (n >> 8) ^ (n >> 13)) as u8).collect()
}
