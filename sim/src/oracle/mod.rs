//! Oracles: what judges a run.
