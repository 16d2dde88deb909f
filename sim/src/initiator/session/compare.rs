//! VERIFY with data is a READ in disguise: GOOD says that the blocks are what was sent, and MISCOMPARE where they begin to
//! differ (SBC-3, section 5.32). Both go into the history as what was seen.

use super::super::shared::information;
use crate::history::{OpId, Outcome, Sector, stamp};

/// More sectors than these of one command are not remembered.
const SEEN_MAX: usize = 128;
/// A stamp repeats this often: what agrees with it for so long has it.
const STAMP_BYTES: usize = 32;

/// What a READ or WRITE moved that ended GOOD: the blocks may hold it still.
pub(super) struct Seen {
    lba: u64,
    sectors: Vec<Sector>,
}

impl Seen {
    /// A READ of blocks from `lba` on.
    pub(super) fn read(lba: u64, sectors: &[Sector]) -> Self {
        Self { lba, sectors: sectors[..sectors.len().min(SEEN_MAX)].to_vec() }
    }

    /// A WRITE of so many sectors from block `lba` on.
    pub(super) fn written(lba: u64, sectors: u64, op: OpId) -> Self {
        Self { lba, sectors: vec![Sector::Written(op); SEEN_MAX.min(sectors as usize)] }
    }
}

/// What a VERIFY compares.
pub(super) struct Comparison {
    lba: u64,
    blocks: u32,
    /// First sector on the medium.
    first: u64,
    /// What is compared with each sector, but for the planned difference.
    sectors: Vec<Sector>,
    /// Sectors of data that are sent.
    sent: usize,
    /// Which byte of the data differs by plan.
    differs: Option<usize>,
}

impl Comparison {
    /// Of blocks of a logical unit with (block length in bytes, blocks).
    pub(super) fn new(
        seen: Option<&Seen>,
        (block_bytes, unit_blocks): (u32, u64),
        blocks: u32,
        one_block: bool,
        differs: Option<u32>,
    ) -> Self {
        let per_block = block_bytes as usize / stamp::SECTOR_BYTES;
        let seen = seen.filter(|seen| seen.sectors.len() >= per_block);
        let (lba, mut sectors) =
            seen.map_or_else(|| (0, vec![Sector::Zero; per_block]), |seen| (seen.lba, seen.sectors.clone()));
        let blocks = blocks.max(1);
        sectors.truncate(if one_block { per_block } else { per_block * blocks as usize });
        // What nobody can stamp again (a misdirected read saw another place) is not sent again: zeros are.
        let sent_as = |sector: &mut Sector| {
            if !matches!(sector, Sector::Written(_)) {
                *sector = Sector::Zero;
            }
        };
        sectors.iter_mut().for_each(sent_as);
        let sent = sectors.len() / per_block * per_block;
        sectors.truncate(sent);
        let blocks = if one_block {
            let blocks = blocks.min((unit_blocks - lba).min(u64::from(u32::MAX)) as u32);
            // Elsewhere, the stamps of the first block are those of another place.
            let elsewhere = |sector: Sector| if sector == Sector::Zero { sector } else { Sector::Foreign };
            let again: Vec<Sector> = sectors.iter().copied().map(elsewhere).collect();
            (1..blocks).for_each(|_| sectors.extend_from_slice(&again));
            blocks
        } else {
            (sent / per_block) as u32
        };
        // The first stamp of its sector stays whole.
        let sector_bytes = stamp::SECTOR_BYTES;
        let place = |at: usize| at / sector_bytes * sector_bytes + STAMP_BYTES + at % (sector_bytes - STAMP_BYTES);
        let differs = differs.map(|at| place(at as usize % (sent * sector_bytes)));
        Self { lba, blocks, first: lba * per_block as u64, sectors, sent, differs }
    }

    /// First block and number of blocks.
    pub(super) fn range(&self) -> (u64, u32) {
        (self.lba, self.blocks)
    }

    /// The data to send.
    pub(super) fn data(&self, seed: u64, lun: u16) -> Vec<u8> {
        let mut data = vec![0; self.sent * stamp::SECTOR_BYTES];
        for ((number, sector), held) in
            (self.first..).zip(data.chunks_exact_mut(stamp::SECTOR_BYTES)).zip(&self.sectors)
        {
            if let Sector::Written(op) = *held {
                stamp::write(sector, seed, lun, number, op);
            }
        }
        if let Some(at) = self.differs {
            data[at] ^= 0x55;
        }
        data
    }

    /// The blocks were found to be what was sent: what they hold.
    pub(super) fn equal(&self) -> Vec<Sector> {
        let changed = self.differs.map(|at| at / stamp::SECTOR_BYTES);
        let sectors = self.sectors.iter().enumerate();
        sectors.map(|(at, held)| if Some(at % self.sent) == changed { Sector::Garbage } else { *held }).collect()
    }

    /// They were not: what they hold as far as they agree, by the sense data of MISCOMPARE.
    ///
    /// # Errors
    /// The sense data do not say where, or say a place that was not compared.
    pub(super) fn unequal(&self, sense: &[u8]) -> Result<Outcome, String> {
        let Some(offset) = information(sense).map(|offset| offset as usize) else {
            return Err("MISCOMPARE does not say where".to_owned());
        };
        let (sector, within) = (offset / stamp::SECTOR_BYTES, offset % stamp::SECTOR_BYTES);
        let Some(&held) = self.sectors.get(sector) else {
            return Err(format!("MISCOMPARE at byte {offset}, and {} blocks were compared", self.blocks));
        };
        let mut seen = self.equal();
        seen.truncate(sector);
        let unlike = if self.differs == Some(offset) {
            seen.push(held);
            None
        } else if within >= STAMP_BYTES {
            seen.push(Sector::Garbage);
            None
        } else {
            Some(held)
        };
        Ok(Outcome::Miscompare { sectors: seen, unlike })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miscompare(offset: u32) -> Vec<u8> {
        let mut sense = vec![0; 18];
        (sense[0], sense[2]) = (0xf0, 0x0e);
        sense[3..7].copy_from_slice(&offset.to_be_bytes());
        sense
    }

    #[test]
    fn difference_tells_what_the_sectors_before_it_hold() {
        let (old, zero) = (Sector::Written(OpId(4)), Sector::Zero);
        let seen = Seen::read(8, &[old, zero, old, old]);
        let exact = Comparison::new(Some(&seen), (512, 64), 3, false, None);
        assert_eq!((exact.range(), exact.data(1, 0).len()), ((8, 3), 1_536));
        assert_eq!(exact.equal(), [old, zero, old]);
        let told = |sectors: &[Sector], unlike| Ok(Outcome::Miscompare { sectors: sectors.to_vec(), unlike });
        assert_eq!(exact.unequal(&miscompare(512)), told(&[old], Some(zero)));
        assert_eq!(exact.unequal(&miscompare(1_100)), told(&[old, zero, Sector::Garbage], None));
        assert!(exact.unequal(&miscompare(1_536)).is_err());
        assert!(exact.unequal(&[0x70; 18]).is_err(), "VALID is not set");
    }

    #[test]
    fn planned_difference_shows_that_the_rest_agrees() {
        let old = Sector::Written(OpId(4));
        let planned = Comparison::new(Some(&Seen::written(8, 2, OpId(4))), (512, 64), 2, false, Some(512));
        let plain = Comparison::new(Some(&Seen::written(8, 2, OpId(4))), (512, 64), 2, false, None);
        let differs = plain.data(1, 0).iter().zip(planned.data(1, 0)).position(|(one, other)| *one != other);
        assert_eq!(differs, Some(576), "past the stamp of the second sector");
        let told = Outcome::Miscompare { sectors: vec![old, old], unlike: None };
        assert_eq!(planned.unequal(&miscompare(576)), Ok(told));
        assert_eq!(planned.equal(), [old, Sector::Garbage]);
    }

    /// After a misdirected read, a VERIFY sent zeros for the stamps of another place, found some, and said that they were
    /// those stamps: B4 on sectors that were as they should be (seed 0xb00d9c).
    #[test]
    fn stamps_of_another_place_are_compared_as_the_zeros_that_are_sent() {
        let seen = Seen::read(8, &[Sector::Foreign, Sector::Garbage, Sector::Written(OpId(4))]);
        let comparison = Comparison::new(Some(&seen), (512, 64), 3, false, None);
        assert_eq!(comparison.data(1, 0)[..1_024], [0; 1_024]);
        let told = Outcome::Miscompare { sectors: vec![Sector::Zero], unlike: Some(Sector::Zero) };
        assert_eq!(comparison.unequal(&miscompare(512)), Ok(told));
        assert_eq!(comparison.equal(), [Sector::Zero, Sector::Zero, Sector::Written(OpId(4))]);
    }

    #[test]
    fn one_block_for_all_is_foreign_past_the_first() {
        let old = Sector::Written(OpId(4));
        let comparison = Comparison::new(Some(&Seen::written(62, 2, OpId(4))), (512, 64), 9, true, None);
        assert_eq!((comparison.range(), comparison.data(1, 0).len()), ((62, 2), 512));
        assert_eq!(comparison.equal(), [old, Sector::Foreign]);
        assert_eq!(Comparison::new(None, (4_096, 64), 2, true, None).equal(), [Sector::Zero; 16]);
    }
}
