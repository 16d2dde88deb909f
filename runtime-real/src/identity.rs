//! Names that stay the same: of the target, and of its logical units.

use std::path::Path;

/// The iSCSI name of a target whose first logical unit is `path`: it depends on the file's name and nothing else, so
/// that it is the same after every restart and on every machine.
#[must_use]
pub fn target_name(path: Option<&Path>) -> String {
    let stem = path.and_then(Path::file_stem).map_or_else(|| "nullio".into(), |stem| stem.to_string_lossy());
    let mut name = String::new();
    for c in stem.chars().take(STEM_CHARS_MAX) {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '.' | ':') => name.push(c),
            // Whatever an iSCSI name cannot have, once for a run of it (RFC 3722, section 6).
            _ if name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_matches(['-', '.', ':']);
    format!("{PREFIX}:{}", if name.is_empty() { "disk" } else { name })
}

/// An identifier of 16 characters for a logical unit. Initiators take two logical units with one identifier for two
/// paths to one disk, so it must differ between machines and files and must never change for the same one. It follows
/// from this machine's identity, the absolute path, the target's name and the number.
#[must_use]
pub fn unit_identifier(machine: &str, path: Option<&Path>, target: &str, number: u16) -> String {
    let path = path.map(|path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf()));
    let path = path.as_deref().map(Path::as_os_str).map_or(&[][..], std::os::unix::ffi::OsStrExt::as_bytes);
    let mut hash = FNV_OFFSET;
    for part in [machine.as_bytes(), path, target.as_bytes(), &number.to_be_bytes()] {
        hash = fnv_1a(fnv_1a(hash, part), &[0xff]);
    }
    format!("{:016x}", scatter(hash))
}

/// What tells this machine from others: systemd's machine-id, or nothing.
#[must_use]
pub fn machine() -> String {
    std::fs::read_to_string("/etc/machine-id").unwrap_or_default().trim().to_owned()
}

/// RFC 7143, section 4.2.7.4: a month in which the naming authority owned the domain.
const PREFIX: &str = "iqn.2026-11.io.quintain";
/// An iSCSI name has at most 223 bytes.
const STEM_CHARS_MAX: usize = 128;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn fnv_1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// Spreads a difference in the last bytes over all bits.
fn scatter(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_name_has_only_characters_of_an_iscsi_name() {
        for (path, name) in [
            ("disk.img", "disk"),
            ("/srv/My Disk (1).img", "my-disk-1"),
            ("/dev/sdb", "sdb"),
            ("\u{fc}ber.raw", "ber"),
            ("___", "disk"),
            ("a.b.c", "a.b"),
        ] {
            assert_eq!(target_name(Some(Path::new(path))), format!("iqn.2026-11.io.quintain:{name}"));
        }
        assert!(target_name(Some(Path::new(&"x".repeat(250)))).len() <= 223);
    }

    #[test]
    fn unit_identifier_is_stable_and_differs_by_each_of_its_parts() {
        let base = || unit_identifier("m", Some(Path::new("/none/a")), "iqn", 0);
        assert_eq!(base(), base());
        assert_eq!(base().len(), 16);
        assert_eq!(base(), "e14e616af4a4c85d", "it must not change from one version to the next");
        for other in [
            unit_identifier("n", Some(Path::new("/none/a")), "iqn", 0),
            unit_identifier("m", Some(Path::new("/none/b")), "iqn", 0),
            unit_identifier("m", None, "iqn", 0),
            unit_identifier("m", Some(Path::new("/none/a")), "iqm", 0),
            unit_identifier("m", Some(Path::new("/none/a")), "iqn", 1),
        ] {
            assert_ne!(other, base());
        }
    }
}
