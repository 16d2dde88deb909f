//! Commands against a logical unit of 1,024 blocks in memory.

mod access;
mod capacity;
mod cdb;
mod command_table;
mod durability;
mod fence;
mod inquiry;
mod mode_sense;
mod report_supported;
mod start_stop_unit;
mod unit_attention;
mod verify;
mod without_unit;

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;

use super::{DataIn, Outcome, Request, execute};
use crate::env::Runtime;
use crate::high_water::Bounds;
use crate::id::{Lun, NexusId};
use crate::limits::Limits;
use crate::logical_unit::{Device, LogicalUnit, Shared, UnitAttention};
use crate::target::{BackendKind, IoMode, LunConfig};
use crate::task::status::Status;
use crate::testing::{MemoryDisk, TestBuf, TestRuntime};

const NEXUS: NexusId = NexusId(1);
const BLOCKS: usize = 1_024;
const POOL_BYTES: usize = 1 << 20;

/// A device with one logical unit, LUN 0, and a nexus that has been told everything.
struct Bench {
    runtime: TestRuntime,
    device: Device<TestRuntime>,
    disk: MemoryDisk,
    shared: Arc<Shared>,
}

impl Bench {
    fn new(mode: IoMode) -> Self {
        Self::with(BackendKind::Fileio, mode, 512)
    }

    fn with(backend: BackendKind, mode: IoMode, block_bytes: u32) -> Self {
        let disk = MemoryDisk::new(BLOCKS * block_bytes as usize, 4_096);
        Self::on(backend, mode, block_bytes, disk)
    }

    fn on(backend: BackendKind, mode: IoMode, block_bytes: u32, disk: MemoryDisk) -> Self {
        let runtime = TestRuntime::new(POOL_BYTES);
        let limits = Limits { transfer_bytes: 512 * 1_024, max_burst_bytes: 64 * 1_024, ..Limits::default() };
        let limits = Rc::new(Bounds::new(limits));
        let shared = Arc::new(Shared::default());
        let config = LunConfig { backend, mode, block_bytes, scsi_id: "disk-one".into(), serial: "S-0001".into() };
        let handles = if matches!(backend, BackendKind::Nullio { .. }) { 0 } else { limits.disk_handles() };
        let served = (0..handles).map(|_| disk.clone()).collect();
        let unit = LogicalUnit::new(runtime.clone(), 0, &config, served, shared.clone(), &limits);
        unit.attach(NEXUS, UnitAttention::POWER_ON);
        assert_eq!(unit.take_attention(NEXUS), Some(UnitAttention::POWER_ON));
        runtime.take_events();
        let luns = BTreeMap::from([(0, Rc::new(unit))]);
        let device = Device { runtime: runtime.clone(), name: "iqn.2026-01.com.example:disk".into(), limits, luns };
        Self { runtime, device, disk, shared }
    }

    fn unit(&self) -> &Rc<LogicalUnit<TestRuntime>> {
        &self.device.luns[&0]
    }

    fn request(&self, lun: Lun, cdb: &[u8], data: &[u8]) -> Request<TestBuf> {
        let mut bytes = [0; 16];
        bytes[..cdb.len()].copy_from_slice(cdb);
        let data_out = (!data.is_empty()).then(|| {
            let mut buf = self.runtime.alloc(data.len()).expect("the test pool is large enough");
            buf.as_mut().copy_from_slice(data);
            buf
        });
        Request { nexus: NEXUS, lun, cdb: bytes, data_out }
    }

    /// The command, not yet begun.
    fn start(&self, cdb: &[u8], data: &[u8]) -> Pin<Box<dyn Future<Output = Outcome<TestBuf>> + '_>> {
        Box::pin(execute(&self.device, self.request(Lun(0), cdb, data)))
    }

    fn run_on(&self, lun: Lun, cdb: &[u8], data: &[u8]) -> Outcome<TestBuf> {
        self.runtime.block_on(pin!(execute(&self.device, self.request(lun, cdb, data))))
    }

    fn run(&self, cdb: &[u8], data: &[u8]) -> Outcome<TestBuf> {
        self.run_on(Lun(0), cdb, data)
    }

    /// What the command answers with GOOD.
    fn good(&self, cdb: &[u8]) -> Vec<u8> {
        good(&self.run(cdb, &[]))
    }

    /// The sense data that the command answers with CHECK CONDITION.
    fn check(&self, cdb: &[u8]) -> Vec<u8> {
        check(&self.run(cdb, &[]))
    }
}

fn good(outcome: &Outcome<TestBuf>) -> Vec<u8> {
    assert_eq!((outcome.status, outcome.sense.as_slice()), (Status::GOOD, &[][..]));
    match &outcome.data_in {
        DataIn::None => Vec::new(),
        DataIn::Bytes(bytes) => bytes.clone(),
        DataIn::Buffer(buf) => buf.as_ref().to_vec(),
    }
}

fn check(outcome: &Outcome<TestBuf>) -> Vec<u8> {
    assert_eq!(outcome.status, Status::CHECK_CONDITION);
    assert!(matches!(outcome.data_in, DataIn::None));
    outcome.sense.clone()
}

/// Fixed sense of ILLEGAL REQUEST with a field pointer.
fn illegal(code: u16, pointer: [u8; 3]) -> Vec<u8> {
    let mut sense = fixed(5, code);
    sense[15..].copy_from_slice(&pointer);
    sense
}

/// Fixed sense without detail.
fn fixed(key: u8, code: u16) -> Vec<u8> {
    let [asc, ascq] = code.to_be_bytes();
    vec![0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq, 0, 0, 0, 0]
}

/// Fixed sense with INFORMATION.
fn informed(key: u8, code: u16, information: u32) -> Vec<u8> {
    let mut sense = fixed(key, code);
    sense[0] = 0xf0;
    sense[3..7].copy_from_slice(&information.to_be_bytes());
    sense
}

fn read_10(lba: u32, blocks: u16) -> [u8; 10] {
    ten(0x28, 0, lba, blocks)
}

fn write_10(lba: u32, blocks: u16) -> [u8; 10] {
    ten(0x2a, 0, lba, blocks)
}

fn ten(operation: u8, flags: u8, lba: u32, blocks: u16) -> [u8; 10] {
    let [a, b, c, d] = lba.to_be_bytes();
    let [high, low] = blocks.to_be_bytes();
    [operation, flags, a, b, c, d, 0, high, low, 0]
}

fn sixteen(operation: u8, flags: u8, lba: u64, blocks: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    cdb[..2].copy_from_slice(&[operation, flags]);
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
    cdb
}

const FUA: u8 = 0x08;
const SYNCHRONIZE: [u8; 10] = [0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const TEST_UNIT_READY: [u8; 6] = [0; 6];
