//! One sector through all its epochs.

use super::accesses::{Access, Accesses, FOREIGN, GARBAGE, STRANGER, WRITE, ZERO};
use super::durability::{Durability, Reason};
use super::findings::Findings;
use super::op::{Ending, Kind, Moment, Op, Timeline};
use super::register::{self, Cluster};

/// What judges the sectors of one logical unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) durability: &'a Durability<'a>,
    pub(super) unit: usize,
}

/// What a sector may hold when an epoch begins.
#[derive(Debug)]
struct Ground {
    values: Vec<u32>,
    /// The newest durable write: nothing older may come back.
    durable: Option<(u32, Reason)>,
}

/// Memory that is used again for each sector.
#[derive(Default, Debug)]
struct Scratch {
    /// Where the cluster of a write is in `clusters`, when it is there.
    slots: Vec<u32>,
    clusters: Vec<Cluster>,
    required: Vec<Cluster>,
}

/// One sector in one epoch.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    sector: u64,
    epoch: usize,
    /// Of all epochs.
    accesses: &'a [Access],
}

impl Judge<'_> {
    /// Judges all sectors.
    pub(super) fn check(&self, accesses: &Accesses, findings: &mut Findings) {
        let mut scratch = Scratch { slots: vec![u32::MAX; self.timeline.ops.len()], ..Scratch::default() };
        for (sector, accesses) in accesses.distinct() {
            let mut ground = Ground { values: vec![ZERO], durable: None };
            for now in accesses.chunk_by(|one, other| self.op(one.op).epoch == self.op(other.op).epoch) {
                let place = Place { sector, epoch: self.op(now[0].op).epoch, accesses };
                ground = self.check_epoch(place, now, &ground, &mut scratch, findings);
            }
        }
    }

    fn op(&self, index: u32) -> &Op {
        &self.timeline.ops[index as usize]
    }

    fn check_epoch(
        &self,
        place: Place<'_>,
        now: &[Access],
        ground: &Ground,
        scratch: &mut Scratch,
        findings: &mut Findings,
    ) -> Ground {
        scratch.clusters.clear();
        for access in now.iter().filter(|access| self.op(access.op).may_have_written()) {
            let op = self.op(access.op);
            scratch.slots[access.op as usize] = scratch.clusters.len() as u32;
            scratch.clusters.push(Cluster {
                value: access.op,
                until: op.end,
                until_op: access.op,
                since: op.start,
                since_op: access.op,
                required: op.has_written(),
            });
        }
        let writes = scratch.clusters.len();
        let mut initial = None;
        for access in now.iter().filter(|access| access.value != WRITE) {
            if self.is_tainted(place.sector, place.accesses, access.op) {
                continue;
            }
            if let Some(oracle) = self.is_leak(place, access) {
                self.tell_leak(oracle, place, access, findings);
                continue;
            }
            if access.value == GARBAGE || self.is_forgotten(place.sector, place.accesses, access) {
                continue;
            }
            let cluster = if access.value == ZERO {
                None
            } else {
                scratch.clusters.get_mut(scratch.slots[access.value as usize] as usize)
            };
            let cluster = match cluster {
                Some(cluster) => cluster,
                None => match self.old_value(place, access, ground, &mut initial, findings) {
                    Some(cluster) => cluster,
                    None => continue,
                },
            };
            self.join(place, access, cluster, findings);
        }
        self.check_register(place, scratch, initial, findings);
        for cluster in &scratch.clusters[..writes] {
            scratch.slots[cluster.value as usize] = u32::MAX;
        }
        self.ground_after(place, ground, &scratch.clusters, initial)
    }

    /// Adds a read to the cluster of what it saw.
    fn join(&self, place: Place<'_>, access: &Access, cluster: &mut Cluster, findings: &mut Findings) {
        let read = self.op(access.op);
        if cluster.value != ZERO && read.end < self.op(cluster.value).start {
            findings.add("B1", read.id.0, self.op(cluster.value).id.0, || {
                format!(
                    "{} saw {}, which was sent only afterwards",
                    self.tell_access(place, access.op),
                    self.tell(cluster.value)
                )
            });
            return;
        }
        cluster.required = true;
        if read.end < cluster.until {
            (cluster.until, cluster.until_op) = (read.end, access.op);
        }
        if read.start > cluster.since {
            (cluster.since, cluster.since_op) = (read.start, access.op);
        }
    }

    /// The cluster of what was there when the epoch began, which `access` saw.
    fn old_value<'c>(
        &self,
        place: Place<'_>,
        access: &Access,
        ground: &Ground,
        initial: &'c mut Option<Cluster>,
        findings: &mut Findings,
    ) -> Option<&'c mut Cluster> {
        let start = self.timeline.epoch_start(place.epoch);
        let value = access.value;
        if value != ZERO && self.op(value).epoch > place.epoch {
            let (read, write) = (self.op(access.op).id.0, self.op(value).id.0);
            findings.add("B1", read, write, || {
                format!(
                    "{} saw {}, which was sent only afterwards",
                    self.tell_access(place, access.op),
                    self.tell(value)
                )
            });
            return None;
        }
        if initial.is_none() && !ground.values.contains(&value) {
            self.tell_lost(place, access, ground, findings);
        }
        let first = initial.get_or_insert(Cluster {
            value,
            until: start,
            until_op: value,
            since: 0,
            since_op: value,
            required: true,
        });
        if first.value != value {
            let told = first.value;
            findings.add("B5", self.op(access.op).id.0, u64::from(told), || {
                format!(
                    "{} saw {}, but since the power loss at #{start} it had been {}: a sector cannot come back twice",
                    self.tell_access(place, access.op),
                    self.tell(value),
                    self.tell(told)
                )
            });
            return None;
        }
        Some(first)
    }

    fn check_register(
        &self,
        place: Place<'_>,
        scratch: &mut Scratch,
        initial: Option<Cluster>,
        findings: &mut Findings,
    ) {
        scratch.required.clear();
        scratch.required.extend(initial);
        scratch.required.extend(scratch.clusters.iter().filter(|cluster| cluster.required));
        if scratch.required.len() > 1
            && let Some((one, other)) = register::conflict(&mut scratch.required)
        {
            self.tell_conflict(place, one, other, findings);
        }
    }

    /// What the next epoch may begin with (B5): the newest durable write or anything that is not older.
    fn ground_after(
        &self,
        place: Place<'_>,
        ground: &Ground,
        clusters: &[Cluster],
        initial: Option<Cluster>,
    ) -> Ground {
        if self.timeline.epoch_end(place.epoch) == Moment::MAX {
            return Ground { values: vec![], durable: None };
        }
        let mut newest: Option<(Cluster, Reason)> = None;
        let mut second = 0;
        for cluster in clusters {
            let Some(reason) = self.durability.reason(cluster.value, place.sector) else { continue };
            match newest {
                Some((top, _)) if top.since > cluster.since => second = second.max(cluster.since),
                _ => {
                    second = newest.map_or(0, |(top, _)| top.since);
                    newest = Some((*cluster, reason));
                }
            }
        }
        let Some((top, reason)) = newest else {
            let mut values = initial.map_or_else(|| ground.values.clone(), |cluster| vec![cluster.value]);
            values.extend(clusters.iter().map(|cluster| cluster.value));
            return Ground { values, durable: if initial.is_some() { None } else { ground.durable } };
        };
        let newer = |cluster: &&Cluster| cluster.until >= if cluster.value == top.value { second } else { top.since };
        Ground {
            values: clusters.iter().filter(newer).map(|cluster| cluster.value).collect(),
            durable: Some((top.value, reason)),
        }
    }

    /// The read with index `read` may have seen anything: a fault that nothing can see changed the sector.
    pub(super) fn is_tainted(&self, sector: u64, accesses: &[Access], read: u32) -> bool {
        let read = self.op(read);
        self.timeline.taints[self.unit].iter().any(|taint| {
            (taint.first..taint.last).contains(&sector)
                && taint.at < read.end
                && !self.is_rewritten(sector, accesses, taint.at, read)
        })
    }

    /// A write that was sent after `since` made the sector good again before `read` was sent.
    fn is_rewritten(&self, sector: u64, accesses: &[Access], since: Moment, read: &Op) -> bool {
        accesses.iter().any(|access| {
            let write = self.op(access.op);
            write.has_written()
                && write.start > since
                && if write.epoch == read.epoch {
                    write.end < read.start
                } else {
                    write.epoch < read.epoch && self.durability.reason(access.op, sector).is_some()
                }
        })
    }

    /// A failed flush may have dropped what was volatile then: older data may show again.
    fn is_forgotten(&self, sector: u64, accesses: &[Access], access: &Access) -> bool {
        let (read, value) = (self.op(access.op), access.value);
        let failures = &self.timeline.flush_failures[self.unit];
        let start = self.timeline.epoch_start(read.epoch);
        failures.iter().filter(|&&at| start < at && at < read.end).any(|&failed| {
            let before = |access: &&Access| {
                let op = self.op(access.op);
                op.may_have_written() && op.epoch == read.epoch && op.start < failed
            };
            let volatile = |access: &Access| !self.durability.was_durable(access.op, sector, failed);
            let oldest =
                if value < STRANGER && self.op(value).epoch == read.epoch { self.op(value).end } else { start };
            let superseded = |access: &Access| !volatile(access) && oldest < self.op(access.op).start;
            accesses.iter().filter(before).any(volatile)
                && !accesses.iter().filter(before).any(superseded)
                && !self.is_rewritten(sector, accesses, failed, read)
        })
    }

    /// The rule that `access` breaks when it saw what was never written here.
    fn is_leak(&self, place: Place<'_>, access: &Access) -> Option<&'static str> {
        match access.value {
            ZERO => None,
            FOREIGN | STRANGER => Some("B4"),
            GARBAGE => {
                let read = self.op(access.op);
                let torn = place.accesses.iter().any(|access| {
                    let op = self.op(access.op);
                    op.may_have_written()
                        && op.ending == Ending::Torn
                        && op.start < read.end
                        && !self.is_rewritten(place.sector, place.accesses, op.end, read)
                });
                (!torn).then_some("B4")
            }
            writer => {
                let op = self.op(writer);
                let here =
                    op.unit == Some(self.unit) && matches!(op.kind, Kind::Write { .. }) && op.covers(place.sector);
                if !here {
                    Some("B4")
                } else if op.ending == Ending::Refused {
                    Some("B3")
                } else {
                    None
                }
            }
        }
    }
}

/// Reads of a logical unit that stores nothing are zeros (B11).
pub(super) fn check_nullio(timeline: &Timeline, accesses: &Accesses, findings: &mut Findings) {
    for (sector, accesses) in accesses.distinct() {
        for access in accesses.iter().filter(|access| !matches!(access.value, WRITE | ZERO)) {
            let op = &timeline.ops[access.op as usize];
            findings.add("B11", op.id.0, 0, || {
                format!("op {} read sector {sector} of nullio LUN {} and did not get zeros", op.id.0, op.lun)
            });
        }
    }
}

/// The stories.
impl Judge<'_> {
    /// A command in words.
    pub(super) fn tell(&self, index: u32) -> String {
        if index == ZERO {
            return "the zeros of a sector never written".to_owned();
        }
        let op = self.op(index);
        let what = match op.kind {
            Kind::Read => "READ or VERIFY",
            Kind::Write { fua: true } => "WRITE with FUA",
            Kind::Write { fua: false } => "WRITE",
            Kind::Synchronize => "SYNCHRONIZE CACHE",
            Kind::Other => "command",
        };
        let ending = match op.ending {
            Ending::Unknown => "no status by",
            Ending::Fenced => "fenced at",
            Ending::Good => "GOOD at",
            Ending::Torn => "failed at",
            Ending::Refused => "refused at",
        };
        let end = if op.end == Moment::MAX { "the end".to_owned() } else { format!("#{}", op.end) };
        let Op { id, nexus, start, .. } = op;
        format!("op {} ({what} by initiator {}.{}, sent #{start}, {ending} {end})", id.0, nexus.initiator, nexus.login)
    }

    /// A read of the sector in words.
    fn tell_access(&self, place: Place<'_>, index: u32) -> String {
        let lun = self.op(index).lun;
        format!("LUN {lun} sector {}: {}", place.sector, self.tell(index))
    }

    fn tell_leak(&self, oracle: &'static str, place: Place<'_>, access: &Access, findings: &mut Findings) {
        let other = if access.value < STRANGER { self.op(access.value).id.0 } else { u64::from(access.value) };
        findings.add(oracle, self.op(access.op).id.0, other, || {
            let what = match access.value {
                FOREIGN => "the stamp of another place or run".to_owned(),
                STRANGER => "the stamp of a command that was never sent".to_owned(),
                GARBAGE => "bytes that no command wrote, and nothing that failed explains them".to_owned(),
                value if oracle == "B3" => format!("{}, which must have had no effect", self.tell(value)),
                value => format!("{}, which did not write here", self.tell(value)),
            };
            format!("{} saw {what}", self.tell_access(place, access.op))
        });
    }

    fn tell_lost(&self, place: Place<'_>, access: &Access, ground: &Ground, findings: &mut Findings) {
        let oracle = match ground.durable {
            Some((_, Reason::CleanStop(_))) => "B7",
            _ => "B5",
        };
        let durable = ground.durable.map_or(0, |(write, _)| self.op(write).id.0);
        findings.add(oracle, self.op(access.op).id.0, durable, || {
            let because = match ground.durable {
                None => "an earlier read had already shown what the power loss left".to_owned(),
                Some((write, reason)) => {
                    let why = match reason {
                        Reason::WriteThrough => "the logical unit has no write cache".to_owned(),
                        Reason::ForceUnitAccess => "of FUA".to_owned(),
                        Reason::Synchronized(by) => format!("of {}", self.tell(by)),
                        Reason::CleanStop(at) => format!("of the clean stop at #{at}"),
                    };
                    format!("{} is newer, and durable because {why}", self.tell(write))
                }
            };
            let start = self.timeline.epoch_start(place.epoch);
            let saw = self.tell(access.value);
            format!("{} saw {saw} after the power loss at #{start}, but {because}", self.tell_access(place, access.op))
        });
    }

    fn tell_conflict(&self, place: Place<'_>, stale: Cluster, between: Cluster, findings: &mut Findings) {
        let fenced = |cluster: Cluster| {
            cluster.value != ZERO
                && self.op(cluster.value).ending == Ending::Fenced
                && cluster.until_op == cluster.value
        };
        let during = |moments: &[Moment]| Timeline::any_between(moments, between.until, stale.since);
        let oracle = if fenced(stale) || fenced(between) {
            "B2"
        } else if during(&self.timeline.clean_stops) {
            "B7"
        } else if during(&self.timeline.crashes) {
            "B6"
        } else {
            "B1"
        };
        let reader = self.op(stale.since_op);
        let other = if between.value == ZERO { 0 } else { self.op(between.value).id.0 };
        findings.add(oracle, reader.id.0, other, || {
            let proof = |cluster: Cluster| {
                let by = |op: u32, verb: &str| {
                    if op == cluster.value { String::new() } else { format!(", {verb} {}", self.tell(op)) }
                };
                format!(
                    "{}{}{}",
                    self.tell(cluster.value),
                    by(cluster.until_op, "seen by"),
                    by(cluster.since_op, "last seen by")
                )
            };
            let lun = self.op(stale.since_op).lun;
            format!(
                "LUN {lun} sector {}: held from #{} to #{}: {}; but in between it must have held: {}",
                place.sector,
                stale.until,
                stale.since,
                proof(stale),
                proof(between)
            )
        });
    }
}
