//! The daemon as a process.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A running daemon; killed on drop.
pub struct Daemon {
    child: Child,
    /// Kept open, so that the daemon can always write to it.
    _output: BufReader<ChildStdout>,
    log: mpsc::Receiver<String>,
    /// The name of its target.
    pub target: String,
    /// Where it listens.
    pub portal: SocketAddr,
}

impl Daemon {
    /// Starts `program serve` with `arguments` in `directory`, and returns when it serves. It listens on a port that
    /// the kernel chooses unless the arguments name one.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(program: &str, directory: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.arg("serve").args(arguments).current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command.spawn().expect("the binary is there");
        let log = read_lines(child.stderr.take().expect("a pipe"));
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut banner = String::new();
        // The line for libiscsi is the last one.
        while !banner.contains("iscsi-ls") {
            if output.read_line(&mut banner).expect("text") == 0 {
                panic!("the daemon ended: {banner}{}", log.iter().collect::<String>());
            }
        }
        let field = |name: &str| banner.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
        let target = field("target").expect("it has a name").to_owned();
        let portal = field("listening").and_then(|address| address.parse().ok()).expect("it listens");
        Self { child, _output: output, log, target, portal }
    }

    /// Resident memory, in KiB.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches("kB").trim().parse().expect("a number")
    }

    /// Open descriptors.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// Sends `signal`, and returns how it ended and the lines of its log.
    ///
    /// # Panics
    /// When it has ended before, or does not end within a minute.
    #[must_use]
    pub fn end(mut self, signal: Signal) -> (ExitStatus, Vec<String>) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().expect("it was started here") {
                return (status, self.log.iter().collect());
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("it does not end on {signal:?}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes all lines off `source`, so that its writer never waits.
fn read_lines(source: impl io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            if sender.send(line + "\n").is_err() {
                return;
            }
        }
    });
    receiver
}
