//! The catalogue of planted bugs: the measure of what the simulator finds.
//!
//! Each is one line of core behind [`planted!`](crate::planted!). They exist only under `cfg(simulation)`; in the
//! daemon's compilation the macro is the constant `false`. The plan of a run selects at most one.

/// One planted bug.
#[cfg(simulation)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Bug {
    /// See [`CATALOGUE`].
    WindowOffByOne,
    /// See [`CATALOGUE`].
    DigestSkipsPadding,
    /// See [`CATALOGUE`].
    NegotiationTakesMaximum,
    /// See [`CATALOGUE`].
    SegmentLimitIgnored,
    /// See [`CATALOGUE`].
    StatSnLoginSkips,
}

/// A catalogue entry.
#[cfg(simulation)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The bug.
    pub bug: Bug,
    /// Its name on the command line and in plans.
    pub name: &'static str,
    /// Its class in the power table.
    pub class: &'static str,
    /// What goes wrong, in one sentence.
    pub story: &'static str,
}

/// Every planted bug.
#[cfg(simulation)]
pub const CATALOGUE: &[Entry] = &[
    Entry {
        bug: Bug::WindowOffByOne,
        name: "window-off-by-one",
        class: "sequence numbers",
        story: "A command one past MaxCmdSN is accepted.",
    },
    Entry {
        bug: Bug::DigestSkipsPadding,
        name: "digest-skips-padding",
        class: "wire",
        story: "The data digest is computed without the pad bytes.",
    },
    Entry {
        bug: Bug::NegotiationTakesMaximum,
        name: "negotiation-takes-maximum",
        class: "negotiation",
        story: "MaxBurstLength and FirstBurstLength come out as the larger of the two offers.",
    },
    Entry {
        bug: Bug::SegmentLimitIgnored,
        name: "segment-limit-ignored",
        class: "negotiation",
        story: "The peer's MaxRecvDataSegmentLength is taken to be 256 KiB whatever it declared.",
    },
    Entry {
        bug: Bug::StatSnLoginSkips,
        name: "stat-sn-login-skips",
        class: "sequence numbers",
        story: "StatSN does not advance after a login response.",
    },
];

#[cfg(simulation)]
thread_local! {
    static SELECTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Selects the planted bug of everything that runs on this thread from now on.
#[cfg(simulation)]
pub fn select(bug: Option<Bug>) {
    SELECTED.with(|selected| selected.set(bug));
}

/// Whether `bug` is the selected one.
#[cfg(simulation)]
#[must_use]
pub fn active(bug: Bug) -> bool {
    SELECTED.with(|selected| selected.get() == Some(bug))
}

/// `true` when the named [`Bug`] is planted and selected; the constant `false` outside the simulator.
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {{
        #[cfg(simulation)]
        {
            $crate::planted::active($crate::planted::Bug::$bug)
        }
        #[cfg(not(simulation))]
        {
            false
        }
    }};
}
