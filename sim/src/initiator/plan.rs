//! What an initiator will do, as data: drawn from the seed, kept as TOML, shrunk by leaving steps out.

mod attack;
mod generate;

use serde::{Deserialize, Serialize};

pub use self::attack::{Attack, AttackGroup, AttackStep, HostilePlan};

/// The whole life of one initiator in one run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct InitiatorPlan {
    /// Which initiator of the run.
    pub index: u32,
    /// InitiatorName.
    pub name: String,
    /// Initiator session identifier.
    pub isid: [u8; 6],
    /// CmdSN of the first login request.
    pub initial_cmd_sn: u32,
    /// First initiator task tag.
    pub initial_tag: u32,
    /// Commands in flight at most; the command window may allow fewer.
    pub queue_depth: u32,
    /// Log in to a discovery session first.
    pub discovery: bool,
    /// How the login exchange is cut into PDUs.
    pub login_style: LoginStyle,
    /// Immediate data sent with a command at most, in bytes; negotiation may allow less.
    pub immediate_bytes: u32,
    /// With InitialR2T=No: send unsolicited Data-Out.
    pub unsolicited: bool,
    /// Bytes handed to one send at most; one PDU goes out whole whatever its size.
    pub batch_bytes: u32,
    /// What is offered at login.
    #[serde(skip_serializing_if = "is_default")]
    pub keys: Keys,
    /// How long it waits for what.
    #[serde(skip_serializing_if = "is_default")]
    pub timeouts: Timeouts,
    /// After a loss it first tries to go on with the session (connection reinstatement, RFC 7143, section 6.3.4).
    pub keeps_session: bool,
    /// It sends commands behind ABORT TASK SET and CLEAR TASK SET without waiting for the answer.
    pub goes_on: bool,
    /// Instead of the steps: attacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostile: Option<HostilePlan>,
    /// What it does, in order.
    pub steps: Vec<Step>,
}

impl Default for InitiatorPlan {
    /// One that offers no key, sends what it may, and does nothing.
    fn default() -> Self {
        Self {
            index: 0,
            name: "iqn.2026-11.invalid.quintain:initiator".to_owned(),
            isid: [0x80, 0, 0, 0, 0, 0],
            initial_cmd_sn: 1,
            initial_tag: 1,
            queue_depth: 32,
            discovery: false,
            login_style: LoginStyle::OneShot,
            immediate_bytes: 1 << 16,
            unsolicited: true,
            batch_bytes: 1 << 16,
            keys: Keys::default(),
            timeouts: Timeouts::default(),
            keeps_session: false,
            goes_on: false,
            hostile: None,
            steps: Vec::new(),
        }
    }
}

/// The operational keys that are offered; `None` leaves a key out, so that its default holds (RFC 7143, section 13).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Keys {
    /// HeaderDigest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_digest: Option<String>,
    /// DataDigest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_digest: Option<String>,
    /// InitialR2T.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_r2t: Option<bool>,
    /// ImmediateData.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immediate_data: Option<bool>,
    /// MaxRecvDataSegmentLength, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_recv_data_segment_length: Option<u32>,
    /// MaxBurstLength, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_burst_length: Option<u32>,
    /// FirstBurstLength, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_burst_length: Option<u32>,
    /// MaxOutstandingR2T.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_outstanding_r2t: Option<u32>,
    /// DataPDUInOrder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_pdu_in_order: Option<bool>,
    /// DataSequenceInOrder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_sequence_in_order: Option<bool>,
    /// ErrorRecoveryLevel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_recovery_level: Option<u32>,
    /// MaxConnections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// DefaultTime2Wait, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_time2wait: Option<u32>,
    /// DefaultTime2Retain, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_time2retain: Option<u32>,
    /// A key that no target knows, to be answered NotUnderstood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

impl Keys {
    /// Those that a login to a session that is there may carry: the others belong to its first login.
    #[must_use]
    pub fn of_connection(&self) -> Self {
        Self {
            header_digest: self.header_digest.clone(),
            data_digest: self.data_digest.clone(),
            max_recv_data_segment_length: self.max_recv_data_segment_length,
            unknown: self.unknown.clone(),
            ..Self::default()
        }
    }
}

/// How a login is cut into stages and PDUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginStyle {
    /// Operational stage only, all in one PDU.
    #[default]
    OneShot,
    /// Security stage, then operational stage.
    Staged,
    /// Operational stage; asks to leave it only when all is answered.
    Cautious,
    /// As staged, each text cut in two PDUs with the C bit, in the middle of a key.
    Split,
    /// As staged; asks to leave each stage only when all is answered.
    Patient,
    /// From the security stage straight to the full feature phase: all operational keys at their defaults.
    Straight,
    /// As straight; asks to leave the stage only when all is answered.
    Thorough,
}

/// How long the initiator waits, in milliseconds; as open-iscsi names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// For a connection.
    pub connect_ms: u64,
    /// For the whole login.
    pub login_ms: u64,
    /// For a command, before ABORT TASK.
    pub command_ms: u64,
    /// For the answer to ABORT TASK, before LOGICAL UNIT RESET.
    pub abort_ms: u64,
    /// For the answer to a reset, before the session is given up.
    pub reset_ms: u64,
    /// Between pings on a quiet connection; zero: none.
    pub ping_interval_ms: u64,
    /// For the answer to a ping, before the session is given up.
    pub ping_ms: u64,
    /// Between two attempts to log in.
    pub retry_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 5_000,
            login_ms: 15_000,
            command_ms: 30_000,
            abort_ms: 15_000,
            reset_ms: 30_000,
            ping_interval_ms: 5_000,
            ping_ms: 5_000,
            retry_ms: 1_000,
        }
    }
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Its name in a shrunk plan.
    pub id: u32,
    /// Task attribute, for commands.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attribute: Attribute,
    /// Immediate delivery: the I bit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub immediate: bool,
    /// The LUN is sent in flat space addressing, its other address.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flat: bool,
    /// What to do.
    #[serde(flatten)]
    pub verb: Verb,
}

/// Task attribute (SAM-5, 8.7), as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attribute {
    /// Untagged.
    Untagged = 0,
    /// SIMPLE.
    #[default]
    Simple = 1,
    /// ORDERED.
    Ordered = 2,
    /// HEAD OF QUEUE.
    HeadOfQueue = 3,
}

/// Form of a command by the length of its CDB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CdbSize {
    /// 6 bytes.
    Six,
    /// 10 bytes.
    #[default]
    Ten,
    /// 12 bytes.
    Twelve,
    /// 16 bytes.
    Sixteen,
}

/// Which way data goes, as the initiator sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the initiator.
    In,
    /// From the initiator.
    Out,
}

/// How a connection is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hangup {
    /// RST.
    Reset,
    /// FIN, and what the target still sends meets a closed socket.
    Close,
    /// FIN, and what the target still sends is read.
    HalfClose,
}

/// What a step does. Addresses and counts are in logical blocks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    /// READ.
    Read {
        /// Logical unit.
        lun: u16,
        /// First block.
        lba: u64,
        /// Blocks.
        blocks: u32,
        /// Form.
        #[serde(default, skip_serializing_if = "is_default")]
        cdb: CdbSize,
        /// Force unit access.
        #[serde(default, skip_serializing_if = "is_default")]
        fua: bool,
        /// Disable page out.
        #[serde(default, skip_serializing_if = "is_default")]
        dpo: bool,
        /// Blocks by which the Expected Data Transfer Length differs from what the CDB asks for.
        #[serde(default, skip_serializing_if = "is_default")]
        expect_more: i32,
    },
    /// WRITE of stamped blocks.
    Write {
        /// Logical unit.
        lun: u16,
        /// First block.
        lba: u64,
        /// Blocks.
        blocks: u32,
        /// Form.
        #[serde(default, skip_serializing_if = "is_default")]
        cdb: CdbSize,
        /// Force unit access.
        #[serde(default, skip_serializing_if = "is_default")]
        fua: bool,
        /// Disable page out.
        #[serde(default, skip_serializing_if = "is_default")]
        dpo: bool,
        /// Blocks by which the Expected Data Transfer Length exceeds what the CDB asks for.
        #[serde(default, skip_serializing_if = "is_default")]
        expect_more: u32,
    },
    /// READ or WRITE that leaves the medium: CHECK CONDITION 05/21/00.
    BeyondEnd {
        /// Logical unit.
        lun: u16,
        /// Read or write.
        direction: Direction,
        /// Blocks; with none, the address is the first that is not even one past the last.
        blocks: u32,
        /// How many of these are still on the medium; below `blocks`, or zero.
        #[serde(default, skip_serializing_if = "is_default")]
        inside: u32,
        /// Start so near 2^64 that the end wraps to the start of the medium.
        #[serde(default, skip_serializing_if = "is_default")]
        wraps: bool,
    },
    /// SYNCHRONIZE CACHE; zero blocks: to the end of the medium.
    Synchronize {
        /// Logical unit.
        lun: u16,
        /// First block.
        lba: u64,
        /// Blocks.
        blocks: u32,
        /// The form of sixteen bytes.
        sixteen: bool,
        /// IMMED: answer before it is done.
        #[serde(default, skip_serializing_if = "is_default")]
        early: bool,
    },
    /// VERIFY without comparison.
    Verify {
        /// Logical unit.
        lun: u16,
        /// First block.
        lba: u64,
        /// Blocks.
        blocks: u32,
        /// Form.
        #[serde(default, skip_serializing_if = "is_default")]
        cdb: CdbSize,
    },
    /// INQUIRY.
    Inquiry {
        /// Logical unit.
        lun: u16,
        /// Vital product data page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<u8>,
        /// Allocation length in bytes.
        allocation: u16,
    },
    /// READ CAPACITY.
    ReadCapacity {
        /// Logical unit.
        lun: u16,
        /// The form of sixteen bytes.
        sixteen: bool,
    },
    /// MODE SENSE.
    ModeSense {
        /// Logical unit.
        lun: u16,
        /// Page code.
        page: u8,
        /// The form of ten bytes.
        ten: bool,
        /// Allocation length in bytes.
        allocation: u8,
    },
    /// TEST UNIT READY.
    TestUnitReady {
        /// Logical unit.
        lun: u16,
    },
    /// REQUEST SENSE.
    RequestSense {
        /// Logical unit.
        lun: u16,
        /// Descriptor format.
        descriptor: bool,
    },
    /// REPORT LUNS.
    ReportLuns {
        /// Logical unit.
        lun: u16,
        /// Allocation length in bytes.
        allocation: u32,
    },
    /// REPORT SUPPORTED OPERATION CODES.
    SupportedCommands {
        /// Logical unit.
        lun: u16,
        /// Zero: all commands. Else one of those that are there, or that are not.
        which: u8,
        /// With reporting option 011b, where there is a choice.
        either: bool,
        /// With the command timeouts descriptor.
        timeouts: bool,
        /// Allocation length in bytes.
        allocation: u16,
    },
    /// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS.
    SupportedFunctions {
        /// Logical unit.
        lun: u16,
        /// With the extended parameter data.
        extended: bool,
        /// Allocation length in bytes, four or more.
        allocation: u8,
    },
    /// A command that no disk knows: CHECK CONDITION 05/20/00.
    Unknown {
        /// Logical unit.
        lun: u16,
        /// Operation code.
        operation_code: u8,
    },
    /// A CDB with a field that no disk takes: CHECK CONDITION, ILLEGAL REQUEST.
    InvalidField {
        /// Logical unit.
        lun: u16,
        /// Which of the known ones, modulo their number.
        which: u8,
    },
    /// NOP-Out with data to be echoed.
    Ping {
        /// Bytes of data.
        bytes: u32,
    },
    /// Text request SendTargets within the session: by name, or empty.
    SendTargets {
        /// With the target's name.
        named: bool,
    },
    /// ABORT TASK of one command in flight.
    AbortTask {
        /// Which, counted from the oldest, modulo their number. With none in flight: a task that has ended.
        which: u32,
        /// Counted from the newest.
        #[serde(default, skip_serializing_if = "is_default")]
        newest: bool,
    },
    /// ABORT TASK SET.
    AbortTaskSet {
        /// Logical unit.
        lun: u16,
    },
    /// CLEAR TASK SET.
    ClearTaskSet {
        /// Logical unit.
        lun: u16,
    },
    /// LOGICAL UNIT RESET.
    LogicalUnitReset {
        /// Logical unit.
        lun: u16,
    },
    /// TARGET WARM RESET.
    TargetWarmReset,
    /// TARGET COLD RESET.
    TargetColdReset,
    /// Logout, then login again when there are more steps.
    Logout {
        /// Wait for the commands in flight first.
        drain: bool,
        /// Close the connection and not the session, which has no other.
        #[serde(default, skip_serializing_if = "is_default")]
        connection: bool,
    },
    /// Gives the connection up with all that is in flight, then logs in again with the same ISID.
    Drop {
        /// How.
        how: Hangup,
    },
    /// Logs in with the same ISID on a new connection while the old one lives: reinstatement.
    Reinstate,
    /// Logs in with the session's TSIH and CID on a new connection while the old one lives: connection reinstatement.
    ReinstateConnection,
    /// A discovery session beside this one, with SendTargets=All.
    Discover,
    /// Waits for the commands in flight.
    Drain,
    /// Starts nothing for a while.
    Pause {
        /// How long, in milliseconds.
        #[serde(default, skip_serializing_if = "is_default")]
        ms: u64,
        /// And so many microseconds: so shrunk plans have it, where a pause takes as long as the steps that it replaces.
        #[serde(default, skip_serializing_if = "is_default")]
        us: u64,
    },
    /// VERIFY with data to be compared: what the last READ or WRITE of this session and logical unit moved that ended
    /// GOOD, or zeros for the first block if there was none.
    Compare {
        /// Logical unit.
        lun: u16,
        /// Blocks, at least one; no more than there are data for, unless one block is for all.
        blocks: u32,
        /// Form.
        #[serde(default, skip_serializing_if = "is_default")]
        cdb: CdbSize,
        /// BYTCHK 11b: each block with the one block that is sent.
        #[serde(default, skip_serializing_if = "is_default")]
        one_block: bool,
        /// Near this byte, modulo their length, the data differ from what was moved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        differs: Option<u32>,
    },
    /// START STOP UNIT.
    StartStop {
        /// Logical unit.
        lun: u16,
        /// Starts it.
        start: bool,
        /// IMMED: answer before it is done.
        #[serde(default, skip_serializing_if = "is_default")]
        early: bool,
        /// NO_FLUSH: leave the cache alone.
        #[serde(default, skip_serializing_if = "is_default")]
        no_flush: bool,
    },
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
