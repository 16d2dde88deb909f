//! The commands of one logical unit, by sector.

use std::ops::Range;

use crate::history::{History, Sector};

use super::op::{self, Kind, Op, Timeline};

/// A sector that was never written.
pub(super) const ZERO: u32 = u32::MAX;
/// A sound stamp that belongs elsewhere.
pub(super) const FOREIGN: u32 = u32::MAX - 1;
/// Neither zeros nor a sound stamp.
pub(super) const GARBAGE: u32 = u32::MAX - 2;
/// The stamp of a command that the history does not know.
pub(super) const STRANGER: u32 = u32::MAX - 3;
/// Not a read.
pub(super) const WRITE: u32 = u32::MAX - 4;

/// One command at one sector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Access {
    /// The command: its index in [`Timeline::ops`].
    pub(super) op: u32,
    /// [`WRITE`], or what the read saw: the index of the writer, or one of the constants above.
    pub(super) value: u32,
}

/// The accesses of one logical unit, sorted by sector and then by the time they were sent.
#[derive(Debug)]
pub(super) struct Accesses {
    ends: Vec<u32>,
    all: Vec<Access>,
    /// Something other than an access changes at this sector: an edge of a cache synchronisation or of a taint.
    edges: Vec<bool>,
}

impl Accesses {
    /// Sorts the accesses of `unit`.
    pub(super) fn of(history: &History, timeline: &Timeline, unit: usize) -> Self {
        let sectors = history.units[unit].blocks * op::sectors_per_block(&history.units[unit]);
        let mut counts = vec![0u32; sectors as usize + 1];
        let chosen: Vec<(u32, Range<u64>)> = timeline
            .ops
            .iter()
            .enumerate()
            .filter(|(_, op)| op.unit == Some(unit))
            .filter_map(|(index, op)| Some((index as u32, reach(history, op, sectors)?)))
            .collect();
        for (_, reach) in &chosen {
            for count in &mut counts[reach.start as usize..reach.end as usize] {
                *count += 1;
            }
        }
        let mut total = 0;
        for count in &mut counts {
            total += *count;
            *count = total - *count;
        }
        let mut accesses =
            Self { ends: counts, all: vec![Access { op: 0, value: WRITE }; total as usize], edges: vec![] };
        for (index, reach) in chosen {
            accesses.fill(history, timeline, index, reach);
        }
        accesses.mark_edges(timeline, unit);
        accesses
    }

    fn fill(&mut self, history: &History, timeline: &Timeline, index: u32, reach: Range<u64>) {
        let op = &timeline.ops[index as usize];
        let mut last = None;
        let returned = op::sectors_of(history, op);
        for (at, sector) in reach.enumerate() {
            let value = match (op.kind, returned.get(at)) {
                (Kind::Read, Some(seen)) => match last {
                    Some((same, value)) if same == *seen => value,
                    _ => {
                        let value = value_of(timeline, *seen);
                        last = Some((*seen, value));
                        value
                    }
                },
                _ => WRITE,
            };
            let slot = &mut self.ends[sector as usize];
            self.all[*slot as usize] = Access { op: index, value };
            *slot += 1;
        }
    }

    fn mark_edges(&mut self, timeline: &Timeline, unit: usize) {
        self.edges = vec![false; self.ends.len() + 1];
        let synchronizations = timeline
            .ops
            .iter()
            .filter(|op| op.unit == Some(unit) && op.kind == Kind::Synchronize)
            .map(|op| (op.first, op.last));
        let taints = timeline.taints[unit].iter().map(|taint| (taint.first, taint.last));
        for (first, last) in synchronizations.chain(taints) {
            for edge in [first, last] {
                if let Some(mark) = self.edges.get_mut(edge as usize) {
                    *mark = true;
                }
            }
        }
    }

    /// Number of sectors.
    pub(super) fn sectors(&self) -> u64 {
        self.ends.len() as u64 - 1
    }

    /// The accesses of `sector`, in the order in which they were sent.
    pub(super) fn at(&self, sector: u64) -> &[Access] {
        let start = sector.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.all[start as usize..self.ends[sector as usize] as usize]
    }

    /// The sectors that need a look: those whose accesses differ from the sector before.
    pub(super) fn distinct(&self) -> impl Iterator<Item = (u64, &[Access])> {
        let mut before: &[Access] = &[];
        (0..self.sectors()).filter_map(move |sector| {
            let here = self.at(sector);
            let fresh = !here.is_empty() && (self.edges[sector as usize] || here != before);
            before = here;
            fresh.then_some((sector, here))
        })
    }
}

/// The sectors that a command reaches, if it is one to judge.
fn reach(history: &History, op: &Op, sectors: u64) -> Option<Range<u64>> {
    let last = match op.kind {
        Kind::Read => op.first + (op::sectors_of(history, op).len() as u64).min(op.last - op.first),
        Kind::Write { .. } => op.last,
        Kind::Synchronize | Kind::Other => return None,
    };
    (op.first < last && last <= sectors).then_some(op.first..last)
}

/// What a sector that was seen is among the values of accesses.
pub(super) fn value_of(timeline: &Timeline, sector: Sector) -> u32 {
    match sector {
        Sector::Zero => ZERO,
        Sector::Foreign => FOREIGN,
        Sector::Garbage => GARBAGE,
        Sector::Written(id) => timeline.index.get(&id).map_or(STRANGER, |&index| index as u32),
    }
}
