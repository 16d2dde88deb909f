//! The one object that a runtime drives: a [`Node`] for the process, a [`Shard`] for each core.

mod config;
mod cross_shard;
mod directory;
mod node;
mod sessions;
mod shard;
mod share;

pub use config::{BackendKind, ConfigError, IoMode, LunConfig, NodeConfig, TargetConfig};
pub use cross_shard::CrossShard;
pub(crate) use node::ConnectionSlot;
pub use node::Node;
pub use shard::{Disks, Handoff, Shard, StopReport};
pub use share::TargetShare;
