//! What goes wrong with a disk.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::network::NEVER;

const EINTR: i32 = 4;
const EIO: i32 = 5;
const ENXIO: i32 = 6;
const EAGAIN: i32 = 11;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

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
    /// Transfers go to another place: right data, wrong address (D10).
    Misdirected {
        /// Reads or writes.
        part: Part,
        /// How many.
        count: u64,
        /// How far away, in bytes: whole units of what the disk writes atomically, around its end.
        distance_bytes: u64,
    },
    /// Writes succeed, and change nothing (D11).
    LostWrite {
        /// How many.
        count: u64,
    },
    /// Bits of what is stored flip, now (D12).
    Rot {
        /// First byte.
        offset_bytes: u64,
        /// Number of bytes.
        length_bytes: u64,
        /// How many bits.
        bits: u64,
    },
    /// The device is not there for a while: everything fails with ENXIO, and a flush loses what it was to cover (D15).
    Gone {
        /// How long, in microseconds.
        for_us: u64,
    },
    /// The disk is shorter for a while, and what was behind its end is lost. A file grows again with what is written
    /// behind its end, a device finds no space there (D15, D16).
    Truncated {
        /// Its size, in bytes.
        size_bytes: u64,
        /// How long, in microseconds.
        for_us: u64,
    },
    /// The file system became read-only: for a while, writes and flushes fail with EROFS, and what was to be flushed is
    /// lost (D17).
    ReadOnly {
        /// How long, in microseconds.
        for_us: u64,
    },
    /// The next write of more than one unit moves its first ones only, and behind them the disk is read-only, or gone, for
    /// a while (D13 with D15 or D17).
    Breaks {
        /// How long, in microseconds.
        for_us: u64,
        /// Gone, not read-only.
        gone: bool,
    },
}

pub(super) fn no_space() -> io::Error {
    io::Error::from_raw_os_error(ENOSPC)
}

/// The faults that a disk has now.
#[derive(Default)]
pub(super) struct Faults {
    stalled_until: Duration,
    slow: Option<(Duration, u64)>,
    full_until: Duration,
    gone_until: Duration,
    read_only_until: Duration,
    /// Until when the disk ends where.
    end: Option<(Duration, u64)>,
    counted: Vec<DiskFault>,
}

/// What becomes of a write.
pub(super) enum Verdict {
    Works,
    Fails(io::Error),
    Tears(io::Error),
}

/// Where a transfer goes.
pub(super) enum Aim {
    Right,
    /// So many bytes away.
    Astray(u64),
    Nowhere,
}

/// How much a transfer moves.
pub(super) enum Moves {
    All,
    /// Some units, and all of them once in a while.
    Some,
    /// Some units, and not all.
    Begins,
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
            DiskFault::Gone { for_us } => self.gone_until = self.gone_until.max(until(for_us)),
            DiskFault::ReadOnly { for_us } => self.read_only_until = self.read_only_until.max(until(for_us)),
            DiskFault::Truncated { size_bytes, for_us } => self.end = Some((until(for_us), size_bytes)),
            // It has happened.
            DiskFault::Rot { .. } => {}
            counted => self.counted.push(counted),
        }
    }

    pub(super) fn stalled_until(&self) -> Duration {
        self.stalled_until
    }

    pub(super) fn slowness(&self, now: Duration) -> u64 {
        self.slow.filter(|&(until, _)| now < until).map_or(1, |(_, times)| times)
    }

    /// The device does not take such an operation now.
    pub(super) fn refuses(&self, part: Part, now: Duration) -> io::Result<()> {
        let errno = match part {
            _ if now < self.gone_until => ENXIO,
            Part::Write | Part::Flush if now < self.read_only_until => EROFS,
            _ => return Ok(()),
        };
        Err(io::Error::from_raw_os_error(errno))
    }

    /// Where the disk ends, if that is not where it should.
    pub(super) fn end(&self, now: Duration) -> Option<u64> {
        self.end.filter(|&(until, _)| now < until).map(|(_, end)| end)
    }

    /// A file grows to `end` bytes.
    pub(super) fn grow(&mut self, end: u64) {
        if let Some((_, old)) = &mut self.end {
            *old = end.max(*old);
        }
    }

    pub(super) fn aim(&mut self, part: Part) -> Aim {
        let struck = self.strike(|fault| match fault {
            DiskFault::Misdirected { part: struck, count, .. } if *struck == part => Some(count),
            DiskFault::LostWrite { count } if part == Part::Write => Some(count),
            _ => None,
        });
        match struck {
            Some(DiskFault::Misdirected { distance_bytes, .. }) => Aim::Astray(distance_bytes),
            Some(_) => Aim::Nowhere,
            None => Aim::Right,
        }
    }

    pub(super) fn hangs(&mut self, part: Part) -> bool {
        self.strike(|fault| match fault {
            DiskFault::Hang { part: struck, count } if *struck == part => Some(count),
            _ => None,
        })
        .is_some()
    }

    /// What a read or a write moves; a `divisible` one is more than one unit long.
    pub(super) fn moves(&mut self, part: Part, divisible: bool, now: Duration) -> io::Result<Moves> {
        let breaks = |fault: &DiskFault| matches!(fault, DiskFault::Breaks { .. });
        if part == Part::Write
            && divisible
            && let Some(index) = self.counted.iter().position(breaks)
        {
            if let DiskFault::Breaks { for_us, gone } = self.counted.remove(index) {
                self.add(if gone { DiskFault::Gone { for_us } } else { DiskFault::ReadOnly { for_us } }, now);
            }
            return Ok(Moves::Begins);
        }
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
            return Verdict::Fails(no_space());
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
