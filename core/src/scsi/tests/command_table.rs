//! The table of commands is what the device server does.

use super::*;
use crate::scsi::cdb::Cdb;
use crate::scsi::command_table::{Command, commands};

/// INVALID COMMAND OPERATION CODE, or a service action of the operation code that is none.
fn is_absent(outcome: &Outcome<TestBuf>) -> bool {
    outcome.sense == illegal(0x2000, [0xc0, 0, 0]) || outcome.sense == illegal(0x2400, [0xcc, 0, 1])
}

#[test]
fn a_command_is_in_the_table_exactly_when_it_is_carried_out() {
    for mode in [IoMode::WriteThrough, IoMode::WriteBack, IoMode::ReadOnly] {
        let bench = Bench::new(mode);
        for operation_code in 0..=255 {
            let of_code: Vec<Command> =
                commands().filter(|command| command.operation_code() == operation_code).collect();
            for service_action in 0..32 {
                let listed = of_code.iter().any(|command| {
                    !command.has_service_action || command.service_action() == u16::from(service_action)
                });
                let outcome = bench.run(&[operation_code, service_action], &[]);
                assert_eq!(!is_absent(&outcome), listed, "{operation_code:#04x}/{service_action:#04x} with {mode:?}");
            }
        }
    }
}

#[test]
fn table_is_in_order_and_has_the_length_of_each_cdb() {
    let keys: Vec<(u8, u16)> = commands().map(|command| (command.operation_code(), command.service_action())).collect();
    assert!(keys.is_sorted_by(|one, next| one < next), "{keys:x?}");
    for command in commands() {
        let mut cdb = [0; 16];
        cdb[0] = command.operation_code();
        cdb[1] = command.service_action() as u8;
        cdb[command.usage.len() - 1] = 0x04;
        let refused = Cdb(cdb).check_control().expect_err("NACA is in the last byte");
        assert_eq!(refused.field.map(|field| usize::from(field.byte)), Some(command.usage.len() - 1));
    }
}

/// A CDB of `command` that succeeds, and its data: with a short answer and close to the end of the medium, so that other
/// lengths and addresses tell.
fn that_succeeds(command: Command) -> ([u8; 16], Vec<u8>) {
    let mut cdb = [0; 16];
    cdb[0] = command.operation_code();
    cdb[1] = command.service_action() as u8;
    match command.operation_code() {
        0x08 | 0x0a => cdb[4] = 3,
        0x03 | 0x12 => cdb[4] = 4,
        0x1a => (cdb[2], cdb[4]) = (0x3f, 4),
        0x5a => (cdb[2], cdb[8]) = (0x3f, 4),
        0x25 => (cdb[5], cdb[8]) = (1, 1),
        0x28 | 0x2a | 0x2f | 0x35 => (cdb[4], cdb[5], cdb[8]) = (0x03, 0xfc, 3),
        0x88 | 0x8a | 0x8f | 0x91 => (cdb[8], cdb[9], cdb[13]) = (0x03, 0xfc, 3),
        0x9e => cdb[13] = 4,
        0xa0 => cdb[9] = 4,
        // Option 011b about itself, and with REPD.
        0xa3 if cdb[1] == 0x0c => cdb[2..10].copy_from_slice(&[3, 0xa3, 0, 0x0c, 0, 0, 0, 4]),
        0xa3 => (cdb[2], cdb[9]) = (0x80, 4),
        0xa8 | 0xaa | 0xaf => (cdb[4], cdb[5], cdb[9]) = (0x03, 0xfc, 3),
        _ => {}
    }
    let writes = matches!(command.operation_code(), 0x0a | 0x2a | 0x8a | 0xaa);
    (cdb, if writes { vec![7; 3 * 512] } else { Vec::new() })
}

#[test]
fn a_bit_outside_the_usage_map_is_ignored_or_refused_as_reserved() {
    // CMDDT of INQUIRY is obsolete, and an answer that ignores it would be another one than was asked for.
    let refused = [(0x12, 1, 1)];
    for command in commands() {
        let (cdb, data) = that_succeeds(command);
        let answer = |cdb: &[u8; 16]| {
            let bench = Bench::new(IoMode::WriteBack);
            let outcome = bench.run(cdb, &data);
            (
                outcome.status,
                outcome.sense.clone(),
                if outcome.status == Status::GOOD { good(&outcome) } else { vec![] },
            )
        };
        let plain = answer(&cdb);
        assert_eq!(plain.0, Status::GOOD, "{cdb:02x?}");
        for (at, usage) in command.usage.iter().enumerate().skip(1) {
            for bit in (0..8).filter(|bit| usage & (1 << bit) == 0) {
                if at == 1 && command.has_service_action && bit < 5 {
                    continue; // A bit of the service action.
                }
                let mut odd = cdb;
                odd[at] |= 1 << bit;
                if refused.contains(&(command.operation_code(), at, bit)) {
                    assert_eq!(answer(&odd).1, illegal(0x2400, [0xc8 | bit, 0, at as u8]));
                } else {
                    assert_eq!(answer(&odd), plain, "{odd:02x?}: bit {bit} of byte {at} of {cdb:02x?}");
                }
            }
        }
    }
}

#[test]
fn each_byte_of_the_usage_map_with_ones_is_looked_at() {
    // Any address will do for READ CAPACITY (10) with PMI; and with IMMED the flush comes after the answer, of which
    // `durability` tells.
    let indifferent = |operation_code: u8, at: usize| match operation_code {
        0x25 => (2..6).contains(&at),
        0x1b | 0x35 | 0x91 => at == 1,
        _ => false,
    };
    for command in commands() {
        let (cdb, data) = that_succeeds(command);
        let answer = |cdb: &[u8; 16]| {
            let bench = Bench::new(IoMode::WriteBack);
            let outcome = bench.run(cdb, &data);
            let returned = if outcome.status == Status::GOOD { good(&outcome) } else { Vec::new() };
            let stopped = bench.shared.conditions().stopped();
            (outcome.status, outcome.sense, returned, bench.disk.take_operations(), stopped)
        };
        let plain = answer(&cdb);
        for (at, usage) in command.usage.iter().enumerate().skip(1).filter(|(_, usage)| **usage != 0) {
            if indifferent(command.operation_code(), at) {
                continue;
            }
            let differs = (0..8).any(|bit| {
                let mut other = cdb;
                other[at] ^= usage & (1 << bit);
                answer(&other) != plain
            });
            assert!(differs, "no bit of byte {at} of {cdb:02x?} makes a difference");
        }
    }
}
