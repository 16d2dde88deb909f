//! The trace: a 128-bit hash chain over everything that happens, always on, and the events themselves on request.
//!
//! Two runs of one plan are the same run exactly when their hashes agree (S7).

use std::fmt::{self, Debug, Write as _};
use std::hash::{Hash, Hasher};
use std::io::{BufWriter, Write};
use std::time::Duration;

use crate::history::{Event as HistoryEvent, Outcome, Sector};

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
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => write!(f, "world"),
            Self::Target => write!(f, "target"),
            Self::Connection(id) => write!(f, "connection {id}"),
            Self::Disk(lun) => write!(f, "disk {lun}"),
            Self::Fault(id) => write!(f, "fault {id}"),
        }
    }
}

/// The trace of a run.
#[derive(Default)]
pub struct Trace {
    chain: Chain,
    events: u64,
    file: Option<BufWriter<std::fs::File>>,
}

impl Trace {
    /// Writes each event as one line of JSON to `file`, too.
    pub fn write_to(&mut self, file: std::fs::File) {
        self.file = Some(BufWriter::new(file));
    }

    /// Adds an event.
    pub fn record(&mut self, at: Duration, entity: Entity, event: &(impl Hash + Debug)) {
        self.events += 1;
        self.chain.write_u64(nanoseconds(at));
        entity.hash(&mut self.chain);
        event.hash(&mut self.chain);
        if self.file.is_some() {
            self.write_line(at, entity, &format!("{event:?}"));
        }
    }

    /// Adds an event of the network: `check` stands for the `bytes` bytes that passed.
    pub fn network(&mut self, at: Duration, entity: Entity, what: &'static str, bytes: u64, check: u64) {
        self.events += 1;
        self.chain.write_u64(nanoseconds(at));
        entity.hash(&mut self.chain);
        self.chain.write(what.as_bytes());
        self.chain.write_u64(bytes << 32 | check);
        if self.file.is_some() {
            let text = if bytes > 0 { format!("{what} {bytes} bytes, crc32c {check:08x}") } else { what.to_owned() };
            self.write_line(at, entity, &text);
        }
    }

    /// Adds an event of the history.
    pub fn history(&mut self, at: Duration, event: &HistoryEvent) {
        self.events += 1;
        match event {
            HistoryEvent::Return { op, outcome: Outcome::Good { sectors } } => {
                self.chain.write_u64(op.0);
                sectors.iter().for_each(|sector| self.chain.write_u64(sector_word(*sector)));
            }
            other => other.hash(&mut self.chain),
        }
        if self.file.is_some() {
            self.write_line(at, Entity::World, &format!("{event:?}"));
        }
    }

    /// Puts the last lines into the file.
    pub fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            drop(file.flush());
        }
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

    fn write_line(&mut self, at: Duration, entity: Entity, event: &str) {
        let mut text = String::with_capacity(event.len() + 64);
        for character in event.chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                control if control < ' ' => drop(write!(text, "\\u{:04x}", u32::from(control))),
                other => text.push(other),
            }
        }
        let at_us = at.as_micros();
        if let Some(file) = &mut self.file {
            // The trace is a help for a human; a full disk must not change the run.
            drop(writeln!(file, r#"{{"at_us":{at_us},"entity":"{entity}","event":"{text}"}}"#));
        }
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

/// Two lanes of multiply and rotate, fed to each other: not for secrets, good against chance.
#[derive(Clone, Copy, Default)]
struct Chain {
    low: u64,
    high: u64,
}

impl Chain {
    fn value(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

impl Hasher for Chain {
    fn finish(&self) -> u64 {
        self.low ^ self.high
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
        self.write_u64(bytes.len() as u64);
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = u128::from(self.low ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        self.low = (mixed as u64).rotate_left(29) ^ self.high;
        self.high = (self.high.rotate_left(17) ^ (mixed >> 64) as u64)
            .wrapping_add(word | 1)
            .wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_depends_on_time_entity_event_and_order() {
        let hash = |events: &[(u64, Entity, u8)]| {
            let mut trace = Trace::default();
            for &(at, entity, event) in events {
                trace.record(Duration::from_nanos(at), entity, &event);
            }
            trace.hash()
        };
        let base = hash(&[(1, Entity::World, 7), (2, Entity::Target, 8)]);
        assert_eq!(base, hash(&[(1, Entity::World, 7), (2, Entity::Target, 8)]));
        for other in [
            hash(&[(1, Entity::World, 7), (3, Entity::Target, 8)]),
            hash(&[(1, Entity::World, 7), (2, Entity::Disk(0), 8)]),
            hash(&[(1, Entity::World, 7), (2, Entity::Target, 9)]),
            hash(&[(2, Entity::Target, 8), (1, Entity::World, 7)]),
            hash(&[(1, Entity::World, 7)]),
        ] {
            assert_ne!(base, other);
        }
    }
}
