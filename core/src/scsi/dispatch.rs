//! From the operation code to the command, and from its answer to the outcome.

use std::rc::Rc;

use super::cdb::{Access, Cdb, operation};
use super::{DataIn, Outcome, Request, sbc, spc};
use crate::env::Runtime;
use crate::event::Event;
use crate::id::{Lun, NexusId};
use crate::logical_unit::{Device, LogicalUnit};
use crate::planted;
use crate::task::sense::{Sense, SenseFormat};
use crate::task::status::Status;

/// Why a command ends without GOOD.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// CHECK CONDITION with this sense.
    Check(Sense),
    /// BUSY, for this limit.
    Busy(&'static str),
}

/// GOOD with its data, or not.
pub(super) type Answer<B> = Result<DataIn<B>, Refusal>;

impl From<Sense> for Refusal {
    fn from(sense: Sense) -> Self {
        Self::Check(sense)
    }
}

/// D_SENSE is zero (control mode page).
pub(super) const SENSE_FORMAT: SenseFormat = SenseFormat::Fixed;

pub(super) async fn execute<R: Runtime>(device: &Device<R>, request: Request<R::Buf>) -> Outcome<R::Buf> {
    let cdb = Cdb(request.cdb);
    let answer = match find(device, request.lun) {
        Some(unit) => on_unit(device, unit, request.nexus, &cdb, request.data_out).await,
        None if request.lun == spc::REPORT_LUNS_WELL_KNOWN => spc::well_known(device, &cdb),
        None => spc::unmapped(device, &cdb),
    };
    match answer {
        Ok(data_in) => Outcome { status: Status::GOOD, sense: Vec::new(), data_in },
        Err(Refusal::Check(sense)) => {
            Outcome { status: Status::CHECK_CONDITION, sense: sense.encode(SENSE_FORMAT), data_in: DataIn::None }
        }
        Err(Refusal::Busy(limit)) => {
            device.runtime.event(&Event::LimitMet { limit });
            Outcome { status: Status::BUSY, sense: Vec::new(), data_in: DataIn::None }
        }
    }
}

fn find<R: Runtime>(device: &Device<R>, lun: Lun) -> Option<&Rc<LogicalUnit<R>>> {
    let number = lun.number()?;
    if planted!(UnmappedLunServed) {
        return device.luns.get(&number).or_else(|| device.luns.values().next());
    }
    device.luns.get(&number)
}

async fn on_unit<R: Runtime>(
    device: &Device<R>,
    unit: &Rc<LogicalUnit<R>>,
    nexus: NexusId,
    cdb: &Cdb,
    data_out: Option<R::Buf>,
) -> Answer<R::Buf> {
    if !is_exempt_from_unit_attention(cdb)
        && let Some(attention) = unit.take_attention(nexus)
    {
        return Err(Sense::unit_attention(attention.0).into());
    }
    match cdb.access() {
        Some(Access::Read) => return sbc::read(unit, cdb).await,
        Some(Access::Write) => return sbc::write(unit, cdb, data_out).await,
        Some(Access::Verify) => return sbc::verify(unit, cdb, data_out).await,
        None => {}
    }
    match cdb.operation_code() {
        operation::TEST_UNIT_READY => spc::test_unit_ready(unit, cdb),
        operation::REQUEST_SENSE => spc::request_sense(unit, nexus, cdb),
        operation::INQUIRY => spc::inquiry(device, unit, cdb),
        operation::REPORT_LUNS => spc::report_luns(device, cdb),
        operation::MAINTENANCE_IN => spc::maintenance_in(device, cdb),
        operation::MODE_SENSE_6 | operation::MODE_SENSE_10 => spc::mode_sense(unit, cdb),
        operation::READ_CAPACITY_10 => sbc::read_capacity_10(unit, cdb),
        operation::SERVICE_ACTION_IN_16 => sbc::service_action_in_16(unit, cdb),
        operation::SYNCHRONIZE_CACHE_10 | operation::SYNCHRONIZE_CACHE_16 => sbc::synchronize_cache(unit, cdb).await,
        operation::START_STOP_UNIT => sbc::start_stop_unit(unit, cdb).await,
        _ => Err(Sense::invalid_operation_code().into()),
    }
}

/// INQUIRY and REPORT LUNS neither report nor clear unit attentions; REQUEST SENSE returns them as data (SAM-5,
/// section 5.14.1).
fn is_exempt_from_unit_attention(cdb: &Cdb) -> bool {
    let inquiry = cdb.operation_code() == operation::INQUIRY && !planted!(InquiryTellsAttention);
    inquiry || matches!(cdb.operation_code(), operation::REPORT_LUNS | operation::REQUEST_SENSE)
}
