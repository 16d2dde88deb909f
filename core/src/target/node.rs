//! What all shards of a process share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::{ConnectionId, NexusId};
use crate::logical_unit;
use crate::target::directory::Directory;
use crate::target::{ConfigError, NodeConfig};

/// Configuration, session directory, shared state of the logical units.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: NodeConfig,
    pub(crate) shards: u16,
    directory: Mutex<Directory>,
    /// By target, then by LUN.
    pub(crate) units: Vec<BTreeMap<u16, Arc<logical_unit::Shared>>>,
    connections: AtomicU32,
    next_id: AtomicU64,
}

/// One of the node's connections, as counted; given back on drop.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    node: Arc<Node>,
}

impl Node {
    /// Checks the configuration and makes the state that `shards` shards will share.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: NodeConfig, shards: u16) -> Result<Arc<Self>, ConfigError> {
        config.check()?;
        let units = config
            .targets
            .iter()
            .map(|target| target.luns.keys().map(|&lun| (lun, Arc::new(logical_unit::Shared::default()))).collect());
        Ok(Arc::new(Self {
            units: units.collect(),
            config,
            shards,
            directory: Mutex::new(Directory::new(shards)),
            connections: AtomicU32::new(0),
            next_id: AtomicU64::new(1),
        }))
    }

    /// Never held across an await.
    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_nexus(&self) -> NexusId {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        NexusId(if crate::planted!(NexusShared) { 0 } else { id })
    }

    /// Counts a connection, unless there are too many.
    pub(crate) fn connection_slot(self: &Arc<Self>) -> Option<ConnectionSlot> {
        let most = self.config.limits.connections;
        let counted = self
            .connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < most).then_some(count + 1));
        counted.ok().map(|_| ConnectionSlot { node: self.clone() })
    }

    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.node.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
