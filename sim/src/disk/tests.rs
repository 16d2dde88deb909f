use super::*;
use crate::executor::{Executor, run_for_test as run};
use crate::runtime::Pool;

const BLOCK: usize = 512;

fn disk(executor: &Executor, seed: u64, history: &Rc<RefCell<History>>) -> SimDisk {
    let geometry =
        Geometry { size_bytes: 1 << 20, logical_block_bytes: 512, physical_block_bytes: 512, read_only: false };
    let speed = DiskSpeed { latency_min_us: 50, latency_tail_us: 30 };
    let disk = SimDisk::new(executor.clock(), seed, 0, geometry, speed, Rc::default(), history.clone());
    executor.spawn(disk.clone().drive());
    disk
}

fn blocks(count: usize, fill: u8) -> SimBuf {
    let mut buf = Pool::unbounded().alloc(count * BLOCK).expect("unbounded");
    buf.as_mut().fill(fill);
    buf
}

async fn write(disk: &SimDisk, block: u64, count: usize, fill: u8, durability: Durability) -> io::Result<()> {
    let moved = disk.write(block * BLOCK as u64, blocks(count, fill), 0..count * BLOCK, durability).await.0?;
    assert_eq!(moved, count * BLOCK, "no short write was asked for");
    Ok(())
}

/// The first byte of each block, and that the block is all of one piece.
async fn read(disk: &SimDisk, block: u64, count: usize) -> Vec<u8> {
    let (result, buf) = disk.read(block * BLOCK as u64, blocks(count, 0xee), 0..count * BLOCK).await;
    assert_eq!(result.expect("no read fault"), count * BLOCK);
    buf.as_ref()
        .chunks(BLOCK)
        .map(|block| {
            assert!(block.iter().all(|&byte| byte == block[0]), "a block is torn inside");
            block[0]
        })
        .collect()
}

/// Runs a story with a disk on each of 20 seeds of the scheduler.
fn story<F: Future<Output = ()> + 'static>(
    story: impl Fn(SimDisk, Clock, Rc<RefCell<History>>) -> F + Copy + Send + 'static,
) {
    for seed in 0..20 {
        let end = run(seed, move |executor| async move {
            let history = Rc::default();
            let disk = disk(&executor, seed, &history);
            story(disk, executor.clock(), history).await;
        });
        assert_eq!(end, Ok(()));
    }
}

#[test]
fn read_sees_the_last_write_and_zeros_elsewhere() {
    story(|disk, _, _| async move {
        write(&disk, 7, 3, 1, Durability::Volatile).await.expect("no fault");
        write(&disk, 8, 1, 2, Durability::Volatile).await.expect("no fault");
        assert_eq!(read(&disk, 6, 5).await, [0, 1, 2, 1, 0]);
    });
}

#[test]
fn power_loss_keeps_what_was_flushed_and_any_of_the_rest() {
    story(|disk, _, _| async move {
        write(&disk, 0, 4, 1, Durability::Volatile).await.expect("no fault");
        disk.flush().await.expect("no fault");
        write(&disk, 0, 2, 2, Durability::Volatile).await.expect("no fault");
        write(&disk, 1, 1, 3, Durability::Durable).await.expect("no fault");
        disk.power_lost();
        let found = read(&disk, 0, 5).await;
        assert!([1, 2].contains(&found[0]), "{found:?}");
        assert_eq!(found[1..], [3, 1, 1, 0]);
    });
}

#[test]
fn flush_covers_only_what_was_done_when_it_was_issued() {
    let survivors: Vec<u8> = (0..40)
        .map(|seed| {
            let found = run(seed, move |executor| async move {
                let disk = disk(&executor, seed, &Rc::default());
                write(&disk, 0, 1, 1, Durability::Volatile).await.expect("no fault");
                disk.inject(DiskFault::Slow { for_us: 1, times: 1_000 });
                let later = async {
                    executor.clock().sleep(Duration::from_micros(2)).await;
                    write(&disk, 0, 1, 2, Durability::Volatile).await.expect("no fault");
                };
                futures_util::future::join(disk.flush(), later).await.0.expect("no fault");
                disk.power_lost();
                read(&disk, 0, 1).await[0]
            });
            found.expect("no panic")
        })
        .collect();
    assert!(survivors.contains(&1) && survivors.contains(&2) && !survivors.contains(&0), "{survivors:?}");
}

#[test]
fn process_death_keeps_what_was_acknowledged() {
    story(|disk, _, _| async move {
        write(&disk, 0, 2, 1, Durability::Volatile).await.expect("no fault");
        disk.process_died();
        assert_eq!(read(&disk, 0, 2).await, [1, 1]);
    });
}

#[test]
fn dropped_write_still_lands() {
    story(|disk, clock, _| async move {
        let late = clock.sleep(Duration::from_micros(1));
        drop(select(Box::pin(write(&disk, 0, 1, 9, Durability::Volatile)), late).await);
        assert_eq!(disk.buffers_held(), 1);
        clock.sleep(Duration::from_millis(50)).await;
        assert_eq!(disk.buffers_held(), 0);
        assert_eq!(read(&disk, 0, 1).await, [9]);
    });
}

#[test]
fn failed_flush_loses_its_data_and_the_next_succeeds() {
    story(|disk, _, history| async move {
        write(&disk, 0, 1, 1, Durability::Volatile).await.expect("no fault");
        disk.inject(DiskFault::FlushError { count: 1 });
        assert!(disk.flush().await.is_err());
        disk.flush().await.expect("the fault is used up");
        assert_eq!(read(&disk, 0, 1).await, [1], "the cache still has it");
        disk.power_lost();
        assert_eq!(read(&disk, 0, 1).await, [0]);
        assert_eq!(history.borrow().events, [Event::FlushFailed { lun: 0 }]);
    });
}

/// As `errseq_t` in Linux: of the operations that wait on one open file description, one is told of a failed write-back,
/// and those on another are told of it as well.
#[test]
fn failed_write_back_is_told_once_on_each_description() {
    let told: Vec<_> = (0..40)
        .map(|seed| {
            let told = run(seed, move |executor| async move {
                let disk = disk(&executor, seed, &Rc::default());
                let other = disk.reopen();
                write(&disk, 0, 1, 1, Durability::Volatile).await.expect("no fault");
                disk.inject(DiskFault::FlushError { count: 1 });
                let written = write(&disk, 1, 1, 2, Durability::Durable);
                let told = futures_util::future::join(disk.flush(), written).await;
                let told = (told.0.is_err(), told.1.is_err());
                assert!(disk.flush().await.is_ok(), "this description has told of it");
                assert!(disk.reopen().flush().await.is_ok(), "that is no news to a later one");
                assert!(other.flush().await.is_err(), "it has not been told of here");
                assert!(other.flush().await.is_ok());
                disk.power_lost();
                let left = read(&disk, 0, 2).await;
                assert!(left[0] == 0 || left[1] == 0, "nothing was lost: {left:?}");
                (told, left)
            });
            told.expect("no panic")
        })
        .collect();
    assert!(told.iter().all(|((flush, write), _)| flush != write), "{told:?}");
    let unjust = |((flush, write), left): &&((bool, bool), Vec<u8>)| *flush && left[1] == 0 || *write && left[0] == 0;
    assert!(told.iter().filter(unjust).count() > 5, "whose data was lost is not always the one that is told: {told:?}");
}

#[test]
fn lying_flush_taints_what_it_covers() {
    story(|disk, _, history| async move {
        write(&disk, 3, 2, 1, Durability::Volatile).await.expect("no fault");
        disk.inject(DiskFault::FlushLie { count: 1 });
        disk.flush().await.expect("it lies");
        let taint = Event::Taint { lun: 0, offset_bytes: 3 * 512, length_bytes: 1024 };
        assert_eq!(history.borrow().events, [taint]);
    });
}

#[test]
fn errors_strike_as_often_and_where_they_should() {
    story(|disk, _, _| async move {
        disk.inject(DiskFault::ReadError { offset_bytes: 1024, length_bytes: 512, count: 1 });
        assert_eq!(read(&disk, 0, 2).await, [0, 0]);
        assert!(disk.read(0, blocks(3, 0), 0..3 * BLOCK).await.0.is_err());
        assert_eq!(read(&disk, 0, 3).await, [0, 0, 0]);
        disk.inject(DiskFault::WriteError { count: 1, partial: false });
        assert!(write(&disk, 0, 1, 1, Durability::Volatile).await.is_err());
        assert_eq!(read(&disk, 0, 1).await, [0]);
        write(&disk, 0, 1, 1, Durability::Volatile).await.expect("the fault is used up");
        disk.inject(DiskFault::Full { for_us: 10_000_000 });
        write(&disk, 0, 1, 2, Durability::Volatile).await.expect("it has this page");
        let full = write(&disk, 100, 1, 2, Durability::Volatile).await;
        assert_eq!(full.err().and_then(|error| error.raw_os_error()), Some(28));
    });
}

#[test]
fn hung_operation_completes_when_the_disk_is_healed() {
    story(|disk, clock, _| async move {
        disk.inject(DiskFault::Hang { part: Part::Write, count: 1 });
        let mut hung = Box::pin(write(&disk, 0, 1, 5, Durability::Volatile));
        let wait = select(&mut hung, clock.sleep(Duration::from_secs(1_000))).await;
        assert!(matches!(wait, futures_util::future::Either::Right(_)));
        assert_eq!(read(&disk, 0, 1).await, [0]);
        drop(wait);
        disk.heal();
        hung.await.expect("no error");
        assert_eq!(read(&disk, 0, 1).await, [5]);
    });
}

#[test]
fn stall_holds_everything_back() {
    story(|disk, clock, _| async move {
        disk.inject(DiskFault::Stall { for_us: 2_000_000 });
        write(&disk, 0, 1, 5, Durability::Volatile).await.expect("no error");
        assert!(clock.now() >= Duration::from_secs(2));
    });
}

#[test]
fn short_transfers_move_what_they_say() {
    let (mut odd, mut whole) = (0, 0);
    for direct in [false, true] {
        for seed in 0..20 {
            let moved = run(seed, move |executor| async move {
                let disk = disk(&executor, seed, &Rc::default());
                let disk = if direct { disk.direct() } else { disk };
                for part in [Part::Read, Part::Write] {
                    disk.inject(DiskFault::Short { part, count: 1 });
                }
                let (written, _) = disk.write(0, blocks(8, 1), 0..8 * BLOCK, Durability::Durable).await;
                let written = written.expect("no error");
                let (read, there) = read_all(&disk).await;
                let landed = there.iter().filter(|&&byte| byte == 1).count();
                assert_eq!(written, landed);
                (written, read)
            });
            let (written, read) = moved.expect("no panic");
            assert!(0 < written && written.is_multiple_of(BLOCK), "a write stops within a block");
            assert!(0 < read && (!direct || read.is_multiple_of(BLOCK)));
            odd += usize::from(!read.is_multiple_of(BLOCK));
            whole += usize::from(written == 8 * BLOCK);
        }
    }
    assert!(odd > 10 && whole < 10, "{odd} odd counts, {whole} whole ones");
}

#[test]
fn a_disk_that_breaks_keeps_the_first_units_of_one_write_and_takes_no_more() {
    for gone in [false, true] {
        story(move |disk, clock, _| async move {
            disk.inject(DiskFault::Breaks { for_us: 1_000_000, gone });
            write(&disk, 20, 1, 3, Durability::Volatile).await.expect("one unit is not divisible");
            let (begun, _) = disk.write(0, blocks(8, 1), 0..8 * BLOCK, Durability::Volatile).await;
            let begun = begun.expect("its first units land");
            assert!((1..8).contains(&(begun / BLOCK)) && begun.is_multiple_of(BLOCK), "{begun} bytes");
            let refused = write(&disk, 0, 8, 2, Durability::Volatile).await.expect_err("the disk takes no writes");
            assert_eq!(refused.kind() == io::ErrorKind::ReadOnlyFilesystem, !gone, "{refused}");
            clock.sleep(Duration::from_secs(2)).await;
            let landed = read(&disk, 0, 8).await.iter().filter(|&&byte| byte == 1).count();
            assert_eq!(landed, begun / BLOCK);
        });
    }
}

/// The first blocks of `disk`, of which a short read gives so many bytes first.
async fn read_all(disk: &SimDisk) -> (usize, Vec<u8>) {
    let (result, buf) = disk.read(0, blocks(8, 0xee), 0..8 * BLOCK).await;
    let moved = result.expect("no error");
    assert!(buf.as_ref()[moved..].iter().all(|&byte| byte == 0xee), "bytes beyond the count were changed");
    assert!(buf.as_ref()[..moved].iter().all(|&byte| byte != 0xee));
    let rest = moved - moved % BLOCK;
    let (result, buf) = disk.read(rest as u64, buf, rest..8 * BLOCK).await;
    assert_eq!(result.expect("no error"), 8 * BLOCK - rest);
    (moved, buf.as_ref().to_vec())
}

#[test]
fn interruptions_change_nothing() {
    story(|disk, _, _| async move {
        disk.inject(DiskFault::Interrupted { part: Part::Write, count: 1, again: false });
        disk.inject(DiskFault::Interrupted { part: Part::Read, count: 1, again: true });
        disk.inject(DiskFault::Ends { count: 1 });
        let interrupted = write(&disk, 0, 2, 7, Durability::Durable).await;
        assert_eq!(interrupted.expect_err("interrupted").kind(), io::ErrorKind::Interrupted);
        let (again, buf) = disk.read(0, blocks(2, 0xee), 0..2 * BLOCK).await;
        assert_eq!(again.expect_err("not now").kind(), io::ErrorKind::WouldBlock);
        let (end, buf) = disk.read(0, buf, 0..2 * BLOCK).await;
        assert_eq!(end.expect("the end is no error here"), 0);
        assert!(buf.as_ref().iter().all(|&byte| byte == 0xee));
        assert_eq!(read(&disk, 0, 2).await, [0, 0]);
    });
}
