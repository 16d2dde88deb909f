//! Which seeds are whose, when many machines run them.
//!
//! Shard k of n runs the seeds base + k, base + k + n, base + k + 2 n, ... : nobody has to tell another one what is
//! taken, all shards together run the seeds that one machine alone would, and each shard may end early.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of several parts of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct Shard {
    number: u64,
    of: u64,
}

impl Shard {
    /// Everything.
    pub(super) const WHOLE: Self = Self { number: 0, of: 1 };

    fn new(number: u64, of: u64) -> Result<Self, String> {
        if number < of {
            return Ok(Self { number, of });
        }
        Err(format!("there is no shard {number} of {of}; they count from 0"))
    }

    /// What the command line says, or else the scheduler that started this process (`variable` looks into its
    /// environment): an Indexed Job of Kubernetes, which does not tell how many there are, or an array of Slurm.
    pub(super) fn find(
        asked: Option<Self>,
        shards: Option<u64>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let number = |name: &str| {
            let parse = |text: String| text.parse().map_err(|_| format!("{name} is \"{text}\", which is no number"));
            variable(name).map(parse).transpose()
        };
        if let Some(asked) = asked {
            return Ok(asked);
        }
        if let Some(index) = number("JOB_COMPLETION_INDEX")? {
            let of =
                shards.ok_or("JOB_COMPLETION_INDEX is set: say with --shards how many there are, or --shard 0/1")?;
            return Self::new(index, of);
        }
        if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
            let first: u64 = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let count = number("SLURM_ARRAY_TASK_COUNT")?;
            let of =
                shards.or(count).ok_or("SLURM_ARRAY_TASK_ID is set, but not SLURM_ARRAY_TASK_COUNT; say --shards")?;
            return Self::new(id.saturating_sub(first), of);
        }
        match shards {
            None | Some(1) => Ok(Self::WHOLE),
            Some(_) => Err("--shards needs JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID; or say --shard K/N".to_owned()),
        }
    }

    /// Its part of so many seeds.
    pub(super) fn share(self, seeds: u64) -> u64 {
        seeds.saturating_sub(self.number).div_ceil(self.of)
    }

    /// Its seed with this index.
    pub(super) fn seed(self, base: u64, index: u64) -> u64 {
        base.wrapping_add(self.number).wrapping_add(index.wrapping_mul(self.of))
    }

    /// Whether the seed is one of its first `count`.
    pub(super) fn has(self, base: u64, count: u64, seed: u64) -> bool {
        let distance = seed.wrapping_sub(self.seed(base, 0));
        distance.is_multiple_of(self.of) && distance / self.of < count
    }

    /// Its number, from zero.
    pub(super) fn number(self) -> u64 {
        self.number
    }

    /// How many there are.
    pub(super) fn of(self) -> u64 {
        self.of
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        let (number, of) = parts.ok_or_else(|| format!("\"{text}\" is not a shard; write one like 0/8"))?;
        Self::new(number, of)
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(shards: Option<u64>, variables: &[(&str, &str)]) -> Result<String, String> {
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Shard::find(None, shards, variable).map(String::from)
    }

    #[test]
    fn shards_partition_the_seeds_of_one_machine() {
        for (base, seeds, of) in [(0, 100, 1), (7, 100, 8), (u64::MAX - 5, 23, 4), (3, 2, 5)] {
            let mut all = Vec::new();
            for number in 0..of {
                let shard = Shard::new(number, of).expect("it is below");
                let share = shard.share(seeds);
                let own: Vec<u64> = (0..share).map(|index| shard.seed(base, index)).collect();
                assert!(own.iter().all(|&seed| shard.has(base, share, seed)));
                assert!(!shard.has(base, share, shard.seed(base, share)));
                assert!(all.iter().all(|&seed| !shard.has(base, share, seed)), "shard {shard} of {seeds} from {base}");
                all.extend(own);
            }
            all.sort_by_key(|seed| seed.wrapping_sub(base));
            assert_eq!(all, (0..seeds).map(|index| base.wrapping_add(index)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn scheduler_says_which_shard_it_is() {
        assert_eq!(find(None, &[]), Ok("0/1".to_owned()));
        assert_eq!(find(Some(16), &[("JOB_COMPLETION_INDEX", "3")]), Ok("3/16".to_owned()));
        let slurm = [("SLURM_ARRAY_TASK_ID", "8"), ("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_COUNT", "8")];
        assert_eq!(find(None, &slurm), Ok("7/8".to_owned()));
    }

    #[test]
    fn shard_that_is_not_known_for_sure_is_an_error_and_not_all_seeds_again() {
        for (shards, variables) in [
            (None, &[("JOB_COMPLETION_INDEX", "3")][..]),
            (Some(3), &[("JOB_COMPLETION_INDEX", "3")]),
            (None, &[("SLURM_ARRAY_TASK_ID", "3")]),
            (None, &[("SLURM_ARRAY_TASK_ID", "three")]),
            (Some(8), &[]),
        ] {
            assert!(find(shards, variables).is_err(), "{shards:?} {variables:?}");
        }
        assert!(["8/8", "1", "/8", "1/0", "-1/8"].iter().all(|text| text.parse::<Shard>().is_err()));
    }
}
