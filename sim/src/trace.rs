//! The trace: a 128-bit hash chain over everything that happens, always on, and what happened itself for whoever watches.
//!
//! Two runs of one plan are the same run exactly when their hashes agree (S7). A [`Watch`] hears of each fact while it
//! happens: [`Recorder`] makes typed events of them, [`crate::pcap`] packets.

mod chain;
mod command;
mod core_event;
mod diff;
mod entry;
mod filter;
mod line;
mod pdu;
mod recorder;
mod self_test;

pub use diff::{Difference, difference};
pub use entry::Entry;
pub use filter::{Filter, Follow};
pub(crate) use line::said;
pub use line::{Line, line};
pub use recorder::Recorder;
pub(crate) use self_test::self_test;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use quintain_core::event::Event as CoreEvent;

use crate::history::{Event as HistoryEvent, Outcome, Sector};
use crate::plan::Fault;
use crate::planted::planted;
use chain::Chain;

/// The hash of a text, of the kind that traces have.
#[must_use]
pub fn hash_of(text: &str) -> u128 {
    let mut chain = Chain::default();
    chain.write(text.as_bytes());
    chain.value()
}

/// Whom an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Entity {
    /// The run as a whole.
    World,
    /// The target: an event of core.
    Target,
    /// A connection of the network.
    Connection(u64),
    /// The disk of a logical unit.
    Disk(u16),
    /// A fault of the plan.
    Fault(u32),
    /// An initiator of the plan; the auditor is the one behind the last.
    Initiator(u32),
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => write!(f, "world"),
            Self::Target => write!(f, "target"),
            Self::Connection(id) => write!(f, "connection {id}"),
            Self::Disk(lun) => write!(f, "disk {lun}"),
            Self::Fault(id) => write!(f, "fault {id}"),
            Self::Initiator(number) => write!(f, "initiator {number}"),
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// The run enters a phase.
    Phase(&'static str),
    /// The target's process dies or comes back.
    Process(&'static str),
    /// The core says so.
    Core(&'a CoreEvent),
    /// A fault strikes.
    Fault {
        /// Its kind.
        name: &'static str,
        /// The fault itself.
        fault: &'a Fault,
    },
    /// Something happens to an operation of a disk.
    Disk {
        /// Read, write, durable write or flush.
        what: &'static str,
        /// What becomes of it.
        how: &'static str,
        /// Where, in bytes.
        offset_bytes: u64,
        /// How much, in bytes.
        length_bytes: usize,
    },
    /// Something happens to a connection.
    Network(&'static str),
    /// Bytes pass at an end of a connection.
    Bytes {
        /// At which end and which way.
        way: Way,
        /// The bytes.
        bytes: &'a [u8],
        /// Their CRC-32C; only what is hashed has one.
        check: u32,
    },
    /// An initiator connects: the connection is there.
    Connect {
        /// Which initiator of the plan.
        initiator: u32,
    },
    /// A connection could not be opened.
    ConnectFailed {
        /// No answer came; otherwise it was refused.
        silent: bool,
    },
    /// What an initiator does or sees. A command that is sent has a tag.
    History {
        /// What.
        event: &'a HistoryEvent,
        /// Initiator Task Tag.
        tag: Option<u32>,
    },
    /// A rule was broken, or was found to be broken.
    Failure {
        /// Which.
        oracle: &'static str,
        /// The story.
        message: &'a str,
    },
}

/// Where bytes pass.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Way {
    /// An initiator's bytes leave it.
    InitiatorSent,
    /// The target consumes them.
    TargetReceived,
    /// The target's bytes leave it.
    TargetSent,
    /// An initiator consumes them.
    InitiatorReceived,
}

impl Hash for Fact<'_> {
    /// Only what [`Trace::record`] takes has anything to hash.
    fn hash<H: Hasher>(&self, chain: &mut H) {
        match *self {
            Self::Phase(name) | Self::Process(name) | Self::Fault { name, .. } => name.hash(chain),
            Self::Core(event) => event.hash(chain),
            Self::Disk { .. } if planted!(TraceUnhashed) => {}
            Self::Disk { what, how, offset_bytes, length_bytes } => {
                (what, how, offset_bytes, length_bytes).hash(chain);
            }
            Self::Network(what) => hash_network(chain, what, 0, 0),
            Self::Connect { .. } => hash_network(chain, "connect", 0, 0),
            Self::Bytes { way, bytes, check } => {
                let what = if way == Way::TargetReceived { "received" } else { "sent" };
                hash_network(chain, what, bytes.len() as u64, check);
            }
            Self::ConnectFailed { .. } | Self::History { .. } | Self::Failure { .. } => {}
        }
    }
}

fn hash_network(chain: &mut impl Hasher, what: &str, bytes: u64, check: u32) {
    chain.write(what.as_bytes());
    chain.write_u64(bytes << 32 | u64::from(check));
}

/// Hears of everything that happens in a run, while it happens.
pub trait Watch: Send {
    /// This happened.
    fn fact(&mut self, at: Duration, entity: Entity, fact: &Fact<'_>);
}

/// The trace of a run.
#[derive(Default)]
pub struct Trace {
    chain: Chain,
    events: u64,
    watch: Option<Box<dyn Watch>>,
}

impl Trace {
    /// A trace that tells `watch`, too.
    #[must_use]
    pub fn new(watch: Option<Box<dyn Watch>>) -> Self {
        Self { watch, ..Self::default() }
    }

    /// Somebody is told of each fact.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// Adds a fact.
    pub fn record(&mut self, at: Duration, entity: Entity, fact: &Fact<'_>) {
        self.events += 1;
        self.chain.write_u64(nanoseconds(at));
        entity.hash(&mut self.chain);
        fact.hash(&mut self.chain);
        self.note(at, entity, fact);
    }

    /// Tells a fact that follows from others and is not hashed.
    pub fn note(&mut self, at: Duration, entity: Entity, fact: &Fact<'_>) {
        if let Some(watch) = &mut self.watch {
            watch.fact(at, entity, fact);
        }
    }

    /// Adds an event of the history; who watches has heard of it when it happened.
    pub fn history(&mut self, event: &HistoryEvent) {
        self.events += 1;
        match event {
            HistoryEvent::Return { op, outcome: Outcome::Good { sectors } } => {
                self.chain.write_u64(op.0);
                sectors.iter().for_each(|sector| self.chain.write_u64(sector_word(*sector)));
            }
            other => other.hash(&mut self.chain),
        }
    }

    /// The run is over: nobody watches any more. What a run leaves in memory may still hold the trace.
    pub fn finish(&mut self) {
        self.watch = None;
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> u128 {
        self.chain.value()
    }

    /// Events so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }
}

fn nanoseconds(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)
}

fn sector_word(sector: Sector) -> u64 {
    match sector {
        Sector::Written(op) => op.0,
        Sector::Zero => u64::MAX,
        Sector::Foreign => u64::MAX - 1,
        Sector::Garbage => u64::MAX - 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_depends_on_time_entity_event_and_order() {
        let hash = |events: &[(u64, Entity, &'static str)]| {
            let mut trace = Trace::default();
            for &(at, entity, event) in events {
                trace.record(Duration::from_nanos(at), entity, &Fact::Phase(event));
            }
            trace.hash()
        };
        let base = hash(&[(1, Entity::World, "7"), (2, Entity::Target, "8")]);
        assert_eq!(base, hash(&[(1, Entity::World, "7"), (2, Entity::Target, "8")]));
        for other in [
            hash(&[(1, Entity::World, "7"), (3, Entity::Target, "8")]),
            hash(&[(1, Entity::World, "7"), (2, Entity::Disk(0), "8")]),
            hash(&[(1, Entity::World, "7"), (2, Entity::Target, "9")]),
            hash(&[(2, Entity::Target, "8"), (1, Entity::World, "7")]),
            hash(&[(1, Entity::World, "7")]),
        ] {
            assert_ne!(base, other);
        }
    }
}
