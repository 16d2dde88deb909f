//! The iSCSI target: everything but I/O.
//!
//! ```text
//! socket bytes -> 1 wire -> 2 connection -> 3 session -> 4 task -> 5 queue -> 6 scsi -> 7 backend -+
//! socket bytes <- 1 wire <- 2 connection (write list) <---------------- response <-----------------+
//! ```
#![forbid(unsafe_code)]

pub mod backend;
pub mod env;
pub mod event;
pub mod id;
pub mod limits;
pub mod logical_unit;
pub mod planted;
pub mod scsi;
pub mod sync;
pub mod target;
pub mod task;

#[cfg(test)]
mod testing;
