//! A login to a session that is there, over a second connection (RFC 7143, sections 6.3.4 and 11.13.5).

use std::thread;
use std::time::Duration;

use quintain_sim::initiator::codec::{Digests, NO_TAG, RawPdu, opcode, text};
use quintain_tests::client::{Client, login};
use quintain_tests::process::Daemon;
use rustix::process::Signal;
use tempfile::TempDir;

const NAME: &str = "iqn.2026-11.test:reinstatement";
const FINAL: u8 = 0x80;
const FINAL_WRITE: u8 = 0xa1;
const LOGICAL_UNIT_RESET: u8 = 5;
const GOOD: u8 = 0;
const CHECK_CONDITION: u8 = 2;

fn daemon() -> (Daemon, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let daemon =
        Daemon::start(env!("CARGO_BIN_EXE_quintain-under-test"), directory.path(), &["disk.img", "--size", "1MiB"]);
    (daemon, directory)
}

/// Asks to go on with the session `tsih` on connection `cid`, and gives the answer.
fn go_on(daemon: &Daemon, tsih: u16, cid: u16, cmd_sn: u32) -> (Client, RawPdu) {
    let mut client = Client::connect(daemon.portal).expect("it is accepted");
    let mut request = login(NAME, &daemon.target, &[]);
    request.set_u16(14, tsih);
    request.set_u16(20, cid);
    client.send(&request.sequenced(cmd_sn, 0).encode(Digests::default())).expect("it is accepted");
    let answer = client.receive().expect("an answer");
    assert_eq!(answer.opcode(), opcode::LOGIN_RESPONSE);
    (client, answer)
}

/// A session whose unit attention is over; its next CmdSN is 2. And its TSIH.
fn session(daemon: &Daemon) -> (Client, u16) {
    let (mut client, answer) = go_on(daemon, 0, 0, 1);
    assert_eq!(answer.login_status(), 0);
    assert_eq!(test_unit_ready(&mut client, 1), CHECK_CONDITION, "the unit attention of a new session");
    (client, answer.tsih())
}

fn test_unit_ready(client: &mut Client, cmd_sn: u32) -> u8 {
    let pdu = RawPdu::scsi_command(FINAL, 0, 0x100 + cmd_sn, 0, &[0; 16]).sequenced(cmd_sn, 0);
    client.send(&pdu.encode(Digests::default())).expect("it is accepted");
    let answer = client.receive().expect("an answer");
    assert_eq!((answer.opcode(), answer.initiator_task_tag()), (opcode::SCSI_RESPONSE, 0x100 + cmd_sn));
    answer.status()
}

fn end(daemon: Daemon) {
    let (status, log) = daemon.end(Signal::TERM);
    assert!(status.success(), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("invariant")), "{log:?}");
}

#[test]
fn login_with_tsih_and_cid_of_a_session_takes_its_connection_over() {
    let (daemon, _directory) = daemon();
    let (mut old, tsih) = session(&daemon);
    // A WRITE that waits for its data ends with its connection, without a word.
    let mut cdb = [0; 16];
    (cdb[0], cdb[8]) = (0x2a, 1);
    let write = RawPdu::scsi_command(FINAL_WRITE, 0, 9, 512, &cdb).sequenced(2, 0);
    old.send(&write.encode(Digests::default())).expect("it is accepted");
    assert_eq!(old.receive().expect("an answer").opcode(), opcode::R2T);
    let (mut new, answer) = go_on(&daemon, tsih, 0, 3);
    assert_eq!((answer.login_status(), answer.tsih(), answer.exp_cmd_sn()), (0, tsih, 3));
    assert!(old.receive_to_end().is_empty(), "the old connection is closed");
    assert_eq!(test_unit_ready(&mut new, 3), GOOD, "the nexus was not lost: no unit attention");
    // And once more.
    let (mut newer, answer) = go_on(&daemon, tsih, 0, 4);
    assert_eq!((answer.login_status(), answer.exp_cmd_sn()), (0, 4));
    assert_eq!(test_unit_ready(&mut newer, 4), GOOD);
    end(daemon);
}

/// A LOGICAL UNIT RESET waited for commands that were sent before it and struck when its connection was long gone.
#[test]
fn reset_of_the_old_connection_leaves_the_tasks_of_the_new_one_alone() {
    let (daemon, _directory) = daemon();
    let (mut old, tsih) = session(&daemon);
    // Behind two commands that never come.
    let reset = RawPdu::task_management(LOGICAL_UNIT_RESET, 0, 5, NO_TAG, 0).immediate().sequenced(4, 0);
    old.send(&reset.encode(Digests::default())).expect("it is accepted");
    let (mut new, answer) = go_on(&daemon, tsih, 0, 2);
    assert_eq!(answer.login_status(), 0);
    let mut cdb = [0; 16];
    (cdb[0], cdb[8]) = (0x2a, 1);
    let write = RawPdu::scsi_command(FINAL_WRITE, 0, 9, 512, &cdb).sequenced(2, 0);
    new.send(&write.encode(Digests::default())).expect("it is accepted");
    let r2t = new.receive().expect("an answer");
    assert_eq!(r2t.opcode(), opcode::R2T);
    // Longer than the target waits for those commands.
    thread::sleep(Duration::from_secs(6));
    let data = RawPdu::data_out(0, 9, r2t.target_transfer_tag(), 0, 0, true, &[0x5a; 512]);
    new.send(&data.encode(Digests::default())).expect("it is accepted");
    let answer = new.receive().expect("an answer");
    assert_eq!((answer.opcode(), answer.initiator_task_tag(), answer.status()), (opcode::SCSI_RESPONSE, 9, GOOD));
    end(daemon);
}

#[test]
fn login_to_a_session_that_is_not_there_is_told_so() {
    let (daemon, _directory) = daemon();
    let (mut client, tsih) = session(&daemon);
    let (_, answer) = go_on(&daemon, tsih.wrapping_add(1), 0, 2);
    assert_eq!(answer.login_status(), 0x020a, "session does not exist");
    assert_eq!(test_unit_ready(&mut client, 2), GOOD, "the session that is there did not notice");
    end(daemon);
}

#[test]
fn login_that_adds_a_connection_to_a_session_is_refused() {
    let (daemon, _directory) = daemon();
    let (mut client, tsih) = session(&daemon);
    let (_, answer) = go_on(&daemon, tsih, 1, 2);
    assert_eq!(answer.login_status(), 0x0206, "too many connections");
    assert_eq!(test_unit_ready(&mut client, 2), GOOD);
    end(daemon);
}

#[test]
fn login_whose_command_number_cannot_follow_is_refused() {
    let (daemon, _directory) = daemon();
    let (mut client, tsih) = session(&daemon);
    for cmd_sn in [1, 0x8000_0000] {
        let (_, answer) = go_on(&daemon, tsih, 0, cmd_sn);
        assert_eq!(answer.login_status(), 0x0200, "initiator error, with CmdSN {cmd_sn}");
    }
    assert_eq!(test_unit_ready(&mut client, 2), GOOD);
    end(daemon);
}

#[test]
fn login_that_brings_keys_of_the_session_is_refused() {
    let (daemon, _directory) = daemon();
    let (mut client, tsih) = session(&daemon);
    let operational = |key: &str, cmd_sn: u32| {
        let names = [("InitiatorName", NAME), ("TargetName", daemon.target.as_str()), (key, "4096")];
        let data = text::encode(&names.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let mut other = Client::connect(daemon.portal).expect("it is accepted");
        // From the operational stage (1) to the full feature phase (3).
        let request = RawPdu::login(0x87, [0x80, 0, 0, 0, 0, 7], tsih, 1, 0, data).sequenced(cmd_sn, 0);
        other.send(&request.encode(Digests::default())).expect("it is accepted");
        (other.receive().expect("an answer").login_status(), other)
    };
    let (status, _) = operational("MaxBurstLength", 2);
    assert_eq!(status >> 8, 2, "an error of the initiator");
    assert_eq!(test_unit_ready(&mut client, 2), GOOD);
    let (status, mut other) = operational("MaxRecvDataSegmentLength", 3);
    assert_eq!(status, 0, "a key of the connection is welcome");
    assert_eq!(test_unit_ready(&mut other, 3), GOOD);
    end(daemon);
}
