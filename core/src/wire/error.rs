//! What is wrong with bytes.

use super::Opcode;

/// Bytes that are no PDU, no AHS chain or no text: the peer's codec is at fault, or the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A BHS was given to the parser of another PDU.
    #[error("expected {expected}, found {found}")]
    WrongOpcode {
        /// What the parser is for.
        expected: Opcode,
        /// What the BHS says.
        found: Opcode,
    },
    /// Two fields of a PDU contradict each other (Reject: Invalid PDU field).
    #[error("contradictory fields: {0}")]
    Contradiction(&'static str),
    /// An AHSLength of zero, or one that goes past TotalAHSLength.
    #[error("an additional header segment does not fit its lengths")]
    AhsLength,
    /// A text without its closing NUL.
    #[error("text does not end in NUL")]
    TextUnterminated,
    /// A text without an equals sign.
    #[error("text is not of the form key=value")]
    TextWithoutEquals,
    /// A key name that is empty, longer than 63 bytes, or has characters that no key name may have.
    #[error("text has an illegal key name")]
    TextKey,
    /// A value longer than 8,192 bytes, or not UTF-8.
    #[error("text has an illegal value")]
    TextValue,
}
