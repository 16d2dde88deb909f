//! REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.

use super::*;
use crate::scsi::command_table::commands;

/// REPORT SUPPORTED OPERATION CODES for `operation_code` and `service_action`.
fn codes(options: u8, operation_code: u8, service_action: u8, allocation_length: u16) -> [u8; 12] {
    let [high, low] = allocation_length.to_be_bytes();
    [0xa3, 0x0c, options, operation_code, 0, service_action, 0, 0, high, low, 0, 0]
}

fn functions(repd: bool, allocation_length: u8) -> [u8; 12] {
    [0xa3, 0x0d, if repd { 0x80 } else { 0 }, 0, 0, 0, 0, 0, 0, allocation_length, 0, 0]
}

const RCTD: u8 = 0x80;
const NO_TIMEOUTS: [u8; 12] = [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const NOT_SUPPORTED: [u8; 4] = [0, 0b001, 0, 0];

#[test]
fn all_commands_are_listed_once() {
    let bench = Bench::new(IoMode::WriteThrough);
    let list = bench.good(&codes(0, 0xff, 0xff, 4_096));
    let count = commands().count();
    assert_eq!(list[..4], (8 * count as u32).to_be_bytes());
    assert_eq!(list.len(), 4 + 8 * count);
    let descriptors: Vec<&[u8]> = list[4..].chunks(8).collect();
    for expected in [
        [0x00, 0, 0, 0, 0, 0, 0, 6],
        [0x28, 0, 0, 0, 0, 0, 0, 10],
        [0x9e, 0, 0, 0x10, 0, 1, 0, 16],
        [0xa3, 0, 0, 0x0c, 0, 1, 0, 12],
        [0xa3, 0, 0, 0x0d, 0, 1, 0, 12],
        [0xaf, 0, 0, 0, 0, 0, 0, 12],
    ] {
        assert_eq!(descriptors.iter().filter(|descriptor| **descriptor == expected).count(), 1, "{expected:02x?}");
    }
}

#[test]
fn all_commands_come_with_timeouts_when_asked_for() {
    let bench = Bench::new(IoMode::WriteThrough);
    let list = bench.good(&codes(RCTD, 0, 0, 4_096));
    let count = commands().count();
    assert_eq!(list[..4], (20 * count as u32).to_be_bytes());
    assert_eq!(list[4..12], [0x00, 0, 0, 0, 0, 2, 0, 6]);
    assert!(list[4..].chunks(20).all(|descriptor| descriptor[5] & 2 != 0 && descriptor[8..] == NO_TIMEOUTS));
    assert_eq!(list.len(), 4 + 20 * count);
}

#[test]
fn answer_ends_at_the_allocation_length_and_its_length_field_does_not() {
    let bench = Bench::new(IoMode::WriteThrough);
    let list = bench.good(&codes(0, 0, 0, 4_096));
    for length in [0, 1, 4, 7, 20] {
        assert_eq!(bench.good(&codes(0, 0, 0, length)), list[..length.into()]);
    }
    assert_eq!(bench.good(&codes(1, 0x28, 0, 6)), [0, 0b011, 0, 10, 0x28, 0xf8]);
}

#[test]
fn one_command_comes_with_its_usage_map() {
    let bench = Bench::new(IoMode::WriteThrough);
    let read = [0, 0b011, 0, 10, 0x28, 0xf8, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0x04];
    let own = [0, 0b011, 0, 12, 0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0x04];
    assert_eq!(bench.good(&codes(0b001, 0x28, 0x55, 512)), read, "option 001b ignores the service action");
    assert_eq!(bench.good(&codes(0b010, 0xa3, 0x0c, 512)), own);
    assert_eq!(bench.good(&codes(0b011, 0x28, 0, 512)), read);
    assert_eq!(bench.good(&codes(0b011, 0xa3, 0x0c, 512)), own);
    let with_timeouts = [&[0, 0x83], &own[2..], NO_TIMEOUTS.as_slice()].concat();
    assert_eq!(bench.good(&codes(RCTD | 0b010, 0xa3, 0x0c, 512)), with_timeouts);
}

#[test]
fn writes_are_supported_by_a_read_only_unit_too() {
    let [plain, read_only] =
        [IoMode::WriteThrough, IoMode::ReadOnly].map(|mode| Bench::new(mode).good(&codes(0, 0, 0, 4_096)));
    assert_eq!(plain, read_only);
}

#[test]
fn command_that_is_not_there_is_said_to_be_not_supported() {
    let bench = Bench::new(IoMode::WriteThrough);
    for (options, operation_code, service_action) in [
        (0b001, 0xc0, 0),
        (0b010, 0x7f, 1),
        (0b010, 0xa3, 0x0a),
        (0b011, 0xc0, 0),
        (0b011, 0x9e, 0x12),
        (0b011, 0x28, 1),
    ] {
        for rctd in [0, RCTD] {
            let cdb = codes(options | rctd, operation_code, service_action, 512);
            assert_eq!(bench.good(&cdb), NOT_SUPPORTED, "{cdb:02x?}");
        }
    }
}

#[test]
fn option_that_does_not_fit_the_operation_code_is_refused() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(bench.check(&codes(0b001, 0xa3, 0, 512)), illegal(0x2400, [0xc0, 0, 3]));
    assert_eq!(bench.check(&codes(0b001, 0x9e, 0x10, 512)), illegal(0x2400, [0xc0, 0, 3]));
    assert_eq!(bench.check(&codes(0b010, 0x28, 0, 512)), illegal(0x2400, [0xc0, 0, 3]));
    for reserved in 0b100..=0b111 {
        assert_eq!(bench.check(&codes(reserved, 0x28, 0, 512)), illegal(0x2400, [0xca, 0, 2]));
    }
}

#[test]
fn other_maintenance_in_is_refused() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(bench.check(&[0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]), illegal(0x2400, [0xcc, 0, 1]));
}

#[test]
fn task_management_functions_are_those_of_a_logical_unit() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(bench.good(&functions(false, 255)), [0xd8, 0, 0, 0]);
    // 5 s for the commands before it, and twice 10 s for all shards, in units of 100 ms.
    let extended = [0xd8, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 250, 0, 0, 0, 0];
    assert_eq!(bench.good(&functions(true, 255)), extended);
    assert_eq!(bench.good(&functions(true, 4)), extended[..4]);
    for length in 0..4 {
        assert_eq!(bench.check(&functions(false, length)), illegal(0x2400, [0xc0, 0, 6]));
    }
}
