//! Every plan under `tests/seeds/` once found a bug, or plays what users of other targets met (`field-NN-...`); none of
//! them finds a bug now. Where one was planted again, the plan names it with the oracle that finds it, and must still do
//! so. Plans of the field all name one: a story that was never seen to go wrong says nothing.

use std::collections::BTreeSet;
use std::path::Path;

use quintain_sim::plan::{Plan, Profile};
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

/// What a plan is made of, by name: its faults, attacks and verbs.
fn ingredients(plan: &Plan) -> BTreeSet<String> {
    let json = serde_json::to_value(plan).expect("a plan can be written");
    let all = |list: &serde_json::Value| list.as_array().cloned().unwrap_or_default();
    let word = |of: &serde_json::Value, key: &str| of[key].as_str().map(|word| format!("{key} {word}"));
    let mut names = BTreeSet::new();
    for fault in all(&json["faults"]) {
        names.extend([word(&fault, "fault"), word(&fault, "what")].into_iter().flatten());
    }
    for initiator in all(&json["initiators"]) {
        names.extend(all(&initiator["steps"]).iter().filter_map(|step| word(step, "verb")));
        names.extend(all(&initiator["hostile"]["attacks"]).iter().filter_map(|step| word(step, "attack")));
    }
    names
}

#[test]
fn plans_of_the_field_are_seen_to_fail_and_made_of_what_the_generator_draws() {
    let field: Vec<_> = kept_plans().into_iter().filter(|(name, _)| name.contains("/field-")).collect();
    assert!(field.len() >= 20, "{} plans of the field", field.len());
    let mut missing: BTreeSet<String> = field.iter().flat_map(|(_, plan)| ingredients(plan)).collect();
    assert!(missing.len() > 20, "ingredients are found: {missing:?}");
    for (name, plan) in &field {
        assert!(plan.planted.is_some(), "{name}: no planted bug has its story");
    }
    for seed in 0..200 {
        let drawn = ingredients(&Plan::generate(seed, Profile::Full));
        missing.retain(|name| !drawn.contains(name));
    }
    assert!(missing.is_empty(), "the first 200 plans have none of these: {missing:?}");
}
