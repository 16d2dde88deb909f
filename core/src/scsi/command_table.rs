//! The commands of a logical unit, and which bits of their CDBs it looks at: what REPORT SUPPORTED OPERATION CODES
//! tells.
//!
//! Every logical unit has all of them. A read-only one too: it answers its WRITEs with WRITE PROTECTED, and with or
//! without a write cache there is something to synchronize or nothing to do.

use super::cdb::operation::*;
use super::cdb::{READ_CAPACITY_16, REPORT_SUPPORTED_OPERATION_CODES, REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS};
use crate::planted;

/// A command that is supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Command {
    /// Whether its operation code has service actions.
    pub(super) has_service_action: bool,
    /// CDB USAGE DATA, as long as the CDB: the operation code, the service action where there is one, and ones for the
    /// bits that are evaluated (SPC-4, section 6.35.3). A bit that is zero here is ignored, or refused as reserved or
    /// obsolete bits may be.
    pub(super) usage: &'static [u8],
}

impl Command {
    pub(super) fn operation_code(&self) -> u8 {
        self.usage[0]
    }

    /// The service action; zero when the operation code has none.
    pub(super) fn service_action(&self) -> u16 {
        if self.has_service_action { (self.usage[1] & 0x1f).into() } else { 0 }
    }
}

const fn plain(usage: &'static [u8]) -> Command {
    Command { has_service_action: false, usage }
}

const fn action(usage: &'static [u8]) -> Command {
    Command { has_service_action: true, usage }
}

/// RDPROTECT or WRPROTECT, DPO and FUA. There is nothing to do for DPO: it says how to cache, and is only a hint.
const ACCESS: u8 = 0xf8;
/// VRPROTECT, DPO and BYTCHK.
const CHECK: u8 = 0xf6;
/// IMMED of SYNCHRONIZE CACHE.
const IMMED: u8 = 0x02;
/// NACA of the CONTROL byte.
const CONTROL: u8 = 0x04;

/// By operation code and service action, in ascending order.
#[rustfmt::skip]
static COMMANDS: [Command; 24] = [
    plain(&[TEST_UNIT_READY, 0, 0, 0, 0, CONTROL]),
    plain(&[REQUEST_SENSE, 0x01, 0, 0, 0xff, CONTROL]),
    plain(&[READ_6, 0x1f, 0xff, 0xff, 0xff, CONTROL]),
    plain(&[WRITE_6, 0x1f, 0xff, 0xff, 0xff, CONTROL]),
    plain(&[INQUIRY, 0x01, 0xff, 0xff, 0xff, CONTROL]),
    plain(&[MODE_SENSE_6, 0x08, 0xff, 0xff, 0xff, CONTROL]),
    plain(&[START_STOP_UNIT, 0x01, 0, 0, 0xf7, CONTROL]),
    plain(&[READ_CAPACITY_10, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x01, CONTROL]),
    plain(&[READ_10, ACCESS, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, CONTROL]),
    plain(&[WRITE_10, ACCESS, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, CONTROL]),
    plain(&[VERIFY_10, CHECK, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, CONTROL]),
    plain(&[SYNCHRONIZE_CACHE_10, IMMED, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, CONTROL]),
    plain(&[MODE_SENSE_10, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, CONTROL]),
    plain(&[READ_16, ACCESS, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
    plain(&[WRITE_16, ACCESS, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
    plain(&[VERIFY_16, CHECK, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
    plain(&[SYNCHRONIZE_CACHE_16, IMMED, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
    action(&[SERVICE_ACTION_IN_16, READ_CAPACITY_16, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
    plain(&[REPORT_LUNS, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
    action(&[MAINTENANCE_IN, REPORT_SUPPORTED_OPERATION_CODES, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
    action(&[MAINTENANCE_IN, REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
    plain(&[READ_12, ACCESS, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
    plain(&[WRITE_12, ACCESS, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
    plain(&[VERIFY_12, CHECK, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, CONTROL]),
];

/// WRITE SAME (10), which nobody has written.
const WRITE_SAME_10: Command = plain(&[0x41, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, CONTROL]);

/// Every command.
pub(super) fn commands() -> impl Iterator<Item = Command> {
    COMMANDS.iter().copied().chain(planted!(AbsentCommandListed).then_some(WRITE_SAME_10))
}
