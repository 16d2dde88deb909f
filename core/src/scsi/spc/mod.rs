//! The commands of SPC-4.

mod inquiry;
mod maintenance_in;
mod mode_page;
mod mode_sense;
mod report_luns;
mod report_supported_operation_codes;
mod report_supported_task_management_functions;
mod request_sense;
mod test_unit_ready;
mod vital_product_data;
mod without_unit;

pub(super) use inquiry::inquiry;
pub(super) use maintenance_in::maintenance_in;
pub(super) use mode_sense::mode_sense;
pub(super) use report_luns::report_luns;
pub(super) use request_sense::request_sense;
pub(super) use test_unit_ready::test_unit_ready;
pub(super) use without_unit::{REPORT_LUNS_WELL_KNOWN, unmapped, well_known};

use super::DataIn;

/// Parameter data, cut to the allocation length (SPC-4, section 4.2.5.6).
pub(super) fn parameter_data<B>(mut bytes: Vec<u8>, allocation_length: usize) -> DataIn<B> {
    bytes.truncate(if crate::planted!(AllocationIgnored) { bytes.len() } else { allocation_length });
    DataIn::Bytes(bytes)
}
