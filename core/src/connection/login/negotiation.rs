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
    /// The key was a declaration that cannot be taken: the negotiation has failed (RFC 7143, section 7.10).
    Failure,
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
    let Some(bytes) = number(value, BYTES_RANGE) else { return Answer::Failure };
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OURS: Ours = Ours { max_recv_data_segment_bytes: 262_144, max_burst_bytes: 1 << 20, max_outstanding_r2t: 8 };

    /// A numeric key with our value, the range of the RFC's table, its function, and where the result is kept.
    type Numeric = (Key, u64, RangeInclusive<u64>, fn(u64, u64) -> u64, fn(&Negotiated) -> u64);

    fn numeric() -> impl Strategy<Value = Numeric> {
        let bytes = 512..=(1 << 24) - 1;
        let table: [Numeric; 7] = [
            (Key::MaxBurstLength, 1 << 20, bytes.clone(), u64::min, |agreed| agreed.max_burst_bytes.into()),
            (Key::FirstBurstLength, 262_144, bytes, u64::min, |agreed| agreed.first_burst_bytes.into()),
            (Key::MaxConnections, 1, 1..=65_535, u64::min, |agreed| agreed.max_connections.into()),
            (Key::MaxOutstandingR2T, 8, 1..=65_535, u64::min, |agreed| agreed.max_outstanding_r2t.into()),
            (Key::DefaultTime2Wait, 0, 0..=3_600, u64::max, |agreed| agreed.default_time2wait.into()),
            (Key::DefaultTime2Retain, 0, 0..=3_600, u64::min, |agreed| agreed.default_time2retain.into()),
            (Key::ErrorRecoveryLevel, 0, 0..=2, u64::min, |agreed| agreed.error_recovery_level.into()),
        ];
        proptest::sample::select(table.to_vec())
    }

    proptest! {
        #[test]
        fn number_comes_out_as_the_rfcs_function_or_is_rejected(
            (key, ours, range, function, result) in numeric(),
            offer in prop_oneof![0..5_000u64, 0..1u64 << 25],
            hexadecimal: bool,
        ) {
            let text = if hexadecimal { format!("{offer:#x}") } else { offer.to_string() };
            let mut agreed = Negotiated::default();
            let answer = negotiate(&mut agreed, &OURS, key, &text);
            if range.contains(&offer) {
                let expected = function(offer, ours);
                prop_assert_eq!(function(ours, offer), expected);
                prop_assert_eq!(answer, Answer::Value(expected.to_string()));
                prop_assert_eq!(result(&agreed), expected);
                prop_assert!(range.contains(&expected));
            } else {
                prop_assert_eq!(answer, Answer::Reject);
                prop_assert_eq!(agreed, Negotiated::default());
            }
        }

        #[test]
        fn any_value_of_any_key_leaves_legal_parameters(
            offers in proptest::collection::vec(
                (proptest::sample::select(Key::ALL.to_vec()), "\\PC{0,12}|[0-9]{1,9}|Yes|No|None|CRC32C"),
                0..20,
            ),
        ) {
            let mut agreed = Negotiated::default();
            for (key, value) in offers {
                negotiate(&mut agreed, &OURS, key, &value);
            }
            let bytes = BYTES_RANGE;
            prop_assert!(bytes.contains(&agreed.max_send_data_segment_bytes));
            prop_assert!(bytes.contains(&agreed.max_burst_bytes) && agreed.max_burst_bytes <= OURS.max_burst_bytes);
            prop_assert!(bytes.contains(&agreed.first_burst_bytes));
            prop_assert!((1..=8).contains(&agreed.max_outstanding_r2t));
            prop_assert!(agreed.max_connections == 1 && agreed.error_recovery_level == 0);
            prop_assert!(agreed.data_pdu_in_order && agreed.data_sequence_in_order);
        }

        #[test]
        fn boolean_is_symmetric(offer: bool) {
            let word = if offer { "Yes" } else { "No" };
            let mut agreed = Negotiated::default();
            for (key, expected) in [
                (Key::InitialR2T, offer),
                (Key::ImmediateData, offer),
                (Key::DataPDUInOrder, true),
                (Key::DataSequenceInOrder, true),
                (Key::OFMarker, false),
            ] {
                let answer = negotiate(&mut agreed, &OURS, key, word);
                prop_assert_eq!(answer, Answer::Value(if expected { "Yes" } else { "No" }.to_owned()));
            }
        }
    }
}
