//! LUNs that are not mapped, the well-known logical unit, and REPORT LUNS.

use super::*;
use crate::scsi::spc::REPORT_LUNS_WELL_KNOWN;

const UNMAPPED: [Lun; 3] = [Lun(0x0005_0000_0000_0000), Lun(0x0000_0001_0000_0000), Lun(0x8000_0000_0000_0000)];

fn report_luns(select: u8, allocation_length: u8) -> [u8; 12] {
    [0xa0, 0, select, 0, 0, 0, 0, 0, 0, allocation_length, 0, 0]
}

#[test]
fn unmapped_lun_answers_what_spc_wants_and_nothing_else() {
    let bench = Bench::new(IoMode::WriteThrough);
    for lun in UNMAPPED {
        let inquiry = good(&bench.run_on(lun, &[0x12, 0, 0, 0, 96, 0], &[]));
        assert_eq!((inquiry[0], inquiry.len()), (0x7f, 96));
        assert_eq!(good(&bench.run_on(lun, &[0x12, 1, 0, 0, 96, 0], &[])), [0x7f, 0, 0, 1, 0]);
        assert_eq!(check(&bench.run_on(lun, &[0x12, 1, 0x83, 0, 96, 0], &[])), illegal(0x2400, [0xc0, 0, 2]));
        assert_eq!(good(&bench.run_on(lun, &[0x03, 0, 0, 0, 252, 0], &[])), fixed(5, 0x2500));
        assert_eq!(good(&bench.run_on(lun, &report_luns(0, 255), &[])).len(), 16);
        for cdb in [&TEST_UNIT_READY[..], &read_10(0, 1), &write_10(0, 1), &[0xff]] {
            assert_eq!(check(&bench.run_on(lun, cdb, &[])), fixed(5, 0x2500));
        }
    }
    assert_eq!(bench.disk.take_operations(), []);
}

#[test]
fn well_known_unit_is_there_for_its_own_commands() {
    let bench = Bench::new(IoMode::WriteThrough);
    let run = |cdb: &[u8]| bench.run_on(REPORT_LUNS_WELL_KNOWN, cdb, &[]);
    assert_eq!(good(&run(&[0x12, 0, 0, 0, 96, 0]))[0], 0x1e);
    assert_eq!(good(&run(&[0x12, 1, 0, 0, 96, 0])), [0x1e, 0, 0, 2, 0x00, 0x83]);
    assert_eq!(good(&run(&TEST_UNIT_READY)), []);
    assert_eq!(good(&run(&[0x03, 0, 0, 0, 252, 0])), fixed(0, 0));
    assert_eq!(good(&run(&report_luns(0, 255))).len(), 16);
    assert_eq!(check(&run(&read_10(0, 1))), illegal(0x2000, [0xc0, 0, 0]));
}

#[test]
fn report_luns_lists_what_it_is_asked_for() {
    let mut bench = Bench::new(IoMode::WriteThrough);
    let unit = bench.unit().clone();
    bench.device.luns.insert(3, unit.clone());
    bench.device.luns.insert(300, unit);
    let luns = [[0, 0, 0, 0, 0, 0, 0, 0], [0, 3, 0, 0, 0, 0, 0, 0], [0x41, 0x2c, 0, 0, 0, 0, 0, 0]].concat();
    let well_known = [0xc1, 0x01, 0, 0, 0, 0, 0, 0];
    let list = |length: u8, luns: &[u8]| [&[0, 0, 0, length, 0, 0, 0, 0], luns].concat();
    assert_eq!(bench.good(&report_luns(0, 255)), list(24, &luns));
    assert_eq!(bench.good(&report_luns(1, 255)), list(8, &well_known));
    assert_eq!(bench.good(&report_luns(2, 255)), list(32, &[luns.as_slice(), &well_known].concat()));
    assert_eq!(bench.good(&report_luns(0, 16)), list(24, &luns)[..16], "the list length is that of the whole list");
    assert_eq!(bench.check(&report_luns(3, 255)), illegal(0x2400, [0xc0, 0, 2]));
}
