//! When each step of a plan began, in everything that the trigger of a fault can count. It is no part of the trace.

use std::collections::BTreeMap;

use crate::plan::{Occasion, StepName, Trigger};

/// The beginnings of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Beginnings {
    /// The end of the warm-up.
    pub warm_up: Mark,
    /// The steps, in the order in which they began.
    pub steps: Vec<(StepName, Mark)>,
}

impl Beginnings {
    /// When `step` began, in microseconds of virtual time.
    #[must_use]
    pub fn at_us(&self, step: StepName) -> Option<u64> {
        self.steps.iter().find(|(begun, _)| *begun == step).map(|(_, mark)| mark.at_us)
    }
}

/// How far a run is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    /// Virtual time, in microseconds.
    pub at_us: u64,
    /// Events of core so far.
    pub events: u64,
    /// Events of each kind so far.
    pub counts: BTreeMap<Occasion, u64>,
}

impl Mark {
    /// What `trigger` counts, so far.
    #[must_use]
    pub fn count(&self, trigger: Trigger) -> u64 {
        match trigger {
            Trigger::AtUs(_) => self.at_us,
            Trigger::AfterEvents(_) => self.events,
            Trigger::OnNth { kind, .. } => self.counts.get(&kind).copied().unwrap_or(0),
        }
    }
}
