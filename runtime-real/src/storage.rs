//! Opening what is to be served: checks first, so that nothing half-right is ever served.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quintain_core::env::Geometry;
use quintain_core::target::{BackendKind, IoMode, LunConfig};

use crate::identity;
use crate::runtime::RealDisk;
use crate::size::Size;
use crate::{ServeError, cli};

/// What the operator says about one logical unit; what is left out is found out or has a default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LunRequest {
    /// File or block device; none for nullio.
    pub path: Option<PathBuf>,
    /// The size that it must have, or that it gets when it is created.
    pub size: Option<Size>,
    /// Default: blockio for a block device, else fileio.
    pub kind: Option<cli::Kind>,
    /// When a write is acknowledged.
    pub mode: Option<cli::Mode>,
    /// Logical block length in bytes. Default: that of the device, 512 for files.
    pub block_bytes: Option<u32>,
    /// Identifier in VPD 83, at most 16 characters.
    pub scsi_id: Option<String>,
    /// Serial number in VPD 80, at most 32 characters.
    pub serial: Option<String>,
}

/// A logical unit that is ready to be served.
#[derive(Clone)]
pub struct OpenedLun {
    /// What the core needs to know.
    pub config: LunConfig,
    /// Where its data is, as it was opened and locked first; none for nullio.
    pub disk: Option<RealDisk>,
    /// What the operator called it.
    pub path: Option<PathBuf>,
    /// Its size.
    pub size: Size,
    /// It was created just now.
    pub created: bool,
}

/// Opens, checks and locks all logical units of the target called `target`. Nothing is created unless everything that
/// is already there is right.
///
/// # Errors
/// The first thing that is wrong.
pub fn open_all(target: &str, requests: &BTreeMap<u16, LunRequest>) -> Result<BTreeMap<u16, OpenedLun>, ServeError> {
    let machine = identity::machine();
    let mut opened = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    let (there, missing): (Vec<_>, Vec<_>) =
        requests.iter().partition(|(_, request)| request.path.as_deref().is_none_or(Path::exists));
    for (&number, request) in there.into_iter().chain(missing) {
        if let Some(path) = &request.path
            && let Ok(metadata) = path.metadata()
            && let Some(first) = inodes.insert((metadata.dev(), metadata.ino()), number)
        {
            return Err(ServeError::Twice { path: path.clone(), first, second: number });
        }
        let lun = open_one(number, request, target, &machine)?;
        if let Some(metadata) = lun.path.as_deref().and_then(|path| path.metadata().ok()) {
            inodes.insert((metadata.dev(), metadata.ino()), number);
        }
        opened.insert(number, lun);
    }
    Ok(opened)
}

fn open_one(number: u16, request: &LunRequest, target: &str, machine: &str) -> Result<OpenedLun, ServeError> {
    let mode = request.mode.unwrap_or_default();
    let mut lun = match (&request.path, request.kind) {
        (None, Some(cli::Kind::Nullio)) => open_nullio(number, request, mode)?,
        (Some(path), Some(cli::Kind::Nullio)) => {
            return Err(ServeError::NullioWithPath { number, path: path.clone() });
        }
        (Some(path), _) => open_path(path, request, mode)?,
        (None, _) => return Err(ServeError::NoPath { number }),
    };
    let identifier = || identity::unit_identifier(machine, request.path.as_deref(), target, number);
    lun.config.scsi_id = request.scsi_id.clone().unwrap_or_else(identifier);
    lun.config.serial = request.serial.clone().unwrap_or_else(identifier);
    Ok(lun)
}

fn open_nullio(number: u16, request: &LunRequest, mode: cli::Mode) -> Result<OpenedLun, ServeError> {
    let size = request.size.ok_or(ServeError::NullioWithoutSize { number })?;
    let block_bytes = request.block_bytes.unwrap_or(FILE_BLOCK_BYTES);
    check_wanted_size(&format!("LUN {number} (nullio)"), size, block_bytes)?;
    let config = config(BackendKind::Nullio { size_bytes: size.bytes() }, mode, block_bytes);
    Ok(OpenedLun { config, disk: None, path: None, size, created: false })
}

fn open_path(path: &Path, request: &LunRequest, mode: cli::Mode) -> Result<OpenedLun, ServeError> {
    let read_only = mode == cli::Mode::Ro;
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return create(path, request, mode),
        Err(error) => return Err(file_error(path, "opened", read_only, error)),
    };
    let kind = backend_kind(path, &metadata, request.kind)?;
    let is_device = metadata.file_type().is_block_device();
    let direct = if kind == BackendKind::Blockio { libc::O_DIRECT } else { 0 };
    // On a block device O_EXCL means: only if no file system on it is mounted and nobody else has claimed it.
    let exclusive = if is_device && !read_only { libc::O_EXCL } else { 0 };
    let mut options = OpenOptions::new();
    options.read(true).write(!read_only).custom_flags(direct | exclusive);
    let mut file = options.open(path).map_err(|error| file_error(path, "opened", read_only, error))?;
    lock(path, &file, read_only)?;
    let geometry =
        geometry(&mut file, is_device, read_only).map_err(|error| file_error(path, "examined", read_only, error))?;
    let size = Size::of_bytes(geometry.size_bytes);
    let block_bytes = request.block_bytes.unwrap_or(geometry.logical_block_bytes);
    if block_bytes < geometry.logical_block_bytes {
        let device_bytes = geometry.logical_block_bytes;
        return Err(ServeError::BlockTooSmall { path: path.to_path_buf(), device_bytes, block_bytes });
    }
    if let Some(wanted) = request.size
        && wanted != size
    {
        return Err(ServeError::SizeDiffers { path: path.to_path_buf(), actual: size, wanted });
    }
    check_size(path, size, block_bytes)?;
    Ok(assemble(path, file, kind, mode, block_bytes, geometry, false))
}

/// Creates a sparse file of the asked size, and makes both it and its name durable.
fn create(path: &Path, request: &LunRequest, mode: cli::Mode) -> Result<OpenedLun, ServeError> {
    let Some(size) = request.size else { return Err(ServeError::Missing { path: path.to_path_buf() }) };
    if request.kind == Some(cli::Kind::Blockio) {
        return Err(ServeError::NotABlockDevice { path: path.to_path_buf() });
    }
    let block_bytes = request.block_bytes.unwrap_or(FILE_BLOCK_BYTES);
    check_wanted_size(&path.display().to_string(), size, block_bytes)?;
    let create = OpenOptions::new().read(true).write(true).create_new(true).open(path);
    let mut file = create.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ServeError::MissingDirectory { path: path.to_path_buf() },
        io::ErrorKind::PermissionDenied => ServeError::CreatePermission { path: path.to_path_buf() },
        _ => file_error(path, "created", false, error),
    })?;
    lock(path, &file, false)?;
    if let Err(error) = fill(path, &file, size) {
        // A file of the wrong size would only be in the way of the next attempt.
        let _ = std::fs::remove_file(path);
        return Err(file_error(path, "created", false, error));
    }
    let geometry = geometry(&mut file, false, mode == cli::Mode::Ro)
        .map_err(|error| file_error(path, "examined", false, error))?;
    Ok(assemble(path, file, BackendKind::Fileio, mode, block_bytes, geometry, true))
}

fn fill(path: &Path, file: &File, size: Size) -> io::Result<()> {
    file.set_len(size.bytes())?;
    file.sync_all()?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}

fn assemble(
    path: &Path,
    file: File,
    kind: BackendKind,
    mode: cli::Mode,
    block_bytes: u32,
    geometry: Geometry,
    created: bool,
) -> OpenedLun {
    OpenedLun {
        config: config(kind, mode, block_bytes),
        disk: Some(RealDisk::new(Arc::new(OwnedFd::from(file)), geometry)),
        path: Some(path.to_path_buf()),
        size: Size::of_bytes(geometry.size_bytes),
        created,
    }
}

fn config(backend: BackendKind, mode: cli::Mode, block_bytes: u32) -> LunConfig {
    let mode = match mode {
        cli::Mode::Wt => IoMode::WriteThrough,
        cli::Mode::Wb => IoMode::WriteBack,
        cli::Mode::Ro => IoMode::ReadOnly,
    };
    LunConfig { backend, mode, block_bytes, scsi_id: String::new(), serial: String::new() }
}

fn backend_kind(path: &Path, metadata: &Metadata, asked: Option<cli::Kind>) -> Result<BackendKind, ServeError> {
    let path = path.to_path_buf();
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(ServeError::Directory { path });
    }
    match (kind.is_block_device(), kind.is_file(), asked) {
        (true, _, Some(cli::Kind::Fileio)) | (_, true, None | Some(cli::Kind::Fileio)) => Ok(BackendKind::Fileio),
        (true, _, _) => Ok(BackendKind::Blockio),
        (_, true, _) => Err(ServeError::NotABlockDevice { path }),
        _ => Err(ServeError::WrongKind { path }),
    }
}

/// One writer, or any number of readers. The lock goes with the last descriptor, also after a crash.
fn lock(path: &Path, file: &File, read_only: bool) -> Result<(), ServeError> {
    let locked = if read_only { file.try_lock_shared() } else { file.try_lock() };
    match locked {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(ServeError::InUse { path: path.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(file_error(path, "locked", read_only, error)),
    }
}

fn geometry(file: &mut File, is_device: bool, read_only: bool) -> io::Result<Geometry> {
    if !is_device {
        let size_bytes = file.metadata()?.len();
        let physical_block_bytes = FILE_PHYSICAL_BLOCK_BYTES;
        return Ok(Geometry { size_bytes, logical_block_bytes: FILE_BLOCK_BYTES, physical_block_bytes, read_only });
    }
    let logical_block_bytes = rustix::fs::ioctl_blksszget(&*file)?;
    let physical_block_bytes = rustix::fs::ioctl_blkpbszget(&*file)?.max(logical_block_bytes);
    // A device has no length of its own, but its end can be found.
    let size_bytes = file.seek(SeekFrom::End(0))?;
    Ok(Geometry { size_bytes, logical_block_bytes, physical_block_bytes, read_only })
}

fn check_size(path: &Path, size: Size, block_bytes: u32) -> Result<(), ServeError> {
    let path = path.to_path_buf();
    if size.bytes() < u64::from(block_bytes) {
        return Err(ServeError::TooSmall { path, size });
    }
    if !size.bytes().is_multiple_of(u64::from(block_bytes)) {
        return Err(ServeError::Unaligned { path, size, block_bytes });
    }
    Ok(())
}

/// The size of something that is still to be made.
fn check_wanted_size(thing: &str, size: Size, block_bytes: u32) -> Result<(), ServeError> {
    if size.bytes() == 0 || !size.bytes().is_multiple_of(u64::from(block_bytes)) {
        return Err(ServeError::WrongSize { thing: thing.to_owned(), size, block_bytes });
    }
    Ok(())
}

fn file_error(path: &Path, action: &'static str, read_only: bool, source: io::Error) -> ServeError {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::PermissionDenied => ServeError::Permission { path, read_only },
        io::ErrorKind::ReadOnlyFilesystem => ServeError::ReadOnly { path },
        io::ErrorKind::ResourceBusy => ServeError::InUse { path },
        _ => ServeError::File { path, action, source },
    }
}

/// What a file can be addressed by.
const FILE_BLOCK_BYTES: u32 = 512;
/// A page of the cache: what smaller writes are rounded up to.
const FILE_PHYSICAL_BLOCK_BYTES: u32 = 4_096;
