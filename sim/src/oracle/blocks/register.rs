//! One sector as a register whose writes all differ: Gibbons and Korach, "Testing Shared Memories" (1997).
//!
//! A write and the reads that name it form a cluster. The first of its commands to end, `until`, and the last to
//! begin, `since`, say all that matters: another cluster must come before it when it has a command that ended before
//! `since`. A history is linearizable exactly when no two clusters must each come before the other.

use super::op::Moment;

/// A write and the reads that saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cluster {
    /// The write: its index among the commands, or [`super::sector::ZERO`] and the like for what was there before.
    pub(super) value: u32,
    /// The end of the first of its commands to end: it was there by then.
    pub(super) until: Moment,
    /// That command.
    pub(super) until_op: u32,
    /// The start of the last of its commands to begin: it was still there, or not yet, then.
    pub(super) since: Moment,
    /// That command.
    pub(super) since_op: u32,
    /// It was read, or it was certainly written: else it may as well not exist.
    pub(super) required: bool,
}

impl Cluster {
    /// One of its commands ended before one of the other's began.
    fn must_precede(&self, other: &Self) -> bool {
        self.until < other.since
    }

    /// It held the register without a break from `until` to `since`.
    pub(super) fn is_forward(&self) -> bool {
        self.until < self.since
    }
}

/// Two clusters each of which must come before the other, if there are any; the first of them is forward. Sorts
/// `clusters`.
pub(super) fn conflict(clusters: &mut [Cluster]) -> Option<(Cluster, Cluster)> {
    clusters.sort_unstable_by_key(|cluster| (!cluster.is_forward(), cluster.until, cluster.since));
    let forward = clusters.iter().take_while(|cluster| cluster.is_forward()).count();
    let (forward, backward) = clusters.split_at(forward);
    for pair in forward.windows(2) {
        if pair[1].must_precede(&pair[0]) {
            return Some((pair[0], pair[1]));
        }
    }
    // Forward clusters do not overlap from here on, so only the last that began before `other` can enclose it.
    for other in backward {
        let begun = forward.partition_point(|cluster| cluster.must_precede(other));
        if let Some(cluster) = begun.checked_sub(1).map(|last| forward[last])
            && other.must_precede(&cluster)
        {
            return Some((cluster, *other));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cluster(value: u32, until: Moment, since: Moment) -> Cluster {
        Cluster { value, until, until_op: value, since, since_op: value, required: true }
    }

    #[test]
    fn write_between_two_reads_of_an_older_value_conflicts() {
        let mut clusters = [cluster(0, 2, 9), cluster(1, 6, 4)];
        assert_eq!(conflict(&mut clusters).map(|(stale, lost)| (stale.value, lost.value)), Some((0, 1)));
    }

    #[test]
    fn overlapping_writes_in_either_order_agree() {
        assert_eq!(conflict(&mut [cluster(0, 5, 1), cluster(1, 6, 2), cluster(2, 4, 3)]), None);
    }

    proptest! {
        #[test]
        fn conflict_agrees_with_a_look_at_every_pair(moments in prop::collection::vec((0u32..40, 0u32..40), 0..12)) {
            let mut clusters: Vec<_> =
                moments.iter().enumerate().map(|(value, &(until, since))| cluster(value as u32, until, since)).collect();
            let expected = clusters.iter().any(|one| {
                clusters.iter().any(|other| one.value != other.value && one.must_precede(other) && other.must_precede(one))
            });
            prop_assert_eq!(conflict(&mut clusters).is_some(), expected);
        }
    }
}
