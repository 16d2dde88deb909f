//! PDUs in an order that no well-behaved initiator sends: what a reading of the core against RFC 7143 found, each with
//! the bug that it shows.

use std::thread;
use std::time::Duration;

use quintain_sim::initiator::codec::{NO_TAG, RawPdu, opcode};
use quintain_tests::client::Client;
use quintain_tests::process::Daemon;
use rustix::process::Signal;
use tempfile::TempDir;

const NAME: &str = "iqn.2026-11.test:order";
const TEST_UNIT_READY: [u8; 16] = [0; 16];
const FINAL: u8 = 0x80;
const FINAL_READ: u8 = 0xc1;
const FINAL_WRITE: u8 = 0xa1;
const ABORT_TASK: u8 = 1;
const ABORT_TASK_SET: u8 = 2;

fn daemon() -> (Daemon, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let arguments = ["disk.img", "--size", "1MiB", "--workers", "4"];
    let daemon = Daemon::start(env!("CARGO_BIN_EXE_quintain-under-test"), directory.path(), &arguments);
    (daemon, directory)
}

/// A session whose first unit attention is over; its next CmdSN is 2.
fn session(daemon: &Daemon) -> Client {
    Client::session(daemon.portal, NAME, &daemon.target).expect("login succeeds")
}

fn send(client: &mut Client, pdus: &[RawPdu]) {
    client.send_pdus(pdus).expect("it is accepted");
}

fn write_of_one_block(tag: u32) -> RawPdu {
    let mut cdb = [0; 16];
    (cdb[0], cdb[8]) = (0x2a, 1);
    let mut pdu = RawPdu::scsi_command(FINAL_WRITE, 0, tag, 512, &cdb);
    pdu.data = vec![0x5a; 512];
    pdu
}

fn end(daemon: Daemon) {
    let (status, log) = daemon.end(Signal::TERM);
    assert!(status.success(), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("invariant")), "{log:?}");
}

/// The worker that took such a WRITE insisted on data that the Data-Out had taken away, and was lost: four of them were
/// the end of the logical unit.
#[test]
fn data_out_behind_a_complete_write_costs_no_worker() {
    let (daemon, _directory) = daemon();
    let mut client = session(&daemon);
    for round in 0..20 {
        let tag = 100 + round;
        let more = RawPdu::data_out(0, tag, NO_TAG, 0, 0, true, &[1; 512]);
        send(&mut client, &[write_of_one_block(tag).sequenced(2 + round, 0), more]);
        let answer = client.receive().expect("an answer");
        assert_eq!((answer.opcode(), answer.initiator_task_tag()), (opcode::SCSI_RESPONSE, tag), "round {round}");
    }
    send(&mut client, &[write_of_one_block(7).sequenced(22, 0)]);
    assert_eq!(client.receive().expect("an answer").status(), 0);
    end(daemon);
}

/// A command that waits for a gap in CmdSN held its session, which held the command, and with them the socket.
#[test]
fn sessions_that_end_with_a_gap_leave_no_descriptor_behind() {
    let (daemon, _directory) = daemon();
    drop(session(&daemon));
    let before = daemon.descriptors();
    for _ in 0..50 {
        let mut client = Client::log_in(daemon.portal, NAME, &daemon.target).expect("login succeeds");
        send(&mut client, &[RawPdu::scsi_command(FINAL, 0, 9, 0, &TEST_UNIT_READY).sequenced(2, 0)]);
    }
    let settled = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(50));
        daemon.descriptors() <= before + 2
    });
    assert!(settled, "{} descriptors are open, there were {before}", daemon.descriptors());
    end(daemon);
}

/// What the function confirmed as aborted was counted as received, but nothing behind it was let through.
#[test]
fn abort_of_a_command_that_never_came_lets_those_behind_it_through() {
    let (daemon, _directory) = daemon();
    let mut client = session(&daemon);
    let behind = RawPdu::scsi_command(FINAL, 0, 3, 0, &TEST_UNIT_READY).sequenced(3, 0);
    let abort = RawPdu::task_management(ABORT_TASK, 0, 4, 2, 2).immediate().sequenced(4, 0);
    send(&mut client, &[behind, abort]);
    let answers = [client.receive().expect("an answer"), client.receive().expect("another")];
    let function = answers.iter().find(|pdu| pdu.opcode() == opcode::TASK_MANAGEMENT_RESPONSE);
    assert_eq!(function.map(RawPdu::response), Some(0));
    assert!(answers.iter().any(|pdu| pdu.opcode() == opcode::SCSI_RESPONSE && pdu.initiator_task_tag() == 3));
    end(daemon);
}

/// ABORT TASK SET took along a command that was sent behind it, which then never was answered.
#[test]
fn abort_task_set_leaves_alone_what_is_sent_behind_it() {
    let (daemon, _directory) = daemon();
    let mut client = session(&daemon);
    let abort = RawPdu::task_management(ABORT_TASK_SET, 0, 5, NO_TAG, 0).immediate().sequenced(2, 0);
    let mut inquiry = [0; 16];
    (inquiry[0], inquiry[4]) = (0x12, 36);
    let behind = RawPdu::scsi_command(FINAL_READ, 0, 6, 36, &inquiry).sequenced(2, 0);
    send(&mut client, &[abort, behind]);
    let answers = [client.receive().expect("an answer"), client.receive().expect("another")];
    assert!(answers.iter().any(|pdu| pdu.opcode() == opcode::DATA_IN && pdu.initiator_task_tag() == 6), "{answers:?}");
    end(daemon);
}

/// A small LUN has two addresses, peripheral and flat; a function that used the other one found no task.
#[test]
fn abort_by_the_other_address_of_a_logical_unit_finds_its_task() {
    let (daemon, _directory) = daemon();
    let mut client = session(&daemon);
    // A WRITE that waits for its data: an R2T comes, no status.
    let mut waiting = write_of_one_block(8);
    waiting.data.clear();
    send(&mut client, &[waiting.sequenced(2, 0)]);
    assert_eq!(client.receive().expect("an answer").opcode(), opcode::R2T);
    let mut abort = RawPdu::task_management(ABORT_TASK, 0, 9, 8, 2).immediate().sequenced(3, 0);
    abort.bhs[8] = 0x40;
    send(&mut client, &[abort]);
    let answer = client.receive().expect("an answer");
    assert_eq!((answer.opcode(), answer.response()), (opcode::TASK_MANAGEMENT_RESPONSE, 0), "FUNCTION COMPLETE");
    end(daemon);
}

/// The function looked its task up by the tag when it began, and by then the tag was another command's: that one was
/// aborted, and never answered.
#[test]
fn abort_of_a_task_that_has_ended_leaves_the_next_one_with_its_tag_alone() {
    let (daemon, _directory) = daemon();
    let mut client = session(&daemon);
    send(&mut client, &[RawPdu::scsi_command(FINAL, 0, 3, 0, &TEST_UNIT_READY).sequenced(2, 0)]);
    assert_eq!(client.receive().expect("an answer").opcode(), opcode::SCSI_RESPONSE);
    let abort = RawPdu::task_management(ABORT_TASK, 0, 4, 3, 2).immediate().sequenced(3, 0);
    send(&mut client, &[abort, write_of_one_block(3).sequenced(3, 0)]);
    let answers = [client.receive().expect("an answer"), client.receive().expect("another")];
    let function = answers.iter().find(|pdu| pdu.opcode() == opcode::TASK_MANAGEMENT_RESPONSE);
    assert_eq!(function.map(RawPdu::response), Some(1), "TASK DOES NOT EXIST: {answers:?}");
    let write = answers.iter().find(|pdu| pdu.opcode() == opcode::SCSI_RESPONSE);
    assert_eq!(write.map(|pdu| (pdu.initiator_task_tag(), pdu.status())), Some((3, 0)));
    end(daemon);
}

/// WRITEs whose data never came held the whole buffer pool, and everybody else was told BUSY.
#[test]
fn writes_without_data_leave_room_for_other_sessions() {
    let (daemon, _directory) = daemon();
    let mut greedy = session(&daemon);
    let mut cdb = [0; 16];
    (cdb[0], cdb[7]) = (0x2a, 0x20);
    let pdus: Vec<RawPdu> =
        (0..40).map(|n| RawPdu::scsi_command(FINAL_WRITE, 0, 100 + n, 4 << 20, &cdb).sequenced(2 + n, 0)).collect();
    send(&mut greedy, &pdus);
    let (mut asked, mut busy) = (0, 0);
    for _ in 0..pdus.len() {
        let answer = greedy.receive().expect("an answer");
        asked += u32::from(answer.opcode() == opcode::R2T);
        busy += u32::from(answer.opcode() == opcode::SCSI_RESPONSE && answer.status() == 0x08);
    }
    assert!(asked > 0 && busy > 0, "{asked} were asked for their data, {busy} were told BUSY");
    let mut other = Client::log_in(daemon.portal, "iqn.2026-11.test:other", &daemon.target).expect("login succeeds");
    send(&mut other, &[RawPdu::scsi_command(FINAL, 0, 1, 0, &TEST_UNIT_READY).sequenced(1, 0)]);
    other.receive().expect("a unit attention");
    send(&mut other, &[write_of_one_block(2).sequenced(2, 0)]);
    assert_eq!(other.receive().expect("an answer").status(), 0, "GOOD");
    drop(greedy);
    end(daemon);
}
