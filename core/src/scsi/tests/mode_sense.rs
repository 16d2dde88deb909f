//! MODE SENSE, byte by byte.

use super::*;

const WRITE_THROUGH: u8 = 0x10;
const DISCONNECT: [u8; 16] = [0x02, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const CONTROL: [u8; 12] = [0x0a, 10, 0x20, 0x10, 0, 0, 0, 0, 0xff, 0xff, 0, 0];
const EXCEPTIONS: [u8; 12] = [0x1c, 10, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const DESCRIPTOR: [u8; 8] = [0, 0, 4, 0, 0, 0, 2, 0];

fn caching(wce: u8) -> Vec<u8> {
    let mut page = vec![0; 20];
    page[..3].copy_from_slice(&[0x08, 18, wce]);
    page
}

fn six(page: u8) -> [u8; 6] {
    [0x1a, 0x08, page, 0, 255, 0]
}

#[test]
fn six_byte_form_returns_all_pages_after_a_block_descriptor() {
    let bench = Bench::new(IoMode::WriteThrough);
    let pages = [DISCONNECT.as_slice(), &caching(0), &CONTROL, &EXCEPTIONS].concat();
    let expected = [&[3 + 8 + 60, 0, WRITE_THROUGH, 8], DESCRIPTOR.as_slice(), &pages].concat();
    assert_eq!(bench.good(&[0x1a, 0, 0x3f, 0, 255, 0]), expected);
    assert_eq!(bench.good(&[0x1a, 0, 0x3f, 0xff, 255, 0]), expected);
    assert_eq!(bench.good(&[0x1a, 0, 0xbf, 0, 255, 0]), expected, "default values are the current ones");
    assert_eq!(bench.good(&[0x1a, 0, 0x3f, 0, 20, 0]), expected[..20]);
}

#[test]
fn ten_byte_form_has_a_long_descriptor_on_demand() {
    let bench = Bench::new(IoMode::WriteThrough);
    let short = bench.good(&ten(0x5a, 0, 0x0a00_0000, 255));
    assert_eq!(short, [&[0, 26, 0, WRITE_THROUGH, 0, 0, 0, 8], DESCRIPTOR.as_slice(), &CONTROL].concat());
    let long = bench.good(&ten(0x5a, 0x10, 0x0a00_0000, 255));
    let descriptor = [0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    assert_eq!(long, [&[0, 34, 0, WRITE_THROUGH, 1, 0, 0, 16], descriptor.as_slice(), &CONTROL].concat());
    let none = bench.good(&ten(0x5a, 0x18, 0x0a00_0000, 255));
    assert_eq!(none, [&[0, 18, 0, WRITE_THROUGH, 0, 0, 0, 0], CONTROL.as_slice()].concat());
}

#[test]
fn short_descriptor_of_a_huge_medium_reads_all_ones() {
    let bench = Bench::with(BackendKind::Nullio { size_bytes: 1 << 45 }, IoMode::WriteThrough, 512);
    assert_eq!(bench.good(&[0x1a, 0, 0x0a, 0, 255, 0])[4..12], [0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0]);
}

#[test]
fn caching_page_and_write_protection_follow_the_mode() {
    for (mode, device_specific, wce) in
        [(IoMode::WriteThrough, 0x10, 0), (IoMode::WriteBack, 0x10, 4), (IoMode::ReadOnly, 0x90, 0)]
    {
        let expected = [&[23, 0, device_specific, 0], caching(wce).as_slice()].concat();
        assert_eq!(Bench::new(mode).good(&six(0x08)), expected);
    }
}

#[test]
fn nothing_is_changeable_and_nothing_is_saved() {
    let bench = Bench::new(IoMode::WriteBack);
    for (page, length) in [(0x02, 14), (0x08, 18), (0x0a, 10), (0x1c, 10)] {
        let bytes = bench.good(&six(0x40 | page));
        assert_eq!(bytes[4..6], [page, length]);
        assert!(bytes[6..].iter().all(|byte| *byte == 0));
    }
    assert_eq!(bench.check(&six(0xc8)), fixed(5, 0x3900));
    assert_eq!(bench.check(&ten(0x5a, 0, 0xff00_0000, 255)), fixed(5, 0x3900));
}

#[test]
fn unknown_pages_are_pointed_at() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(bench.check(&six(0x01)), illegal(0x2400, [0xcd, 0, 2]));
    assert_eq!(bench.check(&[0x1a, 0, 0x0a, 1, 255, 0]), illegal(0x2400, [0xc0, 0, 3]));
}
