//! `watch`: a plan, run again whenever it or the code changes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::checkout::Checkout;
use super::{EXIT_OK, EXIT_USAGE};

/// Between two looks at the files.
const PERIOD: Duration = Duration::from_millis(300);
/// The code that a run depends on, from the root of the checkout.
const CODE: [&str; 3] = ["core/src", "sim/src", "Cargo.lock"];

/// Runs `plan` again and again, each time with what is there then; ends when it is told to. `runs` is for tests: how often.
pub(super) fn run(plan: &Path, runs: Option<u64>) -> u8 {
    if !plan.is_file() {
        eprintln!("{} is not there; `cargo sim plan 0x1f > {}` writes one", plan.display(), plan.display());
        return EXIT_USAGE;
    }
    let code = Checkout::find().map_or_else(Vec::new, |_| {
        let root =
            PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").map_or_else(|_| ".".to_owned(), |sim| sim + "/.."));
        CODE.iter().map(|part| root.join(part)).collect()
    });
    let (mut seen, mut count) = (None, 0);
    while runs.is_none_or(|runs| count < runs) {
        let now = std::iter::once(plan).chain(code.iter().map(PathBuf::as_path)).filter_map(newest).max();
        if now == seen {
            std::thread::sleep(PERIOD);
            continue;
        }
        (seen, count) = (now, count + 1);
        println!("--- {}", plan.display());
        if let Err(error) = again(plan, !code.is_empty()) {
            eprintln!("cargo cannot be started: {error}");
            return EXIT_USAGE;
        }
        println!("--- waiting for a change of the plan{}", if code.is_empty() { "" } else { " or the code" });
    }
    EXIT_OK
}

/// With the code, cargo builds what changed; without, this very program is run.
fn again(plan: &Path, with_code: bool) -> std::io::Result<()> {
    let mut command = if with_code {
        let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        cargo.arg("sim");
        cargo
    } else {
        Command::new(std::env::current_exe()?)
    };
    command.arg("repro").arg(plan).status().map(drop)
}

/// When the file, or the newest one below the folder, was changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let own = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let Ok(entries) = std::fs::read_dir(path) else { return own };
    entries.filter_map(|entry| newest(&entry.ok()?.path())).chain(own).max()
}
