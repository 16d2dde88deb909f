//! What the operator asks for, checked.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::Limits;

/// LUNs above this have no single-level address (SAM-5, section 4.7).
const LUN_MAX: u16 = 16_383;
const NAME_BYTES_MAX: usize = 223;

/// The configuration of a node.
#[derive(Clone, Debug, Default)]
pub struct NodeConfig {
    /// The targets.
    pub targets: Vec<TargetConfig>,
    /// The bounds.
    pub limits: Limits,
    /// First StatSN of every connection; `None` draws it.
    pub initial_stat_sn: Option<u32>,
    /// First Target Transfer Tag of every session; not the reserved one.
    pub initial_ttt: u32,
}

/// One target.
#[derive(Clone, Debug)]
pub struct TargetConfig {
    /// iSCSI name (`iqn.`, `eui.` or `naa.` form, RFC 7143, section 4.2.7).
    pub name: String,
    /// What TargetAlias says.
    pub alias: Option<String>,
    /// Logical units by number, at most 16,383.
    pub luns: BTreeMap<u16, LunConfig>,
}

/// One logical unit.
#[derive(Clone, Debug)]
pub struct LunConfig {
    /// What stores it.
    pub backend: BackendKind,
    /// How writes are acknowledged.
    pub mode: IoMode,
    /// Logical block length: 512 or 4,096 bytes.
    pub block_bytes: u32,
    /// T10 vendor-specific identifier in VPD 83, at most 16 characters.
    pub scsi_id: String,
    /// Unit serial number in VPD 80, at most 32 characters.
    pub serial: String,
}

/// Which back end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackendKind {
    /// Reads are zeros, writes vanish.
    Nullio {
        /// Its size in bytes.
        size_bytes: u64,
    },
    /// A file, through the page cache.
    Fileio,
    /// A block device, past the page cache.
    Blockio,
}

/// When a write is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoMode {
    /// When it is durable: WCE is zero.
    WriteThrough,
    /// When it is in the cache: WCE is one.
    WriteBack,
    /// Never: writes are refused.
    ReadOnly,
}

/// What is wrong with a configuration: the thing, the cause and the cure.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A target's name is not an iSCSI name.
    #[error("target name \"{name}\" is not an iSCSI name: {cause}; write one like iqn.2026-01.com.example:disk1")]
    TargetName {
        /// The name.
        name: String,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// Two targets have the same name.
    #[error("target name \"{name}\" is given twice; give each target a name of its own")]
    TargetTwice {
        /// The name.
        name: String,
    },
    /// A LUN is out of range.
    #[error("target {target}: LUN {lun} is above {LUN_MAX}; choose a smaller number")]
    LunRange {
        /// The target's name.
        target: String,
        /// The number.
        lun: u16,
    },
    /// A logical block length that is not supported.
    #[error("target {target}: LUN {lun} has blocks of {block_bytes} bytes; choose 512 or 4096")]
    BlockSize {
        /// The target's name.
        target: String,
        /// The logical unit.
        lun: u16,
        /// The length.
        block_bytes: u32,
    },
    /// An identifier that VPD pages cannot carry.
    #[error("target {target}: LUN {lun}: {field} \"{value}\" does not fit; use at most {most} printable characters")]
    Identifier {
        /// The target's name.
        target: String,
        /// The logical unit.
        lun: u16,
        /// Which identifier.
        field: &'static str,
        /// What it is.
        value: String,
        /// How long it may be.
        most: usize,
    },
}

impl NodeConfig {
    /// Checks everything that can be checked without touching a device.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut names = BTreeSet::new();
        for target in &self.targets {
            check_name(&target.name)?;
            if !names.insert(target.name.to_lowercase()) {
                return Err(ConfigError::TargetTwice { name: target.name.clone() });
            }
            for (&lun, config) in &target.luns {
                config.check(&target.name, lun)?;
            }
        }
        Ok(())
    }
}

impl LunConfig {
    fn check(&self, target: &str, lun: u16) -> Result<(), ConfigError> {
        if lun > LUN_MAX {
            return Err(ConfigError::LunRange { target: target.into(), lun });
        }
        if !matches!(self.block_bytes, 512 | 4096) {
            return Err(ConfigError::BlockSize { target: target.into(), lun, block_bytes: self.block_bytes });
        }
        for (field, value, most) in [("SCSI identifier", &self.scsi_id, 16), ("serial number", &self.serial, 32)] {
            if value.len() > most || !value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
                let (target, value) = (target.into(), value.clone());
                return Err(ConfigError::Identifier { target, lun, field, value, most });
            }
        }
        Ok(())
    }
}

/// The rules of RFC 7143, section 4.2.7.
fn check_name(name: &str) -> Result<(), ConfigError> {
    let wrong = |cause| Err(ConfigError::TargetName { name: name.into(), cause });
    if name.len() > NAME_BYTES_MAX {
        return wrong("it is longer than 223 bytes");
    }
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:".contains(&byte)) {
        return wrong("it may have lower-case letters, digits, dots, hyphens and colons only");
    }
    let hexadecimal = |digits: &str, lengths: &[usize]| {
        lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if let Some(rest) = name.strip_prefix("iqn.") {
        let bytes = rest.as_bytes();
        let digits =
            |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
        if !(digits(0..4) && bytes.get(4) == Some(&b'-') && digits(5..7) && bytes.get(7) == Some(&b'.')) {
            return wrong("after iqn. comes the year and month in which the domain was owned");
        }
        if rest.len() <= 8 {
            return wrong("the naming authority's domain is missing");
        }
    } else if let Some(digits) = name.strip_prefix("eui.") {
        if !hexadecimal(digits, &[16]) {
            return wrong("after eui. come 16 hexadecimal digits");
        }
    } else if let Some(digits) = name.strip_prefix("naa.") {
        if !hexadecimal(digits, &[16, 32]) {
            return wrong("after naa. come 16 or 32 hexadecimal digits");
        }
    } else {
        return wrong("it begins with none of iqn., eui. and naa.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_three_forms_are_taken_and_others_refused() {
        for good in ["iqn.2026-01.com.example:disk1", "iqn.2026-01.com.example", "eui.0123456789abcdef"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "disk",
            "iqn.com.example",
            "iqn.2026-01.",
            "iqn.2026-01.com.Example",
            "eui.12",
            "naa.xyz",
            "iqn.2026-01.a b",
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn message_names_the_thing_the_cause_and_the_cure() {
        let lun = LunConfig {
            backend: BackendKind::Fileio,
            mode: IoMode::WriteBack,
            block_bytes: 1000,
            scsi_id: "id".into(),
            serial: "serial".into(),
        };
        let target = TargetConfig {
            name: "iqn.2026-01.com.example:disk1".into(),
            alias: None,
            luns: BTreeMap::from([(3, lun)]),
        };
        let config = NodeConfig { targets: vec![target], ..NodeConfig::default() };
        let message = config.check().unwrap_err().to_string();
        assert_eq!(message, "target iqn.2026-01.com.example:disk1: LUN 3 has blocks of 1000 bytes; choose 512 or 4096");
    }
}
