//! START STOP UNIT.

use super::*;
use crate::testing::{DiskOperation, DiskVerb};

const START: [u8; 6] = [0x1b, 0, 0, 0, 1, 0];
const STOP: [u8; 6] = [0x1b, 0, 0, 0, 0, 0];

#[test]
fn stopped_unit_answers_no_medium_access_until_it_is_started() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.good(&STOP);
    assert_eq!(bench.disk.take_operations(), [DiskOperation::Flush]);
    for cdb in [&TEST_UNIT_READY[..], &read_10(0, 1), &write_10(0, 1), &ten(0x2f, 0, 0, 1), &SYNCHRONIZE] {
        assert_eq!(bench.check(cdb), fixed(2, 0x0402));
    }
    assert_eq!(bench.good(&[0x03, 0, 0, 0, 252, 0]), fixed(2, 0x0402));
    assert_eq!(bench.good(&ten(0x25, 0, 0, 0)).len(), 8);
    assert_eq!(bench.disk.take_operations(), []);
    bench.good(&START);
    bench.good(&TEST_UNIT_READY);
    bench.good(&read_10(0, 1));
}

#[test]
fn stop_without_flush_leaves_the_cache_alone() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.good(&[0x1b, 0, 0, 0, 4, 0]);
    assert_eq!(bench.disk.take_operations(), []);
    assert_eq!(bench.check(&TEST_UNIT_READY), fixed(2, 0x0402));
}

#[test]
fn stop_whose_flush_fails_does_not_stop() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.fail_next(DiskVerb::Flush, 5);
    assert_eq!(bench.check(&STOP), fixed(3, 0x0c00));
    bench.good(&TEST_UNIT_READY);
}

#[test]
fn immediate_stop_flushes_after_its_answer() {
    let bench = Bench::new(IoMode::WriteBack);
    bench.disk.hold(DiskVerb::Flush);
    bench.good(&[0x1b, 1, 0, 0, 0, 0]);
    assert_eq!(bench.check(&TEST_UNIT_READY), fixed(2, 0x0402));
    assert_eq!(bench.disk.take_operations(), [DiskOperation::Flush]);
    bench.disk.release();
}

#[test]
fn ejecting_and_power_conditions_are_refused() {
    let bench = Bench::new(IoMode::WriteBack);
    assert_eq!(bench.check(&[0x1b, 0, 0, 0, 2, 0]), illegal(0x2400, [0xc9, 0, 4]));
    assert_eq!(bench.check(&[0x1b, 0, 0, 0, 3, 0]), illegal(0x2400, [0xc9, 0, 4]));
    assert_eq!(bench.check(&[0x1b, 0, 0, 0, 0x30, 0]), illegal(0x2400, [0xcf, 0, 4]));
    bench.good(&TEST_UNIT_READY);
}
