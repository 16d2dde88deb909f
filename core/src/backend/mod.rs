//! Stage 7: where the blocks are.
//!
//! A [`Medium`] is what the SCSI stage sees: a [`Backend`] and the policy that a failed flush is never forgotten.
//! fileio and blockio are one back end here: both are a [`Disk`](crate::env::Disk), and what sets them apart (through the
//! page cache or past it) is decided where the runtime opens that disk. The system may do a transfer in parts;
//! [`WholeTransfers`] carries it on.

mod descriptions;
mod error;
mod flush;
mod medium;
mod transfer;

pub use descriptions::Descriptions;
pub use error::BackendError;
pub use medium::Medium;
pub use transfer::{WholeTransfers, WriteFailure};

use std::io;

use crate::env::{Durability, Geometry, Runtime};
use crate::planted;

/// The store behind one logical unit on one shard.
pub enum Backend<R: Runtime> {
    /// Reads are zeros, writes vanish.
    Nullio {
        /// Its size in bytes.
        size_bytes: u64,
    },
    /// fileio and blockio.
    Disk(WholeTransfers<R>),
}

impl<R: Runtime> Backend<R> {
    /// Fills `buf` from `offset_bytes` on.
    pub async fn read(&self, offset_bytes: u64, mut buf: R::Buf) -> (io::Result<()>, R::Buf) {
        match self {
            Self::Nullio { .. } => {
                // A buffer comes with whatever its last user left in it.
                if !planted!(NullioStale) {
                    buf.as_mut().fill(0);
                }
                (Ok(()), buf)
            }
            Self::Disk(disk) => disk.read(offset_bytes, buf).await,
        }
    }

    /// Writes all of `buf` at `offset_bytes`.
    pub async fn write(&self, offset_bytes: u64, buf: R::Buf, durability: Durability) -> Result<(), WriteFailure> {
        match self {
            Self::Nullio { .. } => Ok(()),
            Self::Disk(disk) => disk.write(offset_bytes, buf, durability).await,
        }
    }

    /// Makes every write that completed before this call durable.
    pub async fn flush(&self) -> io::Result<()> {
        match self {
            Self::Nullio { .. } => Ok(()),
            Self::Disk(disk) => disk.flush().await,
        }
    }

    /// What the store is, for a logical unit with blocks of `block_bytes`.
    pub fn geometry(&self, block_bytes: u32) -> Geometry {
        match self {
            Self::Nullio { size_bytes } => Geometry {
                size_bytes: *size_bytes,
                logical_block_bytes: block_bytes,
                physical_block_bytes: block_bytes,
                read_only: false,
            },
            Self::Disk(disk) => disk.geometry(),
        }
    }
}
