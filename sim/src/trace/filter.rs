//! Which events of a trace somebody wants to see.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::{Entry, line};

/// Something to follow: `itt=0x12`, `op=41`, `connection=3`, `lun=1`, `initiator=0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follow {
    /// An Initiator Task Tag, also where it is the referenced one.
    Itt(u32),
    /// A command of the history.
    Op(u64),
    /// A connection.
    Connection(u64),
    /// A logical unit.
    Lun(u16),
    /// An initiator.
    Initiator(u32),
}

impl FromStr for Follow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" follows nothing; write itt=0x12, op=41, connection=3, lun=1 or initiator=0");
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let number = crate::plan::parse_seed(value).map_err(|_| wrong())?;
        let small = u32::try_from(number).map_err(|_| wrong());
        Ok(match name {
            "itt" => Self::Itt(small?),
            "op" => Self::Op(number),
            "connection" => Self::Connection(number),
            "lun" => Self::Lun(u16::try_from(number).map_err(|_| wrong())?),
            "initiator" => Self::Initiator(small?),
            _ => return Err(wrong()),
        })
    }
}

impl Follow {
    fn matches(self, entry: &Entry) -> bool {
        match self {
            Self::Itt(itt) => entry.itt == Some(itt) || entry.referenced == Some(itt),
            Self::Op(op) => entry.op == Some(op),
            Self::Connection(connection) => entry.connection == Some(connection),
            Self::Lun(lun) => entry.lun == Some(lun),
            Self::Initiator(initiator) => entry.initiator == Some(initiator),
        }
    }
}

/// What to show. Everything that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// The event's short line or its JSON contains this.
    pub grep: Option<String>,
    /// The event is about all of these, or led to one that is.
    pub follow: Vec<Follow>,
    /// Not earlier than this, in microseconds.
    pub from_us: Option<u64>,
    /// Not later than this, in microseconds.
    pub to_us: Option<u64>,
    /// The passing of bytes too, and not only changes of state.
    pub bytes: bool,
}

impl Filter {
    /// Those of `entries` that it lets through.
    #[must_use]
    pub fn apply<'a>(&self, entries: &'a [Entry]) -> Vec<&'a Entry> {
        let followed = self.followed(entries);
        let shown = |entry: &&Entry| {
            (self.bytes || entry.is_change())
                && self.from_us.is_none_or(|from| from <= entry.at_us)
                && self.to_us.is_none_or(|to| entry.at_us <= to)
                && followed.as_ref().is_none_or(|followed| followed.contains(&entry.seq))
                && self.grep.as_ref().is_none_or(|text| line(entry).contains(text) || entry.to_json().contains(text))
        };
        entries.iter().filter(shown).collect()
    }

    /// The events that are followed, with what led to them.
    fn followed(&self, entries: &[Entry]) -> Option<BTreeSet<u64>> {
        if self.follow.is_empty() {
            return None;
        }
        let causes: BTreeMap<u64, u64> = entries.iter().filter_map(|entry| Some((entry.seq, entry.cause?))).collect();
        let mut followed = BTreeSet::new();
        for entry in entries.iter().filter(|entry| self.follow.iter().all(|follow| follow.matches(entry))) {
            let mut next = Some(entry.seq);
            while let Some(seq) = next.filter(|&seq| followed.insert(seq)) {
                next = causes.get(&seq).copied();
            }
        }
        Some(followed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let entry =
            |seq: u64, kind: &'static str| Entry { seq, at_us: 10 * seq, kind: kind.into(), ..Entry::default() };
        vec![
            Entry { lun: Some(1), ..entry(0, "fault") },
            Entry { itt: Some(0x12), initiator: Some(0), ..entry(1, "invoke") },
            Entry { itt: Some(0x12), initiator: Some(1), ..entry(2, "invoke") },
            Entry { itt: Some(0x12), initiator: Some(0), ..entry(3, "bytes-sent") },
            Entry { itt: Some(0x12), initiator: Some(0), cause: Some(0), ..entry(4, "disk-failed") },
            Entry { itt: Some(0x13), referenced: Some(0x12), initiator: Some(0), ..entry(5, "target-received") },
        ]
    }

    fn shown(filter: &Filter) -> Vec<u64> {
        filter.apply(&entries()).iter().map(|entry| entry.seq).collect()
    }

    fn following(what: &[&str]) -> Filter {
        let follow = what.iter().map(|what| what.parse().expect("it is right")).collect();
        Filter { follow, ..Filter::default() }
    }

    #[test]
    fn followed_task_comes_with_what_struck_it() {
        assert_eq!(shown(&following(&["itt=0x12"])), [0, 1, 2, 4, 5]);
        assert_eq!(shown(&following(&["itt=18", "initiator=0"])), [0, 1, 4, 5]);
        assert_eq!(shown(&Filter { bytes: true, ..following(&["itt=0x12", "initiator=0"]) }), [0, 1, 3, 4, 5]);
        assert_eq!(shown(&following(&["lun=1"])), [0]);
    }

    #[test]
    fn time_and_text_narrow_what_is_shown() {
        let filter = Filter { from_us: Some(20), to_us: Some(40), ..Filter::default() };
        assert_eq!(shown(&filter), [2, 4]);
        assert_eq!(shown(&Filter { grep: Some("disk-f".to_owned()), ..Filter::default() }), [4]);
    }

    #[test]
    fn what_follows_nothing_is_refused() {
        for wrong in ["itt", "itt=", "itt=x", "lun=65536", "task=1", "itt=0x100000000"] {
            assert!(wrong.parse::<Follow>().is_err(), "{wrong}");
        }
    }
}
