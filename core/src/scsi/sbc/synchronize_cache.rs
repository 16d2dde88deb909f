//! SYNCHRONIZE CACHE (10) and (16) (SBC-3, sections 5.27 and 5.28).

use std::rc::Rc;

use super::range::check_blocks;
use super::write_failure;
use crate::env::Runtime;
use crate::logical_unit::LogicalUnit;
use crate::planted;
use crate::scsi::DataIn;
use crate::scsi::cdb::Cdb;
use crate::scsi::dispatch::Answer;
use crate::task::sense::Sense;

/// Makes the whole medium durable, whichever blocks are named: the devices below know nothing finer. With IMMED the
/// answer comes first, and a failure is remembered for every later write and SYNCHRONIZE CACHE.
pub(in crate::scsi) async fn synchronize_cache<R: Runtime>(unit: &Rc<LogicalUnit<R>>, cdb: &Cdb) -> Answer<R::Buf> {
    const IMMED: u8 = 1;
    cdb.check_control()?;
    let (lba, blocks) = cdb.block_range();
    check_blocks(unit, lba, blocks)?;
    let conditions = unit.shared().conditions();
    if conditions.stopped() {
        return Err(Sense::STOPPED.into());
    }
    if conditions.flush_failed() {
        return Err(Sense::WRITE_ERROR.into());
    }
    if unit.read_only() {
        return Ok(DataIn::None);
    }
    if cdb.bit(1, IMMED) || planted!(AckBeforeFlush) {
        unit.medium().flush_later();
    } else {
        unit.medium().flush().await.map_err(write_failure)?;
    }
    Ok(DataIn::None)
}
