//! The core's own counts (`high_water.rs`), which the operator reads, against its events and against what its initiators
//! were answered: S8.

use std::collections::BTreeMap;

use quintain_core::event::Event;
use quintain_core::high_water::Reading;

use super::Finding;
use crate::initiator::codec::{RawPdu, opcode};

const BUSY: u8 = 0x08;
const TASK_SET_FULL: u8 = 0x28;
/// A reason of a Reject (RFC 7143, section 11.17.1).
const IMMEDIATE_COMMAND_REJECT: u8 = 0x06;
/// A response to a task management function (section 11.6.1).
const FUNCTION_REJECTED: u8 = 255;
/// Each refusal for one of these is told by an event, too.
const TOLD: [&str; 11] = [
    "connections",
    "logins_per_peer",
    "sessions_per_target",
    "immediate_commands",
    "task_management_functions",
    "task_set_tasks",
    "work_queue_tasks",
    "disowned_tasks",
    "pool_bytes",
    "pool_shares",
    "nop_interval",
];
/// Why the core closes a connection, and the limit that it counts.
const CLOSED: [(&str, &str); 2] = [("the peer does not read", "send_stall"), ("no answer to NOP-In", "nop_timeout")];

/// What one process of the target should have counted.
#[derive(Default, Debug)]
pub(super) struct Statistics {
    /// By limit, what the core's events told.
    told: BTreeMap<&'static str, u64>,
    /// Statuses BUSY on the wire.
    busy: u64,
    /// Statuses TASK SET FULL on the wire.
    full: u64,
    /// Rejects of immediate commands, and task management functions that were rejected, on the wire.
    turned_away: u64,
}

impl Statistics {
    /// Takes the next event of the core.
    pub(super) fn event(&mut self, event: &Event) {
        match *event {
            Event::LimitMet { limit } | Event::TaskRefused { limit, .. } | Event::ConnectionRefused { limit, .. } => {
                self.tell(limit);
            }
            Event::PeerAsked { .. } => self.tell("nop_interval"),
            Event::ConnectionClosed { why, .. } => {
                if let Some((_, limit)) = CLOSED.iter().find(|(reason, _)| *reason == why) {
                    self.tell(limit);
                }
            }
            _ => {}
        }
    }

    /// An initiator is answered.
    pub(super) fn answered(&mut self, pdu: &RawPdu) {
        match pdu.opcode() {
            opcode::SCSI_RESPONSE => {
                self.busy += u64::from(pdu.status() == BUSY);
                self.full += u64::from(pdu.status() == TASK_SET_FULL);
            }
            opcode::REJECT => self.turned_away += u64::from(pdu.bhs[2] == IMMEDIATE_COMMAND_REJECT),
            opcode::TASK_MANAGEMENT_RESPONSE => self.turned_away += u64::from(pdu.response() == FUNCTION_REJECTED),
            _ => {}
        }
    }

    fn tell(&mut self, limit: &'static str) {
        *self.told.entry(limit).or_default() += 1;
    }

    /// What of the `readings` of all shards is wrong.
    pub(super) fn judge(&self, readings: &[Reading]) -> Vec<Finding> {
        if readings.is_empty() {
            return Vec::new();
        }
        let met = |name: &str| readings.iter().find(|reading| reading.name == name).map_or(0, |reading| reading.met);
        let mut stories = Vec::new();
        let told = |name| self.told.get(name).copied().unwrap_or(0);
        for (name, exact) in TOLD.map(|name| (name, true)).into_iter().chain(CLOSED.map(|(_, name)| (name, false))) {
            let (counted, told) = (met(name), told(name));
            // A connection is told closed when it has lingered, and for one reason only.
            if told > counted || exact && told < counted {
                stories.push(format!("{name} was met {counted} times by the target's own count, {told} by its events"));
            }
        }
        // An answer may be lost on its way, but none comes that was not counted.
        let busy = ["work_queue_tasks", "disowned_tasks", "pool_bytes", "pool_shares"].map(met).iter().sum();
        let turned_away = met("immediate_commands") + met("task_management_functions");
        for (what, seen, counted) in [
            ("BUSY", self.busy, busy),
            ("TASK SET FULL", self.full, met("task_set_tasks")),
            ("that there is no room for an immediate command or a function", self.turned_away, turned_away),
        ] {
            if seen > counted {
                stories.push(format!("initiators were told {what} {seen} times, the target counted {counted}"));
            }
        }
        stories.into_iter().map(|message| Finding { oracle: "S8", message }).collect()
    }
}
