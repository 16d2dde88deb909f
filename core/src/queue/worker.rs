//! A worker: a slot of the pool, a long-lived task that carries out one command after another.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, select};

use crate::buggify::LATE;
use crate::env::Runtime;
use crate::event::Event;
use crate::scsi::{self, Outcome, Request};
use crate::session::BROKEN;
use crate::sync::apart;
use crate::target::TargetShare;
use crate::task::status::Status;
use crate::task::{Task, TaskState};

/// A command that a worker has, with the number of its logical unit.
type Held<R> = Rc<RefCell<Option<(u16, Rc<Task<R>>)>>>;

/// A place in the pool, until the work queue of `target` is closed: a worker that breaks an invariant is replaced.
pub(crate) async fn work<R: Runtime>(target: Rc<TargetShare<R>>) {
    let held = Held::default();
    while apart(&target.device.runtime, serve(target.clone(), held.clone())).await.is_none() {
        let Some((lun, task)) = held.take() else { continue };
        if crate::planted!(WorkerLost) || break_off(&target, lun, &task) {
            // Somebody took this worker's place when the task was disowned.
            return;
        }
        crate::probe!(WorkerReplaced);
    }
}

/// The execution of `task` broke an invariant. Nobody knows how far it came, so it gets no answer: its connection is
/// closed, and it ends with its session. Tells whether it was disowned.
fn break_off<R: Runtime>(target: &Rc<TargetShare<R>>, lun: u16, task: &Rc<Task<R>>) -> bool {
    crate::cell!(task: task.row(), Panic);
    let disowned = task.state.get() == TaskState::Disowned;
    if disowned {
        task.fence.take();
        target.disowned_ended(task);
    } else {
        target.queue.done(lun);
    }
    task.has_worker.set(false);
    task.changed.all();
    task.session.connection.abort(BROKEN);
    disowned
}

/// Serves the work queue of `target` until it is closed.
async fn serve<R: Runtime>(target: Rc<TargetShare<R>>, held: Held<R>) {
    while let Some((lun, task)) = target.queue.pop().await {
        *held.borrow_mut() = Some((lun, task.clone()));
        let disowned = carry_out(&target, &task).await;
        held.take();
        if disowned {
            // Somebody took this worker's place when the task was disowned.
            return;
        }
        target.queue.done(lun);
    }
}

/// Carries out one command; tells whether it was disowned meanwhile.
async fn carry_out<R: Runtime>(target: &Rc<TargetShare<R>>, task: &Rc<Task<R>>) -> bool {
    crate::cell!(task: task.row(), Taken);
    if task.state.get() != TaskState::Queued {
        return false;
    }
    if !task.session.may_start(task) {
        return false;
    }
    task.state.set(TaskState::Running);
    task.has_worker.set(true);
    let (nexus, lun, itt) = (task.session.nexus, task.lun, task.itt);
    target.device.runtime.event(&Event::TaskStarted { nexus, lun, itt });
    let data_out = task.take_data_out();
    assert_eq!(data_out.is_some(), task.has_data_out(), "a command runs with exactly the data it asked for");
    let request = Request { nexus, lun, cdb: task.cdb, data_out };
    let execute = pin!(async {
        if crate::buggify!(WorkerLate) {
            target.device.runtime.sleep(LATE).await;
        }
        let outcome = scsi::execute(&target.device, request).await;
        if crate::buggify!(AnswerLate) {
            target.device.runtime.sleep(LATE).await;
        }
        outcome
    });
    let disowned = pin!(task.changed.until(|| (task.state.get() == TaskState::Disowned).then_some(())));
    // Whether it was disowned is looked at first: then it may go no further.
    match select(disowned, execute).await {
        Either::Right((outcome, _)) => {
            crate::cell!(task: task.row(), Executed);
            finish(task, outcome);
            false
        }
        Either::Left(((), execute)) => {
            target.replace_worker(task);
            // What a command does beside the medium, as a stop does, must not happen after its abort.
            if task.fence.borrow().is_some() || crate::planted!(StopAfterAbort) {
                drop(execute.await);
                crate::cell!(task: task.row(), Executed);
                crate::probe!(DisownedEndsLate if task.write);
                crate::probe!(DisownedOutlivesSession if task.session.ended.get());
            }
            task.fence.take();
            target.device.runtime.event(&Event::DisownedCompleted { nexus, lun, itt });
            target.disowned_ended(task);
            true
        }
    }
}

fn finish<R: Runtime>(task: &Rc<Task<R>>, outcome: Outcome<R::Buf>) {
    match task.state.get() {
        TaskState::Running => task.session.complete(task, outcome),
        _ => {
            crate::probe!(WriteLandsInAbort if task.has_data_out() && outcome.status == Status::GOOD);
            if crate::planted!(BufferLeakOnAbort)
                && let scsi::DataIn::Buffer(buffer) = outcome.data_in
            {
                std::mem::forget(buffer);
            }
            task.fence.take();
            task.state.set(TaskState::Ended);
            task.changed.all();
        }
    }
}
