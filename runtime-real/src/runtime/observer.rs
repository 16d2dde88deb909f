//! Events become log lines, at most one a second of a kind for each peer, whatever the number of cores.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quintain_core::connection::login::LoginStatus;
use quintain_core::event::Event;
use quintain_core::id::{ConnectionId, NexusId};
use tracing::level_filters::LevelFilter;
use tracing::{Level, debug, error, info, warn};

use super::limiter::{Admission, INTERVAL, Key, Limiter};
use super::ring;

/// Who is connected and what was logged of them, on all shards. Touched when a connection or session comes or goes or
/// something is worth a line, never by a command.
#[derive(Clone, Default, Debug)]
pub struct Peers {
    directory: Arc<Mutex<Directory>>,
}

#[derive(Default, Debug)]
struct Directory {
    connections: BTreeMap<ConnectionId, SocketAddr>,
    sessions: BTreeMap<NexusId, Session>,
    lines: Limiter,
}

/// A normal session, for its last line.
#[derive(Debug)]
struct Session {
    peer: SocketAddr,
    initiator: String,
    target: String,
}

impl Peers {
    fn with<T>(&self, use_directory: impl FnOnce(&mut Directory) -> T) -> T {
        // Plain maps are whole at every step, so a panic elsewhere leaves nothing half-done.
        use_directory(&mut self.directory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Turns one shard's events into log lines.
pub(super) struct Observer {
    peers: Peers,
}

impl Observer {
    pub(super) fn new(peers: Peers) -> Self {
        Self { peers }
    }

    pub(super) fn observe(&self, event: &Event) {
        match *event {
            Event::ConnectionOpened { connection, peer } => {
                self.peers.with(|directory| directory.connections.insert(connection, peer));
                self.limited(Level::DEBUG, "connection opened", Some(peer), |kind| debug!(%peer, "{kind}"));
            }
            Event::ConnectionClosed { connection, why } => {
                let peer = self.peers.with(|directory| directory.connections.remove(&connection));
                self.limited(
                    Level::DEBUG,
                    "connection closed",
                    peer,
                    |kind| debug!(peer = %Shown(peer), why, "{kind}"),
                );
            }
            Event::SessionStarted { connection, nexus, ref initiator, ref target, .. } => {
                self.session_started(connection, nexus, initiator, target.as_deref());
            }
            Event::SessionContinued { connection, nexus } => self.session_continued(connection, nexus),
            Event::SessionEnded { nexus, why } => self.session_ended(nexus, why),
            Event::ConnectionRefused { peer, limit } => {
                self.limited(Level::WARN, "connection refused", Some(peer), |kind| warn!(%peer, limit, "{kind}"));
            }
            Event::LoginRefused { connection, status } => {
                let peer = self.peer_of(connection);
                let status = LoginStatus(status);
                self.limited(Level::WARN, "login refused", peer, |kind| {
                    warn!(peer = %Shown(peer), %status, why = status.meaning(), "{kind}");
                });
            }
            Event::LoginBroken { connection, why, spoke } => self.login_broken(self.peer_of(connection), why, spoke),
            Event::ProtocolViolation { connection, what } => {
                let peer = self.peer_of(connection);
                self.limited(
                    Level::WARN,
                    "protocol violation",
                    peer,
                    |kind| warn!(peer = %Shown(peer), what, "{kind}"),
                );
            }
            _ => self.observe_tasks(event),
        }
    }

    fn session_started(&self, connection: ConnectionId, nexus: NexusId, initiator: &str, target: Option<&str>) {
        let Some(peer) = self.peer_of(connection) else { return };
        let Some(target) = target else {
            self.limited(Level::DEBUG, "discovery session", Some(peer), |kind| debug!(%peer, initiator, "{kind}"));
            return;
        };
        let session = Session { peer, initiator: initiator.to_owned(), target: target.to_owned() };
        self.peers.with(|directory| directory.sessions.insert(nexus, session));
        self.limited(Level::INFO, "session started", Some(peer), |kind| info!(%peer, initiator, "{kind}"));
    }

    /// One that logs out needs no words. What ends otherwise, somebody may want to know more about.
    fn session_ended(&self, nexus: NexusId, why: &'static str) {
        let ended = self.peers.with(|directory| directory.sessions.remove(&nexus));
        let Some(Session { peer, initiator, target }) = ended else { return };
        if why == "logout" {
            self.limited(Level::INFO, "session logged out", Some(peer), |kind| info!(%peer, initiator, "{kind}"));
        } else {
            self.limited(
                Level::INFO,
                "session ended",
                Some(peer),
                |kind| info!(%peer, initiator, target_name = target, "{kind}: {why}"),
            );
        }
    }

    /// Who says nothing at all is a monitor that looks whether the port is open, more often than not.
    fn login_broken(&self, peer: Option<SocketAddr>, why: &'static str, spoke: bool) {
        if spoke {
            self.limited(Level::WARN, "closed before login", peer, |kind| warn!(peer = %Shown(peer), "{kind}: {why}"));
        } else {
            self.limited(Level::INFO, "silent connection", peer, |kind| info!(peer = %Shown(peer), "{kind}: {why}"));
        }
    }

    fn session_continued(&self, connection: ConnectionId, nexus: NexusId) {
        let Some(peer) = self.peer_of(connection) else { return };
        self.peers.with(|directory| {
            if let Some(session) = directory.sessions.get_mut(&nexus) {
                session.peer = peer;
            }
        });
        let kind = "session goes on over a new connection";
        self.limited(Level::INFO, kind, Some(peer), |kind| info!(%peer, "{kind}"));
    }

    fn observe_tasks(&self, event: &Event) {
        match *event {
            Event::TaskAborted { nexus, lun, disowned: true, .. } => {
                let peer = self.peers.with(|directory| directory.sessions.get(&nexus).map(|session| session.peer));
                self.limited(Level::WARN, "the disk did not finish an aborted command in time", peer, |kind| {
                    warn!(peer = %Shown(peer), %lun, "{kind}");
                });
            }
            Event::PeerAsked { connection } => {
                let peer = self.peer_of(connection);
                self.limited(
                    Level::DEBUG,
                    "a silent peer was asked for a sign of life",
                    peer,
                    |kind| debug!(peer = %Shown(peer), "{kind}"),
                );
            }
            Event::MediumFailed { lun, offset_bytes, length_bytes, write } => {
                let kind = if write { "write failed" } else { "read failed" };
                self.limited(Level::ERROR, kind, None, |kind| error!(%lun, offset_bytes, length_bytes, "{kind}"));
            }
            Event::FlushFailed { lun } => self.limited(Level::ERROR, "flush failed", None, |kind| {
                error!(%lun, "{kind}: acknowledged data may be lost, no more writes are taken");
            }),
            Event::LimitMet { limit } | Event::TaskRefused { limit, .. } => {
                self.limited(Level::WARN, limit, None, |limit| warn!(limit, "limit met"));
            }
            _ => {}
        }
    }

    fn peer_of(&self, connection: ConnectionId) -> Option<SocketAddr> {
        self.peers.with(|directory| directory.connections.get(&connection).copied())
    }

    /// Lets `log` write a line of `kind`, unless the last one about this peer was under a second ago. What is left out
    /// is counted, and a line says how much it was when the second is over.
    fn limited(&self, level: Level, kind: &'static str, peer: Option<SocketAddr>, log: impl FnOnce(&'static str)) {
        if level > LevelFilter::current() {
            return;
        }
        let key = Key::new(kind, peer.map(|peer| peer.ip()));
        match self.peers.with(|directory| directory.lines.admit(key, Instant::now())) {
            Admission::Written => log(kind),
            Admission::FirstLeftOut(key) => ring::spawn(tell_left_out(self.peers.clone(), level, key)),
            Admission::LeftOut => {}
        }
    }
}

/// Says how many lines were left out, once it may.
async fn tell_left_out(peers: Peers, level: Level, key: Key) {
    ring::sleep(INTERVAL).await;
    let lines = peers.with(|directory| directory.lines.tell(key, Instant::now()));
    let kind = key.kind;
    let peer = key.peers();
    let peer = peer.as_ref().map(tracing::field::display);
    match level {
        Level::ERROR => error!(peer, lines, "{kind}: more lines were left out"),
        Level::WARN => warn!(peer, lines, "{kind}: more lines were left out"),
        Level::INFO => info!(peer, lines, "{kind}: more lines were left out"),
        _ => debug!(peer, lines, "{kind}: more lines were left out"),
    }
}

/// A peer that may not be known.
struct Shown(Option<SocketAddr>);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(peer) => peer.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}
