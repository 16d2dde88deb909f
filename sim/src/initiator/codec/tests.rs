//! The codec against bytes written down from the RFC's tables.

use super::*;
use proptest::prelude::*;

const BOTH: Digests = Digests { header: true, data: true };

fn decode_all(bytes: &[u8], digests: Digests, chunk: usize) -> Vec<RawPdu> {
    let mut decoder = Decoder::new(1 << 24);
    decoder.set_digests(digests);
    let mut pdus = Vec::new();
    for part in bytes.chunks(chunk) {
        decoder.feed(part);
        while let Some(pdu) = decoder.next_pdu().unwrap() {
            pdus.push(pdu);
        }
    }
    assert_eq!(decoder.pending_bytes(), 0);
    pdus
}

#[test]
fn write_command_has_the_bytes_of_the_table() {
    let cdb = [0x2a, 0, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let mut pdu = RawPdu::scsi_command(0x80 | 0x20 | 1, 3, 0x1122_3344, 512, &cdb).sequenced(7, 9);
    pdu.data = vec![0xab; 5];
    #[rustfmt::skip]
    let expected = [
        0x01, 0xa1, 0, 0, 0, 0, 0, 5,
        0, 3, 0, 0, 0, 0, 0, 0,
        0x11, 0x22, 0x33, 0x44, 0, 0, 2, 0,
        0, 0, 0, 7, 0, 0, 0, 9,
        0x2a, 0, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
        0xab, 0xab, 0xab, 0xab, 0xab, 0, 0, 0,
    ];
    assert_eq!(pdu.encode(Digests::default()), expected);
}

#[test]
fn login_request_has_the_bytes_of_the_table() {
    let flags = 0x80 | 1 << 2 | 3;
    let bytes = RawPdu::login(flags, [0x80, 1, 2, 3, 4, 5], 0x0607, 8, 9, b"a=b\0".to_vec()).sequenced(1, 0);
    #[rustfmt::skip]
    let expected = [
        0x43, 0x87, 0, 0, 0, 0, 0, 4,
        0x80, 1, 2, 3, 4, 5, 6, 7,
        0, 0, 0, 8, 0, 9, 0, 0,
        0, 0, 0, 1, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        b'a', b'=', b'b', 0,
    ];
    assert_eq!(bytes.encode(Digests::default()), expected);
}

#[test]
fn digest_goes_out_with_its_least_significant_byte_first() {
    // RFC 7143, appendix A.4: CRC32C of 32 zero bytes is aa 36 91 8a as it is transmitted.
    assert_eq!(crc32c::crc32c(&[0; 32]).to_le_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
    let mut pdu = RawPdu::new(opcode::NOP_OUT);
    pdu.data = vec![0; 30];
    let bytes = pdu.encode(BOTH);
    assert_eq!(bytes.len(), 48 + 4 + 32 + 4);
    assert_eq!(bytes[84..], [0xaa, 0x36, 0x91, 0x8a]);
}

#[test]
fn data_in_fields_are_read_at_their_offsets() {
    let mut pdu = RawPdu::new(opcode::DATA_IN);
    pdu.bhs[1] = 0x80 | 0x02 | 0x01;
    pdu.bhs[3] = 0x08;
    for at in [16, 20, 24, 28, 32, 36, 40, 44] {
        pdu.set_u32(at, at as u32);
    }
    assert!(pdu.is_final() && pdu.has_status() && pdu.residual_underflow() && !pdu.residual_overflow());
    assert_eq!(pdu.status(), 0x08);
    let numbers = [
        pdu.initiator_task_tag(),
        pdu.target_transfer_tag(),
        pdu.stat_sn(),
        pdu.exp_cmd_sn(),
        pdu.max_cmd_sn(),
        pdu.data_sn(),
        pdu.buffer_offset(),
        pdu.residual(),
    ];
    assert_eq!(numbers, [16, 20, 24, 28, 32, 36, 40, 44]);
}

#[test]
fn wrong_digest_is_reported_in_the_pdu() {
    let mut pdu = RawPdu::new(opcode::NOP_OUT);
    pdu.data = vec![1, 2, 3];
    let good = pdu.encode(BOTH);
    for (at, header_ok, data_ok) in [(20, false, true), (49, false, true), (53, true, false), (57, true, false)] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let pdus = decode_all(&bytes, BOTH, 1_000);
        assert_eq!((pdus[0].header_digest_ok, pdus[0].data_digest_ok), (Some(header_ok), Some(data_ok)), "byte {at}");
    }
}

#[test]
fn data_segment_over_the_limit_ends_the_stream() {
    let mut pdu = RawPdu::new(opcode::NOP_IN);
    pdu.data = vec![0; 513];
    let mut decoder = Decoder::new(512);
    decoder.feed(pdu.encode(Digests::default()));
    assert!(matches!(decoder.next_pdu(), Err(DecodeError::DataTooLong { actual: 513, limit: 512, .. })));
}

#[test]
fn sense_is_found_behind_its_length() {
    let mut pdu = RawPdu::new(opcode::SCSI_RESPONSE);
    assert_eq!(pdu.sense(), None);
    pdu.data = vec![0, 2, 0x70, 0];
    assert_eq!(pdu.sense(), Some(&[0x70, 0][..]));
    pdu.data = vec![0, 3, 0x70, 0];
    assert_eq!(pdu.sense(), None);
}

#[test]
fn serial_numbers_compare_across_the_wrap() {
    assert!(serial::before(u32::MAX, 0) && !serial::before(0, u32::MAX));
    assert!(serial::at_or_before(5, 5) && !serial::before(5, 5));
    assert!(serial::within(1, u32::MAX, 2) && serial::within(u32::MAX, u32::MAX, 2) && !serial::within(3, u32::MAX, 2));
    assert!(!serial::within(7, 7, 6), "a closed window holds nothing");
}

#[test]
fn text_without_nul_or_equals_sign_is_refused() {
    assert!(text::decode(b"a=b").is_err());
    assert!(text::decode(b"ab\0").is_err());
    assert_eq!(
        text::decode(b"a=\0b=c=d\0").unwrap(),
        [("a".to_owned(), String::new()), ("b".to_owned(), "c=d".to_owned())]
    );
}

proptest! {
    #[test]
    fn pdus_survive_any_cut(
        pdus in proptest::collection::vec((0_u8..0x40, 0_usize..5, proptest::collection::vec(any::<u8>(), 0..70)), 1..6),
        header in any::<bool>(),
        data in any::<bool>(),
        chunk in 1_usize..100,
    ) {
        let digests = Digests { header, data };
        let mut bytes = Vec::new();
        for (opcode, words, data) in &pdus {
            let mut pdu = RawPdu::new(*opcode);
            pdu.ahs = vec![*opcode; words * 4];
            pdu.data.clone_from(data);
            bytes.extend(pdu.encode(digests));
        }
        let decoded = decode_all(&bytes, digests, chunk);
        prop_assert_eq!(decoded.len(), pdus.len());
        for (pdu, (opcode, words, data)) in decoded.iter().zip(&pdus) {
            prop_assert_eq!(pdu.opcode(), *opcode);
            prop_assert_eq!(pdu.ahs.len(), words * 4);
            prop_assert_eq!(&pdu.data, data);
            prop_assert!(pdu.pad.iter().all(|&byte| byte == 0));
            prop_assert_ne!(pdu.header_digest_ok, Some(false));
            prop_assert_ne!(pdu.data_digest_ok, Some(false));
        }
    }
}
