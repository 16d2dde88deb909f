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

/// RFC 7143, section 6.3: the connection is terminated at once, also when less than a header comes, and the log says
/// what was spoken.
#[test]
fn first_bytes_of_other_protocols_end_the_connection() {
    let stage = Stage::set();
    let http = b"GET / HTTP/1.0\r\n\r\n".to_vec();
    let mut tls = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    tls.resize(517, 0x5a);
    let noise = (0..100_000).map(|n| n as u8).collect();
    let other = "it sent something that is not an iSCSI login";
    let cases = [
        (http, "it spoke HTTP, not iSCSI"),
        (tls, "it spoke TLS, not iSCSI"),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "it spoke SSH, not iSCSI"),
        (vec![0xff; 4_096], other),
        (noise, other),
    ];
    for (bytes, _) in &cases {
        let mut client = stage.connect();
        // The target may close before all is sent.
        let _ = client.send(bytes);
        let start = Instant::now();
        assert_eq!(client.receive_to_end(), []);
        assert!(start.elapsed() < Duration::from_secs(5), "it is closed at once, not at the login deadline");
        // A second later there is a line again.
        thread::sleep(Duration::from_millis(1_100));
    }
    let lines: Vec<String> = stage.end().into_iter().filter(|line| line.contains("closed before login")).collect();
    assert_eq!(lines.len(), cases.len(), "{lines:?}");
    for (line, (_, words)) in lines.iter().zip(&cases) {
        assert!(line.contains("WARN") && line.contains(words) && line.contains("127.0.0.1"), "{line}");
    }
}

/// RFC 7143, section 6.3: a PDU other than a Login Request before the login phase terminates the connection without an
/// answer.
#[test]
fn pdu_of_every_opcode_before_login_closes_without_an_answer() {
    let stage = Stage::set();
    for pdu in all_but_login() {
        let mut client = stage.connect();
        client.send(&pdu.clone().encode(Digests::default())).expect("it is accepted");
        assert_eq!(client.receive_to_end(), [], "{:#04x}", pdu.bhs[0]);
    }
    stage.end();
}

/// The same section: in the login phase it is answered with a Login Response of status 020Bh (invalid during login), and
/// then the connection is closed.
#[test]
fn pdu_of_every_opcode_during_login_is_refused_as_invalid_during_login() {
    let stage = Stage::set();
    let mut first = login(NAME, &stage.daemon.target, &[]);
    // Stays in the security stage.
    first.bhs[1] = 0;
    for pdu in all_but_login() {
        let mut client = stage.connect();
        client.send(&first.clone().encode(Digests::default())).expect("it is accepted");
        let answer = client.receive().expect("the login goes on");
        assert_eq!((answer.opcode(), answer.login_status(), answer.is_final()), (opcode::LOGIN_RESPONSE, 0, false));
        client.send(&pdu.clone().encode(Digests::default())).expect("it is accepted");
        let answers = client.receive_to_end();
        let statuses: Vec<_> = answers.iter().map(|answer| (answer.opcode(), answer.login_status())).collect();
        assert_eq!(statuses, [(opcode::LOGIN_RESPONSE, 0x020b)], "{:#04x}", pdu.bhs[0]);
    }
    stage.end();
}

/// A PDU of each opcode, for immediate delivery and not.
fn all_but_login() -> impl Iterator<Item = RawPdu> {
    (0..=0x3f).filter(|&opcode| opcode != opcode::LOGIN).flat_map(|opcode| {
        let mut pdu = RawPdu::new(opcode);
        pdu.bhs[1] = 0x80;
        [pdu.clone(), pdu.immediate()]
    })
}

/// Ten cores or one, a thousand ports or one: a second has a line of a kind about a machine, and a count.
#[test]
fn flood_from_one_machine_is_a_line_a_second_and_a_count() {
    const FLOOD: u64 = 1_000;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let arguments = ["disk.img", "--size", "1MiB", "--cores", "4"];
    let daemon = Daemon::start(env!("CARGO_BIN_EXE_quintain-under-test"), directory.path(), &arguments);
    let start = Instant::now();
    for number in 0..FLOOD {
        let mut client = Client::connect(daemon.portal).expect("it listens");
        // Sessions are on all cores, what speaks HTTP gets to one only.
        if number % 10 == 0 {
            let name = format!("{NAME}-{number}");
            Client::log_in(daemon.portal, &name, &daemon.target).expect("a session");
        }
        client.send(b"GET / HTTP/1.0\r\n\r\n").expect("it is accepted");
        assert_eq!(client.receive_to_end(), []);
    }
    // The last count is told a second later.
    thread::sleep(Duration::from_millis(1_500));
    let seconds = start.elapsed().as_secs() as usize + 1;
    let (status, log) = daemon.end(Signal::TERM);
    assert!(status.success(), "{log:?}");
    for (kind, expected) in
        [("closed before login", FLOOD), ("session started", FLOOD / 10), ("session ended", FLOOD / 10)]
    {
        let lines: Vec<&String> = log.iter().filter(|line| line.contains(kind)).collect();
        assert!(!lines.is_empty() && lines.len() <= seconds + 1, "{} lines in {seconds} s: {lines:?}", lines.len());
        let counts = lines.iter().map(|line| match line.split_once(" lines=") {
            Some((_, count)) => count.split_whitespace().next().and_then(|count| count.parse().ok()).expect("a number"),
            None => 1,
        });
        assert_eq!(counts.sum::<u64>(), expected, "{lines:?}");
    }
}

/// Before login, silence is limited by the login deadline.
#[test]
fn silence_before_and_during_login_ends_the_connection() {
    let stage = Stage::set();
    let request = login(NAME, &stage.daemon.target, &[]);
    let whole = request.clone().encode(Digests::default());
    // Stays in the security stage and never asks for more.
    let mut half = request;
    half.bhs[1] = 0;
    let half = half.encode(Digests::default());
    let beginnings = [&[][..], &[0x43], &whole[..47], &whole[..whole.len() - 1], &half];
    let listen = |beginning: &&[u8]| {
        let mut client = stage.connect();
        client.send(beginning).expect("it is accepted");
        thread::spawn(move || client.receive_to_end().len())
    };
    let clients: Vec<JoinHandle<usize>> = beginnings.iter().map(listen).collect();
    let answers: Vec<_> = clients.into_iter().map(|client| client.join().expect("it is closed")).collect();
    assert_eq!(answers, [0, 0, 0, 0, 1]);
    assert!(
        (14..25).contains(&stage.start.elapsed().as_secs()),
        "the deadline is 15 s, not {:?}",
        stage.start.elapsed()
    );
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

/// Clients that ask for all they can and take nothing: what waits for each is its write list, `write_list_bytes` (16 MiB)
/// in docs/LIMITS.md. Half of them ping, and then nothing more is received when the list is full. The others read as
/// much as the command window (128) lets them: exactly 16 MiB, from the pool.
#[test]
fn clients_that_never_read_are_not_remembered_without_bound() {
    const CLIENTS: u64 = 8;
    const WRITE_LIST_KIB: u64 = 16 * 1_024;
    // Headers, receive buffers, what one receive adds to a list that is almost full, what the allocator rounds up.
    const OVERHEAD_KIB: u64 = 4 * 1_024;
    let stage = Stage::set();
    let before = stage.daemon.resident_kib();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let name = format!("{NAME}-{number}");
            let mut client = Client::log_in(stage.daemon.portal, &name, &stage.daemon.target).expect("a session");
            thread::spawn(move || {
                client.give_up_sending_after(Duration::from_secs(1)).expect("an open socket");
                // 256 blocks of 512 bytes.
                let cdb = [0x28, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
                let (count, pdu) = if number % 2 == 0 {
                    (20_000, RawPdu::nop_out(0, 0, NO_TAG, vec![0x77; 8_192]).immediate())
                } else {
                    (128, RawPdu::scsi_command(0xc1, 0, 0, 131_072, &cdb))
                };
                let sent = (0..count).take_while(|_| client.command(pdu.clone()).is_ok()).count();
                assert!(sent == 128 || sent < 20_000, "the target goes on receiving from who never reads");
                client
            })
        })
        .collect();
    let clients: Vec<_> = clients.into_iter().map(|client| client.join().expect("it gives up")).collect();
    let grown = || stage.daemon.resident_kib().saturating_sub(before);
    let full = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(50));
        grown() > CLIENTS * WRITE_LIST_KIB * 3 / 4
    });
    assert!(full, "{} KiB: the write lists are not full, and this tests nothing", grown());
    assert!(grown() < CLIENTS * (WRITE_LIST_KIB + OVERHEAD_KIB), "{} KiB", grown());
    drop(clients);
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

    /// The witness noticed nothing, the daemon ends well, and its log is short. The log is returned.
    fn end(self) -> Vec<String> {
        self.witness.finish();
        let seconds = self.start.elapsed().as_secs() as usize;
        let (status, log) = self.daemon.end(Signal::TERM);
        assert!(status.success(), "{log:?}");
        assert!(!log.iter().any(|line| line.contains("invariant")), "{log:?}");
        // A handful of kinds of lines, each at most once a second, all from one address.
        assert!(log.len() <= 10 + 8 * (seconds + 1), "{} lines in {seconds} s: {log:?}", log.len());
        log
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
    let unit = Unit { lun: 0, block_bytes: 512, blocks: 2_048, write_cache: true, nullio: false, read_only: false };
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
        [write, Verb::Drain, read, Verb::Drain, Verb::Pause { ms: 10, us: 0 }]
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
