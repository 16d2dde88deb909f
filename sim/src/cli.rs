//! The command line.

#[macro_use]
mod out;

mod batch;
mod bisect;
mod checkout;
mod coverage;
mod exhaust;
mod explain;
mod files;
mod junit;
mod markdown;
mod merge;
mod mutants;
mod page;
mod pcap;
mod probes;
mod record;
mod report;
mod repro;
mod run;
mod shard;
mod shrink;
mod timeline;
mod trace;
mod watch;

use std::io::Write;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use quintain_core::planted;

use crate::oracle;
use crate::plan::{Plan, Profile, parse_seed};
use crate::shrink::Budget;
use crate::strikes;

/// All is well.
const EXIT_OK: u8 = 0;
/// The command line, or a file that it names, is not right.
const EXIT_USAGE: u8 = 1;
/// A bug was found.
const EXIT_BUG: u8 = 42;
/// Two runs of one plan differ.
const EXIT_NOT_DETERMINISTIC: u8 = 43;
/// The checker does not find what was planted into histories.
const EXIT_CHECKER: u8 = 44;
/// A moment that matters was never reached, in seeds that are enough for it.
const EXIT_NOT_REACHED: u8 = 45;
/// Nobody reads what it prints any more: as a shell tells of what SIGPIPE ended.
const EXIT_UNHEARD: u8 = 141;
/// It was told to stop, or shards of it are not there; what there is found nothing.
const EXIT_INCOMPLETE: u8 = 130;

/// Runs the Quintain iSCSI target in a simulated world, seed by seed, with faults.
#[derive(Parser)]
#[command(name = "quintain-sim", bin_name = "cargo sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds and stops at the first that fails.
    Run(Box<run::Arguments>),
    /// Adds up the results of many shards: totals, and the first failure of each kind.
    Merge {
        /// What `run --json` wrote.
        #[arg(required = true)]
        results: Vec<PathBuf>,
        #[command(flatten)]
        files: files::Files,
    },
    /// Writes a page of what runs of many commits have shown.
    Page {
        /// What `run --json` wrote; of commits that this checkout does not know, the oldest first.
        #[arg(required = true)]
        results: Vec<PathBuf>,
        /// Where to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Runs a plan again whenever it or the code changes.
    Watch {
        /// The plan.
        plan: PathBuf,
        /// End after so many runs.
        #[arg(long, hide = true)]
        runs: Option<u64>,
    },
    /// Makes the plan of a failure as small as it gets while it breaks the same rule.
    Shrink {
        /// A seed (0x1f) or a plan (repro/0x1f.toml).
        what: String,
        /// Where to write the small plan; repro/0x1f.small.toml if not given.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Real time, in seconds.
        #[arg(long, default_value_t = 60)]
        shrink_time: u64,
        /// Runs, at most: unlike the time, they come to the same on every machine.
        #[arg(long)]
        shrink_runs: Option<u64>,
        #[command(flatten)]
        common: Common,
    },
    /// Runs one seed, or one plan from a file, and tells what was wrong.
    Repro {
        /// A seed (0x1f) or a plan (repro/0x1f.toml).
        what: String,
        /// Writes every event to this file, one line of JSON each.
        #[arg(long)]
        trace: Option<PathBuf>,
        /// How big the run of a seed is; a plan from a file says so itself.
        #[arg(long, value_enum, default_value_t = Profile::Full)]
        profile: Profile,
        /// Plants this bug.
        #[arg(long, value_parser = planted_name)]
        planted: Option<String>,
    },
    /// Tells which parts of a failing plan the failure needs, and when its faults have to strike.
    Explain {
        /// A seed (0x1f) or a plan (repro/0x1f.small.toml).
        what: String,
        #[command(flatten)]
        common: Common,
    },
    /// Finds the commit since which a plan fails, with `git bisect` in a worktree of its own.
    Bisect {
        /// The plan (repro/0x1f.small.toml); it has to fail at the bad commit and to pass at the good one.
        plan: PathBuf,
        /// A commit where it passes.
        #[arg(long)]
        good: String,
        /// A commit where it fails.
        #[arg(long, default_value = "HEAD")]
        bad: String,
    },
    /// Runs short workloads with one fault at every place where it can strike.
    Exhaust {
        /// How many runs at a time; all processors if not given.
        #[arg(long)]
        jobs: Option<NonZeroUsize>,
        /// Plants this bug.
        #[arg(long, value_parser = planted_name)]
        planted: Option<String>,
    },
    /// Checks the checker: planted anomalies must be rejected, good histories accepted. And each kind of fault has to do
    /// something.
    SelfTest,
    /// Measures the simulator's power: how many seeds until each planted bug is found.
    Mutants {
        /// Seeds to try for each bug.
        #[arg(long, default_value_t = 2_000)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value = "0x0", value_parser = parse_seed)]
        seed_base: u64,
        /// How often to try each bug, with other seeds each time.
        #[arg(long, default_value = "1")]
        repeats: NonZeroU64,
        /// Only this bug.
        #[arg(long, value_parser = planted_name)]
        only: Option<String>,
        /// Writes what each try came to into this file, as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
        /// How many seeds at a time.
        #[arg(long)]
        jobs: Option<NonZeroUsize>,
        /// How big each run is.
        #[arg(long, value_enum, default_value_t = Profile::Full)]
        profile: Profile,
        /// In every seed tasks run by priorities that change now and then, and never in any order.
        #[arg(long)]
        priorities: bool,
        /// Measures instead how small the first failure of each bug becomes.
        #[arg(long, conflicts_with = "repeats")]
        shrink: bool,
        /// Real time for making each smaller, in seconds.
        #[arg(long, default_value_t = 60, requires = "shrink")]
        shrink_time: u64,
    },
    /// Shows what happened in a run, in short lines; or where two runs part.
    Trace(trace::TraceArgs),
    /// Draws a run as one HTML page: open it in any browser.
    Timeline(timeline::TimelineArgs),
    /// Writes what passes on the simulated wire into a capture file (pcapng), for Wireshark and tshark.
    Pcap(pcap::PcapArgs),
    /// Measures how many seeds it takes until each probe is hit: a rare moment that the oracles are there for.
    Probes(Sample),
    /// Shows what the seeds reach: what plans ask for (verbs and pairs of verbs, attacks, faults), and the cells of core's
    /// state machines that their runs have been in.
    Coverage(Sample),
    /// Prints the plan of a seed.
    Plan {
        /// The seed.
        #[arg(value_parser = parse_seed)]
        seed: u64,
        /// How big the run is.
        #[arg(long, value_enum, default_value_t = Profile::Full)]
        profile: Profile,
    },
}

/// Seeds that are all run, whatever they find.
#[derive(Args)]
struct Sample {
    /// How many seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value = "0x0", value_parser = parse_seed)]
    seed_base: u64,
    /// How many seeds at a time.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// How big each run is.
    #[arg(long, value_enum, default_value_t = Profile::Full)]
    profile: Profile,
}

impl Sample {
    fn batch(&self) -> batch::Batch {
        let &Self { seeds, seed_base, jobs: count, profile } = self;
        let failures = usize::MAX;
        batch::Batch { failures, ..batch::Batch::first_failure(seeds, seed_base, jobs(count), profile, None) }
    }
}

#[derive(Args, Clone)]
struct Common {
    /// How many seeds at a time; all processors if not given.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// How big each run is.
    #[arg(long, value_enum, default_value_t = Profile::Full)]
    profile: Profile,
    /// Plants this bug.
    #[arg(long, value_parser = planted_name)]
    planted: Option<String>,
}

/// Runs the command line and says how the process ends.
#[must_use]
pub fn main() -> ExitCode {
    let code = match Cli::try_parse() {
        Ok(cli) => dispatch(cli.command),
        Err(error) => {
            let usage = error.use_stderr();
            drop(error.print());
            if usage { EXIT_USAGE } else { EXIT_OK }
        }
    };
    drop(std::io::stdout().flush());
    ExitCode::from(code)
}

fn dispatch(command: Command) -> u8 {
    match command {
        Command::Run(arguments) => self_test_first(|| run::run(*arguments)),
        Command::Merge { results, files } => merge::run(&results, &files),
        Command::Page { results, out } => page::run(&results, &out),
        Command::Watch { plan, runs } => watch::run(&plan, runs),
        Command::Shrink { what, out, shrink_time, shrink_runs, common } => self_test_first(|| {
            let (time, runs) = (Duration::from_secs(shrink_time), shrink_runs.unwrap_or(u64::MAX));
            let budget = Budget { jobs: jobs(common.jobs), time, runs };
            shrink::run(&what, common.profile, common.planted, out, budget)
        }),
        Command::Repro { what, trace, profile, planted } => {
            self_test_first(|| repro::run(&what, trace, profile, planted))
        }
        Command::Explain { what, common } => {
            self_test_first(|| explain::run(&what, common.profile, common.planted, jobs(common.jobs)))
        }
        Command::Bisect { plan, good, bad } => bisect::run(&plan, &good, &bad),
        Command::Exhaust { jobs: count, planted } => self_test_first(|| exhaust::run(jobs(count), planted.as_deref())),
        Command::SelfTest => self_test_first(faults_strike),
        Command::Mutants {
            seeds,
            seed_base,
            repeats,
            only,
            json,
            jobs: count,
            profile,
            priorities,
            shrink,
            shrink_time,
        } => {
            let (repeats, jobs) = (repeats.get(), jobs(count));
            let effort = mutants::Effort { seeds, seed_base, repeats, jobs, profile, priorities };
            let (only, json) = (only.as_deref(), json.as_deref());
            let budget = Budget { jobs, time: Duration::from_secs(shrink_time), runs: u64::MAX };
            self_test_first(|| match shrink {
                true => mutants::shrink(&effort, budget, only, json),
                false => mutants::run(&effort, only, json),
            })
        }
        Command::Timeline(args) => timeline::run(&args),
        Command::Pcap(args) => pcap::run(&args),
        Command::Trace(args) => trace::run(args),
        Command::Probes(sample) => self_test_first(|| probes::run(&sample.batch())),
        Command::Coverage(sample) => self_test_first(|| coverage::run(&sample.batch())),
        Command::Plan { seed, profile } => {
            print!("{}", Plan::generate(seed, profile).to_toml());
            EXIT_OK
        }
    }
}

fn self_test() -> u8 {
    match oracle::self_test() {
        Ok(checks) => {
            println!("self-test: {checks} checks of the checker passed");
            EXIT_OK
        }
        Err(story) => {
            println!("self-test: the checker is wrong (S10)\n{story}");
            EXIT_CHECKER
        }
    }
}

/// Each kind of fault does something: too slow to come before each run.
fn faults_strike() -> u8 {
    match strikes::check(None) {
        Ok(kinds) => {
            println!("self-test: each of {kinds} kinds of fault does something");
            EXIT_OK
        }
        Err(story) => {
            println!("self-test: the simulator is wrong (S9)\n{story}");
            EXIT_CHECKER
        }
    }
}

fn self_test_first(then: impl FnOnce() -> u8) -> u8 {
    match self_test() {
        EXIT_OK => then(),
        code => code,
    }
}

fn jobs(asked: Option<NonZeroUsize>) -> usize {
    asked.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

fn planted_name(name: &str) -> Result<String, String> {
    if planted::CATALOGUE.iter().any(|entry| entry.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = planted::CATALOGUE.iter().map(|entry| entry.name).collect();
    Err(format!("no planted bug is called that; there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// The help once told other sizes than the table.
    #[test]
    fn help_tells_the_sizes_of_profiles_that_the_documentation_tells() {
        let table = include_str!("../../docs/SIMULATION.md");
        for profile in Profile::value_variants() {
            let row = table.lines().find(|line| line.starts_with(&format!("| `{}`", profile.name()))).expect("a row");
            let value = profile.to_possible_value().expect("it is on the command line");
            let help = value.get_help().expect("there is help").to_string();
            let numbers = |text: &str| -> Vec<String> {
                let parts = text.split(|character: char| !character.is_ascii_digit() && character != ',');
                parts.map(|part| part.replace(',', "")).filter(|part| !part.is_empty()).collect()
            };
            let (row, help) = (numbers(row), numbers(&help));
            assert!(help.iter().all(|number| row.contains(number)), "{}: {help:?}, {row:?}", profile.name());
        }
    }
}
