//! Bugs of the simulator itself, in the catalogue of core's (class "simulator"): what is worth little when it is broken has
//! to be found broken.

/// `true` when the named `Bug` is planted.
macro_rules! planted {
    ($bug:ident) => {
        quintain_core::planted::active(quintain_core::planted::Bug::$bug)
    };
}

pub(crate) use planted;
