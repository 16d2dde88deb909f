//! What every logical unit that works does for an auditor (S1, S2): a WRITE, a SYNCHRONIZE CACHE and a READ end GOOD.

use std::collections::{BTreeMap, BTreeSet};

use super::Run;
use crate::history::{Action, Event, OpId, Outcome, Unit};
use crate::initiator::AUDITORS;

/// A kind of command that an auditor sends to each logical unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Service {
    Read,
    Synchronize,
    Write,
}

impl Run {
    /// Fails when one of `units` did not do all since the history had `before` events; `when` tells the story. What was
    /// found before explains why, and is not to be hidden behind it.
    pub(super) fn judge_service(&self, oracle: &'static str, when: &str, before: usize, units: &[Unit]) {
        if !self.failures.borrow().is_empty() || !self.shared.violations.borrow().is_empty() {
            return;
        }
        let missing = {
            let history = self.shared.history.borrow();
            let failed = |lun: u16| self.cluster.disks().get(&lun).is_some_and(crate::disk::SimDisk::has_failed);
            missing(&history.events[before..], units, failed)
        };
        if let Some((lun, service)) = missing.first() {
            let all = missing.len();
            self.fail(oracle, format!("{when}, logical unit {lun} served no {service:?} ({all} services are missing)"));
        }
    }
}

/// What the `units` did not do for auditors. Who was told of a failed write or flush may take no more of them, and one that
/// is read-only takes no write.
fn missing(events: &[Event], units: &[Unit], failed: impl Fn(u16) -> bool) -> BTreeSet<(u16, Service)> {
    let all = [Service::Read, Service::Synchronize, Service::Write];
    let due = |unit: &Unit| match (failed(unit.lun), unit.read_only) {
        (true, _) => &all[..1],
        (false, true) => &all[..2],
        (false, false) => &all[..],
    };
    let of = |unit: &Unit| due(unit).iter().map(|&service| (unit.lun, service)).collect::<Vec<_>>();
    let mut missing: BTreeSet<_> = units.iter().flat_map(of).collect();
    let mut asked: BTreeMap<OpId, (u16, Service)> = BTreeMap::new();
    for event in events {
        match event {
            Event::Invoke { op, nexus, lun, action } if nexus.initiator >= AUDITORS => {
                let service = match action {
                    Action::Read { .. } => Service::Read,
                    Action::Write { .. } => Service::Write,
                    Action::Synchronize { .. } => Service::Synchronize,
                    Action::StartStop { .. } | Action::Other { .. } => continue,
                };
                asked.insert(*op, (*lun, service));
            }
            Event::Return { op, outcome: Outcome::Good { .. } } => {
                if let Some(served) = asked.get(op) {
                    missing.remove(served);
                }
            }
            _ => {}
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Nexus;

    #[test]
    fn service_is_missing_until_one_of_an_auditor_is_good() {
        let unit =
            |lun| Unit { lun, block_bytes: 512, blocks: 8, write_cache: false, nullio: false, read_only: lun == 2 };
        let invoke = |op, initiator, lun, action| Event::Invoke {
            op: OpId(op),
            nexus: Nexus { initiator, login: 0 },
            lun,
            action,
        };
        let good = |op| Event::Return { op: OpId(op), outcome: Outcome::Good { sectors: Vec::new() } };
        let read = || Action::Read { lba: 0, blocks: 1 };
        let write = || Action::Write { lba: 0, blocks: 1, fua: false };
        let flush = || Action::Synchronize { lba: 0, blocks: 0, immediate: false };
        let busy = Event::Return { op: OpId(4), outcome: Outcome::Refused { status: 8 } };
        let events = [
            invoke(1, AUDITORS, 0, read()),
            good(1),
            invoke(2, AUDITORS, 0, write()),
            good(2),
            invoke(3, AUDITORS, 0, flush()),
            good(3),
            invoke(4, AUDITORS, 1, read()),
            busy,
            invoke(5, 2, 1, read()),
            good(5),
            invoke(6, AUDITORS, 1, write()),
            good(6),
        ];
        let units = [unit(0), unit(1)];
        let expected = BTreeSet::from([(1, Service::Read), (1, Service::Synchronize)]);
        assert_eq!(missing(&events, &units, |_| false), expected);
        assert_eq!(missing(&events, &units, |lun| lun == 1), BTreeSet::from([(1, Service::Read)]));
        let expected = BTreeSet::from([(2, Service::Read), (2, Service::Synchronize)]);
        assert_eq!(missing(&events, &[unit(2)], |_| false), expected, "one that is read-only serves no write");
    }
}
