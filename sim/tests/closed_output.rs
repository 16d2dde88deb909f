//! `cargo sim ... | head`: who reads has seen enough, and the command ends without a word. (`explain` and others once
//! panicked: "failed printing to stdout".)

use std::process::{Command, Stdio};

/// What a plan has to have so that `explain` finds something.
const FAILING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shrink/fua-ignored.toml");

/// Runs the simulator with an output that is closed before it begins: no write can come too early.
fn unheard(arguments: &[&str]) {
    let (reader, writer) = std::io::pipe().expect("a pipe can be had");
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_quintain-sim"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(writer)
        .output()
        .expect("the simulator starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    assert_eq!(output.status.code(), Some(141), "{arguments:?}: as if SIGPIPE had ended it");
}

#[test]
fn commands_whose_output_is_closed_end_quietly() {
    unheard(&["self-test"]);
    unheard(&["plan", "0x1", "--profile", "lite"]);
    unheard(&["explain", FAILING]);
    unheard(&["run", "--seeds", "1", "--profile", "lite"]);
    unheard(&["mutants", "--only", "double-completion", "--seeds", "1", "--profile", "lite"]);
}

#[test]
fn trace_whose_output_is_closed_ends_quietly() {
    unheard(&["trace", FAILING]);
    unheard(&["trace", "diff", FAILING, FAILING]);
}
