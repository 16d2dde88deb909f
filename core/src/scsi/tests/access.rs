//! READ and WRITE.

use super::*;
use crate::event::Event;
use crate::testing::{DiskOperation, DiskVerb};

/// All forms of READ and WRITE of blocks 5 to 7.
const FORMS: [(&[u8], &[u8]); 4] = [
    (&[0x08, 0, 0, 5, 3, 0], &[0x0a, 0, 0, 5, 3, 0]),
    (&[0x28, 0, 0, 0, 0, 5, 0, 0, 3, 0], &[0x2a, 0, 0, 0, 0, 5, 0, 0, 3, 0]),
    (&[0xa8, 0, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0], &[0xaa, 0, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0]),
    (&[0x88, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0], &[0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0]),
];

#[test]
fn every_form_of_write_is_read_back_by_every_form_of_read() {
    for block_bytes in [512_u32, 4_096] {
        let bench = Bench::with(BackendKind::Blockio, IoMode::WriteThrough, block_bytes);
        for (number, (_, write)) in FORMS.iter().enumerate() {
            let data: Vec<u8> = (0..3 * block_bytes).map(|at| (at / 7) as u8 ^ (number as u8) << 4).collect();
            assert_eq!(good(&bench.run(write, &data)), []);
            for (read, _) in FORMS {
                assert_eq!(bench.good(read), data);
            }
            let (offset_bytes, length_bytes) = (5 * block_bytes as usize, 3 * block_bytes as usize);
            assert_eq!(bench.disk.durable(offset_bytes..offset_bytes + length_bytes), data);
        }
        assert_eq!(bench.runtime.pool_free_bytes(), POOL_BYTES, "every buffer went back to the pool");
    }
}

#[test]
fn six_byte_length_of_zero_means_256_blocks() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(bench.good(&[0x08, 0, 0, 0, 0, 0]).len(), 256 * 512);
    assert_eq!(bench.disk.take_operations(), [DiskOperation::Read(0, 256 * 512)]);
}

#[test]
fn six_byte_address_has_21_bits() {
    let bench = Bench::new(IoMode::WriteThrough);
    bench.good(&[0x08, 0xe0, 0, 5, 1, 0]);
    assert_eq!(bench.disk.take_operations(), [DiskOperation::Read(5 * 512, 512)]);
    assert_eq!(bench.check(&[0x08, 0x1f, 0xff, 0xff, 1, 0]), fixed(5, 0x2100));
}

#[test]
fn transfer_of_no_blocks_is_good_up_to_the_end_and_touches_nothing() {
    let bench = Bench::new(IoMode::WriteThrough);
    for operation in [0x28, 0x2a, 0x2f] {
        assert_eq!(bench.good(&ten(operation, 0, 0, 0)), []);
        assert_eq!(bench.good(&ten(operation, 0, BLOCKS as u32, 0)), []);
        assert_eq!(bench.check(&ten(operation, 0, BLOCKS as u32 + 1, 0)), fixed(5, 0x2100));
        assert_eq!(bench.check(&ten(operation, 0, u32::MAX, 0)), fixed(5, 0x2100));
    }
    assert_eq!(bench.disk.take_operations(), []);
}

#[test]
fn range_past_the_end_is_refused_whole() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(bench.good(&read_10(1_023, 1)).len(), 512);
    bench.disk.take_operations();
    assert_eq!(bench.check(&read_10(1_023, 2)), fixed(5, 0x2100));
    assert_eq!(bench.check(&read_10(1_024, 1)), fixed(5, 0x2100));
    assert_eq!(check(&bench.run(&write_10(1_023, 2), &[1; 1_024])), fixed(5, 0x2100));
    assert_eq!(bench.disk.take_operations(), []);
}

#[test]
fn address_that_would_wrap_is_out_of_range() {
    let bench = Bench::new(IoMode::WriteThrough);
    for lba in [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 55, 1 << 32] {
        assert_eq!(bench.check(&sixteen(0x88, 0, lba, 2)), fixed(5, 0x2100), "READ(16) at {lba:#x}");
    }
}

#[test]
fn transfer_longer_than_advertised_points_at_its_length() {
    let bench = Bench::on(BackendKind::Fileio, IoMode::WriteThrough, 512, MemoryDisk::new(2 << 20, 512));
    assert_eq!(bench.good(&read_10(0, 1_024)).len(), 512 * 1_024);
    assert_eq!(bench.check(&read_10(0, 1_025)), illegal(0x2400, [0xc0, 0, 7]));
    assert_eq!(bench.check(&sixteen(0x88, 0, 0, 1_025)), illegal(0x2400, [0xc0, 0, 10]));
    assert_eq!(bench.check(&[0xa8, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0]), illegal(0x2400, [0xc0, 0, 6]));
}

#[test]
fn protection_information_is_refused_with_its_field() {
    let bench = Bench::new(IoMode::WriteThrough);
    for operation in [0x28, 0x2a, 0x2f, 0xa8, 0xaa, 0xaf, 0x88, 0x8a, 0x8f] {
        for protect in 1..8 {
            assert_eq!(bench.check(&[operation, protect << 5]), illegal(0x2400, [0xcf, 0, 1]));
        }
    }
}

#[test]
fn write_with_fewer_blocks_than_asked_for_writes_those_that_came() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(good(&bench.run(&write_10(0, 2), &[b'b'; 512])), []);
    assert_eq!(bench.good(&read_10(0, 2)), [[b'b'; 512], [0; 512]].concat());
    assert_eq!(good(&bench.run(&write_10(0, 1), &[])), []);
    assert_eq!(bench.good(&read_10(0, 1)), [b'b'; 512]);
}

#[test]
fn write_with_part_of_a_block_writes_nothing() {
    let bench = Bench::new(IoMode::WriteThrough);
    for length_bytes in [1, 200, 511, 513, 700] {
        assert_eq!(check(&bench.run(&write_10(0, 2), &vec![b'b'; length_bytes])), fixed(5, 0x0e03));
    }
    assert_eq!(bench.disk.take_operations(), []);
}

#[test]
fn write_to_a_read_only_unit_is_refused() {
    let bench = Bench::new(IoMode::ReadOnly);
    assert_eq!(check(&bench.run(&write_10(0, 1), &[1; 512])), fixed(7, 0x2700));
    assert_eq!(bench.good(&write_10(0, 0)), []);
    assert_eq!(bench.good(&read_10(0, 1)), [0; 512]);
    assert_eq!(bench.good(&SYNCHRONIZE), []);
    assert_eq!(bench.disk.take_operations(), [DiskOperation::Read(0, 512)]);
}

#[test]
fn nullio_reads_zeros_whatever_was_written_and_whatever_the_buffer_held() {
    let bench = Bench::with(BackendKind::Nullio { size_bytes: 1 << 20 }, IoMode::WriteThrough, 512);
    good(&bench.run(&write_10(3, 1), &[0x5a; 512]));
    assert_eq!(bench.good(&read_10(3, 2)), [0; 1_024]);
}

#[test]
fn read_error_names_the_block_and_spares_the_others() {
    let bench = Bench::new(IoMode::WriteThrough);
    bench.disk.fail_next(DiskVerb::Read, 5);
    assert_eq!(bench.check(&read_10(77, 2)), informed(3, 0x1100, 77));
    let lun = Lun(0);
    assert_eq!(
        bench.runtime.take_events(),
        [Event::MediumFailed { lun, offset_bytes: 77 * 512, length_bytes: 1_024, write: false }]
    );
    assert_eq!(bench.good(&read_10(77, 2)), [0; 1_024]);
}

#[test]
fn device_errors_have_their_own_sense() {
    for (errno, expected) in [
        (5, fixed(3, 0x0c00)),
        (28, fixed(7, 0x2707)),
        (30, fixed(7, 0x2700)),
        (6, fixed(2, 0x0400)),
        (19, fixed(2, 0x0400)),
    ] {
        let bench = Bench::new(IoMode::WriteBack);
        bench.disk.fail_next(DiskVerb::Write, errno);
        assert_eq!(check(&bench.run(&write_10(0, 1), &[1; 512])), expected, "errno {errno}");
    }
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.fail_next(DiskVerb::Read, 6);
    assert_eq!(bench.check(&read_10(0, 1)), fixed(2, 0x0400));
}

#[test]
fn empty_pool_is_answered_busy() {
    let bench = Bench::new(IoMode::WriteThrough);
    let taken = bench.runtime.alloc(POOL_BYTES);
    let outcome = bench.run(&read_10(0, 1), &[]);
    assert_eq!((outcome.status, outcome.sense), (Status::BUSY, vec![]));
    assert_eq!(bench.runtime.take_events(), [Event::LimitMet { limit: "pool_bytes" }]);
    drop(taken);
    assert_eq!(bench.good(&read_10(0, 1)).len(), 512);
}

#[test]
fn dropped_read_gives_its_buffer_back() {
    let bench = Bench::new(IoMode::WriteThrough);
    bench.disk.hold(DiskVerb::Read);
    let mut read = bench.start(&read_10(0, 1), &[]);
    assert!(bench.runtime.turn(read.as_mut()).is_none());
    assert_eq!(bench.runtime.pool_free_bytes(), POOL_BYTES - 512);
    drop(read);
    assert_eq!(bench.runtime.pool_free_bytes(), POOL_BYTES);
}
