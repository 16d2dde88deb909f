//! WRITE (6), (10), (12) and (16) (SBC-3, sections 5.35 to 5.38).

use std::rc::Rc;

use super::range::checked_range;
use super::write_failure;
use crate::env::Runtime;
use crate::logical_unit::LogicalUnit;
use crate::planted;
use crate::scsi::DataIn;
use crate::scsi::cdb::{Access, Cdb};
use crate::scsi::dispatch::Answer;
use crate::task::sense::Sense;

/// Writes the blocks that arrived. When the initiator announced less than the CDB asks for (RFC 7143, section
/// 11.4.5.1), whole blocks are written and the residual count says what is missing; a part of a block never is: then
/// nothing is written.
pub(in crate::scsi) async fn write<R: Runtime>(
    unit: &Rc<LogicalUnit<R>>,
    cdb: &Cdb,
    data_out: Option<R::Buf>,
) -> Answer<R::Buf> {
    let range = checked_range(unit, Access::Write, cdb)?;
    // No blocks to write are no error (SBC-3, section 5.35), nor do they require a write.
    let protected = unit.read_only() && !(planted!(WriteProtectForgotten) && cdb.force_unit_access());
    if protected && range.length_bytes > 0 {
        return Err(Sense::WRITE_PROTECTED.into());
    }
    let Some(data) = data_out else {
        return Ok(DataIn::None);
    };
    let length_bytes = data.as_ref().len();
    if length_bytes > range.length_bytes || length_bytes % unit.block_bytes() as usize != 0 {
        return Err(Sense::DATA_TOO_SHORT.into());
    }
    if length_bytes == 0 {
        return Ok(DataIn::None);
    }
    if range.conditions.flush_failed() {
        return Err(Sense::WRITE_ERROR.into());
    }
    unit.medium().write(range.offset_bytes, data, cdb.force_unit_access()).await.map_err(write_failure)?;
    Ok(DataIn::None)
}
