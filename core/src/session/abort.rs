//! Ending tasks before their time: bounded, even when the back end never answers.

use std::rc::Rc;
use std::time::Duration;

use crate::env::Runtime;
use crate::id::Itt;
use crate::session::Session;
use crate::sync::within;
use crate::task::{Task, TaskState};

/// What an abort does about data that the initiator still owes for open R2Ts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owed {
    /// Waits for them, within a deadline (RFC 7143, section 4.2.3.3, target step a).
    Await,
    /// Lets them come and drops them.
    Drop,
}

impl<R: Runtime> Session<R> {
    /// Aborts `tasks` and waits until nothing of them can happen any more: no response, no Data-In, no change of the
    /// medium. A command that the back end does not finish within [`crate::limits::Limits::abort_deadline`] is
    /// disowned: its blocks are fenced until the back end lets go of them.
    pub(crate) async fn abort(self: &Rc<Self>, tasks: &[Rc<Task<R>>], owed: Owed) {
        self.aborting.borrow_mut().extend(tasks.iter().cloned());
        self.begin_abort(tasks, owed);
        let runtime = &self.connection.runtime;
        let start = runtime.now();
        let mut order: Vec<_> = tasks.iter().collect();
        if tasks.len() > 1 && crate::buggify!(VictimsInReverse) {
            order.reverse();
        }
        for task in order {
            if task.state.get() == TaskState::Aborting {
                let limit =
                    if task.has_worker.get() { self.limits.abort_deadline } else { self.limits.data_out_deadline };
                let limit = if crate::planted!(AbortEndless) { Duration::from_secs(1 << 30) } else { limit };
                self.abort_one(task, (start + limit).saturating_sub(runtime.now())).await;
            }
            self.forget(task);
        }
        for task in tasks {
            self.abort_over(task);
        }
        self.changed.all();
    }

    fn abort_over(&self, task: &Rc<Task<R>>) {
        let mut aborting = self.aborting.borrow_mut();
        if let Some(position) = aborting.iter().position(|other| Rc::ptr_eq(other, task)) {
            aborting.swap_remove(position);
        }
    }

    /// An abort that has not been answered covers the task with this tag.
    pub(crate) fn is_aborting(&self, itt: Itt) -> bool {
        self.aborting.borrow().iter().any(|task| task.itt == itt)
    }

    /// The initiator is told that the tasks are aborted for which `ended` holds: whatever other function is still at work
    /// on them, they are no more.
    pub(crate) fn confirm_aborted(&self, ended: impl Fn(&Rc<Task<R>>) -> bool) {
        self.aborting.borrow_mut().retain(|task| !ended(task));
        self.changed.all();
    }

    fn begin_abort(self: &Rc<Self>, tasks: &[Rc<Task<R>>], owed: Owed) {
        // All are marked before the first one goes: its going must not let another of them run, or end with a status.
        let at_once = if crate::planted!(VictimsOneByOne) { 1 } else { tasks.len().max(1) };
        for tasks in tasks.chunks(at_once) {
            #[cfg(simulation)]
            for task in tasks {
                crate::cell!(task: task.row(), Function);
            }
            for task in tasks.iter().filter(|task| task.is_live()) {
                crate::probe!(QueuedAborted if task.state.get() == TaskState::Queued);
                task.state.set(TaskState::Aborting);
            }
            self.begin_to_end(tasks, owed);
        }
    }

    fn begin_to_end(self: &Rc<Self>, tasks: &[Rc<Task<R>>], owed: Owed) {
        for task in tasks.iter().filter(|task| task.state.get() == TaskState::Aborting) {
            if task.has_worker.get() {
                if crate::planted!(ZombieWrite) {
                    self.forget(task);
                }
            } else if owed == Owed::Await && task.is_receiving() {
                crate::probe!(AbortAwaitsData);
                task.take_data_out();
                if let Some(transfer) = task.transfer.borrow_mut().as_mut() {
                    transfer.give_up();
                }
            } else {
                self.forget(task);
            }
        }
    }

    async fn abort_one(self: &Rc<Self>, task: &Rc<Task<R>>, limit: Duration) {
        let over = task.changed.until(|| {
            let ended = task.state.get() != TaskState::Aborting;
            (ended || !task.has_worker.get() && !task.is_receiving()).then_some(())
        });
        let in_time = within(&self.connection.runtime, limit, over).await.is_some();
        if in_time || task.state.get() != TaskState::Aborting {
            return;
        }
        crate::cell!(task: task.row(), Deadline);
        if task.has_worker.get() {
            self.limits.marks.abort_deadline.meet();
            crate::probe!(TaskDisowned);
            task.disown();
        } else {
            crate::probe!(OwedDataNeverCame);
            self.limits.marks.data_out_deadline.meet();
        }
    }
}
