//! The planted bugs, the probes and the unlikely choices of the simulator are not in the daemon.

use std::fs;

/// Cargo unifies features over a workspace, so the daemon's own binary is looked at: the name of a planted bug, a probe or a
/// site is in a binary exactly when its catalogue is.
#[test]
fn daemon_contains_no_planted_bug_no_probe_and_no_unlikely_choice() {
    let catalogues = [
        include_str!("../../core/src/planted.rs"),
        include_str!("../../core/src/probe.rs"),
        include_str!("../../core/src/buggify.rs"),
    ];
    let names_of = |catalogue: &'static str| catalogue.split('"').filter(|quoted| is_name(quoted));
    assert!(catalogues.iter().all(|catalogue| names_of(catalogue).count() >= 25), "the catalogues are read");
    let names: Vec<&str> = catalogues.into_iter().flat_map(names_of).collect();
    let binary = fs::read(env!("CARGO_BIN_EXE_quintain")).expect("the binary is there");
    // Literals stand in a binary without anything between them, so a name may be a part of a run.
    let runs: Vec<&str> = binary
        .split(|byte| !is_of_a_name(*byte))
        .filter(|run| run.contains(&b'-'))
        .filter_map(|run| std::str::from_utf8(run).ok())
        .collect();
    let contains = |name: &str| runs.iter().any(|run| run.contains(name));
    assert!(contains("block-size"), "literals are found");
    for name in names {
        assert!(!contains(name), "{name} is in the daemon");
    }
    // The tables of state machines are quoted in words.
    let event = "a function or the session's end aborts it";
    assert!(include_str!("../../core/src/cells.rs").contains(event), "the table is read");
    assert!(!String::from_utf8_lossy(&binary).contains(event), "the state machines' tables are in the daemon");
}

/// Whether `text` looks like `window-off-by-one`: the catalogue's names do, and nothing else in its file that is quoted.
fn is_name(text: &str) -> bool {
    text.contains('-') && text.bytes().all(is_of_a_name)
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}
