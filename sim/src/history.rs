//! What the initiators did and saw, in the order in which it happened: the input of the history oracles.
//!
//! Each 512-byte sector that an initiator writes carries a stamp (see [`stamp`]), so that each read names the write it
//! read from. The position of an [`Event`] in [`History::events`] is its time.

pub mod stamp;

use serde::{Deserialize, Serialize};

/// A command, unique in the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct OpId(pub u64);

/// One login of one initiator: the I_T nexus as the history sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Nexus {
    /// Which initiator of the plan.
    pub initiator: u32,
    /// Its how-manieth login.
    pub login: u32,
}

/// What a command does. Block numbers and counts are in logical blocks.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Action {
    /// READ, and VERIFY with data: it sees what the blocks hold as far as they are what was sent.
    Read {
        /// First block.
        lba: u64,
        /// Number of blocks.
        blocks: u32,
    },
    /// WRITE; its sectors are stamped with the command's own [`OpId`].
    Write {
        /// First block.
        lba: u64,
        /// Number of blocks.
        blocks: u32,
        /// Force unit access.
        fua: bool,
    },
    /// SYNCHRONIZE CACHE; zero blocks: to the end of the medium.
    Synchronize {
        /// First block.
        lba: u64,
        /// Number of blocks.
        blocks: u32,
        /// Answer before it is done.
        immediate: bool,
    },
    /// START STOP UNIT.
    StartStop {
        /// Starts the logical unit; else it is stopped.
        start: bool,
        /// Everything is durable when it is answered.
        flushes: bool,
    },
    /// Anything without an effect on blocks; the first byte of its CDB.
    Other {
        /// Operation code.
        operation_code: u8,
    },
}

/// What one sector held when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Sector {
    /// All zeros: never written.
    Zero,
    /// A sound stamp of this LUN and this sector, written by this command.
    Written(OpId),
    /// A sound stamp that belongs elsewhere: another LUN, another sector, another run.
    Foreign,
    /// Neither zeros nor a sound stamp.
    Garbage,
}

/// How a command ended for its initiator.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// GOOD. `sectors` for a read: what each sector held, in order.
    Good {
        /// Empty but for reads.
        sectors: Vec<Sector>,
    },
    /// CHECK CONDITION of a VERIFY with data, MISCOMPARE.
    Miscompare {
        /// What the sectors before the difference held.
        sectors: Vec<Sector>,
        /// What the one behind them did not hold.
        unlike: Option<Sector>,
    },
    /// CHECK CONDITION.
    Check {
        /// Sense key.
        key: u8,
        /// ASC in the high byte, ASCQ in the low one.
        code: u16,
    },
    /// Another SAM status, or a Reject PDU (status 0xff): no effect at all.
    Refused {
        /// SAM status.
        status: u8,
    },
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Event {
    /// An initiator is about to send a command.
    Invoke {
        /// The command.
        op: OpId,
        /// On this nexus.
        nexus: Nexus,
        /// To this logical unit.
        lun: u16,
        /// What it does.
        action: Action,
    },
    /// The initiator got the command's status.
    Return {
        /// The command.
        op: OpId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The command has no status and will have none, and from here on must have no further effect: a task management
    /// function that covers it was answered FUNCTION COMPLETE, or its session was reinstated or logged out.
    Fence {
        /// The command.
        op: OpId,
    },
    /// The target process died without power loss: every command in flight is fenced once it is up again.
    Crash,
    /// Power was lost: volatile data of every disk is gone or not, block by block.
    PowerLoss,
    /// The target stopped cleanly: all acknowledged data is durable.
    CleanStop,
    /// The target is up again.
    Restart,
    /// A disk fault that lets the blocks hold anything (class T), in bytes of the logical unit.
    Taint {
        /// The logical unit.
        lun: u16,
        /// First byte.
        offset_bytes: u64,
        /// Number of bytes.
        length_bytes: u64,
    },
    /// From here on a flush of this disk failed: data written before it and not yet durable may be lost.
    FlushFailed {
        /// The logical unit.
        lun: u16,
    },
}

/// A logical unit as the checker needs it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unit {
    /// Its number.
    pub lun: u16,
    /// Logical block length in bytes.
    pub block_bytes: u32,
    /// Size in blocks.
    pub blocks: u64,
    /// WCE: GOOD alone does not mean durable.
    pub write_cache: bool,
    /// It stores nothing: reads are zeros.
    pub nullio: bool,
    /// It takes no writes, from its start on.
    pub read_only: bool,
}

/// A whole run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// The logical units.
    pub units: Vec<Unit>,
    /// What happened, in order.
    pub events: Vec<Event>,
}
