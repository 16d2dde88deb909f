//! Time as the peer has it: what it owes cannot come while the target receives nothing.

use std::time::Duration;

/// A moment, with how long nothing had been received until then because the write list was full.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Moment {
    /// On the runtime's clock.
    pub(crate) at: Duration,
    deaf: Duration,
}

/// Counts the pauses in receiving.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    sum: Duration,
    since: Option<Duration>,
}

impl Pauses {
    /// Nothing is received from `now` on.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.since = Some(now);
    }

    /// From `now` on, the peer is listened to again.
    pub(crate) fn end(&mut self, now: Duration) {
        self.sum = self.until(now);
        self.since = None;
    }

    /// `now` as a moment.
    pub(crate) fn moment(&self, now: Duration) -> Moment {
        Moment { at: now, deaf: self.until(now) }
    }

    /// When `limit` of listening has passed since `since`, if there is no pause before. In a pause, `None` unless it had
    /// passed when the pause began: else who has one at each look would never be overdue.
    pub(crate) fn over_at(&self, since: Moment, limit: Duration) -> Option<Duration> {
        let missed = self.sum - since.deaf.min(self.sum);
        let due = since.at + missed + limit;
        self.since.is_none_or(|pause| due <= pause).then_some(due)
    }

    fn until(&self, now: Duration) -> Duration {
        self.sum + self.since.map_or(Duration::ZERO, |since| now - since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pause_in_receiving_is_not_counted_against_the_peer() {
        let mut pauses = Pauses::default();
        let asked = pauses.moment(at(100));
        assert_eq!(pauses.over_at(asked, LIMIT), Some(at(110)));
        pauses.begin(at(103));
        assert_eq!(pauses.over_at(asked, LIMIT), None, "nothing could come");
        let in_the_pause = pauses.moment(at(105));
        pauses.end(at(107));
        assert_eq!(pauses.over_at(asked, LIMIT), Some(at(114)));
        assert_eq!(pauses.over_at(in_the_pause, LIMIT), Some(at(117)), "its time begins with the end of the pause");
    }

    /// Looks fell into pauses, one like the other, and nothing was ever overdue.
    #[test]
    fn what_was_overdue_when_a_pause_began_is_so_in_it() {
        let mut pauses = Pauses::default();
        let asked = pauses.moment(at(100));
        pauses.begin(at(109));
        assert_eq!(pauses.over_at(asked, LIMIT), None);
        pauses.end(at(111));
        pauses.begin(at(112));
        assert_eq!(pauses.over_at(asked, LIMIT), Some(at(112)));
        let in_the_pause = pauses.moment(at(113));
        assert_eq!(pauses.over_at(in_the_pause, LIMIT), None);
    }

    #[test]
    fn peer_that_makes_the_write_list_full_again_and_again_gains_no_time() {
        let mut pauses = Pauses::default();
        let asked = pauses.moment(at(100));
        for round in 0..9 {
            pauses.begin(at(101 + round));
            pauses.end(at(101 + round));
        }
        assert_eq!(pauses.over_at(asked, LIMIT), Some(at(110)));
    }
}
