//! One event of a written trace: one line of JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A word that is mostly one of ours, or was read from a file.
pub(crate) type Text = Cow<'static, str>;

/// One event. What it is about and what is known of it are fields of their own; those that say nothing are left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Its number in the trace.
    pub seq: u64,
    /// Virtual time in microseconds.
    pub at_us: u64,
    /// Where it happened: "connection 3".
    pub entity: Text,
    /// What it is: "task-started".
    pub kind: Text,
    /// The event that brought it about, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// The event at which began what ends here: of a disk's operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<u64>,
    /// Which initiator of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiator: Option<u32>,
    /// Its how-manieth login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<u32>,
    /// Which connection of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// The nexus, as the core numbers it (anew in each process).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nexus: Option<u64>,
    /// Which logical unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lun: Option<u16>,
    /// Which command of the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<u64>,
    /// Initiator Task Tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub itt: Option<u32>,
    /// Referenced Task Tag of a task management function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referenced: Option<u32>,
    /// Target Transfer Tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttt: Option<u32>,
    /// The PDU, by its name in RFC 7143.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pdu: Option<Text>,
    /// The SCSI command, the task management function, or what a disk does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Text>,
    /// CmdSN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd_sn: Option<u32>,
    /// StatSN, or ExpStatSN of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stat_sn: Option<u32>,
    /// ExpCmdSN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_cmd_sn: Option<u32>,
    /// MaxCmdSN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cmd_sn: Option<u32>,
    /// DataSN or R2TSN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sn: Option<u32>,
    /// Where, in bytes: on the medium, or of Data-Out, Data-In and R2T in the command's buffer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// How much, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// CRC-32C of bytes that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<u32>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Text>,
    /// Which rule was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oracle: Option<Text>,
    /// How long it lasts, in microseconds: of a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_us: Option<u64>,
    /// Whatever else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Text>,
}

impl Entry {
    /// The event as a line of JSON, without its end.
    ///
    /// # Panics
    /// Never: numbers and words can be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and words")
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| error.to_string())
    }

    /// A state changes, and not only bytes pass.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !self.kind.starts_with("bytes-")
    }
}
