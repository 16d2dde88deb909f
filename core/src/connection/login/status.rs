//! Login status (RFC 7143, section 11.13.5).

use std::fmt;

/// Status-Class in the high byte, Status-Detail in the low one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LoginStatus(pub u16);

impl LoginStatus {
    /// Login goes on, or is done.
    pub const SUCCESS: Self = Self(0x0000);
    /// The initiator made an error that has no status of its own.
    pub const INITIATOR_ERROR: Self = Self(0x0200);
    /// The initiator is not who it says, or offers no method of proving it that the target takes.
    pub const AUTHENTICATION_FAILURE: Self = Self(0x0201);
    /// The initiator may not use this target.
    pub const AUTHORIZATION_FAILURE: Self = Self(0x0202);
    /// There is no target of that name.
    pub const NOT_FOUND: Self = Self(0x0203);
    /// The target was removed.
    pub const TARGET_REMOVED: Self = Self(0x0204);
    /// The initiator wants another version of the protocol.
    pub const UNSUPPORTED_VERSION: Self = Self(0x0205);
    /// The session has all the connections it may have.
    pub const TOO_MANY_CONNECTIONS: Self = Self(0x0206);
    /// A mandatory key is missing.
    pub const MISSING_PARAMETER: Self = Self(0x0207);
    /// The session cannot take the connection.
    pub const CANNOT_INCLUDE_IN_SESSION: Self = Self(0x0208);
    /// There is no session type of that name.
    pub const SESSION_TYPE_NOT_SUPPORTED: Self = Self(0x0209);
    /// TSIH names no session of this initiator.
    pub const SESSION_DOES_NOT_EXIST: Self = Self(0x020a);
    /// A PDU that has no place in a login.
    pub const INVALID_DURING_LOGIN: Self = Self(0x020b);
    /// The target failed.
    pub const TARGET_ERROR: Self = Self(0x0300);
    /// The target is not operational now.
    pub const SERVICE_UNAVAILABLE: Self = Self(0x0301);
    /// The target has no room.
    pub const OUT_OF_RESOURCES: Self = Self(0x0302);

    /// What it means, in words for a log line.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::SUCCESS => "success",
            Self::INITIATOR_ERROR => "the initiator made an error",
            Self::AUTHENTICATION_FAILURE => "authentication failed, or no method in common",
            Self::AUTHORIZATION_FAILURE => "the initiator may not use this target",
            Self::NOT_FOUND => "there is no target of that name",
            Self::TARGET_REMOVED => "the target was removed",
            Self::UNSUPPORTED_VERSION => "another version of the protocol",
            Self::TOO_MANY_CONNECTIONS => "the session has all the connections it may have",
            Self::MISSING_PARAMETER => "a mandatory key is missing",
            Self::CANNOT_INCLUDE_IN_SESSION => "the session cannot take the connection",
            Self::SESSION_TYPE_NOT_SUPPORTED => "there is no session type of that name",
            Self::SESSION_DOES_NOT_EXIST => "there is no such session",
            Self::INVALID_DURING_LOGIN => "a PDU that has no place in a login",
            Self::TARGET_ERROR => "the target failed",
            Self::SERVICE_UNAVAILABLE => "the target is not operational now",
            Self::OUT_OF_RESOURCES => "the target has no room for another session",
            _ => "a status without a name",
        }
    }

    /// Status-Class.
    #[must_use]
    pub fn class(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// Status-Detail.
    #[must_use]
    pub fn detail(self) -> u8 {
        self.0.to_be_bytes()[1]
    }
}

impl fmt::Display for LoginStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}h", self.0)
    }
}
