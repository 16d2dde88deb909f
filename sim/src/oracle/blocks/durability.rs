//! Which writes survive a power loss for certain (B5, B7).

use crate::history::History;
use crate::planted::planted;

use super::op::{Kind, Moment, Op, Timeline};

/// Why a write is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// Its logical unit has no volatile write cache.
    WriteThrough,
    /// It asked for force unit access.
    ForceUnitAccess,
    /// Its GOOD came before this SYNCHRONIZE CACHE was sent, which ended GOOD.
    Synchronized(u32),
    /// The target stopped cleanly afterwards.
    CleanStop(Moment),
}

/// What [`Reason`] a write has, or whether each of its sectors has to be asked.
#[derive(Clone, Copy, Debug)]
enum Whole {
    Never,
    Always(Reason),
    BySector,
}

/// The durable writes of one logical unit.
#[derive(Debug)]
pub(super) struct Durability<'a> {
    timeline: &'a Timeline,
    failures: &'a [Moment],
    /// SYNCHRONIZE CACHE commands that ended GOOD, oldest first.
    pub(super) synchronized: Vec<u32>,
    whole: Vec<Whole>,
}

impl<'a> Durability<'a> {
    pub(super) fn of(history: &History, timeline: &'a Timeline, unit: usize) -> Self {
        let good = |op: &Op| op.unit == Some(unit) && op.kind == Kind::Synchronize && op.good_at != Moment::MAX;
        let synchronized =
            timeline.ops.iter().enumerate().filter(|(_, op)| good(op)).map(|(index, _)| index as u32).collect();
        let failures = &timeline.flush_failures[unit];
        let mut durability = Self { timeline, failures, synchronized, whole: vec![] };
        let cache = history.units[unit].write_cache;
        durability.whole = timeline.ops.iter().map(|op| durability.whole(op, unit, cache)).collect();
        durability
    }

    fn whole(&self, op: &Op, unit: usize, cache: bool) -> Whole {
        let Kind::Write { fua } = op.kind else { return Whole::Never };
        if planted!(OracleOff) {
            return Whole::Never;
        }
        if op.unit != Some(unit) || !op.has_written() {
            return Whole::Never;
        }
        if !cache {
            return Whole::Always(Reason::WriteThrough);
        }
        if fua {
            return Whole::Always(Reason::ForceUnitAccess);
        }
        let stopped = |at: &&Moment| {
            op.start < **at && **at < self.timeline.epoch_end(op.epoch) && !self.failed_between(op.start, **at)
        };
        if let Some(&at) = self.timeline.clean_stops.iter().find(stopped) {
            return Whole::Always(Reason::CleanStop(at));
        }
        let mut whole = Whole::Never;
        for &index in &self.synchronized {
            let by = &self.timeline.ops[index as usize];
            if self.claims(by, op) {
                if by.first <= op.first && op.last <= by.last {
                    return Whole::Always(Reason::Synchronized(index));
                }
                if by.first < op.last && op.first < by.last {
                    whole = Whole::BySector;
                }
            }
        }
        whole
    }

    /// The GOOD of `by` promises that `write` is durable, where they overlap. What a failed flush lost in between is
    /// not its to promise.
    fn claims(&self, by: &Op, write: &Op) -> bool {
        by.epoch == write.epoch && write.good_at < by.start && !self.failed_between(write.start, by.start)
    }

    fn failed_between(&self, after: Moment, before: Moment) -> bool {
        Timeline::any_between(self.failures, after, before)
    }

    /// Why the write with index `op` is durable at `sector`, if it is.
    pub(super) fn reason(&self, op: u32, sector: u64) -> Option<Reason> {
        match self.whole[op as usize] {
            Whole::Never => None,
            Whole::Always(reason) => Some(reason),
            Whole::BySector => {
                let write = &self.timeline.ops[op as usize];
                let claims = |by: &&u32| {
                    let by = &self.timeline.ops[**by as usize];
                    by.covers(sector) && self.claims(by, write)
                };
                self.synchronized.iter().find(claims).map(|&by| Reason::Synchronized(by))
            }
        }
    }

    /// The write with index `op` was durable at `sector` at the moment `at`.
    pub(super) fn was_durable(&self, op: u32, sector: u64, at: Moment) -> bool {
        match self.reason(op, sector) {
            None => false,
            Some(Reason::WriteThrough | Reason::ForceUnitAccess) => self.timeline.ops[op as usize].good_at < at,
            Some(Reason::Synchronized(by)) => self.timeline.ops[by as usize].good_at < at,
            Some(Reason::CleanStop(stop)) => stop < at,
        }
    }
}
