//! Which task a disk's operation is for, and where it began.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::command::Access;
use super::super::entry::Entry;

/// A task that a worker has.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) connection: u64,
    pub(super) itt: u32,
    pub(super) op: Option<u64>,
    pub(super) initiator: u32,
    pub(super) lun: u16,
    pub(super) access: Access,
    /// What it is about, in bytes.
    pub(super) range: Range<u64>,
    /// The entry at which a worker took it.
    pub(super) seq: u64,
}

#[derive(Default)]
pub(super) struct Disks {
    tasks: BTreeMap<(u64, u32), Task>,
    issued: BTreeMap<u16, Vec<Issued>>,
    failures: BTreeMap<u16, u64>,
}

/// An operation that the disk has.
struct Issued {
    entry: Entry,
    seq: u64,
    task: Option<Task>,
}

impl Disks {
    pub(super) fn started(&mut self, task: Task) {
        self.tasks.insert((task.connection, task.itt), task);
    }

    pub(super) fn ended(&mut self, connection: u64, itt: u32) {
        self.tasks.remove(&(connection, itt));
    }

    /// The process is gone, and the tasks and operations with it.
    pub(super) fn process_ended(&mut self) {
        self.tasks.clear();
        self.issued.clear();
    }

    /// The one task that this operation can be for.
    pub(super) fn task(&self, lun: u16, operation: &Entry) -> Option<Task> {
        let (offset, length) = (operation.offset.unwrap_or(0), operation.length.unwrap_or(0));
        let access = match operation.command.as_deref() {
            Some("read") => Access::Read,
            Some("flush") => Access::Flush,
            _ => Access::Write,
        };
        let fits = |task: &&Task| {
            task.lun == lun
                && task.access == access
                && (access == Access::Flush || task.range.start <= offset && offset + length <= task.range.end)
        };
        let mut tasks = self.tasks.values().filter(fits);
        tasks.next().filter(|_| tasks.next().is_none()).cloned()
    }

    pub(super) fn issue(&mut self, lun: u16, entry: Entry, seq: u64, task: Option<Task>) {
        self.issued.entry(lun).or_default().push(Issued { entry, seq, task });
    }

    /// Where the operation of `entry` began, and its task; when it is `over` it is forgotten.
    pub(super) fn issued(&mut self, lun: u16, entry: &Entry, over: bool) -> (Option<u64>, Option<Task>) {
        let all = self.issued.entry(lun).or_default();
        let same = |issued: &Issued| {
            let other = &issued.entry;
            (&other.command, other.offset, other.length) == (&entry.command, entry.offset, entry.length)
        };
        // What hangs was issued just now.
        let found = if over { all.iter().position(same) } else { all.iter().rposition(same) };
        let Some(at) = found else { return (None, None) };
        let (seq, task) = (all[at].seq, all[at].task.clone());
        if over {
            all.remove(at);
        }
        (Some(seq), task)
    }

    pub(super) fn failed(&mut self, lun: u16, seq: u64) {
        self.failures.insert(lun, seq);
    }

    pub(super) fn last_failure(&self, lun: u16) -> Option<u64> {
        self.failures.get(&lun).copied()
    }
}
