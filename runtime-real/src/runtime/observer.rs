//! Events become log lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quintain_core::connection::login::LoginStatus;
use quintain_core::event::Event;
use quintain_core::id::{ConnectionId, NexusId};
use tracing::{debug, error, info, warn};

/// Who is connected, on all shards. Touched when a connection or session comes or goes, never by a command.
#[derive(Clone, Default, Debug)]
pub struct Peers {
    directory: Arc<Mutex<Directory>>,
}

#[derive(Default, Debug)]
struct Directory {
    connections: BTreeMap<ConnectionId, SocketAddr>,
    sessions: BTreeMap<NexusId, SocketAddr>,
}

impl Peers {
    fn with<T>(&self, use_directory: impl FnOnce(&mut Directory) -> T) -> T {
        // Plain maps are whole at every step, so a panic elsewhere leaves nothing half-done.
        use_directory(&mut self.directory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Turns one shard's events into log lines, at most one a second of a kind for each peer.
pub(super) struct Observer {
    peers: Peers,
    limiter: RefCell<Limiter>,
}

impl Observer {
    pub(super) fn new(peers: Peers) -> Self {
        Self { peers, limiter: RefCell::default() }
    }

    pub(super) fn observe(&self, event: &Event) {
        match *event {
            Event::ConnectionOpened { connection, peer } => {
                self.peers.with(|directory| directory.connections.insert(connection, peer));
                debug!(%peer, "connection opened");
            }
            Event::ConnectionClosed { connection, why } => {
                let peer = self.peers.with(|directory| directory.connections.remove(&connection));
                debug!(peer = %Shown(peer), why, "connection closed");
            }
            Event::SessionStarted { connection, nexus, discovery } => {
                self.session_started(connection, nexus, discovery)
            }
            Event::SessionContinued { connection, nexus } => self.session_continued(connection, nexus),
            Event::SessionEnded { nexus } => {
                if let Some(peer) = self.peers.with(|directory| directory.sessions.remove(&nexus)) {
                    self.limited("session ended", Some(peer), |left_out| info!(%peer, left_out, "session ended"));
                }
            }
            Event::ConnectionRefused { limit } => {
                self.limited("refused", None, |left_out| warn!(limit, left_out, "connection refused"));
            }
            Event::LoginRefused { connection, status } => {
                let peer = self.peer_of(connection);
                let status = LoginStatus(status);
                self.limited("login", peer, |left_out| {
                    warn!(peer = %Shown(peer), %status, why = status.meaning(), left_out, "login refused");
                });
            }
            Event::ProtocolViolation { connection, what } => {
                let peer = self.peer_of(connection);
                self.limited(
                    "protocol",
                    peer,
                    |left_out| warn!(peer = %Shown(peer), what, left_out, "protocol violation"),
                );
            }
            _ => self.observe_tasks(event),
        }
    }

    fn session_started(&self, connection: ConnectionId, nexus: NexusId, discovery: bool) {
        let Some(peer) = self.peer_of(connection) else { return };
        if discovery {
            self.limited("discovery", Some(peer), |left_out| debug!(%peer, left_out, "discovery session"));
            return;
        }
        self.peers.with(|directory| directory.sessions.insert(nexus, peer));
        self.limited("session started", Some(peer), |left_out| info!(%peer, left_out, "session started"));
    }

    fn session_continued(&self, connection: ConnectionId, nexus: NexusId) {
        let Some(peer) = self.peer_of(connection) else { return };
        self.peers.with(|directory| directory.sessions.insert(nexus, peer));
        self.limited("session continued", Some(peer), |left_out| {
            info!(%peer, left_out, "session goes on over a new connection");
        });
    }

    fn observe_tasks(&self, event: &Event) {
        match *event {
            Event::TaskAborted { nexus, lun, disowned: true, .. } => {
                let peer = self.peers.with(|directory| directory.sessions.get(&nexus).copied());
                self.limited("disowned", peer, |left_out| {
                    warn!(peer = %Shown(peer), %lun, left_out, "the disk did not finish an aborted command in time");
                });
            }
            Event::PeerAsked { connection } => {
                debug!(peer = %Shown(self.peer_of(connection)), "a silent peer was asked for a sign of life");
            }
            Event::MediumFailed { lun, offset_bytes, length_bytes, write } => {
                let what = if write { "write failed" } else { "read failed" };
                self.limited("medium", None, |left_out| error!(%lun, offset_bytes, length_bytes, left_out, "{what}"));
            }
            Event::FlushFailed { lun } => self.limited("flush", None, |left_out| {
                error!(%lun, left_out, "flush failed: acknowledged data may be lost, no more writes are taken");
            }),
            Event::LimitMet { limit } => self.limited(limit, None, |left_out| warn!(limit, left_out, "limit met")),
            _ => {}
        }
    }

    fn peer_of(&self, connection: ConnectionId) -> Option<SocketAddr> {
        self.peers.with(|directory| directory.connections.get(&connection).copied())
    }

    /// Calls `log` with the number of lines that were left out since the last one, if any, unless that was under a
    /// second ago.
    fn limited(&self, kind: &'static str, peer: Option<SocketAddr>, log: impl FnOnce(Option<u64>)) {
        let admitted = self.limiter.borrow_mut().admit((kind, peer.map(|peer| peer.ip())), Instant::now());
        if let Some(left_out) = admitted {
            log((left_out > 0).then_some(left_out));
        }
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

type Key = (&'static str, Option<IpAddr>);

/// When a line was last written and how many were left out since.
#[derive(Default)]
struct Limiter {
    lines: BTreeMap<Key, (Instant, u64)>,
}

impl Limiter {
    fn admit(&mut self, key: Key, now: Instant) -> Option<u64> {
        if let Some((last, left_out)) = self.lines.get_mut(&key)
            && now.duration_since(*last) < INTERVAL
        {
            *left_out += 1;
            return None;
        }
        if self.lines.len() >= KEYS_MAX && !self.lines.contains_key(&key) {
            self.lines.retain(|_, (last, _)| now.duration_since(*last) < INTERVAL);
            if self.lines.len() >= KEYS_MAX {
                return None;
            }
        }
        let left_out = self.lines.insert(key, (now, 0)).map_or(0, |(_, left_out)| left_out);
        Some(left_out)
    }
}

/// Between two lines of a kind for one peer.
const INTERVAL: Duration = Duration::from_secs(1);
/// Kinds times peers that are remembered.
const KEYS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_line_within_a_second_is_counted_and_not_written() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        assert_eq!(limiter.admit(("kind", None), start), Some(0));
        assert_eq!(limiter.admit(("kind", None), start + Duration::from_millis(10)), None);
        assert_eq!(limiter.admit(("other", None), start + Duration::from_millis(10)), Some(0));
        assert_eq!(limiter.admit(("kind", None), start + Duration::from_millis(1_010)), Some(1));
    }

    #[test]
    fn many_peers_at_once_do_not_grow_the_table() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        for n in 0..10_000_u32 {
            limiter.admit(("kind", Some(IpAddr::from(n.to_be_bytes()))), start);
        }
        assert!(limiter.lines.len() <= KEYS_MAX);
    }
}
