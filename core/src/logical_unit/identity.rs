//! Who a logical unit says it is.

/// T10 vendor identification: eight characters.
pub(crate) const VENDOR: &[u8; 8] = b"QUINTAIN";
/// Product identification: sixteen characters.
pub(crate) const PRODUCT: &[u8; 16] = b"VIRTUAL-DISK    ";
/// Product revision level: four characters. Initiators cache it, so it changes with the behaviour only.
pub(crate) const REVISION: &[u8; 4] = b"0001";

/// The names of one logical unit. They depend on the configuration only, so that they are the same after a restart and
/// on every path.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Vendor-specific identifier of the T10 designator in VPD 83: printable ASCII, at most 16 bytes.
    pub(crate) vendor_specific: Vec<u8>,
    /// Unit serial number in VPD 80: printable ASCII, at most 32 bytes.
    pub(crate) serial: Vec<u8>,
}

impl Identity {
    /// From the configured names, cut and cleaned to what SPC-4, section 4.4.1, allows.
    pub(crate) fn new(scsi_id: &str, serial: &str) -> Self {
        Self { vendor_specific: ascii(scsi_id, 16), serial: ascii(serial, 32) }
    }

    /// The locally assigned NAA name (SPC-4, section 7.8.6.6.4): type 3h and 60 bits of a digest of the other names.
    pub(crate) fn naa(&self) -> [u8; 8] {
        // FNV-1a: stable for ever, which is all that is asked of it.
        let digest = [VENDOR, self.vendor_specific.as_slice(), b"/", self.serial.as_slice()]
            .concat()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        (0x3 << 60 | digest >> 4).to_be_bytes()
    }
}

fn ascii(text: &str, length_max: usize) -> Vec<u8> {
    text.bytes().map(|byte| if matches!(byte, 0x20..=0x7e) { byte } else { b'_' }).take(length_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_and_short_enough() {
        let identity = Identity::new("disk\n-é-0123456789abcdef", &"s".repeat(40));
        assert_eq!(identity.vendor_specific, b"disk_-__-0123456");
        assert_eq!(identity.serial.len(), 32);
    }

    #[test]
    fn naa_name_is_locally_assigned_and_differs_with_the_serial() {
        let (first, second) = (Identity::new("a", "1").naa(), Identity::new("a", "2").naa());
        assert_eq!(first[0] >> 4, 3);
        assert_ne!(first, second);
    }
}
