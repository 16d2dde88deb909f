//! One direction of a connection: a bounded stream of segments, each with its time of arrival.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::NEVER;
use crate::chunk::Chunk;
use crate::planted::planted;
use crate::random::Draws;

/// The most one read gives, in bytes.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Where a PDU's fields begin and end: the places at which a cut hurts most.
const FIELD_EDGES: [usize; 16] = [1, 2, 4, 5, 8, 16, 20, 24, 32, 40, 44, 47, 48, 49, 52, 53];

/// The path between one initiator and the target, the same in both directions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// The shortest time a byte takes, in microseconds.
    pub latency_min_us: u64,
    /// What it takes on top, on average: doubled with probability one half, again and again.
    pub latency_tail_us: u64,
    /// One segment in this many is late by another 20 tails; zero: none.
    pub slow_one_in: u64,
    /// Nanoseconds that a kibibyte occupies the path: the bandwidth.
    pub ns_per_kib: u64,
    /// Bytes that may be sent and not read: what the sockets' buffers hold together. Zero: the window is closed.
    pub window_bytes: usize,
    /// Where the stream is cut.
    pub cut: Cut,
    /// A read gives all that has arrived, and not only one segment.
    pub coalesce: bool,
}

/// Where the stream is cut into segments (N1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "at", content = "bytes")]
pub enum Cut {
    /// Nowhere but where the window ends.
    Nowhere,
    /// After this many bytes, as a path with this segment size does.
    Every(usize),
    /// After one to this many bytes.
    Random(usize),
    /// At the edges of the fields of a PDU.
    Fields,
    /// Once, behind so many bytes of the stream.
    At(usize),
}

impl Default for Link {
    /// A good local network.
    fn default() -> Self {
        Self {
            latency_min_us: 50,
            latency_tail_us: 10,
            slow_one_in: 0,
            ns_per_kib: 800,
            window_bytes: 256 << 10,
            cut: Cut::Nowhere,
            coalesce: true,
        }
    }
}

impl Link {
    /// The shortest time a byte takes.
    #[must_use]
    pub fn latency_min(&self) -> Duration {
        Duration::from_micros(self.latency_min_us)
    }
}

pub(crate) struct Pipe {
    link: Link,
    draws: Draws,
    segments: VecDeque<Segment>,
    unread: usize,
    last_arrival: Duration,
    stall_until: Duration,
    fin_at: Option<Duration>,
    reset_at: Option<Duration>,
    writer_reset_at: Option<Duration>,
    reader_closed: bool,
    cut_off_in: Option<u64>,
    /// Bytes of the stream so far.
    sent: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Segment {
    arrival: Duration,
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

/// What a reader finds.
pub(crate) enum Read {
    Bytes(Chunk),
    End,
    Reset,
    /// Nothing before this time, or before it is woken.
    Wait(Duration),
}

impl Pipe {
    pub(super) fn new(link: Link, draws: Draws) -> Self {
        Self {
            link,
            draws,
            segments: VecDeque::new(),
            unread: 0,
            last_arrival: Duration::ZERO,
            stall_until: Duration::ZERO,
            fin_at: None,
            reset_at: None,
            writer_reset_at: None,
            reader_closed: false,
            cut_off_in: None,
            sent: 0,
            reader: None,
            writer: None,
        }
    }

    /// Takes as much of `bytes[*at..]` as the window allows and returns how much. `starts` are the offsets in `bytes`
    /// at which PDUs begin, as far as they are known.
    pub(crate) fn accept(&mut self, now: Duration, bytes: &Arc<Vec<u8>>, at: usize, starts: &[usize]) -> usize {
        let mut length = (bytes.len() - at).min(self.link.window_bytes.saturating_sub(self.unread));
        if let Some(left) = &mut self.cut_off_in {
            length = length.min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= length as u64;
        }
        // Behind an RST nothing arrives: what came through would follow a gap.
        if length == 0 || self.reader_closed || self.reset_at.is_some() {
            return length;
        }
        let was_empty = self.segments.is_empty();
        let mut from = at;
        let mut arrival = self.arrival(now);
        while from < at + length {
            let to = self.next_cut(from, at, starts).min(at + length);
            arrival += Duration::from_nanos((to - from) as u64 * self.link.ns_per_kib / 1024);
            self.segments.push_back(Segment { arrival, bytes: bytes.clone(), range: from..to });
            if to < at + length {
                arrival += Duration::from_micros(self.draws.below(3));
            }
            from = to;
        }
        self.sent += length;
        self.last_arrival = arrival;
        self.unread += length;
        // What comes behind other segments is no news to whoever waits for the first of them.
        if was_empty {
            self.wake_reader();
        }
        length
    }

    /// Where the segment ends that begins at `from`; what is at `at` comes behind what was sent before.
    fn next_cut(&mut self, from: usize, at: usize, starts: &[usize]) -> usize {
        match self.link.cut {
            _ if planted!(CutNever) => usize::MAX,
            Cut::Nowhere => usize::MAX,
            Cut::At(bytes) => match (at + bytes).checked_sub(self.sent) {
                Some(cut) if cut > from => cut,
                _ => usize::MAX,
            },
            Cut::Every(bytes) => from + bytes.max(1),
            Cut::Random(bytes) => from + self.draws.between(1, bytes.max(1) as u64) as usize,
            Cut::Fields => {
                let index = starts.partition_point(|&start| start <= from);
                let next = starts.get(index).copied().unwrap_or(usize::MAX);
                let start = if index == 0 { 0 } else { starts[index - 1] };
                let skip = self.draws.below(4) as usize;
                FIELD_EDGES
                    .iter()
                    .map(|edge| start + edge)
                    .filter(|&edge| edge > from)
                    .nth(skip)
                    .unwrap_or(next)
                    .min(next)
            }
        }
    }

    /// When a byte that is sent now arrives: never before one that was sent earlier.
    pub(super) fn arrival(&mut self, now: Duration) -> Duration {
        self.last_arrival.max(now + self.latency())
    }

    pub(crate) fn latency(&mut self) -> Duration {
        let bits = self.draws.u64();
        let mut latency_us = self.link.latency_min_us + self.link.latency_tail_us * u64::from(bits.trailing_zeros());
        if self.link.slow_one_in > 0 && (bits >> 32).is_multiple_of(self.link.slow_one_in) {
            latency_us += 20 * self.link.latency_tail_us;
        }
        Duration::from_micros(latency_us)
    }

    /// At most `limit` of the bytes that have arrived.
    pub(crate) fn read(&mut self, now: Duration, limit: usize) -> Read {
        let limit = limit.min(READ_BYTES_MAX);
        let reset = self.reset_at.filter(|&at| at.max(self.stall_until) <= now);
        if reset.is_some() && self.draws.chance(1, 2) {
            self.forget_segments();
        }
        if self.stall_until > now {
            return Read::Wait(self.stall_until);
        }
        match self.segments.front() {
            Some(segment) if segment.arrival <= now => Read::Bytes(self.take(now, limit)),
            _ if reset.is_some() => Read::Reset,
            Some(segment) => Read::Wait(segment.arrival.min(self.reset_at.unwrap_or(NEVER))),
            None => match self.fin_at {
                Some(at) if at <= now => Read::End,
                at => Read::Wait(at.unwrap_or(NEVER).min(self.reset_at.unwrap_or(NEVER))),
            },
        }
    }

    fn take(&mut self, now: Duration, limit: usize) -> Chunk {
        let (mut joined, mut chunk) = (Vec::new(), self.take_segment(limit));
        let arrived = |pipe: &Self| pipe.segments.front().is_some_and(|segment| segment.arrival <= now);
        while self.link.coalesce && joined.len() + chunk.len() < limit && arrived(self) {
            let next = self.take_segment(limit - joined.len() - chunk.len());
            // What was written in one piece becomes one again without a copy.
            if let Some(next) = chunk.join(next) {
                joined.extend_from_slice(&chunk);
                chunk = next;
            }
        }
        if !joined.is_empty() {
            joined.extend_from_slice(&chunk);
            chunk = joined.into();
        }
        self.unread -= chunk.len();
        // As a kernel does it: a writer that waits is not bothered for every few bytes.
        if self.unread <= self.link.window_bytes / 2 {
            self.wake_writer();
        }
        chunk
    }

    fn take_segment(&mut self, limit: usize) -> Chunk {
        let segment = self.segments.front_mut().expect("the caller saw a segment");
        if segment.range.len() <= limit {
            let segment = self.segments.pop_front().expect("the caller saw a segment");
            return Chunk::new(segment.bytes, segment.range);
        }
        let part = segment.range.start..segment.range.start + limit;
        segment.range.start = part.end;
        Chunk::new(segment.bytes.clone(), part)
    }

    /// Why nothing can be written any more, if so.
    pub(crate) fn write_error(&self, now: Duration) -> Option<io::Error> {
        self.writer_reset_at.filter(|&at| at <= now).map(|_| io::ErrorKind::ConnectionReset.into())
    }

    /// When the writer will see a reset that is under way.
    pub(crate) fn writer_wakes_at(&self) -> Duration {
        self.writer_reset_at.unwrap_or(NEVER)
    }

    /// FIN.
    pub(crate) fn finish(&mut self) {
        let at = self.last_arrival + self.latency();
        self.fin_at.get_or_insert(at);
        self.wake_reader();
    }

    /// The reader sees RST at `at`, after what arrives before.
    pub(crate) fn reset(&mut self, at: Duration) {
        if self.reset_at.is_some_and(|earlier| earlier <= at) {
            return;
        }
        self.reset_at = Some(at);
        while self.segments.back().is_some_and(|segment| segment.arrival > at) {
            self.unread -= self.segments.pop_back().expect("there is one").range.len();
        }
        self.wake_reader();
    }

    /// The writer sees RST at `at`.
    pub(crate) fn reset_writer(&mut self, at: Duration) {
        // Waking only for news: a writer that provokes the same RST at each step would otherwise spin.
        if self.writer_reset_at.is_none_or(|earlier| at < earlier) {
            self.writer_reset_at = Some(at);
            self.wake_writer();
        }
    }

    /// The reader's end is gone: what is written vanishes. Gives both wakers back.
    pub(crate) fn close_reader(&mut self) -> [Option<Waker>; 2] {
        self.reader_closed = true;
        self.forget_segments();
        [self.reader.take(), self.writer.take()]
    }

    pub(crate) fn is_reader_closed(&self) -> bool {
        self.reader_closed
    }

    pub(super) fn stall(&mut self, until: Duration) {
        self.stall_until = self.stall_until.max(until);
    }

    /// Ends a stall, but not a silence; tells whether it did.
    pub(super) fn unstall(&mut self) -> bool {
        let ends = self.stall_until < NEVER;
        if ends {
            self.stall_until = Duration::ZERO;
        }
        self.wake_reader();
        self.wake_writer();
        ends
    }

    /// Ends a silence too: the peer's machine is up again and answers RST.
    pub(super) fn break_silence(&mut self) {
        self.stall_until = Duration::ZERO;
    }

    pub(super) fn link_mut(&mut self) -> &mut Link {
        self.wake_reader();
        self.wake_writer();
        &mut self.link
    }

    pub(super) fn cut_off_after(&mut self, bytes: u64) {
        self.cut_off_in = Some(bytes);
    }

    /// Whether the byte at which the connection breaks was reached; true once.
    pub(super) fn take_cut_off(&mut self) -> bool {
        self.cut_off_in == Some(0) && self.cut_off_in.take().is_some()
    }

    /// Bytes sent and not read.
    pub(crate) fn unread(&self) -> usize {
        self.unread
    }

    pub(crate) fn set_reader(&mut self, waker: &Waker) {
        self.reader = Some(waker.clone());
    }

    pub(crate) fn set_writer(&mut self, waker: &Waker) {
        self.writer = Some(waker.clone());
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// What was sent and not read is lost.
    pub(super) fn forget_segments(&mut self) {
        self.segments.clear();
        self.unread = 0;
    }
}
