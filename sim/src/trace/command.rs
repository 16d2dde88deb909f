//! SCSI commands and statuses by name, for people.

use super::entry::Text;

/// The name of an operation code (SPC-4, SBC-3).
pub(super) fn name(operation_code: u8) -> Text {
    let name = match operation_code {
        0x00 => "TEST UNIT READY",
        0x03 => "REQUEST SENSE",
        0x08 => "READ(6)",
        0x0a => "WRITE(6)",
        0x12 => "INQUIRY",
        0x1a => "MODE SENSE(6)",
        0x1b => "START STOP UNIT",
        0x25 => "READ CAPACITY(10)",
        0x28 => "READ(10)",
        0x2a => "WRITE(10)",
        0x2f => "VERIFY(10)",
        0x35 => "SYNCHRONIZE CACHE(10)",
        0x5a => "MODE SENSE(10)",
        0x88 => "READ(16)",
        0x8a => "WRITE(16)",
        0x8f => "VERIFY(16)",
        0x91 => "SYNCHRONIZE CACHE(16)",
        0x9e => "SERVICE ACTION IN(16)",
        0xa0 => "REPORT LUNS",
        0xa3 => "MAINTENANCE IN",
        0xa8 => "READ(12)",
        0xaa => "WRITE(12)",
        0xaf => "VERIFY(12)",
        _ => return Text::Owned(format!("operation {operation_code:#04x}")),
    };
    name.into()
}

/// What a command asks of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    Read,
    Write,
    Flush,
}

/// What the command does to blocks: first block, number of blocks.
pub(super) fn access(cdb: &[u8; 16]) -> Option<(Access, u64, u32)> {
    let access = match cdb[0] {
        0x08 | 0x28 | 0x88 | 0xa8 | 0x2f | 0x8f | 0xaf => Access::Read,
        0x0a | 0x2a | 0x8a | 0xaa => Access::Write,
        0x35 | 0x91 => Access::Flush,
        0x1b => return Some((Access::Flush, 0, 0)),
        _ => return None,
    };
    let number =
        |at: usize, length: usize| cdb[at..at + length].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    let (lba, blocks) = match cdb[0] >> 5 {
        0 => (number(1, 3) & 0x1f_ffff, if cdb[4] == 0 { 256 } else { number(4, 1) }),
        1 => (number(2, 4), number(7, 2)),
        5 => (number(2, 4), number(6, 4)),
        _ => (number(2, 8), number(10, 4)),
    };
    Some((access, lba, blocks as u32))
}

/// A SAM status by its name (SAM-5, 5.3.1).
pub(super) fn status(status: u8) -> Text {
    let name = match status {
        0x00 => "GOOD",
        0x02 => "CHECK CONDITION",
        0x04 => "CONDITION MET",
        0x08 => "BUSY",
        0x18 => "RESERVATION CONFLICT",
        0x28 => "TASK SET FULL",
        0x40 => "TASK ABORTED",
        0xff => "REJECT",
        _ => return Text::Owned(format!("status {status:#04x}")),
    };
    name.into()
}

/// Sense key and additional sense code (SPC-4, 4.5.6).
pub(super) fn sense(key: u8, code: u16) -> String {
    const KEYS: [&str; 16] = [
        "NO SENSE",
        "RECOVERED ERROR",
        "NOT READY",
        "MEDIUM ERROR",
        "HARDWARE ERROR",
        "ILLEGAL REQUEST",
        "UNIT ATTENTION",
        "DATA PROTECT",
        "BLANK CHECK",
        "VENDOR SPECIFIC",
        "COPY ABORTED",
        "ABORTED COMMAND",
        "RESERVED",
        "VOLUME OVERFLOW",
        "MISCOMPARE",
        "COMPLETED",
    ];
    format!("{} {:02X}h/{:02X}h", KEYS[usize::from(key & 0x0f)], code >> 8, code & 0xff)
}

/// A task management function by its name (RFC 7143, 11.5.1).
pub(super) fn function(function: u8) -> Text {
    let name = match function {
        1 => "ABORT TASK",
        2 => "ABORT TASK SET",
        3 => "CLEAR ACA",
        4 => "CLEAR TASK SET",
        5 => "LOGICAL UNIT RESET",
        6 => "TARGET WARM RESET",
        7 => "TARGET COLD RESET",
        8 => "TASK REASSIGN",
        _ => return Text::Owned(format!("function {function}")),
    };
    name.into()
}

/// The response to a task management function (RFC 7143, 11.6.1).
pub(super) fn function_response(response: u8) -> Text {
    let name = match response {
        0 => "FUNCTION COMPLETE",
        1 => "TASK DOES NOT EXIST",
        2 => "LUN DOES NOT EXIST",
        3 => "TASK STILL ALLEGIANT",
        4 => "REASSIGNMENT NOT SUPPORTED",
        5 => "FUNCTION NOT SUPPORTED",
        6 => "AUTHORIZATION FAILED",
        255 => "FUNCTION REJECTED",
        _ => return Text::Owned(format!("response {response}")),
    };
    name.into()
}

/// A task attribute (RFC 7143, 11.3.1).
pub(super) fn attribute(attribute: u8) -> &'static str {
    match attribute {
        0 => "UNTAGGED",
        1 => "SIMPLE",
        2 => "ORDERED",
        3 => "HEAD OF QUEUE",
        4 => "ACA",
        _ => "reserved attribute",
    }
}
