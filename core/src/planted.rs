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
pub const CATALOGUE: &[Entry] = &[Entry {
    bug: Bug::WindowOffByOne,
    name: "window-off-by-one",
    class: "sequence numbers",
    story: "A command one past MaxCmdSN is accepted.",
}];

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
