//! Findings, one for each story: a thousand sectors of one lost write are one finding.

use std::collections::BTreeSet;

use crate::oracle::Finding;

/// More stories than this help nobody.
const MOST: usize = 32;

/// What was found so far.
#[derive(Default, Debug)]
pub(super) struct Findings {
    all: Vec<Finding>,
    told: BTreeSet<(&'static str, u64, u64)>,
}

impl Findings {
    pub(super) fn new(first: Vec<Finding>) -> Self {
        Self { all: first, told: BTreeSet::new() }
    }

    /// Adds a story about the commands `one` and `other`, unless this rule has already told one about them.
    pub(super) fn add(&mut self, oracle: &'static str, one: u64, other: u64, story: impl FnOnce() -> String) {
        if self.all.len() < MOST && self.told.insert((oracle, one, other)) {
            self.all.push(Finding { oracle, message: story() });
        }
    }

    /// All findings, in the order found.
    pub(super) fn finish(self) -> Vec<Finding> {
        self.all
    }
}
