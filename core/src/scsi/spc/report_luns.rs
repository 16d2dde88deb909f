//! REPORT LUNS (SPC-4, section 6.33).

use super::{REPORT_LUNS_WELL_KNOWN, parameter_data};
use crate::env::Runtime;
use crate::id::Lun;
use crate::logical_unit::Device;
use crate::scsi::cdb::Cdb;
use crate::scsi::dispatch::Answer;
use crate::task::sense::Sense;

/// The inventory of the whole device, whichever logical unit was asked.
pub(in crate::scsi) fn report_luns<R: Runtime>(device: &Device<R>, cdb: &Cdb) -> Answer<R::Buf> {
    const SELECT_REPORT: u16 = 2;
    cdb.check_control()?;
    let (units, well_known) = match cdb.byte(SELECT_REPORT.into()) {
        0x00 => (true, false),
        0x01 => (false, true),
        0x02 => (true, true),
        _ => return Err(Sense::invalid_field(SELECT_REPORT).into()),
    };
    let units = units.then(|| device.luns.keys().map(|number| Lun::from_number(*number)));
    let well_known = well_known.then_some(REPORT_LUNS_WELL_KNOWN);
    let mut bytes = vec![0; 8];
    for lun in units.into_iter().flatten().chain(well_known) {
        bytes.extend_from_slice(&lun.0.to_be_bytes());
    }
    let list_length = (bytes.len() - 8) as u32 / if crate::planted!(LunsCountedOnce) { 8 } else { 1 };
    bytes[..4].copy_from_slice(&list_length.to_be_bytes());
    Ok(parameter_data(bytes, cdb.u32(6) as usize))
}
