//! Stage 5: the bounded work queue of a target and its workers.

pub mod work_queue;
pub mod worker;
