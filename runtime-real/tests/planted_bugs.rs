//! The planted bugs of the simulator are not in the daemon.

use std::fs;

/// Cargo unifies features over a workspace, so the daemon's own binary is looked at: the name of a planted bug is in a
/// binary exactly when the catalogue is.
#[test]
fn daemon_contains_no_planted_bug() {
    let names: Vec<&str> = include_str!("../../core/src/planted.rs")
        .split("name: \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(!names.is_empty(), "the catalogue is read");
    let binary = fs::read(env!("CARGO_BIN_EXE_quintain")).expect("the binary is there");
    assert!(contains(&binary, "there is nothing to serve"), "strings are found");
    for name in names {
        assert!(!contains(&binary, name), "{name} is in the daemon");
    }
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}
