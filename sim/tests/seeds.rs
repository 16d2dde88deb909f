//! Every plan under `tests/seeds/` once found a bug; none of them finds one now.

use std::path::Path;

use quintain_sim::plan::Plan;
use quintain_sim::runner::{self, Options};

#[test]
fn kept_plans_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/seeds");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of kept plans is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    let mut failed = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a plan can be read");
        let plan = Plan::from_toml(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(plan.story.is_some(), "{}: a kept plan says what it found", path.display());
        if let Some(failure) = runner::run(&plan, Options::default()).failures.first() {
            failed.push(format!("{}: {failure}", path.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
