//! Serial number arithmetic (RFC 1982, 32 bits) for CmdSN, StatSN and their bounds (RFC 7143, 4.2.2.1).

/// Whether `a` comes before `b`.
#[must_use]
pub fn before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

/// Whether `a` comes before `b` or is `b`.
#[must_use]
pub fn at_or_before(a: u32, b: u32) -> bool {
    a == b || before(a, b)
}

/// Whether `first <= value <= last`; an empty window is written `last == first - 1`.
#[must_use]
pub fn within(value: u32, first: u32, last: u32) -> bool {
    value.wrapping_sub(first) < last.wrapping_sub(first).wrapping_add(1)
}
