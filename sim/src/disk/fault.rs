//! What goes wrong with a disk.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::network::NEVER;

const EINTR: i32 = 4;
const EIO: i32 = 5;
const EAGAIN: i32 = 11;
const ENOSPC: i32 = 28;

/// Which operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Reads.
    Read,
    /// Writes, durable or not.
    Write,
    /// Flushes.
    Flush,
}

/// One fault of a disk. Counts are of operations that it strikes; it ends when they are used up, or when the disk is
/// healed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum DiskFault {
    /// Nothing completes for a while (D1).
    Stall {
        /// How long, in microseconds.
        for_us: u64,
    },
    /// Everything takes this many times as long for a while (D1).
    Slow {
        /// How long, in microseconds.
        for_us: u64,
        /// How many times as long.
        times: u64,
    },
    /// Operations never complete (D3).
    Hang {
        /// Which.
        part: Part,
        /// How many.
        count: u64,
    },
    /// Reads that touch a range fail with EIO (D4).
    ReadError {
        /// First byte.
        offset_bytes: u64,
        /// Number of bytes.
        length_bytes: u64,
        /// How many.
        count: u64,
    },
    /// Writes fail with EIO (D5).
    WriteError {
        /// How many.
        count: u64,
        /// After some of their sectors have changed.
        partial: bool,
    },
    /// Write-backs fail: what a flush covered, or a durable write, is lost, and each open file description says so once,
    /// with EIO (D6).
    FlushError {
        /// How many.
        count: u64,
    },
    /// Flushes succeed, and what they covered is not durable (D9).
    FlushLie {
        /// How many.
        count: u64,
    },
    /// Writes to what was never written fail with ENOSPC for a while (D14).
    Full {
        /// How long, in microseconds.
        for_us: u64,
    },
    /// Transfers move a part of their bytes only (D13).
    Short {
        /// Reads or writes.
        part: Part,
        /// How many.
        count: u64,
    },
    /// Transfers are interrupted before they move anything (D13).
    Interrupted {
        /// Reads or writes.
        part: Part,
        /// How many.
        count: u64,
        /// With EAGAIN, not with EINTR.
        again: bool,
    },
    /// Reads find the end of the disk where it is not (D13).
    Ends {
        /// How many.
        count: u64,
    },
}

/// The faults that a disk has now.
#[derive(Default)]
pub(super) struct Faults {
    stalled_until: Duration,
    slow: Option<(Duration, u64)>,
    full_until: Duration,
    counted: Vec<DiskFault>,
}

/// What becomes of a write.
pub(super) enum Verdict {
    Works,
    Fails(io::Error),
    Tears(io::Error),
}

/// How much a transfer moves.
pub(super) enum Moves {
    All,
    Some,
    Nothing,
}

pub(super) fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

impl Faults {
    pub(super) fn add(&mut self, fault: DiskFault, now: Duration) {
        let until = |for_us| now.checked_add(Duration::from_micros(for_us)).unwrap_or(NEVER);
        match fault {
            DiskFault::Stall { for_us } => self.stalled_until = self.stalled_until.max(until(for_us)),
            DiskFault::Slow { for_us, times } => self.slow = Some((until(for_us), times.max(1))),
            DiskFault::Full { for_us } => self.full_until = self.full_until.max(until(for_us)),
            counted => self.counted.push(counted),
        }
    }

    pub(super) fn stalled_until(&self) -> Duration {
        self.stalled_until
    }

    pub(super) fn slowness(&self, now: Duration) -> u64 {
        self.slow.filter(|&(until, _)| now < until).map_or(1, |(_, times)| times)
    }

    pub(super) fn hangs(&mut self, part: Part) -> bool {
        self.strike(|fault| match fault {
            DiskFault::Hang { part: struck, count } if *struck == part => Some(count),
            _ => None,
        })
        .is_some()
    }

    /// What a read or a write moves.
    pub(super) fn moves(&mut self, part: Part) -> io::Result<Moves> {
        let struck = self.strike(|fault| match fault {
            DiskFault::Short { part: struck, count } | DiskFault::Interrupted { part: struck, count, .. }
                if *struck == part =>
            {
                Some(count)
            }
            DiskFault::Ends { count } if part == Part::Read => Some(count),
            _ => None,
        });
        match struck {
            Some(DiskFault::Short { .. }) => Ok(Moves::Some),
            Some(DiskFault::Ends { .. }) => Ok(Moves::Nothing),
            Some(DiskFault::Interrupted { again, .. }) => {
                Err(io::Error::from_raw_os_error(if again { EAGAIN } else { EINTR }))
            }
            _ => Ok(Moves::All),
        }
    }

    pub(super) fn read(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let struck = self.strike(|fault| match fault {
            DiskFault::ReadError { offset_bytes, length_bytes, count }
                if offset < *offset_bytes + *length_bytes && *offset_bytes < offset + length =>
            {
                Some(count)
            }
            _ => None,
        });
        struck.map_or(Ok(()), |_| Err(input_output_error()))
    }

    /// `sparse` tells whether the write needs space that the disk has not got yet.
    pub(super) fn write(&mut self, now: Duration, sparse: impl FnOnce() -> bool) -> Verdict {
        if now < self.full_until && sparse() {
            return Verdict::Fails(io::Error::from_raw_os_error(ENOSPC));
        }
        match self.strike(|fault| match fault {
            DiskFault::WriteError { count, .. } => Some(count),
            _ => None,
        }) {
            Some(DiskFault::WriteError { partial: true, .. }) => Verdict::Tears(input_output_error()),
            Some(_) => Verdict::Fails(input_output_error()),
            None => Verdict::Works,
        }
    }

    pub(super) fn write_back_fails(&mut self) -> bool {
        self.strike(|fault| match fault {
            DiskFault::FlushError { count } => Some(count),
            _ => None,
        })
        .is_some()
    }

    pub(super) fn flush_lies(&mut self) -> bool {
        self.strike(|fault| match fault {
            DiskFault::FlushLie { count } => Some(count),
            _ => None,
        })
        .is_some()
    }

    /// The first fault of which `count` gives the counter strikes, and has one stroke less.
    fn strike(&mut self, mut count: impl FnMut(&mut DiskFault) -> Option<&mut u64>) -> Option<DiskFault> {
        let index = self.counted.iter_mut().position(|fault| count(fault).is_some())?;
        let fault = self.counted[index];
        let left = count(&mut self.counted[index])?;
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.counted.remove(index);
        }
        Some(fault)
    }
}
