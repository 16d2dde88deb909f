//! The world as core sees it: executor, clock, entropy, buffers, messages between shards, events.

mod own_clock;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::future::select;
use quintain_core::env::{Runtime, ShardMessage};
use quintain_core::event::Event;
use quintain_core::id::ShardId;

use crate::beginnings::{Beginnings, Mark};
use crate::disk::SimDisk;
use crate::executor::{Executor, PlannedPanic};
use crate::network::{Network, Parked, SimStream};
use crate::plan::{Occasion, Panicker, StepName};
use crate::random::Draws;
use crate::trace::{Entity, Fact, Trace};
use own_clock::OwnClock;

/// What a buffer holds before anybody wrote to it (oracle B4): no sound stamp, and not zero.
const POISON: u64 = 0xbadd_ecaf_5eed_f00d;

/// Takes every event of core.
pub type EventSink = Rc<RefCell<dyn FnMut(Duration, &Event)>>;

/// One run of the target's process, from its start to its death: what its shards share.
pub struct Process {
    executor: Executor,
    network: Network,
    number: u64,
    shards: Vec<PerShard>,
    trace: Rc<RefCell<Trace>>,
    sink: EventSink,
    events: Rc<Events>,
    post_us: u64,
    clock: OwnClock,
    /// Who panics at the next word.
    panics: Cell<Option<Panicker>>,
    /// Until when its timers are late, and by how much (C5).
    late: Cell<(Duration, Duration)>,
    /// So many requests for a buffer are refused (L1).
    refusals: Cell<u64>,
    /// It is dead, though its tasks are not all dropped yet.
    dead: Cell<bool>,
}

struct PerShard {
    pool: Rc<Pool>,
    entropy: RefCell<Draws>,
    mailbox: Mailbox,
}

/// How to make a [`Process`].
pub struct ProcessParts {
    /// Where tasks run.
    pub executor: Executor,
    /// Where connections are.
    pub network: Network,
    /// The seed of the run.
    pub seed: u64,
    /// How many processes of the target there were before.
    pub number: u64,
    /// How many shards it has.
    pub shards: u16,
    /// Bytes of the buffer pool of one shard.
    pub pool_bytes: usize,
    /// The longest time a message between shards takes, in microseconds.
    pub post_us: u64,
    /// What its clock says at the start of the run.
    pub clock_origin: Duration,
    /// It will go wrong.
    pub clock_faults: bool,
    /// The trace of the run.
    pub trace: Rc<RefCell<Trace>>,
    /// Takes core's events.
    pub sink: EventSink,
    /// Counts core's events.
    pub events: Rc<Events>,
}

impl Process {
    /// A new process with empty pools and mailboxes.
    #[must_use]
    pub fn new(parts: ProcessParts) -> Rc<Self> {
        let ProcessParts {
            executor,
            network,
            seed,
            number,
            shards,
            pool_bytes,
            post_us,
            clock_origin,
            clock_faults,
            trace,
            sink,
            events,
        } = parts;
        let shard = |shard: u16| PerShard {
            pool: Rc::new(Pool { bytes_max: pool_bytes, poison: POISON ^ seed.rotate_left(7), ..Pool::default() }),
            entropy: RefCell::new(Draws::new(seed, "entropy", number << 16 | u64::from(shard))),
            mailbox: Mailbox::new(Draws::new(seed, "mailbox", number << 16 | u64::from(shard))),
        };
        let shards = (0..shards).map(shard).collect();
        let clock = OwnClock::new(executor.clock(), clock_origin, clock_faults);
        Rc::new(Self {
            executor,
            network,
            number,
            shards,
            trace,
            sink,
            events,
            post_us,
            clock,
            panics: Cell::new(None),
            late: Cell::default(),
            refusals: Cell::new(0),
            dead: Cell::new(false),
        })
    }

    /// The view of one shard.
    #[must_use]
    pub fn runtime(self: &Rc<Self>, shard: ShardId) -> SimRuntime {
        SimRuntime { process: self.clone(), shard }
    }

    /// It died: what its tasks still say while they are dropped, nobody hears.
    pub fn bury(&self) {
        self.dead.set(true);
    }

    /// The next task of this kind that tells an event panics at it; with `None`, it does not any more.
    pub fn panic_next(&self, who: Option<Panicker>) {
        self.panics.set(who);
    }

    /// Until `until`, timers that are set go off together, at multiples of `by` (C5).
    pub fn delay_timers(&self, until: Duration, by: Duration) {
        self.late.set((until, by));
    }

    /// The next `count` requests for a buffer are refused (L1).
    pub fn refuse_buffers(&self, count: u64) {
        self.refusals.set(count);
    }

    /// Its clock goes `per_mille` seconds in 1,000 from now on (C1).
    pub fn drift(&self, per_mille: u64) {
        self.clock.drift(per_mille);
    }

    /// Its clock jumps ahead (C2).
    pub fn jump(&self, by: Duration) {
        self.clock.jump(by);
    }

    /// Its clock goes right from now on.
    pub fn set_clock_right(&self) {
        self.clock.set_right();
    }

    fn may_panic(&self, event: &Event) {
        let Some(who) = self.panics.get() else { return };
        // What a task's creation leads to at once (T2) belongs to it.
        if matches!(event, Event::TaskCreated { .. }) {
            return;
        }
        if self.executor.running().contains(who.path()) {
            self.panics.set(None);
            std::panic::panic_any(PlannedPanic);
        }
    }

    /// How many of them there were before.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Buffers that are out of their pools.
    #[must_use]
    pub fn buffers_alive(&self) -> u64 {
        self.shards.iter().map(|shard| shard.pool.buffers.get()).sum()
    }

    /// The most bytes that one pool had out at one time.
    #[must_use]
    pub fn pool_high_water(&self) -> usize {
        self.shards.iter().map(|shard| shard.pool.high_water.get()).max().unwrap_or(0)
    }

    /// Hands the messages for `shard` to `deliver` as they arrive, for ever.
    pub async fn deliver(&self, shard: ShardId, mut deliver: impl FnMut(ShardMessage<Parked>)) {
        let clock = self.executor.clock();
        let mailbox = &self.shards[usize::from(shard.0)].mailbox;
        loop {
            let next = mailbox.next();
            let news = poll_fn(|cx| {
                if mailbox.next() == next {
                    *mailbox.waker.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(())
            });
            match next {
                Some(arrival) => drop(select(pin!(news), clock.sleep_until(arrival)).await),
                None => news.await,
            }
            while mailbox.next().is_some_and(|arrival| arrival <= clock.now()) {
                let first = mailbox.messages.borrow_mut().pop_first();
                if let Some((_, message)) = first {
                    deliver(message);
                }
            }
        }
    }
}

/// Messages on their way to a shard.
struct Mailbox {
    messages: RefCell<BTreeMap<(Duration, u64), ShardMessage<Parked>>>,
    /// The last arrival of each sender, so that messages of one do not overtake each other.
    last: RefCell<BTreeMap<u16, Duration>>,
    sent: Cell<u64>,
    draws: RefCell<Draws>,
    waker: RefCell<Option<Waker>>,
}

impl Mailbox {
    fn new(draws: Draws) -> Self {
        Self {
            messages: RefCell::default(),
            last: RefCell::default(),
            sent: Cell::new(0),
            draws: RefCell::new(draws),
            waker: RefCell::default(),
        }
    }

    fn next(&self) -> Option<Duration> {
        self.messages.borrow().first_key_value().map(|(&(arrival, _), _)| arrival)
    }

    fn push(&self, from: ShardId, now: Duration, post_us: u64, message: ShardMessage<Parked>) {
        let delay = Duration::from_micros(self.draws.borrow_mut().between(0, post_us));
        let mut last = self.last.borrow_mut();
        let last = last.entry(from.0).or_default();
        *last = (now + delay).max(*last);
        self.sent.set(self.sent.get() + 1);
        self.messages.borrow_mut().insert((*last, self.sent.get()), message);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Counts events and wakes whoever waits for a number of them.
#[derive(Default)]
pub struct Events {
    count: Cell<u64>,
    waiters: RefCell<BTreeMap<u64, Vec<Waker>>>,
    counts: RefCell<BTreeMap<Occasion, u64>>,
    waiters_of: RefCell<BTreeMap<(Occasion, u64), Vec<Waker>>>,
    beginnings: RefCell<Beginnings>,
    waiters_for: RefCell<BTreeMap<StepName, Vec<Waker>>>,
}

impl Events {
    /// Events so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// Completes once there were `number` events.
    pub async fn reach(&self, number: u64) {
        poll_fn(|cx| {
            if self.count.get() >= number {
                return Poll::Ready(());
            }
            self.waiters.borrow_mut().entry(number).or_default().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Events of this kind so far.
    #[must_use]
    pub fn count_of(&self, kind: Occasion) -> u64 {
        self.counts.borrow().get(&kind).copied().unwrap_or(0)
    }

    /// Completes once there were `number` events of this kind.
    pub async fn reach_nth(&self, kind: Occasion, number: u64) {
        poll_fn(|cx| {
            if self.count_of(kind) >= number {
                return Poll::Ready(());
            }
            self.waiters_of.borrow_mut().entry((kind, number)).or_default().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// One more event of this kind.
    pub fn happened(&self, kind: Occasion) {
        let count = self.count_of(kind) + 1;
        self.counts.borrow_mut().insert(kind, count);
        let waiting = self.waiters_of.borrow_mut().remove(&(kind, count));
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    /// The warm-up is over.
    pub fn warmed_up(&self, at: Duration) {
        self.beginnings.borrow_mut().warm_up = self.mark(at);
    }

    /// This step begins.
    pub fn began(&self, step: StepName, at: Duration) {
        self.beginnings.borrow_mut().steps.push((step, self.mark(at)));
        let waiting = self.waiters_for.borrow_mut().remove(&step);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    /// Completes once `step` has begun.
    pub async fn reach_step(&self, step: StepName) {
        poll_fn(|cx| {
            if self.beginnings.borrow().steps.iter().any(|(begun, _)| *begun == step) {
                return Poll::Ready(());
            }
            self.waiters_for.borrow_mut().entry(step).or_default().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// When what began.
    #[must_use]
    pub fn take_beginnings(&self) -> Beginnings {
        self.beginnings.take()
    }

    fn mark(&self, at: Duration) -> Mark {
        Mark { at_us: at.as_micros() as u64, events: self.count.get(), counts: self.counts.borrow().clone() }
    }

    fn add(&self) {
        self.count.set(self.count.get() + 1);
        let mut waiters = self.waiters.borrow_mut();
        while let Some(first) = waiters.first_entry() {
            if *first.key() > self.count.get() {
                break;
            }
            first.remove().into_iter().for_each(Waker::wake);
        }
    }
}

fn occasion(event: &Event) -> Option<Occasion> {
    Some(match event {
        Event::SessionStarted { .. } | Event::SessionContinued { .. } => Occasion::Login,
        Event::TaskCreated { .. } => Occasion::TaskCreated,
        Event::TaskStarted { .. } => Occasion::TaskStarted,
        Event::TaskCompleted { .. } => Occasion::TaskCompleted,
        Event::TaskAborted { .. } => Occasion::TaskAborted,
        Event::TaskManagementCompleted { .. } => Occasion::FunctionAnswered,
        _ => return None,
    })
}

/// The buffer pool of one shard.
#[derive(Default)]
pub struct Pool {
    bytes_max: usize,
    poison: u64,
    bytes: Cell<usize>,
    buffers: Cell<u64>,
    high_water: Cell<usize>,
}

/// A buffer of a [`Pool`].
pub struct SimBuf {
    bytes: Vec<u8>,
    pool: Rc<Pool>,
}

impl Pool {
    /// A pool of its own, for tests.
    #[must_use]
    pub fn unbounded() -> Rc<Self> {
        Rc::new(Self { bytes_max: usize::MAX, poison: POISON, ..Self::default() })
    }

    /// A buffer full of poison, or `None` when the pool is at its bound.
    #[must_use]
    pub fn alloc(self: &Rc<Self>, length: usize) -> Option<SimBuf> {
        let used = self.bytes.get().checked_add(length).filter(|&used| used <= self.bytes_max)?;
        self.bytes.set(used);
        self.buffers.set(self.buffers.get() + 1);
        self.high_water.set(self.high_water.get().max(used));
        let mut bytes = self.poison.to_le_bytes().repeat(length.div_ceil(8));
        bytes.truncate(length);
        Some(SimBuf { bytes, pool: self.clone() })
    }
}

impl AsRef<[u8]> for SimBuf {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for SimBuf {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for SimBuf {
    fn drop(&mut self) {
        self.pool.bytes.set(self.pool.bytes.get() - self.bytes.len());
        self.pool.buffers.set(self.pool.buffers.get() - 1);
    }
}

/// One shard's view of the simulated world.
#[derive(Clone)]
pub struct SimRuntime {
    process: Rc<Process>,
    shard: ShardId,
}

impl SimRuntime {
    fn own(&self) -> &PerShard {
        &self.process.shards[usize::from(self.shard.0)]
    }
}

impl Runtime for SimRuntime {
    type Stream = SimStream;
    type Disk = SimDisk;
    type Buf = SimBuf;
    type Parked = Parked;

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.process.executor.spawn(task);
    }

    fn now(&self) -> Duration {
        self.process.clock.now()
    }

    async fn sleep(&self, duration: Duration) {
        let (until, by) = self.process.late.get();
        let late = by > Duration::ZERO && self.process.executor.clock().now() < until;
        let goes_off = |at: Duration| {
            if !late {
                return at;
            }
            Duration::from_micros(u64::try_from(at.as_micros().next_multiple_of(by.as_micros())).unwrap_or(u64::MAX))
        };
        self.process.clock.sleep(duration, goes_off).await;
    }

    fn entropy(&self, out: &mut [u8]) {
        let mut draws = self.own().entropy.borrow_mut();
        for part in out.chunks_mut(8) {
            let word = draws.u64().to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }

    fn alloc(&self, len: usize) -> Option<SimBuf> {
        let refusals = &self.process.refusals;
        if let Some(left) = refusals.get().checked_sub(1) {
            refusals.set(left);
            return None;
        }
        self.own().pool.alloc(len)
    }

    fn pool_free_bytes(&self) -> usize {
        let pool = &self.own().pool;
        pool.bytes_max - pool.bytes.get()
    }

    fn event(&self, event: &Event) {
        if self.process.dead.get() {
            return;
        }
        let at = self.process.executor.clock().now();
        self.process.trace.borrow_mut().record(at, Entity::Target, &Fact::Core(event));
        (self.process.sink.borrow_mut())(at, event);
        self.process.events.add();
        if let Some(kind) = occasion(event) {
            self.process.events.happened(kind);
        }
        self.process.may_panic(event);
    }

    fn park(&self, stream: SimStream) -> Parked {
        stream.park()
    }

    fn unpark(&self, parked: Parked) -> SimStream {
        SimStream::unpark(&self.process.network, &parked)
    }

    fn post(&self, shard: ShardId, message: ShardMessage<Parked>) {
        let mailbox = &self.process.shards[usize::from(shard.0)].mailbox;
        mailbox.push(self.shard, self.process.executor.clock().now(), self.process.post_us, message);
    }
}
