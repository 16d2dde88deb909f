//! The planted bugs of the simulator are not in the daemon.

use std::fs;

/// Cargo unifies features over a workspace, so the daemon's own binary is looked at: the name of a planted bug is in a
/// binary exactly when the catalogue is.
#[test]
fn daemon_contains_no_planted_bug() {
    let names: Vec<&str> =
        include_str!("../../core/src/planted.rs").split('"').filter(|quoted| is_name(quoted)).collect();
    assert!(!names.is_empty(), "the catalogue is read");
    let binary = fs::read(env!("CARGO_BIN_EXE_quintain")).expect("the binary is there");
    assert!(contains(&binary, "there is nothing to serve"), "strings are found");
    for name in names {
        assert!(!contains(&binary, name), "{name} is in the daemon");
    }
}

/// Whether `text` looks like `window-off-by-one`: the catalogue's names do, and nothing else in its file that is quoted.
fn is_name(text: &str) -> bool {
    text.contains('-') && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}
