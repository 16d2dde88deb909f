//! The oracle that watches a run while it runs.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use quintain_core::event::Event;
use quintain_core::high_water::Reading;

use crate::chunk::Chunk;
use crate::cluster::LastWords;
use crate::initiator::Violation;
use crate::oracle::Finding;
use crate::oracle::wire::WireOracle;
use crate::paths::Paths;
use crate::plan::{FaultKind, Plan};
use crate::runtime::EventSink;
use crate::tap::Tap;
use crate::trace::{Entity, Fact, Trace};

/// What watches the wire and core's events.
#[derive(Clone)]
pub(super) struct Observers {
    watch: Rc<RefCell<Watch>>,
}

/// What it finds goes to what the initiators complain of, so that the rule that was broken first comes first.
struct Watch {
    wire: WireOracle,
    violations: Rc<RefCell<Vec<Violation>>>,
    /// It is told, too, if anybody watches.
    trace: Rc<RefCell<Trace>>,
    /// When it saw something last.
    at: Duration,
    paths: Paths,
}

impl Observers {
    pub(super) fn new(plan: &Plan, violations: Rc<RefCell<Vec<Violation>>>, trace: Rc<RefCell<Trace>>) -> Self {
        let mut wire = WireOracle::new(&plan.target.limits());
        for fault in &plan.faults {
            if let FaultKind::Reconfigure { workers, .. } = fault.kind {
                wire.allow_workers(workers);
            }
        }
        wire.answer_within(plan.shortest(plan.target.nop_timeout_ms));
        wire.allow(plan.faults.iter().map(|fault| fault.kind.standstill()).sum());
        Self {
            watch: Rc::new(RefCell::new(Watch {
                wire,
                violations,
                trace,
                at: Duration::ZERO,
                paths: Paths::default(),
            })),
        }
    }

    /// Sees every byte.
    pub(super) fn tap(&self) -> Rc<RefCell<dyn Tap>> {
        self.watch.clone()
    }

    /// Sees every event of core.
    pub(super) fn sink(&self) -> EventSink {
        let watch = self.watch.clone();
        Rc::new(RefCell::new(move |at: Duration, event: &Event| {
            let mut watch = watch.borrow_mut();
            watch.paths.event(event);
            watch.with(at, |wire| wire.event(at, event));
        }))
    }

    /// Hears of each death of the target's process, and what that had counted.
    pub(super) fn process_ended(&self) -> Rc<LastWords> {
        let watch = self.watch.clone();
        Rc::new(move |readings: &[_]| {
            let mut watch = watch.borrow_mut();
            let at = watch.at;
            watch.with(at, |wire| wire.process_ended(readings));
        })
    }

    /// The paths that core took.
    pub(super) fn paths(&self) -> Vec<u32> {
        self.watch.borrow().paths.seen()
    }

    /// The run is over, and the target's process has counted so much: what was wrong and has not been told.
    pub(super) fn finish(&self, readings: &[Reading]) -> Vec<Finding> {
        let wire = &mut self.watch.borrow_mut().wire;
        wire.judge_statistics(readings);
        wire.finish()
    }
}

impl Watch {
    fn with(&mut self, at: Duration, act: impl FnOnce(&mut WireOracle)) {
        self.at = at;
        act(&mut self.wire);
        if self.wire.has_findings() {
            let (mut violations, mut trace) = (self.violations.borrow_mut(), self.trace.borrow_mut());
            for Finding { oracle, message } in self.wire.take_findings() {
                trace.note(at, Entity::World, &Fact::Failure { oracle, message: &message });
                violations.push(Violation { oracle, message });
            }
        }
    }
}

impl Tap for Watch {
    fn opened(&mut self, connection: u64, at: Duration, initiator: u32) {
        self.with(at, |wire| wire.opened(connection, at, initiator));
    }

    fn received(&mut self, connection: u64, at: Duration, bytes: &Chunk) {
        self.with(at, |wire| wire.received(connection, at, bytes));
    }

    fn sent(&mut self, connection: u64, at: Duration, bytes: &Chunk) {
        self.with(at, |wire| wire.sent(connection, at, bytes));
    }

    fn closed(&mut self, connection: u64, at: Duration) {
        self.with(at, |wire| wire.closed(connection, at));
    }
}
