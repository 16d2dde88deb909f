//! What happened, typed: logs, metrics, the timeline and the simulator's oracles all read this one stream.
//!
//! Every stage emits an event at entry and exit of a task; a runtime gets them through
//! [`crate::env::Runtime::event`].

use std::net::SocketAddr;
use std::rc::Rc;

use crate::id::{ConnectionId, Itt, Lun, NexusId};

/// One event. Cheap to build: only the begin of a session allocates.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection was accepted.
    ConnectionOpened {
        /// The connection.
        connection: ConnectionId,
        /// Where it came from.
        peer: SocketAddr,
    },
    /// A connection is gone.
    ConnectionClosed {
        /// The connection.
        connection: ConnectionId,
        /// Why, in words for a log line.
        why: &'static str,
    },
    /// A connection was refused before login for a limit.
    ConnectionRefused {
        /// Where it came from.
        peer: SocketAddr,
        /// Which limit of [`crate::limits::Limits`].
        limit: &'static str,
    },
    /// A silent peer was asked for a sign of life.
    PeerAsked {
        /// The connection.
        connection: ConnectionId,
    },
    /// A login ended in a status other than success.
    LoginRefused {
        /// The connection.
        connection: ConnectionId,
        /// Status-Class in the high byte, Status-Detail in the low one (RFC 7143, section 11.13.5).
        status: u16,
    },
    /// A connection ended before its login did, without an answer to it.
    LoginBroken {
        /// The connection.
        connection: ConnectionId,
        /// Why, in words for a log line.
        why: &'static str,
        /// The peer had said something, be it wrong.
        spoke: bool,
    },
    /// A session entered full feature phase.
    SessionStarted {
        /// Its connection.
        connection: ConnectionId,
        /// The new nexus.
        nexus: NexusId,
        /// A discovery session has no logical units.
        discovery: bool,
        /// Who logged in.
        initiator: Rc<str>,
        /// Where to, unless for discovery.
        target: Option<Rc<str>>,
    },
    /// A session goes on with another connection, without the tasks that the old one had (RFC 7143, section 6.3.4).
    SessionContinued {
        /// Its new connection.
        connection: ConnectionId,
        /// The nexus, as before.
        nexus: NexusId,
    },
    /// A session is over: logout, reinstatement, or loss of its connection.
    SessionEnded {
        /// The nexus that is gone.
        nexus: NexusId,
        /// Why, in words for a log line.
        why: &'static str,
    },
    /// The peer broke the protocol.
    ProtocolViolation {
        /// The connection.
        connection: ConnectionId,
        /// What it did, in words for a log line.
        what: &'static str,
    },
    /// A command entered the task set.
    TaskCreated {
        /// Its nexus.
        nexus: NexusId,
        /// Its logical unit, mapped or not.
        lun: Lun,
        /// Its tag.
        itt: Itt,
        /// First byte of the CDB.
        operation_code: u8,
        /// Task attribute as on the wire (RFC 7143, section 11.3.1).
        attribute: u8,
    },
    /// A command was refused for a limit, be it in its task set or not: it is answered BUSY or TASK SET FULL when its data
    /// have stopped coming, unless it was refused for something else before.
    TaskRefused {
        /// Its nexus.
        nexus: NexusId,
        /// Its logical unit.
        lun: Lun,
        /// Its tag.
        itt: Itt,
        /// Which limit of [`crate::limits::Limits`].
        limit: &'static str,
    },
    /// A task became enabled and joined the work queue (SAM-5, section 8.5).
    TaskEnabled {
        /// Its nexus.
        nexus: NexusId,
        /// Its logical unit.
        lun: Lun,
        /// Its tag.
        itt: Itt,
    },
    /// A worker took a task.
    TaskStarted {
        /// Its nexus.
        nexus: NexusId,
        /// Its logical unit.
        lun: Lun,
        /// Its tag.
        itt: Itt,
    },
    /// A task ended with a status that was put on the write list.
    TaskCompleted {
        /// Its nexus.
        nexus: NexusId,
        /// Its logical unit.
        lun: Lun,
        /// Its tag.
        itt: Itt,
        /// SAM status.
        status: u8,
    },
    /// A task ended without a status.
    TaskAborted {
        /// Its nexus.
        nexus: NexusId,
        /// Its logical unit.
        lun: Lun,
        /// Its tag.
        itt: Itt,
        /// The back end had not finished it: it was fenced and its late completion will be disowned.
        disowned: bool,
    },
    /// The back end finished a disowned command after all.
    DisownedCompleted {
        /// Its nexus.
        nexus: NexusId,
        /// Its logical unit.
        lun: Lun,
        /// Its tag.
        itt: Itt,
    },
    /// A task management function was answered.
    TaskManagementCompleted {
        /// Its nexus.
        nexus: NexusId,
        /// Its own tag.
        itt: Itt,
        /// Function as on the wire (RFC 7143, section 11.5.1).
        function: u8,
        /// Response as on the wire (RFC 7143, section 11.6.1).
        response: u8,
    },
    /// A unit attention condition was established.
    UnitAttentionRaised {
        /// For this nexus.
        nexus: NexusId,
        /// The logical unit.
        lun: Lun,
        /// ASC in the high byte, ASCQ in the low one.
        code: u16,
    },
    /// A unit attention condition was reported and cleared.
    UnitAttentionReported {
        /// To this nexus.
        nexus: NexusId,
        /// The logical unit.
        lun: Lun,
        /// ASC in the high byte, ASCQ in the low one.
        code: u16,
    },
    /// A read or write failed at the back end.
    MediumFailed {
        /// The logical unit.
        lun: Lun,
        /// Where, in bytes.
        offset_bytes: u64,
        /// How much, in bytes.
        length_bytes: u64,
        /// It was a write.
        write: bool,
    },
    /// A flush, or the flush of a durable write, failed: the logical unit takes no more writes.
    FlushFailed {
        /// The logical unit.
        lun: Lun,
    },
    /// A limit was met, and something was answered BUSY or Reject for it: not a task before it was carried out, which
    /// [`Event::TaskRefused`] tells.
    LimitMet {
        /// Which limit of [`crate::limits::Limits`].
        limit: &'static str,
    },
}
