//! A logical block is written whole or not at all (B1): larger blocks are several sectors, and a read must find one
//! writer in all of them, unless a write that failed did half of a block.

use std::collections::BTreeSet;

use crate::history::{History, OpId, Sector};

use super::accesses::Accesses;
use super::findings::Findings;
use super::op::{self, Ending, Kind};
use super::sector::Judge;

/// Judges every block that a read of this logical unit returned.
pub(super) fn check(history: &History, judge: &Judge<'_>, accesses: &Accesses, findings: &mut Findings) {
    let per_block = op::sectors_per_block(&history.units[judge.unit]) as usize;
    if per_block == 1 {
        return;
    }
    let reads = judge.timeline.ops.iter().enumerate();
    for (index, read) in reads.filter(|(_, op)| op.unit == Some(judge.unit) && op.kind == Kind::Read) {
        for (block, seen) in op::sectors_of(history, read).chunks(per_block).enumerate() {
            let sector = read.first + (block * per_block) as u64;
            let excused =
                || (sector..).zip(seen).any(|(sector, _)| judge.is_tainted(sector, accesses.at(sector), index as u32));
            if seen.iter().all(|sector| *sector == seen[0]) || sector >= accesses.sectors() {
                continue;
            }
            let whole = whole_writers(judge, seen);
            if whole.len() > 1 && !excused() {
                findings.add("B1", read.id.0, 0, || {
                    format!(
                        "LUN {} block {} is torn: {} saw parts of {} writes of it, none of which failed: {whole:?}",
                        read.lun,
                        sector / per_block as u64,
                        judge.tell(index as u32),
                        whole.len()
                    )
                });
            }
        }
    }
}

/// The writers of these sectors that wrote whole blocks; `None` for zeros.
fn whole_writers(judge: &Judge<'_>, seen: &[Sector]) -> BTreeSet<Option<OpId>> {
    let torn =
        |id: &OpId| judge.timeline.index.get(id).is_some_and(|&index| judge.timeline.ops[index].ending == Ending::Torn);
    seen.iter()
        .filter_map(|sector| match sector {
            Sector::Zero => Some(None),
            Sector::Written(id) if !torn(id) => Some(Some(*id)),
            _ => None,
        })
        .collect()
}
