//! The state that a command meets: unit attentions, write cache, identity, fences.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::env::Runtime;
use crate::id::NexusId;
use crate::limits::Limits;
use crate::scsi::Footprint;
use crate::target::LunConfig;

/// A SCSI target device on one shard: its logical units by number.
pub struct Device<R: Runtime> {
    /// The world.
    pub runtime: R,
    /// The iSCSI name.
    pub name: String,
    /// The bounds.
    pub limits: Limits,
    /// The logical units.
    pub luns: BTreeMap<u16, Rc<LogicalUnit<R>>>,
}

/// One logical unit on one shard.
pub struct LogicalUnit<R: Runtime> {
    _runtime: R,
}

/// What the shards share of one logical unit: behind a mutex that is never held across an await, with an epoch that a
/// command compares with one acquire load.
#[derive(Debug, Default)]
pub struct Shared {}

/// While it lives, commands of any nexus that touch the range are answered BUSY: a disowned write may still land.
/// `Send`-free; dropping it lifts the fence on all shards.
#[derive(Debug)]
pub struct Fence {}

/// A unit attention condition: ASC in the high byte, ASCQ in the low one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitAttention(pub u16);

impl UnitAttention {
    /// POWER ON, RESET, OR BUS DEVICE RESET OCCURRED.
    pub const POWER_ON: Self = Self(0x2900);
    /// SCSI BUS RESET OCCURRED: target warm reset.
    pub const TARGET_RESET: Self = Self(0x2902);
    /// BUS DEVICE RESET FUNCTION OCCURRED: logical unit reset.
    pub const LOGICAL_UNIT_RESET: Self = Self(0x2903);
    /// I_T NEXUS LOSS OCCURRED.
    pub const NEXUS_LOSS: Self = Self(0x2907);
}

impl<R: Runtime> LogicalUnit<R> {
    /// `disk` is `None` for nullio only.
    pub fn new(
        _runtime: R,
        _number: u16,
        _config: &LunConfig,
        _disk: Option<R::Disk>,
        _shared: Arc<Shared>,
        _limits: &Limits,
    ) -> Self {
        todo!()
    }
    /// Logical block length in bytes.
    pub fn block_bytes(&self) -> u32 {
        todo!()
    }
    /// A nexus begins: it gets `first` as its first unit attention.
    pub fn attach(&self, _nexus: NexusId, _first: UnitAttention) {
        todo!()
    }
    /// A nexus is gone with all its state here.
    pub fn detach(&self, _nexus: NexusId) {
        todo!()
    }
    /// Establishes a unit attention for every attached nexus on this shard but `except`.
    pub fn raise(&self, _attention: UnitAttention, _except: Option<NexusId>) {
        todo!()
    }
    /// Fences `footprint` for as long as the guard lives.
    pub fn fence(&self, _footprint: Footprint) -> Fence {
        todo!()
    }
    /// Makes everything durable that was acknowledged: a clean stop. An error says what failed, for the operator.
    pub async fn shut_down(&self) -> Result<(), std::io::Error> {
        todo!()
    }
}
