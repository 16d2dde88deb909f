//! Which shard owns which session: asked once per login, never on the I/O path.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{ShardId, Tsih};
use crate::session::SessionKey;

/// The sessions of a node, those that are logging in included.
#[derive(Debug)]
pub(crate) struct Directory {
    owners: BTreeMap<SessionKey, Owner>,
    /// Sessions by shard.
    load: Vec<u32>,
    tsihs: BTreeSet<u16>,
    last_tsih: u16,
}

#[derive(Debug)]
struct Owner {
    shard: ShardId,
    /// The session itself and logins that want to take its place.
    claims: u32,
}

impl Directory {
    pub(crate) fn new(shards: u16) -> Self {
        Self { owners: BTreeMap::new(), load: vec![0; usize::from(shards)], tsihs: BTreeSet::new(), last_tsih: 0 }
    }

    /// The shard that owns the session `key`, or will: the one that has it already, else the least loaded. `None`:
    /// the target has `sessions_max` sessions. Every claim is given back with [`Directory::release`].
    pub(crate) fn claim(&mut self, key: &SessionKey, sessions_max: u32) -> Option<ShardId> {
        if let Some(owner) = self.owners.get_mut(key) {
            owner.claims += 1;
            return Some(owner.shard);
        }
        let most = if crate::planted!(SessionTooMany) { sessions_max + 1 } else { sessions_max };
        if self.sessions_of(key.target) >= most as usize {
            return None;
        }
        let shards = 0..self.load.len();
        let chosen = if shards.len() > 1 && crate::buggify!(SessionElsewhere) {
            shards.max_by_key(|&shard| self.load[shard])?
        } else {
            shards.min_by_key(|&shard| self.load[shard])?
        };
        self.load[chosen] += 1;
        let shard = ShardId(chosen as u16);
        self.owners.insert(key.clone(), Owner { shard, claims: 1 });
        Some(shard)
    }

    pub(crate) fn release(&mut self, key: &SessionKey) {
        let Some(owner) = self.owners.get_mut(key) else { return };
        owner.claims -= 1;
        if owner.claims == 0 {
            self.load[usize::from(owner.shard.0)] -= 1;
            self.owners.remove(key);
        }
    }

    /// A handle that no session of the node has; zero is reserved (RFC 7143, section 11.12.6).
    pub(crate) fn new_tsih(&mut self) -> Option<Tsih> {
        if self.tsihs.len() >= usize::from(u16::MAX) {
            return None;
        }
        loop {
            self.last_tsih = self.last_tsih.wrapping_add(1);
            if self.last_tsih != 0 && self.tsihs.insert(self.last_tsih) {
                return Some(Tsih(self.last_tsih));
            }
        }
    }

    pub(crate) fn release_tsih(&mut self, tsih: Tsih) {
        self.tsihs.remove(&tsih.0);
    }

    /// Sessions of a target, those that are logging in included.
    pub(crate) fn sessions_of(&self, target: usize) -> usize {
        self.owners.keys().filter(|key| key.target == target).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.owners.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Isid;

    fn key(initiator: &str) -> SessionKey {
        SessionKey { target: 0, initiator: initiator.into(), isid: Isid::default() }
    }

    #[test]
    fn new_session_goes_to_the_least_loaded_shard_and_a_returning_one_to_its_owner() {
        let mut directory = Directory::new(2);
        assert_eq!(directory.claim(&key("a"), 9), Some(ShardId(0)));
        assert_eq!(directory.claim(&key("b"), 9), Some(ShardId(1)));
        assert_eq!(directory.claim(&key("b"), 9), Some(ShardId(1)));
        directory.release(&key("a"));
        directory.release(&key("b"));
        assert_eq!(directory.claim(&key("c"), 9), Some(ShardId(0)));
        assert_eq!(directory.claim(&key("b"), 9), Some(ShardId(1)));
    }

    #[test]
    fn target_with_all_its_sessions_takes_no_more_but_lets_one_return() {
        let mut directory = Directory::new(1);
        assert!(directory.claim(&key("a"), 1).is_some());
        assert_eq!(directory.claim(&key("b"), 1), None);
        assert!(directory.claim(&key("a"), 1).is_some());
    }

    #[test]
    fn handles_are_never_zero_and_never_twice() {
        let mut directory = Directory::new(1);
        directory.last_tsih = u16::MAX - 1;
        assert_eq!(directory.new_tsih(), Some(Tsih(u16::MAX)));
        assert_eq!(directory.new_tsih(), Some(Tsih(1)));
        directory.last_tsih = 0;
        assert_eq!(directory.new_tsih(), Some(Tsih(2)));
        directory.release_tsih(Tsih(1));
        directory.last_tsih = 0;
        assert_eq!(directory.new_tsih(), Some(Tsih(1)));
    }
}
