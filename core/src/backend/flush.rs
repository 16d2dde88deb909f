//! Flushes of one logical unit on one shard: one at a time, and many requests share one.
//!
//! One at a time, because a system reports a failed write-back to *one* of the flushes that run at once and success to
//! the others. In a task of its own, because a command may be aborted and its future dropped, and the outcome of its
//! flush must be seen nevertheless.

use std::cell::Cell;

use crate::sync::Notify;

/// Which flushes were asked for, began, ended and failed, by number from one.
#[derive(Default, Debug)]
pub(super) struct Flushes {
    wanted: Cell<u64>,
    begun: Cell<u64>,
    ended: Cell<u64>,
    last_failed: Cell<u64>,
    running: Cell<bool>,
    progress: Notify,
}

impl Flushes {
    /// Asks for a flush that begins after now. Returns its number, and whether the caller has to start the task that
    /// runs flushes.
    pub(super) fn request(&self) -> (u64, bool) {
        let number = self.begun.get() + 1;
        crate::cell!(flush: self.row(), Asked);
        crate::probe!(FlushShared if self.wanted.get() == number);
        self.wanted.set(number);
        (number, !self.running.replace(true))
    }

    #[cfg(simulation)]
    fn row(&self) -> crate::cells::flush::State {
        use crate::cells::flush::State;
        match (self.running.get(), self.wanted.get() > self.begun.get()) {
            (false, _) => State::Idle,
            (true, true) => State::Wanted,
            (true, false) => State::Running,
        }
    }

    /// The task's next flush, or `None` when it is done.
    pub(super) fn begin(&self) -> Option<u64> {
        if self.begun.get() == self.wanted.get() {
            self.running.set(false);
            return None;
        }
        self.begun.set(self.begun.get() + 1);
        Some(self.begun.get())
    }

    /// Flush `number` ended.
    pub(super) fn end(&self, number: u64, failed: bool) {
        #[cfg(simulation)]
        match failed {
            true => crate::cell!(flush: self.row(), Failed),
            false => crate::cell!(flush: self.row(), Good),
        }
        self.ended.set(number);
        if failed {
            self.last_failed.set(number);
        }
        self.progress.all();
    }

    /// Waits for flush `number` and says whether it, and all since, went well.
    pub(super) async fn wait(&self, number: u64) -> bool {
        self.progress.until(|| (self.ended.get() >= number).then(|| self.last_failed.get() < number)).await
    }
}
