//! After the faults: does the target work, and what does the medium hold?

use super::driver::Driver;
use super::plan::{Attribute, CdbSize, InitiatorPlan, Keys, LoginStyle, Step, Timeouts, Verb};
use super::shared::{Shared, Violation};
use super::world::World;
use crate::history::{Action, Event, Unit};
use crate::random::Draws;

/// The history numbers the auditors from here on: each audit is an initiator of its own.
pub(crate) const AUDITORS: u32 = 1_000;

/// Blocks are read back in pieces of this many bytes.
const PIECE_BYTES: u32 = 64 * 1024;
/// The first audit of one seed in so many reads all blocks back, the others those that were written and some
/// neighbours.
const EVERYTHING: u64 = 8;

/// In one seed of so many, audits ask each logical unit what it is.
const DESCRIBED: u64 = 4;

/// Logs in, writes, synchronizes and reads back the last block of each of `units`, then reads back every block that
/// any command wrote (in some runs all blocks, once). All of it goes into the history, for the oracles there.
///
/// # Errors
/// The target did not do it in time (oracle S1). What else it did wrong is among the violations in `shared`.
pub async fn audit<W: World>(world: W, shared: Shared, units: &[Unit]) -> Result<(), Violation> {
    let number = shared.audits.get();
    shared.audits.set(number + 1);
    let mut draws = Draws::new(shared.seed, "audit", u64::from(number));
    let mut steps = Vec::new();
    for unit in units {
        proof_of_life(&mut steps, unit);
    }
    for unit in units {
        aborts(&mut steps, unit);
    }
    if shared.seed.is_multiple_of(DESCRIBED) {
        for unit in units {
            describe(&mut steps, unit, &shared);
        }
    }
    let written = written(&shared);
    let everything = number == 0 && shared.seed.is_multiple_of(EVERYTHING);
    for unit in units {
        let ranges = if everything { vec![(0, unit.blocks)] } else { merge(&written, unit, &mut draws) };
        for (first, end) in ranges {
            read_back(&mut steps, unit, first, end);
        }
    }
    for (id, step) in steps.iter_mut().enumerate() {
        step.id = id as u32;
    }
    let index = AUDITORS + number;
    let plan = InitiatorPlan {
        index,
        name: "iqn.2026-11.invalid.quintain:audit".to_owned(),
        isid: [0x80, 0, 1, (number >> 8) as u8, number as u8, 0],
        initial_cmd_sn: 1,
        initial_tag: 1,
        queue_depth: 16,
        discovery: false,
        login_style: LoginStyle::OneShot,
        immediate_bytes: 65_536,
        unsolicited: true,
        batch_bytes: 65_536,
        keys: Keys { max_recv_data_segment_length: Some(262_144), initial_r2t: Some(false), ..Keys::default() },
        timeouts: Timeouts::default(),
        keeps_session: false,
        goes_on: false,
        hostile: None,
        steps,
    };
    let report = Driver::new(world, plan, shared).run().await;
    if report.steps_left == 0 {
        return Ok(());
    }
    let left = report.steps_left;
    Err(Violation { oracle: "S1", message: format!("the audit could not finish: {left} steps are left, {report:?}") })
}

/// Clears the unit attention, then writes the last block, makes it durable and reads it back.
fn proof_of_life(steps: &mut Vec<Step>, unit: &Unit) {
    let (lun, lba) = (unit.lun, unit.blocks - 1);
    let cdb = CdbSize::Sixteen;
    let verbs = [
        Verb::TestUnitReady { lun },
        Verb::Drain,
        Verb::Write { lun, lba, blocks: 1, cdb, fua: false, dpo: false, expect_more: 0 },
        Verb::Drain,
        Verb::Synchronize { lun, lba: 0, blocks: 0, sixteen: false, early: false },
        Verb::Drain,
        Verb::Read { lun, lba, blocks: 1, cdb, fua: false, dpo: false, expect_more: 0 },
        // The aborts that follow are not for this one.
        Verb::Drain,
    ];
    steps.extend(verbs.into_iter().map(step));
}

/// Reads that are aborted while they run: what they held must be free when the target stops.
fn aborts(steps: &mut Vec<Step>, unit: &Unit) {
    let blocks = (PIECE_BYTES / unit.block_bytes).min(unit.blocks as u32);
    read_back(steps, unit, 0, u64::from(blocks));
    steps.extend([Verb::AbortTask { which: 0, newest: false }, Verb::Drain].map(step));
}

/// Asks for all that a logical unit says of itself, then reads as much as it says that it takes at once, and a block more.
fn describe(steps: &mut Vec<Step>, unit: &Unit, shared: &Shared) {
    let (lun, allocation) = (unit.lun, 255);
    let descriptions = shared.descriptions.borrow();
    let pages = descriptions.pages(lun).into_iter().map(Some);
    let inquiries = std::iter::once(None).chain(pages).map(|page| Verb::Inquiry { lun, page, allocation });
    steps.extend(inquiries.chain([Verb::ReadCapacity { lun, sixteen: true }, Verb::Drain]).map(step));
    let Some(most) = descriptions.transfer_blocks_max(lun).filter(|&most| u64::from(most) < unit.blocks) else {
        return;
    };
    for blocks in [most, most + 1] {
        let cdb = CdbSize::Sixteen;
        steps.push(step(Verb::Read { lun, lba: 0, blocks, cdb, fua: false, dpo: false, expect_more: 0 }));
    }
    steps.push(step(Verb::Drain));
}

fn read_back(steps: &mut Vec<Step>, unit: &Unit, first: u64, end: u64) {
    let piece = u64::from(PIECE_BYTES / unit.block_bytes);
    let mut lba = first;
    while lba < end {
        let blocks = piece.min(end - lba) as u32;
        let cdb = CdbSize::Sixteen;
        steps.push(step(Verb::Read { lun: unit.lun, lba, blocks, cdb, fua: false, dpo: false, expect_more: 0 }));
        lba += u64::from(blocks);
    }
}

/// LUN, first block, end: of every write so far, in order.
fn written(shared: &Shared) -> Vec<(u16, u64, u64)> {
    let history = shared.history.borrow();
    let mut ranges: Vec<_> = history
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Invoke { lun, action: Action::Write { lba, blocks, .. }, .. } => {
                Some((*lun, *lba, lba + u64::from(*blocks)))
            }
            _ => None,
        })
        .collect();
    ranges.sort_unstable();
    ranges
}

/// The ranges of `unit`, those that are near each other as one, and one more somewhere.
fn merge(written: &[(u16, u64, u64)], unit: &Unit, draws: &mut Draws) -> Vec<(u64, u64)> {
    let neighbours = 8;
    let somewhere = draws.below(unit.blocks);
    let mut ranges: Vec<(u64, u64)> = vec![(somewhere, (somewhere + neighbours).min(unit.blocks))];
    for &(_, first, end) in written.iter().filter(|(lun, ..)| *lun == unit.lun) {
        let (first, end) = (first.saturating_sub(neighbours), (end + neighbours).min(unit.blocks));
        ranges.push((first, end));
    }
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (first, end) in ranges {
        match merged.last_mut() {
            Some(last) if first <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((first, end)),
        }
    }
    merged
}

fn step(verb: Verb) -> Step {
    Step { id: 0, attribute: Attribute::Simple, immediate: false, flat: false, verb }
}
