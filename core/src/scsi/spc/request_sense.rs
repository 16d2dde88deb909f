//! REQUEST SENSE (SPC-4, section 6.39).

use super::parameter_data;
use crate::env::Runtime;
use crate::id::NexusId;
use crate::logical_unit::LogicalUnit;
use crate::scsi::DataIn;
use crate::scsi::cdb::Cdb;
use crate::scsi::dispatch::Answer;
use crate::task::sense::{Sense, SenseFormat};

/// Returns what is pending for the nexus as data, and clears it.
pub(in crate::scsi) fn request_sense<R: Runtime>(unit: &LogicalUnit<R>, nexus: NexusId, cdb: &Cdb) -> Answer<R::Buf> {
    cdb.check_control()?;
    let sense = match unit.take_attention(nexus) {
        Some(attention) => Sense::unit_attention(attention.0),
        None if unit.shared().conditions().stopped() => Sense::STOPPED,
        None => Sense::NONE,
    };
    Ok(sense_data(sense, cdb))
}

/// `sense` as parameter data, in the format that DESC asks for.
pub(super) fn sense_data<B>(sense: Sense, cdb: &Cdb) -> DataIn<B> {
    let format = if cdb.bit(1, 0) { SenseFormat::Descriptor } else { SenseFormat::Fixed };
    parameter_data(sense.encode(format), cdb.byte(4).into())
}
