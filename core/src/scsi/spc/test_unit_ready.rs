//! TEST UNIT READY (SPC-4, section 6.47).

use crate::env::Runtime;
use crate::logical_unit::LogicalUnit;
use crate::scsi::DataIn;
use crate::scsi::cdb::Cdb;
use crate::scsi::dispatch::Answer;
use crate::task::sense::Sense;

pub(in crate::scsi) fn test_unit_ready<R: Runtime>(unit: &LogicalUnit<R>, cdb: &Cdb) -> Answer<R::Buf> {
    cdb.check_control()?;
    if unit.shared().conditions().stopped() { Err(Sense::STOPPED.into()) } else { Ok(DataIn::None) }
}
