//! Conversations that break a rule, and conversations that only look as if they did.

use quintain_core::event::Event;
use quintain_core::id::{ConnectionId, NexusId};

use crate::initiator::codec::{NO_TAG, RawPdu, opcode};

use super::Case;
use super::talk::{FUNCTIONS, Talk, WINDOW, check, data_in, data_out, managed, r2t, reply, residual, response};

const F: u8 = 0x80;
const S: u8 = 0x01;
const OVERFLOW: u8 = 0x04;
const UNDERFLOW: u8 = 0x02;
const BUSY: u8 = 0x08;
const ABORT_TASK: u8 = 1;
const ABORT_TASK_SET: u8 = 2;
const LOGICAL_UNIT_RESET: u8 = 5;
const COMPLETE: u8 = 0;
const NO_TASK: u8 = 1;
const REJECTED: u8 = 255;
const TEST_UNIT_READY: u8 = 0x00;
const INQUIRY: u8 = 0x12;

/// All of them.
pub(super) fn cases() -> Vec<Case<Talk>> {
    let mut cases = logins();
    cases.extend(numbers());
    cases.extend(data());
    cases.extend(segments_and_tags());
    cases.extend(tasks());
    cases.extend(statuses());
    cases.extend(hostile());
    cases.extend(super::isolation::cases());
    cases
}

pub(super) fn good(name: &'static str, input: Talk) -> Case<Talk> {
    Case { name, breaks: None, input }
}

pub(super) fn bad(rule: &'static str, name: &'static str, input: Talk) -> Case<Talk> {
    Case { name, breaks: Some(rule), input }
}

fn logins() -> Vec<Case<Talk>> {
    let changed = |change: fn(&mut RawPdu)| {
        let mut pdu = Talk::login_response(&[]);
        change(&mut pdu);
        Talk::opened().asks_to_log_in(&[]).says(pdu)
    };
    let failed = |pdu: &mut RawPdu| pdu.set_u16(36, 0x0201);
    vec![
        good("a login", Talk::ready()),
        good("a login that fails", changed(failed)),
        good(
            "digests are answered with None",
            Talk::opened()
                .logged_in(&[("HeaderDigest", "CRC32C,None")], &[("HeaderDigest", "None")])
                .tests(1, TEST_UNIT_READY)
                .says(response(1, 0)),
        ),
        good(
            "another connection reinstates the session, whose connection is closed first",
            Talk::ready().reads(1, 512).closed().connect(2).logged_in(&[], &[]),
        ),
        good(
            "another connection goes on with the session, on its terms",
            Talk::ready()
                .closed()
                .connect(2)
                .asks_to_go_on(1)
                .says(Talk::continued(1))
                .reads(1, 3_072)
                .says(data_in(1, 0, 0, 0, 1_024))
                .says(data_in(1, F, 1, 1_024, 1_024))
                .says(data_in(1, F | S, 2, 2_048, 1_024)),
        ),
        bad(
            "I4",
            "another connection goes on with the session, on other terms",
            Talk::ready()
                .closed()
                .connect(2)
                .asks_to_go_on(1)
                .says(Talk::continued(1))
                .reads(1, 3_072)
                .says(data_in(1, 0, 0, 0, 1_024))
                .says(data_in(1, 0, 1, 1_024, 1_024))
                .says(data_in(1, F | S, 2, 2_048, 1_024)),
        ),
        bad("I7", "a session goes on that never was", Talk::opened().asks_to_go_on(1).says(Talk::continued(1))),
        bad(
            "I7",
            "a session goes on that has another TSIH",
            Talk::ready().closed().connect(2).asks_to_go_on(3).says(Talk::continued(3)),
        ),
        bad(
            "I7",
            "a session goes on under another TSIH",
            Talk::ready().closed().connect(2).asks_to_go_on(1).says(Talk::continued(3)),
        ),
        bad(
            "I9",
            "the connection that was replaced still speaks",
            Talk::ready()
                .reads(1, 512)
                .connect(2)
                .asks_to_go_on(1)
                .says(Talk::continued(1))
                .back_to(1, 1)
                .says(data_in(1, F | S, 0, 0, 512)),
        ),
        bad("I7", "a SCSI Response in the login phase", Talk::opened().asks_to_log_in(&[]).says(response(1, 0))),
        bad("I7", "a login response that nobody asked for", Talk::opened().says(Talk::login_response(&[]))),
        bad("I7", "another stage than asked for", changed(|pdu| pdu.bhs[1] = 0x83)),
        bad("I7", "full feature phase without a TSIH", changed(|pdu| pdu.set_u16(14, 0))),
        bad("I7", "another ISID", changed(|pdu| pdu.bhs[9] = 99)),
        bad("I8", "another tag", changed(|pdu| pdu.set_u32(16, 5))),
        bad("I7", "the larger MaxBurstLength wins", Talk::opened().logged_in(&[], &[("MaxBurstLength", "8192")])),
        bad(
            "I7",
            "InitialR2T=Yes is answered with No",
            Talk::opened().logged_in(&[("DataPDUInOrder", "Yes")], &[("DataPDUInOrder", "No")]),
        ),
        bad(
            "I7",
            "a digest that was not offered",
            Talk::opened().logged_in(&[("HeaderDigest", "None")], &[("HeaderDigest", "CRC32C")]),
        ),
        bad("I7", "an offer is never answered", Talk::opened().logged_in(&[("DataDigest", "None")], &[])),
        bad("I9", "a failed login goes on", changed(failed).says(Talk::login_response(&[]))),
        bad(
            "I9",
            "the session that was reinstated still speaks",
            Talk::ready().reads(1, 512).connect(2).logged_in(&[], &[]).back_to(1, 1).says(data_in(1, F | S, 0, 0, 512)),
        ),
    ]
}

fn numbers() -> Vec<Case<Talk>> {
    let read = || Talk::ready().reads(1, 512);
    let answer = || data_in(1, F | S, 0, 0, 512);
    let test = |tag| RawPdu::scsi_command(0x81, 0, tag, 0, &[0; 16]);
    let ahead = || Talk::opened().known_to_core().logged_in(&[], &[]).asks_ahead(1, test(2)).asks(test(1));
    vec![
        good(
            "a window that is closed and opens",
            (1..=WINDOW)
                .fold(Talk::ready(), |talk, tag| talk.reads(tag, 512))
                .says_off(r_nop(), 0, 0, 0)
                .says(answer()),
        ),
        good("tasks are created in the order of CmdSN", ahead().creates(1).creates(2)),
        bad("I1", "a task overtakes one that was sent before it", ahead().creates(2).creates(1)),
        bad("I1", "a command is acknowledged that never came", read().says_off(answer(), 0, 1, WINDOW)),
        bad(
            "I2",
            "ExpCmdSN goes backwards",
            read().says(answer()).reads(2, 512).says_off(data_in(2, F | S, 0, 0, 512), 0, 2_u32.wrapping_neg(), WINDOW),
        ),
        bad(
            "I2",
            "MaxCmdSN goes backwards",
            read().says(answer()).reads(2, 512).says_off(data_in(2, F | S, 0, 0, 512), 0, 0, WINDOW - 2),
        ),
        bad("I2", "the window is wider than configured", read().says_off(answer(), 0, 0, WINDOW + 1)),
        bad(
            "I2",
            "one command more than the window is taken",
            (1..=WINDOW + 1)
                .fold(Talk::ready(), |talk, tag| talk.reads(tag, 512))
                .says_off(answer(), 0, 0, 0)
                .says_off(data_in(2, F | S, 0, 0, 512), 0, 0, 1)
                .reads(9, 512)
                .reads(10, 512)
                .says_off(r_nop(), 0, 0, 0),
        ),
        bad("I3", "StatSN skips one", read().says_off(answer(), 1, 0, WINDOW)),
        bad(
            "I3",
            "StatSN does not move",
            read().says(answer()).reads(2, 512).says_off(data_in(2, F | S, 0, 0, 512), 1_u32.wrapping_neg(), 0, WINDOW),
        ),
        bad(
            "I3",
            "an R2T consumes a StatSN",
            Talk::ready().writes(1, 512, 0).says(r2t(1, 0, 0, 512)).asks(data_out(1, 0x100, 0, true, 512)).says_off(
                response(1, 0),
                1,
                0,
                WINDOW,
            ),
        ),
    ]
}

/// A NOP-In that asks nothing and tells the window.
fn r_nop() -> RawPdu {
    let mut pdu = reply(opcode::NOP_IN, 0, NO_TAG);
    pdu.set_u32(20, NO_TAG);
    pdu
}

fn data() -> Vec<Case<Talk>> {
    let read = || Talk::ready().reads(1, 3_072).says(data_in(1, 0, 0, 0, 1_024));
    let write = || Talk::ready().writes(1, 4_096, 0);
    let unsolicited = || Talk::ready().writes_more(1, 4_096, 512);
    vec![
        good(
            "a read in bursts with its status in the last",
            read().says(data_in(1, F, 1, 1_024, 1_024)).says(data_in(1, F | S, 2, 2_048, 1_024)),
        ),
        good(
            "a write with immediate, unsolicited and solicited data",
            unsolicited()
                .asks(data_out(1, NO_TAG, 512, true, 512))
                .says(r2t(1, 0, 1_024, 2_048))
                .asks(data_out(1, 0x100, 1_024, false, 1_024))
                .asks(data_out(1, 0x100, 2_048, true, 1_024))
                .says(r2t(1, 1, 3_072, 1_024))
                .asks(data_out(1, 0x101, 3_072, true, 1_024))
                .says(response(1, 0)),
        ),
        good("an R2T while unsolicited data are on their way", unsolicited().says(r2t(1, 0, 1_024, 2_048))),
        good("a refused write leaves its data unasked for", write().says(response(1, BUSY))),
        bad("I4", "DataSN skips", read().says(data_in(1, F, 2, 1_024, 1_024))),
        bad("I4", "data come twice", read().says(data_in(1, F, 1, 0, 1_024))),
        bad(
            "I4",
            "a burst without end",
            read().says(data_in(1, 0, 1, 1_024, 1_024)).says(data_in(1, F | S, 2, 2_048, 1_024)),
        ),
        bad("I4", "status without F", read().says(data_in(1, F, 1, 1_024, 1_024)).says(data_in(1, S, 2, 2_048, 1_024))),
        bad("I4", "R2TSN starts at one", write().says(r2t(1, 1, 0, 2_048))),
        bad(
            "I5",
            "an R2T past the end",
            write().says(r2t(1, 0, 0, 2_048)).asks(data_out(1, 0x100, 0, true, 2_048)).says(r2t(
                1,
                1,
                2_048,
                2_047 + 2,
            )),
        ),
        bad("I5", "an R2T longer than a burst", write().says(r2t(1, 0, 0, 2_049))),
        bad("I5", "an R2T for nothing", write().says(r2t(1, 0, 0, 0))),
        bad("I5", "two R2Ts where one is agreed", write().says(r2t(1, 0, 0, 2_048)).says(r2t(1, 1, 2_048, 2_048))),
        bad(
            "I5",
            "an R2T asks for what came unsolicited",
            Talk::ready().writes(1, 4_096, 512).says(r2t(1, 0, 0, 2_048)),
        ),
        bad("I5", "an R2T leaves a gap", write().says(r2t(1, 0, 512, 2_048))),
        bad("I5", "an R2T for a read", read().says(r2t(1, 0, 0, 512))),
        bad("I5", "a tag for two R2Ts", write().writes(2, 4_096, 0).says(r2t(1, 0, 0, 512)).says(r2t(2, 0, 0, 512))),
        bad(
            "I8",
            "an R2T with the reserved tag",
            write().says({
                let mut pdu = r2t(1, 0, 0, 512);
                pdu.set_u32(20, NO_TAG);
                pdu
            }),
        ),
    ]
}

fn segments_and_tags() -> Vec<Case<Talk>> {
    let digests = [("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")];
    let guarded = || Talk::opened().logged_in(&digests, &digests).with_digests().reads(1, 513);
    let nop = |data: &[u8]| {
        let mut pdu = reply(opcode::NOP_IN, 0, 7);
        pdu.set_u32(20, NO_TAG);
        pdu.data = data.to_vec();
        pdu
    };
    let right_ping = || RawPdu::nop_out(0, 7, NO_TAG, vec![]).immediate();
    // Without data, what is wrong is the header digest.
    let wrong_ping = |data: &[u8]| guarded().asks(RawPdu::nop_out(0, 7, NO_TAG, data.to_vec()).immediate()).corrupted();
    let wrong_data = || {
        let asked = guarded().writes(2, 512, 0).says(r2t(2, 0, 0, 512));
        asked.asks(data_out(2, 0x100, 0, true, 512)).corrupted()
    };
    let wrong_digest = || {
        let mut pdu = reply(opcode::REJECT, 0, NO_TAG);
        pdu.bhs[2] = 2;
        pdu
    };
    let ping = || Talk::ready().asks(RawPdu::nop_out(0, 7, NO_TAG, b"ping".to_vec()));
    let asked = || {
        let mut pdu = r_nop();
        pdu.set_u32(20, 5);
        Talk::opened().known_to_core().logged_in(&[], &[]).says(pdu)
    };
    vec![
        good("digests from the first PDU on", guarded().says(data_in(1, F | S, 0, 0, 513))),
        good("a ping is answered", ping().says(nop(b"ping"))),
        good("a logout", Talk::ready().asks(RawPdu::logout(0, 3, 0)).says(reply(opcode::LOGOUT_RESPONSE, 0, 3))),
        bad("I6", "a segment longer than declared", Talk::ready().reads(1, 2_048).says(data_in(1, F | S, 0, 0, 1_025))),
        bad(
            "I6",
            "padding that is not zero",
            Talk::ready().reads(1, 513).says(data_in(1, F | S, 0, 0, 513)).corrupted(),
        ),
        bad("I6", "a digest that is wrong", guarded().says(data_in(1, F | S, 0, 0, 513)).corrupted()),
        good("a ping with a wrong digest is rejected", wrong_ping(b"ping").says(wrong_digest())),
        bad("I8", "a ping with a wrong digest is answered", wrong_ping(b"ping").says(nop(b"ping"))),
        good("a ping with a wrong header digest", wrong_ping(b"").says(data_in(1, F | S, 0, 0, 513))),
        bad("I8", "a ping with a wrong header digest is answered", wrong_ping(b"").says(nop(b""))),
        bad("I8", "a ping behind a wrong header digest", wrong_ping(b"").asks(right_ping()).says(nop(b""))),
        good("data with a wrong digest", wrong_data().says(wrong_digest()).says(check(2, 0xb, 0x4705))),
        bad("I6", "data with a wrong digest are taken", wrong_data().says(response(2, 0))),
        good("a peer that does not answer is given up", asked().idles(20).given_up()),
        bad("I9", "a peer that does not answer is given up too early", asked().idles(10).given_up()),
        bad(
            "I9",
            "a peer that answers is given up",
            asked().asks(RawPdu::nop_out(0, NO_TAG, 5, vec![]).immediate()).given_up(),
        ),
        bad("I8", "a response to nobody", Talk::ready().says(response(5, 0))),
        bad("I8", "a ping comes back changed", ping().says(nop(b"pong"))),
        bad(
            "I9",
            "more after the logout",
            Talk::ready()
                .reads(1, 512)
                .asks(RawPdu::logout(0, 3, 0))
                .says(reply(opcode::LOGOUT_RESPONSE, 0, 3))
                .says(data_in(1, F | S, 0, 0, 512)),
        ),
    ]
}

fn tasks() -> Vec<Case<Talk>> {
    let ping = || RawPdu::nop_out(0, 7, NO_TAG, vec![]);
    let pong = || {
        let mut pdu = reply(opcode::NOP_IN, 0, 7);
        pdu.set_u32(20, NO_TAG);
        pdu
    };
    let aborted = || Talk::ready().reads(1, 512).manages(ABORT_TASK, 2, 1);
    let reset = || Talk::ready().reads(1, 512).writes(3, 512, 0).manages(LOGICAL_UNIT_RESET, 2, NO_TAG);
    let answer = || data_in(1, F | S, 0, 0, 512);
    let set = || Talk::ready().reads(1, 512).manages(ABORT_TASK_SET, 2, NO_TAG);
    let elsewhere = || RawPdu::task_management(ABORT_TASK, 0, 2, 1, 0xffff_fffd).immediate().flat();
    let write_flat =
        || RawPdu::scsi_command(0xa1, 0, 1, 512, &[0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).flat();
    let flat_r2t = || r2t(1, 0, 0, 512).flat();
    let (connection, known) = (ConnectionId(77), || Talk::opened().known_to_core().logged_in(&[], &[]));
    // So many immediate functions, and one that is not.
    let crowd = |others: u32| {
        let others = (0..others).fold(Talk::ready(), |talk, at| talk.manages(ABORT_TASK_SET, 20 + at, NO_TAG));
        others.asks(RawPdu::task_management(ABORT_TASK_SET, 0, 11, NO_TAG, 0))
    };
    vec![
        good("a peer is asked, and again when it has answered", {
            let asks = || reply(opcode::NOP_IN, 0, NO_TAG);
            Talk::ready().says(asks()).idles(40).answers_ping().idles(40).says(asks())
        }),
        good("a peer that does not answer is given up when all its time is over", {
            Talk::ready().says(reply(opcode::NOP_IN, 0, NO_TAG)).idles(45).closed()
        }),
        good("a peer speaks while the question whether it is there waits to be sent, and then no more", {
            let asked = known().core(Event::PeerAsked { connection }).tests(1, TEST_UNIT_READY);
            asked.says(reply(opcode::NOP_IN, 0, NO_TAG)).idles(70).closed()
        }),
        bad("S4", "a peer has spoken before it is asked, and then no more", {
            let asked = known().tests(1, TEST_UNIT_READY).core(Event::PeerAsked { connection });
            asked.says(reply(opcode::NOP_IN, 0, NO_TAG)).idles(70).closed()
        }),
        good("a peer that does not answer is sent what it has asked for before", {
            let silent = Talk::ready().reads(1, 512).says(reply(opcode::NOP_IN, 0, NO_TAG)).idles(40);
            silent.says(data_in(1, F | S, 0, 0, 512)).idles(40).closed()
        }),
        good("a peer that has answered and says nothing more", {
            Talk::ready().says(reply(opcode::NOP_IN, 0, NO_TAG)).answers_ping().idles(60).closed()
        }),
        bad("S4", "a peer that does not answer is given up too late", {
            Talk::ready().says(reply(opcode::NOP_IN, 0, NO_TAG)).idles(70).closed()
        }),
        bad("S4", "a peer that does not answer is never given up", {
            Talk::ready().says(reply(opcode::NOP_IN, 0, NO_TAG)).idles(70)
        }),
        bad("S4", "a peer answers when it should have been given up", {
            Talk::ready().says(reply(opcode::NOP_IN, 0, NO_TAG)).idles(70).answers_ping()
        }),
        bad("S4", "a peer that does not answer is asked again and again", {
            let asks = || reply(opcode::NOP_IN, 0, NO_TAG);
            Talk::ready().says(asks()).idles(60).says(asks()).idles(60).says(asks())
        }),
        good("a silent peer is asked in time, and logs out", {
            Talk::ready().idles(60).says(reply(opcode::NOP_IN, 0, NO_TAG)).answers_ping().idles(60).closed()
        }),
        good("a peer is asked as its session begins, well after its login request, and says nothing", {
            let (answer, asked) = (Talk::login_response(&[]), Event::PeerAsked { connection });
            let begins = Talk::opened().known_to_core().asks_to_log_in(&[]).idles(5).says(answer);
            begins.together().core(asked).together().says(reply(opcode::NOP_IN, 0, NO_TAG)).idles(70).closed()
        }),
        good("a peer is asked as its session begins, and much later again", {
            let (answer, asked) = (Talk::login_response(&[]), Event::PeerAsked { connection });
            let asks = || reply(opcode::NOP_IN, 0, NO_TAG);
            let begins = Talk::opened().known_to_core().asks_to_log_in(&[]).says(answer);
            let begins = begins.together().core(asked.clone()).together();
            begins.says(asks()).idles(150).core(asked).says(asks()).idles(40).closed()
        }),
        good("the question to a silent peer waits to be sent", {
            known().idles(60).core(Event::PeerAsked { connection }).idles(40).closed()
        }),
        bad("S4", "a silent peer is asked too late", {
            Talk::ready().idles(70).says(reply(opcode::NOP_IN, 0, NO_TAG))
        }),
        bad("S4", "a silent peer is never asked", Talk::ready().idles(70).closed()),
        bad("S4", "a peer has answered, and is never asked again", {
            Talk::ready().says(reply(opcode::NOP_IN, 0, NO_TAG)).answers_ping().idles(70)
        }),
        good(
            "a function takes its time",
            aborted().known_as(NexusId(7)).idles(20).manages_to(2).says(managed(2, COMPLETE)).idles(20).closed(),
        ),
        good("a function is answered in time, and the answer leaves late", {
            aborted().known_as(NexusId(7)).manages_to(2).idles(40).says(managed(2, COMPLETE))
        }),
        bad("S4", "a function takes longer than it may", {
            aborted().known_as(NexusId(7)).idles(40).manages_to(2).says(managed(2, COMPLETE))
        }),
        bad("S4", "a function is not answered as long as its connection is there", {
            aborted().known_as(NexusId(7)).idles(40).closed()
        }),
        good("an abort", aborted().says(managed(2, COMPLETE))),
        good("an abort that the status overtakes", aborted().says(answer()).says(managed(2, COMPLETE))),
        good(
            "an abort that comes too late",
            Talk::ready().reads(1, 512).says(answer()).manages(ABORT_TASK, 2, 1).says(managed(2, NO_TASK)),
        ),
        good("a tag is used again after an abort", aborted().says(managed(2, COMPLETE)).reads(1, 512).says(answer())),
        good(
            "another nexus resets the logical unit, and nothing is said of the task",
            reset().connect(2).asks_to_log_in(&[]).back_to(1, 1).says(managed(2, COMPLETE)),
        ),
        good(
            "an abort of a task that a reset is ending",
            Talk::ready()
                .reads(1, 512)
                .manages(LOGICAL_UNIT_RESET, 2, NO_TAG)
                .manages(ABORT_TASK, 3, 1)
                .says(managed(3, NO_TASK))
                .says(managed(2, COMPLETE)),
        ),
        good(
            "a session that begins while another resets the logical unit is told of both",
            reset()
                .connect(2)
                .logged_in(&[("InitiatorName", "iqn.b")], &[])
                .tests(1, TEST_UNIT_READY)
                .says(check(1, 6, 0x2900))
                .tests(1, TEST_UNIT_READY)
                .says(check(1, 6, 0x2903)),
        ),
        good(
            "two discovery sessions of one initiator",
            Talk::opened().discovers().connect(2).discovers().back_to(1, 1).asks(ping()).says(pong()),
        ),
        bad("T5", "a response after its abort", aborted().says(managed(2, COMPLETE)).says(answer())),
        bad("T5", "Data-In after a reset", reset().says(managed(2, COMPLETE)).says(data_in(1, 0, 0, 0, 256))),
        bad("T5", "an R2T after a reset", reset().says(managed(2, COMPLETE)).says(r2t(3, 0, 0, 512))),
        good(
            "a command behind an abort of all is answered",
            set().reads(3, 512).says(managed(2, COMPLETE)).says(data_in(3, F | S, 0, 0, 512)),
        ),
        good("an abort by the other address", Talk::ready().reads(1, 512).asks(elsewhere()).says(managed(2, COMPLETE))),
        good("an R2T echoes the address of its command", Talk::ready().asks(write_flat()).says(flat_r2t())),
        bad(
            "I8",
            "an R2T has the other address of its logical unit",
            Talk::ready().asks(write_flat()).says(r2t(1, 0, 0, 512)),
        ),
        bad(
            "T6",
            "a task that an abort of all is ending does not exist",
            set().manages(ABORT_TASK, 3, 1).says(managed(3, NO_TASK)).says(managed(2, COMPLETE)),
        ),
        bad(
            "T6",
            "a task that another abort is ending does not exist",
            aborted().manages(ABORT_TASK, 3, 1).says(managed(3, NO_TASK)).says(managed(2, COMPLETE)),
        ),
        bad(
            "T6",
            "a command behind an abort of all is said not to exist",
            set().reads(3, 512).says(managed(2, COMPLETE)).manages(ABORT_TASK, 4, 3).says(managed(4, NO_TASK)),
        ),
        bad(
            "T6",
            "a task does not exist by its other address",
            Talk::ready().reads(1, 512).asks(elsewhere()).says(managed(2, NO_TASK)),
        ),
        good(
            "a function is turned away while as many as the target takes are at work",
            crowd(FUNCTIONS).says(managed(11, REJECTED)),
        ),
        bad(
            "T6",
            "a function is turned away while there is room for it",
            crowd(FUNCTIONS - 1).says(managed(11, REJECTED)),
        ),
        bad("T6", "a task that is there does not exist", aborted().says(managed(2, NO_TASK))),
        bad(
            "T6",
            "a task that ended long ago is aborted",
            Talk::ready().reads(1, 512).says(answer()).manages(ABORT_TASK, 2, 1).says(managed(2, COMPLETE)),
        ),
        bad("T7", "two statuses", Talk::ready().tests(1, TEST_UNIT_READY).says(response(1, 0)).says(response(1, 0))),
        bad("T7", "status and collapsed status", Talk::ready().reads(1, 512).says(answer()).says(response(1, 0))),
        bad("T7", "a function is answered twice", aborted().says(managed(2, COMPLETE)).says(managed(2, COMPLETE))),
    ]
}

fn statuses() -> Vec<Case<Talk>> {
    let read = || Talk::ready().reads(1, 1_024).says(data_in(1, F, 0, 0, 512));
    let counted = |mut pdu: RawPdu, data_in: u32| {
        pdu.set_u32(36, data_in);
        pdu
    };
    vec![
        good("fewer data than expected", read().says(counted(residual(1, UNDERFLOW, 512), 1))),
        good(
            "more data than expected",
            Talk::ready().reads(1, 512).says(data_in(1, F, 0, 0, 512)).says(counted(residual(1, OVERFLOW, 512), 1)),
        ),
        good("sense data", Talk::ready().tests(1, TEST_UNIT_READY).says(check(1, 6, 0x2900))),
        good(
            "a unit attention for each reset",
            Talk::ready()
                .tests(1, TEST_UNIT_READY)
                .says(check(1, 6, 0x2900))
                .manages(LOGICAL_UNIT_RESET, 2, NO_TAG)
                .says(managed(2, COMPLETE))
                .tests(1, TEST_UNIT_READY)
                .says(check(1, 6, 0x2903)),
        ),
        bad("T11", "an underflow that is not told", read().says(counted(response(1, 0), 1))),
        bad("T11", "an underflow that is one off", read().says(counted(residual(1, UNDERFLOW, 511), 1))),
        bad("T11", "a residual without a flag", read().says(counted(residual(1, 0, 512), 1))),
        bad("T11", "underflow and overflow", read().says(counted(residual(1, UNDERFLOW | OVERFLOW, 512), 1))),
        bad("T11", "GOOD before the data came", Talk::ready().writes(1, 1_024, 512).says(response(1, 0))),
        bad("T11", "more data than expected are sent", Talk::ready().reads(1, 512).says(data_in(1, F | S, 0, 0, 516))),
        bad("T11", "CHECK CONDITION without sense data", Talk::ready().tests(1, TEST_UNIT_READY).says(response(1, 2))),
        bad("T8", "INQUIRY is told a unit attention", Talk::ready().tests(1, INQUIRY).says(check(1, 6, 0x2900))),
        bad(
            "T8",
            "the same reset is told twice",
            Talk::ready()
                .tests(1, TEST_UNIT_READY)
                .says(check(1, 6, 0x2900))
                .tests(1, TEST_UNIT_READY)
                .says(check(1, 6, 0x2900)),
        ),
        bad("I4", "Data-In is not counted", read().says(counted(residual(1, UNDERFLOW, 512), 0))),
    ]
}

/// The initiator breaks the protocol: what the target does with it is its own affair, but its numbers are not.
fn hostile() -> Vec<Case<Talk>> {
    let twice =
        || Talk::ready().reads(1, 512).asks_ahead(0, RawPdu::nop_out(0, 9, NO_TAG, vec![]).immediate()).reads(1, 512);
    vec![
        good("a tag is used twice at a time", twice().says(data_in(1, F | S, 0, 0, 512)).says(response(1, BUSY))),
        good(
            "a command past the window is dropped",
            Talk::ready()
                .asks_ahead(WINDOW, RawPdu::scsi_command(0x81, 0, 1, 0, &[0; 16]))
                .reads(2, 512)
                .says(data_in(2, F | S, 0, 0, 512)),
        ),
        good(
            "a write's tag and number are used by another command",
            Talk::ready()
                .writes(1, 2_048, 0)
                .asks_ahead(1_u32.wrapping_neg(), RawPdu::scsi_command(0x81, 0, 1, 0, &[0; 16]))
                .says(r2t(1, 0, 0, 2_048)),
        ),
        good(
            "HTTP",
            Talk::opened().asks_nonsense(b"GET / HTTP/1.1\r\nHost: example.invalid\r\n\r\n............").closed(),
        ),
        good("unsolicited data that were not agreed", Talk::ready().writes(1, 2_048, 1_028).says(check(1, 11, 0x0c0c))),
        bad("I3", "and yet StatSN counts", twice().says_off(data_in(1, F | S, 0, 0, 512), 3, 0, WINDOW)),
    ]
}
