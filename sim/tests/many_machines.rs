//! `run` in shards, `merge`, and a run that is stopped and resumed: the program, as a scheduler starts it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("quintain-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a place for files");
        Self(folder)
    }

    /// The simulator, where nothing says which shard it is.
    fn simulator(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quintain-sim"));
        command.current_dir(&self.0).args(arguments.split(' '));
        for name in ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut command = self.simulator(arguments);
        let Output { status, stdout, stderr } =
            command.envs(variables.iter().copied()).output().expect("the program was built");
        (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("it was written")
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("it is JSON")
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const FAILING: &str = "run --profile lite --seeds 9 --planted ordered-overtakes --keep-going --no-shrink";

#[test]
fn merged_shards_find_what_one_machine_finds() {
    let folder = Folder::new("shards");
    let (code, whole) = folder.run(FAILING, &[]);
    assert_eq!(code, Some(42), "{whole}");
    let kubernetes = [("JOB_COMPLETION_INDEX", "0")];
    let (code, told) = folder.run(&format!("{FAILING} --shards 2 --json 0.json"), &kubernetes);
    assert!(matches!(code, Some(0 | 42)) && told.contains("· shard 0/2 ·"), "{told}");
    let slurm = [("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_COUNT", "2")];
    let (code, told) = folder.run(&format!("{FAILING} --json 1.json"), &slurm);
    assert!(matches!(code, Some(0 | 42)) && told.contains("· shard 1/2 ·"), "{told}");

    let (code, merged) = folder.run("merge 1.json 0.json --junit all.xml --summary all.md", &[]);
    assert_eq!(code, Some(42), "{merged}");
    assert_eq!(merged.lines().last(), whole.lines().last());
    let totals = |text: &str| text.lines().find(|line| line.starts_with("per seed:")).map(str::to_owned);
    assert!(totals(&whole).is_some() && totals(&whole) == totals(&merged), "{whole}{merged}");
    let line = merged.lines().last().expect("there are lines");
    assert!(folder.read("all.md").contains(line));
    assert!(folder.read("all.xml").contains(&line.replace('&', "&amp;")));

    let (code, refused) = folder.run("merge 0.json 1.json 0.json", &[]);
    assert_eq!(code, Some(1));
    assert_eq!(refused, "0.json and 0.json have seeds in common; give only one of them\n");
    let (code, refused) = folder.run(FAILING, &kubernetes);
    assert_eq!(code, Some(1), "{refused}");
}

/// Only the first failure was once made small, and no line told how small, nor which plan that is.
#[test]
fn each_fingerprint_is_made_small_and_its_line_tells_it_everywhere() {
    let folder = Folder::new("small");
    let files = "--json 0.json --junit 0.xml --summary 0.md";
    let run = "run --profile lite --seeds 40 --planted double-completion --failures 2 --shrink-time 10";
    let (code, told) = folder.run(&format!("{run} {files}"), &[]);
    assert_eq!(code, Some(42), "{told}");
    let lines: Vec<&str> = told.lines().rev().take(2).collect();
    let found = json(&folder.read("0.json"))["found"].clone();
    assert_eq!(found.as_object().map(serde_json::Map::len), Some(2), "{found}");
    let (code, merged) = folder.run("merge 0.json", &[]);
    assert_eq!((code, merged.lines().rev().take(2).collect::<Vec<_>>()), (Some(42), lines.clone()), "{merged}");
    for found in found.as_object().expect("it is one").values() {
        let (seed, small) = (found["seed"].as_str().expect("a seed"), &found["small"]);
        let plan = format!("repro/{seed}.small.toml");
        assert_eq!(small["plan"], plan.as_str(), "{found}");
        assert!(folder.read(&plan).contains("story = "));
        let line = found["repro"].as_str().expect("a line");
        let size = format!("{} operation", small["operations"]);
        assert!(line.contains(&size) && line.ends_with(&format!(": cargo sim repro {plan}")), "{line}");
        assert!(lines.contains(&line), "{told}");
        assert!(folder.read("0.md").contains(line));
        assert!(folder.read("0.xml").contains(&line.replace('&', "&amp;")));
    }
    // What is small already stays so.
    let (_, again) = folder.run(&format!("{run} --resume 0.json"), &[]);
    assert!(!again.contains("shrunk from") && again.lines().last() == told.lines().last(), "{again}");
}

#[test]
fn interrupted_run_keeps_what_it_has_and_goes_on() {
    let folder = Folder::new("resume");
    let mut command = folder.simulator("run --profile lite --time 100 --jobs 1 --resume state.json");
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program was built");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    while !lines.next().expect("it prints a banner").expect("it is text").contains("· seeds from 0x0 ·") {}
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.is_ok_and(|status| status.success()));
    drop(lines.by_ref().collect::<Vec<_>>());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let state = folder.read("state.json");
    assert!(state.contains("\"incomplete\":true"), "{state}");
    let done = json(&state)["seeds"].as_u64().expect("a number");
    let more = done + 2;

    let (code, told) = folder.run(&format!("run --profile lite --seeds {more} --resume state.json"), &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(&format!("{done} seeds are done: state.json\n")), "{told}");
    assert!(told.contains(&format!("all {more} seeds passed\n")), "{told}");
    assert!(folder.read("state.json").contains("\"incomplete\":false"));
    let (code, told) = folder.run("run --profile lite --seeds 9 --seed-base 0x1 --resume state.json", &[]);
    assert_eq!(
        (code, told.lines().last()),
        (Some(1), Some("--resume: it has seeds from 0x0, shard 0/1, and not seeds from 0x1, shard 0/1"))
    );
}
