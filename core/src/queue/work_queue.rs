//! The work queue of one target on one shard: tasks that are ready to run, oldest first.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use crate::sync::Notify;

/// A bounded queue with a bound on how many workers one logical unit may occupy, so that a disk that hangs cannot
/// take them all. `T` is a task.
#[derive(Debug)]
pub struct WorkQueue<T> {
    capacity: usize,
    /// The most workers that one logical unit may occupy.
    share: usize,
    waiting: RefCell<VecDeque<(u16, T)>>,
    /// Workers occupied, by logical unit.
    running: RefCell<BTreeMap<u16, usize>>,
    ready: Notify,
    closed: Cell<bool>,
    high_water: Cell<usize>,
}

impl<T> WorkQueue<T> {
    /// A queue for at most `capacity` tasks, of which one logical unit runs at most `share` at a time.
    #[must_use]
    pub fn new(capacity: usize, share: usize) -> Self {
        Self {
            capacity,
            share: share.max(1),
            waiting: RefCell::default(),
            running: RefCell::default(),
            ready: Notify::default(),
            closed: Cell::new(false),
            high_water: Cell::new(0),
        }
    }

    /// Adds a task of logical unit `lun`, at the front when it is the `head_of_queue`.
    ///
    /// # Errors
    /// The queue is full: the task comes back.
    pub fn push(&self, lun: u16, task: T, head_of_queue: bool) -> Result<(), T> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= self.capacity {
            return Err(task);
        }
        if head_of_queue {
            waiting.push_front((lun, task));
        } else {
            waiting.push_back((lun, task));
        }
        self.high_water.set(self.high_water.get().max(waiting.len()));
        if !(crate::planted!(LostWakeUp) && waiting.len() == 1 && self.high_water.get() >= 4) {
            self.ready.one();
        }
        Ok(())
    }

    /// The next task for a worker, with its logical unit; `None` once the queue is closed.
    pub async fn pop(&self) -> Option<(u16, T)> {
        self.ready.until(|| if self.closed.get() { Some(None) } else { self.take().map(Some) }).await
    }

    fn take(&self) -> Option<(u16, T)> {
        let mut waiting = self.waiting.borrow_mut();
        let mut running = self.running.borrow_mut();
        let position = waiting.iter().position(|(lun, _)| running.get(lun).copied().unwrap_or(0) < self.share)?;
        let (lun, task) = waiting.remove(position)?;
        *running.entry(lun).or_default() += 1;
        Some((lun, task))
    }

    /// A worker is done with a task of `lun`.
    pub fn done(&self, lun: u16) {
        let mut running = self.running.borrow_mut();
        if let Some(count) = running.get_mut(&lun) {
            *count -= 1;
            // A task of this logical unit may have been passed over because its share was used up.
            if *count + 1 == self.share && !self.waiting.borrow().is_empty() {
                self.ready.one();
            }
        }
    }

    /// Sends the workers home; waiting tasks are dropped.
    pub fn close(&self) {
        self.closed.set(true);
        self.waiting.borrow_mut().clear();
        self.ready.all();
    }

    /// Tasks waiting now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Whether none is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most tasks that ever waited.
    #[must_use]
    pub fn high_water(&self) -> usize {
        self.high_water.get()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn pop<T>(queue: &WorkQueue<T>) -> Option<(u16, T)> {
        match pin!(queue.pop()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(task) => task,
            Poll::Pending => None,
        }
    }

    #[test]
    fn full_queue_gives_the_task_back() {
        let queue = WorkQueue::new(1, 8);
        assert_eq!(queue.push(0, 'a', false), Ok(()));
        assert_eq!(queue.push(0, 'b', false), Err('b'));
        assert_eq!(queue.high_water(), 1);
    }

    #[test]
    fn logical_unit_that_uses_up_its_share_lets_others_pass() {
        let queue = WorkQueue::new(8, 1);
        for (lun, task) in [(0, 'a'), (0, 'b'), (1, 'c')] {
            queue.push(lun, task, false).expect("there is room");
        }
        assert_eq!(pop(&queue), Some((0, 'a')));
        assert_eq!(pop(&queue), Some((1, 'c')));
        assert_eq!(pop(&queue), None);
        queue.done(0);
        assert_eq!(pop(&queue), Some((0, 'b')));
    }

    #[test]
    fn head_of_queue_comes_first() {
        let queue = WorkQueue::new(8, 8);
        queue.push(0, 'a', false).expect("there is room");
        queue.push(0, 'h', true).expect("there is room");
        assert_eq!(pop(&queue), Some((0, 'h')));
    }

    #[test]
    fn closed_queue_sends_workers_home() {
        let queue = WorkQueue::new(8, 8);
        queue.push(0, 'a', false).expect("there is room");
        queue.close();
        assert_eq!(pop(&queue), None);
        assert!(queue.is_empty());
    }
}
