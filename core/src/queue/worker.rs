//! A worker: a slot of the pool, a long-lived task that carries out one command after another.

use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, select};

use crate::env::Runtime;
use crate::event::Event;
use crate::scsi::{self, Outcome, Request};
use crate::target::TargetShare;
use crate::task::{Task, TaskState};

/// Serves the work queue of `target` until it is closed.
pub(crate) async fn work<R: Runtime>(target: Rc<TargetShare<R>>) {
    while let Some((lun, task)) = target.queue.pop().await {
        let disowned = carry_out(&target, &task).await;
        if disowned {
            // Somebody took this worker's place when the task was disowned.
            return;
        }
        target.queue.done(lun);
    }
}

/// Carries out one command; tells whether it was disowned meanwhile.
async fn carry_out<R: Runtime>(target: &Rc<TargetShare<R>>, task: &Rc<Task<R>>) -> bool {
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
    let execute = pin!(scsi::execute(&target.device, request));
    let disowned = pin!(task.changed.until(|| (task.state.get() == TaskState::Disowned).then_some(())));
    // Whether it was disowned is looked at first: then it may go no further.
    match select(disowned, execute).await {
        Either::Right((outcome, _)) => {
            finish(task, outcome);
            false
        }
        Either::Left(((), execute)) => {
            target.replace_worker(task);
            // What a command does beside the medium, as a stop does, must not happen after its abort.
            if task.fence.borrow().is_some() || crate::planted!(StopAfterAbort) {
                drop(execute.await);
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
