//! Files and block devices.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use quintain_core::env::{Disk, Durability, Geometry};

use super::pool::Buf;
use super::ring;

/// An open file or block device; all shards share its descriptor.
#[derive(Clone, Debug)]
pub struct RealDisk {
    file: Arc<OwnedFd>,
    geometry: Geometry,
}

impl RealDisk {
    /// A disk of what is open as `file`, whose geometry the caller has found out.
    #[must_use]
    pub fn new(file: Arc<OwnedFd>, geometry: Geometry) -> Self {
        Self { file, geometry }
    }

    /// A file as a disk.
    ///
    /// # Errors
    /// When its size cannot be read.
    pub fn of_file(file: File, read_only: bool) -> io::Result<Self> {
        let geometry = Geometry {
            size_bytes: file.metadata()?.len(),
            logical_block_bytes: 512,
            physical_block_bytes: 4_096,
            read_only,
        };
        Ok(Self::new(Arc::new(file.into()), geometry))
    }

    /// A write past its end would make a file longer.
    fn check_range(&self, offset_bytes: u64, length: usize) -> io::Result<()> {
        match offset_bytes.checked_add(length as u64) {
            Some(end) if end <= self.geometry.size_bytes => Ok(()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Disk for RealDisk {
    type Buf = Buf;

    async fn read(&self, offset_bytes: u64, buf: Buf, range: Range<usize>) -> (io::Result<usize>, Buf) {
        if let Err(error) = self.check_range(offset_bytes, range.len()) {
            return (Err(error), buf);
        }
        let (result, (_, buf)) = ring::read(&self.file, offset_bytes, buf, range).await;
        (result, buf)
    }

    async fn write(
        &self,
        offset_bytes: u64,
        buf: Buf,
        range: Range<usize>,
        durability: Durability,
    ) -> (io::Result<usize>, Buf) {
        if let Err(error) = self.check_range(offset_bytes, range.len()) {
            return (Err(error), buf);
        }
        if self.geometry.read_only {
            return (Err(io::ErrorKind::ReadOnlyFilesystem.into()), buf);
        }
        let durable = durability == Durability::Durable;
        let (result, (_, buf)) = ring::write(&self.file, offset_bytes, buf, range, durable).await;
        (result, buf)
    }

    async fn flush(&self) -> io::Result<()> {
        ring::synchronize(&self.file).await.0.map(|_| ())
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }
}
