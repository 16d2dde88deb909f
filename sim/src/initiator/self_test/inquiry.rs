//! INQUIRY data of the small target (SPC-4, sections 6.6.2 and 7.8; SBC-3, section 6.5), and the ways to get them wrong.

use super::TARGET;
use super::small_target::Deviation;

/// MAXIMUM TRANSFER LENGTH, in blocks: more than any initiator moves at once that does not mean to.
pub(super) const TRANSFER_MAX: u16 = 1_000;

/// The pages that there are.
pub(super) const PAGES: [u8; 7] = [0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2];

/// The data of `lun`, or of a LUN without a logical unit; `asked` is how often somebody has asked for any.
pub(super) fn data(lun: Option<u16>, page: Option<u8>, deviation: Option<Deviation>, asked: u32) -> Vec<u8> {
    let deviates = |wanted| deviation == Some(wanted);
    let device = if lun.is_some() { 0x00 } else { 0x7f };
    let number = lun.unwrap_or(0) as u8;
    let Some(page) = page else {
        let mut data = vec![device, 0, 6, 2, 31];
        data.resize(36, b' ');
        data[8..13].copy_from_slice(if deviates(Deviation::VendorOther) { b"Other" } else { b"Small" });
        return data;
    };
    let mut body = match page {
        0x00 if lun.is_none() => vec![0x00],
        0x00 if deviates(Deviation::PageMissing) => PAGES[..6].to_vec(),
        0x00 if deviates(Deviation::PageAbsent) => [&PAGES[..4], &[0x87], &PAGES[4..]].concat(),
        0x00 => PAGES.to_vec(),
        0x80 if deviates(Deviation::SerialShared) => b"0".to_vec(),
        0x80 if deviates(Deviation::SerialChanges) => vec![b'0' + number, b'A' + (asked % 26) as u8],
        0x80 => vec![b'0' + number],
        0x83 => designators(number, deviation),
        0xb2 => vec![0, if deviates(Deviation::ProvisioningOther) { 0x80 } else { 0 }, 0, 0],
        _ => vec![0; 60],
    };
    match page {
        0xb0 => {
            body[3] = if deviates(Deviation::GranularityOther) { 8 } else { 1 };
            let most = if deviates(Deviation::LimitTooSmall) { 7 } else { TRANSFER_MAX };
            body[6..8].copy_from_slice(&most.to_be_bytes());
            let best = if deviates(Deviation::OptimumAboveMaximum) { TRANSFER_MAX + 1 } else { 4 };
            body[10..12].copy_from_slice(&best.to_be_bytes());
        }
        0xb1 => body[1] = if deviates(Deviation::Rotates) { 2 } else { 1 },
        _ => {}
    }
    [&[device, page, 0, body.len() as u8], body.as_slice()].concat()
}

/// Of the logical unit: vendor and NAA; its port and its target.
fn designators(number: u8, deviation: Option<Deviation>) -> Vec<u8> {
    let naa_bytes = if deviation == Some(Deviation::NaaCut) { 7 } else { 8 };
    let naa = [0x30, 0, 0, 0, 0, 0, 0, number];
    let name = |name: &str| {
        let mut name = name.as_bytes().to_vec();
        name.resize((name.len() + 1).next_multiple_of(4), 0);
        name
    };
    let one = |first: u8, second: u8, value: &[u8]| [&[first, second, 0, value.len() as u8], value].concat();
    [
        one(2, 0x01, &[b"Small   disk".as_slice(), &[b'0' + number]].concat()),
        one(1, 0x03, &naa[..naa_bytes]),
        one(0x53, 0x98, &name(&format!("{TARGET},t,0x0001"))),
        one(0x53, 0xa8, &name(TARGET)),
    ]
    .concat()
}
