//! Stage 6: a CDB becomes a result.

use crate::env::Runtime;
use crate::id::{Lun, NexusId};
use crate::logical_unit::Device;
use crate::task::status::Status;

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
/// medium's size: a command that will fail still has its data phase. Unknown commands have none.
#[must_use]
pub fn data_phase(_cdb: &[u8; 16], _block_bytes: u32) -> DataPhase {
    todo!()
}

/// Which bytes of the medium the command in `cdb` touches.
#[must_use]
pub fn footprint(_cdb: &[u8; 16], _block_bytes: u32) -> Option<Footprint> {
    todo!()
}

/// Runs a command to its end. Dropping the future is safe, but whether the medium changed is then not known.
pub async fn execute<R: Runtime>(_device: &Device<R>, _request: Request<R::Buf>) -> Outcome<R::Buf> {
    todo!()
}
