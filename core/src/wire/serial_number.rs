//! Serial number arithmetic (RFC 1982 with SERIAL_BITS 32): the only place where sequence numbers compare.

use std::fmt;

/// CmdSN, StatSN, DataSN or R2TSN. It wraps, so it has no total order and is no `Ord`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SerialNumber(pub u32);

impl SerialNumber {
    /// Whether `self` comes before `other`, that is by 1 to 2^31 - 1.
    ///
    /// RFC 1982 leaves two numbers exactly 2^31 apart without an order; here neither precedes the other. So a check
    /// that a number lies inside a window must ask what it *is*, never conclude it from what it is not.
    #[must_use]
    pub fn precedes(self, other: Self) -> bool {
        self.distance_to(other) > 0
    }

    /// The number `steps` further on. RFC 1982 defines this up to 2^31 - 1; more comes out before `self`.
    #[must_use]
    pub fn plus(self, steps: u32) -> Self {
        Self(self.0.wrapping_add(steps))
    }

    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// Steps from `self` to `other`, negative when `other` comes first. `i32::MIN` is the undefined case: exactly
    /// 2^31 either way.
    #[must_use]
    pub fn distance_to(self, other: Self) -> i32 {
        other.0.wrapping_sub(self.0).cast_signed()
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SerialNumber;

    proptest! {
        #[test]
        fn sum_within_half_the_circle_comes_after(start: u32, steps in 1..=i32::MAX as u32) {
            let start = SerialNumber(start);
            let end = start.plus(steps);
            prop_assert!(start.precedes(end));
            prop_assert!(!end.precedes(start));
            prop_assert_eq!(start.distance_to(end), steps as i32);
            prop_assert_eq!(end.distance_to(start), -(steps as i32));
        }

        #[test]
        fn number_half_the_circle_away_has_no_order(start: u32) {
            let start = SerialNumber(start);
            let opposite = start.plus(1 << 31);
            prop_assert!(!start.precedes(opposite) && !opposite.precedes(start));
            prop_assert_eq!(start.distance_to(opposite), i32::MIN);
        }

        #[test]
        fn number_does_not_precede_itself_and_precedes_its_next(number: u32) {
            let number = SerialNumber(number);
            prop_assert!(!number.precedes(number));
            prop_assert!(number.precedes(number.next()));
        }
    }
}
