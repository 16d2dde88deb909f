//! START STOP UNIT (SBC-3, section 5.25).

use std::rc::Rc;

use super::write_failure;
use crate::env::Runtime;
use crate::logical_unit::LogicalUnit;
use crate::scsi::DataIn;
use crate::scsi::cdb::Cdb;
use crate::scsi::dispatch::Answer;
use crate::task::sense::Sense;

/// Stops the logical unit for every nexus, its cache made durable first, or starts it. The medium cannot be ejected,
/// and there are no power conditions.
pub(in crate::scsi) async fn start_stop_unit<R: Runtime>(unit: &Rc<LogicalUnit<R>>, cdb: &Cdb) -> Answer<R::Buf> {
    const IMMED: u8 = 0;
    const START: u8 = 0;
    const LOEJ: u8 = 1;
    const NO_FLUSH: u8 = 2;
    cdb.check_control()?;
    if cdb.byte(4) >> 4 != 0 {
        return Err(Sense::invalid_bit(4, 7).into());
    }
    if cdb.bit(4, LOEJ) {
        return Err(Sense::invalid_bit(4, LOEJ).into());
    }
    if cdb.bit(4, START) {
        unit.shared().set_stopped(false);
        return Ok(DataIn::None);
    }
    if !cdb.bit(4, NO_FLUSH) && !unit.read_only() {
        if cdb.bit(1, IMMED) {
            unit.medium().flush_later();
        } else {
            unit.medium().flush().await.map_err(write_failure)?;
        }
    }
    unit.shared().set_stopped(true);
    Ok(DataIn::None)
}
