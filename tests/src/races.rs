//! Reads that raced a write of the same sector.
//!
//! The simulated disk moves a sector as a whole. The kernel does not promise that of a file in the page cache: a read
//! that is under way while a write is copied in may see part of each (SBC-4 promises no more without atomic writes). What
//! the oracles cannot know of a real disk is taken out of the history here, and nothing else: a sector that is neither
//! old nor new although no write of it was under way stays in.

use std::collections::BTreeMap;

use quintain_sim::history::{Action, Event, History, OpId, Outcome, Sector};

/// `history` without the answers of reads whose unsound sectors were all being written meanwhile.
#[must_use]
pub fn without_races(history: &History) -> History {
    let mut races = Races::default();
    let events = history.events.iter().filter(|event| races.keeps(history, event)).cloned().collect();
    History { units: history.units.clone(), events }
}

/// Sectors of a command: logical unit, first, one past the last.
type Extent = (u16, u64, u64);

#[derive(Default)]
struct Races {
    /// Writes that may still have an effect.
    writes: BTreeMap<OpId, Extent>,
    /// Reads under way, and the writes that were under way at any time since they were sent.
    reads: BTreeMap<OpId, (Extent, Vec<Extent>)>,
}

impl Races {
    fn keeps(&mut self, history: &History, event: &Event) -> bool {
        match event {
            Event::Invoke { op, lun, action, .. } => self.invoke(history, *op, *lun, action),
            Event::Fence { op } => self.end(*op),
            Event::Return { op, outcome } => {
                self.writes.remove(op);
                if let Some(((_, first, _), writes)) = self.reads.remove(op) {
                    return !is_torn(outcome, first, &writes);
                }
            }
            Event::Restart => self.writes.clear(),
            _ => {}
        }
        true
    }

    fn invoke(&mut self, history: &History, op: OpId, lun: u16, action: &Action) {
        let Some(unit) = history.units.iter().find(|unit| unit.lun == lun) else { return };
        let extent = |lba: u64, blocks: u32| {
            let sectors = u64::from(unit.block_bytes / 512);
            (lun, lba.saturating_mul(sectors), lba.saturating_add(blocks.into()).saturating_mul(sectors))
        };
        match *action {
            Action::Write { lba, blocks, .. } => {
                let write = extent(lba, blocks);
                self.reads.values_mut().for_each(|(_, writes)| writes.push(write));
                self.writes.insert(op, write);
            }
            Action::Read { lba, blocks } => {
                self.reads.insert(op, (extent(lba, blocks), self.writes.values().copied().collect()));
            }
            _ => {}
        }
    }

    fn end(&mut self, op: OpId) {
        self.writes.remove(&op);
        self.reads.remove(&op);
    }
}

fn is_torn(outcome: &Outcome, first: u64, writes: &[Extent]) -> bool {
    let (Outcome::Good { sectors } | Outcome::Miscompare { sectors, .. }) = outcome else { return false };
    let mut unsound = (first..).zip(sectors).filter(|(_, sector)| **sector == Sector::Garbage).peekable();
    let covered = |sector: u64| writes.iter().any(|(_, first, end)| (*first..*end).contains(&sector));
    unsound.peek().is_some() && unsound.all(|(sector, _)| covered(sector))
}

#[cfg(test)]
mod tests {
    use quintain_sim::history::{Nexus, Unit};

    use super::*;

    fn invoke(op: u64, action: Action) -> Event {
        Event::Invoke { op: OpId(op), nexus: Nexus { initiator: 0, login: 0 }, lun: 0, action }
    }

    fn good(op: u64, sectors: Vec<Sector>) -> Event {
        Event::Return { op: OpId(op), outcome: Outcome::Good { sectors } }
    }

    fn kept(events: Vec<Event>) -> usize {
        let unit = Unit { lun: 0, block_bytes: 512, blocks: 64, write_cache: true, nullio: false, read_only: false };
        without_races(&History { units: vec![unit], events }).events.len()
    }

    #[test]
    fn torn_read_goes_only_when_its_sector_was_being_written() {
        let write = invoke(1, Action::Write { lba: 4, blocks: 2, fua: false });
        let read = |lba| invoke(2, Action::Read { lba, blocks: 1 });
        let torn = || good(2, vec![Sector::Garbage]);
        assert_eq!(kept(vec![write.clone(), read(5), torn()]), 2);
        assert_eq!(kept(vec![read(5), write.clone(), good(1, vec![]), torn()]), 3);
        assert_eq!(kept(vec![write.clone(), read(6), torn()]), 3);
        assert_eq!(kept(vec![write.clone(), good(1, vec![]), read(5), torn()]), 4);
        assert_eq!(kept(vec![write, read(5), good(2, vec![Sector::Zero])]), 3);
    }
}
