//! Oracles: what judges a run.
//!
//! | module | judges | rules |
//! | --- | --- | --- |
//! | `blocks` | what the initiators read, against what they wrote | B1 to B8, B11 |
//! | [`events`] | the core's account of its tasks | T1, T2, T7, T8, S3, S4, I10 |
//! | `statistics` | the core's own counts, against its events and the wire | S8 |
//! | [`wire`] | the bytes between the target and its initiators | I1 to I9, T5 to T8, T11 |
//!
//! Each rule has a stable id, named in [`Finding::oracle`].

mod blocks;
pub mod events;
mod self_test;
mod statistics;
pub mod wire;

pub use blocks::check_history;
pub use self_test::self_test;

use std::fmt;

use crate::initiator::Violation;
use crate::verdict::Failure;

/// A broken rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    /// The rule: "B1", "I3", "T7", ...
    pub oracle: &'static str,
    /// What happened, as a short story: which commands, where, when, and why that is wrong.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.oracle, self.message)
    }
}

impl From<Violation> for Finding {
    fn from(Violation { oracle, message }: Violation) -> Self {
        Self { oracle, message }
    }
}

impl From<Failure> for Finding {
    fn from(Failure { oracle, message }: Failure) -> Self {
        Self { oracle, message }
    }
}
