//! Every plan under `tests/seeds/` once found a bug, or plays what users of other targets met (`field-NN-...`); none of
//! them finds a bug now. Where one was planted again, the plan names it with the oracle that finds it, and must still do
//! so.

use std::path::Path;

use quintain_sim::plan::Plan;
use quintain_sim::runner::{self, Options};

fn kept_plans() -> Vec<(String, Plan)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/seeds");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of kept plans is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "the plans are found");
    let load = |path: &std::path::PathBuf| {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).expect("a plan can be read");
        let plan = Plan::from_toml(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(plan.story.is_some(), "{name}: a kept plan says what it found");
        (name, plan)
    };
    paths.iter().map(load).collect()
}

#[test]
fn kept_plans_pass() {
    for (name, plan) in kept_plans() {
        let sound = Plan { planted: None, ..plan };
        let failures = runner::run(&sound, Options::default()).failures;
        assert!(failures.is_empty(), "{name}: {}", failures[0]);
    }
}

#[test]
fn kept_plans_still_find_the_bug_that_they_name() {
    for (name, plan) in kept_plans().into_iter().filter(|(_, plan)| plan.planted.is_some()) {
        let failures = runner::run(&plan, Options::default()).failures;
        let found = failures.first().map(|failure| failure.oracle);
        assert!(plan.finds.is_some(), "{name}: a plan that names a bug says which oracle finds it; now {found:?}");
        assert_eq!(found, plan.finds.as_deref(), "{name} with {:?}: {failures:?}", plan.planted);
    }
}
