//! What went wrong at the device.

use std::io::{self, ErrorKind};

/// Why a back end did not do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The device reported an error.
    #[error("the device reported an input/output error")]
    Io,
    /// A transfer came to no end, however often it was carried on. The device reported no data as lost.
    #[error("the device did not finish a transfer")]
    Unfinished,
    /// There is no space left to write to, or the quota is used up.
    #[error("no space is left on the device")]
    NoSpace,
    /// The device takes no writes.
    #[error("the device is read-only")]
    ReadOnly,
    /// The device is not there any more.
    #[error("the device is gone")]
    Gone,
    /// A flush failed, now or earlier: acknowledged data may be lost, and nothing can prove the contrary.
    #[error("a flush failed; data that was acknowledged before it may be lost")]
    FlushFailed,
}

/// ENXIO and ENODEV have no [`ErrorKind`]; they have these numbers on every Unix that we know of.
const ENXIO: i32 = 6;
const ENODEV: i32 = 19;

impl From<io::Error> for BackendError {
    fn from(error: io::Error) -> Self {
        match (error.kind(), error.raw_os_error()) {
            (ErrorKind::StorageFull | ErrorKind::QuotaExceeded, _) => Self::NoSpace,
            (ErrorKind::ReadOnlyFilesystem, _) => Self::ReadOnly,
            (ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::WriteZero | ErrorKind::UnexpectedEof, _) => {
                Self::Unfinished
            }
            (_, Some(ENXIO | ENODEV)) => Self::Gone,
            _ => Self::Io,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_map_to_their_cause() {
        for (number, expected) in [
            (5, BackendError::Io),
            (4, BackendError::Unfinished),
            (11, BackendError::Unfinished),
            (28, BackendError::NoSpace),
            (122, BackendError::NoSpace),
            (30, BackendError::ReadOnly),
            (6, BackendError::Gone),
            (19, BackendError::Gone),
            (22, BackendError::Io),
        ] {
            assert_eq!(BackendError::from(io::Error::from_raw_os_error(number)), expected, "errno {number}");
        }
    }
}
