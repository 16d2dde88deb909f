//! Files and block devices.

use std::fs::File;
use std::io;
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

    async fn read(&self, offset_bytes: u64, mut buf: Buf) -> (io::Result<()>, Buf) {
        let length = buf.as_ref().len();
        if let Err(error) = self.check_range(offset_bytes, length) {
            return (Err(error), buf);
        }
        let mut progress = Progress::default();
        while progress.done < length {
            let offset = offset_bytes + progress.done as u64;
            let (result, (_, returned)) = ring::read(&self.file, offset, buf, progress.done..length).await;
            buf = returned;
            if let Err(error) = progress.note(result, io::ErrorKind::UnexpectedEof) {
                return (Err(error), buf);
            }
        }
        (Ok(()), buf)
    }

    async fn write(&self, offset_bytes: u64, mut buf: Buf, durability: Durability) -> (io::Result<()>, Buf) {
        let length = buf.as_ref().len();
        if let Err(error) = self.check_range(offset_bytes, length) {
            return (Err(error), buf);
        }
        if self.geometry.read_only {
            return (Err(io::ErrorKind::ReadOnlyFilesystem.into()), buf);
        }
        let durable = durability == Durability::Durable;
        let mut progress = Progress::default();
        while progress.done < length {
            let offset = offset_bytes + progress.done as u64;
            let (result, (_, returned)) = ring::write(&self.file, offset, buf, progress.done..length, durable).await;
            buf = returned;
            if let Err(error) = progress.note(result, io::ErrorKind::WriteZero) {
                return (Err(error), buf);
            }
        }
        (Ok(()), buf)
    }

    async fn flush(&self) -> io::Result<()> {
        // A flush that fails is not tried again: the kernel reports lost writes once.
        ring::synchronize(&self.file).await.0.map(|_| ())
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }
}

/// How far a transfer is that the kernel may do in parts.
#[derive(Default)]
struct Progress {
    done: usize,
    interruptions: u32,
}

impl Progress {
    fn note(&mut self, result: io::Result<usize>, nothing: io::ErrorKind) -> io::Result<()> {
        match result {
            Ok(0) => Err(nothing.into()),
            Ok(bytes) => {
                self.done += bytes;
                self.interruptions = 0;
                Ok(())
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
                    && self.interruptions < INTERRUPTIONS_MAX =>
            {
                self.interruptions += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Interruptions in a row without a byte moved before a transfer fails.
const INTERRUPTIONS_MAX: u32 = 64;
