//! An event of the core as an entry of the trace.

use quintain_core::event::Event;
use quintain_core::id::{ConnectionId, Lun, NexusId};

use super::command;
use super::entry::{Entry, Text};

/// Whose event it is, as the core names it.
pub(super) enum Whose {
    Connection(ConnectionId),
    Nexus(NexusId),
    Nobody,
}

/// What `event` says, and of whom.
pub(super) fn describe(event: &Event) -> (Whose, Entry) {
    let about = |kind: &'static str, lun: Lun| Entry { kind: kind.into(), lun: lun.number(), ..Entry::default() };
    let plain = |kind: &'static str, detail: &'static str| Entry {
        kind: kind.into(),
        detail: Some(detail.into()),
        ..Entry::default()
    };
    let task = |kind: &'static str, lun: Lun, itt: u32| Entry { itt: Some(itt), ..about(kind, lun) };
    match *event {
        Event::ConnectionOpened { connection, peer } => {
            let detail = Some(Text::Owned(peer.to_string()));
            (Whose::Connection(connection), Entry { kind: "connection-opened".into(), detail, ..Entry::default() })
        }
        Event::ConnectionClosed { connection, why } => (Whose::Connection(connection), plain("connection-closed", why)),
        Event::ConnectionRefused { limit, .. } => (Whose::Nobody, plain("connection-refused", limit)),
        Event::PeerAsked { connection } => (Whose::Connection(connection), plain("peer-asked", "for a sign of life")),
        Event::LoginRefused { connection, status } => {
            let status = Some(Text::Owned(format!("{status:#06x}")));
            (Whose::Connection(connection), Entry { kind: "login-refused".into(), status, ..Entry::default() })
        }
        Event::LoginBroken { connection, why, .. } => (Whose::Connection(connection), plain("login-broken", why)),
        Event::SessionStarted { connection, nexus, discovery, .. } => {
            let detail = Some(if discovery { "discovery" } else { "normal" }.into());
            let entry = Entry { kind: "session-started".into(), nexus: Some(nexus.0), detail, ..Entry::default() };
            (Whose::Connection(connection), entry)
        }
        Event::SessionContinued { connection, nexus } => {
            let entry = Entry { kind: "session-continued".into(), nexus: Some(nexus.0), ..Entry::default() };
            (Whose::Connection(connection), entry)
        }
        Event::SessionEnded { nexus, why } => (Whose::Nexus(nexus), plain("session-ended", why)),
        Event::ProtocolViolation { connection, what } => {
            (Whose::Connection(connection), plain("protocol-violation", what))
        }
        Event::TaskCreated { nexus, lun, itt, operation_code, attribute } => {
            let command = Some(command::name(operation_code));
            let detail = Some(command::attribute(attribute).into());
            (Whose::Nexus(nexus), Entry { command, detail, ..task("task-created", lun, itt.0) })
        }
        Event::TaskRefused { nexus, lun, itt, limit } => {
            (Whose::Nexus(nexus), Entry { detail: Some(limit.into()), ..task("task-refused", lun, itt.0) })
        }
        Event::TaskEnabled { nexus, lun, itt } => (Whose::Nexus(nexus), task("task-enabled", lun, itt.0)),
        Event::TaskStarted { nexus, lun, itt } => (Whose::Nexus(nexus), task("task-started", lun, itt.0)),
        Event::TaskCompleted { nexus, lun, itt, status } => {
            let status = Some(command::status(status));
            (Whose::Nexus(nexus), Entry { status, ..task("task-completed", lun, itt.0) })
        }
        Event::TaskAborted { nexus, lun, itt, disowned } => {
            let detail = disowned.then(|| "disowned: the disk still has it".into());
            (Whose::Nexus(nexus), Entry { detail, ..task("task-aborted", lun, itt.0) })
        }
        Event::DisownedCompleted { nexus, lun, itt } => (Whose::Nexus(nexus), task("disowned-completed", lun, itt.0)),
        Event::TaskManagementCompleted { nexus, itt, function, response } => {
            let (command, status) = (Some(command::function(function)), Some(command::function_response(response)));
            let kind = "task-management-completed".into();
            (Whose::Nexus(nexus), Entry { kind, itt: Some(itt.0), command, status, ..Entry::default() })
        }
        Event::UnitAttentionRaised { nexus, lun, code } => {
            let detail = Some(Text::Owned(format!("{:02X}h/{:02X}h", code >> 8, code & 0xff)));
            (Whose::Nexus(nexus), Entry { detail, ..about("unit-attention-raised", lun) })
        }
        Event::UnitAttentionReported { nexus, lun, code } => {
            let detail = Some(Text::Owned(format!("{:02X}h/{:02X}h", code >> 8, code & 0xff)));
            (Whose::Nexus(nexus), Entry { detail, ..about("unit-attention-reported", lun) })
        }
        Event::MediumFailed { lun, offset_bytes, length_bytes, write } => {
            let command = Some(if write { "write" } else { "read" }.into());
            let (offset, length) = (Some(offset_bytes), Some(length_bytes));
            (Whose::Nobody, Entry { command, offset, length, ..about("medium-failed", lun) })
        }
        Event::FlushFailed { lun } => (Whose::Nobody, about("flush-failed", lun)),
        Event::LimitMet { limit } => (Whose::Nobody, plain("limit-met", limit)),
        // What the core learns to say, and nobody has taught the trace yet.
        ref other => {
            let detail = Some(Text::Owned(format!("{other:?}")));
            (Whose::Nobody, Entry { kind: "core-event".into(), detail, ..Entry::default() })
        }
    }
}
