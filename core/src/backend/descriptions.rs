//! The open file descriptions of one disk on one shard.
//!
//! A system tells of a failed write-back once on each open file description (on Linux `errseq_t`). Of several flushes and
//! durable writes that wait on one, one gets the error, and the others succeed and may be answered first. So no two wait
//! on the same one: each durable write has one of its own while it runs, and the flushes of a shard, of which one runs at
//! a time, have the shard's.

use std::cell::RefCell;

use crate::env::Disk;
use crate::sync::Notify;

/// See the module. `D` is a handle with an open file description of its own.
#[derive(Debug)]
pub struct Descriptions<D> {
    shards: D,
    idle: RefCell<Vec<D>>,
    /// With those that are lent.
    for_writes: usize,
    given_back: Notify,
}

impl<D: Disk> Descriptions<D> {
    /// The first of `disks` is the shard's, the others are for durable writes.
    ///
    /// # Panics
    /// When there is none, or just one for a disk that takes writes.
    pub fn new(disks: Vec<D>) -> Self {
        let mut disks = disks.into_iter();
        let shards = disks.next().expect("a disk has at least one open file description");
        let idle: Vec<D> = disks.collect();
        assert!(!idle.is_empty() || shards.geometry().read_only, "a durable write needs a description of its own");
        Self { shards, for_writes: idle.len(), idle: RefCell::new(idle), given_back: Notify::default() }
    }

    /// The shard's: for reads, volatile writes, and one flush at a time.
    pub fn shards(&self) -> &D {
        &self.shards
    }

    /// One that nobody else waits on, as soon as there is one. It comes back with [`Descriptions::give_back`], unless the
    /// system may still be at work on it.
    pub async fn own(&self) -> D {
        self.given_back
            .until(|| {
                let mut idle = self.idle.borrow_mut();
                let oldest = idle.len() > 1 && crate::buggify!(OldestDescription);
                if oldest { Some(idle.remove(0)) } else { idle.pop() }
            })
            .await
    }

    /// How many durable writes have one.
    pub fn lent(&self) -> usize {
        self.for_writes - self.idle.borrow().len()
    }

    /// The next durable write has to wait.
    pub fn all_lent(&self) -> bool {
        self.idle.borrow().is_empty()
    }

    /// The durable write that had it is done.
    pub fn give_back(&self, disk: D) {
        self.idle.borrow_mut().push(disk);
        self.given_back.one();
    }
}
