//! Stage 6: a CDB becomes a result.

mod cdb;
mod command_table;
mod dispatch;
mod sbc;
mod spc;
#[cfg(test)]
mod tests;

use crate::env::Runtime;
use crate::id::{Lun, NexusId};
use crate::logical_unit::Device;
use crate::task::status::Status;
use cdb::{
    Access, ByteCheck, Cdb, READ_CAPACITY_16, REPORT_SUPPORTED_OPERATION_CODES,
    REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, operation,
};

/// Which way the data of a command goes, and how many bytes the CDB asks for. For parameter data from the device it
/// is the allocation length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataPhase {
    /// No data.
    None,
    /// From the device to the initiator.
    In(u64),
    /// From the initiator to the device.
    Out(u64),
}

/// What a command does to the medium: what a fence has to cover.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footprint {
    /// First byte.
    pub offset_bytes: u64,
    /// Number of bytes.
    pub length_bytes: u64,
    /// It changes them.
    pub write: bool,
}

impl Footprint {
    /// Whether both touch at least one same byte.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let end = |footprint: Self| footprint.offset_bytes.saturating_add(footprint.length_bytes);
        self.offset_bytes < end(other) && other.offset_bytes < end(self)
    }
}

/// A command on its way to the device server.
#[derive(Debug)]
pub struct Request<B> {
    /// Who asks.
    pub nexus: NexusId,
    /// Whom, mapped or not.
    pub lun: Lun,
    /// What. Bytes past the CDB's length are zero.
    pub cdb: [u8; 16],
    /// Data-Out, exactly the bytes that arrived: `min(what the CDB asks for, Expected Data Transfer Length)`; `None`
    /// when there are none.
    pub data_out: Option<B>,
}

/// What the initiator gets back as data.
#[derive(Debug)]
pub enum DataIn<B> {
    /// Nothing.
    None,
    /// Parameter data, already cut to the allocation length.
    Bytes(Vec<u8>),
    /// A whole buffer of medium data.
    Buffer(B),
}

/// How a command ended. CHECK CONDITION is a result, not an error.
#[derive(Debug)]
pub struct Outcome<B> {
    /// SAM status.
    pub status: Status,
    /// Sense data in the format that the logical unit is set to, without a length prefix; with CHECK CONDITION only.
    pub sense: Vec<u8>,
    /// Data for the initiator.
    pub data_in: DataIn<B>,
}

/// Which data the command in `cdb` moves, for a logical unit with blocks of `block_bytes`. Knows nothing of the
/// medium's size: a command that will fail still has its data phase. Unknown commands have none. A command that moves
/// data but asks for zero bytes is `In(0)` or `Out(0)`.
#[must_use]
pub fn data_phase(cdb: &[u8; 16], block_bytes: u32) -> DataPhase {
    let cdb = Cdb(*cdb);
    if let Some(access) = cdb.access() {
        let length_bytes = u64::from(cdb.block_range().1) * u64::from(block_bytes);
        return match (access, cdb.byte_check()) {
            (Access::Read, _) => DataPhase::In(length_bytes),
            (Access::Write, _) | (Access::Verify, Some(ByteCheck::Blocks)) => DataPhase::Out(length_bytes),
            (Access::Verify, Some(ByteCheck::OneBlock)) => DataPhase::Out(length_bytes.min(block_bytes.into())),
            (Access::Verify, Some(ByteCheck::Medium) | None) => DataPhase::None,
        };
    }
    match cdb.operation_code() {
        operation::REQUEST_SENSE | operation::MODE_SENSE_6 => DataPhase::In(cdb.byte(4).into()),
        operation::INQUIRY => DataPhase::In(cdb.u16(3).into()),
        operation::READ_CAPACITY_10 => DataPhase::In(8),
        operation::MODE_SENSE_10 => DataPhase::In(cdb.u16(7).into()),
        operation::REPORT_LUNS => DataPhase::In(cdb.u32(6).into()),
        operation::SERVICE_ACTION_IN_16 if cdb.service_action() == READ_CAPACITY_16 => {
            DataPhase::In(cdb.u32(10).into())
        }
        operation::MAINTENANCE_IN
            if matches!(
                cdb.service_action(),
                REPORT_SUPPORTED_OPERATION_CODES | REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS
            ) =>
        {
            DataPhase::In(cdb.u32(6).into())
        }
        _ => DataPhase::None,
    }
}

/// Which bytes of the medium the command in `cdb` touches: READ, WRITE and VERIFY of at least one block. SYNCHRONIZE
/// CACHE changes no bytes and has none.
#[must_use]
pub fn footprint(cdb: &[u8; 16], block_bytes: u32) -> Option<Footprint> {
    let cdb = Cdb(*cdb);
    let access = cdb.access()?;
    let (lba, blocks) = cdb.block_range();
    (blocks > 0).then(|| Footprint {
        offset_bytes: lba.saturating_mul(block_bytes.into()),
        length_bytes: u64::from(blocks) * u64::from(block_bytes),
        write: access == Access::Write,
    })
}

/// Runs a command to its end. Dropping the future is safe, but whether the medium changed is then not known.
pub async fn execute<R: Runtime>(device: &Device<R>, request: Request<R::Buf>) -> Outcome<R::Buf> {
    dispatch::execute(device, request).await
}
