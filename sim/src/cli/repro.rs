//! `repro`: one run, told in full.

use std::fs::File;
use std::path::PathBuf;

use super::{EXIT_BUG, EXIT_NOT_DETERMINISTIC, EXIT_OK, EXIT_USAGE};
use crate::plan::{Plan, Profile, parse_seed};
use crate::runner::{self, Options};
use crate::verdict::{Verdict, oracle_name};

/// Runs the seed or the plan file `what`; returns the exit code.
pub(super) fn run(what: &str, trace: Option<PathBuf>, profile: Profile, planted: Option<String>) -> u8 {
    let plan = match load(what, profile, planted.as_deref()) {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("{message}");
            return EXIT_USAGE;
        }
    };
    let file = match trace.as_ref().map(File::create).transpose() {
        Ok(file) => file,
        Err(error) => {
            eprintln!("the trace file cannot be written ({error}); name another one with --trace");
            return EXIT_USAGE;
        }
    };
    let watch = file.map(|file| super::trace::write_to(&plan, file));
    println!("{}", describe(&plan));
    let verdict = runner::run(&plan, Options { watch, ..Options::default() });
    let again = runner::run(&plan, Options::default());
    tell(&verdict);
    if again.trace_hash != verdict.trace_hash {
        println!("S7: a second run has the hash {:032x}", again.trace_hash);
        print!("{}", super::trace::part(&plan));
        return EXIT_NOT_DETERMINISTIC;
    }
    let Some(failure) = verdict.failures.first() else {
        println!("passed");
        return EXIT_OK;
    };
    println!("cargo sim repro {what}{}   # {} {}", flags(what, &plan), failure.oracle, oracle_name(failure.oracle));
    EXIT_BUG
}

/// The plan of a seed, or of a file, with the bug `planted` instead of its own.
pub(super) fn load(what: &str, profile: Profile, planted: Option<&str>) -> Result<Plan, String> {
    let mut plan = if what.ends_with(".toml") { read(what)? } else { Plan::generate(parse_seed(what)?, profile) };
    if let Some(name) = planted {
        plan.planted = Some(name.to_owned());
    }
    Ok(plan)
}

fn read(file: &str) -> Result<Plan, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file} cannot be read: {error}"))?;
    let plan = Plan::from_toml(&text).map_err(|error| format!("{file} is not a plan: {error}"))?;
    match plan.planted.as_deref().map(super::planted_name) {
        Some(Err(message)) => Err(format!("{file}: {message}")),
        _ => Ok(plan),
    }
}

fn describe(plan: &Plan) -> String {
    let steps: usize = plan.initiators.iter().map(|initiator| initiator.steps.len()).sum();
    let mut text = format!(
        "seed {:#x} · profile {} · {} initiators with {steps} steps · {} logical units · {} shards · {} faults",
        plan.seed,
        plan.profile.name(),
        plan.initiators.len(),
        plan.units.len(),
        plan.target.shards,
        plan.faults.len(),
    );
    if let Some(name) = &plan.planted {
        text.push_str(" · planted ");
        text.push_str(name);
    }
    text
}

fn tell(verdict: &Verdict) {
    let stats = &verdict.stats;
    println!(
        "{} commands ({} GOOD), {} faults struck, {} logins, {} events, {}.{:03} s of virtual time, trace hash {:032x}",
        stats.commands,
        stats.good,
        stats.faults,
        stats.logins,
        stats.events,
        stats.virtual_us / 1_000_000,
        stats.virtual_us / 1_000 % 1_000,
        verdict.trace_hash,
    );
    verdict.failures.iter().for_each(|failure| println!("  {failure}"));
}

fn flags(what: &str, plan: &Plan) -> String {
    let mut flags = String::new();
    if !what.ends_with(".toml") {
        flags = format!(" --profile {}", plan.profile.name());
    }
    if let Some(name) = &plan.planted {
        flags.push_str(" --planted ");
        flags.push_str(name);
    }
    flags
}
