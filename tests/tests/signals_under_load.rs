//! The daemon is killed or told to stop while initiators write, and started again on the same port: what was
//! acknowledged is there, and what was not is old or new.

use std::cell::RefCell;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use futures_util::future::{join, join_all};
use quintain_sim::history::{Event, Unit};
use quintain_sim::initiator::plan::{Attribute, CdbSize, Keys, LoginStyle, Step, Timeouts, Verb};
use quintain_sim::initiator::{self, InitiatorPlan, Phase, Shared, World};
use quintain_sim::oracle::check_history;
use quintain_sim::random::Draws;
use quintain_tests::process::Daemon;
use quintain_tests::races::without_races;
use quintain_tests::sockets::SocketWorld;
use rustix::process::Signal;

#[test]
fn acknowledged_data_survives_sigkill_write_through() {
    survive(Signal::KILL, "wt", "1");
}

/// The page cache outlives the process: only a power loss may lose what was not flushed.
#[test]
fn acknowledged_data_survives_sigkill_write_back() {
    survive(Signal::KILL, "wb", "1");
}

#[test]
fn acknowledged_data_survives_sigkill_on_two_cores() {
    survive(Signal::KILL, "wb", "2");
}

#[test]
fn sigterm_under_load_finishes_what_is_acknowledged_and_flushes() {
    survive(Signal::TERM, "wb", "1");
}

#[test]
fn sigterm_under_load_on_two_cores_write_through() {
    survive(Signal::TERM, "wt", "2");
}

#[test]
fn sigint_under_load_finishes_what_is_acknowledged_and_flushes() {
    survive(Signal::INT, "wb", "2");
}

/// Ends of the daemon in one test.
const ENDS: usize = 6;
/// Commands and answers between two of them.
const EVENTS_BETWEEN_ENDS: usize = 700;
const INITIATORS: u32 = 3;
const COMMANDS_EACH: u32 = 1_200;

fn survive(signal: Signal, mode: &str, cores: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let unit =
        Unit { lun: 0, block_bytes: 512, blocks: 4_096, write_cache: mode == "wb", nullio: false, read_only: false };
    let arguments = ["disk.img", "--size", "2MiB", "--mode", mode, "--cores", cores];
    let daemon = start(directory.path(), &arguments, "127.0.0.1:0");
    let (portal, target) = (daemon.portal, daemon.target.clone());
    let daemon = RefCell::new(Some(daemon));
    let shared = Shared::new(8, &target, vec![unit.clone()]);
    SocketWorld::run(portal, async |world| {
        let plans: Vec<_> = (0..INITIATORS).map(plan).collect();
        let plays = plans.iter().map(|plan| initiator::run(world.clone(), plan, shared.clone()));
        let ends = async {
            for end in 1..=ENDS {
                while shared.history.borrow().events.len() < end * EVENTS_BETWEEN_ENDS {
                    world.sleep(Duration::from_millis(1)).await;
                }
                let victim = daemon.take().expect("it runs");
                // On a thread of its own: the initiators go on until the very end, and see it from their side.
                let ending = thread::spawn(move || victim.end(signal));
                while !ending.is_finished() {
                    world.sleep(Duration::from_millis(1)).await;
                }
                let (status, log) = ending.join().expect("it ends");
                check_end(signal, status, &log);
                let event = if signal == Signal::KILL { Event::Crash } else { Event::CleanStop };
                shared.history.borrow_mut().events.push(event);
                let again = start(directory.path(), &arguments, &portal.to_string());
                assert_eq!(again.portal, portal);
                shared.history.borrow_mut().events.push(Event::Restart);
                daemon.replace(Some(again));
            }
        };
        let (reports, ()) = join(join_all(plays), ends).await;
        assert!(reports.iter().all(|report| report.steps_left == 0 && report.logins > 1), "{reports:?}");
        shared.phase.set(Phase::Audit);
        assert_eq!(initiator::audit(world.clone(), shared.clone(), &[unit]).await, Ok(()));
    });
    assert_eq!(*shared.violations.borrow(), []);
    assert_eq!(check_history(&without_races(&shared.history.borrow())), []);
    let (status, log) = daemon.take().expect("it runs").end(Signal::TERM);
    check_end(Signal::TERM, status, &log);
}

/// Killed, or stopped with success, everything in flight finished and flushed.
fn check_end(signal: Signal, status: ExitStatus, log: &[String]) {
    if signal == Signal::KILL {
        return assert!(!status.success());
    }
    assert_eq!(status.code(), Some(0), "{log:?}");
    let has = |words: &str| log.iter().any(|line| line.contains(words));
    assert!(has("stopped, everything acknowledged is durable"), "{log:?}");
    assert!(!has("aborted") && !has("ERROR"), "{log:?}");
}

fn start(directory: &Path, arguments: &[&str], listen: &str) -> Daemon {
    let arguments = [arguments, &["--listen", listen]].concat();
    Daemon::start(env!("CARGO_BIN_EXE_quintain-under-test"), directory, &arguments)
}

/// Mostly writes, with some reads and flushes, all over the disk.
fn plan(index: u32) -> InitiatorPlan {
    let mut draws = Draws::new(9, "kill-nine", index.into());
    let steps = (0..COMMANDS_EACH).map(|id| {
        let blocks = draws.between(1, 64) as u32;
        let lba = draws.below(4_096 - 64);
        let (cdb, lun, dpo, expect_more) = (CdbSize::Ten, 0, false, 0);
        let verb = match draws.below(10) {
            0 => Verb::Synchronize { lun, lba: 0, blocks: 0, sixteen: false, early: false },
            1 | 2 => Verb::Read { lun, lba, blocks, cdb, fua: false, dpo, expect_more: 0 },
            number => Verb::Write { lun, lba, blocks, cdb, fua: number == 3, dpo, expect_more },
        };
        Step { id, attribute: Attribute::Simple, immediate: false, flat: false, verb }
    });
    InitiatorPlan {
        index,
        name: format!("iqn.2026-11.test:writer-{index}"),
        isid: [0x80, 0, 0, 0, index as u8, 1],
        initial_cmd_sn: 1,
        initial_tag: 1,
        queue_depth: 16,
        discovery: false,
        login_style: LoginStyle::OneShot,
        immediate_bytes: 65_536,
        unsolicited: true,
        batch_bytes: 65_536,
        keys: Keys { initial_r2t: Some(false), ..Keys::default() },
        timeouts: Timeouts { retry_ms: 20, ..Timeouts::default() },
        keeps_session: false,
        goes_on: false,
        hostile: None,
        steps: steps.collect(),
    }
}
