//! The daemon as a process: it announces itself, serves, stops on a signal and survives being killed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use quintain_core::limits::Limits;
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn missing_file_is_created_announced_and_served_until_sigterm() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let daemon = Daemon::start(directory.path(), &["My Disk.img", "--size", "8MiB"]);
    let name = "iqn.2026-11.io.quintain:my-disk";
    for line in [
        format!("target       {name}"),
        "My Disk.img (8 MiB, fileio, write-through, 512-byte blocks, created)".to_owned(),
        "this machine only".to_owned(),
        format!("iscsiadm -m node -T {name} -p {} --login", daemon.address),
        format!("file=iscsi://{}/{name}/0,format=raw", daemon.address),
        format!("iscsi-ls -s iscsi://{}", daemon.address),
    ] {
        assert!(daemon.banner.contains(&line), "\"{line}\" is missing in:\n{}", daemon.banner);
    }
    assert_eq!(fs::metadata(directory.path().join("My Disk.img")).expect("it was created").len(), 8 << 20);
    let (status, log) = daemon.end(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped, everything acknowledged is durable"), "{log}");
}

#[test]
fn sigint_ends_it_too_on_two_cores_with_an_open_connection() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let daemon = Daemon::start(directory.path(), &["--type", "nullio", "--size", "1TiB", "--cores", "2"]);
    let _idle = TcpStream::connect(daemon.address).expect("it listens");
    let (status, log) = daemon.end(Signal::INT);
    assert_eq!(status.code(), Some(0), "{log}");
}

/// One connection more than one machine may have in login is refused; SIGUSR1 and the end tell of it.
#[test]
fn sigusr1_tells_how_close_the_limits_came_to_being_met() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut daemon = Daemon::start(directory.path(), &["--type", "nullio", "--size", "1GiB", "--cores", "2"]);
    let connect = |_| TcpStream::connect(daemon.address).expect("it listens");
    let mut connections: Vec<_> = (0..129).map(connect).collect();
    let refused = connections.last_mut().expect("129 of them").read(&mut [0]);
    assert!(refused.is_err() || refused.is_ok_and(|count| count == 0), "the last one is closed");
    kill_process(Pid::from_child(&daemon.child), Signal::USR1).expect("it runs");
    let mut log = BufReader::new(daemon.child.stderr.take().expect("a pipe"));
    let mut table = String::new();
    while !table.contains("\nlinger ") {
        assert_ne!(log.read_line(&mut table).expect("text"), 0, "it ended: {table}");
    }
    let row =
        |name: &str| table.lines().find(|line| line.starts_with(name)).map(|line| line.split_whitespace().collect());
    assert_eq!(row("limit "), Some(vec!["limit", "value", "highest", "times", "met"]));
    assert_eq!(row("logins_per_peer "), Some(vec!["logins_per_peer", "128", "128", "1"]));
    assert_eq!(row("connections "), Some(vec!["connections", "1024", "129", "0"]));
    drop(connections);
    kill_process(Pid::from_child(&daemon.child), Signal::TERM).expect("it still runs");
    let mut rest = String::new();
    log.read_to_string(&mut rest).expect("text");
    assert!(rest.contains("limits met since the start: logins_per_peer (128) once"), "{rest}");
}

/// The kernel tells of lost pages once on each open file description: what waits for them must not share one.
#[test]
fn each_core_opens_a_file_for_itself_and_for_each_of_its_durable_writes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let daemon = Daemon::start(directory.path(), &["disk.img", "--size", "8MiB", "--cores", "2"]);
    let disk = directory.path().join("disk.img");
    let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).expect("it runs");
    let links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    // And the first one, which has the lock.
    assert_eq!(links.filter(|link| *link == disk).count(), 1 + 2 * Limits::default().disk_handles() as usize);
}

/// A shell's `timeout` signals the process and then its group.
#[test]
fn signal_that_comes_twice_at_once_is_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let daemon = Daemon::start(directory.path(), &["disk.img", "--size", "8MiB"]);
    kill_process(Pid::from_child(&daemon.child), Signal::TERM).expect("it runs");
    let (status, log) = daemon.end(Signal::INT);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("second signal;"), "{log}");
}

#[test]
fn killed_daemon_starts_again_on_the_same_port_and_file() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut daemon = Daemon::start(directory.path(), &["disk.img", "--size", "1MiB"]);
    for _ in 0..3 {
        let _connection = TcpStream::connect(daemon.address).expect("it listens");
        let address = daemon.address.to_string();
        let (status, _) = daemon.end(Signal::KILL);
        assert!(!status.success());
        daemon = Daemon::start(directory.path(), &["disk.img", "--listen", &address]);
        assert_eq!(daemon.address.to_string(), address);
    }
}

#[test]
fn second_daemon_on_the_same_file_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let _daemon = Daemon::start(directory.path(), &["disk.img", "--size", "1MiB"]);
    let second = command(directory.path(), &["disk.img"]).output().expect("the binary is there");
    assert!(!second.status.success());
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(message.contains("disk.img is in use by another process"), "{message}");
}

#[test]
fn what_is_not_iscsi_is_closed_and_others_are_still_served() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let daemon = Daemon::start(directory.path(), &["--type", "nullio", "--size", "1GiB", "--listen", "[::1]:0"]);
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: quintain\r\n\r\n"[..], &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc], &[0xff; 4_096], &[]]
    {
        let mut connection = TcpStream::connect(daemon.address).expect("it listens");
        connection.write_all(garbage).expect("there is room");
        let _ = connection.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        // Whether it ends with an answer, an end or a reset: it ends.
        let _ = connection.read_to_end(&mut answer);
    }
    let (status, log) = daemon.end(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("broken invariant"), "{log}");
}

/// A running daemon; killed on drop.
struct Daemon {
    child: Child,
    _output: BufReader<ChildStdout>,
    banner: String,
    address: SocketAddr,
}

impl Daemon {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut child = command(directory, arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary is there");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut banner = String::new();
        // The line for libiscsi is the last one.
        while !banner.contains("iscsi-ls") {
            if output.read_line(&mut banner).expect("text") == 0 {
                let (_, log) = wait(child);
                panic!("it ended: {banner}{log}");
            }
        }
        let address = banner.lines().find_map(|line| line.trim().strip_prefix("listening")).expect("it listens");
        let address = address.trim().parse().expect("an address");
        Self { child, _output: output, banner, address }
    }

    fn end(mut self, signal: Signal) -> (ExitStatus, String) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
        let status = self.child.wait().expect("it was started here");
        let mut log = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut log).expect("text");
        (status, log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintain"));
    command.arg("serve").args(arguments).current_dir(directory);
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command
}

fn wait(child: Child) -> (ExitStatus, String) {
    let output = child.wait_with_output().expect("it was started here");
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}
