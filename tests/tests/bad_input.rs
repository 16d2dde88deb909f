//! What is not iSCSI, or not as the RFC says: the connection is answered or closed, memory stays bounded, the log stays
//! quiet and nobody else notices.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quintain_sim::history::Unit;
use quintain_sim::initiator::codec::{Digests, NO_TAG, RawPdu, opcode, text};
use quintain_sim::initiator::plan::{Attribute, CdbSize, Keys, LoginStyle, Step, Timeouts, Verb};
use quintain_sim::initiator::{self, InitiatorPlan, Phase, Shared};
use quintain_sim::oracle::check_history;
use quintain_tests::client::{Client, login};
use quintain_tests::process::Daemon;
use quintain_tests::sockets::SocketWorld;
use rustix::process::Signal;
use tempfile::TempDir;

#[test]
fn first_bytes_of_other_protocols_end_the_connection() {
    let stage = Stage::set();
    let mut http = b"GET / HTTP/1.1\r\nHost: quintain\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n".to_vec();
    http.resize(http.len().next_multiple_of(48), b' ');
    let mut tls = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    tls.resize(517, 0x5a);
    for bytes in [http, tls, vec![0; 4_096], vec![0xff; 4_096], (0..100_000).map(|n| n as u8).collect()] {
        let mut client = stage.connect();
        // The target may close before all is sent.
        let _ = client.send(&bytes);
        let answers = client.receive_to_end();
        assert!(answers.len() <= 1, "{answers:?}");
    }
    stage.end();
}

#[test]
fn pdu_of_every_opcode_before_login_is_refused() {
    let stage = Stage::set();
    for opcode in (0..=0x3f).filter(|&opcode| opcode != opcode::LOGIN) {
        for immediate in [false, true] {
            let pdu = RawPdu::new(opcode);
            let mut pdu = if immediate { pdu.immediate() } else { pdu };
            pdu.bhs[1] = 0x80;
            let mut client = stage.connect();
            client.send(&pdu.encode(Digests::default())).expect("it is accepted");
            let answers = client.receive_to_end();
            let fits = |answer: &RawPdu| {
                let refused = answer.opcode() == opcode::LOGIN_RESPONSE && answer.login_status() >> 8 == 2;
                refused || answer.opcode() == opcode::REJECT
            };
            assert!(answers.iter().all(fits), "{opcode:#04x}: {answers:?}");
        }
    }
    stage.end();
}

/// Before login, silence is limited by the login deadline.
#[test]
fn silence_before_and_during_login_ends_the_connection() {
    let stage = Stage::set();
    let request = login(NAME, &stage.daemon.target, &[]);
    let whole = request.clone().encode(Digests::default());
    // Stays in the operational stage and never asks for more.
    let mut half = request;
    half.bhs[1] = 0x04;
    let half = half.encode(Digests::default());
    let beginnings = [&[][..], &[0x43], &whole[..47], &whole[..whole.len() - 1], &half];
    let listen = |beginning: &&[u8]| {
        let mut client = stage.connect();
        client.send(beginning).expect("it is accepted");
        thread::spawn(move || client.receive_to_end().len())
    };
    let clients: Vec<JoinHandle<usize>> = beginnings.iter().map(listen).collect();
    let answers: Vec<_> = clients.into_iter().map(|client| client.join().expect("it is closed")).collect();
    assert!(answers.iter().all(|&answers| answers <= 2), "{answers:?}");
    stage.end();
}

#[test]
fn session_one_byte_at_a_time_works() {
    let stage = Stage::set();
    let mut client = stage.connect();
    let inquiry = RawPdu::scsi_command(0xc1, 0, 2, 96, &[0x12, 0, 0, 0, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let logout = RawPdu::logout(0, 3, 0);
    let pdus = [login(NAME, &stage.daemon.target, &[]), inquiry.sequenced(1, 0), logout.sequenced(2, 0)];
    let expected = [opcode::LOGIN_RESPONSE, opcode::DATA_IN, opcode::LOGOUT_RESPONSE];
    for (pdu, expected) in pdus.into_iter().zip(expected) {
        for byte in pdu.encode(Digests::default()) {
            client.send(&[byte]).expect("it reads");
        }
        assert_eq!(client.receive().expect("an answer").opcode(), expected);
    }
    assert_eq!(client.receive_to_end(), []);
    stage.end();
}

#[test]
fn text_that_breaks_the_rules_is_refused_with_an_initiator_error() {
    let stage = Stage::set();
    let target = stage.daemon.target.clone();
    let long_value = "x".repeat(10 * 1_024);
    let many: String = (0..2_000).fold(String::new(), |mut keys, n| {
        write!(keys, "X-key-{n}=1\0").expect("a string grows");
        keys
    });
    let with_text = |data: Vec<u8>| {
        let mut pdu = login(NAME, &target, &[]);
        pdu.data.extend(data);
        pdu
    };
    let no_name = text::encode(&[("TargetName".to_owned(), target.clone())]);
    let requests = [
        login(NAME, &target, &[("X-long", &long_value)]),
        login(NAME, &target, &[(&long_value, "x")]),
        login(NAME, &target, &[("HeaderDigest", "None"), ("HeaderDigest", "CRC32C")]),
        login(NAME, "iqn.2026-11.test:nobody", &[]),
        with_text(many.into_bytes()),
        with_text(b"no equals sign\0".to_vec()),
        with_text(vec![0xff, b'=', 0xfe, 0]),
        RawPdu { data: no_name, ..login(NAME, &target, &[]) },
    ];
    for (number, request) in requests.into_iter().enumerate() {
        let mut client = stage.connect();
        client.send(&request.encode(Digests::default())).expect("it is accepted");
        let answers = client.receive_to_end();
        let refused = |answer: &RawPdu| answer.opcode() == opcode::LOGIN_RESPONSE && answer.login_status() >> 8 == 2;
        assert!(answers.len() <= 1 && answers.iter().all(refused), "request {number}: {answers:?}");
    }
    stage.end();
}

/// The lengths say more than comes, or more than may come; memory for them is not set aside.
#[test]
fn lengths_that_lie_end_the_connection() {
    let stage = Stage::set();
    let target = stage.daemon.target.clone();
    let before = stage.daemon.resident_kib();
    for in_session in [false, true] {
        for (ahs_words, data_bytes, ahs) in [
            (0, 0x00ff_ffff_u32, vec![]),
            (0xff, 0, vec![0xff; 1_020]),
            (1, 0, vec![0xff; 4]),
            (2, 8, vec![0, 40, 1, 0, 9, 9, 9, 9]),
        ] {
            let mut client = if in_session {
                Client::log_in(stage.daemon.portal, NAME, &target).expect("a session")
            } else {
                stage.connect()
            };
            let mut pdu = if in_session {
                RawPdu::scsi_command(0xc1, 0, 2, 512, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
                    .sequenced(1, 0)
            } else {
                login(NAME, &target, &[])
            };
            pdu.data.clear();
            pdu.bhs[4] = ahs_words;
            pdu.bhs[5..8].copy_from_slice(&data_bytes.to_be_bytes()[1..]);
            pdu.ahs = ahs;
            // The target may close before all is sent.
            let _ = client.send(&pdu.encode_as_is(Digests::default()));
            let _ = client.finish();
            let answers = client.receive_to_end();
            assert!(answers.len() <= 2, "{answers:?}");
        }
    }
    assert!(stage.daemon.resident_kib() < before + 32 * 1_024);
    stage.end();
}

#[test]
fn thousands_of_connections_opened_and_dropped_leave_nothing_behind() {
    let stage = Stage::set();
    let (memory, descriptors) = (stage.daemon.resident_kib(), stage.daemon.descriptors());
    for number in 0..10_000 {
        let Ok(mut client) = Client::connect(stage.daemon.portal) else { continue };
        if number % 3 == 0 {
            // Whether it is still open or already refused does not matter here.
            let _ = client.send(&[0x43; 20]);
        }
    }
    let settled = (0..600).any(|_| {
        thread::sleep(Duration::from_millis(50));
        stage.daemon.descriptors() <= descriptors + 2
    });
    assert!(settled, "{} descriptors are open, there were {descriptors}", stage.daemon.descriptors());
    let grown = stage.daemon.resident_kib().saturating_sub(memory);
    assert!(grown < 64 * 1_024, "{grown} KiB are left behind");
    stage.end();
}

/// Clients that ask for all they can and take nothing: what waits for them has a bound.
#[test]
fn clients_that_never_read_are_not_remembered_without_bound() {
    let stage = Stage::set();
    let before = stage.daemon.resident_kib();
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let name = format!("{NAME}-{number}");
            let mut client = Client::log_in(stage.daemon.portal, &name, &stage.daemon.target).expect("a session");
            thread::spawn(move || {
                client.give_up_sending_after(Duration::from_secs(1)).expect("an open socket");
                // 256 blocks of 512 bytes.
                let cdb = [0x28, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
                for round in 0..20_000_u32 {
                    let read = RawPdu::scsi_command(0xc1, 0, 0, 131_072, &cdb);
                    let ping = RawPdu::nop_out(0, 0, NO_TAG, vec![0x77; 8_192]);
                    let pdu = if round < 128 { read } else { ping.immediate() };
                    if client.command(pdu).is_err() {
                        break;
                    }
                }
                client
            })
        })
        .collect();
    let clients: Vec<_> = clients.into_iter().map(|client| client.join().expect("it gives up")).collect();
    let grown = stage.daemon.resident_kib().saturating_sub(before);
    drop(clients);
    // The buffer pool has 128 MiB; each write list may hold 64 MiB of echoed data, less what the socket takes.
    assert!(grown < 768 * 1_024, "{grown} KiB");
    stage.end();
}

const NAME: &str = "iqn.2026-11.test:client";

/// A daemon, and a session that works all the time.
struct Stage {
    daemon: Daemon,
    witness: Witness,
    start: Instant,
    _directory: TempDir,
}

impl Stage {
    fn set() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let arguments = ["disk.img", "--size", "1MiB", "--mode", "wb", "--cores", "2"];
        let daemon = Daemon::start(env!("CARGO_BIN_EXE_quintain-under-test"), directory.path(), &arguments);
        let witness = Witness::start(daemon.portal, daemon.target.clone());
        Self { daemon, witness, start: Instant::now(), _directory: directory }
    }

    fn connect(&self) -> Client {
        Client::connect(self.daemon.portal).expect("it listens")
    }

    /// The witness noticed nothing, the daemon ends well, and its log is short.
    fn end(self) {
        self.witness.finish();
        let seconds = self.start.elapsed().as_secs() as usize;
        let (status, log) = self.daemon.end(Signal::TERM);
        assert!(status.success(), "{log:?}");
        assert!(!log.iter().any(|line| line.contains("invariant")), "{log:?}");
        // A handful of kinds of lines, each at most once a second, all from one address.
        assert!(log.len() <= 10 + 8 * (seconds + 1), "{} lines in {seconds} s: {log:?}", log.len());
    }
}

/// A well-behaved initiator in a thread of its own.
struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Witness {
    fn start(portal: SocketAddr, target: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let thread = thread::spawn(move || {
            // At least once after the last attack.
            while !asked.load(Ordering::Relaxed) {
                work(portal, &target);
            }
            work(portal, &target);
        });
        Self { stop, thread }
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it noticed nothing");
    }
}

/// One session that writes and reads for a while.
fn work(portal: SocketAddr, target: &str) {
    let unit = Unit { lun: 0, block_bytes: 512, blocks: 2_048, write_cache: true, nullio: false };
    let shared = Shared::new(5, target, vec![unit]);
    shared.phase.set(Phase::Healed);
    let plan = peaceful_plan();
    let report = SocketWorld::run(portal, async |world| initiator::run(world, &plan, shared.clone()).await);
    assert_eq!(*shared.violations.borrow(), []);
    assert_eq!((report.logins, report.steps_left), (1, 0), "its session was disturbed: {report:?}");
    assert_eq!(check_history(&shared.history.borrow()), []);
}

/// Writes each range before it reads it: what an earlier session left there is not its business.
fn peaceful_plan() -> InitiatorPlan {
    let (lun, blocks, cdb, fua, dpo) = (0, 16, CdbSize::Ten, false, false);
    let verbs = (0..40_u64).flat_map(|number| {
        let lba = number % 8 * 16;
        let write = Verb::Write { lun, lba, blocks, cdb, fua, dpo, expect_more: 0 };
        let read = Verb::Read { lun, lba, blocks, cdb, fua, dpo, expect_more: 0 };
        [write, Verb::Drain, read, Verb::Drain, Verb::Pause { ms: 10 }]
    });
    let step = |(verb, id)| Step { id, attribute: Attribute::Simple, immediate: false, flat: false, verb };
    InitiatorPlan {
        index: 0,
        name: "iqn.2026-11.test:witness".to_owned(),
        isid: [0x80, 0, 0, 0, 0, 1],
        initial_cmd_sn: 1,
        initial_tag: 1,
        queue_depth: 4,
        discovery: false,
        login_style: LoginStyle::Staged,
        immediate_bytes: 8_192,
        unsolicited: true,
        batch_bytes: 65_536,
        keys: Keys::default(),
        timeouts: Timeouts::default(),
        keeps_session: false,
        goes_on: false,
        hostile: None,
        steps: verbs.zip(0..).map(step).collect(),
    }
}
