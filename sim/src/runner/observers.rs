//! The oracle that watches a run while it runs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use quintain_core::event::Event;

use crate::chunk::Chunk;
use crate::oracle::Finding;
use crate::oracle::wire::WireOracle;
use crate::plan::Plan;
use crate::runtime::EventSink;
use crate::tap::Tap;
use crate::trace::{Entity, Fact, Trace};

/// What watches the wire and core's events.
#[derive(Clone)]
pub(super) struct Observers {
    wire: Rc<RefCell<WireOracle>>,
    trace: Rc<RefCell<Trace>>,
    /// How many findings of each kind the trace was told.
    told: Rc<Cell<[usize; 2]>>,
}

impl Observers {
    pub(super) fn new(plan: &Plan, trace: &Rc<RefCell<Trace>>) -> Self {
        let wire = Rc::new(RefCell::new(WireOracle::new(&plan.target.limits())));
        Self { wire, trace: trace.clone(), told: Rc::default() }
    }

    /// Sees every byte.
    pub(super) fn tap(&self) -> Rc<RefCell<dyn Tap>> {
        if self.trace.borrow().is_watched() { Rc::new(RefCell::new(self.clone())) } else { self.wire.clone() }
    }

    /// Sees every event of core.
    pub(super) fn sink(&self) -> EventSink {
        let observers = self.clone();
        Rc::new(RefCell::new(move |at: Duration, event: &Event| {
            observers.wire.borrow_mut().event(at, event);
            observers.tell(at);
        }))
    }

    /// Hears of each death of the target's process.
    pub(super) fn process_ended(&self) -> Rc<dyn Fn()> {
        let wire = self.wire.clone();
        Rc::new(move || wire.borrow_mut().process_ended())
    }

    /// Each thing that was wrong so far.
    pub(super) fn each_finding(&self, act: impl FnMut(&mut Finding)) {
        self.wire.borrow_mut().each_finding(act);
    }

    /// What was wrong.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.wire.borrow_mut().finish()
    }

    /// Whoever watches learns what is wrong when it is found.
    fn tell(&self, at: Duration) {
        let mut trace = self.trace.borrow_mut();
        if !trace.is_watched() {
            return;
        }
        let (mut wire, mut told) = (self.wire.borrow_mut(), self.told.get());
        for (found, told) in wire.found().into_iter().zip(&mut told) {
            for Finding { oracle, message } in &found[*told..] {
                trace.note(at, Entity::World, &Fact::Failure { oracle, message });
            }
            *told = found.len();
        }
        self.told.set(told);
    }
}

impl Tap for Observers {
    fn opened(&mut self, connection: u64, at: Duration, initiator: u32) {
        self.wire.borrow_mut().opened(connection, at, initiator);
    }

    fn received(&mut self, connection: u64, at: Duration, bytes: &Chunk) {
        self.wire.borrow_mut().received(connection, at, bytes);
        self.tell(at);
    }

    fn sent(&mut self, connection: u64, at: Duration, bytes: &Chunk) {
        self.wire.borrow_mut().sent(connection, at, bytes);
        self.tell(at);
    }

    fn closed(&mut self, connection: u64, at: Duration) {
        self.wire.borrow_mut().closed(connection, at);
        self.tell(at);
    }
}
