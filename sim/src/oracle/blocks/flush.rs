//! A failed flush is never forgotten (B8): what was volatile when it failed may be lost, so no later SYNCHRONIZE
//! CACHE of the same process may end GOOD over it, unless it was written again.

use super::accesses::{Access, Accesses};
use super::findings::Findings;
use super::op::{Moment, Timeline};
use super::sector::Judge;

/// Judges every SYNCHRONIZE CACHE that ended GOOD after a failed flush.
pub(super) fn check(judge: &Judge<'_>, accesses: &Accesses, findings: &mut Findings) {
    let timeline = judge.timeline;
    let failures = &timeline.flush_failures[judge.unit];
    if failures.is_empty() {
        return;
    }
    for (sector, accesses) in accesses.distinct() {
        for &failed in failures {
            let Some(lost) = volatile_at(judge, sector, accesses, failed) else { continue };
            for &by in &judge.durability.synchronized {
                let claim = &timeline.ops[by as usize];
                let same_process = !Timeline::any_between(&timeline.restarts, failed, claim.start);
                let rewritten = accesses.iter().any(|access| {
                    let write = &timeline.ops[access.op as usize];
                    write.has_written() && write.start > failed && write.end < claim.end
                });
                if claim.start > failed && claim.covers(sector) && same_process && !rewritten {
                    findings.add("B8", claim.id.0, timeline.ops[lost as usize].id.0, || {
                        format!(
                            "LUN {} sector {sector}: {} claims {}, which was volatile when the flush failed at #{failed}",
                            claim.lun,
                            judge.tell(by),
                            judge.tell(lost)
                        )
                    });
                }
            }
        }
    }
}

/// A write of the sector that had ended GOOD and was not durable at the moment `at`.
fn volatile_at(judge: &Judge<'_>, sector: u64, accesses: &[Access], at: Moment) -> Option<u32> {
    let op = |access: &Access| &judge.timeline.ops[access.op as usize];
    let start = judge.timeline.power_losses.iter().copied().filter(|&loss| loss < at).max().unwrap_or(0);
    let durable = |access: &Access| judge.durability.was_durable(access.op, sector, at);
    accesses
        .iter()
        .filter(|access| op(access).has_written() && op(access).good_at < at && op(access).start > start)
        .filter(|access| !durable(access))
        .find(|access| !accesses.iter().any(|newer| durable(newer) && op(newer).start > op(access).end))
        .map(|access| access.op)
}
