//! Draws a plan from the seed.

use super::{
    Attack, AttackGroup, AttackStep, Attribute, CdbSize, Direction, Hangup, HostilePlan, InitiatorPlan, Keys,
    LoginStyle, Step, Timeouts, Verb,
};
use crate::history::Unit;
use crate::random::Draws;

impl InitiatorPlan {
    /// Draws the plan of initiator `index` with about `commands` commands to `luns`. A hostile one gets attacks
    /// instead, one for ten commands.
    ///
    /// # Panics
    /// When `luns` is empty.
    #[must_use]
    pub fn generate(draws: &mut Draws, luns: &[Unit], commands: usize, index: u32, hostile: bool) -> Self {
        assert!(!luns.is_empty(), "an initiator needs a logical unit");
        let isid = [0x80, 0, 0, (index >> 8) as u8, index as u8, 0];
        let initial_cmd_sn = near_a_wrap(draws);
        let initial_tag = near_a_wrap(draws).min(0xffff_fff0);
        let queue_depth = *draws.pick(&[1, 2, 4, 8, 16, 32, 64, 200]);
        let plan = Self {
            index,
            name: format!("iqn.2026-11.invalid.quintain:initiator-{index}"),
            isid,
            initial_cmd_sn,
            initial_tag,
            queue_depth,
            discovery: draws.chance(1, 8),
            login_style: *draws.pick(&[
                LoginStyle::OneShot,
                LoginStyle::OneShot,
                LoginStyle::Staged,
                LoginStyle::Cautious,
                LoginStyle::Split,
                LoginStyle::Patient,
                LoginStyle::Straight,
                LoginStyle::Thorough,
            ]),
            immediate_bytes: *draws.pick(&[512, 4_096, 65_536, 1 << 24]),
            unsolicited: draws.chance(3, 4),
            batch_bytes: *draws.pick(&[1, 4_096, 65_536, 1 << 20]),
            keys: keys(draws),
            timeouts: timeouts(draws),
            keeps_session: false,
            goes_on: false,
            hostile: None,
            steps: Vec::new(),
        };
        if hostile {
            let mut attacks = attacks(draws, commands.div_ceil(10));
            let lun = draws.pick(luns).lun;
            // Most stops come early, when the others are at work.
            let early = draws.chance(1, 8);
            if let Some(first) = attacks.first_mut().filter(|_| early) {
                first.attack = Attack::AbortFlood;
            }
            return Self { hostile: Some(HostilePlan { lun, attacks }), discovery: false, ..plan };
        }
        let workload = Workload::new(draws, luns, index);
        let mut steps = workload.steps(draws, commands);
        let keeps_session = draws.chance(1, 2);
        workload.compare(draws, &mut steps, commands);
        workload.stop(draws, &mut steps, commands);
        workload.abort(draws, &mut steps, commands);
        workload.reinstate(draws, &mut steps, commands);
        if draws.chance(1, 3) {
            steps.iter_mut().for_each(|step| step.flat = draws.chance(1, 3));
        }
        let goes_on = draws.chance(1, 2);
        workload.inventory(draws, &mut steps);
        // Shorter than an abort may take: who gives a login up comes again while the target is still at it.
        let login_ms = *draws.pick(&[500, 3_000, plan.timeouts.login_ms, plan.timeouts.login_ms]);
        let timeouts = Timeouts { login_ms, ..plan.timeouts };
        workload.crowd(draws, &mut steps);
        let by_connection = draws.chance(1, 8);
        workload.nothing(draws, &mut steps);
        for step in &mut steps {
            if let Verb::Logout { connection, .. } = &mut step.verb {
                *connection = by_connection;
            }
        }
        Self { steps, keeps_session, goes_on, timeouts, ..plan }
    }
}

/// A start value, often one whose run crosses a border of signed or unsigned numbers.
fn near_a_wrap(draws: &mut Draws) -> u32 {
    let border = *draws.pick(&[1_u32, 1 << 31, 0, 0x7000]);
    border.wrapping_sub(draws.below(64) as u32)
}

fn keys(draws: &mut Draws) -> Keys {
    // In part of the seeds what is legal at its ends (L9).
    let pinned = |drawn: u64| match drawn % 8 {
        0 => 512,
        1 => (1 << 24) - 1,
        _ => drawn as u32,
    };
    // A first burst longer than a burst is not allowed, and a default counts as offered.
    let max_burst = pinned(draws.log_between(512, (1 << 24) - 1));
    let first_burst = pinned(draws.log_between(512, u64::from(max_burst))).min(max_burst);
    let max_recv = pinned(draws.log_between(512, (1 << 24) - 1));
    let digest = |draws: &mut Draws| {
        let choice = *draws.pick(&["None", "CRC32C", "CRC32C,None", "None,CRC32C"]);
        draws.chance(2, 3).then(|| choice.to_owned())
    };
    let flag = |draws: &mut Draws| draws.chance(3, 4).then(|| draws.chance(1, 2));
    let with_bursts = draws.chance(5, 6);
    Keys {
        header_digest: digest(draws),
        data_digest: digest(draws),
        initial_r2t: flag(draws),
        immediate_data: flag(draws),
        max_recv_data_segment_length: draws.chance(5, 6).then_some(max_recv),
        max_burst_length: with_bursts.then_some(max_burst),
        first_burst_length: with_bursts.then_some(first_burst),
        max_outstanding_r2t: draws.chance(1, 2).then(|| *draws.pick(&[1, 2, 4, 8, 65_535])),
        data_pdu_in_order: draws.chance(1, 3).then(|| draws.chance(1, 2)),
        data_sequence_in_order: draws.chance(1, 3).then(|| draws.chance(1, 2)),
        error_recovery_level: draws.chance(1, 3).then(|| draws.below(3) as u32),
        max_connections: draws.chance(1, 4).then(|| *draws.pick(&[1, 2, 8])),
        default_time2wait: draws.chance(1, 3).then(|| within_an_hour(draws)),
        default_time2retain: draws.chance(1, 3).then(|| within_an_hour(draws)),
        unknown: draws.chance(1, 6).then(|| "1".to_owned()),
    }
}

/// Seconds, in half of the seeds at an end of what is legal.
fn within_an_hour(draws: &mut Draws) -> u32 {
    let drawn = draws.below(3_601) as u32;
    *draws.pick(&[0, 3_600, drawn, drawn])
}

fn timeouts(draws: &mut Draws) -> Timeouts {
    Timeouts {
        command_ms: *draws.pick(&[2_000, 10_000, 30_000]),
        // Longer than the target's own limits for an abort.
        abort_ms: draws.between(12_000, 20_000),
        reset_ms: draws.between(15_000, 30_000),
        ping_interval_ms: *draws.pick(&[0, 5_000, 5_000]),
        ping_ms: *draws.pick(&[5_000, 15_000]),
        retry_ms: *draws.pick(&[100, 1_000, 3_000]),
        ..Timeouts::default()
    }
}

/// What this initiator tends to do.
struct Workload<'a> {
    luns: &'a [Unit],
    index: u32,
    /// Weights of the groups of verbs; some are zero.
    weights: [u64; GROUPS],
    /// Nine of ten addresses are within these many blocks.
    hot_blocks: u64,
    disjoint: bool,
    max_sectors: u64,
    fua: u64,
    ordered: u64,
    immediate: u64,
    trouble: u64,
}

const GROUPS: usize = 9;

impl<'a> Workload<'a> {
    fn new(draws: &mut Draws, luns: &'a [Unit], index: u32) -> Self {
        // Reads, writes, synchronize, verify, beyond the end, queries, pings and text, unknown, long reads and writes.
        let mut weights = [8, 8, 2, 1, 1, 3, 1, 1, 1];
        for weight in &mut weights[2..] {
            *weight *= *draws.pick(&[0, 1, 1, 3]);
        }
        Self {
            luns,
            index,
            weights,
            hot_blocks: *draws.pick(&[8, 64, 256, 1_024]),
            disjoint: draws.chance(1, 4),
            max_sectors: *draws.pick(&[8, 64, 128]),
            fua: *draws.pick(&[0, 1, 4]),
            ordered: *draws.pick(&[0, 0, 1, 4]),
            immediate: *draws.pick(&[0, 0, 1, 3]),
            trouble: *draws.pick(&[0, 2, 4, 10]),
        }
    }

    fn steps(&self, draws: &mut Draws, commands: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..commands {
            if draws.chance(self.trouble, 200) {
                push(&mut steps, Attribute::Simple, draws.chance(1, 2), self.trouble_verb(draws));
            }
            let attribute = match draws.below(16) {
                draw if draw < self.ordered => Attribute::Ordered,
                draw if draw < 2 * self.ordered => Attribute::HeadOfQueue,
                15 => Attribute::Untagged,
                _ => Attribute::Simple,
            };
            let immediate = draws.chance(self.immediate, 16);
            push(&mut steps, attribute, immediate, self.command(draws));
        }
        steps
    }

    /// Puts VERIFYs with data among the steps.
    fn compare(&self, draws: &mut Draws, steps: &mut Vec<Step>, commands: usize) {
        let count = commands * *draws.pick(&[0, 1, 2, 4]) / 32;
        for _ in 0..count {
            let (lun, blocks) = (draws.pick(self.luns).lun, draws.log_between(1, 64) as u32);
            let cdb = *draws.pick(&[CdbSize::Ten, CdbSize::Twelve, CdbSize::Sixteen]);
            let one_block = draws.chance(1, 4);
            let differs = draws.chance(1, 3).then(|| draws.below(1 << 16) as u32);
            let at = draws.below(steps.len() as u64 + 1) as usize;
            let immediate = draws.chance(1, 16);
            insert(steps, at, Attribute::Simple, immediate, Verb::Compare { lun, blocks, cdb, one_block, differs });
        }
    }

    /// Puts START STOP UNITs among the steps: whoever finds a logical unit stopped starts it.
    fn stop(&self, draws: &mut Draws, steps: &mut Vec<Step>, commands: usize) {
        let count = commands * *draws.pick(&[0, 0, 2, 4]) / 100;
        for _ in 0..count {
            let verb = self.start_stop(draws);
            let at = draws.below(steps.len() as u64 + 1) as usize;
            let immediate = draws.chance(1, 16);
            insert(steps, at, Attribute::Simple, immediate, verb);
            if draws.chance(1, 2) {
                // What it does beside the medium must not happen after this.
                insert(steps, at + 1, Attribute::Simple, false, Verb::AbortTask { which: 0, newest: true });
            }
        }
    }

    fn start_stop(&self, draws: &mut Draws) -> Verb {
        let (lun, start) = (draws.pick(self.luns).lun, draws.chance(1, 4));
        let (early, no_flush) = (draws.chance(1, 4), draws.chance(1, 4));
        Verb::StartStop { lun, start, early, no_flush }
    }

    /// Puts a few questions for what is supported among the steps.
    fn inventory(&self, draws: &mut Draws, steps: &mut Vec<Step>) {
        for _ in 0..*draws.pick(&[0, 0, 1, 2]) {
            let (lun, commands) = (draws.pick(self.luns).lun, draws.chance(3, 4));
            let verb = supported(draws, lun, commands);
            let at = draws.below(steps.len() as u64 + 1) as usize;
            insert(steps, at, Attribute::Simple, draws.chance(1, 16), verb);
        }
    }

    /// In one initiator of eight, puts rare steps among the others in runs, one right behind the other: each of them alone
    /// is so rare that two would hardly ever meet.
    fn crowd(&self, draws: &mut Draws, steps: &mut Vec<Step>) {
        if !draws.chance(1, 8) {
            return;
        }
        for _ in 0..draws.between(1, 4) {
            // Well before the end: what a lost connection leaves open ends with the next login.
            let at = draws.below(steps.len() as u64 * 3 / 4 + 1) as usize;
            for place in 0..draws.between(2, 6) as usize {
                let (immediate, lun) = (draws.chance(1, 2), draws.pick(self.luns).lun);
                let verb = match draws.below(20) {
                    kind @ 0..13 => trouble(draws, lun, kind),
                    13 => self.start_stop(draws),
                    14 => supported(draws, lun, true),
                    15 => supported(draws, lun, false),
                    _ => self.command(draws),
                };
                insert(steps, at + place, Attribute::Simple, immediate, verb);
            }
        }
    }

    /// In one initiator of sixteen, puts commands for no blocks among the steps: on the medium, right behind its last block,
    /// and beyond that.
    fn nothing(&self, draws: &mut Draws, steps: &mut Vec<Step>) {
        if !draws.chance(1, 16) {
            return;
        }
        for _ in 0..draws.between(2, 8) {
            let unit = draws.pick(self.luns);
            let (lun, blocks) = (unit.lun, 0);
            let lba = *draws.pick(&[0, unit.blocks - 1, unit.blocks, unit.blocks]);
            let cdb = *draws.pick(&[CdbSize::Ten, CdbSize::Twelve, CdbSize::Sixteen]);
            let (fua, dpo, more) = (draws.chance(1, 4), false, draws.below(3) as u32);
            let verb = match draws.below(6) {
                0 => Verb::Read { lun, lba, blocks, cdb, fua, dpo, expect_more: more as i32 },
                1 => Verb::Write { lun, lba, blocks, cdb, fua, dpo, expect_more: more },
                2 => Verb::Verify { lun, lba, blocks, cdb },
                3 => Verb::Synchronize { lun, lba, blocks, sixteen: draws.chance(1, 2), early: draws.chance(1, 8) },
                _ => {
                    let direction = *draws.pick(&[Direction::In, Direction::Out]);
                    Verb::BeyondEnd { lun, direction, blocks, inside: 0, wraps: draws.chance(1, 3) }
                }
            };
            let at = draws.below(steps.len() as u64 + 1) as usize;
            insert(steps, at, Attribute::Simple, draws.chance(1, 16), verb);
        }
    }

    /// Puts commands to one logical unit among the steps that are aborted at once, together and one by one: some run,
    /// some are dormant behind an ORDERED one, and some follow.
    fn abort(&self, draws: &mut Draws, steps: &mut Vec<Step>, commands: usize) {
        let count = commands * *draws.pick(&[0, 1, 2, 4]) / 100;
        for _ in 0..count {
            let (unit, at) = (draws.pick(self.luns), draws.below(steps.len() as u64 + 1) as usize);
            let mut batch = Vec::new();
            let (running, waiting, behind) = (draws.between(1, 3), draws.below(8), draws.below(3));
            for number in 0..running + waiting + behind {
                let ordered = number == running && draws.chance(2, 3);
                let attribute = if ordered { Attribute::Ordered } else { Attribute::Simple };
                let verb = if draws.chance(1, 2) { self.read(draws, unit, 16) } else { self.write(draws, unit, 16) };
                batch.push((attribute, false, verb));
            }
            let lun = unit.lun;
            let set = [Verb::AbortTaskSet { lun }, Verb::ClearTaskSet { lun }];
            let mut aborts: Vec<Verb> = (0..draws.between(1, 3))
                .map(|_| Verb::AbortTask { which: draws.below(running + waiting) as u32, newest: true })
                .collect();
            if draws.chance(3, 4) {
                aborts.insert(0, draws.pick(&set).clone());
            }
            let split = batch.len() - behind as usize;
            let aborts = aborts.into_iter().map(|verb| (Attribute::Simple, true, verb));
            batch.splice(split..split, aborts);
            for (place, (attribute, immediate, verb)) in batch.into_iter().enumerate() {
                insert(steps, at + place, attribute, immediate, verb);
            }
        }
    }

    /// Puts WRITEs among the steps with a login right behind them that takes the place of their session: some are at the
    /// back end when it comes.
    fn reinstate(&self, draws: &mut Draws, steps: &mut Vec<Step>, commands: usize) {
        let count = commands * *draws.pick(&[0, 1, 2]) / 150;
        for _ in 0..count {
            let (unit, at) = (draws.pick(self.luns), draws.below(steps.len() as u64 + 1) as usize);
            let writes = draws.between(4, 16) as usize;
            for place in 0..writes {
                let verb = self.write(draws, unit, 16);
                insert(steps, at + place, Attribute::Simple, false, verb);
            }
            insert(steps, at + writes, Attribute::Simple, false, Verb::Reinstate);
        }
    }

    /// One command.
    fn command(&self, draws: &mut Draws) -> Verb {
        let mut draw = draws.below(self.weights.iter().sum());
        let mut group = 0;
        while draw >= self.weights[group] {
            draw -= self.weights[group];
            group += 1;
        }
        let unit = draws.pick(self.luns);
        let lun = unit.lun;
        match group {
            0 => self.read(draws, unit, self.max_sectors),
            1 => self.write(draws, unit, self.max_sectors),
            2 => {
                let (lba, blocks) = self.range(draws, unit, self.max_sectors);
                let (lba, blocks) = if draws.chance(1, 2) { (0, 0) } else { (lba, blocks) };
                Verb::Synchronize { lun, lba, blocks, sixteen: draws.chance(1, 2), early: draws.chance(1, 8) }
            }
            3 => {
                let (lba, blocks) = self.range(draws, unit, self.max_sectors);
                let cdb = *draws.pick(&[CdbSize::Ten, CdbSize::Twelve, CdbSize::Sixteen]);
                Verb::Verify { lun, lba, blocks, cdb }
            }
            4 => {
                let blocks = draws.between(1, 8) as u32;
                let inside = if draws.chance(1, 2) { draws.below(u64::from(blocks)) as u32 } else { 0 };
                let direction = *draws.pick(&[Direction::In, Direction::Out]);
                Verb::BeyondEnd { lun, direction, blocks, inside, wraps: draws.chance(1, 3) }
            }
            5 => query(draws, lun),
            6 if draws.chance(1, 4) => Verb::SendTargets { named: draws.chance(1, 2) },
            6 => Verb::Ping { bytes: draws.below(600) as u32 },
            7 if draws.chance(1, 2) => {
                let lun = self.luns.iter().map(|unit| unit.lun).max().unwrap_or(0) + 1 + draws.below(3) as u16;
                match draws.below(4) {
                    0 => Verb::Inquiry { lun, page: None, allocation: 96 },
                    1 => Verb::TestUnitReady { lun },
                    2 => Verb::ReportLuns { lun, allocation: 4_096 },
                    _ => {
                        Verb::Read { lun, lba: 0, blocks: 1, cdb: CdbSize::Ten, fua: false, dpo: false, expect_more: 0 }
                    }
                }
            }
            7 if draws.chance(1, 2) => Verb::InvalidField { lun, which: draws.below(64) as u8 },
            7 => Verb::Unknown { lun, operation_code: *draws.pick(&[0x02, 0x9b, 0xc0, 0xff]) },
            _ if draws.chance(1, 2) => self.read(draws, unit, 512),
            _ => self.write(draws, unit, 512),
        }
    }

    fn read(&self, draws: &mut Draws, unit: &Unit, max_sectors: u64) -> Verb {
        let (lba, blocks) = self.range(draws, unit, max_sectors);
        let cdb = size(draws);
        let (fua, dpo) = self.flags(draws, cdb);
        let expect_more = if draws.chance(1, 24) { draws.between(0, 4) as i32 - 2 } else { 0 };
        // An expected length of zero would need a command without data.
        let expect_more = expect_more.max(1 - blocks as i32);
        if cdb != CdbSize::Six && draws.chance(1, 64) {
            return Verb::Read { lun: unit.lun, lba, blocks: 0, cdb, fua, dpo, expect_more: 0 };
        }
        Verb::Read { lun: unit.lun, lba, blocks, cdb, fua, dpo, expect_more }
    }

    fn write(&self, draws: &mut Draws, unit: &Unit, max_sectors: u64) -> Verb {
        let (lba, blocks) = self.range(draws, unit, max_sectors);
        let cdb = size(draws);
        let (fua, dpo) = self.flags(draws, cdb);
        let expect_more = if draws.chance(1, 32) { draws.between(1, 2) as u32 } else { 0 };
        Verb::Write { lun: unit.lun, lba, blocks, cdb, fua, dpo, expect_more }
    }

    fn flags(&self, draws: &mut Draws, cdb: CdbSize) -> (bool, bool) {
        let (fua, dpo) = (draws.chance(self.fua, 16), draws.chance(1, 16));
        (fua && cdb != CdbSize::Six, dpo && cdb != CdbSize::Six)
    }

    /// First block and count, on the medium, fit for every form of the CDB.
    fn range(&self, draws: &mut Draws, unit: &Unit, max_sectors: u64) -> (u64, u32) {
        let max_blocks = (max_sectors * 512 / u64::from(unit.block_bytes)).clamp(1, unit.blocks.min(256));
        let blocks = draws.log_between(1, max_blocks);
        let (first, count) = if self.disjoint {
            let share = (unit.blocks / 8).max(1);
            (u64::from(self.index % 8) * share, share)
        } else if draws.chance(1, 16) {
            (unit.blocks.saturating_sub(self.hot_blocks), self.hot_blocks)
        } else if draws.chance(9, 10) {
            (0, self.hot_blocks)
        } else {
            (0, unit.blocks)
        };
        let lba = first + draws.below(count);
        (lba.min(unit.blocks - blocks), blocks as u32)
    }

    /// Something that ends commands, or the session.
    fn trouble_verb(&self, draws: &mut Draws) -> Verb {
        let lun = draws.pick(self.luns).lun;
        let kind = match draws.below(26) {
            0..8 => 0,
            8 | 9 => 1,
            10 => 2,
            11 | 12 => 3,
            13 => 4,
            14 if draws.chance(1, 2) => 5,
            14 | 15 => 6,
            16 | 17 => 7,
            18 | 19 => 8,
            20 | 21 => 9,
            22 => 10,
            23 => 11,
            _ => 12,
        };
        trouble(draws, lun, kind)
    }
}

/// One of the thirteen kinds of what ends commands, or the session.
fn trouble(draws: &mut Draws, lun: u16, kind: u64) -> Verb {
    match kind {
        0 => Verb::AbortTask { which: draws.below(8) as u32, newest: false },
        1 => Verb::AbortTaskSet { lun },
        2 => Verb::ClearTaskSet { lun },
        3 => Verb::LogicalUnitReset { lun },
        4 => Verb::TargetWarmReset,
        5 => Verb::TargetColdReset,
        6 => Verb::Logout { drain: draws.chance(1, 2), connection: false },
        7 => Verb::Drop { how: *draws.pick(&[Hangup::Reset, Hangup::Close, Hangup::HalfClose]) },
        8 => Verb::Reinstate,
        9 => Verb::ReinstateConnection,
        10 => Verb::Discover,
        11 => Verb::Drain,
        _ => Verb::Pause { ms: draws.log_between(1, 2_000), us: 0 },
    }
}

/// What commands are supported, or what task management functions.
fn supported(draws: &mut Draws, lun: u16, commands: bool) -> Verb {
    if commands {
        Verb::SupportedCommands {
            lun,
            which: if draws.chance(1, 2) { 0 } else { draws.between(1, 255) as u8 },
            either: draws.chance(1, 2),
            timeouts: draws.chance(1, 3),
            allocation: *draws.pick(&[4_096, 4_096, 4, 18, 100, 0]),
        }
    } else {
        let allocation = *draws.pick(&[16, 4, 12, 255]);
        Verb::SupportedFunctions { lun, extended: draws.chance(1, 2), allocation }
    }
}

fn query(draws: &mut Draws, lun: u16) -> Verb {
    let allocation = *draws.pick(&[255, 36, 96, 5, 0, 252]);
    match draws.below(6) {
        0 => Verb::TestUnitReady { lun },
        1 => {
            let page =
                *draws.pick(&[None, Some(0), Some(0x80), Some(0x83), Some(0x86), Some(0xb0), Some(0xb1), Some(0xb2)]);
            Verb::Inquiry { lun, page, allocation: u16::from(allocation) }
        }
        2 => Verb::ReadCapacity { lun, sixteen: draws.chance(1, 2) },
        3 => Verb::ModeSense {
            lun,
            page: *draws.pick(&[0x3f, 0x08, 0x0a, 0x1c, 0x02]),
            ten: draws.chance(1, 2),
            allocation,
        },
        4 => Verb::RequestSense { lun, descriptor: draws.chance(1, 2) },
        _ => Verb::ReportLuns { lun, allocation: *draws.pick(&[4_096, 16, 24]) },
    }
}

fn size(draws: &mut Draws) -> CdbSize {
    *draws.pick(&[CdbSize::Six, CdbSize::Ten, CdbSize::Ten, CdbSize::Twelve, CdbSize::Sixteen])
}

fn push(steps: &mut Vec<Step>, attribute: Attribute, immediate: bool, verb: Verb) {
    steps.push(Step { id: steps.len() as u32, attribute, immediate, flat: false, verb });
}

/// A step that came later than the others keeps their names.
fn insert(steps: &mut Vec<Step>, at: usize, attribute: Attribute, immediate: bool, verb: Verb) {
    let id = steps.len() as u32;
    steps.insert(at, Step { id, attribute, immediate, flat: false, verb });
}

fn attacks(draws: &mut Draws, count: usize) -> Vec<AttackStep> {
    // Swarm: one hostile initiator knows some groups, and some of the attacks of each.
    let groups: Vec<AttackGroup> = AttackGroup::ALL.into_iter().filter(|_| draws.chance(2, 3)).collect();
    let known = |attack: &Attack| draws.chance(1, 2) && groups.contains(&attack.group());
    let known: Vec<Attack> = Attack::ALL.iter().copied().filter(known).collect();
    let known = if known.is_empty() { Attack::ALL.to_vec() } else { known };
    (0..count as u32)
        .map(|id| AttackStep { id, amount: draws.below(1 << 16) as u32, attack: *draws.pick(&known) })
        .collect()
}
