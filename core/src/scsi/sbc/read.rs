//! READ (6), (10), (12) and (16) (SBC-3, sections 5.15 to 5.18).

use std::rc::Rc;

use super::range::checked_range;
use super::{buffer, read_failure, write_failure};
use crate::backend::BackendError;
use crate::env::Runtime;
use crate::logical_unit::LogicalUnit;
use crate::scsi::DataIn;
use crate::scsi::cdb::{Access, Cdb};
use crate::scsi::dispatch::Answer;

pub(in crate::scsi) async fn read<R: Runtime>(unit: &Rc<LogicalUnit<R>>, cdb: &Cdb) -> Answer<R::Buf> {
    let range = checked_range(unit, Access::Read, cdb)?;
    if range.length_bytes == 0 {
        return Ok(DataIn::None);
    }
    if cdb.force_unit_access() && unit.write_cache() {
        // What the cache holds newer than the medium goes to the medium first. The read itself may then be served
        // from a cache: it holds the same. After a failed flush nobody can say so any more.
        if range.conditions.flush_failed() {
            return Err(write_failure(BackendError::FlushFailed).into());
        }
        unit.medium().flush().await.map_err(write_failure)?;
    }
    let buf = buffer(unit, range.length_bytes)?;
    match unit.medium().read(range.offset_bytes, buf).await {
        Ok(buf) => Ok(DataIn::Buffer(buf)),
        Err(error) => Err(read_failure(error, range.lba).into()),
    }
}
