//! The daemon: the real world for [`quintain_core`], and what an administrator sees of it.
//!
//! [`cli`] reads the command line, [`storage`] opens what is to be served, [`portal`] binds the addresses, [`daemon`]
//! runs one [`quintain_core::target::Shard`] for each thread over a [`runtime::RealRuntime`], and [`serve`] puts these
//! together and stops them on a signal; [`high_water`] says how close the limits came to being met. What cannot be served ends in a [`ServeError`]: the thing, the cause and the cure.

pub mod banner;
pub mod cli;
pub mod daemon;
mod error;
pub mod high_water;
pub mod identity;
pub mod log;
pub mod portal;
pub mod runtime;
pub mod serve;
pub mod size;
pub mod storage;

pub use error::ServeError;
