//! Stage 3: the I_T nexus: the command window, the task table, and the way of a task from arrival to response.

pub(crate) mod abort;
pub mod command_window;
pub mod data_transfer;
pub(crate) mod reinstatement;
pub(crate) mod respond;
mod tasks;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::connection::Connection;
use crate::connection::login::Negotiated;
use crate::connection::moment::Moment;
use crate::env::Runtime;
use crate::event::Event;
use crate::high_water::Bounds;
use crate::id::{Cid, Isid, Itt, Lun, NexusId, Tsih, Ttt};
use crate::session::command_window::CommandWindow;
use crate::session::data_transfer::TransferRules;
use crate::session::reinstatement::Succession;
use crate::sync::{Notify, apart};
use crate::target::TargetShare;
use crate::task::Task;
use crate::task::task_set::TaskSet;
use crate::wire::{LogoutRequest, NopOut, SerialNumber, TaskManagementRequest, TextRequest};

/// Why a connection is closed whose driver, worker or other task panicked.
pub(crate) const BROKEN: &str = "an invariant was broken";

/// Who a session belongs to: the I_T nexus identifier without the target portal group, of which there is one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SessionKey {
    /// Index of the target.
    pub target: usize,
    /// Initiator name in lower case.
    pub initiator: String,
    /// ISID.
    pub isid: Isid,
}

/// A command on its way through the window: whatever carries a CmdSN.
pub(crate) enum Command<R: Runtime> {
    Task(Rc<Task<R>>),
    TaskManagement(TaskManagementRequest),
    NopOut(NopOut, Vec<u8>),
    Text(TextRequest, Vec<u8>),
    Logout(LogoutRequest),
}

/// A session with its one connection. When another connection takes the place of that one, the nexus goes on in a
/// session of its own.
pub struct Session<R: Runtime> {
    pub(crate) nexus: NexusId,
    pub(crate) tsih: Tsih,
    pub(crate) cid: Cid,
    /// `None` for a discovery session.
    pub(crate) key: Option<SessionKey>,
    pub(crate) target: Option<Rc<TargetShare<R>>>,
    pub(crate) negotiated: RefCell<Negotiated>,
    pub(crate) limits: Rc<Bounds>,
    pub(crate) connection: Rc<Connection<R>>,
    pub(crate) window: RefCell<CommandWindow<Command<R>>>,
    /// The task table: every task that was received and is not over.
    pub(crate) tasks: RefCell<BTreeMap<Itt, Rc<Task<R>>>>,
    pub(crate) task_sets: RefCell<BTreeMap<Lun, TaskSet<Rc<Task<R>>>>>,
    /// Tasks that aborts under way cover, once for each of these, until the initiator is told of one of their ends.
    pub(crate) aborting: RefCell<Vec<Rc<Task<R>>>>,
    /// Bytes of the buffer pool that WRITEs hold while their data are on the way.
    pub(crate) pool_held: Rc<Cell<usize>>,
    /// Since when commands have waited for one with a smaller CmdSN.
    gap_since: Cell<Option<Moment>>,
    /// When data of any WRITE came last: those behind it on the connection have to wait for them.
    pub(crate) data_heard: Cell<Moment>,
    /// When `stall_bytes` of data had come last, and how many came since.
    pace_kept: Cell<Moment>,
    data_since_pace: Cell<usize>,
    next_ttt: Cell<Ttt>,
    /// Task management functions that have not been answered.
    pub(crate) managing: Cell<u32>,
    /// The session is being ended, and its tasks with it.
    pub(crate) leaving: Cell<bool>,
    pub(crate) succession: Succession<R>,
    pub(crate) ended: Cell<bool>,
    /// ExpCmdSN moved, a task ended, or the session did.
    pub(crate) changed: Notify,
}

impl<R: Runtime> Session<R> {
    #[allow(clippy::too_many_arguments, reason = "they are what a session is made of")]
    pub(crate) fn new(
        nexus: NexusId,
        (tsih, cid): (Tsih, Cid),
        key: Option<SessionKey>,
        target: Option<Rc<TargetShare<R>>>,
        negotiated: Negotiated,
        exp_cmd_sn: SerialNumber,
        first_ttt: Ttt,
        limits: Rc<Bounds>,
        connection: Rc<Connection<R>>,
    ) -> Self {
        Self {
            nexus,
            tsih,
            cid,
            key,
            target,
            negotiated: RefCell::new(negotiated),
            window: RefCell::new(CommandWindow::new(exp_cmd_sn, limits.command_window)),
            limits,
            connection,
            tasks: RefCell::default(),
            task_sets: RefCell::default(),
            aborting: RefCell::default(),
            pool_held: Rc::default(),
            gap_since: Cell::new(None),
            data_heard: Cell::default(),
            pace_kept: Cell::default(),
            data_since_pace: Cell::new(0),
            next_ttt: Cell::new(first_ttt),
            managing: Cell::new(0),
            leaving: Cell::new(false),
            succession: Succession::default(),
            ended: Cell::new(false),
            changed: Notify::default(),
        }
    }

    pub(crate) fn event(&self, event: &Event) {
        self.connection.runtime.event(event);
    }

    /// A Target Transfer Tag that no open R2T of the session carries: tags go round in 2^32.
    pub(crate) fn next_ttt(&self) -> Ttt {
        let ttt = self.next_ttt.get();
        let next = if crate::buggify!(TagSkipped) { ttt.next().next() } else { ttt.next() };
        crate::probe!(TttWrapped if next.0 < ttt.0);
        self.next_ttt.set(next);
        ttt
    }

    /// Starts a task of the session. One that breaks an invariant takes the connection with it, and so the session.
    pub(crate) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        let session = self.clone();
        self.connection.runtime.spawn(async move {
            let connection = &session.connection;
            if apart(&connection.runtime, task).await.is_none() {
                connection.abort(BROKEN);
            }
        });
    }

    /// Lets go of its tasks, which hold it.
    pub(crate) fn let_go(&self) {
        self.window.borrow_mut().drop_pending();
        drop((self.tasks.take(), self.task_sets.take(), self.aborting.take()));
    }

    /// ExpCmdSN and MaxCmdSN as every PDU to the initiator carries them.
    pub(crate) fn window_numbers(&self) -> (SerialNumber, SerialNumber) {
        let window = self.window.borrow();
        (window.exp_cmd_sn(), window.max_cmd_sn())
    }

    /// Commands were received; `moved`: ExpCmdSN went on.
    pub(crate) fn note_gap(&self, moved: bool) {
        if self.window.borrow().pending() == 0 {
            self.gap_since.set(None);
        } else if moved || self.gap_since.get().is_none() {
            self.gap_since.set(Some(self.connection.heard()));
        }
    }

    /// When the command that others wait for has been missing for too long.
    pub(crate) fn gap_due(&self) -> Option<Duration> {
        let since = self.gap_since.get().filter(|_| !crate::planted!(GapKept))?;
        self.connection.overdue_at(since, self.limits.initiator_stall)
    }

    pub(crate) fn transfer_rules(&self) -> TransferRules {
        let negotiated = self.negotiated.borrow();
        TransferRules {
            initial_r2t: negotiated.initial_r2t,
            immediate_data: negotiated.immediate_data,
            first_burst_bytes: negotiated.first_burst_bytes,
            // Who names no MaxBurstLength gets its default, which may be more than we would agree to.
            max_burst_bytes: negotiated.max_burst_bytes.min(self.limits.max_burst_bytes),
            max_outstanding_r2t: negotiated.max_outstanding_r2t.min(self.limits.max_outstanding_r2t),
        }
    }

    /// Immediate SCSI commands that are not over.
    pub(crate) fn immediate_commands(&self) -> usize {
        self.tasks.borrow().values().filter(|task| task.immediate).count()
    }

    /// All tasks, or those of one logical unit.
    pub(crate) fn tasks_of(&self, lun: Option<Lun>) -> Vec<Rc<Task<R>>> {
        let of_lun = |task: &&Rc<Task<R>>| lun.is_none_or(|lun| task.lun == lun);
        self.tasks.borrow().values().filter(of_lun).cloned().collect()
    }

    /// Waits until the session is over.
    pub(crate) async fn until_ended(&self) {
        self.changed.until(|| self.ended.get().then_some(())).await;
    }
}
