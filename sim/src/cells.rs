//! Which cells of core's state machines a run has been in: the tables are core's (`core/src/cells.rs`).

pub use quintain_core::cells::{MACHINES, Machine, bit};

use quintain_core::cells::Words;

/// A set of cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cells(Words);

impl Default for Cells {
    fn default() -> Self {
        Self([0; _])
    }
}

impl Cells {
    /// Those that this thread has been in since the last time it was asked.
    #[must_use]
    pub fn take() -> Self {
        Self(quintain_core::cells::take())
    }

    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }

    /// Whether the cell is among them.
    #[must_use]
    pub fn contains(&self, machine: usize, state: usize, event: usize) -> bool {
        let bit = bit(machine, state, event);
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }
}
