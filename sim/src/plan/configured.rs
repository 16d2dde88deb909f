//! What the operator makes of a logical unit.

use super::{TargetPlan, UnitKind, UnitPlan};
use crate::initiator::Configured;

impl UnitPlan {
    /// What its INQUIRY data have to tell, on a target with these limits.
    #[must_use]
    pub fn configured(&self, target: &TargetPlan) -> Configured {
        // What stores nothing has no blocks of its own.
        let physical_bytes = if self.kind == UnitKind::Nullio { 0 } else { self.physical_block_bytes };
        let limits = target.limits();
        Configured {
            serial: format!("SIM{:08}", self.lun),
            scsi_id: format!("sim-{}", self.lun),
            physical_blocks: physical_bytes.max(self.block_bytes) / self.block_bytes,
            transfer_blocks_max: limits.transfer_bytes / self.block_bytes,
            transfer_blocks_optimal: limits.max_burst_bytes.min(limits.transfer_bytes) / self.block_bytes,
        }
    }
}
