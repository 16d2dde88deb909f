//! Mistakes of the operator: configurations that the target has to refuse before it begins anything, and a few that only look
//! wrong.

use quintain_core::target::{LunConfig, NodeConfig};

/// A change of a good configuration. `true`: it is still a good one.
type Change = (bool, fn(&mut NodeConfig));

/// By what is checked: names of targets (RFC 7143, section 4.2.7), numbers, block lengths and identifiers of logical units.
const CHANGES: [Change; 24] = [
    (false, |config| name(config, "")),
    (false, |config| name(config, "disk")),
    (false, |config| name(config, "iqn.2026-01")),
    (false, |config| name(config, "iqn.2026-01.")),
    (false, |config| name(config, "iqn.2o26-01.com.example")),
    (false, |config| name(config, "iqn.2026-1x.com.example")),
    (false, |config| name(config, "iqn.2026/01.com.example")),
    (false, |config| name(config, "iqn.2026-01:com.example")),
    (false, |config| name(config, "iqn.2026-01.com.Example")),
    (false, |config| name(config, "iqn.2026-01.com.example:a b")),
    (false, |config| name(config, &format!("iqn.2026-01.com.example:{}", "x".repeat(200)))),
    (false, |config| name(config, "eui.12")),
    (false, |config| name(config, "eui.0123456789abcdeg")),
    (false, |config| name(config, "naa.0123456789abcdef0")),
    (true, |config| name(config, "iqn.2026-01.com.example")),
    (true, |config| name(config, "eui.0123456789abcdef")),
    (true, |config| name(config, "naa.0123456789abcdef0123456789abcdef")),
    (false, |config| config.targets.extend(config.targets.clone())),
    (false, |config| number(config, 16_384)),
    (true, |config| number(config, 16_383)),
    (false, |config| lun(config, |lun| lun.block_bytes = 1_000)),
    (false, |config| lun(config, |lun| lun.serial = "x".repeat(33))),
    (false, |config| lun(config, |lun| lun.scsi_id = "x".repeat(17))),
    (false, |config| lun(config, |lun| lun.serial = "line\n".to_owned())),
];

/// How many there are.
pub const COUNT: u32 = CHANGES.len() as u32;

/// `config` with change `which`, modulo their number, and whether it is still a good one.
#[must_use]
pub fn changed(which: u32, mut config: NodeConfig) -> (NodeConfig, bool) {
    let (good, change) = CHANGES[(which % COUNT) as usize];
    change(&mut config);
    (config, good)
}

fn name(config: &mut NodeConfig, name: &str) {
    config.targets.iter_mut().for_each(|target| name.clone_into(&mut target.name));
}

/// Gives the last logical unit another number.
fn number(config: &mut NodeConfig, number: u16) {
    for target in &mut config.targets {
        if let Some((_, lun)) = target.luns.pop_last() {
            target.luns.insert(number, lun);
        }
    }
}

fn lun(config: &mut NodeConfig, change: fn(&mut LunConfig)) {
    config.targets.iter_mut().flat_map(|target| target.luns.values_mut()).for_each(change);
}
