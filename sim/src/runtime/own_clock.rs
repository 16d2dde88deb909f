//! The target's own clock: it begins where the plan says, may go faster or slower than the world's (C1), and may jump ahead
//! (C2). It never goes back: nothing in the target reads a clock that does.

use std::cell::Cell;
use std::time::Duration;

use quintain_core::sync::Notify;

use crate::executor::Clock;

/// What 1,000 seconds of the world are to a clock that is right.
const RIGHT: u64 = 1_000;

pub(super) struct OwnClock {
    clock: Clock,
    /// It may go wrong: who sleeps has to be woken for news.
    unsteady: bool,
    rate: Cell<Rate>,
    changes: Cell<u64>,
    changed: Notify,
}

/// From a moment on, both clocks side by side.
#[derive(Clone, Copy)]
struct Rate {
    world: Duration,
    own: Duration,
    per_mille: u64,
}

impl OwnClock {
    /// One that says `origin` at the start of the run.
    pub(super) fn new(clock: Clock, origin: Duration, unsteady: bool) -> Self {
        let rate = Rate { world: Duration::ZERO, own: origin, per_mille: RIGHT };
        Self { clock, unsteady, rate: Cell::new(rate), changes: Cell::new(0), changed: Notify::default() }
    }

    pub(super) fn now(&self) -> Duration {
        self.rate.get().own_at(self.clock.now())
    }

    /// Completes when `duration` has passed by this clock. `late` says when a timer that is due goes off, in the world.
    pub(super) async fn sleep(&self, duration: Duration, late: impl Fn(Duration) -> Duration) {
        if !self.unsteady {
            return self.clock.sleep_until(late(self.clock.now().saturating_add(duration))).await;
        }
        let deadline = self.now().saturating_add(duration);
        loop {
            let changes = self.changes.get();
            let sleep = self.clock.sleep_until(late(self.rate.get().world_at(deadline)));
            let news = self.changed.until(|| (self.changes.get() != changes).then_some(()));
            drop(futures_util::future::select(sleep, std::pin::pin!(news)).await);
            if self.now() >= deadline {
                return;
            }
        }
    }

    /// It goes `per_mille` seconds in 1,000 of the world from now on.
    pub(super) fn drift(&self, per_mille: u64) {
        // A shrunk plan may have it halved to nothing; a clock that stands still is none.
        self.change(Duration::ZERO, per_mille.max(1));
    }

    /// It jumps ahead.
    pub(super) fn jump(&self, by: Duration) {
        self.change(by, self.rate.get().per_mille);
    }

    /// It goes right from now on.
    pub(super) fn set_right(&self) {
        self.change(Duration::ZERO, RIGHT);
    }

    fn change(&self, by: Duration, per_mille: u64) {
        self.rate.set(Rate { world: self.clock.now(), own: self.now() + by, per_mille });
        self.changes.set(self.changes.get() + 1);
        self.changed.all();
    }
}

impl Rate {
    fn own_at(self, world: Duration) -> Duration {
        let passed = world.saturating_sub(self.world);
        if self.per_mille == RIGHT {
            return self.own + passed;
        }
        self.own + nanoseconds(passed.as_nanos() * u128::from(self.per_mille) / u128::from(RIGHT))
    }

    fn world_at(self, own: Duration) -> Duration {
        let due = own.saturating_sub(self.own);
        if self.per_mille == RIGHT {
            return self.world.saturating_add(due);
        }
        let due = (due.as_nanos() * u128::from(RIGHT)).div_ceil(u128::from(self.per_mille));
        self.world.saturating_add(nanoseconds(due))
    }
}

fn nanoseconds(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::executor::run_for_test as run;

    /// When, in the world, a sleep of ten seconds ends that began at zero, and what the clock says then.
    fn ten_seconds(change: impl Fn(&OwnClock) + Send + 'static) -> (Duration, Duration) {
        let result = run(1, move |executor| async move {
            let clock = executor.clock();
            let own = Rc::new(OwnClock::new(clock.clone(), Duration::from_secs(500), true));
            let (slept, done) = (own.clone(), Rc::new(Cell::new(Duration::ZERO)));
            let (end, at) = (clock.clone(), done.clone());
            executor.spawn(async move {
                slept.sleep(Duration::from_secs(10), |at| at).await;
                at.set(end.now());
            });
            clock.sleep(Duration::from_secs(1)).await;
            change(&own);
            clock.sleep_until(Duration::from_secs(60)).await;
            (done.get(), own.now())
        });
        result.expect("it ends")
    }

    /// C1: of nine seconds that are left, a clock that is fast makes less, one that is slow more.
    #[test]
    fn timers_go_by_a_clock_that_drifts() {
        assert_eq!(ten_seconds(|_| ()), (Duration::from_secs(10), Duration::from_secs(560)));
        let (fast, says) = ten_seconds(|own| own.drift(1_125));
        assert_eq!((fast, says), (Duration::from_secs(9), Duration::from_millis(501_000 + 59_000 * 9 / 8)));
        let (slow, _) = ten_seconds(|own| own.drift(900));
        assert_eq!(slow, Duration::from_secs(11));
    }

    /// C2: what becomes due by a jump goes off at once, what does not goes off that much earlier.
    #[test]
    fn timers_go_off_when_the_clock_jumps_past_them() {
        let at = |by| ten_seconds(move |own| own.jump(Duration::from_secs(by))).0.as_secs();
        assert_eq!((at(4), at(9), at(100)), (6, 1, 1));
    }
}
