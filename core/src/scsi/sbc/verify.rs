//! VERIFY (10), (12) and (16) (SBC-3, sections 5.31 to 5.33).

use std::rc::Rc;

use super::range::checked_range;
use super::{buffer, read_failure};
use crate::env::Runtime;
use crate::logical_unit::LogicalUnit;
use crate::scsi::DataIn;
use crate::scsi::cdb::{Access, ByteCheck, Cdb};
use crate::scsi::dispatch::Answer;
use crate::task::sense::Sense;

/// Reads the blocks and compares them as BYTCHK says. A difference is reported with its offset in bytes from the
/// first verified block.
pub(in crate::scsi) async fn verify<R: Runtime>(
    unit: &Rc<LogicalUnit<R>>,
    cdb: &Cdb,
    data_out: Option<R::Buf>,
) -> Answer<R::Buf> {
    let byte_check = cdb.byte_check().ok_or_else(|| Sense::invalid_bit(1, 2))?;
    let range = checked_range(unit, Access::Verify, cdb)?;
    if range.length_bytes == 0 {
        return Ok(DataIn::None);
    }
    let expected = data_out.as_ref().map_or(&[][..], AsRef::as_ref);
    let expected_bytes = match byte_check {
        ByteCheck::Medium => 0,
        ByteCheck::Blocks => range.length_bytes,
        ByteCheck::OneBlock => unit.block_bytes() as usize,
    };
    if expected.len() < expected_bytes {
        return Err(Sense::DATA_TOO_SHORT.into());
    }
    let buf = buffer(unit, range.length_bytes)?;
    let stored = unit.medium().read(range.offset_bytes, buf).await.map_err(|error| read_failure(error, range.lba))?;
    match first_difference(stored.as_ref(), &expected[..expected_bytes]) {
        Some(offset) => Err(Sense::miscompare(offset as u64).into()),
        None => Ok(DataIn::None),
    }
}

/// Where `stored` first differs from repetitions of `expected`. Nothing differs from nothing.
fn first_difference(stored: &[u8], expected: &[u8]) -> Option<usize> {
    if expected.is_empty() {
        return None;
    }
    let parts = stored.chunks(expected.len()).enumerate();
    parts.filter(|(_, part)| *part != &expected[..part.len()]).find_map(|(number, part)| {
        let within = part.iter().zip(expected).position(|(stored, expected)| stored != expected)?;
        Some(number * expected.len() + within)
    })
}
