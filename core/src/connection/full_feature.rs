//! The driver of a connection in full feature phase: the whole way in, on one screen.

use std::rc::Rc;

use crate::connection::error::ProtocolError;
use crate::connection::login::LoginStatus;
use crate::connection::login::discovery::Asker;
use crate::connection::receive::{AHS_TOO_LONG, Part, Receiver, SEGMENT_TOO_LONG};
use crate::connection::text::{TextAction, TextContext, TextExchange};
use crate::env::{ByteStream, Runtime, TxData};
use crate::event::Event;
use crate::id::{Itt, Ttt};
use crate::session::abort::Owed;
use crate::session::command_window::Arrival;
use crate::session::data_transfer::TransferError;
use crate::session::{Command, Session};
use crate::sync::give_way;
use crate::target::Shard;
use crate::task::{Task, management};
use crate::wire::{
    Bhs, DataOut, LogoutRequest, LogoutResponse, NopIn, NopOut, Opcode, Reject, ScsiCommand, SerialNumber,
    TaskManagementRequest, TaskManagementResponse, TextRequest, TextResponse,
};

/// Data segments of at least this size are received straight into the command's buffer.
const IN_PLACE_BYTES: usize = 16 * 1024;

/// Data of one NOP-Out or Text Request that waits for a gap in CmdSN.
const HELD_BYTES_MAX: usize = 4096;
/// Where CmdSN stands in every request that has one.
const CMD_SN_AT: usize = 24;

/// Whether the connection goes on.
enum Flow {
    Continue,
    /// The initiator logged out.
    Logout(LogoutRequest),
    /// It cannot go on.
    Close(&'static str),
}

/// A PDU of which the header has come.
struct Incoming<R: Runtime> {
    bhs: Bhs,
    sink: Sink<R>,
}

/// Where the data segment goes.
enum Sink<R: Runtime> {
    Drop,
    /// The whole PDU is dropped without an answer.
    Ignore,
    Bytes(Vec<u8>),
    /// A command with its immediate data, or what is left of it to arrive from `next` on.
    Command {
        task: Rc<Task<R>>,
        next: usize,
    },
    /// The task of a Data-Out PDU; `Err` when the PDU broke the rules.
    DataOut {
        task: Rc<Task<R>>,
        next: usize,
        checked: Result<(), TransferError>,
    },
    /// The PDU is answered with a Reject for this reason.
    Reject(u8),
}

pub(crate) struct Driver<R: Runtime> {
    shard: Rc<Shard<R>>,
    session: Rc<Session<R>>,
    receiver: Receiver,
    incoming: Option<Incoming<R>>,
    text: TextExchange,
}

impl<R: Runtime> Driver<R> {
    pub(crate) fn new(shard: Rc<Shard<R>>, session: Rc<Session<R>>) -> Self {
        let negotiated = session.negotiated.borrow().clone();
        let limits = &session.limits;
        let receiver = Receiver::new(
            limits.max_recv_data_segment_bytes as usize,
            limits.ahs_bytes,
            negotiated.header_digest,
            negotiated.data_digest,
        );
        Self { shard, session, receiver, incoming: None, text: TextExchange::default() }
    }

    /// Serves the connection until it ends; `unread` came behind the last login request. Tells why it ended.
    pub(crate) async fn run(&mut self, unread: &[u8]) -> &'static str {
        let session = self.session.clone();
        let connection = &session.connection;
        let mut flow = self.feed(unread);
        loop {
            match flow {
                Flow::Continue => {}
                Flow::Close(why) => {
                    // What was answered last may be the reason, and should arrive.
                    connection.finish(why).await;
                    return why;
                }
                Flow::Logout(request) => {
                    self.log_out(&request).await;
                    return "logout";
                }
            }
            connection.until_room().await;
            if connection.is_closed() {
                return "closed";
            }
            if crate::buggify!(ReceiveYields) {
                give_way().await;
            }
            flow = if self.is_for_in_place() && self.sink_takes_in_place() {
                self.receive_in_place().await
            } else {
                match connection.stream.recv().await {
                    Ok(chunk) if !chunk.is_empty() => {
                        connection.hear();
                        self.feed_in_pieces(&chunk)
                    }
                    Ok(_) => {
                        crate::cell!(connection: self.row(), PeerCloses);
                        return "the peer closed the connection";
                    }
                    Err(_) => {
                        crate::cell!(connection: self.row(), ReceivingFails);
                        return "receiving failed";
                    }
                }
            };
        }
    }

    /// The rest of the data segment is long enough that it is not copied.
    fn is_for_in_place(&self) -> bool {
        match self.receiver.data_left() {
            0 => false,
            IN_PLACE_BYTES.. => !crate::buggify!(SegmentCopied),
            _ => crate::buggify!(SegmentInPlace),
        }
    }

    fn feed_in_pieces(&mut self, chunk: &[u8]) -> Flow {
        if chunk.len() < 2 || !crate::buggify!(ChunkInPieces) {
            return self.feed(chunk);
        }
        let (first, rest) = chunk.split_at(chunk.len() / 2);
        match self.feed(first) {
            Flow::Continue => self.feed(rest),
            flow => flow,
        }
    }

    fn feed(&mut self, mut input: &[u8]) -> Flow {
        loop {
            let flow = match self.receiver.next(&mut input) {
                Ok(None) => {
                    if !self.receiver.is_between_pdus() {
                        self.session.connection.pdu_goes_on();
                    }
                    return Flow::Continue;
                }
                Ok(Some(Part::Header(bhs))) => {
                    let sink = self.begin(&bhs);
                    self.incoming = Some(Incoming { bhs, sink });
                    Flow::Continue
                }
                Ok(Some(Part::Data(data))) => {
                    self.take_data(data);
                    Flow::Continue
                }
                Ok(Some(Part::End { digest_ok })) => {
                    self.session.connection.pdu_ends();
                    match self.incoming.take() {
                        Some(incoming) => self.end(incoming, digest_ok),
                        None => Flow::Continue,
                    }
                }
                Err(error) => self.stream_lost(&error),
            };
            if !matches!(flow, Flow::Continue) {
                return flow;
            }
        }
    }

    /// The stream cannot be followed any further.
    fn stream_lost(&self, error: &ProtocolError) -> Flow {
        crate::cell!(connection: self.row(), NoStream);
        let marks = &self.session.limits.marks;
        if *error == AHS_TOO_LONG {
            marks.ahs_bytes.meet();
        } else if *error == SEGMENT_TOO_LONG {
            marks.max_recv_data_segment_bytes.meet();
        }
        let what = error.cause();
        self.session.event(&Event::ProtocolViolation { connection: self.session.connection.id, what });
        Flow::Close(what)
    }

    /// Its row in the table of its state machine.
    #[cfg(simulation)]
    fn row(&self) -> crate::cells::connection::State {
        use crate::cells::connection::State;
        match (self.shard.stopping.get(), self.session.target.is_none()) {
            (true, _) => State::Stopping,
            (false, true) => State::Discovery,
            (false, false) => State::Normal,
        }
    }

    #[cfg(simulation)]
    fn note(&self, bhs: &Bhs) {
        let row = self.row();
        match bhs.opcode() {
            Opcode::NOP_OUT if bhs.itt() == Itt::NONE => crate::cell!(connection: row, Answer),
            Opcode::NOP_OUT => crate::cell!(connection: row, NopOut),
            Opcode::SCSI_COMMAND => crate::cell!(connection: row, Command),
            Opcode::TASK_MANAGEMENT_REQUEST => crate::cell!(connection: row, Management),
            Opcode::DATA_OUT => crate::cell!(connection: row, DataOut),
            Opcode::TEXT_REQUEST => crate::cell!(connection: row, Text),
            Opcode::LOGOUT_REQUEST => crate::cell!(connection: row, Logout),
            Opcode::LOGIN_REQUEST => crate::cell!(connection: row, Login),
            Opcode::SNACK => crate::cell!(connection: row, Snack),
            _ => crate::cell!(connection: row, Unknown),
        }
    }

    /// A header has come: decides where its data segment goes.
    fn begin(&self, bhs: &Bhs) -> Sink<R> {
        #[cfg(simulation)]
        self.note(bhs);
        let bytes = bhs.data_segment_bytes();
        let limits = &self.session.limits;
        limits.marks.ahs_bytes.reach(bhs.ahs_bytes());
        limits.marks.max_recv_data_segment_bytes.reach(bytes);
        match bhs.opcode() {
            Opcode::TASK_MANAGEMENT_REQUEST if crate::planted!(StopHalfDeaf) => Sink::Drop,
            // A target that stops begins nothing new: it only takes the data of what it has begun.
            opcode if self.shard.stopping.get() && opcode != Opcode::DATA_OUT => Sink::Ignore,
            Opcode::SCSI_COMMAND => match ScsiCommand::parse(bhs) {
                Ok(command) => self.begin_command(&command, bytes),
                Err(_) => Sink::Reject(Reject::INVALID_PDU_FIELD),
            },
            Opcode::DATA_OUT => match DataOut::parse(bhs) {
                Ok(data_out) => self.begin_data_out(&data_out, bytes),
                Err(_) => Sink::Reject(Reject::INVALID_PDU_FIELD),
            },
            Opcode::TEXT_REQUEST if bytes > limits.text_bytes => {
                limits.marks.text_bytes.meet();
                Sink::Reject(Reject::LONG_OPERATION_REJECT)
            }
            // What waits for a gap is kept outside the pool: only a little of it. The rest counts as not received.
            Opcode::NOP_OUT | Opcode::TEXT_REQUEST if bytes > HELD_BYTES_MAX && self.is_ahead(bhs) => Sink::Ignore,
            Opcode::NOP_OUT | Opcode::TEXT_REQUEST => Sink::Bytes(Vec::with_capacity(bytes)),
            _ => Sink::Drop,
        }
    }

    /// It is not immediate, and commands before it are missing.
    fn is_ahead(&self, bhs: &Bhs) -> bool {
        let cmd_sn = SerialNumber(bhs.u32_at(CMD_SN_AT));
        !bhs.immediate() && cmd_sn != self.session.window.borrow().exp_cmd_sn()
    }

    fn begin_command(&self, command: &ScsiCommand, bytes: usize) -> Sink<R> {
        let session = &self.session;
        if session.target.is_none() {
            return Sink::Reject(Reject::PROTOCOL_ERROR);
        }
        if !command.immediate && !session.window.borrow().is_missing(command.cmd_sn) {
            if session.window.borrow().max_cmd_sn().precedes(command.cmd_sn) {
                session.limits.marks.command_window.meet();
            }
            crate::probe!(DuplicateHeldBack if session.window.borrow().contains(command.cmd_sn));
            #[cfg(simulation)]
            session.window.borrow().note(command.cmd_sn);
            return Sink::Drop;
        }
        if crate::wire::ahs::AhsChain::new(self.receiver.ahs()).any(|ahs| ahs.is_err()) {
            return Sink::Reject(Reject::INVALID_PDU_FIELD);
        }
        if session.tasks.borrow().contains_key(&command.itt) || command.itt == Itt::NONE {
            return Sink::Reject(Reject::TASK_IN_PROGRESS);
        }
        if command.immediate {
            let immediate = session.immediate_commands();
            if immediate >= session.limits.immediate_commands as usize {
                session.event(&Event::LimitMet { limit: session.limits.marks.immediate_commands.meet() });
                return Sink::Reject(Reject::IMMEDIATE_COMMAND_REJECT);
            }
        }
        Sink::Command { task: session.receive_task(command, bytes), next: 0 }
    }

    fn begin_data_out(&self, data_out: &DataOut, bytes: usize) -> Sink<R> {
        let task = self.session.tasks.borrow().get(&data_out.itt).cloned();
        // The task may have been aborted, or answered, while its data were on their way.
        let Some(task) = task else {
            crate::probe!(DataOutForNobody);
            return Sink::Drop;
        };
        let checked = match task.transfer.borrow_mut().as_mut() {
            Some(transfer) => transfer.on_data(
                data_out.ttt,
                data_out.data_sn,
                data_out.buffer_offset,
                bytes as u32,
                data_out.final_bit,
            ),
            None => Err(TransferError::Unsolicited),
        };
        if checked.is_ok() && bytes > 0 {
            self.session.data_came(bytes);
        }
        match checked {
            Ok(range) => Sink::DataOut { task, next: range.start as usize, checked: Ok(()) },
            Err(TransferError::UnknownTag) => Sink::Reject(Reject::INVALID_PDU_FIELD),
            Err(error) => Sink::DataOut { task, next: usize::MAX, checked: Err(error) },
        }
    }

    fn take_data(&mut self, data: &[u8]) {
        match self.incoming.as_mut().map(|incoming| &mut incoming.sink) {
            Some(Sink::Bytes(bytes)) => bytes.extend_from_slice(data),
            Some(Sink::Command { task, next } | Sink::DataOut { task, next, .. }) => {
                task.take_data(*next, data);
                *next = next.saturating_add(data.len());
            }
            Some(Sink::Drop | Sink::Ignore | Sink::Reject(_)) | None => {}
        }
    }

    /// The rest of the data segment fits into the task's buffer as a whole.
    fn sink_takes_in_place(&self) -> bool {
        let Some(Sink::Command { task, next } | Sink::DataOut { task, next, .. }) =
            self.incoming.as_ref().map(|incoming| &incoming.sink)
        else {
            return false;
        };
        let end = next.saturating_add(self.receiver.data_left());
        task.data_out.borrow().as_ref().is_some_and(|buffer| end <= buffer.as_ref().len())
    }

    async fn receive_in_place(&mut self) -> Flow {
        let left = self.receiver.data_left();
        let Some(Sink::Command { task, next } | Sink::DataOut { task, next, .. }) =
            self.incoming.as_mut().map(|incoming| &mut incoming.sink)
        else {
            return Flow::Continue;
        };
        let Some(buffer) = task.data_out.borrow_mut().take() else { return Flow::Continue };
        let (result, buffer) = self.session.connection.stream.recv_into(buffer, *next..*next + left).await;
        let count = match result {
            Ok(0) => return Flow::Close("the peer closed the connection"),
            Ok(count) => count,
            Err(_) => return Flow::Close("receiving failed"),
        };
        self.session.connection.hear();
        self.receiver.received_in_place(&buffer.as_ref()[*next..*next + count]);
        *next += count;
        // The task may have been aborted while its buffer was out.
        if task.is_live() && task.refusal.borrow().is_none() {
            *task.data_out.borrow_mut() = Some(buffer);
        } else {
            crate::probe!(SegmentForAborted if !task.is_live());
        }
        // That may have been the end of the PDU, with nothing more to come.
        self.feed(&[])
    }

    /// A PDU is complete.
    fn end(&mut self, incoming: Incoming<R>, digest_ok: bool) -> Flow {
        let Incoming { bhs, sink } = incoming;
        match sink {
            Sink::Ignore => Flow::Continue,
            Sink::Reject(reason) => self.reject(&bhs, reason),
            Sink::DataOut { task, checked, .. } => {
                if let Some(transfer) = task.transfer.borrow_mut().as_mut() {
                    transfer.on_segment();
                }
                if !digest_ok {
                    // Said for every PDU (RFC 7143, section 7.8); the task ends below.
                    self.reject(&bhs, Reject::DATA_DIGEST_ERROR);
                }
                match (checked, digest_ok) {
                    (Err(error), _) => {
                        crate::cell!(task: task.row(), WrongData);
                        self.session.data_violated(&task, error);
                    }
                    (Ok(()), false) => self.session.data_digest_failed(&task),
                    (Ok(()), true) => {
                        crate::cell!(task: task.row(), Data);
                        self.session.advance(&task);
                    }
                }
                Flow::Continue
            }
            // The PDU is discarded and its CmdSN not counted (RFC 7143, sections 7.8 and 11.17.1).
            _ if !digest_ok => {
                crate::cell!(connection: self.row(), WrongDigest);
                self.reject(&bhs, Reject::DATA_DIGEST_ERROR);
                Flow::Continue
            }
            Sink::Command { task, .. } => self.command_arrived(task),
            Sink::Bytes(data) => self.request_with_text_arrived(&bhs, data),
            Sink::Drop => self.request_arrived(&bhs),
        }
    }

    fn command_arrived(&mut self, task: Rc<Task<R>>) -> Flow {
        self.session.tasks.borrow_mut().insert(task.itt, task.clone());
        let (immediate, cmd_sn) = (task.immediate, task.cmd_sn);
        if immediate {
            self.session.limits.marks.immediate_commands.reach(self.session.immediate_commands());
        }
        self.arrived(immediate, cmd_sn, Command::Task(task))
    }

    fn request_with_text_arrived(&mut self, bhs: &Bhs, data: Vec<u8>) -> Flow {
        match bhs.opcode() {
            Opcode::NOP_OUT => match NopOut::parse(bhs) {
                Ok(request) => self.arrived(request.immediate, request.cmd_sn, Command::NopOut(request, data)),
                Err(_) => self.reject(bhs, Reject::INVALID_PDU_FIELD),
            },
            _ => match TextRequest::parse(bhs) {
                Ok(request) => self.arrived(request.immediate, request.cmd_sn, Command::Text(request, data)),
                Err(_) => self.reject(bhs, Reject::INVALID_PDU_FIELD),
            },
        }
    }

    fn request_arrived(&mut self, bhs: &Bhs) -> Flow {
        match bhs.opcode() {
            // Dropped on purpose: outside the window, or data of a task that is over.
            Opcode::SCSI_COMMAND | Opcode::DATA_OUT => Flow::Continue,
            Opcode::TASK_MANAGEMENT_REQUEST => match TaskManagementRequest::parse(bhs) {
                Ok(request) => self.arrived(request.immediate, request.cmd_sn, Command::TaskManagement(request)),
                Err(_) => self.reject(bhs, Reject::INVALID_PDU_FIELD),
            },
            Opcode::LOGOUT_REQUEST => match LogoutRequest::parse(bhs) {
                Ok(request) => self.arrived(request.immediate, request.cmd_sn, Command::Logout(request)),
                Err(_) => self.reject(bhs, Reject::INVALID_PDU_FIELD),
            },
            // SNACK belongs to error recovery level 1, Login to the phase before this one.
            Opcode::SNACK | Opcode::LOGIN_REQUEST => self.reject(bhs, Reject::PROTOCOL_ERROR),
            _ => self.reject(bhs, Reject::COMMAND_NOT_SUPPORTED),
        }
    }

    /// Something with a CmdSN has come: immediate commands are carried out at once, the others in CmdSN order.
    fn arrived(&mut self, immediate: bool, cmd_sn: SerialNumber, command: Command<R>) -> Flow {
        if immediate {
            return match self.carry_out(command) {
                // It may have filled a gap: ABORT TASK of a command that never came does.
                Flow::Continue if !crate::planted!(AbortOfUnsentHolds) => self.take_turns(),
                flow => flow,
            };
        }
        if let Arrival::Ignored(command) = self.session.window.borrow_mut().arrive(cmd_sn, command) {
            if let Command::Task(task) = command {
                self.session.tasks.borrow_mut().remove(&task.itt);
            }
            return Flow::Continue;
        }
        let window = self.session.window.borrow();
        self.session.limits.marks.command_window.reach(window.in_use() as usize + window.pending());
        drop(window);
        self.take_turns()
    }

    /// Carries out what has its turn in CmdSN order.
    fn take_turns(&mut self) -> Flow {
        let expected = self.session.window.borrow().exp_cmd_sn();
        loop {
            let next = self.session.window.borrow_mut().take_next();
            let Some(command) = next else { break };
            let flow = self.carry_out(command);
            if !matches!(flow, Flow::Continue) {
                return flow;
            }
        }
        let moved = self.session.window.borrow().exp_cmd_sn() != expected;
        self.session.note_gap(moved);
        self.session.changed.all();
        Flow::Continue
    }

    fn carry_out(&mut self, command: Command<R>) -> Flow {
        match command {
            Command::Task(task) => self.session.deliver(&task),
            Command::TaskManagement(request) => self.manage(request),
            Command::NopOut(request, data) => self.echo(&request, data),
            Command::Text(request, data) => self.answer_text(&request, &data),
            Command::Logout(request) => return self.may_log_out(request),
        }
        Flow::Continue
    }

    fn manage(&mut self, request: TaskManagementRequest) {
        let session = &self.session;
        if session.target.is_none() {
            self.reject_request(&request.to_bhs(0), Reject::PROTOCOL_ERROR);
        } else if session.managing.get() >= session.limits.task_management_functions {
            session.event(&Event::LimitMet { limit: session.limits.marks.task_management_functions.meet() });
            if request.immediate {
                self.reject_request(&request.to_bhs(0), Reject::IMMEDIATE_COMMAND_REJECT);
            } else {
                // Its CmdSN is used up: it gets an answer, not a Reject.
                session.send_management_response(&request, TaskManagementResponse::FUNCTION_REJECTED);
            }
        } else if management::plug(session, &request) {
            management::answer(session, &request, TaskManagementResponse::FUNCTION_COMPLETE);
        } else {
            session.managing.set(session.managing.get() + 1);
            session.limits.marks.task_management_functions.reach(session.managing.get() as usize);
            let found = management::Found::by(session, &request);
            let managed = management::manage(self.shard.clone(), session.clone(), request, found);
            session.spawn(managed);
        }
    }

    /// NOP-Out: echoes its data when it asks for an answer (RFC 7143, section 11.18).
    fn echo(&self, request: &NopOut, mut data: Vec<u8>) {
        if request.itt == Itt::NONE {
            // The answer to our own NOP-In: any PDU counts as a sign of life, so there is nothing more to note.
            return;
        }
        let session = &self.session;
        data.truncate(session.negotiated.borrow().max_send_data_segment_bytes as usize);
        let (exp_cmd_sn, max_cmd_sn) = session.window_numbers();
        let stat_sn = session.connection.next_stat_sn();
        let pdu = NopIn { lun: request.lun, itt: request.itt, ttt: Ttt::NONE, stat_sn, exp_cmd_sn, max_cmd_sn };
        let data = if data.is_empty() { TxData::None } else { TxData::Owned(data) };
        session.connection.send(pdu.to_bhs(data.bytes().len()), data);
    }

    fn answer_text(&mut self, request: &TextRequest, data: &[u8]) {
        let session = &self.session;
        let identity = self.shard.identity(session.connection.local);
        let asker = session.key.as_ref().map_or(Asker::Discovery, |key| Asker::Normal(key.target));
        let max_send_data_segment_bytes = session.negotiated.borrow().max_send_data_segment_bytes;
        let context = TextContext { identity, asker, next_ttt: session.next_ttt(), max_send_data_segment_bytes };
        match self.text.on_request(&context, request, data) {
            TextAction::Reject(error) => {
                let reason = error.reject_reason().unwrap_or(Reject::PROTOCOL_ERROR);
                self.reject_request(&request.to_bhs(data.len()), reason);
            }
            TextAction::Reply { final_bit, continue_bit, ttt, data, max_send_data_segment_bytes } => {
                if let Some(declared) = max_send_data_segment_bytes
                    && !crate::planted!(SegmentLimitStays)
                {
                    session.negotiated.borrow_mut().max_send_data_segment_bytes = declared;
                }
                let (exp_cmd_sn, max_cmd_sn) = session.window_numbers();
                let stat_sn = session.connection.next_stat_sn();
                let (lun, itt) = (request.lun, request.itt);
                let pdu = TextResponse { final_bit, continue_bit, lun, itt, ttt, stat_sn, exp_cmd_sn, max_cmd_sn };
                let data = if data.is_empty() { TxData::None } else { TxData::Owned(data) };
                session.connection.send(pdu.to_bhs(data.bytes().len()), data);
            }
        }
    }

    fn may_log_out(&self, request: LogoutRequest) -> Flow {
        let answer = match request.reason {
            LogoutRequest::CLOSE_SESSION => return Flow::Logout(request),
            LogoutRequest::CLOSE_CONNECTION if request.cid == self.session.cid => return Flow::Logout(request),
            LogoutRequest::CLOSE_CONNECTION => LogoutResponse::CID_NOT_FOUND,
            LogoutRequest::REMOVE_CONNECTION_FOR_RECOVERY => LogoutResponse::RECOVERY_NOT_SUPPORTED,
            _ => return self.reject(&request.to_bhs(0), Reject::INVALID_PDU_FIELD),
        };
        self.session.send_logout_response(&request, answer);
        Flow::Continue
    }

    /// Ends every task of the session, answers, and closes the connection (RFC 7143, section 11.14).
    async fn log_out(&self, request: &LogoutRequest) {
        let session = &self.session;
        self.shard.close_succession(session, LoginStatus::SESSION_DOES_NOT_EXIST);
        session.leaving.set(true);
        session.abort(&session.tasks_of(None), Owed::Drop).await;
        session.send_logout_response(request, LogoutResponse::CLOSED);
        session.connection.finish("logout").await;
    }

    fn reject(&self, bhs: &Bhs, reason: u8) -> Flow {
        self.reject_request(bhs, reason);
        Flow::Continue
    }

    fn reject_request(&self, bhs: &Bhs, reason: u8) {
        let connection = &self.session.connection;
        let what = Reject::meaning(reason);
        connection.runtime.event(&Event::ProtocolViolation { connection: connection.id, what });
        self.session.send_reject(bhs, reason);
    }
}
