//! What a peer did wrong.

use super::login::LoginStatus;
use crate::wire::WireError;

/// The peer broke the protocol. What becomes of it depends on the cause: a login answered with a status, a PDU answered
/// with a Reject, or a connection closed without a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A login that is refused; the connection is closed after the response.
    #[error("login refused ({status}): {cause}")]
    Login {
        /// What the Login Response says.
        status: LoginStatus,
        /// What is wrong, in words for a log line.
        cause: &'static str,
    },
    /// A PDU that is refused; the connection goes on.
    #[error("PDU rejected (reason {reason:#04x}): {cause}")]
    Rejected {
        /// What the Reject says: a constant of [`crate::wire::Reject`].
        reason: u8,
        /// What is wrong, in words for a log line.
        cause: &'static str,
    },
    /// Nothing that the peer sends from here on can be trusted: the connection is closed without an answer.
    #[error("{cause}")]
    Fatal {
        /// What is wrong, in words for a log line.
        cause: &'static str,
    },
}

impl ProtocolError {
    /// What the peer did, in words for a log line.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Login { cause, .. } | Self::Rejected { cause, .. } | Self::Fatal { cause } => cause,
        }
    }

    /// The login status to answer with, if the error belongs to a login.
    #[must_use]
    pub fn login_status(&self) -> Option<LoginStatus> {
        match self {
            Self::Login { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The reason to answer with in a Reject, if the error calls for one.
    #[must_use]
    pub fn reject_reason(&self) -> Option<u8> {
        match self {
            Self::Rejected { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}

/// What is wrong with malformed bytes, in words for a log line.
#[must_use]
pub fn describe(error: WireError) -> &'static str {
    match error {
        WireError::WrongOpcode { .. } => "unexpected opcode",
        WireError::Contradiction(what) => what,
        WireError::AhsLength => "additional header segment does not fit its lengths",
        WireError::TextUnterminated => "text does not end in NUL",
        WireError::TextWithoutEquals => "text is not of the form key=value",
        WireError::TextKey => "text has an illegal key name",
        WireError::TextValue => "text has an illegal value",
    }
}
