//! A stopped logical unit serves no medium, and a started one does not say that it is stopped (T11).

use crate::history::{Event, History, Outcome};

use super::findings::Findings;
use super::op::{Ending, Op, Timeline};

const NOT_READY: u8 = 0x2;
const INITIALIZING_COMMAND_REQUIRED: u16 = 0x0402;

/// Judges every command to `unit` by the START STOP UNIT commands around it.
pub(super) fn check(history: &History, timeline: &Timeline, unit: usize, findings: &mut Findings) {
    let here = || timeline.ops.iter().filter(|op| op.unit == Some(unit));
    let power = |starts: bool| here().filter(move |op| op.starts == Some(starts)).collect::<Vec<_>>();
    let (starts, stops) = (power(true), power(false));
    for op in here() {
        if says_stopped(history, op) {
            let cause = |stop: &&Op| op.needs_start && may_be_stopped(timeline, stop, &starts, op);
            if !stops.iter().copied().any(|stop| cause(&stop)) {
                findings.add("T11", op.id.0, 0, || {
                    format!("op {} was told that LUN {} is stopped, and it cannot have been", op.id.0, op.lun)
                });
            }
        } else if op.needs_start
            && op.ending == Ending::Good
            && let Some(stop) = stops.iter().find(|stop| is_stopped(timeline, stop, &starts, op))
        {
            findings.add("T11", op.id.0, stop.id.0, || {
                format!("op {} ended GOOD, though op {} had stopped LUN {}", op.id.0, stop.id.0, op.lun)
            });
        }
    }
}

fn says_stopped(history: &History, op: &Op) -> bool {
    let returned = op.returned.and_then(|position| history.events.get(position));
    let stopped = Outcome::Check { key: NOT_READY, code: INITIALIZING_COMMAND_REQUIRED };
    matches!(returned, Some(Event::Return { outcome, .. }) if *outcome == stopped)
}

/// `stop` may have stopped the logical unit for `op`: nothing that is certain came between.
fn may_be_stopped(timeline: &Timeline, stop: &Op, starts: &[&Op], op: &Op) -> bool {
    let started = |start: &&Op| start.ending == Ending::Good && stop.end < start.start && start.end < op.start;
    let restarted = |at: &u32| (stop.end..op.start).contains(at);
    stop.ending != Ending::Refused
        && stop.start < op.end
        && !starts.iter().any(started)
        && !timeline.restarts.iter().any(restarted)
}

/// `stop` has stopped it for all of `op`: nothing that may have happened came between.
fn is_stopped(timeline: &Timeline, stop: &Op, starts: &[&Op], op: &Op) -> bool {
    let started = |start: &&Op| start.ending != Ending::Refused && stop.start < start.end && start.start < op.end;
    stop.ending == Ending::Good
        && stop.end < op.start
        && !starts.iter().any(started)
        && !Timeline::any_between(&timeline.restarts, stop.start, op.end)
}
