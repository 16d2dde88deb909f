//! Opcodes (RFC 7143, section 11.2.1.2).

use std::fmt;

/// The kind of a PDU: six bits. Unknown ones are kept, to be answered with a Reject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Opcode(pub u8);

macro_rules! opcodes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $words:literal;)*) => {
        impl Opcode {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The name that the RFC gives it, or "unknown".
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                    _ => "unknown",
                }
            }
        }
    };
}

opcodes! {
    /// NOP-Out.
    NOP_OUT = 0x00, "NOP-Out";
    /// SCSI Command.
    SCSI_COMMAND = 0x01, "SCSI Command";
    /// SCSI Task Management Function Request.
    TASK_MANAGEMENT_REQUEST = 0x02, "Task Management Function Request";
    /// Login Request.
    LOGIN_REQUEST = 0x03, "Login Request";
    /// Text Request.
    TEXT_REQUEST = 0x04, "Text Request";
    /// SCSI Data-Out.
    DATA_OUT = 0x05, "SCSI Data-Out";
    /// Logout Request.
    LOGOUT_REQUEST = 0x06, "Logout Request";
    /// SNACK Request.
    SNACK = 0x10, "SNACK Request";
    /// NOP-In.
    NOP_IN = 0x20, "NOP-In";
    /// SCSI Response.
    SCSI_RESPONSE = 0x21, "SCSI Response";
    /// SCSI Task Management Function Response.
    TASK_MANAGEMENT_RESPONSE = 0x22, "Task Management Function Response";
    /// Login Response.
    LOGIN_RESPONSE = 0x23, "Login Response";
    /// Text Response.
    TEXT_RESPONSE = 0x24, "Text Response";
    /// SCSI Data-In.
    DATA_IN = 0x25, "SCSI Data-In";
    /// Logout Response.
    LOGOUT_RESPONSE = 0x26, "Logout Response";
    /// Ready To Transfer.
    READY_TO_TRANSFER = 0x31, "Ready To Transfer";
    /// Asynchronous Message.
    ASYNC_MESSAGE = 0x32, "Asynchronous Message";
    /// Reject.
    REJECT = 0x3f, "Reject";
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#04x})", self.name(), self.0)
    }
}
