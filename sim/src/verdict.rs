//! What a run has shown.

mod fingerprint;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::beginnings::Beginnings;
use crate::buggify::Fires;
use crate::cells::Cells;
use crate::probes::Probes;

/// A rule that was broken.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Failure {
    /// Which oracle says so ("B5", "I3", "S6", [`LIVELOCK`], ...).
    pub oracle: &'static str,
    /// What happened.
    pub message: String,
}

impl Failure {
    /// What has to stay the same when a plan is made smaller: the oracle, and for an assertion which one it is.
    #[must_use]
    pub fn rule(&self) -> String {
        match self.message.strip_prefix("panicked at ").and_then(|rest| rest.split_once('\n')) {
            Some((site, _)) => format!("{} {}", self.oracle, site.trim_end_matches(':')),
            None => self.oracle.to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.oracle, oracle_name(self.oracle), self.message)
    }
}

/// What was in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Commands that the initiators sent.
    pub commands: u64,
    /// Of these, ended GOOD.
    pub good: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Of these: to a session that was there, over a new connection.
    pub continued: u64,
    /// Steps of the initiators' plans that were not reached.
    pub steps_left: u64,
    /// Attacks of hostile initiators.
    pub attacks: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Events in the trace.
    pub events: u64,
    /// Steps of tasks.
    pub task_steps: u64,
    /// Virtual time, in microseconds.
    pub virtual_us: u64,
    /// The probes that were hit.
    #[serde(skip)]
    pub probes: Probes,
    /// The cells of core's state machines that it was in.
    #[serde(skip)]
    pub cells: Cells,
    /// How often each unlikely choice was made.
    #[serde(skip)]
    pub fires: Fires,
}

impl Stats {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.good += other.good;
        self.logins += other.logins;
        self.continued += other.continued;
        self.steps_left += other.steps_left;
        self.attacks += other.attacks;
        self.faults += other.faults;
        self.events += other.events;
        self.task_steps += other.task_steps;
        self.virtual_us += other.virtual_us;
        self.probes.add(other.probes);
        self.cells.add(other.cells);
        self.fires.add(&other.fires);
    }
}

/// The verdict on a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// What was wrong; empty: nothing.
    pub failures: Vec<Failure>,
    /// The hash of the trace (S7); zero when the run was lost.
    pub trace_hash: u128,
    /// What was in it.
    pub stats: Stats,
    /// The paths that core took (see [`crate::paths`]), in order.
    pub paths: Vec<u32>,
    /// When each step began.
    pub beginnings: Beginnings,
}

impl Verdict {
    /// What shows that another run of the same plan, which has come to its end as this one has, was another one (S7).
    #[must_use]
    pub fn difference(&self, again: &Self) -> Option<Failure> {
        let hashes = (self.trace_hash, again.trace_hash);
        let message = || format!("two runs have the hashes {:032x} and {:032x}", hashes.0, hashes.1);
        (hashes.0 != hashes.1).then(|| Failure { oracle: "S7", message: message() })
    }

    /// Whether nothing was wrong.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// The oracle of runs in which tasks run and no time passes.
pub const LIVELOCK: &str = "livelock";
/// The oracle of runs that take too long in real time. Their threads never end, and on another machine they might: such a
/// run is not repeated to make its plan smaller.
pub const WATCHDOG: &str = "watchdog";

/// Every oracle with what it is about, in a word or two.
pub const ORACLES: &[(&str, &str)] = &[
    ("B1", "linearizability"),
    ("B2", "fence"),
    ("B3", "effect of an error"),
    ("B4", "leaked data"),
    ("B5", "durability"),
    ("B6", "process crash"),
    ("B7", "clean stop"),
    ("B8", "failed flush"),
    ("B11", "nullio"),
    ("T1", "ORDERED"),
    ("T2", "HEAD OF QUEUE"),
    ("T5", "abort"),
    ("T6", "outcome of an abort"),
    ("T7", "exactly one completion"),
    ("T8", "unit attention"),
    ("T11", "sense and residual"),
    ("T12", "inquiry data"),
    ("I1", "CmdSN"),
    ("I2", "command window"),
    ("I3", "StatSN"),
    ("I4", "DataSN and R2TSN"),
    ("I5", "R2T"),
    ("I6", "segments and digests"),
    ("I7", "login"),
    ("I8", "tags"),
    ("I9", "reject and logout"),
    ("I10", "isolation"),
    ("S1", "liveness"),
    ("S2", "liveness beside a failure"),
    ("S3", "starvation"),
    ("S4", "bounds"),
    ("S5", "leak"),
    ("S6", "assertion"),
    ("S7", "determinism"),
    ("S8", "statistics"),
    ("S10", "checker"),
    (LIVELOCK, "no progress"),
    (WATCHDOG, "real time"),
    ("H1", "history"),
];

/// What an oracle is about, in a word or two.
#[must_use]
pub fn oracle_name(oracle: &str) -> &'static str {
    ORACLES.iter().find(|(id, _)| *id == oracle).map_or("rule", |(_, name)| name)
}
