//! INQUIRY (SPC-4, section 6.6).

use super::{parameter_data, vital_product_data};
use crate::env::Runtime;
use crate::logical_unit::{Device, LogicalUnit, PRODUCT, REVISION, VENDOR};
use crate::scsi::cdb::Cdb;
use crate::scsi::dispatch::Answer;
use crate::task::sense::Sense;

/// Peripheral qualifier and peripheral device type (SPC-4, section 6.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peripheral {
    /// A direct access block device.
    Disk = 0x00,
    /// A well-known logical unit.
    WellKnown = 0x1e,
    /// No device can be here: qualifier 011b and type 1Fh.
    None = 0x7f,
}

/// SAM-5, SPC-4, SBC-3 and iSCSI, no version claimed (SPC-4, table 142).
const VERSION_DESCRIPTORS: [u16; 4] = [0x00a0, 0x0460, 0x04c0, 0x0960];
const STANDARD_BYTES: usize = 96;
const PAGE_CODE: u16 = 2;

pub(in crate::scsi) fn inquiry<R: Runtime>(device: &Device<R>, unit: &LogicalUnit<R>, cdb: &Cdb) -> Answer<R::Buf> {
    answer(Peripheral::Disk, cdb, |page| vital_product_data::of_unit(device, unit, page))
}

/// INQUIRY to a LUN that has no logical unit of ours behind it.
pub(super) fn without_unit<R: Runtime>(device: &Device<R>, peripheral: Peripheral, cdb: &Cdb) -> Answer<R::Buf> {
    answer(peripheral, cdb, |page| vital_product_data::without_unit(device, peripheral, page))
}

fn answer<B>(peripheral: Peripheral, cdb: &Cdb, page: impl FnOnce(u8) -> Option<Vec<u8>>) -> Answer<B> {
    const EVPD: u8 = 0;
    const CMDDT: u8 = 1;
    cdb.check_control()?;
    let page_code = cdb.byte(PAGE_CODE.into());
    if cdb.bit(1, CMDDT) {
        return Err(Sense::invalid_bit(1, CMDDT).into());
    }
    let bytes = match (cdb.bit(1, EVPD), page_code) {
        (true, _) => page(page_code).ok_or_else(|| Sense::invalid_field(PAGE_CODE))?,
        (false, 0) => standard(peripheral),
        (false, _) => return Err(Sense::invalid_field(PAGE_CODE).into()),
    };
    Ok(parameter_data(bytes, cdb.u16(3).into()))
}

/// Standard INQUIRY data (SPC-4, section 6.6.2).
fn standard(peripheral: Peripheral) -> Vec<u8> {
    const SPC_4: u8 = 0x06;
    const HISUP: u8 = 0x10;
    const RESPONSE_DATA_FORMAT: u8 = 2;
    const CMDQUE: u8 = 0x02;
    let mut bytes = vec![0; STANDARD_BYTES];
    bytes[0] = peripheral as u8;
    bytes[2] = SPC_4;
    bytes[3] = HISUP | RESPONSE_DATA_FORMAT;
    bytes[4] = (STANDARD_BYTES - 5) as u8;
    bytes[7] = CMDQUE;
    bytes[8..16].copy_from_slice(VENDOR);
    bytes[16..32].copy_from_slice(PRODUCT);
    bytes[32..36].copy_from_slice(REVISION);
    for (at, version) in VERSION_DESCRIPTORS.iter().enumerate() {
        bytes[58 + 2 * at..60 + 2 * at].copy_from_slice(&version.to_be_bytes());
    }
    bytes
}
