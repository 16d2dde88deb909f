//! Stage 1: bytes to PDU and back, without state (RFC 7143, section 11). One file per PDU.
//!
//! A PDU is a 48-byte basic header segment ([`Bhs`]), additional header segments, a header digest, a data segment
//! padded to four bytes, and a data digest. Only the BHS has a type per opcode here; the other parts are bytes whose
//! lengths the BHS tells. `parse` ignores reserved bits, `to_bhs` sends them as zero.

pub mod ahs;
mod async_message;
mod bhs;
mod data_in;
mod data_out;
pub mod digest;
mod error;
mod login_request;
mod login_response;
mod logout_request;
mod logout_response;
mod nop_in;
mod nop_out;
mod opcode;
mod ready_to_transfer;
mod reject;
mod scsi_command;
mod scsi_response;
mod serial_number;
mod snack;
mod task_management_request;
mod task_management_response;
pub mod text;
mod text_request;
mod text_response;

#[cfg(test)]
mod tests;

pub use async_message::AsyncMessage;
pub use bhs::Bhs;
pub use data_in::DataIn;
pub use data_out::DataOut;
pub use error::WireError;
pub use login_request::LoginRequest;
pub use login_response::LoginResponse;
pub use logout_request::LogoutRequest;
pub use logout_response::LogoutResponse;
pub use nop_in::NopIn;
pub use nop_out::NopOut;
pub use opcode::Opcode;
pub use ready_to_transfer::ReadyToTransfer;
pub use reject::Reject;
pub use scsi_command::ScsiCommand;
pub use scsi_response::ScsiResponse;
pub use serial_number::SerialNumber;
pub use snack::Snack;
pub use task_management_request::TaskManagementRequest;
pub use task_management_response::TaskManagementResponse;
pub use text_request::TextRequest;
pub use text_response::TextResponse;

/// Length of a basic header segment in bytes.
pub const BHS_BYTES: usize = 48;

/// Pad bytes after `len` bytes of data segment: 0 to 3 (RFC 7143, section 11.1).
#[must_use]
pub fn padding(len: usize) -> usize {
    len.wrapping_neg() & 3
}

/// The bit that most PDUs call F and login calls T; fixed to one where it means nothing.
const FINAL: u8 = 0x80;
/// The C bit of text and login PDUs: the text goes on in the next PDU.
const CONTINUE: u8 = 0x40;

/// `bit` when `on`, else nothing: how flag bytes are put together.
fn flag(on: bool, bit: u8) -> u8 {
    if on { bit } else { 0 }
}
