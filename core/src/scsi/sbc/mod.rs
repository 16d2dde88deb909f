//! The commands of SBC-3.

mod range;
mod read;
mod read_capacity;
mod start_stop_unit;
mod synchronize_cache;
mod verify;
mod write;

pub(super) use read::read;
pub(super) use read_capacity::{read_capacity_10, service_action_in_16};
pub(super) use start_stop_unit::start_stop_unit;
pub(super) use synchronize_cache::synchronize_cache;
pub(super) use verify::verify;
pub(super) use write::write;

use super::dispatch::Refusal;
use crate::backend::BackendError;
use crate::env::Runtime;
use crate::logical_unit::LogicalUnit;
use crate::task::sense::Sense;

/// A buffer from the pool, or BUSY.
fn buffer<R: Runtime>(unit: &LogicalUnit<R>, length_bytes: usize) -> Result<R::Buf, Refusal> {
    let (limits, runtime) = (unit.limits(), unit.runtime());
    let refuse = || Refusal::Busy(limits.refuse_buffer(&limits.marks.pool_bytes, runtime.now()));
    limits.buffer(runtime, length_bytes).ok_or_else(refuse)
}

/// What the initiator is told when a read from block `lba` on failed.
fn read_failure(error: BackendError, lba: u64) -> Sense {
    match error {
        BackendError::Gone => Sense::DEVICE_GONE,
        _ => Sense::read_error(lba),
    }
}

/// What the initiator is told when a write or a flush failed. A flush that failed earlier is a WRITE ERROR too: it
/// says that blocks could not be recorded, and no automatic retry undoes it.
fn write_failure(error: BackendError) -> Sense {
    match error {
        BackendError::Gone => Sense::DEVICE_GONE,
        BackendError::NoSpace => Sense::SPACE_EXHAUSTED,
        BackendError::ReadOnly => Sense::WRITE_PROTECTED,
        BackendError::Io | BackendError::Unfinished | BackendError::FlushFailed => Sense::WRITE_ERROR,
    }
}
