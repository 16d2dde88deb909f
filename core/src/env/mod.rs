//! Stage 0: everything outside, as traits. The simulator and the daemon implement these, and nothing else differs
//! between the two worlds.
//!
//! Buffers are passed by value and handed back, because the kernel owns them while an operation runs. A future may be
//! dropped at any await: the runtime keeps the buffer alive until the kernel is done with it.

mod disk;
mod network;
mod runtime;

pub use disk::{Disk, Durability, Geometry};
pub use network::{ByteStream, Close, TxData, TxPdu};
pub use runtime::{Runtime, ShardMessage};
