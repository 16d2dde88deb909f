//! The state that a command meets: unit attentions, write cache, identity, fences.

mod identity;
mod shared;
mod unit_attention;

pub use shared::{Conditions, Fence, Shared};
pub use unit_attention::UnitAttention;

pub(crate) use identity::{Identity, PRODUCT, REVISION, VENDOR};

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use crate::backend::{Backend, Descriptions, Medium, WholeTransfers};
use crate::env::Runtime;
use crate::event::Event;
use crate::high_water::Bounds;
use crate::id::{Lun, NexusId};
use crate::planted;
use crate::scsi::Footprint;
use crate::target::{BackendKind, IoMode, LunConfig};
use unit_attention::UnitAttentions;

/// A SCSI target device on one shard: its logical units by number.
pub struct Device<R: Runtime> {
    /// The world.
    pub runtime: R,
    /// The iSCSI name.
    pub name: String,
    /// The bounds.
    pub limits: Rc<Bounds>,
    /// The logical units.
    pub luns: BTreeMap<u16, Rc<LogicalUnit<R>>>,
}

/// One logical unit on one shard.
pub struct LogicalUnit<R: Runtime> {
    runtime: R,
    limits: Rc<Bounds>,
    lun: Lun,
    block_bytes: u32,
    blocks: u64,
    /// LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT.
    physical_exponent: u8,
    /// MAXIMUM TRANSFER LENGTH, in blocks.
    transfer_blocks_max: u32,
    /// OPTIMAL TRANSFER LENGTH, in blocks.
    transfer_blocks_optimal: u32,
    read_only: bool,
    /// WCE.
    write_cache: bool,
    identity: Identity,
    medium: Rc<Medium<R>>,
    shared: Arc<Shared>,
    attentions: UnitAttentions,
}

impl<R: Runtime> LogicalUnit<R> {
    /// The share that this shard has of logical unit `number`. `disks` are handles to its disk, as
    /// [`crate::target::Disks`] has them; none for nullio. What the disk holds past its last whole block is not served. `config.block_bytes` is a multiple of the disk's logical block.
    ///
    /// # Panics
    /// When a back end that needs handles to a disk gets too few.
    pub fn new(
        runtime: R,
        number: u16,
        config: &LunConfig,
        disks: Vec<R::Disk>,
        shared: Arc<Shared>,
        limits: &Rc<Bounds>,
    ) -> Self {
        let lun = Lun::from_number(number);
        let backend = match config.backend {
            BackendKind::Nullio { size_bytes } => Backend::Nullio { size_bytes },
            BackendKind::Fileio | BackendKind::Blockio => {
                let disks = Descriptions::new(disks);
                Backend::Disk(WholeTransfers::new(runtime.clone(), disks, config.block_bytes, limits.clone()))
            }
        };
        let medium = Medium::new(runtime.clone(), lun, backend, config.mode, shared.clone());
        let geometry = medium.geometry(config.block_bytes);
        let physical = geometry.physical_block_bytes.max(config.block_bytes) / config.block_bytes;
        Self {
            runtime,
            limits: limits.clone(),
            lun,
            block_bytes: config.block_bytes,
            blocks: geometry.size_bytes / u64::from(config.block_bytes),
            physical_exponent: physical.ilog2().min(0xf) as u8,
            transfer_blocks_max: limits.transfer_bytes / config.block_bytes,
            transfer_blocks_optimal: limits.max_burst_bytes.min(limits.transfer_bytes) / config.block_bytes,
            read_only: config.mode == IoMode::ReadOnly || geometry.read_only,
            write_cache: config.mode == IoMode::WriteBack,
            identity: Identity::new(&config.scsi_id, &config.serial),
            medium: Rc::new(medium),
            shared,
            attentions: UnitAttentions::default(),
        }
    }

    /// Logical block length in bytes.
    pub fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    /// A nexus begins: it gets `first` as its first unit attention.
    pub fn attach(&self, nexus: NexusId, first: UnitAttention) {
        self.attentions.attach(nexus);
        let nexus = if planted!(AttentionForeign) { self.attentions.nexuses()[0] } else { nexus };
        self.raise_for(nexus, first);
    }

    /// A nexus is gone with all its state here.
    pub fn detach(&self, nexus: NexusId) {
        self.attentions.detach(nexus);
    }

    /// Establishes a unit attention for every attached nexus on this shard but `except`. One that a pending condition
    /// already stands for is not established anew (SAM-5, section 5.14.2): a reset stands for every lesser reset.
    pub fn raise(&self, attention: UnitAttention, except: Option<NexusId>) {
        for nexus in self.attentions.nexuses() {
            if Some(nexus) != except {
                self.raise_for(nexus, attention);
            }
        }
    }

    /// Fences `footprint` for as long as the guard lives: on every shard, commands that overlap it are answered BUSY
    /// if it is a write. A fenced read keeps nobody out, since it changes nothing.
    pub fn fence(&self, footprint: Footprint) -> Fence {
        self.shared.fence(footprint)
    }

    /// Makes everything durable that was acknowledged: a clean stop. An error says what failed, for the operator.
    pub async fn shut_down(&self) -> Result<(), io::Error> {
        // What is written through now may have been written back by an earlier process.
        if self.read_only {
            return Ok(());
        }
        self.medium.flush().await.map_err(io::Error::other)
    }

    /// Number of logical blocks.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    pub(crate) fn physical_exponent(&self) -> u8 {
        self.physical_exponent
    }

    pub(crate) fn transfer_blocks_max(&self) -> u32 {
        self.transfer_blocks_max
    }

    /// OPTIMAL TRANSFER LENGTH, in blocks: one burst of data.
    pub(crate) fn transfer_blocks_optimal(&self) -> u32 {
        self.transfer_blocks_optimal
    }

    pub(crate) fn read_only(&self) -> bool {
        self.read_only
    }

    /// WCE: GOOD alone does not mean durable.
    pub(crate) fn write_cache(&self) -> bool {
        self.write_cache
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn medium(&self) -> &Rc<Medium<R>> {
        &self.medium
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn limits(&self) -> &Bounds {
        &self.limits
    }

    pub(crate) fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Whether `nexus` has not been told something.
    pub(crate) fn has_attention(&self, nexus: NexusId) -> bool {
        self.attentions.has(nexus)
    }

    /// Takes the condition that `nexus` is to be told next.
    pub(crate) fn take_attention(&self, nexus: NexusId) -> Option<UnitAttention> {
        let attention = self.attentions.take(nexus)?;
        self.runtime.event(&Event::UnitAttentionReported { nexus, lun: self.lun, code: attention.0 });
        Some(attention)
    }

    fn raise_for(&self, nexus: NexusId, attention: UnitAttention) {
        if self.attentions.raise(nexus, attention) {
            self.runtime.event(&Event::UnitAttentionRaised { nexus, lun: self.lun, code: attention.0 });
        }
    }
}
