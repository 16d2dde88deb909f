//! Histories in one line for each event.

use crate::history::{Action, Event, History, Nexus, OpId, Outcome, Sector, Unit};

/// With a volatile write cache, blocks of 512 bytes.
pub(crate) const CACHED: u16 = 0;
/// With a volatile write cache, blocks of 4,096 bytes.
pub(crate) const LARGE: u16 = 1;
/// Without a write cache, blocks of 512 bytes.
pub(crate) const THROUGH: u16 = 2;
/// Stores nothing.
pub(crate) const NULLIO: u16 = 3;
/// Read-only.
pub(crate) const PROTECTED: u16 = 4;

/// A history that is being written.
#[derive(Default, Debug)]
pub(crate) struct Story {
    events: Vec<Event>,
    lun: u16,
}

/// A sector that the write `op` wrote.
pub(crate) fn by(op: u64) -> Sector {
    Sector::Written(OpId(op))
}

impl Story {
    /// On this logical unit until another is named; [`CACHED`] at first.
    pub(crate) fn on(mut self, lun: u16) -> Self {
        self.lun = lun;
        self
    }

    /// Any event.
    pub(crate) fn event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    fn send(self, op: u64, action: Action) -> Self {
        let nexus = Nexus { initiator: 0, login: 1 };
        let lun = self.lun;
        self.event(Event::Invoke { op: OpId(op), nexus, lun, action })
    }

    /// A WRITE of one block is sent.
    pub(crate) fn write(self, op: u64, lba: u64) -> Self {
        self.send(op, Action::Write { lba, blocks: 1, fua: false })
    }

    /// A WRITE of several blocks is sent.
    pub(crate) fn write_blocks(self, op: u64, lba: u64, blocks: u32) -> Self {
        self.send(op, Action::Write { lba, blocks, fua: false })
    }

    /// A WRITE of one block with FUA is sent.
    pub(crate) fn write_fua(self, op: u64, lba: u64) -> Self {
        self.send(op, Action::Write { lba, blocks: 1, fua: true })
    }

    /// A READ of one block is sent.
    pub(crate) fn read(self, op: u64, lba: u64) -> Self {
        self.send(op, Action::Read { lba, blocks: 1 })
    }

    /// A SYNCHRONIZE CACHE is sent; zero `blocks` reach to the end.
    pub(crate) fn sync(self, op: u64, lba: u64, blocks: u32) -> Self {
        self.send(op, Action::Synchronize { lba, blocks, immediate: false })
    }

    /// A SYNCHRONIZE CACHE with IMMED is sent.
    pub(crate) fn sync_immediate(self, op: u64) -> Self {
        self.send(op, Action::Synchronize { lba: 0, blocks: 0, immediate: true })
    }

    fn ended(self, op: u64, outcome: Outcome) -> Self {
        self.event(Event::Return { op: OpId(op), outcome })
    }

    /// GOOD without data.
    pub(crate) fn good(self, op: u64) -> Self {
        self.saw(op, &[])
    }

    /// GOOD with these sectors.
    pub(crate) fn saw(self, op: u64, sectors: &[Sector]) -> Self {
        self.ended(op, Outcome::Good { sectors: sectors.to_vec() })
    }

    /// CHECK CONDITION, MEDIUM ERROR.
    pub(crate) fn failed(self, op: u64) -> Self {
        self.ended(op, Outcome::Check { key: 3, code: 0x0c00 })
    }

    /// CHECK CONDITION, UNIT ATTENTION.
    pub(crate) fn attention(self, op: u64) -> Self {
        self.ended(op, Outcome::Check { key: 6, code: 0x2900 })
    }

    /// CHECK CONDITION, MISCOMPARE behind these sectors.
    pub(crate) fn differs(self, op: u64, sectors: &[Sector], unlike: Option<Sector>) -> Self {
        self.ended(op, Outcome::Miscompare { sectors: sectors.to_vec(), unlike })
    }

    /// CHECK CONDITION, NOT READY: it was stopped.
    pub(crate) fn not_ready(self, op: u64) -> Self {
        self.ended(op, Outcome::Check { key: 2, code: 0x0402 })
    }

    /// CHECK CONDITION, DATA PROTECT: it is read-only.
    pub(crate) fn refused(self, op: u64) -> Self {
        self.ended(op, Outcome::Check { key: 7, code: 0x2700 })
    }

    /// START STOP UNIT is sent to stop, and flushes.
    pub(crate) fn spin_down(self, op: u64) -> Self {
        self.send(op, Action::StartStop { start: false, flushes: true })
    }

    /// START STOP UNIT is sent to start.
    pub(crate) fn spin_up(self, op: u64) -> Self {
        self.send(op, Action::StartStop { start: true, flushes: false })
    }

    /// BUSY.
    pub(crate) fn busy(self, op: u64) -> Self {
        self.ended(op, Outcome::Refused { status: 8 })
    }

    /// WRITE with its GOOD.
    pub(crate) fn wrote(self, op: u64, lba: u64) -> Self {
        self.write(op, lba).good(op)
    }

    /// READ with what it saw, one sector.
    pub(crate) fn looked(self, op: u64, lba: u64, sector: Sector) -> Self {
        self.read(op, lba).saw(op, &[sector])
    }

    /// SYNCHRONIZE CACHE of everything with its GOOD.
    pub(crate) fn synced(self, op: u64) -> Self {
        self.sync(op, 0, 0).good(op)
    }

    /// The command is fenced.
    pub(crate) fn fence(self, op: u64) -> Self {
        self.event(Event::Fence { op: OpId(op) })
    }

    /// Power is lost and comes back.
    pub(crate) fn power_cycle(self) -> Self {
        self.event(Event::PowerLoss).event(Event::Restart)
    }

    /// The process dies and is started again.
    pub(crate) fn crash(self) -> Self {
        self.event(Event::Crash).event(Event::Restart)
    }

    /// A clean stop.
    pub(crate) fn stop(self) -> Self {
        self.event(Event::CleanStop)
    }

    /// A flush fails.
    pub(crate) fn flush_failed(self) -> Self {
        let lun = self.lun;
        self.event(Event::FlushFailed { lun })
    }

    /// The block may hold anything.
    pub(crate) fn taint(self, lba: u64) -> Self {
        let lun = self.lun;
        self.event(Event::Taint { lun, offset_bytes: lba * 512, length_bytes: 512 })
    }

    /// The whole history.
    pub(crate) fn history(&self) -> History {
        let unit = |lun, block_bytes, write_cache, nullio| Unit {
            lun,
            block_bytes,
            blocks: 64,
            write_cache,
            nullio,
            read_only: lun == PROTECTED,
        };
        History {
            units: vec![
                unit(CACHED, 512, true, false),
                unit(LARGE, 4_096, true, false),
                unit(THROUGH, 512, false, false),
                unit(NULLIO, 512, false, true),
                unit(PROTECTED, 512, false, false),
            ],
            events: self.events.clone(),
        }
    }
}
