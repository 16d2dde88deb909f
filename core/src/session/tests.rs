//! A session as its initiator has it: PDUs in, PDUs out.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::{BROKEN, Event, Session};
use crate::env::{ByteStream, Close, Durability, Runtime};
use crate::id::{Cid, Isid, Itt, Lun, NexusId, ShardId, Tsih, Ttt};
use crate::limits::Limits;
use crate::logical_unit::{LogicalUnit, UnitAttention};
use crate::target::{BackendKind, IoMode, LunConfig, Node, NodeConfig, Shard, TargetConfig};
use crate::task::status::Status;
use crate::testing::{DiskOperation, DiskVerb, MemoryDisk, MemoryStream, TestRuntime};
use crate::wire::{
    BHS_BYTES, Bhs, DataOut, LoginRequest, LoginResponse, NopIn, NopOut, Opcode, ReadyToTransfer, ScsiCommand,
    ScsiResponse, SerialNumber, TaskManagementRequest as Function, TaskManagementResponse as Response, padding,
};

const TARGET: &str = "iqn.2026-01.com.example:disk";
const POOL_BYTES: usize = 1 << 20;

/// A target with LUN 0 on a disk in memory and LUN 1 that keeps nothing, and one session.
struct Bench {
    runtime: TestRuntime,
    disk: MemoryDisk,
    shard: Rc<Shard<TestRuntime>>,
    stream: MemoryStream,
    session: Rc<Session<TestRuntime>>,
    received: VecDeque<Bhs>,
    next_cmd_sn: Cell<u32>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let runtime = TestRuntime::new(POOL_BYTES);
        let disk = MemoryDisk::new(1 << 20, 4_096);
        let lun = LunConfig {
            backend: BackendKind::Fileio,
            mode: IoMode::WriteBack,
            block_bytes: 512,
            scsi_id: "disk-one".into(),
            serial: "S-0001".into(),
        };
        let other = LunConfig { backend: BackendKind::Nullio { size_bytes: 1 << 20 }, ..lun.clone() };
        let targets =
            vec![TargetConfig { name: TARGET.into(), alias: None, luns: BTreeMap::from([(0, lun), (1, other)]) }];
        let handles = (0..limits.disk_handles()).map(|_| disk.clone()).collect();
        let config = NodeConfig { targets, limits, initial_stat_sn: Some(1), initial_ttt: 1 };
        let node = Node::new(config, 1).expect("the configuration is right");
        let shard = Shard::start(runtime.clone(), node, ShardId(0), BTreeMap::from([((0, 0), handles)]));
        let (stream, response) = log_in(&runtime, &shard, Tsih(0), SerialNumber(1));
        assert_eq!(response.status_class, 0);
        let session = shard.sessions_of(0).pop().expect("the login succeeds");
        let bench =
            Self { runtime, disk, shard, stream, session, received: VecDeque::new(), next_cmd_sn: Cell::new(1) };
        assert_eq!(bench.unit().take_attention(bench.session.nexus), Some(UnitAttention::POWER_ON));
        bench
    }

    fn unit(&self) -> &Rc<LogicalUnit<TestRuntime>> {
        &self.shard.targets[0].device.luns[&0]
    }

    fn cmd_sn(&self) -> SerialNumber {
        SerialNumber(self.next_cmd_sn.replace(self.next_cmd_sn.get() + 1))
    }

    fn send(&self, bhs: &Bhs) {
        self.stream.arrive(&bytes(bhs, &[]));
        self.runtime.settle();
    }

    /// A command to LUN 0 with the CmdSN that is next, without data.
    fn command(&self, itt: u32, cdb: &[u8], expected_data_transfer_bytes: u32) -> ScsiCommand {
        let mut padded = [0; 16];
        padded[..cdb.len()].copy_from_slice(cdb);
        ScsiCommand {
            immediate: false,
            final_bit: true,
            read: false,
            write: false,
            attribute: ScsiCommand::SIMPLE,
            lun: Lun(0),
            itt: Itt(itt),
            expected_data_transfer_bytes,
            cmd_sn: self.cmd_sn(),
            exp_stat_sn: SerialNumber(0),
            cdb: padded,
        }
    }

    /// Sends a READ of the block whose number is the tag.
    fn read(&self, itt: u32, attribute: u8) {
        let command = self.command(itt, &[0x28, 0, 0, 0, 0, itt as u8, 0, 0, 1, 0], 512);
        self.send(&ScsiCommand { read: true, attribute, ..command }.to_bhs(0));
    }

    /// The tags of the READs that the disk got since the last call.
    fn reads_begun(&self) -> Vec<u64> {
        let tag = |operation| match operation {
            DiskOperation::Read(offset_bytes, 512) => offset_bytes / 512,
            other => panic!("no READ of one block: {other:?}"),
        };
        self.disk.take_operations().into_iter().map(tag).collect()
    }

    fn write_command(&self, itt: u32) -> ScsiCommand {
        ScsiCommand { write: true, ..self.command(itt, &[0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0], 512) }
    }

    fn function(&self, function: u8, referenced: Itt) -> Function {
        Function {
            immediate: false,
            function,
            lun: Lun(0),
            itt: Itt(0x100 + u32::from(function)),
            referenced_itt: referenced,
            cmd_sn: self.cmd_sn(),
            exp_stat_sn: SerialNumber(0),
            ref_cmd_sn: SerialNumber(0),
            exp_data_sn: 0,
        }
    }

    /// Sends a task management function.
    fn manage(&self, function: u8, referenced: Itt) {
        self.send(&self.function(function, referenced).to_bhs(0));
    }

    /// The R2T that came next.
    fn r2t(&mut self) -> ReadyToTransfer {
        ReadyToTransfer::parse(&self.next().expect("an answer")).expect("an R2T")
    }

    /// Sends one block of what `r2t` asked for.
    fn data_out(&self, r2t: &ReadyToTransfer, data_sn: u32, final_bit: bool) {
        let (lun, itt, ttt, buffer_offset) = (r2t.lun, r2t.itt, r2t.ttt, r2t.buffer_offset + data_sn * 512);
        let pdu = DataOut { final_bit, lun, itt, ttt, exp_stat_sn: SerialNumber(0), data_sn, buffer_offset };
        self.stream.arrive(&bytes(&pdu.to_bhs(512), &[7; 512]));
        self.runtime.settle();
    }

    fn pass(&self, time: Duration) {
        self.runtime.block_on(self.runtime.sleep(time));
        self.runtime.settle();
    }

    /// The next PDU that the initiator got, if there is one.
    fn next(&mut self) -> Option<Bhs> {
        let sent = self.stream.take_sent();
        let mut rest = sent.as_slice();
        while let Some((header, behind)) = rest.split_first_chunk::<BHS_BYTES>() {
            let bhs = Bhs(*header);
            let length = bhs.data_segment_bytes();
            rest = &behind[length + padding(length)..];
            self.received.push_back(bhs);
        }
        self.received.pop_front()
    }

    /// The status of the next SCSI Response, with its tag.
    fn status(&mut self) -> (u32, Status) {
        let response = ScsiResponse::parse(&self.next().expect("an answer")).expect("a SCSI Response");
        (response.itt.0, Status(response.status))
    }

    /// The next response to a function, if one is there: which function it was, and how it ended.
    fn response(&mut self) -> Option<(u8, u8)> {
        let response = Response::parse(&self.next()?).expect("a response to a function");
        Some(((response.itt.0 - 0x100) as u8, response.response))
    }
}

/// A PDU without digests.
fn bytes(bhs: &Bhs, data: &[u8]) -> Vec<u8> {
    [&bhs.0, data, &[0; 3][..padding(data.len())]].concat()
}

/// A login in one request, to a new session or to the one with `tsih`.
fn log_in(
    runtime: &TestRuntime,
    shard: &Rc<Shard<TestRuntime>>,
    tsih: Tsih,
    cmd_sn: SerialNumber,
) -> (MemoryStream, LoginResponse) {
    let stream = MemoryStream::default();
    let address = SocketAddr::from(([192, 0, 2, 1], 3260));
    shard.accept(stream.clone(), address, address);
    let login = LoginRequest {
        transit: true,
        continue_bit: false,
        current_stage: 1,
        next_stage: 3,
        version_max: 0,
        version_min: 0,
        isid: Isid([0x80, 1, 2, 3, 4, 5]),
        tsih,
        itt: Itt(1),
        cid: Cid(1),
        cmd_sn,
        exp_stat_sn: SerialNumber(0),
    };
    let text = format!("InitiatorName=iqn.2026-01.com.example:host\0TargetName={TARGET}\0");
    stream.arrive(&bytes(&login.to_bhs(text.len()), text.as_bytes()));
    runtime.settle();
    let sent = stream.take_sent();
    let header = sent.first_chunk().expect("an answer");
    (stream, LoginResponse::parse(&Bhs(*header)).expect("a Login Response"))
}

#[test]
fn tasks_share_a_set_up_to_its_limit() {
    let mut bench = Bench::with(Limits { task_set_tasks: 2, ..Limits::default() });
    bench.disk.hold(DiskVerb::Read);
    (1..=3).for_each(|itt| bench.read(itt, ScsiCommand::SIMPLE));
    assert_eq!(bench.reads_begun(), [1, 2]);
    assert_eq!(bench.status(), (3, Status::TASK_SET_FULL));
    assert_eq!(bench.next(), None);
    bench.disk.release();
    bench.runtime.settle();
    assert!(bench.session.tasks.borrow().is_empty() && bench.session.task_sets.borrow().is_empty());
}

#[test]
fn tasks_behind_an_ordered_one_begin_together_and_oldest_first() {
    let bench = Bench::new();
    bench.disk.hold(DiskVerb::Read);
    bench.read(1, ScsiCommand::ORDERED);
    (2..=4).for_each(|itt| bench.read(itt, ScsiCommand::SIMPLE));
    assert_eq!(bench.reads_begun(), [1]);
    bench.disk.release();
    bench.runtime.settle();
    assert_eq!(bench.reads_begun(), [2, 3, 4]);
}

#[test]
fn write_that_is_refused_takes_no_buffer_and_asks_for_nothing() {
    let mut bench = Bench::new();
    let command = ScsiCommand { attribute: ScsiCommand::ACA, ..bench.write_command(1) };
    let task = bench.session.receive_task(&command, 0);
    assert!(task.refusal.borrow().is_some());
    assert_eq!(bench.runtime.pool_free_bytes(), POOL_BYTES);
    bench.send(&command.to_bhs(0));
    assert_eq!(bench.status(), (1, Status::CHECK_CONDITION));
}

#[test]
fn write_gets_a_buffer_for_what_it_uses_only() {
    let mut bench = Bench::new();
    let command = ScsiCommand { expected_data_transfer_bytes: 4_096, ..bench.write_command(1) };
    bench.send(&command.to_bhs(0));
    assert_eq!(bench.r2t().desired_bytes, 512);
    assert_eq!(bench.runtime.pool_free_bytes(), POOL_BYTES - 512);
    let nothing_used = ScsiCommand { write: true, ..bench.command(2, &[0; 6], 4_096) };
    assert!(bench.session.receive_task(&nothing_used, 0).data_out.borrow().is_none());
    bench.send(&nothing_used.to_bhs(0));
    assert_eq!(bench.status(), (2, Status::GOOD));
}

#[test]
fn write_of_more_than_a_transfer_may_have_is_refused_before_its_data_are_asked_for() {
    for (blocks, refused) in [(2, false), (3, true)] {
        let mut bench = Bench::with(Limits { transfer_bytes: 1_024, ..Limits::default() });
        let command = bench.command(1, &[0x2a, 0, 0, 0, 0, 0, 0, 0, blocks, 0], 512 * u32::from(blocks));
        bench.send(&ScsiCommand { write: true, ..command }.to_bhs(0));
        if refused {
            assert_eq!(bench.status(), (1, Status::CHECK_CONDITION));
        } else {
            assert_eq!(bench.r2t().desired_bytes, 1_024);
        }
    }
}

#[test]
fn write_for_which_no_data_are_expected_moves_none() {
    let mut bench = Bench::new();
    bench.send(&ScsiCommand { expected_data_transfer_bytes: 0, ..bench.write_command(1) }.to_bhs(0));
    let response = ScsiResponse::parse(&bench.next().expect("an answer")).expect("a SCSI Response");
    assert_eq!((response.overflow, response.residual), (true, 512));
    assert_eq!(bench.disk.take_operations(), []);
}

#[test]
fn function_that_nobody_carries_out_is_told_from_one_that_is_not_known() {
    let mut bench = Bench::new();
    bench.manage(Function::TASK_REASSIGN, Itt(1));
    assert_eq!(bench.response(), Some((Function::TASK_REASSIGN, Response::REASSIGNMENT_NOT_SUPPORTED)));
    bench.manage(Function::QUERY_TASK, Itt(1));
    assert_eq!(bench.response(), Some((Function::QUERY_TASK, Response::FUNCTION_NOT_SUPPORTED)));
}

#[test]
fn every_reset_has_its_unit_attention() {
    for (function, attention) in [
        (Function::LOGICAL_UNIT_RESET, UnitAttention::LOGICAL_UNIT_RESET),
        (Function::TARGET_WARM_RESET, UnitAttention::TARGET_RESET),
        (Function::TARGET_COLD_RESET, UnitAttention::POWER_ON),
    ] {
        let mut bench = Bench::new();
        // The one that asks loses its connection by a cold reset, and its nexus with it.
        let (unit, other) = (bench.unit().clone(), NexusId(99));
        unit.attach(other, UnitAttention::NEXUS_LOSS);
        assert!(unit.has_attention(other));
        assert_eq!(unit.take_attention(other), Some(UnitAttention::NEXUS_LOSS));
        bench.manage(function, Itt::NONE);
        assert_eq!(bench.response(), Some((function, Response::FUNCTION_COMPLETE)));
        assert_eq!(unit.take_attention(other), Some(attention));
    }
}

#[test]
fn nexus_that_is_gone_is_raised_no_unit_attentions() {
    let bench = Bench::new();
    bench.stream.close(Close::Graceful);
    bench.runtime.settle();
    assert!(bench.session.ended.get());
    bench.unit().raise(UnitAttention::LOGICAL_UNIT_RESET, None);
    assert!(!bench.unit().has_attention(bench.session.nexus));
}

#[test]
fn abort_task_set_waits_for_the_commands_before_it_and_no_longer() {
    let mut bench = Bench::new();
    bench.manage(Function::ABORT_TASK_SET, Itt::NONE);
    assert_eq!(bench.response(), Some((Function::ABORT_TASK_SET, Response::FUNCTION_COMPLETE)), "none is missing");
    bench.disk.hold(DiskVerb::Read);
    let missing = bench.write_command(1);
    let function = Function { immediate: true, ..bench.function(Function::ABORT_TASK_SET, Itt::NONE) };
    bench.send(&function.to_bhs(0));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.response(), None);
    bench.send(&missing.to_bhs(0));
    bench.r2t();
    bench.pass(bench.session.limits.data_out_deadline);
    assert_eq!(bench.response(), Some((Function::ABORT_TASK_SET, Response::FUNCTION_COMPLETE)));
}

/// A reset is answered while a younger function still covers the tasks that it took away.
#[test]
fn task_that_a_reset_took_away_does_not_exist_whatever_else_is_at_work_on_it() {
    for reset in [Function::LOGICAL_UNIT_RESET, Function::TARGET_WARM_RESET] {
        let mut bench = Bench::new();
        let second = Duration::from_secs(1);
        bench.send(&bench.write_command(1).to_bhs(0));
        bench.manage(reset, Itt::NONE);
        bench.pass(second);
        bench.send(&bench.write_command(2).to_bhs(0));
        bench.manage(Function::ABORT_TASK_SET, Itt::NONE);
        bench.pass(bench.session.limits.data_out_deadline - second / 2);
        assert_eq!([bench.r2t().itt, bench.r2t().itt], [Itt(1), Itt(2)]);
        assert_eq!(bench.response(), Some((reset, Response::FUNCTION_COMPLETE)));
        assert_eq!(bench.response(), None, "ABORT TASK SET still waits for the second WRITE");
        bench.manage(Function::ABORT_TASK, Itt(1));
        assert_eq!(bench.response(), Some((Function::ABORT_TASK, Response::TASK_DOES_NOT_EXIST)));
        bench.pass(second);
        assert_eq!(bench.response(), Some((Function::ABORT_TASK_SET, Response::FUNCTION_COMPLETE)));
    }
}

#[test]
fn functions_are_bounded_at_a_time_and_not_in_number() {
    let mut bench = Bench::with(Limits { task_management_functions: 1, ..Limits::default() });
    for _ in 0..3 {
        bench.manage(Function::ABORT_TASK, Itt(9));
        assert_eq!(bench.response(), Some((Function::ABORT_TASK, Response::TASK_DOES_NOT_EXIST)));
    }
    bench.send(&bench.write_command(1).to_bhs(0));
    bench.r2t();
    bench.manage(Function::ABORT_TASK_SET, Itt::NONE);
    assert_eq!(bench.response(), None, "it waits for the data of the WRITE");
    bench.manage(Function::ABORT_TASK, Itt(9));
    assert_eq!(bench.response(), Some((Function::ABORT_TASK, Response::FUNCTION_REJECTED)));
}

#[test]
fn cold_reset_alone_ends_the_connection() {
    for function in [Function::LOGICAL_UNIT_RESET, Function::TARGET_WARM_RESET, Function::TARGET_COLD_RESET] {
        let bench = Bench::new();
        bench.manage(function, Itt::NONE);
        assert_eq!(bench.session.ended.get(), function == Function::TARGET_COLD_RESET, "{function}");
    }
}

#[test]
fn abort_of_a_command_that_never_came_counts_it_as_received() {
    let mut bench = Bench::new();
    let missing = bench.write_command(1);
    let abort = Function { ref_cmd_sn: missing.cmd_sn, ..bench.function(Function::ABORT_TASK, Itt(1)) };
    bench.send(&Function { immediate: true, ..abort }.to_bhs(0));
    assert_eq!(bench.response(), Some((Function::ABORT_TASK, Response::FUNCTION_COMPLETE)));
    assert_eq!(bench.session.window_numbers().0, abort.cmd_sn, "the number of an immediate request is not used up");
    bench.send(&missing.to_bhs(0));
    assert_eq!(bench.next(), None, "it is ignored when it comes");
}

#[test]
fn command_is_counted_as_received_for_an_abort_of_it_alone() {
    for (function, itt) in [(Function::ABORT_TASK, 1), (Function::TARGET_WARM_RESET, 2)] {
        let mut bench = Bench::new();
        bench.send(&bench.write_command(1).to_bhs(0));
        bench.r2t();
        let missing = bench.cmd_sn();
        // One names a task that is there, with the number of another; one ends tasks, but none by its number.
        let function = Function { ref_cmd_sn: missing, ..bench.function(function, Itt(itt)) };
        bench.send(&Function { immediate: true, ..function }.to_bhs(0));
        bench.pass(bench.session.limits.data_out_deadline);
        assert_eq!(bench.response(), Some((function.function, Response::FUNCTION_COMPLETE)));
        assert_eq!(bench.session.window_numbers().0, missing, "it may still come");
    }
}

#[test]
fn abort_of_a_command_that_is_still_to_be_sent_finds_none() {
    let mut bench = Bench::new();
    let abort = Function { immediate: true, ..bench.function(Function::ABORT_TASK, Itt(1)) };
    bench.send(&Function { ref_cmd_sn: abort.cmd_sn, ..abort }.to_bhs(0));
    assert_eq!(bench.response(), Some((Function::ABORT_TASK, Response::TASK_DOES_NOT_EXIST)));
    assert_eq!(bench.session.window_numbers().0, abort.cmd_sn);
}

#[test]
fn write_whose_data_never_come_ends_when_it_has_stalled_for_too_long() {
    let stall = Duration::from_secs(5);
    let mut bench = Bench::with(Limits { initiator_stall: stall, ..Limits::default() });
    bench.send(&bench.write_command(1).to_bhs(0));
    bench.r2t();
    assert_eq!(bench.session.data_due(), Some(bench.runtime.now() + stall));
    bench.pass(stall - Duration::from_millis(1));
    assert_eq!(bench.next(), None);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.status(), (1, Status::CHECK_CONDITION));
    assert_eq!(bench.runtime.pool_free_bytes(), POOL_BYTES);
}

#[test]
fn write_whose_data_come_slowly_does_not_end_before_they_are_there() {
    let stall = Duration::from_secs(5);
    let mut bench = Bench::with(Limits { initiator_stall: stall, ..Limits::default() });
    let command = bench.command(1, &[0x2a, 0, 0, 0, 0, 0, 0, 0, 4, 0], 2_048);
    bench.send(&ScsiCommand { write: true, ..command }.to_bhs(0));
    let r2t = bench.r2t();
    for data_sn in 0..4 {
        bench.pass(stall - Duration::from_secs(2));
        bench.data_out(&r2t, data_sn, data_sn == 3);
    }
    assert_eq!(bench.status(), (1, Status::GOOD));
    assert_eq!(bench.session.pool_held.get(), 0);
    assert_eq!(bench.disk.take_operations(), [DiskOperation::Write(0, 2_048, Durability::Volatile)]);
}

#[test]
fn peer_that_says_nothing_is_asked_and_then_given_up() {
    let second = Duration::from_secs(1);
    let mut bench = Bench::with(Limits { nop_interval: second, nop_timeout: 2 * second, ..Limits::default() });
    bench.pass(second);
    assert_eq!(bench.next().expect("a question").opcode(), Opcode::NOP_IN);
    bench.pass(2 * second);
    assert_eq!(bench.session.connection.why_closed(), Some("no answer to NOP-In"));
}

/// The watch once slept until the time for the answer was over, although it had come.
#[test]
fn peer_that_has_answered_is_asked_again_after_the_interval() {
    let second = Duration::from_secs(1);
    let mut bench = Bench::with(Limits { nop_interval: second, nop_timeout: 10 * second, ..Limits::default() });
    bench.pass(second);
    let question = NopIn::parse(&bench.next().expect("a question")).expect("a NOP-In");
    bench.pass(second / 2);
    let answer = NopOut {
        immediate: true,
        lun: question.lun,
        itt: Itt::NONE,
        ttt: question.ttt,
        cmd_sn: SerialNumber(bench.next_cmd_sn.get()),
        exp_stat_sn: question.stat_sn,
    };
    bench.send(&answer.to_bhs(0));
    bench.pass(second - Duration::from_millis(1));
    assert_eq!(bench.next(), None);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.next().expect("another question").opcode(), Opcode::NOP_IN);
    assert_eq!(bench.session.connection.why_closed(), None);
}

/// Sends a WRITE of four blocks, and has somebody refused a buffer.
fn write_while_buffers_are_short(limits: Limits) -> (Bench, ReadyToTransfer) {
    let mut bench = Bench::with(Limits { initiator_stall: Duration::from_secs(5), ..limits });
    let command = bench.command(1, &[0x2a, 0, 0, 0, 0, 0, 0, 0, 4, 0], 2_048);
    bench.send(&ScsiCommand { write: true, ..command }.to_bhs(0));
    let r2t = bench.r2t();
    let limits = &bench.session.limits;
    limits.refuse_buffer(&limits.marks.pool_shares, bench.runtime.now());
    (bench, r2t)
}

#[test]
fn write_whose_data_keep_the_pace_keeps_its_buffer_while_others_are_refused_one() {
    let (mut bench, r2t) = write_while_buffers_are_short(Limits { stall_bytes: 1_024, ..Limits::default() });
    for data_sn in 0..4 {
        bench.pass(Duration::from_secs(2));
        bench.data_out(&r2t, data_sn, data_sn == 3);
    }
    assert_eq!(bench.status(), (1, Status::GOOD));
}

#[test]
fn write_whose_data_trickle_ends_while_others_are_refused_a_buffer() {
    let (mut bench, r2t) = write_while_buffers_are_short(Limits { stall_bytes: 1_025, ..Limits::default() });
    for data_sn in 0..2 {
        bench.pass(Duration::from_secs(2));
        bench.data_out(&r2t, data_sn, false);
    }
    assert_eq!(bench.next(), None);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.status(), (1, Status::CHECK_CONDITION));
}

/// Its time begins with the first R2T: the target does not give it more by asking for less at a time.
#[test]
fn write_whose_data_trickle_ends_however_often_it_is_asked_for_them() {
    let (mut bench, mut r2t) = write_while_buffers_are_short(Limits { max_burst_bytes: 512, ..Limits::default() });
    for _ in 0..2 {
        bench.pass(Duration::from_secs(2));
        bench.data_out(&r2t, 0, true);
        r2t = bench.r2t();
    }
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.status(), (1, Status::CHECK_CONDITION));
}

#[test]
fn write_of_which_data_came_wrong_ends_when_the_others_are_there() {
    let mut bench = Bench::new();
    bench.send(&bench.write_command(1).to_bhs(0));
    let r2t = bench.r2t();
    let task = bench.session.tasks.borrow()[&Itt(1)].clone();
    bench.session.data_digest_failed(&task);
    assert_eq!(bench.next(), None, "what was asked for is still on its way");
    bench.data_out(&r2t, 0, true);
    assert_eq!(bench.status(), (1, Status::CHECK_CONDITION));
    assert_eq!(bench.disk.take_operations(), []);
}

#[test]
fn abort_tells_whether_the_back_end_still_has_the_task() {
    let mut bench = Bench::new();
    bench.disk.hold(DiskVerb::Read);
    bench.read(1, ScsiCommand::SIMPLE);
    bench.send(&bench.write_command(2).to_bhs(0));
    bench.r2t();
    bench.manage(Function::ABORT_TASK_SET, Itt::NONE);
    bench.pass(bench.session.limits.abort_deadline + bench.session.limits.data_out_deadline);
    assert_eq!(bench.response(), Some((Function::ABORT_TASK_SET, Response::FUNCTION_COMPLETE)));
    let told = |event| match event {
        Event::TaskAborted { itt, disowned, .. } => Some((itt, disowned)),
        _ => None,
    };
    let told: BTreeMap<_, _> = bench.runtime.take_events().into_iter().filter_map(told).collect();
    assert_eq!(told, BTreeMap::from([(Itt(1), true), (Itt(2), false)]));
}

#[test]
fn function_on_a_logical_unit_that_is_not_there_says_so() {
    let mut bench = Bench::new();
    for function in [Function::ABORT_TASK_SET, Function::CLEAR_TASK_SET, Function::LOGICAL_UNIT_RESET] {
        let request = Function { lun: Lun::from_number(2), ..bench.function(function, Itt::NONE) };
        bench.send(&request.to_bhs(0));
        assert_eq!(bench.response(), Some((function, Response::LUN_DOES_NOT_EXIST)));
    }
}

#[test]
fn function_on_one_logical_unit_confirms_nothing_of_another() {
    for function in [Function::ABORT_TASK_SET, Function::LOGICAL_UNIT_RESET] {
        let mut bench = Bench::new();
        let lun = Lun::from_number(1);
        for itt in [1, 2] {
            bench.send(&ScsiCommand { lun, ..bench.write_command(itt) }.to_bhs(0));
        }
        let first = bench.r2t();
        let second = bench.r2t();
        bench.send(&Function { lun, ..bench.function(Function::CLEAR_TASK_SET, Itt::NONE) }.to_bhs(0));
        bench.data_out(&first, 0, true);
        bench.manage(function, Itt::NONE);
        assert_eq!(bench.response(), Some((function, Response::FUNCTION_COMPLETE)));
        bench.send(&Function { lun, ..bench.function(Function::ABORT_TASK, Itt(1)) }.to_bhs(0));
        assert_eq!(bench.response(), None, "the first WRITE is over only when the second is");
        bench.data_out(&second, 0, true);
        let mut responses = [bench.response(), bench.response()].map(|response| response.expect("an answer"));
        responses.sort_unstable();
        let functions = [Function::ABORT_TASK, Function::CLEAR_TASK_SET];
        assert_eq!(responses, functions.map(|it| (it, Response::FUNCTION_COMPLETE)));
    }
}

#[test]
fn connection_that_is_reinstated_goes_on_with_the_nexus_and_without_the_tasks() {
    let bench = Bench::with(Limits { abort_deadline: Duration::ZERO, ..Limits::default() });
    bench.disk.hold(DiskVerb::Read);
    bench.read(1, ScsiCommand::SIMPLE);
    let (tsih, exp_cmd_sn) = (bench.session.tsih, bench.session.window_numbers().0);
    let (_, response) = log_in(&bench.runtime, &bench.shard, Tsih(tsih.0 + 1), exp_cmd_sn);
    assert_eq!((response.status_class, bench.session.ended.get()), (2, false), "there is no such session");
    let (stream, response) = log_in(&bench.runtime, &bench.shard, tsih, exp_cmd_sn);
    assert_eq!((response.status_class, response.tsih), (0, tsih));
    bench.disk.release();
    bench.runtime.settle();
    assert!(bench.session.ended.get() && bench.stream.take_sent().is_empty() && stream.take_sent().is_empty());
    let sessions = bench.shard.sessions_of(0);
    assert_eq!(sessions.iter().map(|session| session.nexus).collect::<Vec<_>>(), [bench.session.nexus]);
}

#[test]
fn worker_that_breaks_an_invariant_ends_the_connection_and_is_replaced() {
    let bench = Bench::with(Limits { workers: 1, ..Limits::default() });
    bench.disk.hold(DiskVerb::Read);
    bench.read(1, ScsiCommand::SIMPLE);
    bench.stream.arrive(&bytes(&bench.write_command(2).to_bhs(512), &[7; 512]));
    bench.runtime.settle();
    let queued = bench.session.tasks.borrow()[&Itt(2)].clone();
    assert!(queued.take_data_out().is_some(), "a command runs with exactly the data it asked for");
    bench.disk.release();
    bench.runtime.settle();
    assert_eq!((bench.session.connection.why_closed(), bench.session.ended.get()), (Some(BROKEN), true));
    bench.disk.take_operations();
    let (stream, _) = log_in(&bench.runtime, &bench.shard, Tsih(0), SerialNumber(1));
    let again = ScsiCommand { read: true, cmd_sn: SerialNumber(1), ..bench.command(3, &[0; 6], 0) };
    stream.arrive(&bytes(&again.to_bhs(0), &[]));
    bench.runtime.settle();
    assert!(!stream.take_sent().is_empty(), "there is a worker for the next session");
}

#[test]
fn data_behind_the_last_of_a_queued_write_end_it_before_it_is_written() {
    let mut bench = Bench::with(Limits { workers: 1, ..Limits::default() });
    bench.disk.hold(DiskVerb::Read);
    bench.read(1, ScsiCommand::SIMPLE);
    let command = bench.write_command(2);
    bench.stream.arrive(&bytes(&command.to_bhs(512), &[7; 512]));
    let (lun, itt, exp_stat_sn) = (command.lun, command.itt, SerialNumber(0));
    let more = DataOut { final_bit: true, lun, itt, ttt: Ttt::NONE, exp_stat_sn, data_sn: 0, buffer_offset: 0 };
    bench.stream.arrive(&bytes(&more.to_bhs(512), &[8; 512]));
    bench.runtime.settle();
    assert_eq!(bench.status(), (2, Status::CHECK_CONDITION));
    bench.disk.release();
    bench.runtime.settle();
    assert_eq!(bench.reads_begun(), [1], "nothing is written");
}

#[test]
fn clear_task_set_is_no_reset() {
    let mut bench = Bench::new();
    bench.manage(Function::CLEAR_TASK_SET, Itt::NONE);
    assert_eq!(bench.response(), Some((Function::CLEAR_TASK_SET, Response::FUNCTION_COMPLETE)));
    assert!(!bench.unit().has_attention(bench.session.nexus));
}
