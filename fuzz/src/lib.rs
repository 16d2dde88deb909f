//! Part of Quintain.
