//! A target's share on one shard: its logical units, its work queue and its workers.

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
}

impl<R: Runtime> TargetShare<R> {
    /// Makes the share and starts its workers.
    pub(crate) fn start(index: usize, device: Device<R>) -> Rc<Self> {
        let workers = device.limits.workers.max(1) as usize;
        let queue = WorkQueue::new(device.limits.clone(), device.luns.len());
        let target = Rc::new(Self { index, device, queue });
        for _ in 0..workers + usize::from(crate::planted!(WorkerTooMany)) {
            target.device.runtime.spawn(worker::work(target.clone()));
        }
        target
    }

    pub(crate) fn logical_unit(&self, lun: Lun) -> Option<Rc<LogicalUnit<R>>> {
        self.device.luns.get(&lun.number()?).cloned()
    }

    /// The worker of `task` now only waits for the back end: another one takes its place.
    pub(crate) fn replace_worker(self: &Rc<Self>, task: &Task<R>) {
        let lun = task.lun.number().unwrap_or(u16::MAX);
        self.queue.disown(lun);
        self.device.runtime.spawn(worker::work(self.clone()));
    }

    /// The back end has let go of a disowned task.
    pub(crate) fn disowned_ended(&self, task: &Task<R>) {
        let lun = task.lun.number().unwrap_or(u16::MAX);
        self.queue.disowned_ended(lun);
    }
}
