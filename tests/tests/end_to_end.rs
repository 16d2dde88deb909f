//! The daemon over real sockets, driven by the simulator's own initiators and judged by its own oracles.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::num::NonZero;
use std::time::Duration;

use futures_util::future::join_all;
use quintain::cli::{Kind, Mode};
use quintain::daemon::{Daemon, Setup};
use quintain::size::Size;
use quintain::storage::{LunRequest, open_all};
use quintain_core::limits::Limits;
use quintain_core::target::{NodeConfig, TargetConfig};
use quintain_sim::history::Unit;
use quintain_sim::initiator::plan::{
    Attack, AttackStep, Attribute, CdbSize, Hangup, HostilePlan, Keys, LoginStyle, Step, Verb,
};
use quintain_sim::initiator::{self, InitiatorPlan, Phase, Report, Shared};
use quintain_sim::oracle::check_history;
use quintain_sim::random::Draws;
use quintain_tests::races::without_races;
use quintain_tests::sockets::SocketWorld;
use tempfile::TempDir;

#[test]
fn every_way_to_move_data_moves_the_right_data() {
    let digests =
        |keys: Keys| Keys { header_digest: Some("CRC32C".to_owned()), data_digest: Some("CRC32C".to_owned()), ..keys };
    let asked = Keys { initial_r2t: Some(true), immediate_data: Some(false), ..Keys::default() };
    let several = Keys { max_outstanding_r2t: Some(8), max_burst_length: Some(2_048), ..asked.clone() };
    let immediate = Keys { initial_r2t: Some(true), immediate_data: Some(true), ..Keys::default() };
    let unsolicited = Keys { initial_r2t: Some(false), immediate_data: Some(false), ..Keys::default() };
    let small = Keys {
        max_recv_data_segment_length: Some(512),
        max_burst_length: Some(1_024),
        first_burst_length: Some(512),
        initial_r2t: Some(false),
        ..Keys::default()
    };
    let several = Keys { first_burst_length: Some(1_024), ..several };
    for shards in [1, 2] {
        let keys = [asked.clone(), several.clone(), immediate.clone(), unsolicited.clone(), small.clone()];
        let keys = keys.iter().flat_map(|keys| [keys.clone(), digests(keys.clone())]);
        let plans = keys.zip(0..).map(|(keys, index)| plan(index, keys, transfers(index))).collect();
        let reports = play(shards, Phase::Healed, plans);
        assert!(reports.iter().all(|report| report.good > 40 && report.logins == 1), "{reports:?}");
    }
}

#[test]
fn plans_drawn_from_seeds_break_no_rule() {
    for (shards, seed) in [(1, 11), (2, 12), (2, 13)] {
        let plans = (0..4).map(|index| {
            let mut draws = Draws::new(seed, "end-to-end", u64::from(index));
            InitiatorPlan::generate(&mut draws, &units(), 150, index, false)
        });
        let reports = play(shards, Phase::Healed, plans.collect());
        // Some plans give their sessions up more often than not.
        let good: u64 = reports.iter().map(|report| report.good).sum();
        assert!(good > 200 && reports.iter().all(|report| report.good > 5), "{reports:?}");
    }
}

#[test]
fn sessions_that_are_replaced_dropped_and_reset_leave_no_trace() {
    let troubles = [
        Verb::Reinstate,
        Verb::Drop { how: Hangup::Reset },
        Verb::AbortTask { which: 3, newest: false },
        Verb::LogicalUnitReset { lun: 1 },
        Verb::Drop { how: Hangup::HalfClose },
        Verb::AbortTaskSet { lun: 0 },
        Verb::Logout { drain: false, connection: false },
        Verb::TargetWarmReset,
        Verb::Drop { how: Hangup::Close },
        Verb::Discover,
        Verb::Reinstate,
    ];
    for shards in [1, 2] {
        let plans = (0..3).map(|index| {
            let rounds = troubles.iter().cycle().skip(index as usize).take(2 * troubles.len());
            let verbs = rounds.flat_map(|trouble| transfers(index).into_iter().take(12).chain([trouble.clone()]));
            plan(index, Keys::default(), verbs.collect())
        });
        let reports = play(shards, Phase::Healed, plans.collect());
        assert!(reports.iter().all(|report| report.logins > 10), "{reports:?}");
    }
}

/// All attacks that need no long wait, from several initiators at once, and two that keep to the rules beside them.
#[test]
fn hostile_initiators_do_no_harm_to_others() {
    let slow = [Attack::Slow, Attack::NeverReads, Attack::HoldsData, Attack::LoginHalf];
    let attacks: Vec<Attack> = Attack::ALL.iter().copied().filter(|attack| !slow.contains(attack)).collect();
    let share = attacks.len().div_ceil(8);
    let hostile = attacks.chunks(share).zip(10..).map(|(attacks, index)| {
        let step = |(&attack, id)| AttackStep { id, amount: 40 + id, attack };
        let attacks = attacks.iter().zip(0..).map(step).collect();
        InitiatorPlan { hostile: Some(HostilePlan { lun: 1, attacks }), ..plan(index, Keys::default(), Vec::new()) }
    });
    let peaceful = (0..2).map(|index| {
        let transfers = (0..20).flat_map(|_| transfers(index));
        let verbs = transfers.flat_map(|verb| [verb, Verb::Pause { ms: 10, us: 0 }]);
        plan(index, Keys::default(), verbs.collect())
    });
    let reports = play(2, Phase::Chaos, peaceful.chain(hostile).collect());
    assert!(reports[..2].iter().all(|report| report.logins == 1), "{reports:?}");
    // An attack that the target ends by closing does not count as played to its end.
    let played: u64 = reports[2..].iter().map(|report| report.attacks).sum();
    assert!(played as usize > attacks.len() / 2, "{reports:?}");
}

const TARGET: &str = "iqn.2026-11.test:end-to-end";

/// A file with a write cache, one without and with large blocks, and nullio.
fn units() -> Vec<Unit> {
    let unit = |lun, block_bytes, blocks, write_cache, nullio| Unit {
        lun,
        block_bytes,
        blocks,
        write_cache,
        nullio,
        read_only: false,
    };
    vec![unit(0, 512, 4_096, true, false), unit(1, 4_096, 512, false, false), unit(7, 512, 2_048, false, true)]
}

/// Reads and writes of all sizes on all logical units, 60 commands.
fn transfers(index: u32) -> Vec<Verb> {
    let verb = |number: u32| {
        let (lun, most) = [(0, 256), (1, 32), (7, 256)][number as usize % 3];
        let blocks = 1 + number * 37 % most;
        let lba = u64::from((number * 61 + index * 16) % 240);
        let cdb = [CdbSize::Ten, CdbSize::Sixteen, CdbSize::Six, CdbSize::Twelve][number as usize % 4];
        let fua = cdb != CdbSize::Six && number.is_multiple_of(5);
        match number % 10 {
            9 => Verb::Synchronize { lun, lba: 0, blocks: 0, sixteen: true, early: false },
            0 | 2 | 3 | 6 | 8 => Verb::Write { lun, lba, blocks, cdb, fua, dpo: false, expect_more: 0 },
            _ => Verb::Read { lun, lba, blocks, cdb, fua, dpo: false, expect_more: 0 },
        }
    };
    (0..60).map(verb).collect()
}

fn plan(index: u32, keys: Keys, verbs: Vec<Verb>) -> InitiatorPlan {
    let mut plan = InitiatorPlan::generate(&mut Draws::new(1, "end-to-end", index.into()), &units(), 0, index, false);
    plan.keys = keys;
    plan.discovery = false;
    plan.queue_depth = 16;
    plan.unsolicited = true;
    if plan.login_style == LoginStyle::Straight {
        plan.login_style = LoginStyle::Staged;
    }
    let step = |(verb, id)| Step { id, attribute: Attribute::Simple, immediate: false, flat: false, verb };
    plan.steps = verbs.into_iter().zip(0..).map(step).collect();
    plan
}

/// Plays all of `plans` at once against a daemon on `shards` cores, reads everything back, and finds nothing wrong.
/// Hostile initiators play in [`Phase::Chaos`] only; without them, every step must succeed in bounded time.
fn play(shards: u16, phase: Phase, plans: Vec<InitiatorPlan>) -> Vec<Report> {
    let (daemon, _directory) = start(shards);
    let shared = Shared::new(16, TARGET, units());
    shared.phase.set(phase);
    let reports = SocketWorld::run(daemon.addresses()[0], async |world| {
        let plays = plans.iter().map(|plan| initiator::run(world.clone(), plan, shared.clone()));
        let reports = join_all(plays).await;
        shared.phase.set(Phase::Audit);
        let audit = initiator::audit(world, shared.clone(), &units()).await;
        assert_eq!(audit, Ok(()));
        reports
    });
    let stopped = daemon.stop(Duration::from_secs(10));
    assert!(stopped.report.flush_errors.is_empty(), "{stopped:?}");
    assert_eq!(*shared.violations.borrow(), [], "{shards} cores");
    assert_eq!(check_history(&without_races(&shared.history.borrow())), [], "{shards} cores");
    assert!(reports.iter().all(|report| report.steps_left == 0), "{reports:?}");
    reports
}

fn start(shards: u16) -> (Daemon, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let requests: BTreeMap<u16, LunRequest> =
        units().iter().map(|unit| (unit.lun, request(unit, &directory))).collect();
    let opened = open_all(TARGET, &requests).expect("they are right");
    let disks = opened.iter().filter_map(|(&lun, opened)| Some(((0, lun), opened.disk.clone()?))).collect();
    let luns = opened.iter().map(|(&lun, opened)| (lun, opened.config.clone())).collect();
    let target = TargetConfig { name: TARGET.to_owned(), alias: None, luns };
    let node = NodeConfig { targets: vec![target], limits: Limits::default(), initial_stat_sn: None, initial_ttt: 0 };
    let listeners = vec![TcpListener::bind("127.0.0.1:0").expect("a free port")];
    let shards = NonZero::new(shards).expect("at least one");
    (Daemon::start(Setup { node, disks, listeners, shards }).expect("it starts"), directory)
}

fn request(unit: &Unit, directory: &TempDir) -> LunRequest {
    LunRequest {
        path: (!unit.nullio).then(|| directory.path().join(format!("{}.img", unit.lun))),
        size: Some(Size::of_bytes(unit.blocks * u64::from(unit.block_bytes))),
        kind: unit.nullio.then_some(Kind::Nullio),
        mode: Some(if unit.write_cache { Mode::Wb } else { Mode::Wt }),
        block_bytes: Some(unit.block_bytes),
        ..LunRequest::default()
    }
}
