//! The work queue of one target on one shard: tasks that are ready to run, oldest first.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::high_water::Bounds;
use crate::sync::Notify;

/// A bounded queue with a bound on how many workers and places one logical unit may occupy, so that a disk that hangs
/// cannot take them all. `T` is a task.
#[derive(Debug)]
pub struct WorkQueue<T> {
    limits: Rc<Bounds>,
    /// The most workers that one logical unit may occupy.
    share: usize,
    /// The most places that one logical unit may occupy.
    places: usize,
    waiting: RefCell<VecDeque<(u16, T)>>,
    /// Workers occupied, by logical unit.
    running: RefCell<BTreeMap<u16, usize>>,
    /// Tasks that the back end still has although nobody waits for them, by logical unit.
    disowned: RefCell<BTreeMap<u16, usize>>,
    /// So many at the front were passed over for a younger one: they go first, so that it happens to none twice.
    passed: Cell<usize>,
    ready: Notify,
    closed: Cell<bool>,
}

impl<T> WorkQueue<T> {
    /// An empty queue for `units` logical units. One of them leaves a worker and a place to each of the others, if there
    /// are as many.
    #[must_use]
    pub fn new(limits: Rc<Bounds>, units: usize) -> Self {
        let all_but_others = |count: u32| (count as usize).saturating_sub(units.saturating_sub(1)).max(1);
        let planted = |bug: bool, most: usize| if bug { usize::MAX } else { most };
        Self {
            share: planted(crate::planted!(UnitTakesWorkers), all_but_others(limits.workers)),
            places: planted(crate::planted!(UnitFillsQueue), all_but_others(limits.work_queue_tasks)),
            limits,
            waiting: RefCell::default(),
            running: RefCell::default(),
            disowned: RefCell::default(),
            passed: Cell::new(0),
            ready: Notify::default(),
            closed: Cell::new(false),
        }
    }

    /// Adds a task of logical unit `lun`, at the front when it is the `head_of_queue`.
    ///
    /// # Errors
    /// The queue is full, or the logical unit has its share of it: the task comes back.
    pub fn push(&self, lun: u16, task: T, head_of_queue: bool) -> Result<(), T> {
        let mut waiting = self.waiting.borrow_mut();
        let of_unit = || waiting.iter().filter(|(other, _)| *other == lun).count();
        let has_share = || waiting.len() >= self.places && of_unit() >= self.places;
        if waiting.len() >= self.limits.work_queue_tasks as usize || has_share() {
            return Err(task);
        }
        if head_of_queue || crate::planted!(YoungestFirst) {
            waiting.push_front((lun, task));
            let passed = self.passed.get();
            self.passed.set(passed + usize::from(passed > 0));
        } else {
            waiting.push_back((lun, task));
        }
        let marks = &self.limits.marks;
        marks.work_queue_tasks.reach(waiting.len());
        if self.running() >= self.limits.workers as usize {
            marks.workers.meet();
        }
        if !(crate::planted!(LostWakeUp) && waiting.len() == 1 && marks.work_queue_tasks.highest() >= 4) {
            self.announce();
        }
        Ok(())
    }

    /// There is a task for a worker.
    fn announce(&self) {
        if crate::buggify!(AllWorkersWoken) { self.ready.all() } else { self.ready.one() }
    }

    /// The next task for a worker, with its logical unit; `None` once the queue is closed.
    pub async fn pop(&self) -> Option<(u16, T)> {
        self.ready.until(|| if self.closed.get() { Some(None) } else { self.take().map(Some) }).await
    }

    fn take(&self) -> Option<(u16, T)> {
        let mut waiting = self.waiting.borrow_mut();
        let mut position = waiting.iter().position(|&(lun, _)| self.may_run(lun))?;
        crate::probe!(UnitPassedOver if position > 0);
        let passed = self.passed.get();
        if passed == 0 && waiting.len() > 1 && crate::buggify!(LastTaskFirst) {
            position = waiting.iter().rposition(|&(lun, _)| self.may_run(lun))?;
            self.passed.set(position);
        } else if position < passed {
            self.passed.set(passed - 1);
        }
        let (lun, task) = waiting.remove(position)?;
        *self.running.borrow_mut().entry(lun).or_default() += 1;
        self.limits.marks.workers.reach(self.running());
        Some((lun, task))
    }

    /// Every task that runs may be disowned. Once there are too many of those, tasks are given out to be refused.
    fn may_run(&self, lun: u16) -> bool {
        let running = count(&self.running, lun);
        let most = self.limits.disowned_tasks as usize;
        running < self.share && (self.is_stuck(lun) || running + count(&self.disowned, lun) < most)
    }

    /// The back end of this logical unit holds so many tasks for ever that it gets no more.
    #[must_use]
    pub fn is_stuck(&self, lun: u16) -> bool {
        count(&self.disowned, lun) >= self.limits.disowned_tasks as usize
    }

    /// A task of `lun` is disowned: its worker only waits for the back end, and another one takes its place.
    pub fn disown(&self, lun: u16) {
        *self.disowned.borrow_mut().entry(lun).or_default() += 1;
        self.limits.marks.disowned_tasks.reach(count(&self.disowned, lun));
        self.done(lun);
    }

    /// The back end has let go of a disowned task of `lun`.
    pub fn disowned_ended(&self, lun: u16) {
        if let Some(count) = self.disowned.borrow_mut().get_mut(&lun) {
            *count -= 1;
        }
        self.ready.one();
    }

    /// Tasks that the back end still has although nobody waits for them.
    #[must_use]
    pub fn disowned(&self) -> usize {
        self.disowned.borrow().values().sum()
    }

    /// Workers that have a task.
    fn running(&self) -> usize {
        self.running.borrow().values().sum()
    }

    /// A worker is done with a task of `lun`.
    pub fn done(&self, lun: u16) {
        let could_run = self.may_run(lun);
        if let Some(count) = self.running.borrow_mut().get_mut(&lun) {
            *count -= 1;
        }
        // A task of this logical unit may have been passed over.
        if !could_run && self.may_run(lun) && !self.waiting.borrow().is_empty() {
            self.ready.one();
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
}

fn count(by_unit: &RefCell<BTreeMap<u16, usize>>, lun: u16) -> usize {
    by_unit.borrow().get(&lun).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;
    use crate::limits::Limits;

    /// A queue for two logical units.
    fn queue<T>(work_queue_tasks: u32, workers: u32) -> WorkQueue<T> {
        WorkQueue::new(Rc::new(Bounds::new(Limits { work_queue_tasks, workers, ..Limits::default() })), 2)
    }

    fn pop<T>(queue: &WorkQueue<T>) -> Option<(u16, T)> {
        match pin!(queue.pop()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(task) => task,
            Poll::Pending => None,
        }
    }

    #[test]
    fn full_queue_gives_the_task_back() {
        let queue = queue(1, 8);
        assert_eq!(queue.push(0, 'a', false), Ok(()));
        assert_eq!(queue.push(0, 'b', false), Err('b'));
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.limits.marks.work_queue_tasks.highest(), 1);
    }

    #[test]
    fn logical_unit_that_uses_up_its_share_lets_others_pass() {
        let queue = queue(8, 2);
        for (lun, task) in [(0, 'a'), (0, 'b'), (1, 'c')] {
            queue.push(lun, task, false).expect("there is room");
        }
        assert_eq!(pop(&queue), Some((0, 'a')));
        assert_eq!(pop(&queue), Some((1, 'c')));
        assert_eq!(pop(&queue), None);
        queue.done(0);
        assert_eq!(pop(&queue), Some((0, 'b')));
    }

    /// A disk that hung once filled the queue, and no other logical unit got a command in.
    #[test]
    fn logical_unit_leaves_a_place_to_the_other() {
        let queue = queue(3, 2);
        for task in ['a', 'b'] {
            assert_eq!(queue.push(0, task, false), Ok(()));
        }
        assert_eq!(queue.push(0, 'c', false), Err('c'));
        assert_eq!(queue.push(1, 'd', false), Ok(()));
        assert_eq!(queue.push(1, 'e', false), Err('e'), "the queue is full");
        assert_eq!(pop(&queue), Some((0, 'a')));
        assert_eq!(queue.push(0, 'f', false), Ok(()));
    }

    /// A logical unit whose disk hangs once had as many disowned tasks as there were workers on top of the limit, and
    /// those that waited in the queue as well.
    #[test]
    fn tasks_that_run_and_may_be_disowned_keep_within_the_limit_of_those_that_were() {
        let limits = Limits { disowned_tasks: 2, ..Limits::default() };
        let queue = WorkQueue::new(Rc::new(Bounds::new(limits)), 1);
        for task in 'a'..='e' {
            queue.push(0, task, false).expect("there is room");
        }
        assert_eq!(pop(&queue), Some((0, 'a')));
        assert_eq!(pop(&queue), Some((0, 'b')));
        assert_eq!(pop(&queue), None);
        queue.disown(0);
        assert_eq!(pop(&queue), None, "one that is disowned and one that may be");
        queue.done(0);
        assert_eq!(pop(&queue), Some((0, 'c')));
        queue.disown(0);
        assert!(queue.is_stuck(0));
        assert_eq!(queue.disowned(), 2);
        assert_eq!(pop(&queue), Some((0, 'd')), "to be refused");
        queue.done(0);
        queue.disowned_ended(0);
        assert!(!queue.is_stuck(0));
        assert_eq!(pop(&queue), Some((0, 'e')));
        assert_eq!(queue.limits.marks.disowned_tasks.highest(), 2);
    }

    #[test]
    fn worker_that_waits_is_woken_for_a_task_that_was_passed_over() {
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let queue = queue(8, 2);
        queue.push(0, 'a', false).expect("there is room");
        queue.push(0, 'b', false).expect("there is room");
        assert_eq!(pop(&queue), Some((0, 'a')));
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let (mut context, mut worker) = (Context::from_waker(&waker), pin!(queue.pop()));
        assert_eq!(worker.as_mut().poll(&mut context), Poll::Pending, "the logical unit has its share");
        queue.disown(0);
        assert!(woken.0.load(Ordering::Relaxed));
        assert_eq!(worker.as_mut().poll(&mut context), Poll::Ready(Some((0, 'b'))));
    }

    #[test]
    fn workers_of_all_logical_units_count_together() {
        let queue = queue(8, 2);
        for lun in [0, 1, 1] {
            queue.push(lun, 'a', false).expect("there is room");
            pop(&queue);
        }
        let workers = &queue.limits.marks.workers;
        assert_eq!(workers.highest(), 2);
    }

    #[test]
    fn head_of_queue_comes_first() {
        let queue = queue(8, 8);
        queue.push(0, 'a', false).expect("there is room");
        queue.push(0, 'h', true).expect("there is room");
        assert_eq!(pop(&queue), Some((0, 'h')));
    }

    #[test]
    fn closed_queue_sends_workers_home() {
        let queue = queue(8, 8);
        queue.push(0, 'a', false).expect("there is room");
        assert!(!queue.is_empty());
        queue.close();
        assert_eq!(pop(&queue), None);
        assert!(queue.is_empty());
    }
}
