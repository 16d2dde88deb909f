//! Plans that once made the simulator fail; each says in its `story` what was wrong.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use quintain_sim::plan::Plan;
use quintain_sim::runner::{Options, run};

#[test]
fn plans_that_once_failed_pass() {
    let plans = plans();
    assert!(!plans.is_empty(), "the plans are found");
    for (path, plan) in plans {
        let name = path.display();
        let story = plan.story.as_deref().unwrap_or_default();
        assert!(!story.is_empty(), "{name} has no story");
        assert_eq!(plan.planted, None, "{name} has a planted bug");
        // Much longer than it needs, also unoptimised on a busy machine.
        let verdict = run(&plan, Options { limit: Duration::from_secs(600), ..Options::default() });
        assert!(verdict.failures.is_empty(), "{name} ({story}) fails again: {:?}", verdict.failures);
    }
}

fn plans() -> Vec<(PathBuf, Plan)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds");
    let entries = fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it can be read").path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    paths.sort();
    let load = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("it can be read");
        let plan = Plan::from_toml(&text).unwrap_or_else(|error| panic!("{} is not a plan: {error}", path.display()));
        (path, plan)
    };
    paths.into_iter().map(load).collect()
}
