//! `coverage`: what the plans of seeds ask for, and which cells of core's state machines their runs have been in.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use super::batch::{Batch, sweep};
use super::record::Outcome;
use super::report::Progress;
use super::{EXIT_BUG, EXIT_OK};
use crate::cells::{Cells, MACHINES, Machine};
use crate::generator::Generated;

/// How many seeds have been in each cell: by machine, state and event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct CellCounts(BTreeMap<(usize, usize, usize), u64>);

/// What becomes of a cell of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cell {
    /// So many seeds were there.
    Reached(u64),
    /// None was.
    Missed,
    /// None was, and none can be.
    Never,
    /// It cannot be, and so many seeds were there.
    Impossible(u64),
}

impl CellCounts {
    /// A seed has been in these cells.
    pub(super) fn note(&mut self, cells: &Cells) {
        for place in every_cell().filter(|&(machine, state, event)| cells.contains(machine, state, event)) {
            *self.0.entry(place).or_default() += 1;
        }
    }

    fn cell(&self, place: (usize, usize, usize)) -> Cell {
        let (machine, state, event) = place;
        match (self.0.get(&place), MACHINES[machine].never(state, event)) {
            (Some(&seeds), None) => Cell::Reached(seeds),
            (Some(&seeds), Some(_)) => Cell::Impossible(seeds),
            (None, None) => Cell::Missed,
            (None, Some(_)) => Cell::Never,
        }
    }

    fn table(&self, number: usize, machine: &Machine) -> String {
        let mut table = format!("| {} |", machine.name);
        machine.events.iter().for_each(|event| table += &format!(" {event} |"));
        table += "\n|";
        table += &" --- |".repeat(machine.events.len() + 1);
        for (state, name) in machine.states.iter().enumerate() {
            table += &format!("\n| {name} |");
            for event in 0..machine.events.len() {
                table += &match self.cell((number, state, event)) {
                    Cell::Reached(seeds) => format!(" {seeds} |"),
                    Cell::Missed => " MISSED |".to_owned(),
                    Cell::Never => " |".to_owned(),
                    Cell::Impossible(seeds) => format!(" {seeds} IMPOSSIBLE |"),
                };
            }
        }
        table
    }
}

fn every_cell() -> impl Iterator<Item = (usize, usize, usize)> {
    MACHINES.iter().enumerate().flat_map(|(number, machine)| {
        let events = machine.events.len();
        (0..machine.states.len()).flat_map(move |state| (0..events).map(move |event| (number, state, event)))
    })
}

/// "task: ended, Data-Out".
fn name((machine, state, event): (usize, usize, usize)) -> String {
    let machine = &MACHINES[machine];
    format!("{}: {}, {}", machine.name, machine.states[state], machine.events[event])
}

/// Prints what the seeds of `batch` reach, misses last; returns the exit code.
pub(super) fn run(batch: &Batch) -> u8 {
    let mut generated = Generated::default();
    (0..batch.share().unwrap_or(0))
        .for_each(|index| generated.add(&batch.plan(batch.shard.seed(batch.seed_base, index))));
    println!("{generated}");
    let (progress, mut outcome) = (Progress::new(batch, 0), Outcome::default());
    sweep(batch, &mut outcome, &AtomicBool::new(false), |outcome| progress.seed_done(outcome));
    progress.finish();
    for (number, machine) in MACHINES.iter().enumerate() {
        println!("\n{}", outcome.cells.table(number, machine));
    }
    let of = |kind: fn(Cell) -> bool| every_cell().filter(|&place| kind(outcome.cells.cell(place))).collect::<Vec<_>>();
    let reached = of(|cell| matches!(cell, Cell::Reached(_)));
    let missed = of(|cell| cell == Cell::Missed);
    let impossible = of(|cell| matches!(cell, Cell::Impossible(_)));
    println!("\n{} of {} cells reached in {} seeds", reached.len(), reached.len() + missed.len(), outcome.seeds);
    missed.into_iter().for_each(|place| println!("missed: {}", name(place)));
    for &place in &impossible {
        println!(
            "impossible, and yet: {} ({})",
            name(place),
            MACHINES[place.0].never(place.1, place.2).unwrap_or_default()
        );
    }
    let failed = outcome.in_order(batch.seed_base);
    failed.iter().for_each(|(fingerprint, found)| println!("seed {:#x} failed: {fingerprint}", found.seed));
    if impossible.is_empty() && failed.is_empty() { EXIT_OK } else { EXIT_BUG }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Profile;

    #[test]
    fn runs_are_in_no_cell_that_cannot_be_and_in_most_others() {
        let batch = Batch::first_failure(16, 0, 2, Profile::Full, None);
        let mut outcome = Outcome::default();
        sweep(&batch, &mut outcome, &AtomicBool::new(false), |_| ());
        let count = |kind: fn(Cell) -> bool| every_cell().filter(|&place| kind(outcome.cells.cell(place))).count();
        let impossible: Vec<_> =
            every_cell().filter(|&place| matches!(outcome.cells.cell(place), Cell::Impossible(_))).map(name).collect();
        assert_eq!(impossible, Vec::<String>::new());
        let (reached, missed) = (count(|cell| matches!(cell, Cell::Reached(_))), count(|cell| cell == Cell::Missed));
        assert!(reached > missed, "{reached} reached, {missed} missed");
    }

    #[test]
    fn table_tells_reached_missed_and_impossible_cells_apart() {
        let machine = &MACHINES[0];
        let never = (0..machine.states.len())
            .flat_map(|state| (0..machine.events.len()).map(move |event| (state, event)))
            .find(|&(state, event)| machine.never(state, event).is_some())
            .expect("some cell cannot be");
        let mut counts = CellCounts::default();
        assert_eq!(counts.cell((0, 0, 0)), Cell::Missed);
        assert_eq!(counts.cell((0, never.0, never.1)), Cell::Never);
        counts.0.insert((0, 0, 0), 7);
        counts.0.insert((0, never.0, never.1), 1);
        assert_eq!(counts.cell((0, 0, 0)), Cell::Reached(7));
        assert_eq!(counts.cell((0, never.0, never.1)), Cell::Impossible(1));
        let table = counts.table(0, machine);
        assert!(table.contains("| behind a gap | 7 |") && table.contains("1 IMPOSSIBLE"), "{table}");
    }
}
