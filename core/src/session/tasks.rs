//! The way of a task through its session: received, delivered in CmdSN order, supplied with data, queued, ended.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::buggify::LATE;
use crate::connection::moment::Moment;
use crate::env::Runtime;
use crate::event::Event;
use crate::high_water::Mark;
use crate::scsi::{self, DataPhase, Outcome};
use crate::session::Session;
use crate::session::data_transfer::{DataOutTransfer, TransferError};
use crate::sync::Notify;
use crate::target::TargetShare;
use crate::task::sense::{Sense, SenseFormat, SenseKey};
use crate::task::status::Status;
use crate::task::task_set::Attribute;
use crate::task::{PoolShare, Refusal, Task, TaskState};
use crate::wire::ScsiCommand;

/// Conditions that iSCSI itself reports (RFC 7143, section 11.4.7.2), and the SAM one for an illegal task attribute.
const UNEXPECTED_UNSOLICITED_DATA: Sense = Sense::new(SenseKey::ABORTED_COMMAND, 0x0c0c);
const INCORRECT_AMOUNT_OF_DATA: Sense = Sense::new(SenseKey::ABORTED_COMMAND, 0x0c0d);
const PROTOCOL_SERVICE_CRC_ERROR: Sense = Sense::new(SenseKey::ABORTED_COMMAND, 0x4705);
const INVALID_MESSAGE: Sense = Sense::new(SenseKey::ABORTED_COMMAND, 0x4900);

/// Where READ and WRITE (10) have their transfer length.
const TRANSFER_LENGTH_BYTE: u16 = 7;

/// For the data phase of a command to a logical unit that is not there.
const BLOCK_BYTES_UNMAPPED: u32 = 512;

impl<R: Runtime> Session<R> {
    /// Makes a task of a SCSI Command PDU with `immediate_bytes` of data, before these have arrived. The task is in
    /// no table yet.
    pub(crate) fn receive_task(self: &Rc<Self>, command: &ScsiCommand, immediate_bytes: usize) -> Rc<Task<R>> {
        let unit = self.target.as_ref().and_then(|target| target.logical_unit(command.lun));
        let block_bytes = unit.as_ref().map_or(BLOCK_BYTES_UNMAPPED, |unit| unit.block_bytes());
        let cdb_out_bytes = match scsi::data_phase(&command.cdb, block_bytes) {
            DataPhase::Out(bytes) => bytes,
            DataPhase::In(_) | DataPhase::None => 0,
        };
        let task = Rc::new(Task {
            session: self.clone(),
            itt: command.itt,
            lun: command.lun.canonical(),
            address: command.lun,
            logical_unit: unit,
            cdb: command.cdb,
            attribute: Attribute::from_wire(command.attribute).unwrap_or(Attribute::Simple),
            cmd_sn: command.cmd_sn,
            immediate: command.immediate,
            read: command.read,
            write: command.write,
            expected_bytes: command.expected_data_transfer_bytes,
            cdb_out_bytes,
            state: Cell::new(TaskState::Waiting),
            refusal: RefCell::default(),
            holds_place: Cell::new(false),
            has_worker: Cell::new(false),
            age: Cell::new(None),
            enabled: Cell::new(false),
            transfer: RefCell::default(),
            data_out: RefCell::default(),
            pool_share: RefCell::default(),
            fence: RefCell::default(),
            heard: Cell::new(self.connection.heard()),
            asked: Cell::new(self.connection.heard()),
            changed: Notify::default(),
        });
        if Attribute::from_wire(command.attribute).is_none() {
            task.refuse(Refusal::Sense(INVALID_MESSAGE));
        }
        self.prepare_transfer(&task, immediate_bytes, command.final_bit);
        task
    }

    /// Sets up the data transfer of a task and the buffer for it.
    fn prepare_transfer(&self, task: &Task<R>, immediate_bytes: usize, final_bit: bool) {
        if !task.write {
            // Without the W bit nothing may follow; a data segment that came along is dropped.
            return;
        }
        let wanted = task.cdb_out_bytes.min(u64::from(task.expected_bytes)) as u32;
        let rules = self.transfer_rules();
        let refused = task.refusal.borrow().is_some();
        match DataOutTransfer::new(rules, task.expected_bytes, wanted, immediate_bytes as u32, final_bit) {
            Ok(mut transfer) => {
                // Only what comes unasked is waited for.
                if refused {
                    transfer.give_up();
                }
                *task.transfer.borrow_mut() = Some(transfer);
            }
            Err(error) => {
                self.transfer_violated(task, error);
                return;
            }
        }
        if wanted > 0 && !refused {
            if wanted > self.limits.transfer_bytes {
                self.limits.marks.transfer_bytes.meet();
                // The device server would refuse it too: no need to fetch the data first.
                task.refuse(Refusal::Sense(Sense::invalid_field(TRANSFER_LENGTH_BYTE)));
                return;
            }
            // Nobody may take all of the pool with WRITEs whose data never come.
            let (limits, runtime) = (&self.limits, &self.connection.runtime);
            let free = runtime.pool_free_bytes();
            let Some(buffer) = limits.buffer(runtime, wanted as usize) else {
                return self.refuse_buffer(task, &limits.marks.pool_bytes);
            };
            // What it takes of the pool may be more than was asked for.
            let left = runtime.pool_free_bytes();
            let Some(share) = PoolShare::take(&self.pool_held, free - left, left, limits) else {
                crate::probe!(PoolShareRefused);
                return self.refuse_buffer(task, &limits.marks.pool_shares);
            };
            limits.marks.transfer_bytes.reach(wanted as usize);
            *task.pool_share.borrow_mut() = Some(share);
            *task.data_out.borrow_mut() = Some(buffer);
        }
    }

    fn transfer_violated(&self, task: &Task<R>, error: TransferError) {
        let (what, sense) = match error {
            TransferError::Unsolicited => ("unsolicited data that were not agreed", UNEXPECTED_UNSOLICITED_DATA),
            TransferError::TooMuch => ("more data than agreed", INCORRECT_AMOUNT_OF_DATA),
            TransferError::UnknownTag => ("Data-Out for an R2T that is not open", INCORRECT_AMOUNT_OF_DATA),
            TransferError::DataSn => ("DataSN out of order", INCORRECT_AMOUNT_OF_DATA),
            TransferError::Offset => ("Buffer Offset out of order", INCORRECT_AMOUNT_OF_DATA),
            TransferError::TooLate => ("data that never came", INCORRECT_AMOUNT_OF_DATA),
            TransferError::TooLittle => ("less data than asked for", INCORRECT_AMOUNT_OF_DATA),
        };
        self.event(&Event::ProtocolViolation { connection: self.connection.id, what });
        task.refuse(Refusal::Sense(sense));
    }

    fn refuse_full(&self, task: &Task<R>, status: Status, mark: &Mark) {
        if !crate::planted!(RefusalUncounted) {
            self.refused(task, mark.meet());
        }
        task.refuse(Refusal::Full(status));
    }

    fn refused(&self, task: &Task<R>, limit: &'static str) {
        self.event(&Event::TaskRefused { nexus: self.nexus, lun: task.lun, itt: task.itt, limit });
    }

    fn refuse_buffer(&self, task: &Task<R>, mark: &Mark) {
        let limit = self.limits.refuse_buffer(mark, self.connection.runtime.now());
        self.refused(task, limit);
        task.refuse(Refusal::Full(if crate::planted!(NoBufferGood) { Status::GOOD } else { Status::BUSY }));
    }

    /// So much data of a WRITE came.
    pub(crate) fn data_came(&self, bytes: usize) {
        let now = self.connection.heard();
        self.data_heard.set(now);
        let sum = self.data_since_pace.get() + bytes;
        let in_pace = sum >= self.limits.stall_bytes;
        if in_pace {
            self.pace_kept.set(now);
        }
        self.data_since_pace.set(if in_pace { 0 } else { sum });
    }

    /// When the first of the WRITEs that wait for data has waited too long.
    pub(crate) fn data_due(&self) -> Option<Duration> {
        self.tasks.borrow().values().filter_map(|task| self.data_due_of(task)).min()
    }

    fn data_due_of(&self, task: &Task<R>) -> Option<Duration> {
        let waits = task.state.get() == TaskState::Waiting && task.is_receiving();
        if !waits || crate::planted!(StalledWriteKept) {
            return None;
        }
        let heard = task.heard.get().max(self.data_heard.get());
        self.connection.overdue_at(self.trickles_since(task).unwrap_or(heard), self.limits.initiator_stall)
    }

    /// Since when the data of the session have come too slowly for a WRITE to keep a buffer that others need.
    fn trickles_since(&self, task: &Task<R>) -> Option<Moment> {
        let since = task.asked.get().max(self.pace_kept.get());
        (self.limits.buffers_are_short(since.at) && !crate::planted!(TrickleKept)).then_some(since)
    }

    /// Ends the WRITEs whose data have not gone on for too long: they hold buffers that others could use.
    pub(crate) fn give_up_stalled(self: &Rc<Self>, now: Duration) {
        let stalled = |task: &&Rc<Task<R>>| self.data_due_of(task).is_some_and(|due| due <= now);
        let stalled: Vec<_> = self.tasks.borrow().values().filter(stalled).cloned().collect();
        for task in stalled {
            let marks = &self.limits.marks;
            let trickles = self.trickles_since(&task).is_some();
            if trickles { &marks.stall_bytes } else { &marks.initiator_stall }.meet();
            crate::probe!(TricklingGivenUp if trickles);
            crate::probe!(StalledGivenUp if !trickles);
            crate::cell!(task: task.row(), Overdue);
            self.data_violated(&task, TransferError::TooLate);
        }
    }

    /// Its data did not survive the way: PROTOCOL SERVICE CRC ERROR (RFC 7143, section 11.4.7.2).
    pub(crate) fn data_digest_failed(self: &Rc<Self>, task: &Rc<Task<R>>) {
        crate::cell!(task: task.row(), WrongDigest);
        task.refuse(Refusal::Sense(PROTOCOL_SERVICE_CRC_ERROR));
        self.advance(task);
    }

    /// The initiator broke the rules of a task's data transfer.
    pub(crate) fn data_violated(self: &Rc<Self>, task: &Rc<Task<R>>, error: TransferError) {
        match task.state.get() {
            // Its data were complete, and yet more come: a worker passes over what is no longer queued.
            TaskState::Queued if !crate::planted!(DataBehindWrite) => {
                crate::probe!(DataBehindQueued);
                task.state.set(TaskState::Waiting);
            }
            TaskState::Ended if crate::planted!(EndedAnswered) => {
                self.transfer_violated(task, error);
                return self.complete_refused(task);
            }
            TaskState::Running | TaskState::Disowned | TaskState::Ended => {
                let what = "data after the last of a command";
                return self.event(&Event::ProtocolViolation { connection: self.connection.id, what });
            }
            TaskState::Waiting | TaskState::Queued | TaskState::Aborting => {}
        }
        if !crate::planted!(BrokenDataTaken) {
            self.transfer_violated(task, error);
        }
        if let Some(transfer) = task.transfer.borrow_mut().as_mut() {
            // What is still on its way cannot be told apart any more: nothing is waited for.
            transfer.abandon();
        }
        self.advance(task);
    }

    /// A task's turn has come in CmdSN order: it enters its task set.
    pub(crate) fn deliver(self: &Rc<Self>, task: &Rc<Task<R>>) {
        crate::cell!(task: task.row(), Delivered);
        if task.state.get() != TaskState::Waiting {
            return;
        }
        if !task.immediate {
            self.window.borrow_mut().hold();
            task.holds_place.set(true);
        }
        let (nexus, lun, itt) = (self.nexus, task.lun, task.itt);
        let (operation_code, attribute) = (task.cdb[0], task.attribute as u8);
        let enabled = {
            let mut sets = self.task_sets.borrow_mut();
            let set = sets.entry(task.lun).or_default();
            let full = set.len() >= self.limits.task_set_tasks as usize;
            if full || !set.is_empty() && crate::buggify!(SetFull) {
                crate::probe!(TaskSetFull if full);
                self.refuse_full(task, Status::TASK_SET_FULL, &self.limits.marks.task_set_tasks);
                None
            } else {
                let (age, enabled) = set.insert(task.clone(), task.attribute);
                self.limits.marks.task_set_tasks.reach(set.len());
                task.age.set(Some(age));
                Some(enabled)
            }
        };
        if enabled.is_some() {
            self.event(&Event::TaskCreated { nexus, lun, itt, operation_code, attribute });
        }
        if enabled == Some(true) {
            self.enable(task);
        } else {
            self.advance(task);
        }
    }

    fn enable(self: &Rc<Self>, task: &Rc<Task<R>>) {
        crate::cell!(task: task.row(), Enabled);
        // A driver that panicked at its end left it in its set.
        if task.state.get() == TaskState::Ended {
            return;
        }
        task.enabled.set(true);
        self.event(&Event::TaskEnabled { nexus: self.nexus, lun: task.lun, itt: task.itt });
        self.advance(task);
    }

    /// Takes a task as far as it can go: asks for data, queues it when all is there, answers it when it was refused
    /// and its data have stopped coming.
    pub(crate) fn advance(self: &Rc<Self>, task: &Rc<Task<R>>) {
        if task.state.get() != TaskState::Waiting {
            task.changed.all();
            return;
        }
        let delivered = task.holds_place.get() || task.immediate;
        if !delivered {
            return;
        }
        self.solicit_when_due(task);
        if task.refusal.borrow().is_some() {
            if !task.is_receiving() {
                self.complete_refused(task);
            }
        } else if task.is_ready() {
            self.queue(task);
        }
    }

    /// Asks for data, now or a little later.
    fn solicit_when_due(self: &Rc<Self>, task: &Rc<Task<R>>) {
        if task.transfer.borrow().is_none() || !crate::buggify!(R2tLate) {
            return self.solicit(task);
        }
        // It holds neither the task nor its session, which may be over by then.
        let (task, runtime) = (Rc::downgrade(task), self.connection.runtime.clone());
        self.connection.runtime.spawn(async move {
            runtime.sleep(LATE).await;
            if let Some(task) = task.upgrade().filter(|task| task.state.get() == TaskState::Waiting) {
                task.session.solicit(&task);
            }
        });
    }

    fn solicit(&self, task: &Task<R>) {
        loop {
            let r2t = match task.transfer.borrow_mut().as_mut() {
                Some(transfer) => transfer.next_r2t(|| self.next_ttt()),
                None => None,
            };
            let Some(r2t) = r2t else { return };
            let open = task.transfer.borrow().as_ref().map_or(0, DataOutTransfer::open_r2ts);
            self.limits.marks.max_outstanding_r2t.reach(open);
            crate::probe!(TwoR2tsOpen if open >= 2);
            crate::probe!(SolicitsDormant if task.age.get().is_some() && !task.enabled.get());
            self.limits.marks.max_burst_bytes.reach(r2t.length as usize);
            let now = self.connection.moment();
            task.heard.set(now);
            if r2t.r2t_sn == 0 {
                task.asked.set(now);
            }
            self.send_r2t(task, &r2t);
        }
    }

    fn queue(self: &Rc<Self>, task: &Rc<Task<R>>) {
        let Some(target) = &self.target else { return };
        let lun = task.lun.number().unwrap_or(u16::MAX);
        if target.queue.is_stuck(lun) {
            crate::probe!(UnitStuck);
            self.refuse_full(task, Status::BUSY, &self.limits.marks.disowned_tasks);
            return self.complete_refused(task);
        }
        task.state.set(TaskState::Queued);
        let busy = crate::buggify!(Busy);
        if busy || target.queue.push(lun, task.clone(), task.attribute == Attribute::HeadOfQueue).is_err() {
            crate::probe!(WorkQueueFull if !busy);
            task.state.set(TaskState::Waiting);
            self.refuse_full(task, Status::BUSY, &self.limits.marks.work_queue_tasks);
            self.complete_refused(task);
        }
    }

    /// Whether the back end may have a task that a worker took; else it has been answered.
    pub(crate) fn may_start(self: &Rc<Self>, task: &Rc<Task<R>>) -> bool {
        let stuck = |target: &Rc<TargetShare<R>>| target.queue.is_stuck(task.lun.number().unwrap_or(u16::MAX));
        if !self.target.as_ref().is_some_and(stuck) {
            return true;
        }
        self.refuse_full(task, Status::BUSY, &self.limits.marks.disowned_tasks);
        self.complete_refused(task);
        false
    }

    fn complete_refused(self: &Rc<Self>, task: &Rc<Task<R>>) {
        let refusal = task.refusal.borrow().clone();
        let outcome = match refusal {
            Some(Refusal::Sense(sense)) => Outcome {
                status: Status::CHECK_CONDITION,
                sense: sense.encode(SenseFormat::Fixed),
                data_in: scsi::DataIn::None,
            },
            Some(Refusal::Full(status)) => Outcome { status, sense: Vec::new(), data_in: scsi::DataIn::None },
            None => return,
        };
        self.complete(task, outcome);
    }

    /// A task ends with a status.
    pub(crate) fn complete(self: &Rc<Self>, task: &Rc<Task<R>>, outcome: Outcome<R::Buf>) {
        task.state.set(TaskState::Ended);
        let status = outcome.status.0;
        self.take_out_of_table(task);
        if crate::planted!(DoubleCompletion) && task.cdb[0] == 0 {
            self.send_outcome(task, Outcome { status: outcome.status, sense: Vec::new(), data_in: scsi::DataIn::None });
        }
        self.send_outcome(task, outcome);
        self.event(&Event::TaskCompleted { nexus: self.nexus, lun: task.lun, itt: task.itt, status });
        self.take_out_of_set(task);
    }

    /// A task ends without a status.
    pub(crate) fn forget(self: &Rc<Self>, task: &Rc<Task<R>>) {
        if !self.is_in_table(task) {
            return;
        }
        crate::probe!(DormantAborted if task.age.get().is_some() && !task.enabled.get());
        let disowned = task.state.get() == TaskState::Disowned;
        if !disowned {
            task.state.set(TaskState::Ended);
        }
        task.take_data_out();
        self.take_out_of_table(task);
        self.event(&Event::TaskAborted { nexus: self.nexus, lun: task.lun, itt: task.itt, disowned });
        self.take_out_of_set(task);
    }

    pub(crate) fn is_in_table(&self, task: &Rc<Task<R>>) -> bool {
        self.tasks.borrow().get(&task.itt).is_some_and(|other| Rc::ptr_eq(other, task))
    }

    fn take_out_of_table(&self, task: &Rc<Task<R>>) {
        if self.is_in_table(task) {
            self.tasks.borrow_mut().remove(&task.itt);
        }
        if task.holds_place.take() {
            self.window.borrow_mut().release();
        }
        task.changed.all();
        self.changed.all();
    }

    fn take_out_of_set(self: &Rc<Self>, task: &Rc<Task<R>>) {
        let Some(age) = task.age.take() else { return };
        let freed = {
            let mut sets = self.task_sets.borrow_mut();
            let Some(set) = sets.get_mut(&task.lun) else { return };
            let mut freed = set.remove(age);
            if freed.len() > 1 && crate::buggify!(FreedInReverse) {
                freed.reverse();
            }
            if set.is_empty() {
                sets.remove(&task.lun);
            }
            freed
        };
        for next in &freed {
            self.enable(next);
        }
    }
}
