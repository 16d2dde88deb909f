//! Streams of core events that break a rule, and streams that only look as if they did.

use std::time::Duration;

use quintain_core::event::Event;
use quintain_core::id::{ConnectionId, Itt, Lun, NexusId};
use quintain_core::limits::Limits;

use crate::oracle::Finding;
use crate::oracle::events::EventOracle;

use super::Case;

const NEXUS: NexusId = NexusId(7);
const LUN: Lun = Lun(0);
const SIMPLE: u8 = 1;
const ORDERED: u8 = 2;
const HEAD_OF_QUEUE: u8 = 3;
const POWER_ON: u16 = 0x2900;

/// What the oracle says to `events`, one second after another.
pub(super) fn findings(events: &[Event]) -> Vec<Finding> {
    let mut oracle = EventOracle::new(&Limits { task_set_tasks: 4, workers: 1, ..Limits::default() });
    oracle.event(
        Duration::ZERO,
        &Event::SessionStarted {
            connection: ConnectionId(1),
            nexus: NEXUS,
            discovery: false,
            initiator: "".into(),
            target: None,
        },
    );
    for (second, event) in (1..).zip(events) {
        oracle.event(Duration::from_secs(second), event);
    }
    oracle.finish()
}

fn created(itt: u32, attribute: u8) -> Event {
    Event::TaskCreated { nexus: NEXUS, lun: LUN, itt: Itt(itt), operation_code: 0x28, attribute }
}

fn enabled(itt: u32) -> Event {
    Event::TaskEnabled { nexus: NEXUS, lun: LUN, itt: Itt(itt) }
}

fn started(itt: u32) -> Event {
    Event::TaskStarted { nexus: NEXUS, lun: LUN, itt: Itt(itt) }
}

fn completed(itt: u32) -> Event {
    Event::TaskCompleted { nexus: NEXUS, lun: LUN, itt: Itt(itt), status: 0 }
}

fn aborted(itt: u32) -> Event {
    Event::TaskAborted { nexus: NEXUS, lun: LUN, itt: Itt(itt), disowned: false }
}

fn continued() -> Event {
    Event::SessionContinued { connection: ConnectionId(2), nexus: NEXUS }
}

fn raised(code: u16) -> Event {
    Event::UnitAttentionRaised { nexus: NEXUS, lun: LUN, code }
}

fn reported(code: u16) -> Event {
    Event::UnitAttentionReported { nexus: NEXUS, lun: LUN, code }
}

/// A task from its creation to its start.
fn begun(itt: u32, attribute: u8) -> [Event; 3] {
    [created(itt, attribute), enabled(itt), started(itt)]
}

fn case(breaks: Option<&'static str>, name: &'static str, parts: &[&[Event]]) -> Case<Vec<Event>> {
    Case { name, breaks, input: parts.concat() }
}

/// All of them.
pub(super) fn cases() -> Vec<Case<Vec<Event>>> {
    let (simple, next) = (begun(1, SIMPLE), begun(2, SIMPLE));
    let head = begun(3, HEAD_OF_QUEUE);
    let waiting = [begun(1, SIMPLE).as_slice(), &[created(2, ORDERED), created(3, SIMPLE)]].concat();
    let forgotten = [begun(1, SIMPLE).as_slice(), &vec![raised(POWER_ON); 130]].concat();
    let many: Vec<_> = (1..=5).map(|itt| created(itt, SIMPLE)).collect();
    let three = [created(1, SIMPLE), enabled(1), created(2, SIMPLE), enabled(2), created(3, SIMPLE), enabled(3)];
    let write = Event::TaskCreated { nexus: NEXUS, lun: LUN, itt: Itt(1), operation_code: 0x2a, attribute: SIMPLE };
    let full = Event::TaskRefused { nexus: NEXUS, lun: LUN, itt: Itt(9), limit: "task_set_tasks" };
    let refused = Event::TaskCompleted { nexus: NEXUS, lun: LUN, itt: Itt(9), status: 0x02 };
    vec![
        case(None, "as many younger tasks as there are workers start first", &[&three, &[started(2), started(1)]]),
        case(
            None,
            "HEAD OF QUEUE tasks pass a waiting one",
            &[&three[..2], &begun(4, HEAD_OF_QUEUE), &[completed(4)], &begun(5, HEAD_OF_QUEUE)],
        ),
        case(None, "younger tasks pass a write without data", &[&[write], &three[1..], &[started(2), started(3)]]),
        case(Some("S3"), "a task is passed by one after the other", &[&three, &[started(2), completed(2), started(3)]]),
        case(None, "two simple tasks cross", &[&simple, &next, &[completed(2), completed(1)]]),
        case(
            None,
            "an ordered task waits its turn",
            &[&waiting, &[completed(1), enabled(2), started(2), completed(2), enabled(3)]],
        ),
        case(None, "an ordered task is aborted and frees the next", &[&waiting, &[aborted(2), enabled(3)]]),
        case(
            None,
            "head of queue overtakes an ordered task",
            &[&simple, &[created(2, ORDERED)], &head, &[completed(3), completed(1), enabled(2)]],
        ),
        case(None, "a tag is used again", &[&simple, &[completed(1)], &simple, &[aborted(1)]]),
        case(None, "a session ends with its tasks", &[&simple, &[Event::SessionEnded { nexus: NEXUS, why: "logout" }]]),
        case(None, "a session goes on when its task has ended", &[&simple, &[aborted(1), continued()], &simple]),
        case(
            None,
            "a full task set answers for a task it never took",
            &[&[Event::TaskCompleted { nexus: NEXUS, lun: LUN, itt: Itt(9), status: 0x28 }]],
        ),
        case(
            None,
            "a full task set answers for a task that was refused before, when it has room again",
            &[&many[..4], &[full.clone(), aborted(1), refused.clone()]],
        ),
        case(
            Some("T7"),
            "a full task set answers twice for one task it never took",
            &[&many[..4], &[full.clone(), refused.clone(), refused.clone()]],
        ),
        case(
            Some("T7"),
            "a full task set answers for a task that was aborted after it was turned away",
            &[&many[..4], &[full.clone(), aborted(9), refused.clone()]],
        ),
        case(
            Some("T7"),
            "a full task set that turned one task away answers for another",
            &[&many[..4], &[full, Event::TaskCompleted { nexus: NEXUS, lun: LUN, itt: Itt(8), status: 0x02 }]],
        ),
        case(Some("T7"), "a task set with room answers for a task it never took", &[&many[..3], &[refused]]),
        case(
            None,
            "unit attentions are raised, superseded and reported",
            &[&[raised(POWER_ON), raised(0x2903), reported(POWER_ON), raised(POWER_ON), reported(POWER_ON)]],
        ),
        case(Some("T1"), "an ordered task overtakes", &[&simple, &begun(2, ORDERED)]),
        case(Some("T1"), "a simple task overtakes an ordered one", &[&waiting, &[enabled(3)]]),
        case(Some("T1"), "a dormant task is started", &[&[created(1, SIMPLE), started(1)]]),
        case(Some("T2"), "head of queue waits", &[&simple, &[created(2, HEAD_OF_QUEUE), completed(1), enabled(2)]]),
        case(Some("T2"), "a simple task overtakes head of queue", &[&head, &[created(4, SIMPLE), enabled(4)]]),
        case(Some("T7"), "a task completes twice", &[&simple, &[completed(1), completed(1)]]),
        case(Some("T7"), "a task is started twice", &[&simple, &[started(1)]]),
        case(Some("T7"), "an aborted task completes", &[&simple, &[aborted(1), completed(1)]]),
        case(Some("T7"), "a task starts after its abort", &[&[created(1, SIMPLE), enabled(1), aborted(1), started(1)]]),
        case(Some("T7"), "a started task never ends", &[&forgotten]),
        case(Some("T7"), "a task outlives its connection", &[&simple, &[continued()]]),
        case(
            Some("I10"),
            "a session goes on that has ended",
            &[&[Event::SessionEnded { nexus: NEXUS, why: "logout" }, continued()]],
        ),
        case(
            Some("T8"),
            "a unit attention is reported twice",
            &[&[raised(POWER_ON), reported(POWER_ON), reported(POWER_ON)]],
        ),
        case(Some("T8"), "a unit attention comes from nowhere", &[&[reported(0x2903)]]),
        case(Some("S4"), "a task set holds more than it may", &[&many]),
        case(
            Some("I10"),
            "a task of a nexus that is gone",
            &[&[Event::SessionEnded { nexus: NEXUS, why: "logout" }, created(1, SIMPLE)]],
        ),
    ]
}
