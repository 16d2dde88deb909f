//! Stage 4: the SAM task set: tasks, their order, their abort, and how they end.

pub(crate) mod management;
pub mod sense;
pub mod status;
#[allow(clippy::module_inception, reason = "a task is what this stage is about")]
mod task;
pub mod task_set;

pub use task::Task;
pub(crate) use task::{PoolShare, Refusal, TaskState};
