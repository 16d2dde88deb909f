//! `watch` runs a plan again when its file changes. Here without a checkout: nothing is built.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

const PLAN: &str = "seed = \"0x1\"\nprofile = \"lite\"\n\n[[units]]\nlun = 0\n\n[[initiators]]\nindex = 0\n";
const STEP: &str = "\n[[initiators.steps]]\nid = 1\nverb = \"write\"\nlun = 0\nlba = 1\nblocks = 3\n";

#[test]
fn plan_runs_again_when_its_file_changes() {
    let folder = std::env::temp_dir().join(format!("quintain-watch-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a place for files");
    let plan = folder.join("a.toml");
    std::fs::write(&plan, PLAN).expect("it can be written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_quintain-sim"))
        .args(["watch", "a.toml", "--runs", "2"])
        .current_dir(&folder)
        .env_remove("CARGO_MANIFEST_DIR")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut lines = output.lines().map(|line| line.expect("it is text"));
    let first: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("--- waiting")).collect();
    std::fs::write(&plan, PLAN.to_owned() + STEP).expect("it can be written");
    let later = SystemTime::now() + Duration::from_secs(2);
    let file = std::fs::File::options().append(true).open(&plan).expect("it is there");
    file.set_modified(later).expect("times can be set");
    let second: Vec<String> = lines.collect();
    let code = child.wait().expect("it ends");
    std::fs::remove_dir_all(&folder).expect("it was made");
    assert!(code.success());
    let (first, second) = (first.join("\n"), second.join("\n"));
    assert!(first.contains("1 initiators with 0 steps") && first.contains("passed"), "{first}");
    assert!(second.contains("1 initiators with 1 steps") && second.contains("passed"), "{second}");
}
