//! How often a line of a kind is written about a peer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use quintain_core::id::machine;

/// Between two lines of a kind about one peer.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// Kinds times peers that are remembered. Further peers share a line of each kind.
const KEYS_MAX: usize = 4_096;

/// What counts as the same line: a kind about one machine, whatever port it comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub(super) kind: &'static str,
    /// `None`: about no peer, or about all that there is no room for.
    peer: Option<IpAddr>,
}

impl Key {
    /// A line about a peer.
    pub(super) fn new(kind: &'static str, peer: Option<IpAddr>) -> Self {
        Self { kind, peer: peer.map(machine) }
    }

    /// Whom it is about, for a log line.
    pub(super) fn peers(&self) -> Option<String> {
        self.peer.map(|peer| if peer.is_ipv6() { format!("{peer}/64") } else { peer.to_string() })
    }
}

/// What becomes of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It is written.
    Written,
    /// It is left out, the first one; [`Limiter::tell`] is to be called for this key in an [`INTERVAL`].
    FirstLeftOut(Key),
    /// It is left out and counted.
    LeftOut,
}

/// When a line was last written, and how many were left out since.
#[derive(Default, Debug)]
pub(super) struct Limiter {
    lines: BTreeMap<Key, (Instant, u64)>,
}

impl Limiter {
    pub(super) fn admit(&mut self, mut key: Key, now: Instant) -> Admission {
        if self.lines.len() >= KEYS_MAX && !self.lines.contains_key(&key) {
            self.lines.retain(|_, line| !is_over(line, now));
            if self.lines.len() >= KEYS_MAX {
                key.peer = None;
            }
        }
        match self.lines.get_mut(&key) {
            Some(line) if !is_over(line, now) => {
                line.1 += 1;
                if line.1 == 1 { Admission::FirstLeftOut(key) } else { Admission::LeftOut }
            }
            _ => {
                self.lines.insert(key, (now, 0));
                Admission::Written
            }
        }
    }

    /// How many lines were left out; to say so counts as a line.
    pub(super) fn tell(&mut self, key: Key, now: Instant) -> u64 {
        self.lines.insert(key, (now, 0)).map_or(0, |(_, left_out)| left_out)
    }
}

/// Whether nothing about it has to be remembered.
fn is_over(&(written, left_out): &(Instant, u64), now: Instant) -> bool {
    left_out == 0 && now.duration_since(written) >= INTERVAL
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &'static str, peer: &str) -> Key {
        Key::new(kind, Some(peer.parse().expect("an address")))
    }

    #[test]
    fn line_within_a_second_is_counted_and_told() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let one = key("kind", "192.0.2.7");
        assert_eq!(limiter.admit(one, at(0)), Admission::Written);
        assert_eq!(limiter.admit(one, at(10)), Admission::FirstLeftOut(one));
        assert_eq!(limiter.admit(one, at(20)), Admission::LeftOut);
        assert_eq!(limiter.admit(key("other", "192.0.2.7"), at(20)), Admission::Written);
        assert_eq!(limiter.admit(key("kind", "192.0.2.8"), at(20)), Admission::Written);
        // The count is still to be told, and nothing is written before.
        assert_eq!(limiter.admit(one, at(1_005)), Admission::LeftOut);
        assert_eq!(limiter.tell(one, at(1_010)), 3);
        assert_eq!(limiter.admit(one, at(2_000)), Admission::FirstLeftOut(one));
        assert_eq!(limiter.tell(one, at(2_010)), 1);
        assert_eq!(limiter.admit(one, at(3_010)), Admission::Written);
    }

    #[test]
    fn machine_is_one_peer_with_all_its_addresses() {
        assert_eq!(key("kind", "2001:db8::1"), key("kind", "2001:db8::ffff:2"));
        assert_ne!(key("kind", "2001:db8::1"), key("kind", "2001:db8:0:1::1"));
        assert_eq!(key("kind", "::ffff:192.0.2.7"), key("kind", "192.0.2.7"));
        assert_ne!(key("kind", "::ffff:192.0.2.7"), key("kind", "::ffff:192.0.2.8"));
        assert_eq!(key("kind", "2001:db8:0:1::9").peers().as_deref(), Some("2001:db8:0:1::/64"));
    }

    #[test]
    fn many_peers_at_once_share_a_line_and_do_not_grow_the_table() {
        let (mut limiter, start) = (Limiter::default(), Instant::now());
        let key = |n: u32| Key::new("kind", Some(IpAddr::from(n.to_be_bytes())));
        let written = (0..10_000).filter(|&n| limiter.admit(key(n), start) == Admission::Written).count();
        assert_eq!(written, KEYS_MAX + 1);
        assert_eq!(limiter.lines.len(), KEYS_MAX + 1);
        assert_eq!(limiter.tell(Key::new("kind", None), start), 10_000 - KEYS_MAX as u64 - 1);
        // A second later there is room again.
        let later = start + 2 * INTERVAL;
        assert_eq!(limiter.admit(key(20_000), later), Admission::Written);
        assert_eq!(limiter.lines.len(), 1);
    }
}
