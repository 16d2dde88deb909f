//! The disks: durable image, volatile writes, operations in flight. Their state lives outside the target's node, so
//! that the death of the process and the loss of power are two different things.
//!
//! One long-lived task per disk completes its operations in the order of their due times, which is not the order in
//! which they came (D2). An operation goes on when the future that waits for it is dropped, as it does in a kernel.

mod fault;
mod image;
#[cfg(test)]
mod tests;

pub use fault::{DiskFault, Part};

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::future::select;
use quintain_core::env::{Disk, Durability, Geometry};
use serde::{Deserialize, Serialize};

use crate::executor::Clock;
use crate::history::{Event, History};
use crate::plan::Occasion;
use crate::planted::planted;
use crate::probes::{self, Probe};
use crate::random::Draws;
use crate::runtime::{Events, SimBuf};
use crate::trace::{Entity, Fact, Trace};
use fault::{Aim, Faults, Moves, Verdict};
use image::{Image, Volatile};

/// What becomes of an operation at first.
const ISSUED: &str = "issued";

/// How fast a disk is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskSpeed {
    /// The shortest time an operation takes, in microseconds.
    pub latency_min_us: u64,
    /// What it takes on top, on average, in microseconds.
    pub latency_tail_us: u64,
}

impl Default for DiskSpeed {
    /// That of a solid-state disk.
    fn default() -> Self {
        Self { latency_min_us: 50, latency_tail_us: 20 }
    }
}

/// A handle to a disk: what the target opens. Clones share an open file description.
#[derive(Clone)]
pub struct SimDisk {
    device: Rc<Device>,
    description: Rc<Description>,
}

/// An open file description: it tells of each failed write-back once.
struct Description {
    told: Cell<u64>,
}

struct Device {
    seed: u64,
    lun: u16,
    /// It is used past the page cache: it moves whole logical blocks only.
    direct: Cell<bool>,
    clock: Clock,
    geometry: Geometry,
    speed: DiskSpeed,
    trace: Rc<RefCell<Trace>>,
    history: Rc<RefCell<History>>,
    /// Counts what is issued.
    events: RefCell<Option<Rc<Events>>>,
    state: RefCell<State>,
}

struct State {
    draws: Draws,
    /// What reads see.
    current: Image,
    /// What a power loss leaves.
    durable: Image,
    /// Writes that are in `current` and not yet in `durable`, in the order in which they took effect.
    volatile: Volatile,
    in_flight: BTreeMap<(Duration, u64), Operation>,
    /// Operations that never complete (D3), until the disk is healed.
    hung: Vec<Operation>,
    faults: Faults,
    /// Transfers so far: keys what becomes of each.
    transfers: u64,
    /// The target's process was told of a write or a flush that failed.
    failed: bool,
    /// Write-backs that failed so far.
    failures: u64,
    /// How often several waited for the news of one, so far: keys who got it.
    contests: u64,
    next: u64,
    worker: Option<Waker>,
}

struct Operation {
    kind: Kind,
    buf: Option<SimBuf>,
    /// What of the buffer is moved.
    range: Range<usize>,
    offset_bytes: u64,
    description: Rc<Description>,
    /// It has taken the news of a failed write-back, and comes back with an error.
    told: bool,
    done: Rc<Done>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Read,
    Write(Durability),
    /// Covers the writes that took effect before it was issued: those numbered below this.
    Flush(u64),
}

#[derive(Default)]
struct Done {
    result: RefCell<Option<(io::Result<usize>, Option<SimBuf>)>>,
    waker: RefCell<Option<Waker>>,
}

impl SimDisk {
    /// An empty disk for logical unit `lun`.
    #[must_use]
    pub fn new(
        clock: Clock,
        seed: u64,
        lun: u16,
        geometry: Geometry,
        speed: DiskSpeed,
        trace: Rc<RefCell<Trace>>,
        history: Rc<RefCell<History>>,
    ) -> Self {
        let state = State {
            draws: Draws::new(seed, "disk", lun.into()),
            current: Image::new(geometry.size_bytes),
            durable: Image::new(geometry.size_bytes),
            volatile: Volatile::default(),
            in_flight: BTreeMap::new(),
            hung: Vec::new(),
            faults: Faults::default(),
            transfers: 0,
            failed: false,
            failures: 0,
            contests: 0,
            next: 1,
            worker: None,
        };
        let (direct, state) = (Cell::new(false), RefCell::new(state));
        let events = RefCell::default();
        let device = Rc::new(Device { seed, lun, direct, clock, geometry, speed, trace, history, events, state });
        Self { device, description: Rc::new(Description { told: Cell::new(0) }) }
    }

    /// The same disk with an open file description of its own. What was told on another before is no news on this one.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let told = Cell::new(self.device.state.borrow().failures);
        Self { device: self.device.clone(), description: Rc::new(Description { told }) }
    }

    /// The same disk, used past the page cache: what it moves are whole logical blocks.
    #[must_use]
    pub fn direct(self) -> Self {
        self.device.direct.set(true);
        self
    }

    /// Completes operations as they come due; the task of the device itself.
    pub async fn drive(self) {
        let device = &self.device;
        loop {
            let next = device.state.borrow().next_due();
            let news = poll_fn(|cx| {
                let mut state = device.state.borrow_mut();
                if state.next_due() == next {
                    state.worker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(())
            });
            match next {
                Some(due) => drop(select(pin!(news), device.clock.sleep_until(due)).await),
                None => news.await,
            }
            while let Some(operation) = device.pop_due() {
                device.complete(operation);
            }
        }
    }

    /// What is issued is counted there from now on.
    pub fn count_in(&self, events: Rc<Events>) {
        *self.device.events.borrow_mut() = Some(events);
    }

    /// Plants a fault.
    pub fn inject(&self, fault: DiskFault) {
        let mut state = self.device.state.borrow_mut();
        match fault {
            DiskFault::Rot { offset_bytes, length_bytes, bits } => {
                self.device.rot(&mut state, offset_bytes, length_bytes, bits);
            }
            DiskFault::Truncated { size_bytes, .. } => self.device.truncate(&mut state, size_bytes),
            _ => {}
        }
        state.faults.add(fault, self.device.clock.now());
        state.wake();
    }

    /// Ends every fault. Operations that hung complete now, late: the target must not take notice.
    pub fn heal(&self) {
        let mut state = self.device.state.borrow_mut();
        state.faults = Faults::default();
        let now = self.device.clock.now();
        for operation in std::mem::take(&mut state.hung) {
            probes::hit(Probe::HungUntilHealed);
            let due = now + Duration::from_micros(state.draws.between(1, 5_000));
            state.enqueue(due, operation);
        }
        state.wake();
    }

    /// The target's process died: of the writes in flight, any sectors reached the kernel.
    pub fn process_died(&self) {
        let mut state = self.device.state.borrow_mut();
        state.failed = false;
        for operation in state.take_operations() {
            if let (Kind::Write(_), Some(bytes)) = (operation.kind, operation.bytes()) {
                let keep = state.draws.below(3);
                state.land_partly(operation.offset_bytes, bytes, self.sector(), keep);
            }
        }
    }

    /// Power was lost: of the volatile writes and those in flight, any sectors survive (D7, D8).
    pub fn power_lost(&self) {
        let sector = self.sector();
        let mut state = self.device.state.borrow_mut();
        state.failed = false;
        for operation in state.take_operations() {
            if matches!(operation.kind, Kind::Flush(_)) {
                probes::hit(Probe::PowerLossInFlush);
            }
            if let (Kind::Write(_), Some(bytes)) = (operation.kind, operation.bytes()) {
                if bytes.len() > sector {
                    probes::hit(Probe::PowerLossTears);
                }
                state.land_partly(operation.offset_bytes, bytes, sector, 1);
            }
        }
        let keep = if planted!(PowerLossKeeps) { 2 } else { state.draws.below(3) };
        let State { durable, volatile, draws, .. } = &mut *state;
        volatile.lose(durable, sector, || match keep {
            0 => false,
            1 => draws.chance(1, 2),
            _ => true,
        });
        let left = state.durable.clone();
        let lost = std::mem::replace(&mut state.current, left);
        if lost != state.current {
            probes::hit(Probe::PowerLossLoses);
        }
    }

    /// The target's process that is up was told of a write or a flush that failed: it may take no more writes.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.device.state.borrow().failed
    }

    /// Buffers that the device holds.
    #[must_use]
    pub fn buffers_held(&self) -> usize {
        let state = self.device.state.borrow();
        state.in_flight.values().chain(&state.hung).filter(|operation| operation.buf.is_some()).count()
    }

    /// The device's own unit of atomicity, in bytes.
    fn sector(&self) -> usize {
        self.device.geometry.physical_block_bytes as usize
    }

    async fn submit(
        &self,
        kind: Kind,
        offset_bytes: u64,
        buf: Option<SimBuf>,
        range: Range<usize>,
    ) -> (io::Result<usize>, Option<SimBuf>) {
        let length = range.len() as u64;
        let geometry = &self.device.geometry;
        let block = u64::from(geometry.logical_block_bytes);
        assert!(
            offset_bytes.is_multiple_of(block)
                && length.is_multiple_of(block)
                && (!self.device.direct.get() || (range.start as u64).is_multiple_of(block)),
            "the disk got an unaligned operation"
        );
        if offset_bytes.checked_add(length).is_none_or(|end| end > geometry.size_bytes) {
            return (Err(io::ErrorKind::InvalidInput.into()), buf);
        }
        if matches!(kind, Kind::Write(_)) && geometry.read_only {
            return (Err(io::ErrorKind::ReadOnlyFilesystem.into()), buf);
        }
        let done = Rc::new(Done::default());
        let description = self.description.clone();
        self.device.issue(Operation { kind, buf, range, offset_bytes, description, told: false, done: done.clone() });
        poll_fn(|cx| match done.result.borrow_mut().take() {
            Some(result) => Poll::Ready(result),
            None => {
                *done.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

impl Disk for SimDisk {
    type Buf = SimBuf;

    async fn read(&self, offset_bytes: u64, buf: SimBuf, range: Range<usize>) -> (io::Result<usize>, SimBuf) {
        let (result, buf) = self.submit(Kind::Read, offset_bytes, Some(buf), range).await;
        (result, buf.expect("a read has a buffer"))
    }

    async fn write(
        &self,
        offset_bytes: u64,
        buf: SimBuf,
        range: Range<usize>,
        durability: Durability,
    ) -> (io::Result<usize>, SimBuf) {
        let (result, buf) = self.submit(Kind::Write(durability), offset_bytes, Some(buf), range).await;
        (result, buf.expect("a write has a buffer"))
    }

    async fn flush(&self) -> io::Result<()> {
        let covers = self.device.state.borrow().next;
        self.submit(Kind::Flush(covers), 0, None, 0..0).await.0.map(|_| ())
    }

    fn geometry(&self) -> Geometry {
        self.device.geometry
    }
}

impl Device {
    fn issue(&self, operation: Operation) {
        let mut state = self.state.borrow_mut();
        let part = operation.part();
        if let Some(events) = &*self.events.borrow() {
            events.happened(match part {
                Part::Read => Occasion::ReadIssued,
                Part::Write => Occasion::WriteIssued,
                Part::Flush => Occasion::FlushIssued,
            });
        }
        let now = self.clock.now();
        self.record(&operation, ISSUED);
        if state.faults.hangs(part) {
            self.record(&operation, "hangs");
            state.hung.push(operation);
            return;
        }
        let tail = self.speed.latency_tail_us * u64::from(state.draws.u64().trailing_zeros());
        let latency_us = (self.speed.latency_min_us + tail) * state.faults.slowness(now);
        state.enqueue(now + Duration::from_micros(latency_us), operation);
        state.wake();
    }

    fn pop_due(&self) -> Option<Operation> {
        let mut state = self.state.borrow_mut();
        if state.next_due()? > self.clock.now() {
            return None;
        }
        state.in_flight.pop_first().map(|(_, operation)| operation)
    }

    fn complete(&self, mut operation: Operation) {
        let result = self.apply(&mut operation);
        let how = match &result {
            Ok(moved) if *moved == operation.range.len() => "done",
            Ok(_) => "short",
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                "interrupted"
            }
            Err(_) => {
                self.state.borrow_mut().failed |= operation.part() != Part::Read;
                "failed"
            }
        };
        self.record(&operation, how);
        *operation.done.result.borrow_mut() = Some((result, operation.buf.take()));
        if let Some(waker) = operation.done.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// What the operation does, and how many bytes it says to have moved.
    fn apply(&self, operation: &mut Operation) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let moved = self.transfer(state, operation)?;
        if operation.waits_for_write_back() && self.tells(state, operation) {
            return Err(fault::input_output_error());
        }
        Ok(moved)
    }

    fn transfer(&self, state: &mut State, operation: &mut Operation) -> io::Result<usize> {
        let (offset_bytes, range) = (operation.offset_bytes, operation.range.clone());
        let now = self.clock.now();
        if let Err(error) = state.faults.refuses(operation.part(), now) {
            if let Kind::Flush(covers) = operation.kind {
                drop(state.volatile.take_below(covers));
                self.write_back_failed(state);
            }
            return Err(error);
        }
        match (operation.kind, &mut operation.buf) {
            (Kind::Read, Some(buf)) => {
                let unit = if self.direct.get() { self.geometry.logical_block_bytes } else { 1 };
                let moved = self.moved(state, Part::Read, offset_bytes, range.len(), unit)?;
                state.faults.read(offset_bytes, range.len() as u64)?;
                let left = state.faults.end(now).map_or(u64::MAX, |end| end.saturating_sub(offset_bytes));
                let moved = moved.min(usize::try_from(left).unwrap_or(usize::MAX));
                let from = match state.faults.aim(Part::Read) {
                    Aim::Astray(distance) => {
                        self.taint(offset_bytes, moved);
                        self.astray(offset_bytes, moved, distance)
                    }
                    Aim::Right | Aim::Nowhere => offset_bytes,
                };
                state.current.read(from, &mut buf.as_mut()[range][..moved]);
                Ok(moved)
            }
            (Kind::Write(durability), Some(buf)) => {
                // No system stops within what the device writes atomically: that would be written twice.
                let unit = self.geometry.physical_block_bytes;
                let moved = self.moved(state, Part::Write, offset_bytes, range.len(), unit)?;
                let sector = unit as usize;
                let moved = match state.faults.end(now) {
                    Some(end) if self.direct.get() && offset_bytes >= end => return Err(fault::no_space()),
                    Some(end) if self.direct.get() => moved.min((end - offset_bytes) as usize),
                    _ => moved,
                };
                let landed = &buf.as_ref()[range][..moved];
                let sparse = || !state.current.is_allocated(offset_bytes, landed.len());
                match state.faults.write(self.clock.now(), sparse) {
                    Verdict::Works if durability == Durability::Durable && state.faults.write_back_fails() => {
                        state.land_in_cache(offset_bytes, landed);
                        self.write_back_failed(state);
                    }
                    Verdict::Works => match state.faults.aim(Part::Write) {
                        Aim::Right => {
                            state.land(offset_bytes, landed, durability);
                            state.faults.grow(offset_bytes + moved as u64);
                        }
                        Aim::Nowhere => self.taint(offset_bytes, moved),
                        Aim::Astray(distance) => {
                            let astray = self.astray(offset_bytes, moved, distance);
                            self.taint(offset_bytes, moved);
                            self.taint(astray, moved);
                            state.land(astray, landed, durability);
                        }
                    },
                    Verdict::Fails(error) => return Err(error),
                    Verdict::Tears(error) => {
                        state.land_partly(offset_bytes, landed, sector, 1);
                        return Err(error);
                    }
                }
                Ok(moved)
            }
            (Kind::Flush(covers), _) => {
                self.flush(state, covers);
                Ok(0)
            }
            (Kind::Read | Kind::Write(_), None) => unreachable!("a transfer has a buffer"),
        }
    }

    /// How many of `length` bytes at `offset_bytes` the next transfer moves, if it is not interrupted (D13): it stops at
    /// a multiple of `unit` on the disk.
    fn moved(&self, state: &mut State, part: Part, offset_bytes: u64, length: usize, unit: u32) -> io::Result<usize> {
        state.transfers += 1;
        let (unit, end) = (u64::from(unit), offset_bytes + length as u64);
        let units = end.div_ceil(unit) - offset_bytes / unit;
        let moves = state.faults.moves(part, units > 1, self.clock.now())?;
        let key = u64::from(self.lun) << 48 | state.transfers;
        let mut draws = Draws::new(self.seed, "disk-short", key);
        let stop = (offset_bytes / unit
            + match moves {
                Moves::All => return Ok(length),
                Moves::Nothing => return Ok(0),
                Moves::Some => draws.below(units),
                Moves::Begins => draws.between(1, units - 1),
            })
            * unit;
        // A part is neither nothing nor all.
        Ok(if stop <= offset_bytes { length } else { (stop - offset_bytes) as usize })
    }

    /// What was to become durable is marked clean: it will never be written. Each open file description says so once (D6).
    fn write_back_failed(&self, state: &mut State) {
        state.failures += 1;
        self.history.borrow_mut().events.push(Event::FlushFailed { lun: self.lun });
    }

    /// Whether it is `operation` that gets to know of a failed write-back. Of several that wait on one open file
    /// description, any one does; it need not be the first to come back.
    fn tells(&self, state: &mut State, operation: &Operation) -> bool {
        if operation.told {
            return true;
        }
        if operation.description.told.replace(state.failures) == state.failures {
            return false;
        }
        let beside = |other: &&mut Operation| {
            other.waits_for_write_back() && Rc::ptr_eq(&other.description, &operation.description)
        };
        let mut beside: Vec<_> = state.in_flight.values_mut().filter(beside).collect();
        if beside.is_empty() {
            return true;
        }
        state.contests += 1;
        let key = u64::from(self.lun) << 48 | state.contests;
        match Draws::new(self.seed, "disk-error-told", key).below(beside.len() as u64 + 1) as usize {
            0 => true,
            other => {
                beside[other - 1].told = true;
                false
            }
        }
    }

    fn flush(&self, state: &mut State, covers: u64) {
        if state.faults.write_back_fails() {
            drop(state.volatile.take_below(covers));
            return self.write_back_failed(state);
        }
        let lies = state.faults.flush_lies();
        for write in state.volatile.take_below(covers) {
            if !lies {
                state.durable.write(write.offset_bytes, &write.bytes, write.number);
            } else if !planted!(FlushLieUntold) {
                self.taint(write.offset_bytes, write.bytes.len());
            }
        }
    }

    /// Nobody can tell what is there (class T).
    fn taint(&self, offset_bytes: u64, length: usize) {
        let taint = Event::Taint { lun: self.lun, offset_bytes, length_bytes: length as u64 };
        self.history.borrow_mut().events.push(taint);
    }

    /// Where a transfer of `length` bytes goes that is `distance` bytes astray.
    fn astray(&self, offset_bytes: u64, length: usize, distance: u64) -> u64 {
        let unit = u64::from(self.geometry.physical_block_bytes);
        let places = (self.geometry.size_bytes - length as u64) / unit + 1;
        // What does not begin at a unit does not land at one.
        let (first, within) = (offset_bytes / unit, offset_bytes % unit);
        let place = (first + distance / unit) % places * unit + within;
        if place + length as u64 > self.geometry.size_bytes { within } else { place }
    }

    /// Bits of `length` bytes flip in the cache and on the medium (D12).
    fn rot(&self, state: &mut State, offset_bytes: u64, length_bytes: u64, bits: u64) {
        let mut draws = Draws::new(self.seed, "disk-rot", u64::from(self.lun) << 48 | offset_bytes);
        let length_bytes = length_bytes.min(self.geometry.size_bytes.saturating_sub(offset_bytes));
        if length_bytes == 0 {
            return;
        }
        self.taint(offset_bytes, length_bytes as usize);
        for _ in 0..bits {
            let (at, bit) = (offset_bytes + draws.below(length_bytes), draws.below(8) as u32);
            state.current.flip(at, bit);
            state.durable.flip(at, bit);
        }
    }

    /// What is behind the new end is lost (D16).
    fn truncate(&self, state: &mut State, size_bytes: u64) {
        let lost = self.geometry.size_bytes.saturating_sub(size_bytes);
        self.taint(size_bytes, lost as usize);
        state.current.cut(size_bytes);
        state.durable.cut(size_bytes);
        state.volatile.cut(size_bytes);
    }

    fn record(&self, operation: &Operation, how: &'static str) {
        let what = match operation.kind {
            Kind::Read => "read",
            Kind::Write(Durability::Volatile) => "write",
            Kind::Write(Durability::Durable) => "durable-write",
            Kind::Flush(_) => "flush",
        };
        let (offset_bytes, length_bytes) = (operation.offset_bytes, operation.range.len());
        let fact = Fact::Disk { what, how, offset_bytes, length_bytes };
        let (at, entity, mut trace) = (self.clock.now(), Entity::Disk(self.lun), self.trace.borrow_mut());
        // That it was issued follows from what the core did; what becomes of it does not.
        if how == ISSUED { trace.note(at, entity, &fact) } else { trace.record(at, entity, &fact) }
    }
}

impl Operation {
    /// It comes back when data is durable, and with an error when some were lost.
    fn waits_for_write_back(&self) -> bool {
        matches!(self.kind, Kind::Flush(_) | Kind::Write(Durability::Durable))
    }

    fn part(&self) -> Part {
        match self.kind {
            Kind::Read => Part::Read,
            Kind::Write(_) => Part::Write,
            Kind::Flush(_) => Part::Flush,
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        self.buf.as_ref().map(|buf| &buf.as_ref()[self.range.clone()])
    }
}

impl State {
    fn next_due(&self) -> Option<Duration> {
        self.in_flight.first_key_value().map(|(&(due, _), _)| due.max(self.faults.stalled_until()))
    }

    fn enqueue(&mut self, due: Duration, operation: Operation) {
        self.in_flight.insert((due, self.next), operation);
        self.next += 1;
    }

    fn wake(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.wake();
        }
    }

    fn take_operations(&mut self) -> Vec<Operation> {
        let hung = std::mem::take(&mut self.hung);
        std::mem::take(&mut self.in_flight).into_values().chain(hung).collect()
    }

    /// A write takes effect.
    fn land(&mut self, offset_bytes: u64, bytes: &[u8], durability: Durability) {
        let number = self.next;
        self.next += 1;
        self.current.write(offset_bytes, bytes, number);
        match durability {
            Durability::Durable => self.durable.write(offset_bytes, bytes, number),
            Durability::Volatile => self.volatile.push(number, offset_bytes, bytes, &mut self.durable),
        }
    }

    /// A write takes effect until the cache is lost.
    fn land_in_cache(&mut self, offset_bytes: u64, bytes: &[u8]) {
        let number = self.next;
        self.next += 1;
        self.current.write(offset_bytes, bytes, number);
    }

    /// Any sectors of a write take effect; `keep` 0: none, 1: any, 2: all.
    fn land_partly(&mut self, offset_bytes: u64, bytes: &[u8], sector: usize, keep: u64) {
        for (index, part) in bytes.chunks(sector).enumerate() {
            if keep == 2 || keep == 1 && self.draws.chance(1, 2) {
                self.land(offset_bytes + (index * sector) as u64, part, Durability::Volatile);
            }
        }
    }
}
