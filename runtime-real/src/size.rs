//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, read and shown with a unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(u64);

impl Size {
    /// From bytes.
    #[must_use]
    pub fn of_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// Why something is not a size.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// It is not a number with a unit.
    #[error("write a whole number and a unit, like 512MiB, 1GiB or 2TiB (a bare number is in bytes)")]
    Format,
    /// It is more than an offset in a file can be.
    #[error("that is more than a file can have")]
    Large,
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start().to_ascii_lowercase();
        let unit_bytes = UNITS.iter().find(|(name, _)| *name == unit).ok_or(SizeError::Format)?.1;
        if number.is_empty() {
            return Err(SizeError::Format);
        }
        let number: u64 = number.parse().map_err(|_| SizeError::Large)?;
        match number.checked_mul(unit_bytes) {
            Some(bytes) if i64::try_from(bytes).is_ok() => Ok(Self(bytes)),
            _ => Err(SizeError::Large),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match shown.iter().find(|(bytes, _)| self.0 != 0 && self.0.is_multiple_of(*bytes)) {
            Some((bytes, unit)) => write!(f, "{} {unit}", self.0 / bytes),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// Units in lower case. A letter alone means the power of two, as truncate(1) and qemu-img(1) read it.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_with_a_unit_is_read() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("1GiB", 1 << 30), ("1g", 1 << 30), ("20 MiB", 20 << 20), ("1MB", 1_000_000)]
        {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in ["", "GiB", "1.5GiB", "-1", "1XiB", "one"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::Format), "{text}");
        }
        for text in ["99999999999999999999", "9000000TiB", "9223372036854775808"] {
            assert_eq!(text.parse::<Size>(), Err(SizeError::Large), "{text}");
        }
    }

    #[test]
    fn size_is_shown_in_its_largest_whole_unit() {
        assert_eq!(Size(3 << 30).to_string(), "3 GiB");
        assert_eq!(Size(1_536 << 10).to_string(), "1536 KiB");
        assert_eq!(Size(1_000).to_string(), "1000 bytes");
        assert_eq!(Size(0).to_string(), "0 bytes");
    }
}
