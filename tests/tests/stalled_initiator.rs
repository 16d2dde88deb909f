//! An initiator that is alive and never sends what it owes: it is given up after `initiator_stall`, a minute.

use std::thread;
use std::time::{Duration, Instant};

use quintain_sim::initiator::codec::{Digests, NO_TAG, RawPdu, opcode};
use quintain_tests::client::Client;
use quintain_tests::process::Daemon;
use rustix::process::Signal;
use tempfile::TempDir;

const NAME: &str = "iqn.2026-11.test:stalled";
const STALL: Duration = Duration::from_secs(60);
const FINAL: u8 = 0x80;
const FINAL_WRITE: u8 = 0xa1;
const ABORTED_COMMAND: u8 = 0xb;

fn daemon() -> (Daemon, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let daemon =
        Daemon::start(env!("CARGO_BIN_EXE_quintain-under-test"), directory.path(), &["disk.img", "--size", "1MiB"]);
    (daemon, directory)
}

fn send(client: &mut Client, pdu: RawPdu) {
    client.send_pdus(&[pdu]).expect("it is accepted");
}

/// A session whose unit attention is over; its next CmdSN is 2.
fn session(daemon: &Daemon) -> Client {
    Client::session(daemon.portal, NAME, &daemon.target).expect("login succeeds")
}

/// The next PDU but for the target's pings, which are answered: the initiator is there.
fn receive(client: &mut Client, cmd_sn: u32) -> std::io::Result<RawPdu> {
    loop {
        let pdu = client.receive()?;
        if pdu.opcode() != opcode::NOP_IN {
            return Ok(pdu);
        }
        let pong = RawPdu::nop_out(pdu.lun_field(), NO_TAG, pdu.target_transfer_tag(), Vec::new());
        send(client, pong.immediate().sequenced(cmd_sn, pdu.stat_sn()));
    }
}

#[test]
fn write_whose_data_never_come_ends_and_its_session_goes_on() {
    let (daemon, _directory) = daemon();
    let mut client = session(&daemon);
    let mut cdb = [0; 16];
    (cdb[0], cdb[8]) = (0x2a, 1);
    let began = Instant::now();
    send(&mut client, RawPdu::scsi_command(FINAL_WRITE, 0, 7, 512, &cdb).sequenced(2, 0));
    assert_eq!(receive(&mut client, 3).expect("an answer").opcode(), opcode::R2T);
    let answer = receive(&mut client, 3).expect("an answer");
    assert!(began.elapsed() >= STALL, "it came after {:?}", began.elapsed());
    let sense = answer.sense().expect("sense data");
    assert_eq!((answer.initiator_task_tag(), sense[2] & 0xf, &sense[12..14]), (7, ABORTED_COMMAND, &[0x0c, 0x0d][..]));
    let mut write = RawPdu::scsi_command(FINAL_WRITE, 0, 8, 512, &cdb);
    write.data = vec![0x5a; 512];
    send(&mut client, write.sequenced(3, 0));
    let answer = receive(&mut client, 4).expect("an answer");
    assert_eq!((answer.initiator_task_tag(), answer.status()), (8, 0), "GOOD");
    assert!(daemon.end(Signal::TERM).0.success());
}

#[test]
fn connection_with_a_gap_in_its_command_numbers_is_closed() {
    let (daemon, _directory) = daemon();
    let mut client = session(&daemon);
    let began = Instant::now();
    send(&mut client, RawPdu::scsi_command(FINAL, 0, 7, 0, &[0; 16]).sequenced(3, 0));
    let end = receive(&mut client, 4);
    assert!(end.is_err(), "CmdSN 2 never came, and yet there is {end:?}");
    assert!(began.elapsed() >= STALL, "it was closed after {:?}", began.elapsed());
    assert!(daemon.end(Signal::TERM).0.success());
}

/// Each byte was a sign of life, and the header of a PDU had no deadline.
#[test]
fn connection_whose_pdu_does_not_come_to_its_end_is_closed() {
    let (daemon, _directory) = daemon();
    let mut client = session(&daemon);
    let began = Instant::now();
    let header = RawPdu::scsi_command(FINAL, 0, 7, 0, &[0; 16]).sequenced(2, 0).encode(Digests::default());
    // One byte in five seconds: 48 of them take four minutes.
    let sent = header.chunks(1).take(18).take_while(|byte| {
        let open = client.send(byte).is_ok();
        thread::sleep(Duration::from_secs(5));
        open
    });
    assert!(sent.count() < 18, "it was still open after {:?}", began.elapsed());
    assert!(began.elapsed() >= STALL, "it was closed after {:?}", began.elapsed());
    assert!(daemon.end(Signal::TERM).0.success());
}
