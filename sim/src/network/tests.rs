use super::*;
use crate::executor::{Executor, run_for_test as run};
use crate::initiator::world::Wire;
use crate::runtime::SimBuf;
use crate::tap::Blind;
use quintain_core::env::{ByteStream, Close, TxData, TxPdu};

fn link(cut: Cut) -> Link {
    Link {
        latency_min_us: 20,
        latency_tail_us: 5,
        slow_one_in: 50,
        ns_per_kib: 800,
        window_bytes: 1_000,
        cut,
        coalesce: false,
    }
}

fn network(executor: &Executor, link: Link) -> Network {
    let tap: Rc<RefCell<dyn Tap>> = Rc::new(RefCell::new(Blind));
    let network = Network::new(executor.clock(), 1, vec![link], Rc::default(), tap);
    network.listen();
    network
}

fn pdu(bytes: Vec<u8>) -> TxPdu<SimBuf> {
    TxPdu::new(&[7; 48], TxData::Owned(bytes), &[])
}

/// A server that sends back what it gets, until the end of the stream.
async fn echo(network: Network) {
    let (stream, _) = network.accept().await;
    while let Ok(chunk) = stream.recv().await {
        if chunk.is_empty() || stream.send(vec![pdu(chunk.to_vec())]).await.0.is_err() {
            break;
        }
    }
}

async fn read_to_end(wire: &SimWire) -> (Vec<usize>, io::Result<()>) {
    let mut reads = Vec::new();
    loop {
        match wire.recv().await {
            Ok(bytes) if bytes.is_empty() => return (reads, Ok(())),
            Ok(bytes) => reads.push(bytes.len()),
            Err(error) => return (reads, Err(error)),
        }
    }
}

/// Sends 5,000 bytes to a server that counts, and returns what it counted, read by read.
fn reads_of_server(cut: Cut, coalesce: bool) -> Vec<usize> {
    run(1, move |executor| async move {
        let network = network(&executor, Link { coalesce, ..link(cut) });
        let reads = Rc::new(RefCell::new(Vec::new()));
        let (server, log) = (network.clone(), reads.clone());
        executor.spawn(async move {
            let (stream, _) = server.accept().await;
            let mut total = Vec::new();
            while let Ok(chunk) = stream.recv().await {
                log.borrow_mut().push(chunk.len());
                total.extend_from_slice(&chunk);
                if chunk.is_empty() {
                    break;
                }
            }
            assert_eq!(total, (0..5_000).map(|n| n as u8).collect::<Vec<_>>());
        });
        let wire = network.connect(0).await.expect("it listens");
        wire.send((0..5_000).map(|n| n as u8).collect()).await.expect("it reads");
        wire.shutdown();
        assert_eq!(read_to_end(&wire).await.0, [0; 0]);
        reads.take()
    })
    .expect("no panic")
}

#[test]
fn window_bounds_what_is_under_way_and_no_byte_is_lost() {
    let reads = reads_of_server(Cut::Nowhere, true);
    assert!(reads.iter().all(|&read| read <= 1_000));
    assert_eq!(reads.iter().sum::<usize>(), 5_000);
}

#[test]
fn cuts_fall_where_the_link_says() {
    assert!(reads_of_server(Cut::Every(100), false).iter().all(|&read| read <= 100));
    assert!(reads_of_server(Cut::Random(9), false).iter().all(|&read| read <= 9));
    assert!(reads_of_server(Cut::Fields, false)[0] < 53);
}

#[test]
fn half_close_lets_the_answer_through() {
    let reads = run(2, |executor| async move {
        let network = network(&executor, link(Cut::Nowhere));
        executor.spawn(echo(network.clone()));
        let wire = network.connect(0).await.expect("it listens");
        wire.send(vec![1; 100]).await.expect("it reads");
        wire.shutdown();
        let (reads, end) = read_to_end(&wire).await;
        (reads.iter().sum::<usize>(), end.is_ok(), network.open_at_target())
    });
    assert_eq!(reads, Ok((148, true, 0)));
}

#[test]
fn reset_at_a_byte_is_seen_by_both_ends() {
    let result = run(3, |executor| async move {
        let network = network(&executor, link(Cut::Nowhere));
        let saw = Rc::new(Cell::new(None));
        let (server, log) = (network.clone(), saw.clone());
        executor.spawn(async move {
            let (stream, _) = server.accept().await;
            let mut bytes = 0;
            while let Ok(chunk) = stream.recv().await {
                bytes += chunk.len();
            }
            log.set(Some(bytes));
        });
        let wire = network.connect(0).await.expect("it listens");
        network.reset_after(0, Direction::ToTarget, 77);
        let sent = wire.send(vec![1; 500]).await;
        let (_, end) = read_to_end(&wire).await;
        executor.clock().sleep(Duration::from_secs(1)).await;
        (sent.is_err(), end.is_err(), saw.get().is_some_and(|bytes| bytes <= 77))
    });
    assert_eq!(result, Ok((true, true, true)));
}

#[test]
fn stall_delays_one_direction_and_silence_lasts() {
    let times = run(4, |executor| async move {
        let network = network(&executor, link(Cut::Nowhere));
        executor.spawn(echo(network.clone()));
        let wire = network.connect(0).await.expect("it listens");
        network.stall(0, Direction::ToInitiator, Duration::from_secs(3));
        wire.send(vec![1; 10]).await.expect("it reads");
        wire.recv().await.expect("late");
        let late = executor.clock().now().as_secs();
        network.stall(0, Direction::ToTarget, NEVER);
        wire.send(vec![1; 10]).await.expect("the window is open");
        let clock = executor.clock();
        let silent = futures_util::future::select(Box::pin(wire.recv()), clock.sleep(Duration::from_secs(100))).await;
        (late, matches!(silent, futures_util::future::Either::Right(_)))
    });
    assert_eq!(times, Ok((3, true)));
}

/// N15: they are there while the next connection is.
#[test]
fn bytes_that_are_held_arrive_after_the_next_connection_was_opened() {
    let times = run(5, |executor| async move {
        let network = network(&executor, link(Cut::Nowhere));
        let clock = executor.clock();
        let old = network.connect(0).await.expect("it listens");
        let (stream, _) = network.accept().await;
        network.hold_until_next(0, Duration::from_secs(2));
        old.send(vec![1; 10]).await.expect("the window is open");
        let early = futures_util::future::select(Box::pin(stream.recv()), clock.sleep(Duration::from_secs(5))).await;
        let held = matches!(early, futures_util::future::Either::Right(_));
        let new = network.connect(0).await.expect("it listens");
        new.send(vec![2; 10]).await.expect("the window is open");
        let (next, _) = network.accept().await;
        next.recv().await.expect("the new one is not held");
        let first = clock.now().as_secs();
        let late = stream.recv().await.expect("they are only late").len();
        (held, first, late, clock.now().as_secs())
    });
    assert_eq!(times, Ok((true, 5, 10, 7)));
}

#[test]
fn close_with_unread_data_resets() {
    let end = run(5, |executor| async move {
        let network = network(&executor, link(Cut::Nowhere));
        let (server, clock) = (network.clone(), executor.clock());
        executor.spawn(async move {
            let (stream, _) = server.accept().await;
            clock.sleep(Duration::from_millis(5)).await;
            stream.close(Close::Graceful);
        });
        let wire = network.connect(0).await.expect("it listens");
        wire.send(vec![1; 10]).await.expect("the window is open");
        let (_, end) = read_to_end(&wire).await;
        end.map_err(|error| error.kind())
    });
    assert_eq!(end, Ok(Err(io::ErrorKind::ConnectionReset)));
}

#[test]
fn dead_process_resets_or_finishes_and_a_dead_machine_is_silent() {
    let ends = run(6, |executor| async move {
        let network = network(&executor, link(Cut::Nowhere));
        let held = Rc::new(RefCell::new(Vec::new()));
        let (server, streams) = (network.clone(), held.clone());
        executor.spawn(async move {
            loop {
                let stream = server.accept().await;
                streams.borrow_mut().push(stream);
            }
        });
        let wire = network.connect(0).await.expect("it listens");
        executor.clock().sleep(Duration::from_millis(1)).await;
        network.target_died(true);
        let crash = read_to_end(&wire).await.1.is_ok();
        let refused = network.connect(0).await.err().map(|error| error.kind());
        network.listen();
        let wire = network.connect(0).await.expect("it listens again");
        executor.clock().sleep(Duration::from_millis(1)).await;
        network.target_died(false);
        wire.send(vec![1; 10]).await.expect("nobody says no");
        executor.clock().sleep(Duration::from_secs(5)).await;
        network.listen();
        wire.send(vec![1; 10]).await.expect("not yet");
        let power = read_to_end(&wire).await.1.map_err(|error| error.kind());
        (crash, refused, power, network.open_at_target())
    });
    let reset = Err(io::ErrorKind::ConnectionReset);
    assert_eq!(ends, Ok((true, Some(io::ErrorKind::ConnectionRefused), reset, 0)));
}

#[test]
fn connects_fail_as_told() {
    let kinds = run(7, |executor| async move {
        let network = network(&executor, link(Cut::Nowhere));
        let soon = Duration::from_secs(1);
        network.fail_connects(0, ConnectFault::Refused, soon);
        let refused = network.connect(0).await.err().map(|error| error.kind());
        network.fail_connects(0, ConnectFault::AcceptFails, soon);
        let wire = network.connect(0).await.expect("the handshake is done");
        let reset = wire.recv().await.err().map(|error| error.kind());
        network.fail_connects(0, ConnectFault::Hangs, soon);
        let hung = network.connect(0).await.err().map(|error| error.kind());
        (refused, reset, hung, executor.clock().now() >= soon)
    });
    let refused = Some(io::ErrorKind::ConnectionRefused);
    let reset = Some(io::ErrorKind::ConnectionReset);
    assert_eq!(kinds, Ok((refused, reset, Some(io::ErrorKind::TimedOut), true)));
}
