//! A session as its initiator has it: PDUs in, PDUs out.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::Session;
use crate::env::{ByteStream, Close, Runtime};
use crate::id::{Cid, Isid, Itt, Lun, NexusId, ShardId, Tsih};
use crate::limits::Limits;
use crate::logical_unit::{LogicalUnit, UnitAttention};
use crate::target::{BackendKind, IoMode, LunConfig, Node, NodeConfig, Shard, TargetConfig};
use crate::task::status::Status;
use crate::testing::{DiskOperation, DiskVerb, MemoryDisk, MemoryStream, TestRuntime};
use crate::wire::{
    BHS_BYTES, Bhs, LoginRequest, Opcode, ReadyToTransfer, ScsiCommand, ScsiResponse, SerialNumber,
    TaskManagementRequest as Function, TaskManagementResponse as Response, padding,
};

const TARGET: &str = "iqn.2026-01.com.example:disk";
const POOL_BYTES: usize = 1 << 20;

/// A target with LUN 0 on a disk of its own, and one session.
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
        let targets = vec![TargetConfig { name: TARGET.into(), alias: None, luns: BTreeMap::from([(0, lun)]) }];
        let handles = (0..limits.disk_handles()).map(|_| disk.clone()).collect();
        let config = NodeConfig { targets, limits, initial_stat_sn: Some(1), initial_ttt: 1 };
        let node = Node::new(config, 1).expect("the configuration is right");
        let shard = Shard::start(runtime.clone(), node, ShardId(0), BTreeMap::from([((0, 0), handles)]));
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
            tsih: Tsih(0),
            itt: Itt(1),
            cid: Cid(1),
            cmd_sn: SerialNumber(1),
            exp_stat_sn: SerialNumber(0),
        };
        let text = format!("InitiatorName=iqn.2026-01.com.example:host\0TargetName={TARGET}\0");
        stream.arrive(&bytes(&login.to_bhs(text.len()), text.as_bytes()));
        runtime.settle();
        stream.take_sent();
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

#[test]
fn tasks_share_a_set_up_to_its_limit() {
    let mut bench = Bench::with(Limits { task_set_tasks: 2, ..Limits::default() });
    bench.disk.hold(DiskVerb::Read);
    (1..=3).for_each(|itt| bench.read(itt, ScsiCommand::SIMPLE));
    assert_eq!(bench.reads_begun(), [1, 2]);
    assert_eq!(bench.status(), (3, Status::TASK_SET_FULL));
    assert_eq!(bench.next(), None);
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
    assert_eq!(ReadyToTransfer::parse(&bench.next().expect("an R2T")).map(|r2t| r2t.desired_bytes), Ok(512));
    assert_eq!(bench.runtime.pool_free_bytes(), POOL_BYTES - 512);
    let nothing_used = ScsiCommand { write: true, ..bench.command(2, &[0; 6], 4_096) };
    assert!(bench.session.receive_task(&nothing_used, 0).data_out.borrow().is_none());
    bench.send(&nothing_used.to_bhs(0));
    assert_eq!(bench.status(), (2, Status::GOOD));
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
    assert_eq!(bench.next().map(|bhs| bhs.opcode()), Some(Opcode::READY_TO_TRANSFER));
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
        assert_eq!([1, 2].map(|_| bench.next().map(|bhs| bhs.opcode())), [Some(Opcode::READY_TO_TRANSFER); 2]);
        assert_eq!(bench.response(), Some((reset, Response::FUNCTION_COMPLETE)));
        assert_eq!(bench.response(), None, "ABORT TASK SET still waits for the second WRITE");
        bench.manage(Function::ABORT_TASK, Itt(1));
        assert_eq!(bench.response(), Some((Function::ABORT_TASK, Response::TASK_DOES_NOT_EXIST)));
        bench.pass(second);
        assert_eq!(bench.response(), Some((Function::ABORT_TASK_SET, Response::FUNCTION_COMPLETE)));
    }
}
