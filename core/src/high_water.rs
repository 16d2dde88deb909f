//! How close each limit of a shard came to being met: its high-water mark, and how often something was refused, held
//! back or given up for it.
//!
//! A limit is enforced where it is used, and what came of it is noted there as well, after the fact: a mark above its
//! limit is a bug (oracle S4 of the simulator).

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::env::Runtime;
use crate::limits::Limits;

/// The limits of a shard, each with its mark.
#[derive(Debug)]
pub struct Bounds {
    limits: Limits,
    pub(crate) marks: Marks,
    /// When somebody was refused a buffer last.
    buffer_refused: Cell<Option<Duration>>,
}

impl Bounds {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let mut marks = Marks::new(&limits);
        // What the share comes to says more than the divisor.
        marks.pool_shares.limit = limits.pool_share_bytes().into();
        Self { limits, marks, buffer_refused: Cell::new(None) }
    }

    /// What became of each limit so far.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        self.marks.all().into_iter().map(Mark::read).collect()
    }

    /// A buffer from the shard's pool. Who gets none tells [`Bounds::refuse_buffer`].
    pub(crate) fn buffer<R: Runtime>(&self, runtime: &R, length_bytes: usize) -> Option<R::Buf> {
        let buffer = runtime.alloc(length_bytes);
        self.marks.pool_bytes.reach(self.pool_bytes.saturating_sub(runtime.pool_free_bytes()));
        buffer
    }

    /// Somebody is refused a buffer for the limit of `mark`. Tells its name.
    pub(crate) fn refuse_buffer(&self, mark: &Mark, now: Duration) -> &'static str {
        self.buffer_refused.set(Some(now));
        mark.meet()
    }

    /// Whether somebody was refused a buffer since `since`.
    pub(crate) fn buffers_are_short(&self, since: Duration) -> bool {
        self.buffer_refused.get().is_some_and(|at| at >= since)
    }
}

impl Deref for Bounds {
    type Target = Limits;

    fn deref(&self) -> &Limits {
        &self.limits
    }
}

/// What became of one limit since the start.
#[derive(Debug)]
pub(crate) struct Mark {
    name: &'static str,
    kind: Kind,
    limit: Limit,
    highest: Cell<u64>,
    met: Cell<u64>,
}

impl Mark {
    fn new(name: &'static str, kind: Kind, limit: Limit) -> Self {
        Self { name, kind, limit, highest: Cell::new(0), met: Cell::new(0) }
    }

    /// There are so many now.
    pub(crate) fn reach(&self, count: usize) {
        self.highest.set(self.highest.get().max(count as u64));
    }

    /// Something was refused, held back or given up for this limit. Tells its name.
    pub(crate) fn meet(&self) -> &'static str {
        self.met.set(self.met.get() + 1);
        self.name
    }

    /// The most there ever were.
    pub(crate) fn highest(&self) -> u64 {
        self.highest.get()
    }

    fn read(&self) -> Reading {
        let highest = (self.kind != Kind::Strikes).then(|| self.highest.get());
        Reading { name: self.name, kind: self.kind, limit: self.limit, highest, met: self.met.get() }
    }
}

/// What a limit does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// There are never more.
    Bounds,
    /// Nothing more is begun; what is under way may come on top.
    HoldsBack,
    /// It is over, or not: there is nothing to count.
    Strikes,
}

/// The value of a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// In the unit that [`Limits`] says.
    Count(u64),
    /// A deadline.
    Time(Duration),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Time(time) => write!(f, "{time:?}"),
        }
    }
}

impl From<u16> for Limit {
    fn from(count: u16) -> Self {
        Self::Count(count.into())
    }
}

impl From<u32> for Limit {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<usize> for Limit {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<Duration> for Limit {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

/// What a mark says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The field of [`Limits`].
    pub name: &'static str,
    kind: Kind,
    /// Its value; for `pool_shares`, the bytes that a share comes to.
    pub limit: Limit,
    /// The most there ever were; `None` where nothing is counted.
    pub highest: Option<u64>,
    /// How often something was refused, held back or given up for it.
    pub met: u64,
}

impl Reading {
    /// There were more than there may be.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        match (self.kind, self.limit, self.highest) {
            (Kind::Bounds, Limit::Count(limit), Some(highest)) => highest > limit,
            _ => false,
        }
    }

    /// The readings of all shards as one: the highest of each, and the sum of how often they were met.
    #[must_use]
    pub fn merge(shards: impl IntoIterator<Item = Vec<Self>>) -> Vec<Self> {
        let merge = |mut merged: Vec<Self>, shard: Vec<Self>| {
            for (one, other) in merged.iter_mut().zip(shard) {
                one.highest = one.highest.max(other.highest);
                one.met += other.met;
            }
            merged
        };
        shards.into_iter().reduce(merge).unwrap_or_default()
    }
}

/// Declares a mark for each limit, by what it does.
macro_rules! marks {
    ($($kind:ident { $($name:ident,)* })*) => {
        /// A mark for each field of [`Limits`].
        #[derive(Debug)]
        pub(crate) struct Marks {
            $($(pub(crate) $name: Mark,)*)*
        }

        impl Marks {
            fn new(limits: &Limits) -> Self {
                // Without `..`: a limit that has no mark does not compile.
                let Limits { $($($name,)*)* } = limits.clone();
                Self { $($($name: Mark::new(stringify!($name), Kind::$kind, $name.into()),)*)* }
            }

            fn all(&self) -> Vec<&Mark> {
                vec![$($(&self.$name,)*)*]
            }
        }
    };
}

marks! {
    Bounds {
        connections,
        logins_per_peer,
        sessions_per_target,
        text_bytes,
        text_keys,
        text_exchanges,
        ahs_bytes,
        max_recv_data_segment_bytes,
        max_burst_bytes,
        max_outstanding_r2t,
        command_window,
        immediate_commands,
        task_management_functions,
        task_set_tasks,
        work_queue_tasks,
        workers,
        disowned_tasks,
        durable_writes,
        transfer_bytes,
        transfer_interruptions,
        pool_bytes,
        pool_shares,
    }
    HoldsBack {
        write_list_pdus,
        write_list_bytes,
    }
    Strikes {
        stall_bytes,
        login_deadline,
        abort_deadline,
        data_out_deadline,
        initiator_stall,
        nop_interval,
        nop_timeout,
        send_stall,
        stop_sessions,
        final_flush,
        linger,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../docs/LIMITS.md");

    #[test]
    fn mark_keeps_the_highest_and_counts_what_was_refused() {
        let bounds = Bounds::new(Limits { task_set_tasks: 2, ..Limits::default() });
        for count in [1, 2, 1] {
            bounds.marks.task_set_tasks.reach(count);
        }
        assert_eq!(bounds.marks.task_set_tasks.meet(), "task_set_tasks");
        let reading = bounds.readings().into_iter().find(|reading| reading.name == "task_set_tasks").expect("a mark");
        assert_eq!((reading.limit, reading.highest, reading.met), (Limit::Count(2), Some(2), 1));
        assert!(!reading.is_exceeded());
        bounds.marks.task_set_tasks.reach(3);
        bounds.marks.write_list_pdus.reach(usize::MAX);
        let exceeded: Vec<_> = bounds.readings().into_iter().filter(Reading::is_exceeded).collect();
        assert_eq!(exceeded.iter().map(|reading| reading.name).collect::<Vec<_>>(), ["task_set_tasks"]);
    }

    #[test]
    fn buffers_are_short_from_a_refusal_on_for_those_who_waited_before_it() {
        let bounds = Bounds::new(Limits::default());
        let at = Duration::from_secs;
        assert!(!bounds.buffers_are_short(at(0)));
        assert_eq!(bounds.refuse_buffer(&bounds.marks.pool_shares, at(7)), "pool_shares");
        assert!(bounds.buffers_are_short(at(7)));
        assert!(!bounds.buffers_are_short(at(8)));
    }

    #[test]
    fn shards_merge_to_the_highest_and_to_the_sum() {
        let (one, other) = (Bounds::new(Limits::default()), Bounds::new(Limits::default()));
        one.marks.workers.reach(3);
        other.marks.workers.reach(5);
        one.marks.linger.meet();
        other.marks.linger.meet();
        let merged = Reading::merge([one.readings(), other.readings()]);
        let of = |name| merged.iter().find(|reading| reading.name == name).expect("a mark");
        assert_eq!(of("workers").highest, Some(5));
        assert_eq!((of("linger").highest, of("linger").met), (None, 2));
    }

    /// A limit without a mark does not compile; one without a row in the page, or a row without a limit, fails here.
    #[test]
    fn every_limit_has_a_row_in_the_page() {
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let mut rows: Vec<&str> = rows.collect();
        let mut names: Vec<&str> = Bounds::new(Limits::default()).readings().iter().map(|mark| mark.name).collect();
        rows.sort_unstable();
        names.sort_unstable();
        assert_eq!(rows, names);
    }
}
