//! Core's unlikely choices (`core/src/buggify.rs`): plans have them, runs make them, and nobody may complain.

use quintain_sim::buggify::{CATALOGUE, Entry, Fires};
use quintain_sim::plan::{Plan, Profile};
use quintain_sim::runner::{self, Options};

/// Within so many lite seeds every site fires; 34 do.
const SEEDS: u64 = 100;

fn never(fires: &Fires) -> Vec<&'static str> {
    CATALOGUE.iter().filter(|entry| fires.of(entry.site) == 0).map(|entry| entry.name).collect()
}

#[test]
fn every_site_fires_within_a_hundred_seeds() {
    let mut fires = Fires::default();
    for seed in 0..SEEDS {
        let verdict = runner::run(&Plan::generate(seed, Profile::Lite), Options::default());
        assert_eq!(verdict.failures, [], "seed {seed:#x}");
        fires.add(&verdict.stats.fires);
        if never(&fires).is_empty() {
            return;
        }
    }
    panic!("these never fire: {:?}", never(&fires));
}

#[test]
fn site_is_in_a_quarter_of_three_quarters_of_the_plans() {
    let plans: Vec<Plan> = (0..400).map(|seed| Plan::generate(seed, Profile::Lite)).collect();
    let calm = plans.iter().filter(|plan| plan.buggify.is_empty()).count();
    assert!((70..130).contains(&calm), "{calm} of 400 plans have none");
    for Entry { site, name, .. } in CATALOGUE {
        let with = plans.iter().filter(|plan| plan.buggify.contains(site)).count();
        assert!((40..110).contains(&with), "{with} of 400 plans have {name}");
    }
}

#[test]
fn all_sites_together_are_legal_too_and_none_fires_in_a_calm_plan() {
    for seed in 0..6 {
        let all = CATALOGUE.iter().map(|entry| entry.site).collect();
        let wild = Plan { buggify: all, ..Plan::generate(seed, Profile::Lite) };
        assert_eq!(runner::run(&wild, Options::default()).failures, [], "seed {seed:#x} with all sites");
        let calm = runner::run(&Plan { buggify: Vec::new(), ..wild }, Options::default());
        assert_eq!(calm.failures, [], "seed {seed:#x} without any");
        assert_eq!(calm.stats.fires, Fires::default());
    }
}

#[test]
fn plan_names_its_sites_and_refuses_one_that_is_not_there() {
    let mut plan = Plan::generate(0, Profile::Lite);
    plan.buggify = vec![CATALOGUE[0].site, CATALOGUE[9].site];
    let text = plan.to_toml();
    let line = format!("buggify = [\"{}\", \"{}\"]", CATALOGUE[0].name, CATALOGUE[9].name);
    assert!(text.contains(&line), "{text}");
    assert!(Plan::from_toml(&text).is_ok_and(|read| read == plan));
    let error = Plan::from_toml(&text.replace(CATALOGUE[9].name, "no-such-site")).expect_err("it is not there");
    assert!(error.contains("no site is called no-such-site"), "{error}");
}
