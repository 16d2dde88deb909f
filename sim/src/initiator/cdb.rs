//! Command descriptor blocks (SPC-4, SBC-3).

use super::plan::{CdbSize, Direction};

/// READ or WRITE in the form that `size` names. Numbers that do not fit the form are cut: the generator keeps to its
/// limits.
pub(super) fn transfer(direction: Direction, size: CdbSize, lba: u64, blocks: u32, fua: bool, dpo: bool) -> [u8; 16] {
    let flags = if dpo { 0x10 } else { 0 } | if fua { 0x08 } else { 0 };
    let (code6, code10, code12, code16) = match direction {
        Direction::In => (0x08, 0x28, 0xa8, 0x88),
        Direction::Out => (0x0a, 0x2a, 0xaa, 0x8a),
    };
    match size {
        CdbSize::Six => {
            let lba = (lba as u32 & 0x1f_ffff).to_be_bytes();
            let mut cdb = [0; 16];
            cdb[..5].copy_from_slice(&[code6, lba[1], lba[2], lba[3], blocks as u8]);
            cdb
        }
        CdbSize::Ten => ranged(code10, size, flags, lba, blocks),
        CdbSize::Twelve => ranged(code12, size, flags, lba, blocks),
        CdbSize::Sixteen => ranged(code16, size, flags, lba, blocks),
    }
}

/// SYNCHRONIZE CACHE (10) or (16).
pub(super) fn synchronize(sixteen: bool, lba: u64, blocks: u32, immediate: bool) -> [u8; 16] {
    let flags = if immediate { 0x02 } else { 0 };
    if sixteen {
        ranged(0x91, CdbSize::Sixteen, flags, lba, blocks)
    } else {
        ranged(0x35, CdbSize::Ten, flags, lba, blocks)
    }
}

/// VERIFY; `byte_check` is BYTCHK.
pub(super) fn verify(size: CdbSize, byte_check: u8, lba: u64, blocks: u32) -> [u8; 16] {
    let flags = byte_check << 1;
    match size {
        CdbSize::Six | CdbSize::Ten => ranged(0x2f, CdbSize::Ten, flags, lba, blocks),
        CdbSize::Twelve => ranged(0xaf, size, flags, lba, blocks),
        CdbSize::Sixteen => ranged(0x8f, size, flags, lba, blocks),
    }
}

/// START STOP UNIT without power conditions.
pub(super) fn start_stop(start: bool, early: bool, no_flush: bool) -> [u8; 16] {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1]) = (0x1b, u8::from(early));
    cdb[4] = u8::from(start) | if no_flush { 0x04 } else { 0 };
    cdb
}

/// INQUIRY, of a vital product data page with `page`.
pub(super) fn inquiry(page: Option<u8>, allocation: u16) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = 0x12;
    cdb[1] = u8::from(page.is_some());
    cdb[2] = page.unwrap_or(0);
    cdb[3..5].copy_from_slice(&allocation.to_be_bytes());
    cdb
}

/// READ CAPACITY (10), or (16) with an allocation length of 32 bytes.
pub(super) fn read_capacity(sixteen: bool) -> [u8; 16] {
    let mut cdb = [0; 16];
    if sixteen {
        cdb[..2].copy_from_slice(&[0x9e, 0x10]);
        cdb[13] = 32;
    } else {
        cdb[0] = 0x25;
    }
    cdb
}

/// MODE SENSE (6) or (10) of the current values of `page`, without block descriptors.
pub(super) fn mode_sense(ten: bool, page: u8, allocation: u8) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[..3].copy_from_slice(&[if ten { 0x5a } else { 0x1a }, 0x08, page]);
    cdb[if ten { 8 } else { 4 }] = allocation;
    cdb
}

/// REQUEST SENSE, in descriptor format or fixed.
pub(super) fn request_sense(descriptor: bool, allocation: u8) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[..5].copy_from_slice(&[0x03, u8::from(descriptor), 0, 0, allocation]);
    cdb
}

/// REPORT LUNS of all logical units.
pub(super) fn report_luns(allocation: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = 0xa0;
    cdb[6..10].copy_from_slice(&allocation.to_be_bytes());
    cdb
}

/// REPORT SUPPORTED OPERATION CODES: RCTD and REPORTING OPTIONS, then operation code and service action asked for.
pub(super) fn supported_commands(options: u8, code: u8, service_action: u8, allocation: u16) -> [u8; 16] {
    let [high, low] = allocation.to_be_bytes();
    [0xa3, 0x0c, options, code, 0, service_action, 0, 0, high, low, 0, 0, 0, 0, 0, 0]
}

/// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS, with or without REPD.
pub(super) fn supported_functions(extended: bool, allocation: u8) -> [u8; 16] {
    [0xa3, 0x0d, if extended { 0x80 } else { 0 }, 0, 0, 0, 0, 0, 0, allocation, 0, 0, 0, 0, 0, 0]
}

/// CDBs that are wrong in one field, each with its additional sense code.
pub(super) const INVALID: &[([u8; 16], u16)] = &[
    // TEST UNIT READY with NACA.
    ([0x00, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    // READ (10) with protection information, which no unit has.
    ([0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    // VERIFY (10) with BYTCHK 10b.
    ([0x2f, 0x04, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    // INQUIRY of a page that is not there, and of a page without EVPD.
    ([0x12, 0x01, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    ([0x12, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    // MODE SENSE (6) of saved values, MODE SENSE (10) of a page that is not there.
    ([0x1a, 0x08, 0xc8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x3900),
    ([0x5a, 0x08, 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    // REPORT LUNS with a SELECT REPORT that is not there.
    ([0xa0, 0, 0x55, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0], 0x2400),
    // REPORT SUPPORTED OPERATION CODES with an option for commands with service actions, of READ (10), and the other
    // way round; REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS without room.
    ([0xa3, 0x0c, 0x02, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    ([0xa3, 0x0c, 0x01, 0x9e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    ([0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0], 0x2400),
    // INQUIRY with CMDDT, MODE SENSE (6) of a subpage that is not there.
    ([0x12, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    ([0x1a, 0x08, 0x3f, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    // START STOP UNIT with a power condition, and with LOEJ.
    ([0x1b, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    ([0x1b, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    // READ CAPACITY (10) with an address and without PMI, SERVICE ACTION IN (16) with another service action.
    ([0x25, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
    ([0x9e, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0x2400),
];

/// The forms of ten, twelve and sixteen bytes agree on where flags, address and length are.
fn ranged(code: u8, size: CdbSize, flags: u8, lba: u64, blocks: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[0] = code;
    cdb[1] = flags;
    match size {
        CdbSize::Six | CdbSize::Ten => {
            cdb[2..6].copy_from_slice(&(lba as u32).to_be_bytes());
            cdb[7..9].copy_from_slice(&(blocks as u16).to_be_bytes());
        }
        CdbSize::Twelve => {
            cdb[2..6].copy_from_slice(&(lba as u32).to_be_bytes());
            cdb[6..10].copy_from_slice(&blocks.to_be_bytes());
        }
        CdbSize::Sixteen => {
            cdb[2..10].copy_from_slice(&lba.to_be_bytes());
            cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
        }
    }
    cdb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_have_the_bytes_of_the_tables() {
        let six = transfer(Direction::In, CdbSize::Six, 0x01_2345, 256, false, false);
        assert_eq!(six[..6], [0x08, 0x01, 0x23, 0x45, 0, 0]);
        let ten = transfer(Direction::Out, CdbSize::Ten, 0x0102_0304, 0x0506, true, true);
        assert_eq!(ten[..10], [0x2a, 0x18, 1, 2, 3, 4, 0, 5, 6, 0]);
        let twelve = transfer(Direction::In, CdbSize::Twelve, 0x0102_0304, 0x0506_0708, false, true);
        assert_eq!(twelve[..12], [0xa8, 0x10, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0]);
        let sixteen = transfer(Direction::Out, CdbSize::Sixteen, 0x0102_0304_0506_0708, 9, true, false);
        assert_eq!(sixteen, [0x8a, 0x08, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 0]);
    }

    #[test]
    fn verify_and_start_stop_unit_have_the_bytes_of_the_tables() {
        assert_eq!(verify(CdbSize::Ten, 0b01, 0x0102_0304, 5)[..10], [0x2f, 0x02, 1, 2, 3, 4, 0, 0, 5, 0]);
        assert_eq!(verify(CdbSize::Sixteen, 0b11, 7, 5)[..10], [0x8f, 0x06, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(start_stop(true, false, false)[..6], [0x1b, 0, 0, 0, 0x01, 0]);
        assert_eq!(start_stop(false, true, true)[..6], [0x1b, 0x01, 0, 0, 0x04, 0]);
    }

    #[test]
    fn allocation_lengths_are_at_their_places() {
        assert_eq!(inquiry(Some(0x83), 0x0102)[..6], [0x12, 1, 0x83, 1, 2, 0]);
        assert_eq!(mode_sense(false, 0x3f, 192)[..6], [0x1a, 8, 0x3f, 0, 192, 0]);
        assert_eq!(mode_sense(true, 0x08, 192)[..10], [0x5a, 8, 0x08, 0, 0, 0, 0, 0, 192, 0]);
        assert_eq!(report_luns(256)[..12], [0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(supported_commands(0x82, 0x9e, 0x10, 258)[..12], [0xa3, 12, 0x82, 0x9e, 0, 16, 0, 0, 1, 2, 0, 0]);
        assert_eq!(supported_functions(true, 16)[..12], [0xa3, 13, 0x80, 0, 0, 0, 0, 0, 0, 16, 0, 0]);
    }
}
