//! SAM status codes (SAM-5, section 5.3.1).

/// A status byte; unknown values are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status(pub u8);

impl Status {
    /// The command ended well.
    pub const GOOD: Self = Self(0x00);
    /// Sense data says what is wrong.
    pub const CHECK_CONDITION: Self = Self(0x02);
    /// Come again later.
    pub const BUSY: Self = Self(0x08);
    /// Another nexus holds a reservation.
    pub const RESERVATION_CONFLICT: Self = Self(0x18);
    /// The task set has no room while it has tasks of this nexus.
    pub const TASK_SET_FULL: Self = Self(0x28);
    /// Another nexus aborted the command and TAS is one.
    pub const TASK_ABORTED: Self = Self(0x40);
}
