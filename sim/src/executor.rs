//! Executor, clock and node life cycle: the only file that knows madsim.
//!
//! madsim runs the tasks, picks a random ready one at each step (P8), and kills, restarts and pauses nodes. Its time is
//! not used but to learn that nothing can run any more: then our own [`Clock`] steps to its next deadline. That makes
//! virtual time exact (madsim adds a random 50 to 100 ns to each step, and each of its sleeps lasts at least 1 ms),
//! cheap (a sleep that is dropped leaves nothing behind), and freezable (C4).

mod turns;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Once, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;

use crate::plan::Schedule;
use crate::planted::planted;
use turns::Turns;

/// The clock's resolution. Deadlines within one tick are equal, and fire in any order (C6).
const TICK_NS: u64 = 1_000;
/// Task steps without any progress of time that count as a livelock.
const STEPS_PER_INSTANT_MAX: u64 = 3_000_000;
/// What the message of the panic begins with that reports one.
pub const LIVELOCK: &str = "livelock: ";
/// The prefix of the threads that run seeds; their panics are findings and print nothing.
const THREAD_PREFIX: &str = "seed-";

type Boot = Rc<dyn Fn() -> Pin<Box<dyn Future<Output = ()>>>>;

thread_local! {
    /// What each node runs from its start on. It is here because madsim wants the start function to be `Send`.
    static BOOTS: RefCell<Vec<Boot>> = const { RefCell::new(Vec::new()) };
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Why a run has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lost {
    /// The message of a panic that was not caught by [`Executor::panicked`].
    Panic(String),
    /// It did not end within its limit of real time: a task does not give way. Its thread is still running.
    Watchdog,
}

/// Runs `main` on a fresh thread, in a world of its own, to its end or for `limit` of real time. `seed` drives the
/// order of tasks.
///
/// # Errors
/// When it did not come to its end.
pub fn run<T, F, M>(seed: u64, limit: Duration, main: M) -> Result<T, Lost>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
    M: FnOnce(Executor) -> F + Send + 'static,
{
    silence_panics_of_seeds();
    let body = move || {
        let mut runtime = madsim::runtime::Runtime::with_seed_and_config(seed, madsim::Config::default());
        runtime.set_allow_system_thread(false);
        let result = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async move {
                let executor = Executor { state: Rc::default() };
                let state = executor.state.clone();
                let driver = madsim::task::spawn_local(async move { state.drive().await });
                let main = AssertUnwindSafe(main(executor.clone())).catch_unwind();
                let result = executor.on_node("world", main).await;
                // Every task is dropped while madsim still runs: what is left over would never be.
                executor.shut_down().await;
                driver.abort();
                madsim::time::sleep(Duration::from_secs(1)).await;
                result
            })
        }));
        let result = result.and_then(|result| result);
        BOOTS.with_borrow_mut(Vec::clear);
        result.map_err(|payload| panic_story(&*payload))
    };
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name(format!("{THREAD_PREFIX}{seed:x}"))
        .stack_size(4 << 20)
        // Nobody listens any more once the watchdog has barked.
        .spawn(move || drop(sender.send(body())))
        .map_err(|error| Lost::Panic(error.to_string()))?;
    match receiver.recv_timeout(limit) {
        Ok(result) => {
            drop(thread.join());
            result.map_err(Lost::Panic)
        }
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Lost::Watchdog),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(Lost::Panic("the seed's thread died".to_owned())),
    }
}

/// Spawns tasks and nodes. A task belongs to the node of the task that spawns it.
#[derive(Clone)]
pub struct Executor {
    state: Rc<State>,
}

/// What a task panics with when a fault of the plan makes it: no finding.
pub struct PlannedPanic;

#[derive(Default)]
struct State {
    clock: Clock,
    /// The type of the task that runs.
    running: Cell<&'static str>,
    panic: Slot<String>,
    /// Tasks with this in the name of their type are held up at their next step: so many, for so long (P9).
    hold_up: Cell<(&'static str, u64, Duration)>,
    tasks_alive: Rc<Cell<u64>>,
    nodes: RefCell<Vec<Node>>,
    turns: Rc<Turns>,
}

impl State {
    async fn drive(&self) {
        loop {
            // madsim lets time pass only when no task is ready.
            madsim::time::sleep(Duration::from_secs(1)).await;
            if !self.turns.give() {
                self.clock.step();
            }
        }
    }
}

/// Where a result waits for whoever wants it.
struct Slot<T> {
    value: RefCell<Option<T>>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { value: RefCell::new(None), waker: RefCell::new(None) }
    }
}

impl<T> Slot<T> {
    fn put(&self, value: T) {
        *self.value.borrow_mut() = Some(value);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    async fn take(&self) -> T {
        poll_fn(|cx| match self.value.borrow_mut().take() {
            Some(value) => Poll::Ready(value),
            None => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

impl Executor {
    /// The clock of this world.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.state.clock.clone()
    }

    /// From now on tasks run by `schedule`, of which `seed` draws the priorities; before, in any order.
    pub fn follow(&self, seed: u64, schedule: Schedule) {
        self.state.turns.follow(seed, schedule);
    }

    /// Starts a task on the node of the running task. Its panic ends the task and is reported by
    /// [`Executor::panicked`].
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        drop(madsim::task::spawn_local(self.guard(Box::pin(task))));
    }

    /// Creates a node and starts it: `boot` makes its first task now and at each restart.
    pub fn node<F>(&self, name: &str, boot: impl Fn() -> F + 'static) -> Node
    where
        F: Future<Output = ()> + 'static,
    {
        let executor = self.clone();
        let boot: Boot = Rc::new(move || Box::pin(executor.guard(Box::pin(boot()))));
        let index = BOOTS.with_borrow_mut(|boots| {
            boots.push(boot);
            boots.len() - 1
        });
        let handle = madsim::runtime::Handle::current();
        let init = move || BOOTS.with_borrow(|boots| boots[index].clone())();
        let node = Node { id: handle.create_node().name(name).init(init).build().id() };
        self.state.nodes.borrow_mut().push(node);
        node
    }

    /// Runs `task` on a node of its own, with all that it spawns, and ends the node with it.
    pub async fn on_node<T: 'static>(&self, name: &str, task: impl Future<Output = T> + 'static) -> T {
        let (task, slot) = (RefCell::new(Some(task)), Rc::new(Slot::default()));
        let result = slot.clone();
        self.node(name, move || {
            let (task, slot) = (task.borrow_mut().take(), slot.clone());
            async move {
                if let Some(task) = task {
                    slot.put(task.await);
                }
            }
        });
        result.take().await
    }

    /// Ends every node, and lets their tasks be dropped.
    async fn shut_down(&self) {
        let nodes = std::mem::take(&mut *self.state.nodes.borrow_mut());
        nodes.into_iter().for_each(Node::kill);
        self.clock().sleep(Duration::from_micros(1)).await;
    }

    /// Completes with its message once a task has panicked.
    pub async fn panicked(&self) -> String {
        self.state.panic.take().await
    }

    /// The name of the type of the task that runs, or ran last: for an `async fn` its path is a part of it.
    #[must_use]
    pub fn running(&self) -> &'static str {
        self.state.running.get()
    }

    /// The next `count` steps of tasks with `path` in the name of their type come `duration` late: whatever else is ready
    /// runs meanwhile (P9).
    pub fn hold_up(&self, path: &'static str, count: u64, duration: Duration) {
        self.state.hold_up.set((path, count, duration));
    }

    /// Tasks whose futures are not dropped yet.
    #[must_use]
    pub fn tasks_alive(&self) -> u64 {
        self.state.tasks_alive.get()
    }

    /// Wraps a task: counts it, counts its steps, catches its panic.
    fn guard<F: Future<Output = ()> + 'static>(&self, mut task: Pin<Box<F>>) -> impl Future<Output = ()> + use<F> {
        let state = self.state.clone();
        let alive = Alive::new(state.tasks_alive.clone());
        let ticket = state.turns.ticket(std::any::type_name::<F>());
        let mut held: Option<Sleep> = None;
        poll_fn(move |cx| {
            let _ = &alive;
            if !ticket.may_run(cx.waker()) {
                return Poll::Pending;
            }
            if held.is_none() {
                held = state.held_up(std::any::type_name::<F>());
            }
            if let Some(sleep) = &mut held {
                if Pin::new(sleep).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                held = None;
            }
            let stepped = catch_unwind(AssertUnwindSafe(|| {
                state.running.set(std::any::type_name::<F>());
                state.clock.count_step(std::any::type_name::<F>());
                task.as_mut().poll(cx)
            }));
            ticket.stepped();
            match stepped {
                Ok(poll) => poll,
                Err(payload) if payload.is::<PlannedPanic>() => {
                    LAST_PANIC.take();
                    Poll::Ready(())
                }
                Err(payload) => {
                    state.panic.put(panic_story(&*payload));
                    Poll::Ready(())
                }
            }
        })
    }
}

impl State {
    /// Until when a task is held up before its next step, if it is one of those.
    fn held_up(&self, task: &'static str) -> Option<Sleep> {
        let (path, count, duration) = self.hold_up.get();
        let left = count.checked_sub(1).filter(|_| task.contains(path))?;
        self.hold_up.set((path, left, duration));
        Some(self.clock.sleep(duration))
    }
}

struct Alive(Rc<Cell<u64>>);

impl Alive {
    fn new(count: Rc<Cell<u64>>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A machine: its tasks live and die together.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    id: madsim::task::NodeId,
}

impl Node {
    /// Ends every task of the node. They are dropped one by one before time goes on.
    pub fn kill(self) {
        madsim::runtime::Handle::current().kill(self.id);
    }

    /// Starts a killed node again. Let time pass after [`Node::kill`] first, so that the old tasks are gone.
    pub fn restart(self) {
        madsim::runtime::Handle::current().restart(self.id);
    }

    /// No task of the node runs until it is resumed (P5).
    pub fn pause(self) {
        madsim::runtime::Handle::current().pause(self.id);
    }

    /// The end of a pause: what became ready meanwhile runs now, in any order.
    pub fn resume(self) {
        madsim::runtime::Handle::current().resume(self.id);
    }
}

/// Virtual time, from zero, in steps of a microsecond.
#[derive(Clone, Default)]
pub struct Clock {
    state: Rc<ClockState>,
}

#[derive(Default)]
struct ClockState {
    now_ns: Cell<u64>,
    steps: Cell<u64>,
    steps_here: Cell<u64>,
    next_id: Cell<u64>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    idle: Cell<bool>,
}

impl Clock {
    /// Time since the start of the run.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.state.now_ns.get())
    }

    /// Completes `duration` from now, and never at once.
    #[must_use]
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now().saturating_add(duration))
    }

    /// Completes at `deadline`, or as soon as time passes.
    #[must_use]
    pub fn sleep_until(&self, deadline: Duration) -> Sleep {
        let now_ns = self.state.now_ns.get();
        let deadline_ns = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX - TICK_NS);
        let deadline_ns = deadline_ns.max(now_ns + 1).next_multiple_of(TICK_NS);
        Sleep { clock: self.clone(), deadline_ns, id: None }
    }

    /// The machine stands still for `duration` (C4): all timers that come due meanwhile fire at once after it.
    pub fn freeze(&self, duration: Duration) {
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let now_ns = self.state.now_ns.get().saturating_add(duration_ns).next_multiple_of(TICK_NS);
        self.state.now_ns.set(now_ns);
    }

    /// Task steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state.steps.get()
    }

    /// No timer is left and nothing can run: all wait for ever.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state.idle.get()
    }

    fn count_step(&self, task: &'static str) {
        let state = &self.state;
        state.steps.set(state.steps.get() + 1);
        state.steps_here.set(state.steps_here.get() + 1);
        // Only the step that reaches it fails, so that whoever looks at the panic can still run.
        let livelock = state.steps_here.get() == STEPS_PER_INSTANT_MAX;
        assert!(!livelock, "{LIVELOCK}tasks run for ever and no time passes; {task} among them");
    }

    /// Goes to the next deadline and wakes all that wait for it.
    fn step(&self) {
        let state = &self.state;
        state.steps_here.set(0);
        let mut timers = state.timers.borrow_mut();
        let Some((&(first_ns, _), _)) = timers.first_key_value() else {
            assert!(!state.idle.replace(true), "deadlock: every task waits and no timer is set");
            return;
        };
        state.idle.set(false);
        let leak = if planted!(ClockLeaks) { TICK_NS * (real_time_ns() / 64 % 2) } else { 0 };
        let now_ns = first_ns.max(state.now_ns.get()) + leak;
        state.now_ns.set(now_ns);
        while let Some(entry) = timers.first_entry() {
            if entry.key().0 > now_ns {
                break;
            }
            entry.remove().wake();
        }
    }
}

/// What no run may depend on.
fn real_time_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_nsec.unsigned_abs()
}

/// Waits for a point in virtual time.
pub struct Sleep {
    clock: Clock,
    deadline_ns: u64,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.clock.state.clone();
        if state.now_ns.get() >= self.deadline_ns {
            return Poll::Ready(());
        }
        let id = self.id.unwrap_or_else(|| {
            state.next_id.set(state.next_id.get() + 1);
            state.next_id.get()
        });
        self.id = Some(id);
        let mut timers = state.timers.borrow_mut();
        let slot = timers.entry((self.deadline_ns, id)).or_insert_with(|| cx.waker().clone());
        if !slot.will_wake(cx.waker()) {
            slot.clone_from(cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let timer = self.clock.state.timers.borrow_mut().remove(&(self.deadline_ns, id));
            drop(timer);
        }
    }
}

/// The panic hook keeps message and place for the verdict instead of printing them, on the threads of seeds only.
fn silence_panics_of_seeds() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name().is_some_and(|name| name.starts_with(THREAD_PREFIX)) {
                let story = info.to_string();
                LAST_PANIC.with_borrow_mut(|last| last.get_or_insert(story).truncate(2_000));
            } else {
                default(info);
            }
        }));
    });
}

fn panic_story(payload: &(dyn std::any::Any + Send)) -> String {
    LAST_PANIC.with_borrow_mut(Option::take).unwrap_or_else(|| match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic without a message".to_owned()),
    })
}

/// As [`run`], with a limit that no test reaches.
#[cfg(test)]
pub(crate) fn run_for_test<T, F, M>(seed: u64, main: M) -> Result<T, Lost>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
    M: FnOnce(Executor) -> F + Send + 'static,
{
    run(seed, Duration::from_secs(600), main)
}

#[cfg(test)]
mod tests;
