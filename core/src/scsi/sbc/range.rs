//! The blocks that a command names, checked against the medium.

use crate::env::Runtime;
use crate::logical_unit::{Conditions, LogicalUnit};
use crate::planted;
use crate::scsi::Footprint;
use crate::scsi::cdb::{Access, Cdb};
use crate::scsi::dispatch::Refusal;
use crate::task::sense::Sense;

/// Blocks that exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range {
    pub(super) lba: u64,
    pub(super) offset_bytes: u64,
    pub(super) length_bytes: usize,
    /// What was known of the logical unit when the range was checked.
    pub(super) conditions: Conditions,
}

/// The range of a READ, WRITE or VERIFY, after all checks that the three share.
pub(super) fn checked_range<R: Runtime>(unit: &LogicalUnit<R>, access: Access, cdb: &Cdb) -> Result<Range, Refusal> {
    cdb.check_control()?;
    cdb.check_protect()?;
    let (lba, blocks) = cdb.block_range();
    check_blocks(unit, lba, blocks)?;
    let marks = &unit.limits().marks;
    if blocks > unit.transfer_blocks_max() - u32::from(planted!(MaximumRefused)) {
        marks.transfer_bytes.meet();
        return Err(Sense::invalid_field(cdb.length_field()).into());
    }
    let block_bytes = u64::from(unit.block_bytes());
    let offset_bytes = if planted!(ReadWrongBlock4k) && access == Access::Read { lba * 512 } else { lba * block_bytes };
    // The transfer limit keeps this far below 4 GiB.
    let length_bytes = u64::from(blocks) * block_bytes;
    marks.transfer_bytes.reach(length_bytes as usize);
    let conditions = unit.shared().conditions();
    if conditions.stopped() {
        return Err(Sense::STOPPED.into());
    }
    let footprint = Footprint { offset_bytes, length_bytes, write: access == Access::Write };
    if conditions.fenced() && unit.shared().is_fenced(footprint) {
        crate::probe!(FenceRefuses);
        return Err(Refusal::Busy(marks.disowned_tasks.meet()));
    }
    Ok(Range { lba, offset_bytes, length_bytes: length_bytes as usize, conditions })
}

/// Refuses blocks past the end of the medium. Of a range of no blocks, the address may be the one past the last
/// (SBC-3, section 4.6).
pub(super) fn check_blocks<R: Runtime>(unit: &LogicalUnit<R>, lba: u64, blocks: u32) -> Result<(), Sense> {
    let end =
        if planted!(LbaCheckWraps) { Some(lba.wrapping_add(blocks.into())) } else { lba.checked_add(blocks.into()) };
    match end {
        Some(end) if end <= unit.blocks() => Ok(()),
        _ => Err(Sense::LBA_OUT_OF_RANGE),
    }
}
