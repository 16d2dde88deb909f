//! Block devices, with loop devices in their place. They need root and losetup.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use quintain::ServeError;
use quintain::runtime::{Peers, RealRuntime, World};
use quintain::storage::{LunRequest, OpenedLun, open_all};
use quintain_core::env::{Disk, Durability, Runtime};
use quintain_core::limits::Limits;
use quintain_core::target::BackendKind;

#[test]
#[ignore = "needs root and losetup"]
fn device_is_blockio_with_its_own_size_and_blocks() {
    let device = LoopDevice::attach(512);
    let lun = open(&device.path).expect("it is free");
    assert_eq!(lun.config.backend, BackendKind::Blockio);
    assert_eq!(lun.config.block_bytes, 512);
    let geometry = lun.disk.expect("it has one").geometry();
    assert_eq!((geometry.size_bytes, geometry.logical_block_bytes), (BYTES, 512));
}

#[test]
#[ignore = "needs root and losetup"]
fn device_gives_back_what_was_written() {
    let device = LoopDevice::attach(512);
    let disk = open(&device.path).expect("it is free").disk.expect("it has one");
    let world = World { limits: Limits::default(), shards: Vec::new(), peers: Peers::default(), processor: None };
    RealRuntime::run(world, async |runtime| {
        for (offset, len, durability) in [
            (512, 512, Durability::Volatile),
            (1 << 20, 1 << 20, Durability::Durable),
            (BYTES - 4_096, 4_096, Durability::Volatile),
        ] {
            let mut buf = runtime.alloc(len).expect("there is room");
            buf.as_mut().fill(len as u8 ^ 0x5a);
            let (written, buf) = disk.write(offset, buf, 0..len, durability).await;
            assert_eq!(written.expect("a write"), len);
            let (read, back) = disk.read(offset, runtime.alloc(len).expect("there is room"), 0..len).await;
            assert_eq!(read.expect("a read"), len);
            assert!(back.as_ref() == buf.as_ref());
        }
        disk.flush().await.expect("a flush");
    })
    .expect("io_uring is there");
    let stored = fs::read(&device.file).expect("the file behind it");
    assert_eq!(stored[(1 << 20) + 77], 0x5a);
}

#[test]
#[ignore = "needs root and losetup"]
fn device_with_large_blocks_serves_no_small_ones() {
    let device = LoopDevice::attach(4_096);
    let small = LunRequest { path: Some(device.path.clone()), block_bytes: Some(512), ..LunRequest::default() };
    let refused = open_all("iqn.2026-11.test:device", &BTreeMap::from([(0, small)])).err().expect("it cannot be");
    assert!(matches!(refused, ServeError::BlockTooSmall { device_bytes: 4_096, block_bytes: 512, .. }), "{refused}");
    assert_eq!(open(&device.path).expect("it is free").config.block_bytes, 4_096);
}

#[test]
#[ignore = "needs root and losetup"]
fn device_that_is_served_is_refused_to_others() {
    let device = LoopDevice::attach(512);
    let _first = open(&device.path).expect("it is free");
    let refused = open(&device.path).err().expect("it is not free");
    assert!(matches!(refused, ServeError::InUse { .. }), "{refused}");
}

fn open(path: &Path) -> Result<OpenedLun, ServeError> {
    let request = LunRequest { path: Some(path.to_path_buf()), ..LunRequest::default() };
    let mut opened = open_all("iqn.2026-11.test:device", &BTreeMap::from([(0, request)]))?;
    Ok(opened.remove(&0).expect("it was asked for"))
}

const BYTES: u64 = 8 << 20;

/// A loop device, detached on drop.
struct LoopDevice {
    path: PathBuf,
    file: PathBuf,
    _directory: tempfile::TempDir,
}

impl LoopDevice {
    fn attach(sector_bytes: u32) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("device.img");
        File::create(&file).and_then(|file| file.set_len(BYTES)).expect("space");
        let mut command = Command::new("losetup");
        command.args(["--find", "--show", "--sector-size", &sector_bytes.to_string()]).arg(&file);
        let output = command.output().expect("losetup is installed");
        assert!(output.status.success(), "losetup: {}", String::from_utf8_lossy(&output.stderr));
        let path = PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim());
        Self { path, file, _directory: directory }
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // Best effort: a device that stays attached goes with its file.
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
    }
}
