//! VERIFY.

use super::*;
use crate::testing::{DiskOperation, DiskVerb};

const BLOCKS_CHECK: u8 = 0b01 << 1;
const ONE_BLOCK_CHECK: u8 = 0b11 << 1;

fn pattern(blocks: usize) -> Vec<u8> {
    (0..blocks * 512).map(|at| (at / 3) as u8).collect()
}

fn bench() -> Bench {
    let bench = Bench::new(IoMode::WriteThrough);
    good(&bench.run(&write_10(4, 3), &pattern(3)));
    bench.disk.take_operations();
    bench
}

#[test]
fn medium_is_read_even_when_nothing_is_compared() {
    let bench = bench();
    for cdb in [ten(0x2f, 0x10, 4, 3).to_vec(), sixteen(0x8f, 0, 4, 3).to_vec(), vec![0xaf, 0, 0, 0, 0, 4, 0, 0, 0, 3]]
    {
        bench.good(&cdb);
        assert_eq!(bench.disk.take_operations(), [DiskOperation::Read(4 * 512, 3 * 512)]);
    }
    bench.disk.fail_next(DiskVerb::Read, 5);
    assert_eq!(bench.check(&ten(0x2f, 0, 4, 3)), informed(3, 0x1100, 4));
}

#[test]
fn equal_blocks_verify_and_the_first_difference_is_reported() {
    let bench = bench();
    let mut data = pattern(3);
    good(&bench.run(&ten(0x2f, BLOCKS_CHECK, 4, 3), &data));
    data[700] ^= 1;
    data[900] ^= 1;
    for cdb in [ten(0x2f, BLOCKS_CHECK, 4, 3).to_vec(), sixteen(0x8f, BLOCKS_CHECK, 4, 3).to_vec()] {
        assert_eq!(check(&bench.run(&cdb, &data)), informed(0xe, 0x1d00, 700));
    }
}

#[test]
fn one_block_is_compared_with_each() {
    let bench = Bench::new(IoMode::WriteThrough);
    let mut stored = [7; 3 * 512];
    good(&bench.run(&write_10(4, 3), &stored));
    good(&bench.run(&ten(0x2f, ONE_BLOCK_CHECK, 4, 3), &[7; 512]));
    stored[1_030] = 8;
    good(&bench.run(&write_10(4, 3), &stored));
    assert_eq!(check(&bench.run(&ten(0x2f, ONE_BLOCK_CHECK, 4, 3), &[7; 512])), informed(0xe, 0x1d00, 1_030));
}

#[test]
fn reserved_byte_check_is_refused() {
    assert_eq!(bench().check(&ten(0x2f, 0b10 << 1, 4, 3)), illegal(0x2400, [0xca, 0, 1]));
}

#[test]
fn verify_with_too_little_data_is_refused() {
    let bench = bench();
    assert_eq!(check(&bench.run(&ten(0x2f, BLOCKS_CHECK, 4, 3), &pattern(2))), fixed(5, 0x0e03));
    assert_eq!(check(&bench.run(&ten(0x2f, ONE_BLOCK_CHECK, 4, 3), &[7; 100])), fixed(5, 0x0e03));
}
