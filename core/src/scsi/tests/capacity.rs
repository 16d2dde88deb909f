//! READ CAPACITY.

use super::*;

#[test]
fn capacity_names_the_last_block() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(bench.good(&ten(0x25, 0, 0, 0)), [0, 0, 3, 0xff, 0, 0, 2, 0]);
    let mut expected = vec![0, 0, 0, 0, 0, 0, 3, 0xff, 0, 0, 2, 0, 0, 3];
    expected.resize(32, 0);
    assert_eq!(bench.good(&sixteen(0x9e, 0x10, 0, 32)), expected);
    assert_eq!(bench.good(&sixteen(0x9e, 0x10, 0, 12)), expected[..12]);
    assert_eq!(bench.good(&sixteen(0x9e, 0x10, 0, 0)), []);
}

#[test]
fn capacity_past_32_bits_sends_the_initiator_to_the_long_form() {
    let exactly = |blocks: u64| {
        let bench = Bench::with(BackendKind::Nullio { size_bytes: blocks * 512 }, IoMode::WriteThrough, 512);
        (bench.good(&ten(0x25, 0, 0, 0))[..4].to_vec(), bench.good(&sixteen(0x9e, 0x10, 0, 8)))
    };
    assert_eq!(exactly((1 << 32) - 1), (vec![0xff, 0xff, 0xff, 0xfe], vec![0, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe]));
    assert_eq!(exactly((1 << 32) + 1), (vec![0xff; 4], vec![0, 0, 0, 1, 0, 0, 0, 0]));
}

#[test]
fn partial_block_at_the_end_is_not_served() {
    let bench = Bench::with(BackendKind::Nullio { size_bytes: 4_096 * 3 - 1 }, IoMode::WriteThrough, 4_096);
    assert_eq!(bench.good(&ten(0x25, 0, 0, 0)), [0, 0, 0, 1, 0, 0, 16, 0]);
}

#[test]
fn address_without_pmi_is_refused() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(bench.check(&ten(0x25, 0, 1, 0)), illegal(0x2400, [0xc0, 0, 2]));
    assert_eq!(bench.good(&ten(0x25, 0, 1, 1)).len(), 8);
}
