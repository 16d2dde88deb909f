//! Task management functions (RFC 7143, section 11.5; SAM-5, section 7) and their response fence.
//!
//! A session has one connection, so the order of the write list is the response fence: what was sent for an affected
//! task lies before the function's response, and nothing of it comes after.

use std::rc::Rc;

use crate::buggify::LATE;
use crate::env::Runtime;
use crate::event::Event;
use crate::id::Lun;
use crate::logical_unit::UnitAttention;
use crate::session::Session;
use crate::session::abort::Owed;
use crate::sync::within;
use crate::target::Shard;
use crate::task::Task;
use crate::wire::{TaskManagementRequest as Request, TaskManagementResponse as Response};

/// The functions that a logical unit supports, as REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS tells. The resets of the
/// target are no matter of a logical unit.
pub(crate) const OF_A_LOGICAL_UNIT: [u8; 4] =
    [Request::ABORT_TASK, Request::ABORT_TASK_SET, Request::CLEAR_TASK_SET, Request::LOGICAL_UNIT_RESET];

/// The tasks that a function finds when it comes. A tag may be used again before it begins.
pub(crate) struct Found<R: Runtime> {
    /// The one that it names.
    referenced: Option<Rc<Task<R>>>,
    /// The immediate ones: their CmdSN does not tell whether they came before.
    immediate: Vec<Rc<Task<R>>>,
}

impl<R: Runtime> Found<R> {
    /// What `request` finds in `session`.
    pub(crate) fn by(session: &Session<R>, request: &Request) -> Self {
        let tasks = session.tasks.borrow();
        let immediate = tasks.values().filter(|task| task.immediate).cloned().collect();
        Self { referenced: tasks.get(&request.referenced_itt).cloned(), immediate }
    }
}

/// Carries out `request`, which `found` these tasks when it came, and answers it.
pub(crate) async fn manage<R: Runtime>(
    shard: Rc<Shard<R>>,
    session: Rc<Session<R>>,
    mut request: Request,
    found: Found<R>,
) {
    request.lun = request.lun.canonical();
    if crate::buggify!(FunctionLate) {
        within(&session.connection.runtime, LATE, session.until_ended()).await;
    }
    let response = match request.function {
        Request::ABORT_TASK if crate::planted!(AbortForeign) => {
            let foreign = shard.sessions_of(0).first().unwrap_or(&session).clone();
            abort_task(&foreign, &request, &Found::by(&foreign, &request)).await
        }
        Request::CLEAR_TASK_SET if crate::planted!(ClearResets) => logical_unit_reset(&shard, &session, &request).await,
        Request::ABORT_TASK => abort_task(&session, &request, &found).await,
        Request::ABORT_TASK_SET | Request::CLEAR_TASK_SET => abort_task_set(&session, &request, &found).await,
        Request::LOGICAL_UNIT_RESET => logical_unit_reset(&shard, &session, &request).await,
        Request::TARGET_WARM_RESET | Request::TARGET_COLD_RESET => target_reset(&shard, &session, &request).await,
        Request::TASK_REASSIGN => Response::REASSIGNMENT_NOT_SUPPORTED,
        _ => Response::FUNCTION_NOT_SUPPORTED,
    };
    session.managing.set(session.managing.get() - 1);
    if session.leaving.get() {
        crate::probe!(FunctionOutlived);
        // Its tasks ended with the session, not by this function: there is nothing true to say any more.
        return;
    }
    answer(&session, &request, response);
    if request.function == Request::TARGET_COLD_RESET && response == Response::FUNCTION_COMPLETE {
        shard.drop_connections(&session).await;
    }
}

/// ABORT TASK of a command that has not come yet: it is counted as received, and will be ignored when it does (RFC 7143,
/// section 11.5.1). Tells whether it was one; then there is nothing more to carry out.
pub(crate) fn plug<R: Runtime>(session: &Session<R>, request: &Request) -> bool {
    let itt = request.referenced_itt;
    let known = session.tasks.borrow().contains_key(&itt) || session.is_aborting(itt);
    let mut window = session.window.borrow_mut();
    let missing = request.ref_cmd_sn.precedes(request.cmd_sn) && window.is_missing(request.ref_cmd_sn);
    if request.function != Request::ABORT_TASK || known || !missing {
        return false;
    }
    window.plug(request.ref_cmd_sn);
    true
}

/// Answers `request`.
pub(crate) fn answer<R: Runtime>(session: &Session<R>, request: &Request, response: u8) {
    session.send_management_response(request, response);
    let (nexus, itt, function) = (session.nexus, request.itt, request.function);
    session.event(&Event::TaskManagementCompleted { nexus, itt, function, response });
}

async fn abort_task<R: Runtime>(session: &Rc<Session<R>>, request: &Request, found: &Found<R>) -> u8 {
    let task = found.referenced.as_ref().filter(|task| session.is_in_table(task));
    if let Some(task) = task.filter(|task| task.lun == request.lun) {
        if crate::planted!(AbortSkipsRunning) && task.has_worker.get() {
            return Response::FUNCTION_COMPLETE;
        }
        session.abort(std::slice::from_ref(task), Owed::Drop).await;
        session.confirm_aborted(|other| Rc::ptr_eq(other, task));
        return Response::FUNCTION_COMPLETE;
    }
    if session.is_aborting(request.referenced_itt) && !crate::planted!(AbortOfAborted) {
        // A function that has not been answered took it away: for the initiator it is there until that is over.
        crate::probe!(AbortOfAborting);
        let itt = request.referenced_itt;
        session.changed.until(|| (!session.is_aborting(itt)).then_some(())).await;
        return Response::FUNCTION_COMPLETE;
    }
    if crate::planted!(EndedAborted) { Response::FUNCTION_COMPLETE } else { Response::TASK_DOES_NOT_EXIST }
}

async fn abort_task_set<R: Runtime>(session: &Rc<Session<R>>, request: &Request, found: &Found<R>) -> u8 {
    if !is_mapped(session, request.lun) {
        return Response::LUN_DOES_NOT_EXIST;
    }
    await_commands_before(session, request).await;
    // Only what was sent before the function is its business (RFC 7143, section 11.5.1).
    let was_there = |task: &Rc<Task<R>>| found.immediate.iter().any(|other| Rc::ptr_eq(other, task));
    let is_before = |task: &Rc<Task<R>>| task.cmd_sn.precedes(request.cmd_sn) || was_there(task);
    let mut covered = session.tasks_of(Some(request.lun));
    covered.retain(|task| is_before(task) || crate::planted!(AbortSetTakesYounger));
    session.abort(&covered, Owed::Await).await;
    // Those too that another function took away before.
    let confirmed = |task: &Rc<Task<R>>| task.lun == request.lun && is_before(task) && !session.is_in_table(task);
    session.confirm_aborted(|task| confirmed(task) && !crate::planted!(ConfirmsItsOwn));
    Response::FUNCTION_COMPLETE
}

async fn logical_unit_reset<R: Runtime>(shard: &Rc<Shard<R>>, session: &Rc<Session<R>>, request: &Request) -> u8 {
    let (Some(target), Some(number)) = (&session.target, request.lun.number()) else {
        return Response::LUN_DOES_NOT_EXIST;
    };
    if !is_mapped(session, request.lun) {
        return Response::LUN_DOES_NOT_EXIST;
    }
    await_commands_before(session, request).await;
    if session.leaving.get() {
        // Nobody hears the answer any more, and another connection may be at work in the same logical unit by now.
        return Response::FUNCTION_REJECTED;
    }
    if !shard.reset_everywhere(target.index, Some(number), UnitAttention::LOGICAL_UNIT_RESET, session).await {
        return Response::FUNCTION_REJECTED;
    }
    session.confirm_aborted(|task| task.lun == request.lun && !session.is_in_table(task));
    Response::FUNCTION_COMPLETE
}

async fn target_reset<R: Runtime>(shard: &Rc<Shard<R>>, session: &Rc<Session<R>>, request: &Request) -> u8 {
    let Some(target) = &session.target else { return Response::FUNCTION_NOT_SUPPORTED };
    if session.leaving.get() {
        // As with a logical unit's.
        return Response::FUNCTION_REJECTED;
    }
    let attention = if request.function == Request::TARGET_COLD_RESET {
        UnitAttention::POWER_ON
    } else {
        UnitAttention::TARGET_RESET
    };
    if !shard.reset_everywhere(target.index, None, attention, session).await {
        return Response::FUNCTION_REJECTED;
    }
    session.confirm_aborted(|task| !session.is_in_table(task));
    Response::FUNCTION_COMPLETE
}

fn is_mapped<R: Runtime>(session: &Session<R>, lun: Lun) -> bool {
    session.target.as_ref().is_some_and(|target| target.logical_unit(lun).is_some())
}

/// Waits, within a deadline, until the commands that the initiator sent before `request` have come (section 4.2.3.3,
/// target step b).
async fn await_commands_before<R: Runtime>(session: &Rc<Session<R>>, request: &Request) {
    crate::probe!(AbortSetAwaitsGap if session.window.borrow().exp_cmd_sn().precedes(request.cmd_sn));
    let received = session.changed.until(|| {
        let all = !session.window.borrow().exp_cmd_sn().precedes(request.cmd_sn);
        (all || session.ended.get()).then_some(())
    });
    // After the deadline, what is there is what is aborted.
    if within(&session.connection.runtime, session.limits.data_out_deadline, received).await.is_none() {
        session.limits.marks.data_out_deadline.meet();
    }
}
