//! One connection: both directions are decoded and every PDU goes to the rules that concern it.

mod answers;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use crate::chunk::Chunk;
use crate::initiator::codec::serial::before;
use crate::initiator::codec::{Decoder, Digests, NO_TAG, RawPdu, opcode};

use super::command::Command;
use super::login::{self, Agreement, Login, Progress, Resets};
use super::management::Management;
use super::numbers::Numbers;
use super::{Question, Report, Reset, Shared};

/// The longest data segment that the length field can name.
const LONGEST_SEGMENT: usize = 0xff_ffff;

/// A request that was not answered yet.
#[derive(Clone, Debug)]
enum Request {
    Command(Command),
    Management(Management),
    /// Data of the NOP-Out, to be echoed.
    Nop(Vec<u8>),
    /// Text requests with this tag that were not answered.
    Text(u32),
    Logout,
}

/// One connection, the only one of its session at a time.
#[derive(Debug)]
pub(super) struct Connection {
    initiator: u32,
    inbound: Decoder,
    outbound: Decoder,
    login: Login,
    agreement: Option<Agreement>,
    isid: [u8; 6],
    numbers: Numbers,
    requests: BTreeMap<u32, Request>,
    /// Task management functions among them.
    functions: usize,
    /// Functions of the session's earlier connection may be at work still.
    goes_on: bool,
    /// Tags that were answered and not used again.
    answered: BTreeSet<u32>,
    /// Tags of tasks that a task management function ended, and that were not used again.
    aborted: BTreeSet<u32>,
    /// Commands so far.
    serial: u64,
    /// The initiator broke the protocol so that its tags mean nothing any more.
    distrusted: bool,
    /// A header came with a wrong digest: what follows is lost.
    deaf: bool,
    /// The target pinged, and nothing came since.
    asked: bool,
    /// Since when it has pinged in vain: not even a byte came.
    asked_since: Option<Duration>,
    /// When the core asked for that, which is before it left.
    asking: Option<Duration>,
    /// When the peer was heard of last: since then it is silent.
    heard: Option<Duration>,
    /// When it was sent something last.
    spoke: Duration,
    /// Why nothing more may be sent.
    over: Option<String>,
    /// CmdSN of the task that entered its task set last.
    last_created: Option<u32>,
    /// Resets that its session was told of.
    resets: Rc<RefCell<Resets>>,
}

impl Connection {
    pub(super) fn new(initiator: u32, resets_before: u32) -> Self {
        Self {
            initiator,
            inbound: Decoder::without_blocks(LONGEST_SEGMENT),
            outbound: Decoder::without_blocks(LONGEST_SEGMENT),
            login: Login::default(),
            agreement: None,
            isid: [0; 6],
            numbers: Numbers::default(),
            requests: BTreeMap::new(),
            functions: 0,
            goes_on: false,
            answered: BTreeSet::new(),
            aborted: BTreeSet::new(),
            serial: 0,
            distrusted: false,
            deaf: false,
            asked: false,
            asked_since: None,
            asking: None,
            heard: None,
            spoke: Duration::ZERO,
            over: None,
            last_created: None,
            resets: Rc::new(RefCell::new(Resets { before: resets_before, ..Resets::default() })),
        }
    }

    pub(super) fn initiator(&self) -> u32 {
        self.initiator
    }

    /// What became of the last ping.
    pub(super) fn question(&self) -> Question {
        match self.asked_since {
            _ if self.distrusted || self.deaf => Question::Doubtful,
            _ if !self.asked => Question::Answered,
            Some(since) => Question::Open { since },
            // Something came, and not a whole PDU yet.
            None => Question::Doubtful,
        }
    }

    /// The connection `by` took the place of this one's session.
    pub(super) fn reinstated(&mut self, by: u64) {
        self.over = Some(format!("connection {by} reinstated its session"));
    }

    /// A reset may end commands without a word.
    pub(super) fn doubt(&mut self, reset: &Reset) {
        for request in self.requests.values_mut() {
            if let Request::Command(command) = request
                && reset.lun.is_none_or(|lun| lun == command.lun)
            {
                command.silence();
            }
        }
    }

    /// I1: the core says that a task entered its task set, which is to happen in the order of CmdSN.
    pub(super) fn task_created(&mut self, itt: u32, report: &mut Report<'_>) {
        let Some(Request::Command(command)) = self.requests.get(&itt) else { return };
        if self.distrusted || command.doubtful || command.immediate {
            return;
        }
        let cmd_sn = command.cmd_sn;
        if let Some(last) = self.last_created.replace(cmd_sn)
            && before(cmd_sn, last)
        {
            report.add("I1", &format!("task {itt:#x} with CmdSN {cmd_sn} entered its task set after CmdSN {last}"));
        }
    }

    /// S4: the core says that it has answered the task management function of this tag; without one, the connection ends
    /// with those that it has not answered. None takes longer than the target's own limits allow.
    pub(super) fn functions_end(&mut self, itt: Option<u32>, limit: Duration, report: &mut Report<'_>) {
        for (&tag, request) in self.requests.iter_mut().filter(|(tag, _)| itt.is_none_or(|itt| itt == **tag)) {
            if let Request::Management(function) = request
                && let Some(began) = function.began.take()
                && report.at > began + limit
                && !self.distrusted
                // One of a crowd may have been turned away, and the Reject waits behind what the peer does not read.
                && (itt.is_some() || !function.crowded)
            {
                let (code, end) = (function.function, if itt.is_some() { "answered" } else { "over" });
                report.add("S4", &format!("task management function {code} ({tag:#x}) of {began:?} is {end} only now"));
            }
        }
    }

    /// S4: a peer that does not answer is not asked for ever.
    fn ask(&mut self, shared: &Shared, report: &mut Report<'_>) {
        self.judge_question(shared, report);
        self.asked = true;
        // What the core heard since it asked was an answer, and its time does not run.
        if self.asking.is_some() && self.heard >= self.asking {
            return;
        }
        let since = *self.asked_since.get_or_insert(report.at);
        if report.at > since + shared.silence_limit {
            report.add("S4", &format!("the peer is asked again, and it has not answered since {since:?}"));
        }
    }

    /// The core is about to ask whether the peer is there.
    pub(super) fn is_asking(&mut self, shared: &Shared, report: &mut Report<'_>) {
        self.judge_question(shared, report);
        self.asking = Some(report.at);
    }

    /// S4: a peer that says nothing is asked whether it is there. Told once.
    fn judge_question(&mut self, shared: &Shared, report: &mut Report<'_>) {
        let (Some(since), Some(limit), Some(_)) = (self.heard, shared.question_limit, &self.agreement) else { return };
        // At the same moment by our clock it may have been in either order: the target's clock may have jumped between.
        let is_open = self.asked || self.asking.is_some_and(|asking| since <= asking);
        if report.at > since + limit && !is_open && self.over.is_none() {
            report.add("S4", &format!("the peer has said nothing since {since:?}, and was not asked"));
            self.heard = None;
        }
    }

    /// S4: a peer that does not answer is given up. Its time begins anew with whatever else it is sent: an answer may be held
    /// up by that. Told once.
    pub(super) fn judge_silence(&mut self, shared: &Shared, report: &mut Report<'_>) {
        self.judge_question(shared, report);
        if report.at > self.spoke + shared.verdict_limit
            && let Some(since) = self.asked_since.take()
        {
            report.add("S4", &format!("the peer has not answered the NOP-In of {since:?}, and was not given up"));
        }
    }

    /// I10: the task of this tag may enter its task set.
    pub(super) fn may_create(&self, itt: u32) -> bool {
        self.distrusted || matches!(self.requests.get(&itt), Some(Request::Command(_)))
    }

    /// I10: a function or a logout was sent here that ends the task of this tag, on a logical unit that `here` knows.
    pub(super) fn may_abort(&self, itt: u32, here: impl Fn(u64) -> bool) -> bool {
        self.distrusted
            || self.requests.values().any(|request| match request {
                Request::Management(function) => function.may_abort(itt, &here),
                Request::Logout => true,
                _ => false,
            })
    }

    /// The target consumed these bytes.
    pub(super) fn received(&mut self, bytes: &Chunk, shared: &mut Shared, report: &mut Report<'_>) {
        self.judge_silence(shared, report);
        self.heard = Some(report.at);
        self.asked_since = None;
        self.inbound.feed(bytes.clone());
        self.pump(shared, report);
    }

    fn pump(&mut self, shared: &mut Shared, report: &mut Report<'_>) {
        // The length of what follows a login request is known only with its answer, which may switch digests on.
        while !self.login.is_pending() {
            match self.inbound.next_pdu() {
                Ok(Some(pdu)) => self.request(pdu, shared, report),
                Ok(None) => break,
                Err(_) => {
                    self.distrusted = true;
                    break;
                }
            }
        }
    }

    fn request(&mut self, pdu: RawPdu, shared: &mut Shared, report: &mut Report<'_>) {
        let Some(agreement) = self.agreement.clone() else {
            if pdu.opcode() == opcode::LOGIN {
                self.numbers.begin(pdu.cmd_sn());
                self.isid = pdu.isid();
            }
            self.distrusted |= !self.login.request(pdu);
            return;
        };
        // Where the next PDU would begin is not known: it counts as if nothing had come (RFC 7143, section 7.8).
        self.deaf |= pdu.header_digest_ok == Some(false);
        if self.deaf {
            return;
        }
        self.asked = false;
        // The PDU is discarded, and its CmdSN does not count (the same section). What a Data-Out is for is not known yet.
        if pdu.data_digest_ok == Some(false) && pdu.opcode() != opcode::DATA_OUT {
            return;
        }
        let (itt, cmd_sn) = (pdu.initiator_task_tag(), pdu.cmd_sn());
        let numbered = !matches!(pdu.opcode(), opcode::DATA_OUT | opcode::SNACK) && !pdu.is_immediate();
        let fresh = !numbered || self.numbers.receive(cmd_sn);
        if !fresh {
            self.doubt_number(cmd_sn);
        }
        let request = match pdu.opcode() {
            opcode::DATA_OUT => {
                if let Some(Request::Command(command)) = self.requests.get_mut(&itt) {
                    command.data_out(&pdu, &agreement);
                }
                return;
            }
            opcode::NOP_OUT if itt == NO_TAG => return,
            opcode::NOP_OUT => Request::Nop(pdu.data),
            opcode::SCSI_COMMAND => self.command(&pdu, fresh, &agreement, shared),
            opcode::TASK_MANAGEMENT => self.management(&pdu, shared, report),
            opcode::TEXT => self.text(&pdu),
            opcode::LOGOUT => Request::Logout,
            _ => {
                // Rejected, or the end of the connection.
                self.distrusted = true;
                return;
            }
        };
        self.answered.remove(&itt);
        self.aborted.remove(&itt);
        let is_function = |request: &Request| matches!(request, Request::Management(_));
        self.functions += usize::from(is_function(&request));
        let old = self.requests.insert(itt, request);
        self.functions -= usize::from(old.as_ref().is_some_and(is_function));
        self.crowd(shared.functions_max);
        self.distrusted |= match old {
            None | Some(Request::Text(_)) => false,
            // Whatever the first one was, nobody knows which of the two an answer is for.
            Some(_) => true,
        };
    }

    /// It goes on with the session of another connection.
    pub(super) fn goes_on(&mut self) {
        self.goes_on = true;
    }

    /// When a function gets its turn is the target's to know, so that any crowd until its answer counts.
    fn crowd(&mut self, most: usize) {
        if self.functions > most || self.functions > 0 && self.goes_on {
            for request in self.requests.values_mut() {
                if let Request::Management(function) = request {
                    function.crowded = true;
                }
            }
        }
    }

    /// Two commands came with this CmdSN: which of them was taken is not known.
    fn doubt_number(&mut self, cmd_sn: u32) {
        for request in self.requests.values_mut() {
            if let Request::Command(command) = request
                && command.cmd_sn == cmd_sn
            {
                command.doubtful = true;
            }
        }
    }

    fn command(&mut self, pdu: &RawPdu, fresh: bool, agreement: &Agreement, shared: &Shared) -> Request {
        self.serial += 1;
        let mut command = Command::new(pdu, self.serial, agreement);
        let ending = |request: &Request| match request {
            Request::Management(function) => {
                function.may_reach(command.cmd_sn) && function.scope().is_none_or(|lun| lun == command.lun)
            }
            _ => false,
        };
        let resetting = shared.resets.iter().any(|reset| reset.lun.is_none_or(|lun| lun == command.lun));
        command.beyond = !pdu.is_immediate() && self.numbers.is_beyond(pdu.cmd_sn());
        command.doubtful |= !fresh;
        if resetting || self.functions > 0 && self.requests.values().any(ending) {
            command.silence();
        }
        Request::Command(command)
    }

    fn management(&mut self, pdu: &RawPdu, shared: &mut Shared, report: &Report<'_>) -> Request {
        let (connection, mut function) = (report.connection, Management::new(pdu, report.at));
        let itt = pdu.initiator_task_tag();
        for (&itt, request) in &self.requests {
            if let Request::Command(command) = request
                && function.affects(itt, command)
            {
                function.affected.push((itt, command.serial));
            }
        }
        function.too_late = function.affected.is_empty()
            && !self.requests.contains_key(&function.task)
            && self.numbers.is_acknowledged(function.ref_cmd_sn);
        if before(function.ref_cmd_sn, function.cmd_sn) {
            self.numbers.excuse(function.ref_cmd_sn);
        }
        if function.is_reset() {
            shared.resets_asked += 1;
            shared.resets.push(Reset { connection, itt, lun: function.scope(), until: None });
        }
        Request::Management(function)
    }

    fn text(&mut self, pdu: &RawPdu) -> Request {
        for (key, value) in crate::initiator::codec::text::decode(&pdu.data).unwrap_or_default() {
            if key == "MaxRecvDataSegmentLength"
                && let (Some(agreement), Some(bytes)) = (&mut self.agreement, login::parse(&value))
            {
                // When the new limit begins to hold is the target's to know; the larger one holds for certain.
                agreement.segment_bytes = agreement.segment_bytes.max(bytes as usize);
            }
        }
        match self.requests.get(&pdu.initiator_task_tag()) {
            Some(Request::Text(waiting)) => Request::Text(waiting + 1),
            _ => Request::Text(1),
        }
    }

    /// The network took these bytes from the target.
    pub(super) fn sent(&mut self, bytes: &Chunk, shared: &mut Shared, report: &mut Report<'_>) {
        self.judge_silence(shared, report);
        self.spoke = report.at;
        self.outbound.feed(bytes.clone());
        while let Ok(Some(pdu)) = self.outbound.next_pdu() {
            self.response(&pdu, shared, report);
            self.pump(shared, report);
        }
    }

    fn response(&mut self, pdu: &RawPdu, shared: &mut Shared, report: &mut Report<'_>) {
        if let Some(why) = &self.over {
            report.add("I9", &format!("operation code {:#04x} was sent although {why}", pdu.opcode()));
            return;
        }
        self.judge_segment(pdu, report);
        let Some(agreement) = self.agreement.clone() else {
            return self.login_response(pdu, shared, report);
        };
        self.numbers.judge(pdu, shared.command_window, report);
        if !(0x20..=0x3f).contains(&pdu.opcode()) || pdu.opcode() == opcode::LOGIN_RESPONSE {
            report.add("I7", &format!("operation code {:#04x} in full feature phase", pdu.opcode()));
            return;
        }
        self.judge_outstanding(shared, report);
        shared.statistics.answered(pdu);
        let itt = pdu.initiator_task_tag();
        match pdu.opcode() {
            opcode::R2T => self.ready_to_transfer(pdu, &agreement, report),
            opcode::DATA_IN => self.data_in(pdu, &agreement, report),
            opcode::SCSI_RESPONSE => self.scsi_response(pdu, shared, report),
            opcode::TASK_MANAGEMENT_RESPONSE => self.management_response(pdu, shared, report),
            opcode::NOP_IN if itt == NO_TAG && pdu.target_transfer_tag() != NO_TAG => self.ask(shared, report),
            opcode::NOP_IN if itt == NO_TAG => {}
            opcode::NOP_IN => self.nop_in(pdu, &agreement, report),
            opcode::TEXT_RESPONSE => self.text_response(pdu, report),
            opcode::LOGOUT_RESPONSE => {
                self.take(itt, pdu, report, |request| matches!(request, Request::Logout));
                if pdu.response() == 0 {
                    self.over = Some("the logout was answered".to_owned());
                }
            }
            opcode::REJECT => self.rejected(pdu),
            _ => {}
        }
    }

    fn judge_segment(&self, pdu: &RawPdu, report: &mut Report<'_>) {
        let itt = pdu.initiator_task_tag();
        if pdu.pad.iter().any(|&byte| byte != 0) {
            report.add(
                "I6",
                &format!("the padding of operation code {:#04x} of task {itt:#x} is not zero", pdu.opcode()),
            );
        }
        if pdu.has_wrong_digest() {
            let which = if pdu.header_digest_ok == Some(false) { "header" } else { "data" };
            let story = format!("the {which} digest of operation code {:#04x} of task {itt:#x} is wrong", pdu.opcode());
            report.add("I6", &story);
        }
        if let Some(agreement) = &self.agreement
            && pdu.data_bytes() > agreement.segment_bytes
        {
            let (length, most) = (pdu.data_bytes(), agreement.segment_bytes);
            let story = format!("a segment of {length} bytes goes to a peer that takes {most} (task {itt:#x})");
            report.add("I6", &story);
        }
    }

    fn login_response(&mut self, pdu: &RawPdu, shared: &mut Shared, report: &mut Report<'_>) {
        match self.login.response(pdu, report) {
            Progress::Failed => {
                self.over = Some("the login failed".to_owned());
                return;
            }
            Progress::Going | Progress::Done if pdu.opcode() != opcode::LOGIN_RESPONSE => return,
            Progress::Going => return self.numbers.judge(pdu, shared.command_window, report),
            Progress::Done => self.numbers.judge(pdu, shared.command_window, report),
        }
        let name = self.login.session_name(self.isid);
        let old = name.as_ref().and_then(|name| shared.sessions.get(name));
        let resets = self.resets.take();
        let session = self.login.session(report.connection, pdu.tsih(), resets, old, report);
        let agreement = session.agreement.clone();
        self.resets = session.resets.clone();
        let digests = Digests { header: agreement.header_digest, data: agreement.data_digest };
        self.inbound.set_digests(digests);
        self.outbound.set_digests(digests);
        self.agreement = Some(agreement);
        // The session begins now, which may be well after the last request came: until then nothing was missed.
        self.heard = Some(report.at);
        if let Some(name) = name
            && let Some(old) = shared.sessions.insert(name, session)
        {
            shared.reinstated.push((old.connection, report.connection));
        }
    }

    /// I2: no more commands are taken than the window is wide.
    fn judge_outstanding(&self, shared: &Shared, report: &mut Report<'_>) {
        let few = self.requests.len() <= shared.command_window as usize;
        if few || self.distrusted || self.functions > 0 {
            return;
        }
        let taken = |request: &&Request| {
            matches!(request, Request::Command(command)
                if !command.doubtful && !command.immediate && self.numbers.is_acknowledged(command.cmd_sn))
        };
        let taken = self.requests.values().filter(taken).count();
        if taken > shared.command_window as usize {
            report.add("I2", &format!("{taken} commands were taken into a window of {}", shared.command_window));
        }
    }
}
