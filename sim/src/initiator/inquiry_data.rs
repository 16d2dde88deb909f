//! INQUIRY data, decoded (SPC-4, sections 6.6.2 and 7.8; SBC-3, section 6.5).

/// What a logical unit says of itself in one answer that came whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum InquiryData {
    /// Standard INQUIRY data: the T10 vendor identification.
    Standard([u8; 8]),
    /// 00h, Supported VPD Pages.
    Pages(Vec<u8>),
    /// 80h, Unit Serial Number.
    Serial(Vec<u8>),
    /// 83h, Device Identification.
    Designators(Vec<Designator>),
    /// B0h, Block Limits.
    Limits(BlockLimits),
    /// B1h, Block Device Characteristics: MEDIUM ROTATION RATE.
    Rotation(u16),
    /// B2h, Logical Block Provisioning.
    Provisioning {
        /// LBPU, LBPWS or LBPWS10: blocks can be unmapped.
        unmaps: bool,
        /// PROVISIONING TYPE.
        kind: u8,
    },
    /// Any other page.
    Other,
}

/// A designation descriptor (SPC-4, section 7.8.6).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Designator {
    /// 0: the logical unit, 1: its port, 2: the target.
    pub(super) association: u8,
    /// DESIGNATOR TYPE.
    pub(super) kind: u8,
    pub(super) value: Vec<u8>,
}

/// Lengths are in blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BlockLimits {
    pub(super) compare_and_write_max: u8,
    pub(super) granularity: u16,
    pub(super) transfer_max: u32,
    pub(super) transfer_optimal: u32,
    pub(super) unmap_max: u32,
}

/// Designator types.
pub(super) mod designator {
    pub(in super::super) const T10_VENDOR_ID: u8 = 1;
    pub(in super::super) const NAA: u8 = 3;
    pub(in super::super) const SCSI_NAME_STRING: u8 = 8;
}

/// How long `data` says it is, all in all; nothing when so little of it came that it does not.
pub(super) fn told_length(page: Option<u8>, data: &[u8]) -> Option<usize> {
    match (page, data) {
        (Some(_), [_, _, high, low, ..]) => Some(4 + usize::from(u16::from_be_bytes([*high, *low]))),
        (None, [_, _, _, _, additional, ..]) => Some(5 + usize::from(*additional)),
        _ => None,
    }
}

/// `data`, cut to `allocation` bytes, are of this device and page, and as long as they say.
pub(super) fn check_frame(device: u8, page: Option<u8>, data: &[u8], allocation: usize) -> Result<(), String> {
    let fits = data.len() <= allocation
        && told_length(page, data).is_none_or(|length| data.len() == length.min(allocation))
        && data.first().is_none_or(|&told| told == device)
        && page.is_none_or(|page| data.get(1).is_none_or(|&told| told == page));
    if fits { Ok(()) } else { Err(format!("this is not what INQUIRY asked for: {data:02x?}")) }
}

/// Decodes the whole of `page`, or of standard data. Nothing when it is malformed.
pub(super) fn decode(page: Option<u8>, data: &[u8]) -> Option<InquiryData> {
    let Some(page) = page else { return Some(InquiryData::Standard(*data.get(8..)?.first_chunk()?)) };
    let body = data.get(4..)?;
    Some(match page {
        0x00 => InquiryData::Pages(body.to_vec()),
        0x80 => InquiryData::Serial(body.to_vec()),
        0x83 => InquiryData::Designators(designators(body)?),
        0xb0 => InquiryData::Limits(limits(data.first_chunk()?)),
        0xb1 => InquiryData::Rotation(u16::from_be_bytes(*data.first_chunk::<64>()?[4..].first_chunk()?)),
        0xb2 => InquiryData::Provisioning { unmaps: body.get(1)? & 0xe0 != 0, kind: body.get(2)? & 0x07 },
        _ => InquiryData::Other,
    })
}

/// Descriptors follow one another to the end; those of ports and targets name iSCSI.
fn designators(mut rest: &[u8]) -> Option<Vec<Designator>> {
    const PIV: u8 = 0x80;
    const ISCSI: u8 = 0x5;
    let mut designators = Vec::new();
    while let [protocol, kind, _, length, body @ ..] = rest {
        let (value, behind) = body.split_at_checked(usize::from(*length))?;
        let association = kind >> 4 & 0x3;
        if value.is_empty() || (association != 0) != (kind & PIV != 0 && protocol >> 4 == ISCSI) {
            return None;
        }
        designators.push(Designator { association, kind: kind & 0xf, value: value.to_vec() });
        rest = behind;
    }
    rest.is_empty().then_some(designators)
}

fn limits(page: &[u8; 64]) -> BlockLimits {
    let u32_at = |at: usize| u32::from_be_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
    BlockLimits {
        compare_and_write_max: page[5],
        granularity: u16::from_be_bytes([page[6], page[7]]),
        transfer_max: u32_at(8),
        transfer_optimal: u32_at(12),
        unmap_max: u32_at(20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn designators_follow_one_another_to_the_end() {
        let page = [0, 0x83, 0, 17, 1, 3, 0, 2, 0x30, 7, 0x53, 0x98, 0, 7, b'i', b'q', b'n', 0, 0, 0, 0];
        let Some(InquiryData::Designators(found)) = decode(Some(0x83), &page) else { panic!("it is sound") };
        let of = |association, kind, value: &[u8]| Designator { association, kind, value: value.to_vec() };
        assert_eq!(found, [of(0, 3, &[0x30, 7]), of(1, 8, b"iqn\0\0\0\0")]);
        assert_eq!(decode(Some(0x83), &page[..20]), None, "the last one is cut");
        let nameless = [0, 0x83, 0, 6, 1, 0x18, 0, 2, b'i', 0];
        assert_eq!(decode(Some(0x83), &nameless), None, "a port of no protocol");
    }

    #[test]
    fn fields_are_where_the_standards_have_them() {
        let mut page = [0; 64];
        page[..4].copy_from_slice(&[0, 0xb0, 0, 60]);
        page[5..16].copy_from_slice(&[9, 0, 8, 0, 0, 0x20, 0, 0, 0, 2, 0]);
        page[23] = 4;
        let limits = BlockLimits {
            compare_and_write_max: 9,
            granularity: 8,
            transfer_max: 0x2000,
            transfer_optimal: 0x200,
            unmap_max: 4,
        };
        assert_eq!(decode(Some(0xb0), &page), Some(InquiryData::Limits(limits)));
        assert_eq!(decode(Some(0xb0), &page[..60]), None);
        let provisioning = decode(Some(0xb2), &[0, 0xb2, 0, 4, 0, 0x80, 2, 0]);
        assert_eq!(provisioning, Some(InquiryData::Provisioning { unmaps: true, kind: 2 }));
        assert_eq!((told_length(Some(0xb2), &[0, 0xb2, 0, 4]), told_length(None, &[0; 4])), (Some(8), None));
    }
}
