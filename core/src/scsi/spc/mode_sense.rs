//! MODE SENSE (6) and (10) (SPC-4, sections 6.13 and 6.14).

use super::mode_page::{PAGE_CODES, Values, mode_page};
use super::parameter_data;
use crate::env::Runtime;
use crate::logical_unit::LogicalUnit;
use crate::scsi::cdb::{Cdb, operation};
use crate::scsi::dispatch::Answer;
use crate::task::sense::Sense;

const ALL_PAGES: u8 = 0x3f;
const ALL_SUBPAGES: u8 = 0xff;

pub(in crate::scsi) fn mode_sense<R: Runtime>(unit: &LogicalUnit<R>, cdb: &Cdb) -> Answer<R::Buf> {
    const DBD: u8 = 3;
    const LLBAA: u8 = 4;
    cdb.check_control()?;
    let ten = cdb.operation_code() == operation::MODE_SENSE_10;
    let long = ten && cdb.bit(1, LLBAA);
    let pages = pages(unit, cdb)?;
    let descriptor = match (cdb.bit(1, DBD), long) {
        (true, _) => Vec::new(),
        (false, false) => short_descriptor(unit),
        (false, true) => long_descriptor(unit),
    };
    let header = if ten {
        let [high, low] = ((6 + descriptor.len() + pages.len()) as u16).to_be_bytes();
        let long_lba = u8::from(long && !descriptor.is_empty());
        vec![high, low, 0, device_specific(unit), long_lba, 0, 0, descriptor.len() as u8]
    } else {
        vec![(3 + descriptor.len() + pages.len()) as u8, 0, device_specific(unit), descriptor.len() as u8]
    };
    let allocation_length = if ten { cdb.u16(7).into() } else { cdb.byte(4).into() };
    Ok(parameter_data([header, descriptor, pages].concat(), allocation_length))
}

fn pages<R: Runtime>(unit: &LogicalUnit<R>, cdb: &Cdb) -> Result<Vec<u8>, Sense> {
    const PAGE_CODE: u16 = 2;
    const SUBPAGE_CODE: u16 = 3;
    let values = match cdb.byte(2) >> 6 {
        0b00 | 0b10 => Values::Current,
        0b01 => Values::Changeable,
        _ => return Err(Sense::SAVING_NOT_SUPPORTED),
    };
    if !matches!(cdb.byte(3), 0 | ALL_SUBPAGES) {
        return Err(Sense::invalid_field(SUBPAGE_CODE));
    }
    let one = |page_code| mode_page(page_code, values, unit.write_cache());
    match cdb.byte(2) & 0x3f {
        ALL_PAGES => Ok(PAGE_CODES.into_iter().filter_map(one).flatten().collect()),
        page_code => one(page_code).ok_or_else(|| Sense::invalid_bit(PAGE_CODE, 5)),
    }
}

/// The device-specific parameter of a direct access device (SBC-3, section 6.4.1).
fn device_specific<R: Runtime>(unit: &LogicalUnit<R>) -> u8 {
    const WP: u8 = 0x80;
    const DPOFUA: u8 = 0x10;
    DPOFUA | if unit.read_only() { WP } else { 0 }
}

/// SBC-3, section 6.4.2.2.
fn short_descriptor<R: Runtime>(unit: &LogicalUnit<R>) -> Vec<u8> {
    let blocks = u32::try_from(unit.blocks()).unwrap_or(u32::MAX);
    [blocks.to_be_bytes(), unit.block_bytes().to_be_bytes()].concat()
}

/// SBC-3, section 6.4.2.3.
fn long_descriptor<R: Runtime>(unit: &LogicalUnit<R>) -> Vec<u8> {
    [unit.blocks().to_be_bytes(), u64::from(unit.block_bytes()).to_be_bytes()].concat()
}
