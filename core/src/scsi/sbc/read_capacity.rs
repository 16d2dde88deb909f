//! READ CAPACITY (10) and (16) (SBC-3, sections 5.19 and 5.20).

use crate::env::Runtime;
use crate::logical_unit::LogicalUnit;
use crate::scsi::DataIn;
use crate::scsi::cdb::{Cdb, READ_CAPACITY_16};
use crate::scsi::dispatch::Answer;
use crate::scsi::spc::parameter_data;
use crate::task::sense::Sense;

/// The last block of a medium that has more than READ CAPACITY (10) can say reads FFFFFFFFh: ask READ CAPACITY (16).
pub(in crate::scsi) fn read_capacity_10<R: Runtime>(unit: &LogicalUnit<R>, cdb: &Cdb) -> Answer<R::Buf> {
    const LOGICAL_BLOCK_ADDRESS: u16 = 2;
    const PMI: u8 = 0;
    cdb.check_control()?;
    if cdb.u32(LOGICAL_BLOCK_ADDRESS.into()) != 0 && !cdb.bit(8, PMI) {
        return Err(Sense::invalid_field(LOGICAL_BLOCK_ADDRESS).into());
    }
    let last = u32::try_from(last_block(unit)).unwrap_or(u32::MAX);
    Ok(DataIn::Bytes([last.to_be_bytes(), unit.block_bytes().to_be_bytes()].concat()))
}

/// SERVICE ACTION IN (16), which has READ CAPACITY (16) and nothing else here.
pub(in crate::scsi) fn service_action_in_16<R: Runtime>(unit: &LogicalUnit<R>, cdb: &Cdb) -> Answer<R::Buf> {
    if cdb.service_action() != READ_CAPACITY_16 {
        return Err(cdb.refuse_service_action().into());
    }
    cdb.check_control()?;
    let mut bytes = vec![0; 32];
    bytes[..8].copy_from_slice(&last_block(unit).to_be_bytes());
    bytes[8..12].copy_from_slice(&unit.block_bytes().to_be_bytes());
    bytes[13] = unit.physical_exponent();
    Ok(parameter_data(bytes, cdb.u32(10) as usize))
}

fn last_block<R: Runtime>(unit: &LogicalUnit<R>) -> u64 {
    unit.blocks().saturating_sub(u64::from(!crate::planted!(CapacityCountsBlocks)))
}
