//! What a disk of this target supports, as the initiators know it, and the answers that tell of it (SPC-4, sections 6.35
//! and 6.36).

use super::super::cdb;

/// A command that the disks have.
struct Known {
    code: u8,
    service_action: Option<u8>,
    cdb_bytes: u8,
    /// Bits of the byte behind the operation code that initiators set.
    flags: u8,
}

const fn known(code: u8, cdb_bytes: u8, flags: u8) -> Known {
    Known { code, service_action: None, cdb_bytes, flags }
}

const fn action(code: u8, service_action: u8, cdb_bytes: u8) -> Known {
    Known { code, service_action: Some(service_action), cdb_bytes, flags: service_action }
}

/// What the initiators send is all there is.
static KNOWN: [Known; 24] = [
    known(0x00, 6, 0),
    known(0x03, 6, 0x01),
    known(0x08, 6, 0x1f),
    known(0x0a, 6, 0x1f),
    known(0x12, 6, 0x01),
    known(0x1a, 6, 0x08),
    known(0x1b, 6, 0x01),
    known(0x25, 10, 0),
    known(0x28, 10, 0x18),
    known(0x2a, 10, 0x18),
    known(0x2f, 10, 0x06),
    known(0x35, 10, 0x02),
    known(0x5a, 10, 0x08),
    known(0x88, 16, 0x18),
    known(0x8a, 16, 0x18),
    known(0x8f, 16, 0x06),
    known(0x91, 16, 0x02),
    action(0x9e, 0x10, 16),
    known(0xa0, 12, 0),
    action(0xa3, 0x0c, 12),
    action(0xa3, 0x0d, 12),
    known(0xa8, 12, 0x18),
    known(0xaa, 12, 0x18),
    known(0xaf, 12, 0x06),
];

/// Operation codes that are not there.
const ABSENT: [u8; 4] = [0x02, 0x9b, 0xc0, 0xff];

/// The command timeouts descriptor.
const TIMEOUTS_BYTES: usize = 12;

/// What a REPORT SUPPORTED OPERATION CODES is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    All,
    /// The command with this place in [`KNOWN`].
    One(usize),
    Absent(u8),
}

impl Asked {
    pub(super) fn new(which: u8) -> Self {
        match usize::from(which).checked_sub(1).map(|which| which % (KNOWN.len() + ABSENT.len())) {
            None => Self::All,
            Some(place) if place < KNOWN.len() => Self::One(place),
            Some(place) => Self::Absent(ABSENT[place - KNOWN.len()]),
        }
    }

    /// `either`: with the option for commands with and without service actions.
    pub(super) fn cdb(self, either: bool, timeouts: bool, allocation: u16) -> [u8; 16] {
        let rctd = if timeouts { 0x80 } else { 0 };
        let (option, code, service_action) = match self {
            Self::All => return cdb::supported_commands(rctd, 0, 0, allocation),
            Self::One(place) => {
                let option = if KNOWN[place].service_action.is_some() { 0b010 } else { 0b001 };
                (option, KNOWN[place].code, KNOWN[place].service_action.unwrap_or(0))
            }
            Self::Absent(code) => (0b001, code, 0),
        };
        cdb::supported_commands(rctd | if either { 0b011 } else { option }, code, service_action, allocation)
    }

    /// Whether `data` is the answer, as far as `allocation` bytes of it go.
    pub(super) fn fits(self, data: &[u8], timeouts: bool, allocation: usize) -> bool {
        let extra = if timeouts { TIMEOUTS_BYTES } else { 0 };
        let whole = match self {
            Self::All => 4 + KNOWN.len() * (8 + extra),
            Self::One(place) => 4 + usize::from(KNOWN[place].cdb_bytes) + extra,
            Self::Absent(_) => 4,
        };
        if data.len() != whole.min(allocation) {
            return false;
        }
        match self {
            Self::All => {
                let length = u32::try_from(whole - 4).expect("a short list").to_be_bytes();
                let mut listed: Vec<[u8; 8]> = data
                    .get(4..)
                    .unwrap_or_default()
                    .chunks_exact(8 + extra)
                    .filter(|descriptor| is_timeouts(&descriptor[8..]))
                    .map(|descriptor| descriptor[..8].try_into().expect("eight bytes"))
                    .collect();
                let count = data.len().saturating_sub(4) / (8 + extra);
                let fit =
                    listed.iter().all(|descriptor| KNOWN.iter().any(|known| *descriptor == known.entry(timeouts)));
                listed.sort_unstable();
                listed.dedup();
                length.starts_with(&data[..data.len().min(4)]) && fit && listed.len() == count
            }
            Self::One(place) => {
                let known = &KNOWN[place];
                let support = 0b011 | if timeouts { 0x80 } else { 0 };
                let header = [0, support, 0, known.cdb_bytes, known.code];
                let behind = data.get(4 + usize::from(known.cdb_bytes)..).unwrap_or_default();
                header.starts_with(&data[..data.len().min(5)])
                    && data.get(5).is_none_or(|&flags| flags & known.flags == known.flags)
                    && (data.len() < whole || is_timeouts(behind))
            }
            Self::Absent(_) => data.get(1).is_none_or(|support| support & 0b111 == 0b001),
        }
    }
}

impl Known {
    /// The command descriptor, without its command timeouts descriptor.
    fn entry(&self, timeouts: bool) -> [u8; 8] {
        let flags = if timeouts { 2 } else { 0 } | u8::from(self.service_action.is_some());
        [self.code, 0, 0, self.service_action.unwrap_or(0), 0, flags, 0, self.cdb_bytes]
    }
}

/// Nothing, or a whole command timeouts descriptor.
fn is_timeouts(data: &[u8]) -> bool {
    data.is_empty() || (data.len() == TIMEOUTS_BYTES && data.starts_with(&[0, 10, 0]))
}

/// Whether `data` says that those functions are supported which the initiators use: ABORT TASK, ABORT TASK SET, CLEAR
/// TASK SET and LOGICAL UNIT RESET.
pub(super) fn functions_fit(data: &[u8], extended: bool, allocation: usize) -> bool {
    let header = [0xd8, 0, 0, if extended { 12 } else { 0 }];
    let whole = if extended { 16 } else { 4 };
    data.len() == whole.min(allocation) && data.starts_with(&header) && data.get(4).is_none_or(|valid| *valid <= 1)
}

/// What a target that keeps the rules answers, whatever the allocation length.
pub(in super::super) fn answer(cdb: &[u8; 16]) -> Vec<u8> {
    let timeouts = cdb[2] & 0x80 != 0;
    if cdb[1] == 0x0d {
        let extension = [1, 0, 0, 0, 0, 0, 0, 250, 0, 0, 0, 0];
        return if timeouts { [&[0xd8, 0, 0, 12], extension.as_slice()].concat() } else { vec![0xd8, 0, 0, 0] };
    }
    let descriptor: &[u8] = if timeouts { &[0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] } else { &[] };
    if cdb[2] & 0b111 == 0 {
        let list: Vec<u8> = KNOWN.iter().flat_map(|known| [&known.entry(timeouts), descriptor].concat()).collect();
        return [&(list.len() as u32).to_be_bytes(), list.as_slice()].concat();
    }
    let asked = |known: &&Known| known.code == cdb[3] && known.service_action.is_none_or(|action| action == cdb[5]);
    let Some(known) = KNOWN.iter().find(asked) else { return vec![0, 1, 0, 0] };
    let mut usage = vec![0; known.cdb_bytes.into()];
    (usage[0], usage[1]) = (known.code, known.flags);
    [&[0, if timeouts { 0x83 } else { 3 }, 0, known.cdb_bytes], usage.as_slice(), descriptor].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(timeouts: bool) -> Vec<u8> {
        answer(&Asked::All.cdb(false, timeouts, 4_096))
    }

    #[test]
    fn list_of_all_commands_has_each_of_them_once() {
        let data = all(false);
        assert!(Asked::All.fits(&data, false, 4_096) && Asked::All.fits(&all(true), true, 4_096));
        assert!(Asked::All.fits(&data[..18], false, 18) && Asked::All.fits(&[], false, 0));
        assert!(!Asked::All.fits(&data[..18], false, 17), "more than the allocation length");
        assert!(!Asked::All.fits(&data[..18], false, 4_096), "a part");
        assert!(!Asked::All.fits(&data, true, 4_096), "no timeouts");
        let mut absent = data.clone();
        absent.extend([0x41, 0, 0, 0, 0, 0, 0, 10]);
        absent[3] += 8;
        assert!(!Asked::All.fits(&absent, false, 4_096), "a command that is not there");
        let mut twice = data.clone();
        twice.copy_within(4..12, 12);
        assert!(!Asked::All.fits(&twice, false, 4_096), "one twice");
        let mut cut = data[..18].to_vec();
        cut[3] = 14;
        assert!(!Asked::All.fits(&cut, false, 18), "the length is of what was cut");
    }

    #[test]
    fn one_command_is_the_one_that_was_asked_for() {
        let place = KNOWN.iter().position(|known| known.code == 0x28).expect("READ (10)");
        let data = [0, 3, 0, 10, 0x28, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 4];
        let asked = Asked::One(place);
        assert!(asked.fits(&data, false, 100) && asked.fits(&data[..5], false, 5));
        assert!(!asked.fits(&data, true, 100), "no timeouts");
        for (at, wrong) in [(1, 1), (3, 12), (4, 0x2a), (5, 0x08)] {
            let mut other = data;
            other[at] = wrong;
            assert!(!asked.fits(&other, false, 100), "byte {at}");
        }
        assert!(Asked::Absent(0xc0).fits(&[0, 1, 0, 0], false, 100));
        assert!(!Asked::Absent(0xc0).fits(&[0, 3, 0, 0], false, 100));
    }

    #[test]
    fn functions_are_those_that_initiators_use() {
        assert!(functions_fit(&[0xd8, 0, 0, 0], false, 4));
        assert!(!functions_fit(&[0xf8, 0, 0, 0], false, 4));
        let extended = [0xd8, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 250, 0, 0, 0, 0];
        assert!(functions_fit(&extended, true, 16) && functions_fit(&extended[..4], true, 4));
        assert!(!functions_fit(&extended, true, 12));
    }
}
