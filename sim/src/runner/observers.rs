//! The oracle that watches a run while it runs.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use quintain_core::event::Event;

use crate::oracle::Finding;
use crate::oracle::wire::WireOracle;
use crate::plan::Plan;
use crate::runtime::EventSink;
use crate::tap::Tap;

/// What watches the wire and core's events.
#[derive(Clone)]
pub(super) struct Observers {
    wire: Rc<RefCell<WireOracle>>,
}

impl Observers {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { wire: Rc::new(RefCell::new(WireOracle::new(&plan.target.limits()))) }
    }

    /// Sees every byte.
    pub(super) fn tap(&self) -> Rc<RefCell<dyn Tap>> {
        self.wire.clone()
    }

    /// Sees every event of core.
    pub(super) fn sink(&self) -> EventSink {
        let wire = self.wire.clone();
        Rc::new(RefCell::new(move |at: Duration, event: &Event| wire.borrow_mut().event(at, event)))
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
}
