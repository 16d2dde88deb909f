//! INQUIRY and the vital product data pages, byte by byte.

use super::*;

fn vpd(bench: &Bench, page: u8) -> Vec<u8> {
    bench.good(&[0x12, 1, page, 0xff, 0xff, 0])
}

/// `head`, and zeros up to `length` bytes.
fn padded(head: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = head.to_vec();
    bytes.resize(length, 0);
    bytes
}

#[test]
fn standard_data_says_what_we_are() {
    let bench = Bench::new(IoMode::WriteThrough);
    let mut expected = padded(&[0x00, 0x00, 0x06, 0x12, 91, 0, 0, 0x02], 96);
    expected[8..36].copy_from_slice(b"QUINTAINVIRTUAL-DISK    0001");
    expected[58..66].copy_from_slice(&[0x00, 0xa0, 0x04, 0x60, 0x04, 0xc0, 0x09, 0x60]);
    assert_eq!(bench.good(&[0x12, 0, 0, 1, 4, 0]), expected);
}

#[test]
fn allocation_length_cuts_and_never_fails() {
    let bench = Bench::new(IoMode::WriteThrough);
    for length in 0..=255 {
        assert_eq!(bench.good(&[0x12, 0, 0, 0, length, 0]).len(), usize::from(length.min(96)));
        assert!(bench.good(&[0x12, 1, 0x83, 0, length, 0]).len() <= length.into());
    }
}

#[test]
fn wrong_fields_are_pointed_at() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(bench.check(&[0x12, 0, 1, 0, 255, 0]), illegal(0x2400, [0xc0, 0, 2]));
    assert_eq!(bench.check(&[0x12, 1, 0xb3, 0, 255, 0]), illegal(0x2400, [0xc0, 0, 2]));
    assert_eq!(bench.check(&[0x12, 2, 0, 0, 255, 0]), illegal(0x2400, [0xc9, 0, 1]));
}

#[test]
fn every_listed_page_exists_and_the_list_ascends() {
    let bench = Bench::new(IoMode::WriteThrough);
    let list = vpd(&bench, 0x00);
    assert_eq!(list, [0, 0x00, 0, 7, 0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2]);
    for page in &list[4..] {
        let bytes = vpd(&bench, *page);
        assert_eq!(bytes[..2], [0, *page]);
        assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), bytes.len() - 4);
    }
}

#[test]
fn serial_number_is_the_configured_one() {
    assert_eq!(vpd(&Bench::new(IoMode::WriteThrough), 0x80), b"\x00\x80\x00\x06S-0001");
}

#[test]
fn device_identification_names_unit_port_and_device() {
    let bench = Bench::new(IoMode::WriteThrough);
    let bytes = vpd(&bench, 0x83);
    let mut rest = &bytes[4..];
    let mut designators = Vec::new();
    while let [code_set, kind, 0, length, tail @ ..] = rest {
        let (value, tail) = tail.split_at(usize::from(*length));
        designators.push((*code_set, *kind, value));
        rest = tail;
    }
    assert_eq!(designators.len(), 5);
    assert_eq!(designators[0], (0x02, 0x01, &b"QUINTAINdisk-one"[..]));
    assert_eq!((designators[1].0, designators[1].1, designators[1].2.len()), (0x01, 0x03, 8));
    assert_eq!(designators[2], (0x51, 0x94, &[0, 0, 0, 1][..]));
    assert_eq!(designators[3], (0x53, 0x98, &b"iqn.2026-01.com.example:disk,t,0x0001\0\0\0"[..]));
    assert_eq!(designators[4], (0x53, 0xa8, &b"iqn.2026-01.com.example:disk\0\0\0\0"[..]));
}

#[test]
fn extended_inquiry_data_admits_a_volatile_cache() {
    for (mode, volatile) in [(IoMode::WriteThrough, 0), (IoMode::WriteBack, 1)] {
        assert_eq!(vpd(&Bench::new(mode), 0x86), padded(&[0, 0x86, 0, 60, 0, 0x07, volatile], 64));
    }
}

#[test]
fn block_limits_are_those_that_are_enforced() {
    let bench = Bench::new(IoMode::WriteThrough);
    // A granularity of 8 blocks, at most 1,024 blocks in a transfer, best 128.
    let expected = padded(&[0, 0xb0, 0, 60, 0, 0, 0, 8, 0, 0, 4, 0, 0, 0, 0, 128], 64);
    assert_eq!(vpd(&bench, 0xb0), expected);
}

#[test]
fn remaining_block_device_pages_are_plain() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(vpd(&bench, 0xb1), padded(&[0, 0xb1, 0, 60, 0, 1], 64));
    assert_eq!(vpd(&bench, 0xb2), [0, 0xb2, 0, 4, 0, 0, 0, 0]);
}
