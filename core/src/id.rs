//! Newtypes for every identifier: a LUN is never a tag, a tag is never a sequence number.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

/// Stands for the machine behind an address, which may have all the addresses of a /64 of IPv6.
#[must_use]
pub fn machine(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 64).into(),
        address => address,
    }
}

id!(/// Initiator Task Tag (RFC 7143, section 11.2.1.8).
    Itt(u32));
id!(/// Target Transfer Tag (RFC 7143, section 11.7.4).
    Ttt(u32));
id!(/// Target Session Identifying Handle (RFC 7143, section 11.12.6).
    Tsih(u16));
id!(/// Connection ID, unique within a session (RFC 7143, section 11.12.7).
    Cid(u16));
id!(/// One TCP connection, unique in this process from accept to close.
    ConnectionId(u64));
id!(/// One I_T nexus, unique in this process: a session that logs in again is a new nexus.
    NexusId(u64));
id!(/// A shard: the share of the target that one core runs.
    ShardId(u16));

impl Itt {
    /// "No task": carried by unsolicited NOP-In and by NOP-Out that wants no answer.
    pub const NONE: Self = Self(0xffff_ffff);
}

impl Ttt {
    /// "No transfer": the reserved Target Transfer Tag.
    pub const NONE: Self = Self(0xffff_ffff);

    /// The tag after this one; the reserved one is left out.
    #[must_use]
    pub fn next(self) -> Self {
        let next = Self(self.0.wrapping_add(1));
        if next == Self::NONE && !crate::planted!(TttReserved) { Self(0) } else { next }
    }
}

/// Initiator Session ID: six bytes chosen by the initiator (RFC 7143, section 11.12.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Isid(pub [u8; 6]);

/// A logical unit number in its eight-byte form (SAM-5, section 4.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Lun(pub u64);

impl Lun {
    /// The eight-byte form of a small number: peripheral device addressing up to 255, flat space addressing above
    /// (SAM-5, sections 4.7.7.2 and 4.7.7.3). `number` is at most 16,383.
    #[must_use]
    pub fn from_number(number: u16) -> Self {
        if number < 256 { Self(u64::from(number) << 48) } else { Self((0x4000 | u64::from(number & 0x3fff)) << 48) }
    }

    /// The one form that all addresses of the same logical unit share: a small number has two.
    #[must_use]
    pub fn canonical(self) -> Self {
        if crate::planted!(TwoAddresses) { self } else { self.number().map_or(self, Self::from_number) }
    }

    /// The small number behind this LUN, if it is a single-level peripheral or flat address; otherwise `None`, and
    /// no logical unit of ours can be meant.
    #[must_use]
    pub fn number(self) -> Option<u16> {
        if self.0 & 0x0000_ffff_ffff_ffff != 0 {
            return None;
        }
        let level = (self.0 >> 48) as u16;
        match level >> 14 {
            0 if level < 256 => Some(level),
            1 => Some(level & 0x3fff),
            _ => None,
        }
    }
}

impl fmt::Display for Lun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => write!(f, "{number}"),
            None => write!(f, "{:#018x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_is_one_with_all_its_addresses() {
        let machine = |text: &str| machine(text.parse().expect("an address"));
        assert_eq!(machine("2001:db8::1"), machine("2001:db8::ffff:2"));
        assert_ne!(machine("2001:db8::1"), machine("2001:db8:0:1::1"));
        assert_eq!(machine("::ffff:192.0.2.7"), machine("192.0.2.7"));
        assert_ne!(machine("192.0.2.7"), machine("192.0.2.8"));
    }

    #[test]
    fn lun_number_round_trips_in_both_addressing_methods() {
        for number in [0, 1, 255, 256, 16_383] {
            assert_eq!(Lun::from_number(number).number(), Some(number));
        }
    }

    #[test]
    fn both_addresses_of_a_logical_unit_have_one_canonical_form() {
        assert_eq!(Lun(0x4001_0000_0000_0000).canonical(), Lun::from_number(1));
        assert_eq!(Lun::from_number(300).canonical(), Lun::from_number(300));
        assert_eq!(Lun(0xc101_0000_0000_0000).canonical(), Lun(0xc101_0000_0000_0000));
    }

    #[test]
    fn lun_with_a_second_level_names_nothing_of_ours() {
        assert_eq!(Lun(0x0001_0001_0000_0000).number(), None);
        assert_eq!(Lun(0xc101_0000_0000_0000).number(), None);
    }

    #[test]
    fn reserved_transfer_tag_is_left_out() {
        assert_eq!(Ttt(7).next(), Ttt(8));
        assert_eq!(Ttt(0xffff_fffe).next(), Ttt(0));
    }
}
