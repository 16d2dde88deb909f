//! What logical units say of themselves, to whichever initiator and whenever: it has to agree with itself, with what the
//! operator configured, and with what is enforced (oracle T12).

use std::collections::{BTreeMap, BTreeSet};

use super::inquiry_data::{BlockLimits, Designator, InquiryData, check_frame, decode, designator, told_length};

/// What the operator made of a logical unit, as far as INQUIRY tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Configured {
    /// Unit serial number.
    pub serial: String,
    /// Vendor-specific part of the T10 designator.
    pub scsi_id: String,
    /// Physical block length, in logical blocks.
    pub physical_blocks: u32,
    /// MAXIMUM TRANSFER LENGTH, in blocks.
    pub transfer_blocks_max: u32,
    /// OPTIMAL TRANSFER LENGTH, in blocks.
    pub transfer_blocks_optimal: u32,
}

/// The pages that have to be there.
pub(super) const PAGES: [u8; 6] = [0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2];
/// Extended INQUIRY Data: V_SUP goes with the write cache, which the operator may switch off.
const EXTENDED: u8 = 0x86;

/// All that was told so far, by LUN.
#[derive(Debug, Default)]
pub(super) struct Descriptions(BTreeMap<u16, Description>);

#[derive(Debug, Default)]
struct Description {
    /// The longest answer for each page; `None` is standard data.
    answers: BTreeMap<Option<u8>, Vec<u8>>,
    refused: BTreeSet<u8>,
    pages: Option<Vec<u8>>,
    vendor: Option<[u8; 8]>,
    serial: Option<Vec<u8>>,
    designators: Option<Vec<Designator>>,
    limits: Option<BlockLimits>,
    /// LBPU and its like, PROVISIONING TYPE.
    provisioning: Option<(bool, u8)>,
    /// From READ CAPACITY (16): physical block length in logical blocks, LBPME.
    capacity: Option<(u32, bool)>,
}

impl Descriptions {
    /// The logical unit `lun` of `target`, configured so as far as that is known, answered INQUIRY with `data`, cut to
    /// `allocation` bytes.
    pub(super) fn inquiry(
        &mut self,
        (target, lun): (&str, u16),
        configured: Option<&Configured>,
        page: Option<u8>,
        data: &[u8],
        allocation: usize,
    ) -> Result<(), String> {
        check_frame(0x00, page, data, allocation)?;
        let of = |page: Option<u8>| page.map_or_else(|| "standard data".to_owned(), |page| format!("page {page:02x}h"));
        let before = self.0.entry(lun).or_default().answers.entry(page).or_default();
        let both = before.len().min(data.len());
        if page != Some(EXTENDED) && before[..both] != data[..both] {
            return Err(format!("{}: {data:02x?} now, and {before:02x?} before", of(page)));
        }
        if data.len() > before.len() {
            *before = data.to_vec();
        }
        if told_length(page, data) != Some(data.len()) {
            return self.agree(lun);
        }
        let Some(decoded) = decode(page, data) else { return Err(format!("{}: malformed: {data:02x?}", of(page))) };
        self.0.entry(lun).or_default().take(target, configured, decoded)?;
        self.agree(lun)
    }

    /// INQUIRY was told that there is no such page.
    pub(super) fn refused(&mut self, lun: u16, page: u8) -> Result<(), String> {
        self.0.entry(lun).or_default().refused.insert(page);
        self.agree(lun)
    }

    /// The data of READ CAPACITY (16).
    pub(super) fn capacity(&mut self, lun: u16, data: &[u8]) -> Result<(), String> {
        const LBPME: u8 = 0x80;
        if let [_, _, _, _, _, _, _, _, _, _, _, _, _, exponent, provisioning, ..] = data {
            let told = (1 << (exponent & 0xf), provisioning & LBPME != 0);
            let before = self.0.entry(lun).or_default().capacity.replace(told);
            if before.is_some_and(|before| before != told) {
                return Err(format!("physical blocks and LBPME are {told:?} now, and were {before:?}"));
            }
        }
        self.agree(lun)
    }

    /// MAXIMUM TRANSFER LENGTH, in blocks, once it was told and if there is one.
    pub(super) fn transfer_blocks_max(&self, lun: u16) -> Option<u32> {
        self.0.get(&lun)?.limits.map(|limits| limits.transfer_max).filter(|&most| most > 0)
    }

    /// The pages to ask for: those that have to be there, those that it names, and those between that it does not.
    pub(super) fn pages(&self, lun: u16) -> BTreeSet<u8> {
        let named = self.0.get(&lun).and_then(|description| description.pages.as_deref()).unwrap_or_default();
        PAGES.iter().chain(named).copied().chain([0x01, 0x7f, 0x87, 0xb3, 0xff]).collect()
    }

    /// Nothing that is known of `lun` contradicts anything else.
    fn agree(&self, lun: u16) -> Result<(), String> {
        let Some(this) = self.0.get(&lun) else { return Ok(()) };
        this.agree()?;
        for (other, that) in self.0.iter().filter(|(other, _)| **other != lun) {
            if this.serial.is_some() && this.serial == that.serial {
                return Err(format!("the serial number is also that of LUN {other}: {:02x?}", this.serial));
            }
            let own = |description: &Description| -> BTreeSet<Designator> {
                let all = description.designators.iter().flatten();
                all.filter(|designator| designator.association == 0).cloned().collect()
            };
            if let Some(shared) = own(this).intersection(&own(that)).next() {
                return Err(format!("a designator is also that of LUN {other}: {shared:02x?}"));
            }
        }
        Ok(())
    }
}

impl Description {
    /// What came whole, held against the configuration.
    fn take(&mut self, target: &str, configured: Option<&Configured>, data: InquiryData) -> Result<(), String> {
        match data {
            InquiryData::Standard(vendor) => self.vendor = Some(vendor),
            InquiryData::Pages(pages) => self.pages = Some(pages),
            InquiryData::Serial(serial) => {
                let fits = configured.is_none_or(|configured| configured.serial.as_bytes() == serial);
                if serial.is_empty() || !fits {
                    return Err(format!("the serial number is {:?}", String::from_utf8_lossy(&serial)));
                }
                self.serial = Some(serial);
            }
            InquiryData::Designators(designators) => {
                check_designators(target, configured, &designators)?;
                self.designators = Some(designators);
            }
            InquiryData::Limits(limits) => {
                let fits = configured.is_none_or(|configured| {
                    (limits.transfer_max, limits.transfer_optimal)
                        == (configured.transfer_blocks_max, configured.transfer_blocks_optimal)
                        && u32::from(limits.granularity) == configured.physical_blocks
                });
                // Commands that no disk of this target knows have no limits.
                let none = limits.compare_and_write_max == 0 && limits.unmap_max == 0;
                let sound = limits.transfer_max == 0 || limits.transfer_optimal <= limits.transfer_max;
                if !fits || !none || !sound {
                    return Err(format!("{limits:?}, and configured was {configured:?}"));
                }
                self.limits = Some(limits);
            }
            InquiryData::Rotation(rate) => {
                const NON_ROTATING: u16 = 1;
                if rate != NON_ROTATING {
                    return Err(format!("the medium rotates at {rate}"));
                }
            }
            InquiryData::Provisioning { unmaps, kind } => self.provisioning = Some((unmaps, kind)),
            InquiryData::Other => {}
        }
        Ok(())
    }

    fn agree(&self) -> Result<(), String> {
        if let Some(pages) = &self.pages {
            let missing = PAGES.iter().find(|page| !pages.contains(page));
            let answered = self.answers.keys().flatten().find(|page| !pages.contains(page));
            if !pages.is_sorted_by(|one, next| one < next) || missing.is_some() || answered.is_some() {
                return Err(format!("page 00h names {pages:02x?}; missing {missing:02x?}, answered {answered:02x?}"));
            }
            if let Some(page) = pages.iter().find(|page| self.refused.contains(page)) {
                return Err(format!("page {page:02x}h is named in page 00h, and refused"));
            }
        }
        if let Some(page) = self.refused.iter().find(|&&page| self.answers.contains_key(&Some(page))) {
            return Err(format!("page {page:02x}h is answered and refused"));
        }
        let vendors = || self.designators.iter().flatten().filter(|found| found.kind == designator::T10_VENDOR_ID);
        if let Some(vendor) = &self.vendor
            && let Some(other) = vendors().find(|found| !found.value.starts_with(vendor))
        {
            return Err(format!("the vendor is {vendor:02x?}, and in page 83h {other:02x?}"));
        }
        if let (Some(limits), Some((physical, _))) = (self.limits, self.capacity)
            && u32::from(limits.granularity) != physical
        {
            return Err(format!("{limits:?}, and READ CAPACITY has physical blocks of {physical}"));
        }
        match (self.provisioning, self.capacity) {
            (Some((unmaps, kind)), Some((_, lbpme))) if unmaps != lbpme || (kind > 1) != lbpme => {
                Err(format!("page B2h says {:?}, and READ CAPACITY LBPME {lbpme}", (unmaps, kind)))
            }
            _ => Ok(()),
        }
    }
}

/// Names of the logical unit, and those of the target and its port.
fn check_designators(target: &str, configured: Option<&Configured>, found: &[Designator]) -> Result<(), String> {
    let own = |kind| found.iter().filter(move |found| found.association == 0 && found.kind == kind);
    let sound_naa = |value: &[u8]| value.len() == if value[0] >> 4 == 6 { 16 } else { 8 };
    let naa = own(designator::NAA).count() > 0 && own(designator::NAA).all(|found| sound_naa(&found.value));
    let t10 = configured.is_none_or(|configured| {
        own(designator::T10_VENDOR_ID).any(|found| found.value.get(8..) == Some(configured.scsi_id.as_bytes()))
    });
    let named = |association, name: &[u8]| {
        let names = |found: &Designator| {
            let padded = found.value.len().is_multiple_of(4);
            let (text, behind) = found.value.split_at_checked(name.len()).unwrap_or_default();
            padded && text == name && !behind.is_empty() && behind.iter().all(|&byte| byte == 0)
        };
        found
            .iter()
            .any(|found| found.association == association && found.kind == designator::SCSI_NAME_STRING && names(found))
    };
    let port = format!("{target},t,0x0001");
    if naa && t10 && named(1, port.as_bytes()) && named(2, target.as_bytes()) {
        return Ok(());
    }
    Err(format!("the designators are not those of this logical unit and target: {found:02x?}"))
}
