//! REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4, section 6.36).

use super::parameter_data;
use crate::env::Runtime;
use crate::logical_unit::Device;
use crate::scsi::cdb::Cdb;
use crate::scsi::dispatch::Answer;
use crate::task::management::OF_A_LOGICAL_UNIT;
use crate::task::sense::Sense;
use crate::wire::TaskManagementRequest as Request;

pub(super) fn report_supported_task_management_functions<R: Runtime>(device: &Device<R>, cdb: &Cdb) -> Answer<R::Buf> {
    const ALLOCATION_LENGTH: u16 = 6;
    const REPD: u8 = 7;
    const ADDITIONAL_LENGTH: u8 = 0x0c;
    const TMFTMOV: u8 = 0x01;
    cdb.check_control()?;
    let allocation_length = cdb.u32(ALLOCATION_LENGTH.into()) as usize;
    if allocation_length < 4 {
        return Err(Sense::invalid_field(ALLOCATION_LENGTH).into());
    }
    let supported = OF_A_LOGICAL_UNIT.into_iter().fold(0, |bits, function| bits | bit(function));
    let mut bytes = vec![supported, 0, 0, 0];
    if cdb.bit(2, REPD) {
        // No selector of the short timeout is set: one time holds for all functions.
        let long_timeout = device.limits.task_management_deadline().as_millis().div_ceil(100) as u32;
        bytes[3] = ADDITIONAL_LENGTH;
        bytes.extend([TMFTMOV, 0, 0, 0]);
        bytes.extend(long_timeout.to_be_bytes());
        bytes.extend([0; 4]);
    }
    Ok(parameter_data(bytes, allocation_length))
}

/// The bit of byte 0 that says that `function` is supported; none for functions that have no bit there.
fn bit(function: u8) -> u8 {
    match function {
        Request::ABORT_TASK => 0x80,
        Request::ABORT_TASK_SET => 0x40,
        Request::CLEAR_ACA => 0x20,
        Request::CLEAR_TASK_SET => 0x10,
        Request::LOGICAL_UNIT_RESET => 0x08,
        Request::QUERY_TASK => 0x04,
        _ => 0,
    }
}
