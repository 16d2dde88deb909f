//! The stamp that every 512-byte sector carries: who wrote it, and where it belongs.

use super::{OpId, Sector};

/// Bytes of a stamped sector.
pub const SECTOR_BYTES: usize = 512;
const MAGIC: u32 = 0x514e_544e;

/// Bytes of a stamp.
const STAMP_BYTES: usize = 32;

/// Fills `sector` (512 bytes) with the stamp of `op` at `sector_number` of `lun`, repeated to the end: a sector that
/// is torn inside, or mixed from two writes, is not sound.
///
/// # Panics
/// When `sector` is not 512 bytes long.
pub fn write(sector: &mut [u8], seed: u64, lun: u16, sector_number: u64, op: OpId) {
    assert_eq!(sector.len(), SECTOR_BYTES);
    let stamp = stamp(seed, lun, sector_number, op);
    for part in sector.chunks_exact_mut(STAMP_BYTES) {
        part.copy_from_slice(&stamp);
    }
}

/// What `sector` holds.
///
/// # Panics
/// When `sector` is not 512 bytes long.
#[must_use]
pub fn read(sector: &[u8], seed: u64, lun: u16, sector_number: u64) -> Sector {
    assert_eq!(sector.len(), SECTOR_BYTES);
    // Each part but the first is the one before it.
    if sector[STAMP_BYTES..] != sector[..SECTOR_BYTES - STAMP_BYTES] {
        return Sector::Garbage;
    }
    let found = &sector[..STAMP_BYTES];
    if found == [0; STAMP_BYTES] {
        return Sector::Zero;
    }
    let u32_at = |at: usize| u32::from_le_bytes([found[at], found[at + 1], found[at + 2], found[at + 3]]);
    let op = OpId(u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32);
    if found == stamp(seed, lun, sector_number, op) {
        return Sector::Written(op);
    }
    let sound = u32_at(0) == MAGIC && u32_at(28) == crc32c::crc32c(&found[..28]);
    if sound { Sector::Foreign } else { Sector::Garbage }
}

fn stamp(seed: u64, lun: u16, sector_number: u64, op: OpId) -> [u8; STAMP_BYTES] {
    let mut stamp = [0; STAMP_BYTES];
    stamp[..4].copy_from_slice(&MAGIC.to_le_bytes());
    stamp[4..6].copy_from_slice(&lun.to_le_bytes());
    stamp[8..16].copy_from_slice(&sector_number.to_le_bytes());
    stamp[16..24].copy_from_slice(&op.0.to_le_bytes());
    stamp[24..28].copy_from_slice(&(seed as u32 ^ (seed >> 32) as u32).to_le_bytes());
    let check = crc32c::crc32c(&stamp[..28]);
    stamp[28..].copy_from_slice(&check.to_le_bytes());
    stamp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_names_its_write_and_its_place() {
        let mut sector = [0; SECTOR_BYTES];
        assert_eq!(read(&sector, 9, 1, 77), Sector::Zero);
        write(&mut sector, 9, 1, 77, OpId(5));
        assert_eq!(read(&sector, 9, 1, 77), Sector::Written(OpId(5)));
        assert_eq!(read(&sector, 9, 2, 77), Sector::Foreign);
        assert_eq!(read(&sector, 9, 1, 78), Sector::Foreign);
        assert_eq!(read(&sector, 8, 1, 77), Sector::Foreign);
        sector[300] ^= 1;
        assert_eq!(read(&sector, 9, 1, 77), Sector::Garbage);
    }
}
