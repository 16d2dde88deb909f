//! Task Management Function Request (RFC 7143, section 11.5).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError};
use crate::id::{Itt, Lun};

/// Asks to manage a task, a task set, a logical unit or the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskManagementRequest {
    /// The I bit.
    pub immediate: bool,
    /// Seven bits, see the constants. Unknown ones are kept.
    pub function: u8,
    /// The logical unit, in its eight-byte form.
    pub lun: Lun,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// Referenced Task Tag: the task that ABORT TASK means, else [`Itt::NONE`].
    pub referenced_itt: Itt,
    /// CmdSN.
    pub cmd_sn: SerialNumber,
    /// ExpStatSN: the initiator has every status before this one.
    pub exp_stat_sn: SerialNumber,
    /// RefCmdSN: CmdSN of the task that ABORT TASK means.
    pub ref_cmd_sn: SerialNumber,
    /// ExpDataSN, for TASK REASSIGN.
    pub exp_data_sn: u32,
}

impl TaskManagementRequest {
    /// Function: end the referenced task.
    pub const ABORT_TASK: u8 = 1;
    /// Function: end the tasks of this nexus in the logical unit.
    pub const ABORT_TASK_SET: u8 = 2;
    /// Function: clear the ACA condition.
    pub const CLEAR_ACA: u8 = 3;
    /// Function: end the tasks of all nexuses in the logical unit.
    pub const CLEAR_TASK_SET: u8 = 4;
    /// Function: reset the logical unit.
    pub const LOGICAL_UNIT_RESET: u8 = 5;
    /// Function: reset all logical units.
    pub const TARGET_WARM_RESET: u8 = 6;
    /// Function: reset all logical units and end all connections.
    pub const TARGET_COLD_RESET: u8 = 7;
    /// Function: move a task to this connection.
    pub const TASK_REASSIGN: u8 = 8;
    /// Function: ask for a task (RFC 7144).
    pub const QUERY_TASK: u8 = 9;
    /// Function: ask for a task set (RFC 7144).
    pub const QUERY_TASK_SET: u8 = 10;
    /// Function: end all tasks of this nexus (RFC 7144).
    pub const I_T_NEXUS_RESET: u8 = 11;
    /// Function: ask for unit attentions (RFC 7144).
    pub const QUERY_ASYNC_EVENT: u8 = 12;
}

impl TaskManagementRequest {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::TASK_MANAGEMENT_REQUEST)?;
        Ok(Self {
            immediate: bhs.immediate(),
            function: bhs.flags() & !FINAL,
            lun: bhs.lun(),
            itt: bhs.itt(),
            referenced_itt: Itt(bhs.u32_at(20)),
            cmd_sn: bhs.sn_at(24),
            exp_stat_sn: bhs.sn_at(28),
            ref_cmd_sn: bhs.sn_at(32),
            exp_data_sn: bhs.u32_at(36),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::TASK_MANAGEMENT_REQUEST)
            .with_data_segment_bytes(data_segment_bytes)
            .with_immediate(self.immediate)
            .with_flags(FINAL | self.function)
            .with_lun(self.lun)
            .with_itt(self.itt)
            .with_u32(20, self.referenced_itt.0)
            .with_sn(24, self.cmd_sn)
            .with_sn(28, self.exp_stat_sn)
            .with_sn(32, self.ref_cmd_sn)
            .with_u32(36, self.exp_data_sn)
    }
}
