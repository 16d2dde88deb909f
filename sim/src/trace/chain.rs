//! The hash of a trace.

use std::hash::Hasher;

/// Two lanes of multiply and rotate, fed to each other: not for secrets, good against chance.
#[derive(Clone, Copy, Default)]
pub(super) struct Chain {
    low: u64,
    high: u64,
}

impl Chain {
    pub(super) fn value(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

impl Hasher for Chain {
    fn finish(&self) -> u64 {
        self.low ^ self.high
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
        self.write_u64(bytes.len() as u64);
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = u128::from(self.low ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        self.low = (mixed as u64).rotate_left(29) ^ self.high;
        self.high = (self.high.rotate_left(17) ^ (mixed >> 64) as u64)
            .wrapping_add(word | 1)
            .wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}
