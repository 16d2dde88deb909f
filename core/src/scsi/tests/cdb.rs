//! What can be said of a CDB without a logical unit, and what is wrong with it.

use super::*;
use crate::scsi::{DataPhase, Footprint, data_phase, footprint};
use proptest::prelude::*;

fn phase(cdb: &[u8]) -> DataPhase {
    let mut bytes = [0; 16];
    bytes[..cdb.len()].copy_from_slice(cdb);
    data_phase(&bytes, 512)
}

#[test]
fn data_phase_follows_the_cdb() {
    assert_eq!(phase(&TEST_UNIT_READY), DataPhase::None);
    assert_eq!(phase(&[0x03, 0, 0, 0, 252, 0]), DataPhase::In(252));
    assert_eq!(phase(&[0x12, 0, 0, 0x12, 0x34, 0]), DataPhase::In(0x1234));
    assert_eq!(phase(&[0x1a, 0, 0, 0, 200, 0]), DataPhase::In(200));
    assert_eq!(phase(&ten(0x5a, 0, 0, 0x0203)), DataPhase::In(0x0203));
    assert_eq!(phase(&ten(0x25, 0, 0, 0)), DataPhase::In(8));
    assert_eq!(phase(&[0xa0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]), DataPhase::In(65_536));
    assert_eq!(phase(&sixteen(0x9e, 0x10, 0, 32)), DataPhase::In(32));
    assert_eq!(phase(&sixteen(0x9e, 0x12, 0, 32)), DataPhase::None);
    assert_eq!(phase(&[0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]), DataPhase::In(512));
    assert_eq!(phase(&[0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0]), DataPhase::In(16));
    assert_eq!(phase(&[0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]), DataPhase::None);
    assert_eq!(phase(&[0x08, 0, 0, 0, 0, 0]), DataPhase::In(256 * 512));
    assert_eq!(phase(&read_10(0, 0)), DataPhase::In(0));
    assert_eq!(phase(&write_10(0, 3)), DataPhase::Out(3 * 512));
    assert_eq!(phase(&sixteen(0x8a, 0, 0, u32::MAX)), DataPhase::Out(u64::from(u32::MAX) * 512));
    assert_eq!(phase(&SYNCHRONIZE), DataPhase::None);
    assert_eq!(phase(&[0x1b, 0, 0, 0, 1, 0]), DataPhase::None);
    assert_eq!(phase(&[0xc0]), DataPhase::None);
}

#[test]
fn data_phase_of_verify_follows_bytchk() {
    assert_eq!(phase(&ten(0x2f, 0, 0, 4)), DataPhase::None);
    assert_eq!(phase(&ten(0x2f, 2, 0, 4)), DataPhase::Out(4 * 512));
    assert_eq!(phase(&ten(0x2f, 4, 0, 4)), DataPhase::None);
    assert_eq!(phase(&ten(0x2f, 6, 0, 4)), DataPhase::Out(512));
    assert_eq!(phase(&ten(0x2f, 6, 0, 0)), DataPhase::Out(0));
}

#[test]
fn footprint_covers_the_blocks() {
    let blocks = |write| Some(Footprint { offset_bytes: 5 * 4_096, length_bytes: 2 * 4_096, write });
    assert_eq!(footprint(&sixteen(0x88, 0, 5, 2), 4_096), blocks(false));
    assert_eq!(footprint(&sixteen(0x8a, 0, 5, 2), 4_096), blocks(true));
    assert_eq!(footprint(&sixteen(0x8f, 0, 5, 2), 4_096), blocks(false));
    assert_eq!(footprint(&sixteen(0x91, 0, 5, 2), 4_096), None);
    assert_eq!(footprint(&sixteen(0x8a, 0, 5, 0), 4_096), None);
    assert_eq!(footprint(&[0; 16], 4_096), None);
}

#[test]
fn unknown_operation_codes_are_refused() {
    let bench = Bench::new(IoMode::WriteThrough);
    for operation in [0x01, 0x04, 0x15, 0x16, 0x41, 0x42, 0x5e, 0x7f, 0x83, 0x89, 0x93, 0xa4, 0xc0, 0xff] {
        assert_eq!(bench.check(&[operation, 0]), illegal(0x2000, [0xc0, 0, 0]), "operation code {operation:#04x}");
    }
    assert_eq!(bench.check(&sixteen(0x9e, 0x12, 0, 32)), illegal(0x2400, [0xcc, 0, 1]));
}

#[test]
fn naca_is_refused_by_every_command() {
    let bench = Bench::new(IoMode::WriteThrough);
    let operations: [(&[u8], usize); 4] = [
        (&[0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b], 6),
        (&[0x25, 0x28, 0x2a, 0x2f, 0x35, 0x5a], 10),
        (&[0xa0, 0xa3, 0xa8, 0xaa, 0xaf], 12),
        (&[0x88, 0x8a, 0x8f, 0x91, 0x9e], 16),
    ];
    for (codes, length) in operations {
        for operation in codes {
            let mut cdb = [0; 16];
            cdb[0] = *operation;
            cdb[1] = match operation {
                0x9e => 0x10,
                0xa3 => 0x0c,
                _ => 0,
            };
            cdb[length - 1] = 0x04;
            let pointer = [0xca, 0, length as u8 - 1];
            assert_eq!(bench.check(&cdb), illegal(0x2400, pointer), "operation code {operation:#04x}");
        }
    }
}

proptest! {
    /// Whatever the sixteen bytes are, the answer keeps the promises of [`Outcome`], and the data phase bounds it.
    #[test]
    fn any_cdb_is_answered_within_its_data_phase(cdb: [u8; 16], known in 0_usize..25, lun in 0_u64..3, data in 0_usize..3_000) {
        const KNOWN: [u8; 24] = [
            0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x5a, 0x88, 0x8a, 0x8f, 0x91, 0x9e,
            0xa0, 0xa3, 0xa8, 0xaa, 0xaf, 0xc0,
        ];
        let mut cdb = cdb;
        if let Some(operation) = KNOWN.get(known) {
            cdb[0] = *operation;
        }
        let bench = Bench::new(IoMode::WriteBack);
        let outcome = bench.run_on(Lun(lun << 48), &cdb, &vec![1; data]);
        prop_assert_eq!(outcome.sense.is_empty(), outcome.status != Status::CHECK_CONDITION);
        let returned = match &outcome.data_in {
            DataIn::None => 0,
            DataIn::Bytes(bytes) => bytes.len(),
            DataIn::Buffer(buf) => buf.as_ref().len(),
        };
        let promised = if let DataPhase::In(bytes) = data_phase(&cdb, 512) { bytes } else { 0 };
        prop_assert!(returned as u64 <= promised);
    }

    /// The first block and the number of blocks are read from where each form has them.
    #[test]
    fn footprint_is_the_same_in_every_form(lba in 0_u32..1 << 21, blocks in 1_u8..) {
        let [_, a, b, c] = lba.to_be_bytes();
        let mut six = [0; 16];
        six[..5].copy_from_slice(&[0x0a, a, b, c, blocks]);
        let mut ten_bytes = [0; 16];
        ten_bytes[..10].copy_from_slice(&write_10(lba, blocks.into()));
        let mut twelve = [0; 16];
        twelve[..10].copy_from_slice(&[0xaa, 0, 0, a, b, c, 0, 0, 0, blocks]);
        let expected = footprint(&sixteen(0x8a, 0, lba.into(), blocks.into()), 512);
        prop_assert!(expected.is_some());
        for cdb in [six, ten_bytes, twelve] {
            prop_assert_eq!(footprint(&cdb, 512), expected);
        }
    }
}
