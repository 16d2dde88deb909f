//! MAINTENANCE IN, an operation code of many commands (SPC-4, section 4.2.2.3.3).

use super::report_supported_operation_codes::report_supported_operation_codes;
use super::report_supported_task_management_functions::report_supported_task_management_functions;
use crate::env::Runtime;
use crate::logical_unit::Device;
use crate::scsi::cdb::{Cdb, REPORT_SUPPORTED_OPERATION_CODES, REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS};
use crate::scsi::dispatch::Answer;

pub(in crate::scsi) fn maintenance_in<R: Runtime>(device: &Device<R>, cdb: &Cdb) -> Answer<R::Buf> {
    match cdb.service_action() {
        REPORT_SUPPORTED_OPERATION_CODES => report_supported_operation_codes(cdb),
        REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS => report_supported_task_management_functions(device, cdb),
        _ => Err(cdb.refuse_service_action().into()),
    }
}
