//! What of core a run went through, cheaply: which kinds of event came right after which others.
//!
//! A path is three kinds of event in a row, as core told them. It says nothing about what was checked, and an order that
//! chance alone brought about counts like any other: it is good for seeing that more seeds show nothing new, and for
//! nothing else.

use std::hash::{Hash, Hasher};
use std::mem::discriminant;

use quintain_core::event::Event;

/// Bits for one kind of event; core has fewer kinds than fit.
const KIND_BITS: u32 = 6;
/// Kinds of event in a row that make a path.
const LENGTH: u32 = 3;

/// The paths of one run.
pub struct Paths {
    /// The last kinds, each in its bits.
    last: u32,
    /// One bit for each path.
    seen: Vec<u64>,
}

impl Default for Paths {
    fn default() -> Self {
        Self { last: 0, seen: vec![0; 1 << (KIND_BITS * LENGTH - 6)] }
    }
}

impl Paths {
    /// Core has told `event`.
    pub fn event(&mut self, event: &Event) {
        let mut kind = Kind(0);
        discriminant(event).hash(&mut kind);
        // Zero stands for nothing before the first event.
        let kind = (kind.0 as u32 + 1) & ((1 << KIND_BITS) - 1);
        self.last = (self.last << KIND_BITS | kind) & ((1 << (KIND_BITS * LENGTH)) - 1);
        self.seen[self.last as usize / 64] |= 1 << (self.last % 64);
    }

    /// All of them, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<u32> {
        let words = self.seen.iter().enumerate().filter(|(_, word)| **word != 0);
        let bits = words.flat_map(|(at, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u32 * 64 + bit)
        });
        bits.collect()
    }
}

/// Takes the number out of a discriminant.
struct Kind(u64);

impl Hasher for Kind {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().rev() {
            self.0 = self.0 << 8 | u64::from(byte);
        }
    }
}

#[cfg(test)]
mod tests {

    use quintain_core::id::{ConnectionId, Itt, Lun, NexusId};

    use super::*;

    fn paths(events: &[Event]) -> Vec<u32> {
        let mut paths = Paths::default();
        events.iter().for_each(|event| paths.event(event));
        paths.seen()
    }

    #[test]
    fn order_makes_another_path_and_repetition_does_not() {
        let asked = |connection| Event::PeerAsked { connection: ConnectionId(connection) };
        let started = |nexus| Event::TaskStarted { nexus: NexusId(nexus), lun: Lun(0), itt: Itt(0) };
        assert_ne!(paths(&[asked(1), started(1)]), paths(&[started(1), asked(1)]));
        assert_eq!(paths(&[asked(1), started(1)]), paths(&[asked(2), started(7)]));
        let repeated = |count: u64| (0..count).map(asked).collect::<Vec<_>>();
        assert_eq!(paths(&repeated(3)).len(), 3);
        assert_eq!(paths(&repeated(3)), paths(&repeated(6)));
    }
}
