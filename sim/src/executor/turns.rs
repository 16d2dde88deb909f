//! Whose turn it is, by priority: probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010).
//!
//! A task that is ready comes forward and waits. When no other is left that could still come, the one with the highest
//! priority runs. So a task with a low one is overtaken by all that the others set off, which an order drawn anew for each
//! step hardly ever does for long. Nobody starves: time goes on only when nobody waits, so a priority holds back a task
//! for one instant at most, and all priorities are drawn anew now and then.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::task::Waker;

use crate::plan::Schedule;
use crate::random::{Draws, key_of};

/// Priorities that are drawn are above this one, those of tasks that were put back below it.
const PUT_BACK: u64 = 1 << 32;

/// A waiting task's place: priority, then who began first.
type Place = (u64, u64);

/// The turns of one world. Without a schedule nobody waits.
#[derive(Default)]
pub(super) struct Turns {
    schedule: RefCell<Option<Spans>>,
    waiting: RefCell<BTreeMap<Place, (Rc<Turn>, Waker)>>,
    begun: Cell<u64>,
    /// Tasks so far, by kind.
    kinds: RefCell<BTreeMap<&'static str, u64>>,
}

/// A schedule under way, span by span.
struct Spans {
    seed: u64,
    schedule: Schedule,
    /// Which one it is, from one on.
    span: u64,
    /// Steps of this span.
    steps: u64,
    /// The steps of this span after which the task that ran is put back.
    changes: BTreeSet<u64>,
    put_back: u64,
}

/// A task's turn.
pub(super) struct Turn {
    kind: &'static str,
    /// How many tasks of its kind there were before.
    number: u64,
    id: u64,
    priority: Cell<u64>,
    /// For which its priority was drawn.
    span: Cell<u64>,
    /// Where it waits.
    place: Cell<Option<Place>>,
    /// It may run now.
    given: Cell<bool>,
}

/// The turn belongs to a task, and does not wait any more when that is dropped.
pub(super) struct Ticket {
    turns: Rc<Turns>,
    turn: Rc<Turn>,
}

impl Turns {
    /// From now on tasks run by priority.
    pub(super) fn follow(&self, seed: u64, schedule: Schedule) {
        let mut spans = Spans { seed, schedule, span: 0, steps: 0, changes: BTreeSet::new(), put_back: 0 };
        spans.begin();
        *self.schedule.borrow_mut() = Some(spans);
    }

    /// The turn of a new task.
    pub(super) fn ticket(self: &Rc<Self>, kind: &'static str) -> Ticket {
        let mut kinds = self.kinds.borrow_mut();
        let count = kinds.entry(kind).or_default();
        let number = std::mem::replace(count, *count + 1);
        let id = self.begun.replace(self.begun.get() + 1);
        let turn = Turn {
            kind,
            number,
            id,
            priority: Cell::new(0),
            span: Cell::new(0),
            place: Cell::new(None),
            given: Cell::new(false),
        };
        Ticket { turns: self.clone(), turn: Rc::new(turn) }
    }

    /// Nobody else can come forward: gives the turn to the first of those that wait. Tells whether there is one.
    pub(super) fn give(&self) -> bool {
        let Some((_, (turn, waker))) = self.waiting.borrow_mut().pop_last() else { return false };
        turn.place.set(None);
        turn.given.set(true);
        waker.wake();
        true
    }
}

impl Ticket {
    /// The task is ready. Tells whether it may run; if not, `waker` is woken when it may.
    pub(super) fn may_run(&self, waker: &Waker) -> bool {
        let schedule = self.turns.schedule.borrow();
        let Some(spans) = &*schedule else { return true };
        let turn = &self.turn;
        if turn.given.take() {
            return true;
        }
        let mut waiting = self.turns.waiting.borrow_mut();
        if turn.place.get().is_none() {
            let place = (spans.priority(turn), turn.id);
            turn.place.set(Some(place));
            waiting.insert(place, (turn.clone(), waker.clone()));
        }
        false
    }

    /// The task has taken a step.
    pub(super) fn stepped(&self) {
        if let Some(spans) = &mut *self.turns.schedule.borrow_mut() {
            spans.step(&self.turn);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(place) = self.turn.place.take() {
            let waiting = self.turns.waiting.borrow_mut().remove(&place);
            drop(waiting);
        }
    }
}

impl Spans {
    fn begin(&mut self) {
        self.span += 1;
        self.steps = 0;
        let mut draws = Draws::new(self.seed, "schedule", self.span);
        let Schedule { changes, span_steps } = self.schedule;
        self.changes = (0..changes).map(|_| draws.between(1, span_steps.max(1))).collect();
    }

    /// Drawn once for each span, by what the task is: a task more or less elsewhere changes nothing.
    fn priority(&self, turn: &Turn) -> u64 {
        if turn.span.replace(self.span) != self.span {
            let entity = turn.number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.span);
            turn.priority.set(Draws::new(self.seed ^ key_of(turn.kind), "priority", entity).u64() | PUT_BACK);
        }
        turn.priority.get()
    }

    fn step(&mut self, turn: &Turn) {
        self.steps += 1;
        if self.changes.contains(&self.steps) {
            // Below all that were put back before it.
            self.put_back += 1;
            turn.span.set(self.span);
            turn.priority.set(PUT_BACK.saturating_sub(self.put_back));
        }
        if self.steps >= self.schedule.span_steps {
            self.begin();
        }
    }
}
