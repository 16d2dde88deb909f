//! Task Management Function Response (RFC 7143, section 11.6).

use super::{Bhs, FINAL, Opcode, SerialNumber, WireError};
use crate::id::Itt;

/// How a task management function ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskManagementResponse {
    /// See the constants.
    pub response: u8,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// StatSN.
    pub stat_sn: SerialNumber,
    /// ExpCmdSN: the next CmdSN that the target takes in order.
    pub exp_cmd_sn: SerialNumber,
    /// MaxCmdSN: the last CmdSN of the command window.
    pub max_cmd_sn: SerialNumber,
}

impl TaskManagementResponse {
    /// The function was performed.
    pub const FUNCTION_COMPLETE: u8 = 0;
    /// There is no such task.
    pub const TASK_DOES_NOT_EXIST: u8 = 1;
    /// There is no such logical unit.
    pub const LUN_DOES_NOT_EXIST: u8 = 2;
    /// The task is still allegiant to another connection.
    pub const TASK_STILL_ALLEGIANT: u8 = 3;
    /// Tasks cannot change connections.
    pub const REASSIGNMENT_NOT_SUPPORTED: u8 = 4;
    /// The target does not know the function.
    pub const FUNCTION_NOT_SUPPORTED: u8 = 5;
    /// The initiator may not do that.
    pub const FUNCTION_AUTHORIZATION_FAILED: u8 = 6;
    /// The function was performed, and the answer is yes (RFC 7144).
    pub const FUNCTION_SUCCEEDED: u8 = 7;
    /// The function was not performed.
    pub const FUNCTION_REJECTED: u8 = 255;
}

impl TaskManagementResponse {
    /// Reads the fields. Fails when the opcode is another.
    pub fn parse(bhs: &Bhs) -> Result<Self, WireError> {
        bhs.expect(Opcode::TASK_MANAGEMENT_RESPONSE)?;
        Ok(Self {
            response: bhs.0[2],
            itt: bhs.itt(),
            stat_sn: bhs.sn_at(24),
            exp_cmd_sn: bhs.sn_at(28),
            max_cmd_sn: bhs.sn_at(32),
        })
    }

    /// The BHS, for a data segment of `data_segment_bytes` bytes (less than 2^24).
    #[must_use]
    pub fn to_bhs(&self, data_segment_bytes: usize) -> Bhs {
        Bhs::new(Opcode::TASK_MANAGEMENT_RESPONSE)
            .with_data_segment_bytes(data_segment_bytes)
            .with(1, [FINAL, self.response])
            .with_itt(self.itt)
            .with_target_numbers(self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn)
    }
}
