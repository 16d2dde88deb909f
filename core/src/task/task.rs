//! One task: the execution of one command, from its arrival to its status or its abort.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::connection::moment::Moment;
use crate::env::Runtime;
use crate::high_water::Bounds;
use crate::id::{Itt, Lun};
use crate::logical_unit::{Fence, LogicalUnit};
use crate::scsi;
use crate::session::Session;
use crate::session::data_transfer::DataOutTransfer;
use crate::sync::Notify;
use crate::task::sense::Sense;
use crate::task::status::Status;
use crate::task::task_set::{Age, Attribute};
use crate::wire::SerialNumber;

/// Where a task is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TaskState {
    /// Received, but commands with smaller CmdSN are missing, or its data are still on their way, or it is dormant.
    Waiting,
    /// In the work queue.
    Queued,
    /// A worker has it.
    Running,
    /// A worker has it, and whatever comes out will be thrown away.
    Aborting,
    /// The back end did not answer in time: the task is over for everyone but its worker, which still waits.
    Disowned,
    /// Over: it has a status on the write list, or never will have one.
    Ended,
}

/// Why a task is not carried out although it was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// A limit was met: BUSY or TASK SET FULL.
    Full(Status),
    /// Its data were not as they should be.
    Sense(Sense),
}

/// Bytes of the buffer pool that a session's WRITEs hold while their data are on the way; given back on drop.
pub(crate) struct PoolShare {
    held: Rc<Cell<usize>>,
    bytes: usize,
}

impl PoolShare {
    /// Adds `bytes`, which leave `left` in the pool, to what is `held`, unless that comes to too much.
    pub(crate) fn take(held: &Rc<Cell<usize>>, bytes: usize, left: usize, limits: &Bounds) -> Option<Self> {
        if !limits.may_hold(held.get(), bytes, left) && !crate::planted!(PoolShareIgnored) {
            return None;
        }
        let sum = held.get() + bytes;
        if held.get() > 0 {
            limits.marks.pool_shares.reach(sum);
        }
        held.set(sum);
        Some(Self { held: held.clone(), bytes })
    }
}

impl Drop for PoolShare {
    fn drop(&mut self) {
        self.held.set(self.held.get() - self.bytes);
    }
}

/// A task. It is shared by its session's task table, its task set, the work queue and its worker.
pub struct Task<R: Runtime> {
    pub(crate) session: Rc<Session<R>>,
    pub(crate) itt: Itt,
    pub(crate) lun: Lun,
    /// How the initiator addressed it.
    pub(crate) address: Lun,
    pub(crate) logical_unit: Option<Rc<LogicalUnit<R>>>,
    pub(crate) cdb: [u8; 16],
    pub(crate) attribute: Attribute,
    pub(crate) cmd_sn: SerialNumber,
    /// It holds no place in the command window.
    pub(crate) immediate: bool,
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Expected Data Transfer Length in bytes.
    pub(crate) expected_bytes: u32,
    /// What the CDB asks the initiator to send, in bytes.
    pub(crate) cdb_out_bytes: u64,
    pub(crate) state: Cell<TaskState>,
    pub(crate) refusal: RefCell<Option<Refusal>>,
    /// It holds a place in the command window.
    pub(crate) holds_place: Cell<bool>,
    /// A worker took it.
    pub(crate) has_worker: Cell<bool>,
    /// Age in its task set, once it is there.
    pub(crate) age: Cell<Option<Age>>,
    pub(crate) enabled: Cell<bool>,
    pub(crate) transfer: RefCell<Option<DataOutTransfer>>,
    /// Data from the initiator; taken while the driver receives straight into it, and by the worker.
    pub(crate) data_out: RefCell<Option<R::Buf>>,
    /// What its buffer counts for, until a worker has it.
    pub(crate) pool_share: RefCell<Option<PoolShare>>,
    /// While the back end still has it although it is over: nobody else may touch its blocks.
    pub(crate) fence: RefCell<Option<Fence>>,
    /// When it came, or when its last R2T was sent.
    pub(crate) heard: Cell<Moment>,
    /// When it came, or when its first R2T was sent.
    pub(crate) asked: Cell<Moment>,
    /// Its state became `Aborting`, `Disowned` or `Ended`, or its last Data-Out came.
    pub(crate) changed: Notify,
}

impl<R: Runtime> Task<R> {
    /// Its row in the table of its state machine.
    #[cfg(simulation)]
    pub(crate) fn row(&self) -> crate::cells::task::State {
        use crate::cells::task::State;
        let refused = self.refusal.borrow().is_some();
        let delivered = self.holds_place.get() || self.age.get().is_some() || self.immediate && refused;
        match self.state.get() {
            TaskState::Waiting if !delivered => State::Held,
            TaskState::Waiting if refused => State::Refused,
            TaskState::Waiting if !self.enabled.get() => State::Dormant,
            TaskState::Waiting => State::Receiving,
            TaskState::Queued => State::Queued,
            TaskState::Running => State::Running,
            TaskState::Aborting if self.has_worker.get() => State::AbortingAtWork,
            TaskState::Aborting => State::AbortingOwed,
            TaskState::Disowned => State::Disowned,
            TaskState::Ended => State::Ended,
        }
    }

    /// Not aborted and without a status.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state.get(), TaskState::Waiting | TaskState::Queued | TaskState::Running)
    }

    /// Data of this task are still on their way from the initiator.
    pub(crate) fn is_receiving(&self) -> bool {
        self.transfer.borrow().as_ref().is_some_and(DataOutTransfer::is_receiving)
    }

    /// The back end did not answer in time: the task is over for everyone but its worker, and its blocks are fenced
    /// before anybody is told.
    pub(crate) fn disown(&self) {
        let fence = self
            .logical_unit
            .as_ref()
            .filter(|_| !crate::planted!(DisownedUnfenced))
            .and_then(|unit| scsi::footprint(&self.cdb, unit.block_bytes()).map(|footprint| unit.fence(footprint)));
        *self.fence.borrow_mut() = fence;
        self.state.set(TaskState::Disowned);
        self.changed.all();
    }

    /// The initiator sends data that the command uses.
    pub(crate) fn has_data_out(&self) -> bool {
        self.write && self.cdb_out_bytes > 0 && self.expected_bytes > 0
    }

    /// Everything that it needs to run is there: it is enabled and its data have arrived.
    pub(crate) fn is_ready(&self) -> bool {
        self.state.get() == TaskState::Waiting
            && self.enabled.get()
            && self.transfer.borrow().as_ref().is_none_or(DataOutTransfer::is_complete)
    }

    /// Takes a piece of its data from the initiator, which belongs at `offset`. What lies past the end is dropped:
    /// the command does not use it.
    pub(crate) fn take_data(&self, offset: usize, data: &[u8]) {
        let mut buffer = self.data_out.borrow_mut();
        let Some(buffer) = buffer.as_mut() else { return };
        let room = buffer.as_mut().get_mut(offset..).unwrap_or_default();
        let length = data.len().min(room.len());
        room[..length].copy_from_slice(&data[..length]);
    }

    /// Takes its data away, for a worker or for good.
    pub(crate) fn take_data_out(&self) -> Option<R::Buf> {
        self.pool_share.take();
        self.data_out.borrow_mut().take()
    }

    /// Refuses the task. It stays until its data have stopped coming.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refusal.borrow_mut().get_or_insert(refusal);
        self.take_data_out();
        if let Some(transfer) = self.transfer.borrow_mut().as_mut() {
            transfer.give_up();
        }
    }
}
