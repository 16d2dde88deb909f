//! What a logical unit says of itself, and whether it keeps to it (oracle T12).

use super::super::inquiry_data::check_frame;
use super::Session;
use super::command::{Command, Expect};
use crate::history::Unit;

/// Peripheral qualifier 011b, device type 1Fh.
const NO_DEVICE: u8 = 0x7f;

/// ILLEGAL REQUEST, INVALID FIELD IN CDB.
const INVALID_FIELD: (u8, u16) = (0x5, 0x2400);

impl Session {
    /// A command ended GOOD.
    pub(super) fn check_description(&self, command: &Command, unit: Option<&Unit>) -> Result<(), String> {
        let (spec, data) = (&command.spec, command.received.as_slice());
        let mut descriptions = self.shared.descriptions.borrow_mut();
        match spec.expect {
            Expect::Inquiry { page } if unit.is_none() => {
                check_frame(NO_DEVICE, page, data, spec.expected_bytes as usize)
            }
            Expect::Inquiry { page } => {
                let configured = self.shared.configured.get(&spec.lun);
                let place = (&*self.shared.target, spec.lun);
                descriptions.inquiry(place, configured, page, data, spec.expected_bytes as usize)
            }
            Expect::Capacity { sixteen: true } if unit.is_some() => descriptions.capacity(spec.lun, data),
            Expect::TooLong => {
                let most = descriptions.transfer_blocks_max(spec.lun);
                Err(format!("GOOD, and MAXIMUM TRANSFER LENGTH is {most:?} blocks"))
            }
            _ => Ok(()),
        }
    }

    /// A command was refused with `code`; nothing if that has to do with something else.
    pub(super) fn check_refusal(&self, command: &Command, code: (u8, u16)) -> Option<Result<(), String>> {
        let spec = &command.spec;
        let mut descriptions = self.shared.descriptions.borrow_mut();
        match spec.expect {
            _ if code != INVALID_FIELD => None,
            Expect::TooLong => Some(Ok(())),
            Expect::Inquiry { page: Some(page) } => Some(descriptions.refused(spec.lun, page)),
            Expect::Blocks { .. } | Expect::Good if spec.direction.is_some() => {
                let most = descriptions.transfer_blocks_max(spec.lun)?;
                Some(Err(format!("it is refused, and MAXIMUM TRANSFER LENGTH is {most} blocks")))
            }
            _ => None,
        }
    }

    /// What `command` moves is more than its logical unit said that it takes at once.
    pub(super) fn is_too_long(&self, lun: u16, cdb_bytes: u64, unit: Option<&Unit>) -> bool {
        let most = self.shared.descriptions.borrow().transfer_blocks_max(lun);
        unit.zip(most).is_some_and(|(unit, most)| cdb_bytes > u64::from(most) * u64::from(unit.block_bytes))
    }
}
