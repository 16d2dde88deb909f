//! What the shards share of one logical unit.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::scsi::Footprint;

/// What the shards share of one logical unit: behind a mutex that is never held across an await, with a summary that a
/// command reads with one acquire load. While the summary is zero there is nothing to look up.
#[derive(Debug, Default)]
pub struct Shared {
    summary: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    flush_failed: bool,
    stopped: bool,
    fences: Vec<(u64, Footprint)>,
    fences_made: u64,
}

/// The summary, as a command saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conditions(u32);

const FLUSH_FAILED: u32 = 1;
const STOPPED: u32 = 2;
const FENCED: u32 = 4;

impl Conditions {
    /// A flush failed: no more writes, no flush succeeds.
    #[must_use]
    pub fn flush_failed(self) -> bool {
        self.0 & FLUSH_FAILED != 0
    }

    /// START STOP UNIT stopped it.
    #[must_use]
    pub fn stopped(self) -> bool {
        self.0 & STOPPED != 0
    }

    /// There are fences; [`Shared::is_fenced`] says where.
    #[must_use]
    pub fn fenced(self) -> bool {
        self.0 & FENCED != 0
    }
}

impl Shared {
    /// What a command has to know before it begins.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        Conditions(self.summary.load(Ordering::Acquire))
    }

    /// Remembers until restart that a flush failed. `true` the first time.
    pub fn record_flush_failure(&self) -> bool {
        self.change(|state| !std::mem::replace(&mut state.flush_failed, true))
    }

    /// Stops or starts the logical unit (START STOP UNIT).
    pub fn set_stopped(&self, stopped: bool) {
        self.change(|state| state.stopped = stopped);
    }

    /// Whether a fence keeps commands out of `footprint`. A fenced read keeps nobody out: it changes nothing.
    #[must_use]
    pub fn is_fenced(&self, footprint: Footprint) -> bool {
        self.lock().fences.iter().any(|(_, fence)| fence.write && fence.overlaps(footprint))
    }

    /// Fences `footprint` for as long as the guard lives.
    #[must_use]
    pub fn fence(self: &Arc<Self>, footprint: Footprint) -> Fence {
        let number = self.change(|state| {
            state.fences_made += 1;
            state.fences.push((state.fences_made, footprint));
            state.fences_made
        });
        Fence { shared: self.clone(), number }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let value = change(&mut state);
        let bits = [(state.flush_failed, FLUSH_FAILED), (state.stopped, STOPPED), (!state.fences.is_empty(), FENCED)];
        let summary = bits.iter().map(|(set, bit)| if *set { *bit } else { 0 }).sum();
        self.summary.store(summary, Ordering::Release);
        value
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything in it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives, commands of any nexus and shard that touch the range are answered BUSY: a disowned write may still
/// land. Dropping it lifts the fence.
#[derive(Debug)]
pub struct Fence {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.shared.change(|state| state.fences.retain(|(number, _)| *number != self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(offset_bytes: u64, length_bytes: u64, write: bool) -> Footprint {
        Footprint { offset_bytes, length_bytes, write }
    }

    #[test]
    fn fenced_write_keeps_every_overlapping_command_out_until_its_guard_drops() {
        let shared = Arc::new(Shared::default());
        let fence = shared.fence(bytes(4096, 4096, true));
        assert!(shared.conditions().fenced());
        for write in [false, true] {
            assert!(shared.is_fenced(bytes(0, 4097, write)));
            assert!(shared.is_fenced(bytes(8191, 1, write)));
            assert!(!shared.is_fenced(bytes(0, 4096, write)));
            assert!(!shared.is_fenced(bytes(8192, 512, write)));
        }
        drop(fence);
        assert!(!shared.conditions().fenced());
    }

    #[test]
    fn fenced_read_keeps_nobody_out() {
        let shared = Arc::new(Shared::default());
        let _fence = shared.fence(bytes(0, 4096, false));
        assert!(!shared.is_fenced(bytes(0, 512, true)));
    }

    #[test]
    fn fences_over_the_same_range_are_lifted_one_by_one() {
        let shared = Arc::new(Shared::default());
        let first = shared.fence(bytes(0, 512, true));
        let second = shared.fence(bytes(0, 512, true));
        drop(first);
        assert!(shared.is_fenced(bytes(0, 512, false)));
        drop(second);
        assert!(!shared.is_fenced(bytes(0, 512, false)));
    }

    #[test]
    fn flush_failure_outlives_every_other_change() {
        let shared = Shared::default();
        assert!(shared.record_flush_failure());
        assert!(!shared.record_flush_failure());
        shared.set_stopped(true);
        shared.set_stopped(false);
        assert!(shared.conditions().flush_failed());
        assert!(!shared.conditions().stopped());
    }
}
