//! What a hostile initiator does, as data: attacks on one rule each.

use serde::{Deserialize, Serialize};

/// What a hostile initiator does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostilePlan {
    /// The logical unit it may write to.
    pub lun: u16,
    /// Its attacks, in order; each on a connection of its own.
    pub attacks: Vec<AttackStep>,
}

/// One attack.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AttackStep {
    /// Its name in a shrunk plan.
    pub id: u32,
    /// A number that varies the attack.
    pub amount: u32,
    /// What it does.
    pub attack: Attack,
}

/// Rules to break, by group: numbers, lengths, order, login, pace; what came later stands at the end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// A command past MaxCmdSN: to be dropped in silence.
    CommandAboveWindow,
    /// A command before ExpCmdSN: to be dropped in silence.
    CommandBelowWindow,
    /// The same CmdSN twice.
    CommandTwice,
    /// A gap in CmdSN that is never filled.
    CommandGap,
    /// Commands in falling order of CmdSN: all are due once the gap is filled, in rising order.
    CommandsBackward,
    /// ExpStatSN far ahead of StatSN.
    StatusAhead,
    /// A second command with the tag of one that waits for its data.
    TagReused,
    /// Data-Out with a transfer tag that no R2T gave out.
    TransferTagWrong,
    /// Data-Out with the transfer tag of an R2T that was answered already.
    TransferTagStale,
    /// A hole in DataSN.
    DataNumberGap,
    /// Data beyond what was asked for.
    OffsetBeyond,
    /// The same data twice within a burst.
    OffsetOverlap,
    /// Data in backward order.
    OffsetBackward,
    /// A data segment longer than the target takes.
    SegmentTooLong,
    /// Additional header segments that lie about their length.
    AhsLies,
    /// Expected Data Transfer Length below what the CDB asks for.
    ExpectsLess,
    /// A write command whose immediate data exceed FirstBurstLength or the expected length.
    ImmediateTooLong,
    /// More data than the R2T asked for.
    BurstTooLong,
    /// The last PDU of a burst without F.
    FinalMissing,
    /// F before the burst is complete.
    FinalEarly,
    /// Data-Out of a command that was never sent.
    DataWithoutCommand,
    /// Unsolicited data although InitialR2T is Yes.
    UnsolicitedForbidden,
    /// Data of a command that was aborted.
    DataAfterAbort,
    /// A NOP-Out that answers a NOP-In nobody sent.
    AnswerToNothing,
    /// A SCSI command during login.
    CommandInLogin,
    /// A login request in full feature phase.
    LoginAgain,
    /// SNACK at error recovery level 0.
    Snack,
    /// An operation code that does not exist.
    OpcodeUnknown,
    /// A PDU that only a target sends.
    OpcodeOfTarget,
    /// Task management with a function, or for a logical unit, that does not exist.
    FunctionUnknown,
    /// Logout of a connection that does not exist.
    LogoutElsewhere,
    /// SendTargets=All in a normal session, over and over.
    TextFlood,
    /// Random bytes at first.
    Garbage,
    /// An HTTP request at first, or what SSH says.
    Http,
    /// A TLS handshake at first.
    Tls,
    /// One PDU of some other operation code before login.
    BeforeLogin,
    /// Login stops half-way.
    LoginHalf,
    /// Login that never leaves its stage.
    LoginEndless,
    /// A key of ten kilobytes.
    KeyTooLong,
    /// The same key twice.
    KeyTwice,
    /// Text without a NUL or `=`.
    TextMalformed,
    /// A stage that does not exist, or a step back.
    StageIllegal,
    /// A TSIH that was never given out.
    SessionUnknown,
    /// A login to a target that is not there.
    TargetUnknown,
    /// A login without InitiatorName.
    NameMissing,
    /// Login, one byte at a time, then silence.
    Slow,
    /// Commands whose answers are never read.
    NeverReads,
    /// A write whose last data never come.
    HoldsData,
    /// Immediate commands without end.
    ImmediateFlood,
    /// Connections opened and dropped.
    OpenAndDrop,
    /// A login that adds a connection to a session, which may have one.
    SecondConnection,
    /// WRITEs that fill the window and whose data never come, or come late.
    GreedyWrites,
    /// WRITEs for more than a share of the buffer pool, whose data come a few bytes at a time.
    TrickledData,
    /// Data-Out behind a WRITE that is complete, in one go with it.
    DataBehindWrite,
    /// ABORT TASK of a command that never came, within the window or without.
    AbortUnsent,
    /// A PDU that comes byte by byte, too slowly to come to its end in time.
    PduDribbled,
    /// ABORT TASK of a task of which one function has said that it is over while another one is still at work.
    AbortConfirmed,
    /// A PDU in a discovery session that does not belong there.
    DiscoveryForeign,
    /// So many unknown keys that the answer to them does not fit one PDU.
    UnknownKeys,
    /// Text requests with the C bit and without data, over and over.
    TextEmpty,
    /// Data of a WRITE that waits for a gap in CmdSN: against the rules, with a wrong digest, never, or after its abort.
    DataBehindGap,
    /// Data of a dormant WRITE, against the rules or with a wrong digest.
    DataWhileDormant,
    /// Data of a WRITE of which a block came with a wrong digest: against the rules, with another wrong digest, or never.
    DataOfRefused,
    /// Data of WRITEs that are being aborted, against the rules or with a wrong digest.
    DataOfAborted,
    /// PDUs that do not belong into full feature phase, and pings with a wrong digest, over and over, beside a WRITE that
    /// waits for its data.
    MisplacedFlood,
    /// A login under a name that is none, or with something else wrong in what the initiator says of itself.
    NameOdd,
    /// An offer at login with a value that its key cannot have.
    OfferOdd,
    /// Keys at login in a stage, at a time or with a word that is not theirs.
    KeyOutOfPlace,
    /// A login with another version of the protocol, or with identifiers that change.
    VersionOther,
    /// A text negotiation in full feature phase at its bounds, or beyond them.
    TextBounds,
    /// Immediate commands with ABORT TASK right behind each, over and over, beside a WRITE that waits for its data: by the
    /// rules, and a target that stops in the middle must not take the one without the other.
    AbortFlood,
    /// A command that is odd in one field, of the PDU or of the CDB.
    CommandOdd,
    /// Unsolicited data that may come, but break a rule.
    UnsolicitedOdd,
    /// More sessions than there may be, one beside the other, which breaks no rule.
    Crowd,
}

/// What attacks are about. A hostile initiator knows those of some groups only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttackGroup {
    /// CmdSN, StatSN, tags, DataSN and offsets.
    Numbers,
    /// Segments, bursts and expected lengths.
    Lengths,
    /// PDUs at a moment that is not theirs.
    Order,
    /// Logins, keys and text.
    Login,
    /// Commands and task management functions.
    Scsi,
    /// Too slowly, too fast, or not at all.
    Pace,
}

impl AttackGroup {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Numbers, Self::Lengths, Self::Order, Self::Login, Self::Scsi, Self::Pace];
}

impl Attack {
    /// Its group.
    #[must_use]
    pub fn group(self) -> AttackGroup {
        match self {
            Self::CommandAboveWindow
            | Self::CommandBelowWindow
            | Self::CommandTwice
            | Self::CommandGap
            | Self::CommandsBackward
            | Self::StatusAhead
            | Self::TagReused
            | Self::TransferTagWrong
            | Self::TransferTagStale
            | Self::DataNumberGap
            | Self::OffsetBeyond
            | Self::OffsetOverlap
            | Self::OffsetBackward => AttackGroup::Numbers,
            Self::SegmentTooLong
            | Self::AhsLies
            | Self::ExpectsLess
            | Self::ImmediateTooLong
            | Self::BurstTooLong
            | Self::FinalMissing
            | Self::FinalEarly
            | Self::UnsolicitedOdd => AttackGroup::Lengths,
            Self::DataWithoutCommand
            | Self::UnsolicitedForbidden
            | Self::DataAfterAbort
            | Self::DataBehindWrite
            | Self::DataBehindGap
            | Self::DataWhileDormant
            | Self::DataOfRefused
            | Self::DataOfAborted
            | Self::AnswerToNothing
            | Self::Snack
            | Self::OpcodeUnknown
            | Self::OpcodeOfTarget
            | Self::MisplacedFlood => AttackGroup::Order,
            Self::CommandInLogin
            | Self::LoginAgain
            | Self::LogoutElsewhere
            | Self::Garbage
            | Self::Http
            | Self::Tls
            | Self::BeforeLogin
            | Self::LoginHalf
            | Self::LoginEndless
            | Self::KeyTooLong
            | Self::KeyTwice
            | Self::TextMalformed
            | Self::StageIllegal
            | Self::SessionUnknown
            | Self::TargetUnknown
            | Self::NameMissing
            | Self::NameOdd
            | Self::OfferOdd
            | Self::KeyOutOfPlace
            | Self::VersionOther
            | Self::SecondConnection
            | Self::DiscoveryForeign
            | Self::UnknownKeys
            | Self::TextFlood
            | Self::TextEmpty
            | Self::TextBounds => AttackGroup::Login,
            Self::FunctionUnknown | Self::AbortUnsent | Self::AbortConfirmed | Self::AbortFlood | Self::CommandOdd => {
                AttackGroup::Scsi
            }
            Self::Slow
            | Self::NeverReads
            | Self::HoldsData
            | Self::GreedyWrites
            | Self::TrickledData
            | Self::PduDribbled
            | Self::ImmediateFlood
            | Self::OpenAndDrop
            | Self::Crowd => AttackGroup::Pace,
        }
    }

    /// All of them, in order.
    pub const ALL: &[Self] = &[
        Self::CommandAboveWindow,
        Self::CommandBelowWindow,
        Self::CommandTwice,
        Self::CommandGap,
        Self::CommandsBackward,
        Self::StatusAhead,
        Self::TagReused,
        Self::TransferTagWrong,
        Self::TransferTagStale,
        Self::DataNumberGap,
        Self::OffsetBeyond,
        Self::OffsetOverlap,
        Self::OffsetBackward,
        Self::SegmentTooLong,
        Self::AhsLies,
        Self::ExpectsLess,
        Self::ImmediateTooLong,
        Self::BurstTooLong,
        Self::FinalMissing,
        Self::FinalEarly,
        Self::DataWithoutCommand,
        Self::UnsolicitedForbidden,
        Self::DataAfterAbort,
        Self::AnswerToNothing,
        Self::CommandInLogin,
        Self::LoginAgain,
        Self::Snack,
        Self::OpcodeUnknown,
        Self::OpcodeOfTarget,
        Self::FunctionUnknown,
        Self::LogoutElsewhere,
        Self::TextFlood,
        Self::Garbage,
        Self::Http,
        Self::Tls,
        Self::BeforeLogin,
        Self::LoginHalf,
        Self::LoginEndless,
        Self::KeyTooLong,
        Self::KeyTwice,
        Self::TextMalformed,
        Self::StageIllegal,
        Self::SessionUnknown,
        Self::TargetUnknown,
        Self::NameMissing,
        Self::Slow,
        Self::NeverReads,
        Self::HoldsData,
        Self::ImmediateFlood,
        Self::OpenAndDrop,
        Self::SecondConnection,
        Self::GreedyWrites,
        Self::TrickledData,
        Self::DataBehindWrite,
        Self::AbortUnsent,
        Self::PduDribbled,
        Self::AbortConfirmed,
        Self::DiscoveryForeign,
        Self::UnknownKeys,
        Self::TextEmpty,
        Self::DataBehindGap,
        Self::DataWhileDormant,
        Self::DataOfRefused,
        Self::DataOfAborted,
        Self::MisplacedFlood,
        Self::NameOdd,
        Self::OfferOdd,
        Self::KeyOutOfPlace,
        Self::VersionOther,
        Self::TextBounds,
        Self::AbortFlood,
        Self::CommandOdd,
        Self::UnsolicitedOdd,
        Self::Crowd,
    ];
}
