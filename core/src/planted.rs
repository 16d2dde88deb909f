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
    AckBeforeFlush,
    /// See [`CATALOGUE`].
    FlushErrorSwallowed,
    /// See [`CATALOGUE`].
    StickyForgotten,
    /// See [`CATALOGUE`].
    FuaIgnored,
    /// See [`CATALOGUE`].
    WriteErrorGood,
    /// See [`CATALOGUE`].
    UnitAttentionTwice,
    /// See [`CATALOGUE`].
    UnitAttentionNever,
    /// See [`CATALOGUE`].
    NullioStale,
    /// See [`CATALOGUE`].
    ReadWrongBlock4k,
    /// See [`CATALOGUE`].
    LbaCheckWraps,
    /// See [`CATALOGUE`].
    UnmappedLunServed,
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
        bug: Bug::AckBeforeFlush,
        name: "ack-before-flush",
        class: "durability",
        story: "SYNCHRONIZE CACHE is answered GOOD before the flush has ended.",
    },
    Entry {
        bug: Bug::FlushErrorSwallowed,
        name: "flush-error-swallowed",
        class: "durability",
        story: "A failed flush is answered GOOD and forgotten.",
    },
    Entry {
        bug: Bug::StickyForgotten,
        name: "sticky-forgotten",
        class: "durability",
        story: "A failed flush is reported once, and the next SYNCHRONIZE CACHE succeeds.",
    },
    Entry {
        bug: Bug::FuaIgnored,
        name: "fua-ignored",
        class: "durability",
        story: "A write with FUA is answered when it is in the volatile cache.",
    },
    Entry {
        bug: Bug::WriteErrorGood,
        name: "write-error-good",
        class: "device errors",
        story: "A volatile write that failed is answered GOOD.",
    },
    Entry {
        bug: Bug::UnitAttentionTwice,
        name: "unit-attention-twice",
        class: "unit attention",
        story: "A unit attention condition is reported twice.",
    },
    Entry {
        bug: Bug::UnitAttentionNever,
        name: "unit-attention-never",
        class: "unit attention",
        story: "A unit attention condition is never reported.",
    },
    Entry {
        bug: Bug::NullioStale,
        name: "nullio-stale",
        class: "data",
        story: "A read from nullio returns what the buffer held before.",
    },
    Entry {
        bug: Bug::ReadWrongBlock4k,
        name: "read-wrong-block-4k",
        class: "data",
        story: "A read finds its blocks as if they had 512 bytes.",
    },
    Entry {
        bug: Bug::LbaCheckWraps,
        name: "lba-check-wraps",
        class: "addressing",
        story: "First block plus number of blocks is summed without looking at the overflow.",
    },
    Entry {
        bug: Bug::UnmappedLunServed,
        name: "unmapped-lun-served",
        class: "addressing",
        story: "A LUN that is not mapped is served by the first logical unit.",
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

/// `true` when the named `Bug` is planted and selected; the constant `false` outside the simulator.
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
