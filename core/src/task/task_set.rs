//! The order in which the tasks of one task set become enabled (SAM-5, section 8).
//!
//! There is a task set for each I_T nexus and logical unit (TST = 001b), so that a command never waits for one that
//! another core runs.

use std::collections::BTreeMap;

/// Task attribute (SAM-5, section 8.9), with its number on the wire (RFC 7143, section 11.3.1); ACA is not supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attribute {
    /// Waits for older ORDERED and HEAD OF QUEUE tasks.
    Simple = 1,
    /// Waits for all older tasks.
    Ordered = 2,
    /// Waits for nobody.
    HeadOfQueue = 3,
}

impl Attribute {
    /// The attribute of the ATTR field of a SCSI Command PDU (RFC 7143, section 11.3.1). Untagged counts as simple;
    /// `None` for ACA and reserved values.
    #[must_use]
    pub fn from_wire(attribute: u8) -> Option<Self> {
        match attribute {
            0 | 1 => Some(Self::Simple),
            2 => Some(Self::Ordered),
            3 => Some(Self::HeadOfQueue),
            _ => None,
        }
    }
}

/// The place of a task in its task set: its age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Age(u64);

/// One task set. `T` is a task.
#[derive(Debug)]
pub struct TaskSet<T> {
    next: u64,
    tasks: BTreeMap<Age, Entry<T>>,
    /// ORDERED and HEAD OF QUEUE tasks in the set: while there is none, nothing waits.
    barriers: usize,
}

#[derive(Debug)]
struct Entry<T> {
    task: T,
    attribute: Attribute,
    enabled: bool,
}

impl<T> Default for TaskSet<T> {
    fn default() -> Self {
        Self { next: 0, tasks: BTreeMap::new(), barriers: 0 }
    }
}

impl<T: Clone> TaskSet<T> {
    #[cfg(simulation)]
    fn row(&self) -> crate::cells::task_set::State {
        use crate::cells::task_set::State;
        match self.barriers {
            _ if self.tasks.is_empty() => State::Empty,
            _ if self.tasks.values().any(|entry| !entry.enabled) => State::Waiting,
            0 => State::Simple,
            _ => State::Barrier,
        }
    }

    /// Adds the youngest task; tells its age and whether it is enabled at once.
    pub fn insert(&mut self, task: T, attribute: Attribute) -> (Age, bool) {
        let enabled = match attribute {
            Attribute::HeadOfQueue => self.tasks.is_empty() || !crate::planted!(HeadOfQueueLast),
            Attribute::Simple => self.barriers == 0 || crate::planted!(SimpleOvertakes),
            Attribute::Ordered => self.tasks.is_empty() || crate::planted!(OrderedOvertakes),
        };
        crate::probe!(OrderedBehindTwo if attribute == Attribute::Ordered && self.tasks.len() >= 2);
        crate::probe!(HeadPassesDormant if attribute == Attribute::HeadOfQueue && self.tasks.values().any(|task| !task.enabled));
        match attribute {
            Attribute::Simple => crate::cell!(task_set: self.row(), SimpleComes),
            Attribute::Ordered => crate::cell!(task_set: self.row(), OrderedComes),
            Attribute::HeadOfQueue => crate::cell!(task_set: self.row(), HeadComes),
        }
        self.barriers += usize::from(attribute != Attribute::Simple);
        let age = Age(self.next);
        self.next += 1;
        self.tasks.insert(age, Entry { task, attribute, enabled });
        (age, enabled)
    }

    /// Takes out a task that ended or was aborted; gives the tasks that become enabled by it, oldest first.
    #[must_use]
    pub fn remove(&mut self, age: Age) -> Vec<T> {
        #[cfg(simulation)]
        match self.tasks.get(&age).map(|entry| entry.enabled) {
            Some(true) => crate::cell!(task_set: self.row(), EnabledLeaves),
            Some(false) => crate::cell!(task_set: self.row(), DormantLeaves),
            None => {}
        }
        let Some(entry) = self.tasks.remove(&age) else { return Vec::new() };
        // Without a barrier nothing was waiting, and taking a simple task away can only free an ordered one.
        let had_barriers = self.barriers > 0;
        self.barriers -= usize::from(entry.attribute != Attribute::Simple);
        if had_barriers { self.enable() } else { Vec::new() }
    }

    fn enable(&mut self) -> Vec<T> {
        let mut enabled = Vec::new();
        let mut older_barrier = false;
        for (position, entry) in self.tasks.values_mut().enumerate() {
            let may = match entry.attribute {
                Attribute::HeadOfQueue => true,
                Attribute::Simple => !older_barrier,
                Attribute::Ordered => position == usize::from(crate::planted!(OrderedInPairs) && older_barrier),
            };
            older_barrier |= entry.attribute == Attribute::Ordered
                || entry.attribute == Attribute::HeadOfQueue && !crate::planted!(HeadNotAwaited);
            if may && !entry.enabled {
                entry.enabled = true;
                enabled.push(entry.task.clone());
            }
        }
        crate::probe!(BarrierFreesThree if enabled.len() >= 3);
        enabled
    }

    /// Tasks in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordered_waits_for_all_older_and_holds_back_younger_simple_tasks() {
        let mut set = TaskSet::default();
        let (first, enabled) = set.insert('a', Attribute::Simple);
        assert!(enabled);
        let (second, enabled) = set.insert('b', Attribute::Simple);
        assert!(enabled);
        let (ordered, enabled) = set.insert('o', Attribute::Ordered);
        assert!(!enabled);
        let (_, enabled) = set.insert('c', Attribute::Simple);
        assert!(!enabled);
        assert!(set.remove(first).is_empty());
        assert_eq!(set.remove(second), ['o']);
        assert_eq!(set.remove(ordered), ['c']);
    }

    #[test]
    fn head_of_queue_is_enabled_at_once_and_overtakes() {
        let mut set = TaskSet::default();
        let (first, _) = set.insert('a', Attribute::Simple);
        let (_, enabled) = set.insert('o', Attribute::Ordered);
        assert!(!enabled);
        let (head, enabled) = set.insert('h', Attribute::HeadOfQueue);
        assert!(enabled);
        assert_eq!(set.remove(first), ['o']);
        assert!(set.remove(head).is_empty());
    }

    #[test]
    fn aborted_ordered_task_frees_those_behind_it() {
        let mut set = TaskSet::default();
        set.insert('a', Attribute::Simple);
        let (ordered, _) = set.insert('o', Attribute::Ordered);
        set.insert('c', Attribute::Simple);
        assert_eq!(set.remove(ordered), ['c']);
    }

    proptest! {
        /// Whatever the order of arrivals and ends, every task is enabled exactly once and by the rules of SAM.
        #[test]
        fn every_task_is_enabled_once_and_in_order(steps in proptest::collection::vec((0u8..4, 0usize..8), 1..100)) {
            let mut set = TaskSet::default();
            let mut live: Vec<(Age, usize, Attribute, bool)> = Vec::new();
            for (name, (kind, victim)) in steps.into_iter().enumerate() {
                if kind == 3 {
                    if live.is_empty() { continue; }
                    let (age, ..) = live.remove(victim % live.len());
                    for enabled in set.remove(age) {
                        let entry = live.iter_mut().find(|entry| entry.1 == enabled).expect("enabled a task that is gone");
                        prop_assert!(!entry.3, "enabled twice");
                        entry.3 = true;
                    }
                } else {
                    let attribute = Attribute::from_wire(kind + 1).expect("0 to 2 are attributes");
                    let (age, enabled) = set.insert(name, attribute);
                    live.push((age, name, attribute, enabled));
                }
                for (position, (_, _, attribute, enabled)) in live.iter().enumerate() {
                    let older = &live[..position];
                    let may = match attribute {
                        Attribute::HeadOfQueue => true,
                        Attribute::Ordered => older.is_empty(),
                        Attribute::Simple => older.iter().all(|entry| entry.2 == Attribute::Simple),
                    };
                    prop_assert_eq!(*enabled, may);
                }
            }
        }
    }
}
