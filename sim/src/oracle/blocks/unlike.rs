//! MISCOMPARE must have a cause (B1): the sector that a VERIFY found to differ must not have held all the while what was
//! compared with it.

use crate::history::{Event, History, Outcome, Sector};

use super::accesses::{Access, Accesses, FOREIGN, GARBAGE, STRANGER, ZERO, value_of};
use super::findings::Findings;
use super::op::{Op, Timeline};
use super::sector::Judge;

/// Judges every MISCOMPARE of a logical unit. No two writes of a sector are the same, so one that was seen before and
/// after was there in between.
pub(super) fn check(history: &History, judge: &Judge<'_>, accesses: &Accesses, findings: &mut Findings) {
    let timeline = judge.timeline;
    for (index, (verify, sector, held)) in miscompares(history, timeline, judge.unit) {
        let value = value_of(timeline, held);
        let failed = |at: &u32| (timeline.epoch_start(verify.epoch)..timeline.epoch_end(verify.epoch)).contains(at);
        if matches!(value, FOREIGN | GARBAGE | STRANGER)
            || sector >= accesses.sectors()
            || timeline.flush_failures[judge.unit].iter().any(failed)
        {
            continue;
        }
        let here = accesses.at(sector);
        let op = |access: &Access| &timeline.ops[access.op as usize];
        let near = |access: &&Access| op(access).epoch == verify.epoch;
        // What a tainted read saw is no proof.
        let is_seen = |access: &Access| access.value == value && !judge.is_tainted(sector, here, access.op);
        let held_before = value == ZERO && verify.epoch == 0
            || here.iter().filter(near).any(|access| {
                let proof = is_seen(access) || access.op == value && op(access).has_written();
                proof && op(access).end < verify.start
            });
        let after = here.iter().filter(near).find(|access| is_seen(access) && op(access).start > verify.end);
        if let Some(after) = after.filter(|_| held_before && !judge.is_tainted(sector, here, index)) {
            findings.add("B1", verify.id.0, op(after).id.0, || {
                format!(
                    "LUN {} sector {sector}: {} said MISCOMPARE, though it held: {}, as {} saw later",
                    verify.lun,
                    judge.tell(index),
                    judge.tell(value),
                    judge.tell(after.op)
                )
            });
        }
    }
}

/// Zeros are what a logical unit that stores nothing holds (B11).
pub(super) fn check_nullio(history: &History, timeline: &Timeline, unit: usize, findings: &mut Findings) {
    for (_, (verify, sector, held)) in miscompares(history, timeline, unit) {
        if held == Sector::Zero {
            findings.add("B11", verify.id.0, 0, || {
                format!(
                    "op {} compared sector {sector} of nullio LUN {} with zeros: MISCOMPARE",
                    verify.id.0, verify.lun
                )
            });
        }
    }
}

/// Each VERIFY that found a sector to differ: its index, itself, the sector and what that was compared with.
fn miscompares<'a>(
    history: &'a History,
    timeline: &'a Timeline,
    unit: usize,
) -> impl Iterator<Item = (u32, (&'a Op, u64, Sector))> {
    let verifies = (0..).zip(&timeline.ops).filter(move |(_, op)| op.unit == Some(unit));
    verifies.filter_map(|(index, op)| match history.events.get(op.returned?)? {
        Event::Return { outcome: Outcome::Miscompare { sectors, unlike: Some(held) }, .. } => {
            Some((index, (op, op.first + sectors.len() as u64, *held)))
        }
        _ => None,
    })
}
