//! The daemon: the real world for `quintain-core`, and what an administrator sees of it.

pub mod runtime;
