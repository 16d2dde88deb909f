//! What an operator can have got wrong: the thing, the cause and the cure, in one message.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use quintain_core::target::ConfigError;

use crate::size::Size;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// No file, no device, no nullio.
    #[error("there is nothing to serve; name a file or a block device, or use --type nullio --size 1GiB")]
    Nothing,
    /// A first logical unit is described by options, but its path is not there.
    #[error("LUN {number} has no path; write --lun PATH,key=value,... or give it type=nullio,size=1GiB")]
    NoPath {
        /// The logical unit.
        number: u16,
    },
    /// The file is not there and nobody said how large it should be.
    #[error("{} does not exist; correct the path, or add --size 1GiB (size=1GiB in --lun) to create a sparse file", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The directory in which the file would be created is not there.
    #[error("{} cannot be created: its directory does not exist; create the directory first", path.display())]
    MissingDirectory {
        /// The file.
        path: PathBuf,
    },
    /// It is a directory.
    #[error("{} is a directory; name a file in it, for example {}", path.display(), path.join("disk.img").display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// It is a pipe, a socket or a character device.
    #[error("{} is neither a file nor a block device; name one of these", path.display())]
    WrongKind {
        /// What it is.
        path: PathBuf,
    },
    /// `blockio` was asked for, but it is a file.
    #[error("{} is a file, not a block device; use --type fileio, or leave --type out", path.display())]
    NotABlockDevice {
        /// The file.
        path: PathBuf,
    },
    /// The kernel says no.
    #[error("no permission to open {}; run as a user who may read and write it, or change its owner or mode{}", path.display(), if *.read_only { "" } else { "; --mode ro only needs to read it" })]
    Permission {
        /// The file.
        path: PathBuf,
        /// Reading would have been enough.
        read_only: bool,
    },
    /// The kernel says no to a new file.
    #[error(
        "no permission to create {}; run as a user who may write to its directory, or let one create it (truncate \
         --size)",
        path.display()
    )]
    CreatePermission {
        /// The file.
        path: PathBuf,
    },
    /// The file system is mounted read-only, or the file is immutable.
    #[error("{} cannot be written (read-only file system or device); serve it with --mode ro", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else has it.
    #[error(
        "{} is in use by another process (a second quintain, or a mounted file system); stop that one first",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Two logical units of one command line are the same file.
    #[error("{} is named twice, as LUN {first} and LUN {second}; give each logical unit a file of its own", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// Where it was named first.
        first: u16,
        /// Where it was named again.
        second: u16,
    },
    /// The file is there with another size.
    #[error(
        "{} has {actual}, but --size says {wanted}; leave --size out to serve it as it is{}",
        path.display(), if actual.bytes() < wanted.bytes() { ", or grow it first (truncate --size)" } else { "" }
    )]
    SizeDiffers {
        /// The file.
        path: PathBuf,
        /// Its size.
        actual: Size,
        /// What the command line says.
        wanted: Size,
    },
    /// It has no bytes, or fewer than a block.
    #[error("{} has {size}, less than one block; make it larger (truncate --size), or remove it and create it with --size 1GiB", path.display())]
    TooSmall {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: Size,
    },
    /// A disk cannot get the size that the command line says.
    #[error(
        "{thing} cannot get {} bytes: a disk has a whole number of {block_bytes}-byte blocks, at least one; \
         choose another --size, like 1GiB", size.bytes()
    )]
    WrongSize {
        /// The file to be created, or the logical unit.
        thing: String,
        /// What the command line says.
        size: Size,
        /// The block size.
        block_bytes: u32,
    },
    /// Its size is not a whole number of blocks.
    #[error(
        "the size of {} is {} bytes, not a multiple of its {block_bytes}-byte blocks; {}", path.display(), size.bytes(),
        if *.block_bytes > 512 && size.bytes() % 512 == 0 { "use --block-size 512" } else { "round it (truncate --size), or choose another --size" }
    )]
    Unaligned {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: Size,
        /// The block size.
        block_bytes: u32,
    },
    /// The device's own blocks are larger.
    #[error("{} has {device_bytes}-byte blocks and cannot serve {block_bytes}-byte ones; use --block-size {device_bytes}", path.display())]
    BlockTooSmall {
        /// The device.
        path: PathBuf,
        /// The device's logical blocks.
        device_bytes: u32,
        /// What was asked for.
        block_bytes: u32,
    },
    /// Nullio without a size.
    #[error("LUN {number} is of type nullio and has no size; add --size 1GiB (or size=1GiB in --lun)")]
    NullioWithoutSize {
        /// The logical unit.
        number: u16,
    },
    /// Nullio with a path, whose content the operator would expect to be served.
    #[error("LUN {number} is of type nullio, which stores nothing, but names {}; drop the path or the type", path.display())]
    NullioWithPath {
        /// The logical unit.
        number: u16,
        /// The path.
        path: PathBuf,
    },
    /// Two logical units have one number.
    #[error("LUN {number} is defined twice; give each logical unit a number of its own with lun=N")]
    NumberTwice {
        /// The number.
        number: u16,
    },
    /// An option of the first logical unit without a first logical unit.
    #[error("--{option} describes the disk named by PATH, but there is no PATH; put it into --lun as key=value")]
    OptionWithoutPath {
        /// The option.
        option: &'static str,
    },
    /// Anything else that the kernel says about a file.
    #[error("{} cannot be {action}: {source}; check the path, the file system and its free space", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody listens there.
    #[error("address {address} is in use by another process; stop that one, or choose another port with --listen")]
    AddressInUse {
        /// The address.
        address: SocketAddr,
    },
    /// Two addresses of one command line are the same, or one of them is all addresses.
    #[error("address {second} is a part of {first}, which is listened on already; give --listen only one of them")]
    AddressTwice {
        /// What was named first.
        first: SocketAddr,
        /// What was named again.
        second: SocketAddr,
    },
    /// It is no address of this machine.
    #[error("address {address} does not belong to this machine; see `ip address`, or use 0.0.0.0 or [::] for all")]
    AddressNotOurs {
        /// The address.
        address: SocketAddr,
    },
    /// Ports below 1,024 are for root.
    #[error("no permission to listen on {address}; use a port from 1024 on (iSCSI's own is 3260), or run as root")]
    AddressPermission {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else that the kernel says about an address.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel gives no ring.
    #[error(
        "io_uring cannot be used: {source}; Quintain needs Linux 6.1 or newer, with /proc/sys/kernel/io_uring_disabled \
         at 0 and no container profile that forbids it"
    )]
    Ring {
        /// What the kernel said.
        source: io::Error,
    },
    /// No thread, no descriptor.
    #[error("the daemon cannot start: {source}; check the limits on processes and open files (ulimit -u, ulimit -n)")]
    Resources {
        /// What the kernel said.
        source: io::Error,
    },
    /// The core refuses the configuration.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
}
