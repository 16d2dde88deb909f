//! Conversations on the wire in one line for each PDU.

use std::time::Duration;

use quintain_core::event::Event;
use quintain_core::id::{ConnectionId, Itt, Lun, NexusId};
use quintain_core::limits::Limits;

use crate::initiator::codec::{Digests, NO_TAG, RawPdu, opcode, text};
use crate::oracle::Finding;
use crate::oracle::wire::WireOracle;
use crate::tap::Tap;

/// The command window of the target in these conversations.
pub(crate) const WINDOW: u32 = 4;
/// Task management functions that it takes at a time.
pub(crate) const FUNCTIONS: u32 = 2;
/// The first StatSN.
const FIRST_STAT_SN: u32 = 0xffff_fffe;
/// The first CmdSN.
const FIRST_CMD_SN: u32 = 0xffff_fffd;
const SIMPLE: u8 = 1;
const READ: u8 = 0xc0 | SIMPLE;
const WRITE: u8 = 0xa0 | SIMPLE;
const FINAL: u8 = 0x80;

#[derive(Debug)]
enum Step {
    Opened,
    Received(Vec<u8>),
    Sent(Vec<u8>),
    Core(Event),
    Closed,
    /// The next one is at the same time as the one before.
    Together,
}

/// A conversation that is being written; numbers follow by themselves.
#[derive(Debug)]
pub(crate) struct Talk {
    steps: Vec<(u64, Step)>,
    connection: u64,
    cmd_sn: u32,
    stat_sn: u32,
    digests: Digests,
}

/// A target's PDU.
pub(crate) fn reply(opcode: u8, flags: u8, tag: u32) -> RawPdu {
    let mut pdu = RawPdu::new(opcode);
    pdu.bhs[1] = FINAL | flags;
    pdu.set_u32(16, tag);
    pdu
}

/// A SCSI Response.
pub(crate) fn response(tag: u32, status: u8) -> RawPdu {
    let mut pdu = reply(opcode::SCSI_RESPONSE, 0, tag);
    pdu.bhs[3] = status;
    pdu
}

/// A SCSI Response whose residual flags (O 04h, U 02h) and count are these.
pub(crate) fn residual(tag: u32, flags: u8, count: u32) -> RawPdu {
    let mut pdu = response(tag, 0);
    pdu.bhs[1] |= flags;
    pdu.set_u32(44, count);
    pdu
}

/// CHECK CONDITION with fixed sense data.
pub(crate) fn check(tag: u32, key: u8, code: u16) -> RawPdu {
    let mut pdu = response(tag, 2);
    let mut sense = [0; 18];
    (sense[0], sense[2], sense[7]) = (0x70, key, 10);
    sense[12..14].copy_from_slice(&code.to_be_bytes());
    pdu.data = [&[0, 18], sense.as_slice()].concat();
    pdu
}

/// Data-In; `flags`: F 80h, S 01h.
pub(crate) fn data_in(tag: u32, flags: u8, data_sn: u32, offset: u32, length: usize) -> RawPdu {
    let mut pdu = RawPdu::new(opcode::DATA_IN);
    pdu.bhs[1] = flags;
    pdu.set_u32(16, tag);
    pdu.set_u32(20, NO_TAG);
    pdu.set_u32(36, data_sn);
    pdu.set_u32(40, offset);
    pdu.data = vec![0x5a; length];
    pdu
}

/// R2T with the tag 100h + `r2t_sn`.
pub(crate) fn r2t(tag: u32, r2t_sn: u32, offset: u32, length: u32) -> RawPdu {
    let mut pdu = reply(opcode::R2T, 0, tag);
    pdu.set_u32(20, 0x100 + r2t_sn);
    pdu.set_u32(36, r2t_sn);
    pdu.set_u32(40, offset);
    pdu.set_u32(44, length);
    pdu
}

/// Task management response.
pub(crate) fn managed(tag: u32, answer: u8) -> RawPdu {
    let mut pdu = reply(opcode::TASK_MANAGEMENT_RESPONSE, 0, tag);
    pdu.bhs[2] = answer;
    pdu
}

/// Data-Out for an R2T, or unsolicited.
pub(crate) fn data_out(tag: u32, ttt: u32, offset: u32, last: bool, length: usize) -> RawPdu {
    RawPdu::data_out(0, tag, ttt, 0, offset, last, &vec![0xa5; length])
}

impl Talk {
    /// A connection that was opened and said nothing yet.
    pub(crate) fn opened() -> Self {
        let digests = Digests::default();
        let talk = Self { steps: vec![], connection: 1, cmd_sn: FIRST_CMD_SN, stat_sn: FIRST_STAT_SN, digests };
        talk.step(Step::Opened)
    }

    /// In full feature phase: segments of 1,024 bytes, bursts of 2,048, immediate and unsolicited data up to 1,024.
    pub(crate) fn ready() -> Self {
        Self::opened().logged_in(&[], &[])
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push((self.connection, step));
        self
    }

    /// Another connection speaks from here on; its numbers start anew.
    pub(crate) fn connect(mut self, connection: u64) -> Self {
        (self.connection, self.cmd_sn, self.stat_sn) = (connection, FIRST_CMD_SN, FIRST_STAT_SN);
        self.digests = Digests::default();
        self.step(Step::Opened)
    }

    /// An earlier connection speaks again, with its StatSN at `stat_sn` past the first.
    pub(crate) fn back_to(mut self, connection: u64, stat_sn: u32) -> Self {
        (self.connection, self.stat_sn) = (connection, FIRST_STAT_SN.wrapping_add(stat_sn));
        self
    }

    /// The connection is gone.
    pub(crate) fn closed(self) -> Self {
        self.step(Step::Closed)
    }

    /// The login in one exchange, with keys over and above the usual.
    pub(crate) fn logged_in(self, offers: &[(&str, &str)], answers: &[(&str, &str)]) -> Self {
        self.asks_to_log_in(offers).says(Self::login_response(answers))
    }

    /// The login of a discovery session.
    pub(crate) fn discovers(self) -> Self {
        self.asks_to_log_in(&[("SessionType", "Discovery")]).says(Self::login_response(&[]))
    }

    /// Its request only.
    pub(crate) fn asks_to_log_in(self, offers: &[(&str, &str)]) -> Self {
        let given = |(key, _): &&(&str, &str)| !offers.iter().any(|(name, _)| name == key);
        let names = [("InitiatorName", "iqn.a"), ("TargetName", "iqn.t"), ("SessionType", "Normal")];
        let names: Vec<_> = names.iter().filter(given).copied().collect();
        let usual = [
            ("MaxRecvDataSegmentLength", "1024"),
            ("MaxBurstLength", "4096"),
            ("FirstBurstLength", "1024"),
            ("InitialR2T", "No"),
            ("ImmediateData", "Yes"),
            ("MaxOutstandingR2T", "2"),
        ];
        let data = text::encode(&pairs(&[names.as_slice(), usual.as_slice(), offers].concat()));
        self.asks(RawPdu::login(0x87, [1, 2, 3, 4, 5, 6], 0, 0, 0, data))
    }

    /// A login to the session with this TSIH, which carries no key of the session.
    pub(crate) fn asks_to_go_on(self, tsih: u16) -> Self {
        let names = [("InitiatorName", "iqn.a"), ("TargetName", "iqn.t"), ("MaxRecvDataSegmentLength", "1024")];
        self.asks(RawPdu::login(0x87, [1, 2, 3, 4, 5, 6], tsih, 0, 0, text::encode(&pairs(&names))))
    }

    /// Its response.
    pub(crate) fn continued(tsih: u16) -> RawPdu {
        let mut pdu = Self::login_response(&[]);
        pdu.set_u16(14, tsih);
        pdu.data.clear();
        pdu
    }

    /// The response to the first login.
    pub(crate) fn login_response(answers: &[(&str, &str)]) -> RawPdu {
        let usual = [
            ("MaxBurstLength", "2048"),
            ("FirstBurstLength", "1024"),
            ("InitialR2T", "No"),
            ("ImmediateData", "Yes"),
            ("MaxOutstandingR2T", "1"),
        ];
        let mut pdu = RawPdu::new(opcode::LOGIN_RESPONSE);
        pdu.bhs[1] = 0x87;
        pdu.bhs[8..14].copy_from_slice(&[1, 2, 3, 4, 5, 6]);
        pdu.set_u16(14, 1);
        let given = |key: &str| answers.iter().any(|(name, _)| *name == key);
        let usual: Vec<_> = usual.into_iter().filter(|(key, _)| !given(key)).collect();
        let answers: Vec<_> = answers.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
        pdu.data = text::encode(&pairs(&[usual, answers].concat()));
        pdu
    }

    /// Digests are on from here.
    pub(crate) fn with_digests(mut self) -> Self {
        self.digests = Digests { header: true, data: true };
        self
    }

    /// The initiator sends a request, with the next CmdSN unless it is immediate.
    pub(crate) fn asks(mut self, pdu: RawPdu) -> Self {
        let counts = !pdu.is_immediate() && pdu.opcode() != opcode::DATA_OUT;
        let bytes = pdu.sequenced(self.cmd_sn, 0).encode(self.digests);
        if counts {
            self.cmd_sn = self.cmd_sn.wrapping_add(1);
        }
        self.step(Step::Received(bytes))
    }

    /// The initiator sends a request with a CmdSN so far past the next one.
    pub(crate) fn asks_ahead(self, ahead: u32, pdu: RawPdu) -> Self {
        let bytes = pdu.sequenced(self.cmd_sn.wrapping_add(ahead), 0).encode(self.digests);
        self.step(Step::Received(bytes))
    }

    /// The core says that it knows the connection, and that its session begins.
    pub(crate) fn known_to_core(self) -> Self {
        self.known_as(NexusId(7))
    }

    /// The core says that it knows the connection, and that the session of `nexus` begins.
    pub(crate) fn known_as(self, nexus: NexusId) -> Self {
        let connection = ConnectionId(70 + nexus.0);
        let peer = ([192, 0, 2, 1], 49_152).into();
        self.step(Step::Core(Event::ConnectionOpened { connection, peer })).step(Step::Core(Event::SessionStarted {
            connection,
            nexus,
            discovery: false,
            initiator: "".into(),
            target: None,
        }))
    }

    /// The target closes the connection for want of an answer to its NOP-In.
    pub(crate) fn given_up(self) -> Self {
        let (connection, why) = (ConnectionId(77), "no answer to NOP-In");
        self.closed().step(Step::Core(Event::ConnectionClosed { connection, why }))
    }

    /// The core says that the task entered its task set.
    pub(crate) fn creates(self, tag: u32) -> Self {
        self.creates_for(NexusId(7), tag)
    }

    /// The core says that the task entered the task set of `nexus`.
    pub(crate) fn creates_for(self, nexus: NexusId, tag: u32) -> Self {
        self.core(Event::TaskCreated { nexus, lun: Lun(0), itt: Itt(tag), operation_code: 0, attribute: 1 })
    }

    /// The core says what happened.
    pub(crate) fn core(self, event: Event) -> Self {
        self.step(Step::Core(event))
    }

    /// What follows happens at the same time.
    pub(crate) fn together(self) -> Self {
        self.step(Step::Together)
    }

    /// Nothing happens for so many seconds.
    pub(crate) fn idles(self, seconds: usize) -> Self {
        (0..seconds).fold(self, |talk, _| talk.core(Event::LimitMet { limit: "any" }))
    }

    /// The initiator answers a NOP-In of the target, whose tag is zero.
    pub(crate) fn answers_ping(self) -> Self {
        self.asks(RawPdu::nop_out(0, NO_TAG, 0, Vec::new()).immediate())
    }

    /// The core says that nexus 7 has its answer to the task management function of this tag.
    pub(crate) fn manages_to(self, tag: u32) -> Self {
        self.core(Event::TaskManagementCompleted { nexus: NexusId(7), itt: Itt(tag), function: 1, response: 0 })
    }

    /// The initiator sends bytes that are no request.
    pub(crate) fn asks_nonsense(self, bytes: &[u8]) -> Self {
        let bytes = bytes.to_vec();
        self.step(Step::Received(bytes))
    }

    /// READ with this tag and Expected Data Transfer Length.
    pub(crate) fn reads(self, tag: u32, expected: u32) -> Self {
        self.command(READ, tag, expected, 0x28, 0)
    }

    /// WRITE with so many bytes of immediate data and nothing else unsolicited.
    pub(crate) fn writes(self, tag: u32, expected: u32, immediate: usize) -> Self {
        self.command(WRITE, tag, expected, 0x2a, immediate)
    }

    /// WRITE with unsolicited Data-Out to follow.
    pub(crate) fn writes_more(self, tag: u32, expected: u32, immediate: usize) -> Self {
        self.command(WRITE & !FINAL, tag, expected, 0x2a, immediate)
    }

    /// A command without data.
    pub(crate) fn tests(self, tag: u32, operation_code: u8) -> Self {
        self.command(FINAL | SIMPLE, tag, 0, operation_code, 0)
    }

    fn command(self, flags: u8, tag: u32, expected: u32, operation_code: u8, immediate: usize) -> Self {
        let mut cdb = [0; 16];
        cdb[0] = operation_code;
        let mut pdu = RawPdu::scsi_command(flags, 0, tag, expected, &cdb);
        pdu.data = vec![0xa5; immediate];
        self.asks(pdu)
    }

    /// An immediate task management function.
    pub(crate) fn manages(self, function: u8, tag: u32, referenced: u32) -> Self {
        let ref_cmd_sn = self.cmd_sn.wrapping_sub(1);
        self.asks(RawPdu::task_management(function, 0, tag, referenced, ref_cmd_sn).immediate())
    }

    /// The target sends a PDU with the numbers as they should be.
    pub(crate) fn says(self, pdu: RawPdu) -> Self {
        let (stat_sn, exp_cmd_sn) = (self.stat_sn, self.cmd_sn);
        self.says_numbered(pdu, stat_sn, exp_cmd_sn, exp_cmd_sn.wrapping_add(WINDOW - 1))
    }

    /// The target sends a PDU with a StatSN and an ExpCmdSN so far off, in a window of `width`.
    pub(crate) fn says_off(self, pdu: RawPdu, stat: u32, exp: u32, width: u32) -> Self {
        let (stat_sn, exp_cmd_sn) = (self.stat_sn.wrapping_add(stat), self.cmd_sn.wrapping_add(exp));
        self.says_numbered(pdu, stat_sn, exp_cmd_sn, exp_cmd_sn.wrapping_add(width).wrapping_sub(1))
    }

    fn says_numbered(mut self, mut pdu: RawPdu, stat_sn: u32, exp_cmd_sn: u32, max_cmd_sn: u32) -> Self {
        if pdu.consumes_stat_sn() {
            self.stat_sn = self.stat_sn.wrapping_add(1);
        }
        for (at, number) in [(24, stat_sn), (28, exp_cmd_sn), (32, max_cmd_sn)] {
            pdu.set_u32(at, number);
        }
        let bytes = pdu.encode(self.digests);
        self.step(Step::Sent(bytes))
    }

    /// A bit of the last byte of what passed last is flipped.
    pub(crate) fn corrupted(mut self) -> Self {
        if let Some((_, Step::Sent(bytes) | Step::Received(bytes))) = self.steps.last_mut()
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
        }
        self
    }

    /// What the oracle says, once with whole PDUs and once with the bytes cut up.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let whole = self.play(usize::MAX);
        let cut = self.play(7);
        if whole == cut { whole } else { vec![Finding { oracle: "cut", message: format!("{whole:?} != {cut:?}") }] }
    }

    fn play(&self, most: usize) -> Vec<Finding> {
        let mut oracle = WireOracle::new(&Limits {
            command_window: WINDOW,
            task_management_functions: FUNCTIONS,
            nop_interval: Duration::from_secs(60),
            ..Limits::default()
        });
        let mut second = 0;
        for (connection, step) in &self.steps {
            let at = Duration::from_secs(second);
            second += 1;
            match step {
                Step::Together => second -= 2,
                Step::Opened => oracle.opened(*connection, at, 0),
                Step::Received(bytes) => {
                    bytes.chunks(most).for_each(|part| oracle.received(*connection, at, &part.into()))
                }
                Step::Sent(bytes) => bytes.chunks(most).for_each(|part| oracle.sent(*connection, at, &part.into())),
                Step::Core(event) => oracle.event(at, event),
                Step::Closed => oracle.closed(*connection, at),
            }
        }
        oracle.finish()
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
