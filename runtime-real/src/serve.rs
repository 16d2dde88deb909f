//! `quintain serve`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use quintain_core::limits::Limits;
use quintain_core::target::{NodeConfig, TargetConfig};
use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use tracing::{error, info, warn};

use crate::banner::Banner;
use crate::cli::ServeArguments;
use crate::daemon::{Daemon, Setup, Stopped};
use crate::{ServeError, high_water, identity, log, portal, storage};

/// Serves until a signal, and says with the exit code whether everything was made durable.
#[must_use]
pub fn run(arguments: ServeArguments) -> ExitCode {
    log::start(arguments.log);
    raise_descriptor_limit();
    // Before anything is served: a signal from now on ends it cleanly, or is answered.
    let signals = match Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]) {
        Ok(signals) => signals,
        Err(source) => return refuse(&arguments, &ServeError::Resources { source }),
    };
    match start(&arguments) {
        Ok(daemon) => serve(daemon, signals, arguments.log),
        Err(error) => refuse(&arguments, &error),
    }
}

fn start(arguments: &ServeArguments) -> Result<Daemon, ServeError> {
    let requests = arguments.luns()?;
    let addresses =
        if arguments.listen.is_empty() { vec![portal::default_address()] } else { arguments.listen.clone() };
    let listeners = portal::bind(&addresses)?;
    let first = requests.values().find_map(|request| request.path.as_deref());
    let name = arguments.iqn.clone().unwrap_or_else(|| identity::target_name(first));
    // A wrong name is found before a file is created for it.
    check_name(&name)?;
    let luns = storage::open_all(&name, &requests)?;
    let disks = luns.iter().filter_map(|(&lun, opened)| Some(((0, lun), opened.disk.clone()?))).collect();
    let configs = luns.iter().map(|(&lun, opened)| (lun, opened.config.clone())).collect();
    let target = TargetConfig { name: name.clone(), alias: None, luns: configs };
    let mut limits = Limits::default();
    if let Some(workers) = arguments.workers {
        limits.workers = workers;
    }
    let node = NodeConfig { targets: vec![target], limits, initial_stat_sn: None, initial_ttt: 0 };
    let shards = NonZero::new(arguments.cores).unwrap_or(NonZero::<u16>::MIN);
    let daemon = Daemon::start(Setup { node, disks, listeners, shards })?;
    announce(arguments.log, &Banner { target: &name, luns: &luns, portals: daemon.addresses() });
    Ok(daemon)
}

fn check_name(name: &str) -> Result<(), ServeError> {
    let target = TargetConfig { name: name.to_owned(), alias: None, luns: BTreeMap::new() };
    Ok(NodeConfig { targets: vec![target], ..NodeConfig::default() }.check()?)
}

fn announce(format: log::Format, banner: &Banner<'_>) {
    match format {
        // Somebody who closed our standard output does not want to read this.
        log::Format::Text => drop(writeln!(io::stdout(), "{banner}").and_then(|()| io::stdout().flush())),
        log::Format::Json => {
            let portals = banner.portals.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ");
            info!(target_name = banner.target, portals, luns = banner.luns.len(), "serving");
            if !banner.is_local() {
                warn!("reachable from the network, and there is no authentication yet");
            }
        }
    }
}

/// Answers signals until one says to stop.
fn serve(daemon: Daemon, mut signals: Signals, format: log::Format) -> ExitCode {
    let ends = |signal: &i32| *signal != SIGUSR1;
    for _ in signals.forever().take_while(|signal| !ends(signal)) {
        high_water::tell(format, &daemon.high_water());
    }
    info!("stopping; a second signal ends at once");
    let first = Instant::now();
    thread::spawn(move || {
        // Whoever signals a process and then its group does not mean it twice.
        let _ = signals.forever().find(|signal| ends(signal) && first.elapsed() >= SAME_SIGNAL);
        error!("ended by a second signal; acknowledged data in volatile caches was not flushed");
        std::process::exit(1);
    });
    let stopped = daemon.stop(STOP_DEADLINE);
    tell(&stopped);
    let clean = stopped.report.flush_errors.is_empty() && stopped.report.sessions_left == 0;
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(Stopped { report, high_water }: &Stopped) {
    if let Some(limits) = high_water::met(high_water) {
        info!("limits met since the start: {limits}");
    }
    if report.commands_aborted > 0 {
        warn!(commands = report.commands_aborted, "commands that did not finish in time were aborted");
    }
    if report.sessions_left > 0 {
        error!(
            sessions = report.sessions_left,
            "sessions that did not end were left behind; this is a bug in Quintain, please report it"
        );
    }
    for failure in &report.flush_errors {
        error!("not flushed, acknowledged data may be lost: {failure}");
    }
    if report.flush_errors.is_empty() && report.sessions_left == 0 {
        info!("stopped, everything acknowledged is durable");
    }
}

/// One message, and nothing served.
fn refuse(arguments: &ServeArguments, error: &ServeError) -> ExitCode {
    match arguments.log {
        // There is nowhere left to say that standard error is closed.
        log::Format::Text => drop(writeln!(io::stderr(), "quintain: {error}")),
        log::Format::Json => error!("{error}"),
    }
    ExitCode::FAILURE
}

/// A connection is a descriptor; the soft limit is often 1,024.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Best effort: with fewer descriptors, fewer connections are accepted.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Signals that come so close after the first are the same one.
const SAME_SIGNAL: Duration = Duration::from_secs(1);
/// How long commands in flight may take to finish.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
