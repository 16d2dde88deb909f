//! The block history (B1 to B8, B11): was every read allowed to see what it saw?
//!
//! Every 512-byte sector is a register and every write of it differs from all others, for its stamp names it. Power
//! losses cut the history into epochs; within an epoch a register must be linearizable (B1), with open intervals that
//! a fence ends (B2) and errors that may have done half of their work (B3). An epoch starts with what the power loss
//! may have left (B5). The rules are sound rather than complete: what they reject is wrong under every reading of
//! the history.

mod accesses;
mod durability;
mod findings;
mod flush;
#[cfg(test)]
mod model_tests;
mod op;
mod register;
mod sector;
mod stopped;
mod tear;
mod unlike;

use crate::history::History;
use crate::oracle::Finding;

use accesses::Accesses;
use findings::Findings;
use op::{Kind, Timeline};

/// Everything that is wrong with `history`. Rules: B1 to B8, B11, T7 for a second status, H1 for a history that is itself
/// broken (a fault of the simulator), T11 for what START STOP UNIT and write protection do not allow.
#[must_use]
pub fn check_history(history: &History) -> Vec<Finding> {
    let mut timeline = Timeline::of(history);
    let mut findings = Findings::new(std::mem::take(&mut timeline.findings));
    check_bounds(history, &timeline, &mut findings);
    for unit in 0..history.units.len() {
        let accesses = Accesses::of(history, &timeline, unit);
        stopped::check(history, &timeline, unit, &mut findings);
        if history.units[unit].nullio {
            sector::check_nullio(&timeline, &accesses, &mut findings);
            unlike::check_nullio(history, &timeline, unit, &mut findings);
            continue;
        }
        let durability = durability::Durability::of(history, &timeline, unit);
        let judge = sector::Judge { timeline: &timeline, durability: &durability, unit };
        judge.check(&accesses, &mut findings);
        tear::check(history, &judge, &accesses, &mut findings);
        unlike::check(history, &judge, &accesses, &mut findings);
        flush::check(&judge, &accesses, &mut findings);
    }
    findings.finish()
}

/// GOOD for blocks that do not exist, or for a WRITE to what takes none, and more data than the command asked for.
fn check_bounds(history: &History, timeline: &Timeline, findings: &mut Findings) {
    for op in timeline.ops.iter().filter(|op| op.ending == op::Ending::Good) {
        let sectors = op.unit.map(|unit| history.units[unit].blocks * op::sectors_per_block(&history.units[unit]));
        if op.protected {
            findings.add("T11", op.id.0, 0, || format!("op {} wrote to LUN {}, which is read-only", op.id.0, op.lun));
        }
        let kind = matches!(op.kind, Kind::Read | Kind::Write { .. } | Kind::Synchronize);
        if kind && op.last > sectors.unwrap_or(0) {
            findings.add("B3", op.id.0, 0, || {
                format!("op {} ended GOOD, though LUN {} has no sectors {}..{}", op.id.0, op.lun, op.first, op.last)
            });
        }
        let returned = op::sectors_of(history, op).len() as u64;
        if op.kind == Kind::Read && returned > op.last - op.first {
            findings.add("B4", op.id.0, 0, || {
                format!("op {} asked for {} sectors and got {returned}", op.id.0, op.last - op.first)
            });
        }
    }
}
