//! Write cache, FUA, SYNCHRONIZE CACHE, and what a failed flush does.

use std::collections::BTreeSet;

use super::*;
use crate::env::Durability::{Durable, Volatile};
use crate::event::Event;
use crate::testing::DiskOperation::{Flush, Read, Write};
use crate::testing::DiskVerb;
use proptest::prelude::*;

const FAILED: Event = Event::FlushFailed { lun: Lun(0) };
const SYNCHRONIZE_IMMED: [u8; 10] = [0x35, 2, 0, 0, 0, 0, 0, 0, 0, 0];
const EINTR: i32 = 4;
const EIO: i32 = 5;
const EAGAIN: i32 = 11;
const ENXIO: i32 = 6;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

fn write_error() -> Vec<u8> {
    fixed(3, 0x0c00)
}

#[test]
fn write_through_is_durable_when_it_is_good() {
    let bench = Bench::new(IoMode::WriteThrough);
    good(&bench.run(&write_10(1, 1), &[7; 512]));
    assert_eq!(bench.disk.durable(512..1_024), [7; 512]);
    assert_eq!(bench.disk.take_operations(), [Write(512, 512, Durable)]);
}

#[test]
fn write_back_is_durable_after_synchronize_cache_only() {
    for synchronize in [ten(0x35, 0, 0, 0).to_vec(), sixteen(0x91, 0, 4, 1).to_vec()] {
        let bench = Bench::new(IoMode::WriteBack);
        good(&bench.run(&write_10(1, 1), &[7; 512]));
        assert_eq!(bench.disk.durable(512..1_024), [0; 512]);
        bench.good(&synchronize);
        assert_eq!(bench.disk.durable(512..1_024), [7; 512]);
        assert_eq!(bench.disk.take_operations(), [Write(512, 512, Volatile), Flush]);
    }
}

#[test]
fn forced_write_is_durable_when_it_is_good() {
    for write in
        [ten(0x2a, FUA, 0, 1).to_vec(), vec![0xaa, FUA, 0, 0, 0, 0, 0, 0, 0, 1], sixteen(0x8a, FUA, 0, 1).to_vec()]
    {
        let bench = Bench::new(IoMode::WriteBack);
        good(&bench.run(&write, &[7; 512]));
        assert_eq!(bench.disk.durable(0..512), [7; 512]);
    }
}

#[test]
fn six_byte_write_has_no_fua_bit() {
    let bench = Bench::new(IoMode::WriteBack);
    good(&bench.run(&[0x0a, 0, 0, 0, 1, 0], &[7; 512]));
    // Bit 3 of byte 1 belongs to the address here: it is out of range, and not a flag.
    assert_eq!(check(&bench.run(&[0x0a, FUA, 0, 0, 1, 0], &[7; 512])), fixed(5, 0x2100));
    assert_eq!(bench.disk.take_operations(), [Write(0, 512, Volatile)]);
}

#[test]
fn forced_read_makes_the_cache_durable_first() {
    let bench = Bench::new(IoMode::WriteBack);
    good(&bench.run(&write_10(0, 1), &[7; 512]));
    assert_eq!(bench.good(&ten(0x28, FUA, 0, 1)), [7; 512]);
    assert_eq!(bench.disk.take_operations(), [Write(0, 512, Volatile), Flush, Read(0, 512)]);
    let bench = Bench::new(IoMode::WriteThrough);
    bench.good(&ten(0x28, FUA, 0, 1));
    assert_eq!(bench.disk.take_operations(), [Read(0, 512)], "there is no volatile cache to worry about");
}

#[test]
fn synchronize_cache_checks_its_range() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.good(&ten(0x35, 0, 1_000, 24));
    assert_eq!(bench.check(&ten(0x35, 0, 1_000, 25)), fixed(5, 0x2100));
    assert_eq!(bench.check(&sixteen(0x91, 0, u64::MAX, 1)), fixed(5, 0x2100));
}

#[test]
fn immediate_synchronize_cache_answers_first_and_flushes_after() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.hold(DiskVerb::Flush);
    good(&bench.run(&write_10(0, 1), &[7; 512]));
    bench.good(&SYNCHRONIZE_IMMED);
    bench.good(&SYNCHRONIZE_IMMED);
    bench.good(&SYNCHRONIZE_IMMED);
    assert_eq!(bench.disk.durable(0..512), [0; 512]);
    bench.disk.release();
    bench.runtime.settle();
    assert_eq!(bench.disk.durable(0..512), [7; 512]);
    let flushes = bench.disk.take_operations().into_iter().filter(|operation| *operation == Flush).count();
    assert!(flushes <= 2, "{flushes} flushes: however many are asked for, one runs and one waits");
}

#[test]
fn flushes_run_one_at_a_time_and_cover_all_that_was_written_before_they_were_asked_for() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.hold(DiskVerb::Flush);
    let mut first = bench.start(&SYNCHRONIZE, &[]);
    assert!(bench.runtime.turn(first.as_mut()).is_none());
    good(&bench.run(&write_10(0, 1), &[7; 512]));
    let mut second = bench.start(&SYNCHRONIZE, &[]);
    let mut third = bench.start(&SYNCHRONIZE, &[]);
    assert!(bench.runtime.turn(second.as_mut()).is_none());
    assert!(bench.runtime.turn(third.as_mut()).is_none());
    assert_eq!(bench.disk.take_operations(), [Flush, Write(0, 512, Volatile)]);
    bench.disk.release();
    for synchronize in [first, second, third] {
        good(&bench.runtime.block_on(synchronize));
    }
    assert_eq!(bench.disk.take_operations(), [Flush], "the second and the third share one flush");
    assert_eq!(bench.disk.durable(0..512), [7; 512]);
}

#[test]
fn failed_flush_is_never_forgotten() {
    let bench = Bench::new(IoMode::WriteBack);
    good(&bench.run(&write_10(0, 1), &[7; 512]));
    bench.disk.fail_next(DiskVerb::Flush, EIO);
    assert_eq!(bench.check(&SYNCHRONIZE), write_error());
    assert_eq!(bench.runtime.take_events(), [FAILED]);
    bench.disk.take_operations();
    assert_eq!(bench.check(&SYNCHRONIZE), write_error());
    assert_eq!(bench.check(&SYNCHRONIZE_IMMED), write_error());
    assert_eq!(check(&bench.run(&write_10(0, 1), &[8; 512])), write_error());
    assert_eq!(check(&bench.run(&ten(0x2a, FUA, 0, 1), &[8; 512])), write_error());
    assert_eq!(bench.check(&ten(0x28, FUA, 0, 1)), write_error(), "who wants the medium must not get the cache");
    assert_eq!(bench.disk.take_operations(), [], "nothing is even tried");
    assert_eq!(bench.good(&read_10(0, 1)), [7; 512], "reads go on");
    assert_eq!(bench.runtime.take_events(), []);
    assert!(bench.runtime.block_on(bench.unit().shut_down()).is_err());
}

#[test]
fn failure_of_an_immediate_flush_is_remembered() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.fail_next(DiskVerb::Flush, EIO);
    bench.good(&SYNCHRONIZE_IMMED);
    bench.runtime.settle();
    assert_eq!(bench.check(&SYNCHRONIZE), write_error());
}

#[test]
fn failure_of_a_flush_whose_command_was_dropped_is_remembered() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.hold(DiskVerb::Flush);
    bench.disk.fail_next(DiskVerb::Flush, EIO);
    let mut synchronize = bench.start(&SYNCHRONIZE, &[]);
    assert!(bench.runtime.turn(synchronize.as_mut()).is_none());
    drop(synchronize);
    bench.disk.release();
    bench.runtime.settle();
    assert_eq!(bench.runtime.take_events(), [FAILED]);
    assert_eq!(bench.check(&SYNCHRONIZE), write_error());
}

#[test]
fn failed_flush_fails_all_that_waited_for_it_and_all_that_wait_for_the_next() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.hold(DiskVerb::Flush);
    bench.disk.fail_next(DiskVerb::Flush, EIO);
    let mut first = bench.start(&SYNCHRONIZE, &[]);
    assert!(bench.runtime.turn(first.as_mut()).is_none());
    let mut second = bench.start(&SYNCHRONIZE, &[]);
    assert!(bench.runtime.turn(second.as_mut()).is_none());
    bench.disk.release();
    assert_eq!(check(&bench.runtime.block_on(first)), write_error());
    assert_eq!(check(&bench.runtime.block_on(second)), write_error());
}

#[test]
fn write_that_was_under_way_when_a_flush_failed_fails_too() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.hold(DiskVerb::Write);
    let mut write = bench.start(&ten(0x2a, FUA, 0, 1), &[7; 512]);
    assert!(bench.runtime.turn(write.as_mut()).is_none());
    bench.disk.fail_next(DiskVerb::Flush, EIO);
    assert_eq!(bench.check(&SYNCHRONIZE), write_error());
    bench.disk.release();
    assert_eq!(check(&bench.runtime.block_on(write)), write_error());
}

#[test]
fn failed_durable_write_counts_as_a_failed_flush() {
    for (mode, write) in [(IoMode::WriteThrough, write_10(0, 1)), (IoMode::WriteBack, ten(0x2a, FUA, 0, 1))] {
        let bench = Bench::new(mode);
        bench.disk.fail_next(DiskVerb::Write, EIO);
        assert_eq!(check(&bench.run(&write, &[7; 512])), write_error());
        assert!(bench.runtime.take_events().contains(&FAILED));
        assert_eq!(check(&bench.run(&write, &[7; 512])), write_error());
        assert_eq!(bench.check(&SYNCHRONIZE), write_error());
    }
}

/// Its data were never acknowledged, and the system did not say that others were lost.
#[test]
fn durable_write_that_is_never_carried_out_harms_itself_only() {
    for (mode, write) in [(IoMode::WriteThrough, write_10(0, 1)), (IoMode::WriteBack, ten(0x2a, FUA, 0, 1))] {
        for errno in [EINTR, EAGAIN] {
            let bench = Bench::new(mode);
            (0..Limits::default().transfer_interruptions).for_each(|_| bench.disk.fail_next(DiskVerb::Write, errno));
            assert_eq!(check(&bench.run(&write, &[7; 512])), write_error());
            assert!(!bench.runtime.take_events().contains(&FAILED));
            good(&bench.run(&write, &[8; 512]));
            bench.good(&SYNCHRONIZE);
            assert_eq!(bench.disk.durable(0..512), [8; 512]);
            bench.disk.fail_next(DiskVerb::Flush, errno);
            assert_eq!(bench.check(&SYNCHRONIZE), write_error());
            assert_eq!(check(&bench.run(&write, &[9; 512])), write_error(), "a flush may have come anywhere");
        }
    }
}

#[test]
fn failed_volatile_write_harms_itself_only() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.fail_next(DiskVerb::Write, EIO);
    assert_eq!(check(&bench.run(&write_10(0, 1), &[7; 512])), write_error());
    good(&bench.run(&write_10(0, 1), &[7; 512]));
    bench.good(&SYNCHRONIZE);
}

#[test]
fn full_store_recovers_when_space_comes_back() {
    for mode in [IoMode::WriteThrough, IoMode::WriteBack] {
        let bench = Bench::new(mode);
        bench.disk.fail_next(DiskVerb::Write, ENOSPC);
        assert_eq!(check(&bench.run(&write_10(0, 1), &[7; 512])), fixed(7, 0x2707));
        good(&bench.run(&write_10(0, 1), &[7; 512]));
        bench.good(&SYNCHRONIZE);
    }
}

/// The second write was once answered WRITE ERROR, and so was every other one until the next start.
#[test]
fn read_only_store_says_so_for_as_long_as_it_is() {
    let bench = Bench::new(IoMode::WriteThrough);
    for _ in 0..2 {
        bench.disk.fail_next(DiskVerb::Write, EROFS);
        assert_eq!(check(&bench.run(&write_10(0, 1), &[7; 512])), fixed(7, 0x2700));
    }
    good(&bench.run(&write_10(0, 1), &[7; 512]));
    let bench = Bench::new(IoMode::WriteBack);
    good(&bench.run(&write_10(0, 1), &[7; 512]));
    bench.disk.fail_next(DiskVerb::Flush, EROFS);
    assert_eq!(bench.check(&SYNCHRONIZE), write_error());
    assert_eq!(bench.check(&SYNCHRONIZE), write_error(), "volatile data were lost");
}

/// WRITE PROTECTED was the answer to a write whose first blocks were on the disk: an initiator takes it for one that had
/// no effect.
#[test]
fn write_that_a_read_only_store_ends_half_way_is_no_refusal() {
    for part_bytes in [512, 1] {
        let bench = Bench::new(IoMode::WriteThrough);
        bench.disk.shorten_next(DiskVerb::Write, part_bytes);
        bench.disk.fail_next(DiskVerb::Write, EROFS);
        assert_eq!(check(&bench.run(&write_10(0, 2), &[7; 1_024])), write_error());
        good(&bench.run(&write_10(0, 1), &[7; 512]));
    }
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.shorten_next(DiskVerb::Write, 512);
    bench.disk.fail_next(DiskVerb::Write, EROFS);
    assert_eq!(check(&bench.run(&ten(0x2a, FUA, 0, 2), &[7; 1_024])), write_error());
    assert_eq!(bench.check(&SYNCHRONIZE), write_error(), "a durable write failed");
}

#[test]
fn device_that_is_gone_is_not_ready_and_what_comes_back_may_be_another() {
    let bench = Bench::new(IoMode::WriteThrough);
    bench.disk.fail_next(DiskVerb::Read, ENXIO);
    assert_eq!(bench.check(&ten(0x28, 0, 0, 1)), fixed(2, 0x0400));
    bench.good(&ten(0x28, 0, 0, 1));
    bench.disk.fail_next(DiskVerb::Write, ENXIO);
    assert_eq!(check(&bench.run(&write_10(0, 1), &[7; 512])), fixed(2, 0x0400));
    assert_eq!(check(&bench.run(&write_10(0, 1), &[7; 512])), write_error());
}

/// NOT READY was the answer to a write whose first blocks were on the disk.
#[test]
fn write_in_the_middle_of_which_the_device_goes_is_no_refusal() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.shorten_next(DiskVerb::Write, 512);
    bench.disk.fail_next(DiskVerb::Write, ENXIO);
    assert_eq!(check(&bench.run(&write_10(0, 2), &[7; 1_024])), write_error());
    bench.disk.fail_next(DiskVerb::Write, ENXIO);
    assert_eq!(check(&bench.run(&write_10(0, 1), &[7; 512])), fixed(2, 0x0400), "nothing of this one is there");
}

/// Systems tell everybody who waits for the medium, not only the one whose blocks found no space.
#[test]
fn flush_that_hears_of_a_full_store_fails_once_where_nothing_else_was_lost() {
    let bench = Bench::new(IoMode::WriteThrough);
    good(&bench.run(&write_10(0, 1), &[7; 512]));
    bench.disk.fail_next(DiskVerb::Flush, ENOSPC);
    assert_eq!(bench.check(&SYNCHRONIZE), write_error());
    good(&bench.run(&write_10(0, 1), &[8; 512]));
    bench.good(&SYNCHRONIZE);
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.fail_next(DiskVerb::Flush, ENOSPC);
    assert_eq!(bench.check(&SYNCHRONIZE), write_error());
    assert_eq!(bench.check(&SYNCHRONIZE), write_error(), "volatile data found no space");
}

/// A system tells one of those that wait on one open file description, and not always the one whose blocks were lost.
#[test]
fn durable_writes_never_share_a_description_with_each_other_or_a_flush() {
    for (mode, flags) in [(IoMode::WriteThrough, 0), (IoMode::WriteBack, FUA)] {
        let bench = Bench::new(mode);
        bench.disk.hold(DiskVerb::Write);
        let cdbs: Vec<_> = (0..40).map(|lba| ten(0x2a, flags, lba, 1)).collect();
        let mut writes: Vec<_> = cdbs.iter().map(|cdb| bench.start(cdb, &[7; 512])).collect();
        for write in &mut writes {
            assert!(bench.runtime.turn(write.as_mut()).is_none());
        }
        bench.good(&SYNCHRONIZE);
        let handles = bench.disk.take_handles();
        assert_eq!(handles.len(), 1 + Limits::default().durable_writes as usize, "the others wait");
        assert_eq!(handles.iter().collect::<BTreeSet<_>>().len(), handles.len(), "{handles:?}");
        bench.disk.release();
        for write in writes {
            good(&bench.runtime.block_on(write));
        }
    }
}

/// What an earlier process had written back was lost with the power after a clean stop in write-through mode.
#[test]
fn clean_stop_flushes_what_takes_writes() {
    for (mode, operations) in
        [(IoMode::WriteBack, vec![Flush]), (IoMode::WriteThrough, vec![Flush]), (IoMode::ReadOnly, vec![])]
    {
        let bench = Bench::new(mode);
        bench.runtime.block_on(bench.unit().shut_down()).expect("the disk is sound");
        assert_eq!(bench.disk.take_operations(), operations);
    }
}

#[test]
fn clean_stop_reports_a_failed_flush() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.fail_next(DiskVerb::Flush, EIO);
    let error = bench.runtime.block_on(bench.unit().shut_down()).expect_err("the flush failed");
    assert!(error.to_string().contains("a flush failed"), "{error}");
    assert_eq!(bench.runtime.take_events(), [FAILED]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Write { lba: u32, forced: bool },
    Synchronize,
    WriteFails,
    FlushFails,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u32..8, any::<bool>()).prop_map(|(lba, forced)| Step::Write { lba, forced }),
        3 => Just(Step::Synchronize),
        1 => Just(Step::WriteFails),
        1 => Just(Step::FlushFails),
    ]
}

proptest! {
    /// What GOOD promises is on the medium, whatever fails in between, and after a failed flush nothing more is
    /// promised.
    #[test]
    fn good_means_durable_where_it_promises_to(
        write_back: bool,
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let bench = Bench::new(if write_back { IoMode::WriteBack } else { IoMode::WriteThrough });
        let (mut cached, mut durable, mut failed) = ([0; 8], [0; 8], false);
        for (number, step) in steps.into_iter().enumerate() {
            let stamp = number as u8 + 1;
            match step {
                Step::Write { lba, forced } => {
                    let outcome = bench.run(&ten(0x2a, if forced { FUA } else { 0 }, lba, 1), &[stamp; 512]);
                    if outcome.status == Status::GOOD {
                        prop_assert!(!failed);
                        cached[lba as usize] = stamp;
                        if forced || !write_back {
                            durable[lba as usize] = stamp;
                        }
                    }
                }
                Step::Synchronize => {
                    if bench.run(&SYNCHRONIZE, &[]).status == Status::GOOD {
                        prop_assert!(!failed);
                        durable = cached;
                    }
                }
                Step::WriteFails => bench.disk.fail_next(DiskVerb::Write, EIO),
                Step::FlushFails => bench.disk.fail_next(DiskVerb::Flush, EIO),
            }
            failed |= bench.runtime.take_events().contains(&FAILED);
            for (block, expected) in durable.iter().enumerate() {
                prop_assert_eq!(bench.disk.durable(block * 512..(block + 1) * 512), vec![*expected; 512]);
            }
        }
    }
}
