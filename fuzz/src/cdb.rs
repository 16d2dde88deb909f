//! Commands against a small disk.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use quintain_core::high_water::Bounds;
use quintain_core::id::{Lun, NexusId};
use quintain_core::limits::Limits;
use quintain_core::logical_unit::{Device, LogicalUnit, Shared, UnitAttention};
use quintain_core::scsi::{DataIn, DataPhase, Outcome, Request, data_phase, execute, footprint};
use quintain_core::target::{BackendKind, IoMode, LunConfig};
use quintain_core::task::status::Status;

use crate::Input;
use crate::null_world::{MemoryDisk, NullWorld};

const DISK_BYTES: usize = 256 * 1024;
/// The most data that a command brings along.
const DATA_OUT_BYTES: u64 = 64 * 1024;
const NEXUS: NexusId = NexusId(1);

/// The first byte chooses the logical unit; then follow commands: a byte that chooses the LUN, sixteen bytes of CDB. No
/// command waits for what does not come, none moves more data than it asks for, none answers with stale memory, and sense data come with
/// CHECK CONDITION and only with it.
pub fn cdb(bytes: &[u8]) {
    let mut input = Input(bytes);
    let choice = input.byte();
    let block_bytes = if choice & 1 == 0 { 512 } else { 4_096 };
    let device = device(choice, block_bytes);
    for command in 0..16u8 {
        if input.is_empty() {
            return;
        }
        let lun = Lun(u64::from(input.byte() & 3) << 48);
        let cdb: [u8; 16] = input.array();
        run(&device, lun, cdb, block_bytes, command);
    }
}

fn device(choice: u8, block_bytes: u32) -> Device<NullWorld> {
    let limits = Rc::new(Bounds::new(Limits { transfer_bytes: 128 * 1024, ..Limits::default() }));
    let modes = [IoMode::WriteBack, IoMode::WriteThrough, IoMode::ReadOnly, IoMode::WriteBack];
    let config = LunConfig {
        backend: BackendKind::Fileio,
        mode: modes[usize::from(choice >> 1) & 3],
        block_bytes,
        scsi_id: "fuzz".to_owned(),
        serial: "1".to_owned(),
    };
    let disk = MemoryDisk::new(DISK_BYTES, block_bytes);
    let shared = Arc::new(Shared::default());
    let runtime = NullWorld::default();
    let unit = LogicalUnit::new(runtime.clone(), 0, &config, vec![disk.clone(), disk], shared, &limits);
    unit.attach(NEXUS, UnitAttention::POWER_ON);
    Device {
        runtime,
        name: "iqn.2026-01.com.example:fuzz".to_owned(),
        limits,
        luns: BTreeMap::from([(0, Rc::new(unit))]),
    }
}

fn run(device: &Device<NullWorld>, lun: Lun, cdb: [u8; 16], block_bytes: u32, fill: u8) {
    let phase = data_phase(&cdb, block_bytes);
    if let Some(footprint) = footprint(&cdb, block_bytes) {
        assert!(footprint.length_bytes > 0);
        assert!(!footprint.write || matches!(phase, DataPhase::Out(_)));
    }
    let data_out = match phase {
        DataPhase::Out(bytes) if bytes > 0 => Some(vec![fill; bytes.min(DATA_OUT_BYTES) as usize]),
        _ => None,
    };
    let request = Request { nexus: NEXUS, lun, cdb, data_out };
    let outcome = device.runtime.run(execute(device, request));
    check(&outcome, phase);
}

fn check(outcome: &Outcome<Vec<u8>>, phase: DataPhase) {
    assert_eq!(outcome.status == Status::CHECK_CONDITION, !outcome.sense.is_empty());
    let (data, medium): (&[u8], bool) = match &outcome.data_in {
        DataIn::None => (&[], false),
        DataIn::Bytes(bytes) => (bytes, false),
        DataIn::Buffer(buffer) => (buffer, true),
    };
    match phase {
        DataPhase::In(asked) => assert!(data.len() as u64 <= asked),
        DataPhase::None | DataPhase::Out(_) => assert!(data.is_empty()),
    }
    assert!(!medium || !data.contains(&0xa5), "stale memory");
}
