//! LUNs without a logical unit of ours behind them: the REPORT LUNS well-known logical unit, and those that are not
//! mapped.

use super::inquiry::{self, Peripheral};
use super::report_luns;
use super::request_sense::sense_data;
use crate::env::Runtime;
use crate::id::Lun;
use crate::logical_unit::Device;
use crate::scsi::DataIn;
use crate::scsi::cdb::{Cdb, operation};
use crate::scsi::dispatch::Answer;
use crate::task::sense::Sense;

/// The REPORT LUNS well-known logical unit (SAM-5, section 4.7.9; SPC-4, section 8.2).
pub(in crate::scsi) const REPORT_LUNS_WELL_KNOWN: Lun = Lun(0xc101_0000_0000_0000);

/// A command to the REPORT LUNS well-known logical unit. It has no state, hence no unit attentions.
pub(in crate::scsi) fn well_known<R: Runtime>(device: &Device<R>, cdb: &Cdb) -> Answer<R::Buf> {
    match cdb.operation_code() {
        operation::INQUIRY => inquiry::without_unit(device, Peripheral::WellKnown, cdb),
        operation::REPORT_LUNS => report_luns(device, cdb),
        operation::REQUEST_SENSE => {
            cdb.check_control()?;
            Ok(sense_data(Sense::NONE, cdb))
        }
        operation::TEST_UNIT_READY => {
            cdb.check_control()?;
            Ok(DataIn::None)
        }
        _ => Err(Sense::invalid_operation_code().into()),
    }
}

/// A command to a LUN that is not mapped (SPC-4, section 4.3.2.2 and the commands' own sections).
pub(in crate::scsi) fn unmapped<R: Runtime>(device: &Device<R>, cdb: &Cdb) -> Answer<R::Buf> {
    match cdb.operation_code() {
        operation::INQUIRY => inquiry::without_unit(device, Peripheral::None, cdb),
        operation::REPORT_LUNS => report_luns(device, cdb),
        operation::REQUEST_SENSE => {
            cdb.check_control()?;
            Ok(sense_data(Sense::LOGICAL_UNIT_NOT_SUPPORTED, cdb))
        }
        _ => Err(Sense::LOGICAL_UNIT_NOT_SUPPORTED.into()),
    }
}
