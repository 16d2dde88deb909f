//! The result function of every operational key (RFC 7143, sections 6.2 and 13).

use std::ops::RangeInclusive;

use super::keys::Key;
use super::parameters::{Negotiated, Ours};

/// The range of the keys that count bytes.
pub const BYTES_RANGE: RangeInclusive<u32> = 512..=0x00ff_ffff;

/// What is said to an offer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The result, which holds for both sides.
    Value(String),
    /// Nothing: the key was a declaration.
    Silence,
    /// The value is not one that the key can have. What held before still holds.
    Reject,
}

/// Takes an operational key's `value` into `agreed` and says what to answer. Keys that are no operational ones get
/// [`Answer::Reject`].
pub fn negotiate(agreed: &mut Negotiated, ours: &Ours, key: Key, value: &str) -> Answer {
    match key {
        Key::HeaderDigest => digest(&mut agreed.header_digest, value),
        Key::DataDigest => digest(&mut agreed.data_digest, value),
        Key::InitialR2T => either(&mut agreed.initial_r2t, false, value),
        Key::ImmediateData => both(&mut agreed.immediate_data, true, value),
        Key::DataPDUInOrder => either(&mut agreed.data_pdu_in_order, true, value),
        Key::DataSequenceInOrder => either(&mut agreed.data_sequence_in_order, true, value),
        Key::MaxRecvDataSegmentLength => declare_segment(agreed, value),
        Key::MaxBurstLength => burst(&mut agreed.max_burst_bytes, ours.max_burst_bytes, value),
        Key::FirstBurstLength => {
            let most = ours.max_burst_bytes.min(agreed.max_burst_bytes);
            burst(&mut agreed.first_burst_bytes, most, value)
        }
        Key::MaxConnections => smaller(&mut agreed.max_connections, 1, 1..=u16::MAX, value),
        Key::MaxOutstandingR2T => {
            smaller(&mut agreed.max_outstanding_r2t, ours.max_outstanding_r2t, 1..=u16::MAX, value)
        }
        Key::DefaultTime2Retain => smaller(&mut agreed.default_time2retain, 0, 0..=3_600, value),
        Key::DefaultTime2Wait => settle(&mut agreed.default_time2wait, number(value, 0..=3_600)),
        Key::ErrorRecoveryLevel => smaller(&mut agreed.error_recovery_level, 0, 0..=2, value),
        Key::OFMarker | Key::IFMarker => both(&mut false, false, value),
        Key::TaskReporting if lists(value, "RFC3720") => Answer::Value("RFC3720".to_owned()),
        // Level 1 is RFC 7143; level 2 would promise the task management functions of RFC 7144.
        Key::ISCSIProtocolLevel => smaller(&mut 1, 1, 0..=31, value),
        _ => Answer::Reject,
    }
}

/// Whether `item` is one of the comma-separated `list`.
#[must_use]
pub fn lists(list: &str, item: &str) -> bool {
    list.split(',').any(|listed| listed == item)
}

/// A number as text: decimal, or hexadecimal after `0x`. `None` when it is neither or out of `range`.
#[must_use]
pub fn number<T: TryFrom<u64> + PartialOrd>(text: &str, range: RangeInclusive<T>) -> Option<T> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` alone would take a plus sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let value = T::try_from(u64::from_str_radix(digits, radix).ok()?).ok()?;
    range.contains(&value).then_some(value)
}

/// MaxRecvDataSegmentLength of the peer: a declaration.
fn declare_segment(agreed: &mut Negotiated, value: &str) -> Answer {
    let Some(bytes) = number(value, BYTES_RANGE) else { return Answer::Reject };
    let ignored = crate::planted!(SegmentLimitIgnored);
    agreed.max_send_data_segment_bytes = if ignored { 256 * 1024 } else { bytes };
    Answer::Silence
}

/// A digest list in the peer's order of preference: the first that we know.
fn digest(slot: &mut bool, value: &str) -> Answer {
    let known = value.split(',').find_map(|method| match method {
        "CRC32C" => Some(true),
        "None" => Some(false),
        _ => None,
    });
    match known {
        None => Answer::Reject,
        Some(crc32c) => {
            *slot = crc32c;
            Answer::Value(if crc32c { "CRC32C" } else { "None" }.to_owned())
        }
    }
}

/// The OR function.
fn either(slot: &mut bool, ours: bool, value: &str) -> Answer {
    truth(slot, yes(value).map(|theirs| theirs || ours))
}

/// The AND function.
fn both(slot: &mut bool, ours: bool, value: &str) -> Answer {
    truth(slot, yes(value).map(|theirs| theirs && ours))
}

fn truth(slot: &mut bool, result: Option<bool>) -> Answer {
    let Some(result) = result else { return Answer::Reject };
    *slot = result;
    Answer::Value(if result { "Yes" } else { "No" }.to_owned())
}

fn yes(value: &str) -> Option<bool> {
    match value {
        "Yes" => Some(true),
        "No" => Some(false),
        _ => None,
    }
}

/// The minimum function.
fn smaller<T: TryFrom<u64> + Ord + Copy + ToString>(
    slot: &mut T,
    ours: T,
    range: RangeInclusive<T>,
    value: &str,
) -> Answer {
    settle(slot, number(value, range).map(|theirs| theirs.min(ours)))
}

/// The minimum function of the keys that bound a burst.
fn burst(slot: &mut u32, ours: u32, value: &str) -> Answer {
    let theirs = number(value, BYTES_RANGE);
    if crate::planted!(NegotiationTakesMaximum) {
        return settle(slot, theirs.map(|theirs| theirs.max(ours)));
    }
    settle(slot, theirs.map(|theirs| theirs.min(ours)))
}

fn settle<T: Copy + ToString>(slot: &mut T, result: Option<T>) -> Answer {
    let Some(result) = result else { return Answer::Reject };
    *slot = result;
    Answer::Value(result.to_string())
}
