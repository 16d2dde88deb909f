//! The vital product data pages (SPC-4, section 7.8; SBC-3, section 6.5).

use super::inquiry::Peripheral;
use crate::env::Runtime;
use crate::logical_unit::{Device, Identity, LogicalUnit, VENDOR};
use crate::planted;

const SUPPORTED_PAGES: u8 = 0x00;
const UNIT_SERIAL_NUMBER: u8 = 0x80;
const DEVICE_IDENTIFICATION: u8 = 0x83;
const EXTENDED_INQUIRY_DATA: u8 = 0x86;
const BLOCK_LIMITS: u8 = 0xb0;
const BLOCK_DEVICE_CHARACTERISTICS: u8 = 0xb1;
const LOGICAL_BLOCK_PROVISIONING: u8 = 0xb2;

/// The page of a logical unit, or `None` when there is no such page.
pub(super) fn of_unit<R: Runtime>(device: &Device<R>, unit: &LogicalUnit<R>, page_code: u8) -> Option<Vec<u8>> {
    let body = match page_code {
        SUPPORTED_PAGES => {
            const MODE_PAGE_POLICY: u8 = 0x87;
            let mut pages = vec![
                SUPPORTED_PAGES,
                UNIT_SERIAL_NUMBER,
                DEVICE_IDENTIFICATION,
                EXTENDED_INQUIRY_DATA,
                BLOCK_LIMITS,
                BLOCK_DEVICE_CHARACTERISTICS,
                LOGICAL_BLOCK_PROVISIONING,
            ];
            if planted!(PageListedAbsent) {
                pages.insert(4, MODE_PAGE_POLICY);
            }
            pages
        }
        UNIT_SERIAL_NUMBER => {
            let first = device.luns.values().next().filter(|_| planted!(SerialOfFirst));
            first.map_or(unit, |first| &**first).identity().serial.clone()
        }
        DEVICE_IDENTIFICATION => [unit_designators(unit.identity()), target_designators(&device.name)].concat(),
        EXTENDED_INQUIRY_DATA => extended_inquiry_data(unit.write_cache()),
        BLOCK_LIMITS => block_limits(unit),
        BLOCK_DEVICE_CHARACTERISTICS => block_device_characteristics(),
        LOGICAL_BLOCK_PROVISIONING => logical_block_provisioning(),
        _ => return None,
    };
    Some(page(Peripheral::Disk, page_code, &body))
}

/// The page of a LUN that has no logical unit of ours behind it.
pub(super) fn without_unit<R: Runtime>(device: &Device<R>, peripheral: Peripheral, page_code: u8) -> Option<Vec<u8>> {
    let body = match (peripheral, page_code) {
        (Peripheral::WellKnown, SUPPORTED_PAGES) => vec![SUPPORTED_PAGES, DEVICE_IDENTIFICATION],
        (Peripheral::WellKnown, DEVICE_IDENTIFICATION) => target_designators(&device.name),
        (_, SUPPORTED_PAGES) => vec![SUPPORTED_PAGES],
        _ => return None,
    };
    Some(page(peripheral, page_code, &body))
}

fn page(peripheral: Peripheral, page_code: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = (body.len() as u16).to_be_bytes();
    [&[peripheral as u8, page_code, high, low], body].concat()
}

/// Code sets and associations of designators (SPC-4, section 7.8.6.1).
const BINARY: u8 = 1;
const ASCII: u8 = 2;
const UTF_8: u8 = 3;
const OF_UNIT: u8 = 0;
const OF_TARGET_PORT: u8 = 1;
const OF_TARGET_DEVICE: u8 = 2;

/// Designator types (SPC-4, section 7.8.6.2).
const T10_VENDOR_ID: u8 = 1;
const NAA: u8 = 3;
const RELATIVE_TARGET_PORT: u8 = 4;
const SCSI_NAME_STRING: u8 = 8;

/// There is one target portal group, with tag 1, and it is the one target port (RFC 7143, section 4.4).
const PORTAL_GROUP_TAG: u16 = 1;

fn unit_designators(identity: &Identity) -> Vec<u8> {
    let t10 = [VENDOR.as_slice(), &identity.vendor_specific].concat();
    [designator(ASCII, OF_UNIT, T10_VENDOR_ID, &t10), designator(BINARY, OF_UNIT, NAA, &identity.naa())].concat()
}

fn target_designators(name: &str) -> Vec<u8> {
    let port = format!("{name},t,0x{PORTAL_GROUP_TAG:04x}");
    let [high, low] = PORTAL_GROUP_TAG.to_be_bytes();
    [
        designator(BINARY, OF_TARGET_PORT, RELATIVE_TARGET_PORT, &[0, 0, high, low]),
        designator(UTF_8, OF_TARGET_PORT, SCSI_NAME_STRING, &name_string(&port)),
        designator(UTF_8, OF_TARGET_DEVICE, SCSI_NAME_STRING, &name_string(name)),
    ]
    .concat()
}

fn designator(code_set: u8, association: u8, kind: u8, value: &[u8]) -> Vec<u8> {
    const PROTOCOL_ISCSI: u8 = 0x50;
    const PIV: u8 = 0x80;
    // The protocol is named only where it means something: at the target and its ports.
    let (protocol, piv) = if association == OF_UNIT { (0, 0) } else { (PROTOCOL_ISCSI, PIV) };
    let header = [protocol | code_set, piv | association << 4 | kind, 0, value.len() as u8];
    [header.as_slice(), value].concat()
}

/// A SCSI name string ends with at least one NUL and is a multiple of four bytes long (SPC-4, section 7.8.6.11). An
/// iSCSI name has at most 223 bytes, so the result fits its length byte.
fn name_string(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.truncate(247);
    bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
    bytes
}

/// SPC-4, section 7.8.7.
fn extended_inquiry_data(write_cache: bool) -> Vec<u8> {
    const HEADSUP_ORDSUP_SIMPSUP: u8 = 0x07;
    const V_SUP: u8 = 0x01;
    let mut body = vec![0; 60];
    body[1] = HEADSUP_ORDSUP_SIMPSUP;
    body[2] = if write_cache { V_SUP } else { 0 };
    body
}

/// SBC-3, section 6.5.3.
fn block_limits<R: Runtime>(unit: &LogicalUnit<R>) -> Vec<u8> {
    let granularity = 1_u16 << unit.physical_exponent();
    let mut body = vec![0; 60];
    body[2..4].copy_from_slice(&granularity.to_be_bytes());
    let factor = if planted!(MaximumInBytes) { unit.block_bytes() } else { 1 };
    body[4..8].copy_from_slice(&(unit.transfer_blocks_max() * factor).to_be_bytes());
    body[8..12].copy_from_slice(&unit.transfer_blocks_optimal().to_be_bytes());
    body
}

/// SBC-3, section 6.5.2: no rotation to take care of.
fn block_device_characteristics() -> Vec<u8> {
    const NON_ROTATING: u16 = 1;
    let mut body = vec![0; 60];
    body[..2].copy_from_slice(&NON_ROTATING.to_be_bytes());
    body
}

/// SBC-3, section 6.5.4: fully provisioned as far as the initiator can tell, no unmapping.
fn logical_block_provisioning() -> Vec<u8> {
    vec![0; 4]
}
