//! Files and block devices.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use quintain_core::env::{Disk, Durability, Geometry};
use rustix::fs::{OFlags, fcntl_getfl};

use super::pool::Buf;
use super::ring;

/// An open file or block device. Clones share an open file description.
#[derive(Clone, Debug)]
pub struct RealDisk {
    file: Arc<OwnedFd>,
    /// The description that was opened first: it has the lock.
    first: Arc<OwnedFd>,
    geometry: Geometry,
}

impl RealDisk {
    /// A disk of what is open as `file`, whose geometry the caller has found out.
    #[must_use]
    pub fn new(file: Arc<OwnedFd>, geometry: Geometry) -> Self {
        Self { first: file.clone(), file, geometry }
    }

    /// The same file with an open file description of its own, since the kernel tells of lost pages once on each.
    ///
    /// What goes past the page cache shares its description: its errors come back with the operation that they concern.
    /// And so a device stays claimed (`O_EXCL`), for one description only, until the last operation that a process which
    /// was killed had under way.
    ///
    /// # Errors
    /// When there is no descriptor left, or no `/proc`.
    pub fn reopen(&self) -> io::Result<Self> {
        let flags = fcntl_getfl(&self.file)?;
        if flags.contains(OFlags::DIRECT) {
            return Ok(self.clone());
        }
        // The very file, whatever its name stands for by now.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let file = OpenOptions::new().read(true).write(flags.contains(OFlags::RDWR)).open(path)?;
        Ok(Self { file: Arc::new(file.into()), first: self.first.clone(), geometry: self.geometry })
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

#[cfg(test)]
mod tests {
    use rustix::fs::fcntl_setfl;

    use super::*;

    /// The status flags belong to the description.
    fn share_a_description(one: &RealDisk, other: &RealDisk) -> bool {
        let before = fcntl_getfl(&other.file).expect("it is open");
        fcntl_setfl(&one.file, before ^ OFlags::NONBLOCK).expect("it is open");
        fcntl_getfl(&other.file).expect("it is open") != before
    }

    #[test]
    fn reopened_file_is_the_same_with_a_description_of_its_own_and_the_first_ones_lock() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("disk.img");
        std::fs::write(&path, [7; 4_096]).expect("space");
        for read_only in [false, true] {
            let open = || OpenOptions::new().read(true).write(!read_only).open(&path).expect("it is there");
            let (file, other) = (open(), open());
            file.try_lock().expect("nobody has it");
            let disk = RealDisk::of_file(file, read_only).expect("a size");
            let reopened = disk.reopen().expect("descriptors");
            assert!(share_a_description(&disk, &disk.clone()));
            assert!(!share_a_description(&disk, &reopened));
            assert!(!share_a_description(&reopened, &reopened.reopen().expect("descriptors")));
            let id = |disk: &RealDisk| rustix::fs::fstat(&disk.file).map(|stat| (stat.st_dev, stat.st_ino));
            assert_eq!(id(&disk), id(&reopened));
            let mode = |disk: &RealDisk| fcntl_getfl(&disk.file).expect("it is open") & OFlags::RWMODE;
            assert_eq!(mode(&disk), mode(&reopened));
            drop(disk);
            assert!(other.try_lock().is_err(), "the lock lives as long as any of them");
            drop(reopened);
            other.try_lock().expect("nobody has it any more");
        }
    }
}
