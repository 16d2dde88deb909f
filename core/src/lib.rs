//! The iSCSI target: everything but I/O.
//!
//! ```text
//! socket bytes -> 1 wire -> 2 connection -> 3 session -> 4 task -> 5 queue -> 6 scsi -> 7 backend -+
//! socket bytes <- 1 wire <- 2 connection (write list) <---------------- response <-----------------+
//! ```
//!
//! | stage | module | what it does |
//! | --- | --- | --- |
//! | 0 | [`mod@env`] | the outside as traits: runtime, network, disk |
//! | 1 | [`wire`] | bytes and PDUs, no state |
//! | 2 | [`connection`] | one TCP connection: receive, login, full feature phase, write list, timers |
//! | 3 | [`session`] | the I_T nexus: command window, task table, data transfer |
//! | 4 | [`task`] | SAM task set, abort, status and sense |
//! | 5 | [`queue`] | the bounded work queue of a target and its workers |
//! | 6 | [`scsi`] | a CDB becomes a result, against the state in [`logical_unit`] |
//! | 7 | [`backend`] | nullio, fileio, blockio; failed flushes are never forgotten |
//!
//! A runtime drives a [`target::Shard`] per core. Stages 1 to 4 decide as plain values; from the worker on, the way is
//! a chain of calls whose result comes back as a value.
#![forbid(unsafe_code)]

pub mod backend;
pub mod buggify;
pub mod cells;
pub mod connection;
pub mod env;
pub mod event;
pub mod high_water;
pub mod id;
pub mod limits;
pub mod logical_unit;
pub mod planted;
pub mod probe;
pub mod queue;
pub mod scsi;
pub mod session;
pub mod sync;
pub mod target;
pub mod task;
pub mod wire;

#[cfg(test)]
mod testing;
