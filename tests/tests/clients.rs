//! The real clients of Debian against the daemon: the scripts under `clients/`.

use std::process::Command;

#[test]
#[ignore = "needs root, libiscsi-bin, qemu-utils, qemu-block-extra and tshark"]
fn real_clients_are_served() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/all.sh");
    let status = Command::new("bash").arg(script).env("QUINTAIN", env!("CARGO_BIN_EXE_quintain-under-test")).status();
    assert!(status.expect("bash runs").success());
}
