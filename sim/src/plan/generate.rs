//! From a seed to a plan.

use super::{
    Broken, Ending, Fault, FaultKind, Occasion, Panicker, Plan, Profile, Protection, Schedule, TARGET_NAME, TargetPlan,
    Trigger, UnitKind, UnitPlan,
};
use crate::buggify::{CATALOGUE, Entry, Site};
use crate::cluster::mistakes;
use crate::disk::{DiskFault, DiskSpeed, Part};
use crate::history::Unit;
use crate::initiator::InitiatorPlan;
use crate::network::{ConnectFault, Cut, Direction, Link, Place};
use crate::random::{Draws, key_of};

const MIB: u64 = 1 << 20;
/// Events of core that a command makes, roughly: to spread faults over a run.
const EVENTS_PER_COMMAND: u64 = 5;

/// Where a clock wraps that is kept in milliseconds, microseconds or nanoseconds of 31, 32, 63 or 64 bits.
const CLOCK_WRAPS_US: [u64; 6] =
    [1 << 31, 1 << 32, (1 << 31) * 1_000, (1 << 32) * 1_000, (1 << 63) / 1_000, u64::MAX / 1_000];

/// How much of everything.
struct Scale {
    initiators: u32,
    units: u16,
    unit_bytes: u64,
    commands: u64,
    faults: u64,
}

/// A group of faults that swarm testing switches on or off as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    Cut,
    Window,
    Stall,
    Swizzle,
    Reset,
    Silence,
    Connect,
    DiskSlow,
    DiskHang,
    DiskError,
    FlushError,
    FlushLie,
    DiskFull,
    Crash,
    PowerLoss,
    CleanStop,
    Pause,
    Freeze,
    DiskPart,
    Panic,
    Flip,
    DiskStray,
    DiskRot,
    DiskGone,
    Timers,
    Buffers,
    Restart,
    LateBytes,
    Rebind,
    Drift,
    Jump,
    Preempt,
}

/// A new one goes to the end, where it moves no draw of the others.
const FAMILIES: [Family; 32] = [
    Family::Cut,
    Family::Window,
    Family::Stall,
    Family::Swizzle,
    Family::Reset,
    Family::Silence,
    Family::Connect,
    Family::DiskSlow,
    Family::DiskHang,
    Family::DiskError,
    Family::FlushError,
    Family::FlushLie,
    Family::DiskFull,
    Family::Crash,
    Family::PowerLoss,
    Family::CleanStop,
    Family::Pause,
    Family::Freeze,
    Family::DiskPart,
    Family::Panic,
    Family::Flip,
    Family::DiskStray,
    Family::DiskRot,
    Family::DiskGone,
    Family::Timers,
    Family::Buffers,
    Family::Restart,
    Family::LateBytes,
    Family::Rebind,
    Family::Drift,
    Family::Jump,
    Family::Preempt,
];

impl Plan {
    /// The plan of `seed`.
    #[must_use]
    pub fn generate(seed: u64, profile: Profile) -> Self {
        let scale = scale(profile, &mut Draws::new(seed, "plan-scale", 0));
        let mut target = target(&mut Draws::new(seed, "plan-target", 0));
        let mut units: Vec<UnitPlan> = (0..scale.units)
            .map(|lun| unit(lun, scale.unit_bytes, &mut Draws::new(seed, "plan-unit", lun.into())))
            .collect();
        protect(&mut Draws::new(seed, "plan-protect", 0), &mut units);
        let shapes: Vec<Unit> = units.iter().map(UnitPlan::unit).collect();
        let entity = |stream, index: u32| Draws::new(seed, stream, index.into());
        let links = (0..scale.initiators).map(|index| link(&mut entity("plan-link", index))).collect();
        let initiators = (0..scale.initiators)
            .map(|index| initiator(&mut entity("plan-initiator", index), &shapes, &scale, index))
            .collect();
        let ending = *Draws::new(seed, "plan-ending", 0).pick(&[
            Ending::AuditThenPowerLoss,
            Ending::PowerLoss,
            Ending::Crash,
            Ending::CleanStop,
        ]);
        let mut draws = Draws::new(seed, "plan-warm-up", 0);
        let warm_up_us = if draws.chance(1, 4) { 0 } else { draws.log_between(2_000, 50_000) };
        let families = families(&mut Draws::new(seed, "plan-swarm", 0));
        let faults = if families.is_empty() { 0 } else { scale.faults as u32 };
        let mut faults: Vec<Fault> =
            (0..faults).map(|id| fault(id, &mut entity("plan-fault", id), &families, &scale)).collect();
        let core = core(&mut Draws::new(seed, "plan-core", 0), &units);
        if let Some(Broken::HungDisk { .. }) = core {
            // With fewer workers than logical units one of these can occupy them all.
            target.workers = target.workers.max(scale.units.into());
            target.work_queue_tasks = target.work_queue_tasks.max(scale.units.into());
            for fault in &mut faults {
                if let FaultKind::Reconfigure { workers, .. } = &mut fault.kind {
                    *workers = (*workers).max(scale.units.into());
                }
            }
        }
        let schedule = Draws::new(seed, "plan-order", 0).chance(1, 4).then(|| Schedule::generate(seed));
        let (planted, story, finds) = (None, None, None);
        Self {
            seed,
            profile,
            planted,
            story,
            finds,
            warm_up_us,
            ending,
            schedule,
            buggify: sites(seed),
            core,
            target,
            units,
            links,
            initiators,
            faults,
        }
    }
}

/// In three seeds of four each with a probability of one fourth: a run in which all is unlikely goes nowhere.
fn sites(seed: u64) -> Vec<Site> {
    if Draws::new(seed, "plan-buggify", 0).chance(1, 4) {
        return Vec::new();
    }
    let drawn = |entry: &&Entry| Draws::new(seed, "plan-buggify", key_of(entry.name)).chance(1, 4);
    CATALOGUE.iter().filter(drawn).map(|entry| entry.site).collect()
}

impl Schedule {
    /// The one of `seed`, should it have one.
    #[must_use]
    pub fn generate(seed: u64) -> Self {
        let mut draws = Draws::new(seed, "plan-schedule", 0);
        Self { changes: draws.between(1, 5) as u32, span_steps: draws.log_between(100, 100_000) }
    }
}

fn scale(profile: Profile, draws: &mut Draws) -> Scale {
    match profile {
        Profile::Full => {
            let faults = match draws.below(40) {
                0 | 1 => 0,
                2 | 3 => 1,
                4 | 5 => 2,
                6..10 => 5,
                10 => 200,
                _ => draws.between(15, 25),
            };
            Scale { initiators: 3, units: 4, unit_bytes: 4 * MIB, commands: 1_000, faults }
        }
        // So few commands leave most of a larger unit as it was.
        Profile::Lite => {
            Scale { initiators: 2, units: 4, unit_bytes: MIB, commands: 60, faults: *draws.pick(&[0, 1, 2, 5]) }
        }
        Profile::Swarm => Scale {
            initiators: draws.between(1, 5) as u32,
            units: draws.between(1, 6) as u16,
            unit_bytes: 4 * MIB,
            commands: draws.log_between(20, 1_000),
            faults: *draws.pick(&[0, 1, 2, 5, 20, 50, 200]),
        },
    }
}

/// Each family with probability one half: leaving some out lets the others go deeper.
fn families(draws: &mut Draws) -> Vec<Family> {
    FAMILIES.into_iter().filter(|_| draws.chance(1, 2)).collect()
}

fn target(draws: &mut Draws) -> TargetPlan {
    let default = TargetPlan::default();
    // Every knob draws the same number of times, so that adding one at the end moves none.
    let mut knob = |choices: &[u64]| {
        let (keep, choice) = (draws.chance(1, 2), *draws.pick(choices));
        (!keep).then_some(choice)
    };
    let as_u32 = |value: Option<u64>, default: u32| value.map_or(default, |value| value as u32);
    let as_usize = |value: Option<u64>, default: usize| value.map_or(default, |value| value as usize);
    TargetPlan {
        shards: knob(&[1, 2, 2, 3, 4]).unwrap_or(1) as u16,
        post_us: knob(&[0, 10, 1_000, 20_000]).unwrap_or(default.post_us),
        initial_stat_sn: knob(&[0, 0x7fff_fff0, 0xffff_fff0, 0xffff_ffff]).map(|value| value as u32),
        workers: as_u32(knob(&[1, 1, 2, 4, 16]), default.workers),
        command_window: as_u32(knob(&[1, 2, 4, 16, 64]), default.command_window),
        immediate_commands: as_u32(knob(&[1, 2, 8]), default.immediate_commands),
        task_set_tasks: as_u32(knob(&[1, 2, 8, 32]), default.task_set_tasks),
        work_queue_tasks: as_u32(knob(&[2, 8, 64]), default.work_queue_tasks),
        write_list_pdus: as_usize(knob(&[8, 32, 256]), default.write_list_pdus),
        write_list_bytes: as_usize(knob(&[64 << 10, 1 << 20]), default.write_list_bytes),
        max_recv_data_segment_bytes: as_u32(
            knob(&[512, 8 << 10, 8 << 10, 64 << 10, 64 << 10, 512 << 10]),
            default.max_recv_data_segment_bytes,
        ),
        max_burst_bytes: as_u32(
            knob(&[512, 16 << 10, 16 << 10, 64 << 10, 64 << 10, 256 << 10]),
            default.max_burst_bytes,
        ),
        max_outstanding_r2t: knob(&[1, 2, 4]).map_or(default.max_outstanding_r2t, |value| value as u16),
        pool_bytes: as_usize(knob(&[8 << 20, 16 << 20]), default.pool_bytes),
        login_ms: knob(&[3_000, 8_000]).unwrap_or(default.login_ms),
        abort_ms: knob(&[50, 500, 2_000]).unwrap_or(default.abort_ms),
        data_out_ms: knob(&[50, 500, 2_000]).unwrap_or(default.data_out_ms),
        nop_interval_ms: knob(&[0, 500, 2_000]).unwrap_or(default.nop_interval_ms),
        nop_timeout_ms: knob(&[500, 5_000]).unwrap_or(default.nop_timeout_ms),
        send_stall_ms: knob(&[2_000, 10_000]).unwrap_or(default.send_stall_ms),
        linger_ms: knob(&[10, 500]).unwrap_or(default.linger_ms),
        initiator_stall_ms: knob(&[300, 2_000, 10_000]).unwrap_or(default.initiator_stall_ms),
        pool_shares: as_u32(knob(&[1, 2, 8]), default.pool_shares),
        initial_ttt: as_u32(knob(&[0x7fff_fff0, 0xffff_fff0, 0xffff_fffe]), default.initial_ttt),
        clock_origin_us: {
            let (wrap, before) = (knob(&CLOCK_WRAPS_US), knob(&[1, 1_000, 50_000, 10_000_000]));
            wrap.map_or(default.clock_origin_us, |wrap| wrap - before.unwrap_or(500_000))
        },
        disowned_tasks: as_u32(knob(&[1, 2, 4]), default.disowned_tasks),
        stall_bytes: as_usize(knob(&[512, 16 << 10, 256 << 10]), default.stall_bytes),
        durable_writes: as_u32(knob(&[1, 2, 8]), default.durable_writes),
        connections: as_u32(knob(&[16, 32]), default.connections),
        logins_per_peer: as_u32(knob(&[4, 16]), default.logins_per_peer),
        sessions_per_target: as_u32(knob(&[8, 24]), default.sessions_per_target),
        text_bytes: as_usize(knob(&[16 << 10, 32 << 10]), default.text_bytes),
        text_keys: as_usize(knob(&[48, 128]), default.text_keys),
        text_exchanges: as_u32(knob(&[16, 32]), default.text_exchanges),
        ahs_bytes: as_usize(knob(&[0, 16, 1_020]), default.ahs_bytes),
        task_management_functions: as_u32(knob(&[1, 2, 4, 64]), default.task_management_functions),
        transfer_bytes: as_u32(knob(&[1 << 20, 16 << 20]), default.transfer_bytes),
        transfer_interruptions: as_u32(knob(&[2, 16]), default.transfer_interruptions),
        stop_sessions_ms: knob(&[1_000, 10_000]).unwrap_or(default.stop_sessions_ms),
        final_flush_ms: knob(&[1_000, 10_000]).unwrap_or(default.final_flush_ms),
        alias: knob(&[1]).is_some(),
        mistake: {
            let among: Vec<u64> = (0..mistakes::COUNT.into()).collect();
            knob(&among).map(|which| which as u32)
        },
    }
}

fn unit(lun: u16, unit_bytes: u64, draws: &mut Draws) -> UnitPlan {
    let kind = match (lun, draws.below(4)) {
        (0, _) => UnitKind::Fileio,
        (_, 0) if lun >= 2 => UnitKind::Nullio,
        (_, 0 | 1) => UnitKind::Blockio,
        _ => UnitKind::Fileio,
    };
    let block_bytes = *draws.pick(&[512, 512, 4096]);
    UnitPlan {
        lun,
        kind,
        write_back: draws.chance(1, 2) && kind != UnitKind::Nullio,
        block_bytes,
        physical_block_bytes: *draws.pick(&[block_bytes, 4096]),
        size_bytes: unit_bytes,
        protected: None,
        speed: DiskSpeed { latency_min_us: draws.log_between(5, 500), latency_tail_us: draws.log_between(5, 1_000) },
    }
}

/// In one seed of sixteen, one logical unit is read-only; never the first, so that no run is without writes.
fn protect(draws: &mut Draws, units: &mut [UnitPlan]) {
    let (chosen, by_device) = (draws.chance(1, 16), draws.chance(1, 2));
    let Some(last) = units.len().checked_sub(1).filter(|&last| chosen && last > 0) else { return };
    let unit = &mut units[draws.between(1, last as u64) as usize];
    let by_device = by_device && unit.kind != UnitKind::Nullio;
    unit.protected = Some(if by_device { Protection::Device } else { Protection::Operator });
}

/// In one seed of six, something that stays broken.
fn core(draws: &mut Draws, units: &[UnitPlan]) -> Option<Broken> {
    if !draws.chance(1, 6) {
        return None;
    }
    let (any, kind) = (draws.pick(units).lun, draws.below(3));
    let disks: Vec<u16> = units
        .iter()
        .filter(|unit| unit.kind != UnitKind::Nullio && unit.protected.is_none())
        .map(|unit| unit.lun)
        .collect();
    Some(match kind {
        0 => Broken::HungDisk { lun: *draws.pick(&disks) },
        1 => Broken::SlowReader { lun: any },
        _ => Broken::Hostile { lun: any },
    })
}

fn link(draws: &mut Draws) -> Link {
    let cut = match draws.below(8) {
        0 => Cut::Fields,
        1 => Cut::Random(draws.log_between(64, 8_192) as usize),
        2 | 3 => Cut::Every(1_460),
        _ => Cut::Nowhere,
    };
    Link {
        // Most peers are near; one is at another site now and then, a hundred times as far.
        latency_min_us: if draws.chance(1, 16) { draws.log_between(1_000, 10_000) } else { draws.log_between(10, 500) },
        latency_tail_us: draws.log_between(1, 200),
        slow_one_in: *draws.pick(&[0, 0, 50, 500]),
        ns_per_kib: *draws.pick(&[0, 800, 8_000]),
        window_bytes: *draws.pick(&[4 << 10, 64 << 10, 256 << 10, 1 << 20]),
        cut,
        coalesce: draws.chance(1, 2),
    }
}

fn initiator(draws: &mut Draws, units: &[Unit], scale: &Scale, index: u32) -> InitiatorPlan {
    // The first one is always well-behaved, so that no run is without a witness.
    let hostile = draws.chance(1, 4) && index > 0;
    let commands = (scale.commands / u64::from(scale.initiators)).max(1) as usize;
    debug_assert!(TARGET_NAME.len() <= 223, "iSCSI names are bounded");
    InitiatorPlan::generate(draws, units, commands, index, hostile)
}

fn fault(id: u32, draws: &mut Draws, families: &[Family], scale: &Scale) -> Fault {
    let family = *draws.pick(families);
    let when = match draws.below(3) {
        0 => Trigger::AtUs(draws.log_between(1_000, 2_000_000)),
        1 => Trigger::AfterEvents(draws.between(20, scale.commands * EVENTS_PER_COMMAND)),
        _ => occasion(draws, scale),
    };
    Fault { id, when, since: None, kind: kind(family, draws, scale) }
}

/// Where things begin and end, and how many of them a run has, roughly.
fn occasion(draws: &mut Draws, scale: &Scale) -> Trigger {
    use Occasion::*;
    let commands = scale.commands;
    let &(kind, most) = draws.pick(&[
        (Login, 20),
        (TaskCreated, commands),
        (TaskStarted, commands),
        (TaskCompleted, commands),
        (TaskAborted, commands / 8),
        (FunctionAnswered, commands / 16),
        (R2tSent, commands / 2),
        (ReadIssued, commands / 3),
        (WriteIssued, commands / 3),
        (FlushIssued, commands / 8),
    ]);
    Trigger::OnNth { kind, count: draws.log_between(1, most.max(2)) }
}

fn kind(family: Family, draws: &mut Draws, scale: &Scale) -> FaultKind {
    let initiator = draws.below(scale.initiators.into()) as u32;
    let lun = draws.below(scale.units.into()) as u16;
    let direction = *draws.pick(&[Direction::ToTarget, Direction::ToInitiator]);
    let for_us = draws.log_between(100, 4_000_000);
    let down_us = draws.log_between(1_000, 2_000_000);
    let count = draws.log_between(1, 8);
    let disk = |how| FaultKind::Disk { lun, how };
    match family {
        Family::Cut => FaultKind::Cut { initiator, cut: fine_cut(draws), for_us: for_us.min(20_000) },
        Family::Window => FaultKind::Window {
            initiator,
            window_bytes: *draws.pick(&[0, 1, 48, 600, 4_096]),
            for_us: for_us.min(500_000),
        },
        Family::Stall => FaultKind::StallLink { initiator, direction, for_us: for_us * draws.log_between(1, 16) },
        Family::Swizzle => FaultKind::Swizzle { for_us },
        Family::Reset if draws.chance(1, 3) => {
            FaultKind::ResetLogin { initiator, direction, bytes: draws.between(1, 600) }
        }
        Family::Reset => FaultKind::Reset { initiator, direction, bytes: draws.log_between(1, 60_000) },
        Family::Silence => FaultKind::Silence { initiator },
        Family::Connect if draws.chance(1, 4) => FaultKind::Accepts { for_us },
        Family::Connect => {
            let how = *draws.pick(&[ConnectFault::Refused, ConnectFault::Hangs, ConnectFault::AcceptFails]);
            FaultKind::Connects { initiator, how, for_us }
        }
        Family::DiskSlow if draws.chance(1, 2) => disk(DiskFault::Stall { for_us }),
        Family::DiskSlow => disk(DiskFault::Slow { for_us, times: draws.log_between(2, 200) }),
        Family::DiskHang => {
            disk(DiskFault::Hang { part: *draws.pick(&[Part::Read, Part::Write, Part::Flush, Part::Flush]), count })
        }
        Family::DiskError if draws.chance(1, 2) => {
            let length_bytes = draws.log_between(512, scale.unit_bytes);
            let offset_bytes = draws.below(scale.unit_bytes - length_bytes + 1);
            disk(DiskFault::ReadError { offset_bytes, length_bytes, count: *draws.pick(&[1, count, 1_000]) })
        }
        Family::DiskError => disk(DiskFault::WriteError { count, partial: draws.chance(1, 2) }),
        Family::FlushError => disk(DiskFault::FlushError { count: count.min(2) }),
        Family::FlushLie => disk(DiskFault::FlushLie { count }),
        Family::DiskFull => disk(DiskFault::Full { for_us }),
        Family::Crash => FaultKind::Crash { down_us },
        Family::PowerLoss => FaultKind::PowerLoss { down_us },
        Family::CleanStop => FaultKind::CleanStop { deadline_us: draws.log_between(1_000, 5_000_000), down_us },
        Family::Pause => FaultKind::Pause { for_us },
        Family::Freeze => FaultKind::Freeze { for_us: for_us * draws.log_between(1, 32) },
        Family::Panic => FaultKind::Panic { who: *draws.pick(&[Panicker::Driver, Panicker::Worker]) },
        Family::Flip => {
            let places = [Place::Header, Place::HeaderDigest, Place::Data, Place::Data, Place::Pad, Place::DataDigest];
            FaultKind::Flip { initiator, direction, place: *draws.pick(&places), bits: draws.log_between(1, 32) as u32 }
        }
        Family::DiskStray if draws.chance(1, 3) => disk(DiskFault::LostWrite { count }),
        Family::DiskStray => disk(DiskFault::Misdirected {
            part: *draws.pick(&[Part::Read, Part::Write]),
            count,
            distance_bytes: draws.log_between(4_096, scale.unit_bytes),
        }),
        Family::DiskRot => {
            let length_bytes = draws.log_between(1, 64 << 10);
            let offset_bytes = draws.below(scale.unit_bytes - length_bytes + 1);
            disk(DiskFault::Rot { offset_bytes, length_bytes, bits: draws.log_between(1, 64) })
        }
        Family::DiskGone => match draws.below(4) {
            3 => disk(DiskFault::Breaks { for_us, gone: draws.chance(1, 2) }),
            0 => disk(DiskFault::Gone { for_us }),
            1 => disk(DiskFault::ReadOnly { for_us }),
            _ => disk(DiskFault::Truncated { size_bytes: draws.below(scale.unit_bytes / 4_096) * 4_096, for_us }),
        },
        Family::Timers => FaultKind::LateTimers { by_us: draws.log_between(100, 200_000), for_us },
        Family::Buffers => FaultKind::NoBuffer { count: draws.log_between(1, 64) },
        Family::Restart if draws.chance(1, 2) => FaultKind::CrashTwice { down_us, up_us: draws.log_between(1, 20_000) },
        Family::Restart => FaultKind::Reconfigure {
            down_us,
            workers: *draws.pick(&[1, 2, 4, 16]),
            command_window: *draws.pick(&[1, 2, 16, 128]),
            write_through: draws.chance(1, 2),
        },
        Family::LateBytes => FaultKind::LateBytes { initiator, after_us: draws.log_between(1, 100_000) },
        Family::Rebind => FaultKind::Rebind { for_us, moves: draws.chance(1, 2) },
        Family::Drift => FaultKind::Drift { per_mille: *draws.pick(&[950, 990, 1_010, 1_050]), for_us: for_us * 8 },
        Family::Jump => FaultKind::Jump { by_us: draws.log_between(1_000, 100_000_000) },
        Family::Preempt => FaultKind::Preempt {
            who: *draws.pick(&[Panicker::Driver, Panicker::Worker]),
            count,
            for_us: draws.log_between(1, 200_000),
        },
        Family::DiskPart => {
            let part = *draws.pick(&[Part::Read, Part::Write]);
            disk(match draws.below(8) {
                0..4 => DiskFault::Short { part, count: draws.log_between(1, 100) },
                // So many that a transfer runs out of patience now and then.
                4..7 => DiskFault::Interrupted { part, count: draws.log_between(1, 200), again: draws.chance(1, 2) },
                _ => DiskFault::Ends { count },
            })
        }
    }
}

fn fine_cut(draws: &mut Draws) -> Cut {
    match draws.below(3) {
        0 => Cut::Every(1),
        1 => Cut::Random(draws.log_between(2, 100) as usize),
        _ => Cut::Fields,
    }
}
