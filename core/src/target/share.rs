//! A target's share on one shard: its logical units, its work queue and its workers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::env::Runtime;
use crate::id::Lun;
use crate::logical_unit::{Device, LogicalUnit};
use crate::queue::work_queue::WorkQueue;
use crate::queue::worker;
use crate::task::Task;

/// See the module.
pub struct TargetShare<R: Runtime> {
    /// Index in [`crate::target::NodeConfig::targets`].
    pub(crate) index: usize,
    pub(crate) device: Device<R>,
    pub(crate) queue: WorkQueue<Rc<Task<R>>>,
    /// Commands that the back end still has although nobody waits for them, by logical unit.
    disowned: RefCell<BTreeMap<u16, u32>>,
}

impl<R: Runtime> TargetShare<R> {
    /// Makes the share and starts its workers.
    pub(crate) fn start(index: usize, device: Device<R>) -> Rc<Self> {
        let workers = device.limits.workers.max(1) as usize;
        // Whatever hangs, every other logical unit keeps a worker.
        let share = workers.saturating_sub(device.luns.len().saturating_sub(1)).max(1);
        let queue = WorkQueue::new(device.limits.work_queue_tasks as usize, share);
        let target = Rc::new(Self { index, device, queue, disowned: RefCell::default() });
        for _ in 0..workers {
            target.device.runtime.spawn(worker::work(target.clone()));
        }
        target
    }

    pub(crate) fn logical_unit(&self, lun: Lun) -> Option<Rc<LogicalUnit<R>>> {
        self.device.luns.get(&lun.number()?).cloned()
    }

    /// The back end of this logical unit holds so many commands for ever that it gets no more.
    pub(crate) fn is_stuck(&self, lun: u16) -> bool {
        self.disowned.borrow().get(&lun).copied().unwrap_or(0) >= self.device.limits.disowned_tasks
    }

    /// The worker of `task` now only waits for the back end: another one takes its place.
    pub(crate) fn replace_worker(self: &Rc<Self>, task: &Task<R>) {
        let lun = task.lun.number().unwrap_or(u16::MAX);
        *self.disowned.borrow_mut().entry(lun).or_default() += 1;
        self.queue.done(lun);
        self.device.runtime.spawn(worker::work(self.clone()));
    }

    /// The back end has let go of a disowned task.
    pub(crate) fn disowned_ended(&self, task: &Task<R>) {
        let lun = task.lun.number().unwrap_or(u16::MAX);
        if let Some(count) = self.disowned.borrow_mut().get_mut(&lun) {
            *count -= 1;
        }
    }

    pub(crate) fn disowned(&self) -> u32 {
        self.disowned.borrow().values().sum()
    }
}
