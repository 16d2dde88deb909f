//! `trace`: what happened in a run, in short lines; `trace diff`: where two runs part.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc;

use clap::{Args, Subcommand};

use super::repro::load;
use super::{EXIT_NOT_DETERMINISTIC, EXIT_OK, EXIT_USAGE};
use crate::plan::{Plan, Profile};
use crate::runner::{self, Options};
use crate::trace::{Difference, Entry, Filter, Follow, Line, Recorder, Watch, difference, line};
use crate::verdict::Verdict;

/// What to show of which run.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct TraceArgs {
    #[command(subcommand)]
    diff: Option<Comparison>,
    /// A trace (t.jsonl), a plan (repro/0x1f.toml) or a seed (0x1f).
    #[arg(required = true)]
    what: Option<String>,
    /// Only events whose line or JSON contains this.
    #[arg(long)]
    grep: Option<String>,
    /// Only events about this, and what led to them: itt=0x12, op=41, connection=3, lun=1 or initiator=0. All that are
    /// given must hold.
    #[arg(long)]
    follow: Vec<Follow>,
    /// Only from this virtual time on, in microseconds.
    #[arg(long, value_name = "US")]
    from: Option<u64>,
    /// Only up to this virtual time, in microseconds.
    #[arg(long, value_name = "US")]
    to: Option<u64>,
    /// The passing of bytes, too.
    #[arg(long)]
    bytes: bool,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand)]
enum Comparison {
    /// Shows the first event that differs, with what is around it. A seed or a plan is run anew each time it is named.
    Diff {
        /// A trace, a plan or a seed.
        one: String,
        /// Another, or the same once more.
        other: String,
        #[command(flatten)]
        run: RunArgs,
    },
}

/// How a seed is run.
#[derive(Args, Clone)]
pub(super) struct RunArgs {
    /// How big the run of a seed is; a plan from a file says so itself.
    #[arg(long, value_enum, default_value_t = Profile::Full)]
    pub(super) profile: Profile,
    /// Plants this bug.
    #[arg(long, value_parser = super::planted_name)]
    pub(super) planted: Option<String>,
}

impl RunArgs {
    /// The plan that `what` names.
    pub(super) fn plan(&self, what: &str) -> Result<Plan, String> {
        load(what, self.profile, self.planted.as_deref())
    }
}

/// Shows a trace, or the difference of two; returns the exit code.
pub(super) fn run(args: TraceArgs) -> u8 {
    let result = match args.diff {
        Some(Comparison::Diff { one, other, run }) => compare(&one, &other, &run),
        None => {
            let filter =
                Filter { grep: args.grep, follow: args.follow, from_us: args.from, to_us: args.to, bytes: args.bytes };
            entries(&args.what.unwrap_or_default(), &args.run).map(|entries| {
                print(filter.apply(&entries));
                EXIT_OK
            })
        }
    };
    result.unwrap_or_else(|message| {
        eprintln!("{message}");
        EXIT_USAGE
    })
}

fn compare(one: &str, other: &str, run: &RunArgs) -> Result<u8, String> {
    let (first, second) = (entries(one, run)?, entries(other, run)?);
    Ok(match difference(&first, &second) {
        None => {
            println!("both have the same {} events", first.len());
            EXIT_OK
        }
        Some(difference) => {
            print!("{}", tell(&difference, one, other));
            EXIT_NOT_DETERMINISTIC
        }
    })
}

/// Runs `plan` and gives all that happened.
pub(super) fn record(plan: &Plan) -> (Verdict, Vec<Entry>) {
    let (sender, entries) = mpsc::channel();
    // Nobody is there to hear only when nobody wants to know any more.
    let watch = Recorder::new(plan, move |entry| drop(sender.send(entry)));
    let verdict = runner::run(plan, Options { watch: Some(Box::new(watch)), ..Options::default() });
    (verdict, entries.try_iter().collect())
}

/// Writes each event of a run of `plan` into `file`.
pub(super) fn write_to(plan: &Plan, file: File) -> Box<dyn Watch> {
    let mut file = BufWriter::new(file);
    // The trace is a help for a human; a full disk must not change the run.
    Box::new(Recorder::new(plan, move |entry| drop(writeln!(file, "{}", entry.to_json()))))
}

/// Runs `plan` twice and tells where the two runs part, if they do.
pub(super) fn part(plan: &Plan) -> String {
    let (one, other) = (record(plan).1, record(plan).1);
    match difference(&one, &other) {
        Some(difference) => tell(&difference, "one run", "another run"),
        None => {
            format!("two more runs were the same in all {} events; try again with `cargo sim trace diff`\n", one.len())
        }
    }
}

fn tell(difference: &Difference, one: &str, other: &str) -> String {
    let mut text = "the first event that differs, behind what both have:\n".to_owned();
    difference.before.iter().for_each(|entry| text.push_str(&format!("  {}\n", line(entry))));
    for (name, sign, side) in [(one, '-', &difference.one), (other, '+', &difference.other)] {
        text.push_str(&format!("{sign} {name}\n"));
        if side.is_empty() {
            text.push_str(&format!("{sign}   (ends here)\n"));
        }
        side.iter().for_each(|entry| text.push_str(&format!("{sign} {}\n", line(entry))));
    }
    let sides = difference.one.first().zip(difference.other.first());
    if let Some((one, other)) = sides.filter(|(one, other)| line(one) == line(other)) {
        text.push_str(&format!("- {}\n+ {}\n", one.to_json(), other.to_json()));
    }
    text
}

/// All events of the trace, plan or seed `what`.
fn entries(what: &str, run: &RunArgs) -> Result<Vec<Entry>, String> {
    if what.ends_with(".toml") || !Path::new(what).is_file() {
        return Ok(record(&run.plan(what)?).1);
    }
    let unreadable = |error| format!("{what} cannot be read: {error}");
    let lines = BufReader::new(File::open(what).map_err(unreadable)?).lines();
    let entry = |(number, text): (usize, std::io::Result<String>)| {
        let wrong = |error| format!("{what}, line {number}: {error}");
        Entry::from_json(&text.map_err(unreadable)?).map_err(wrong)
    };
    (1..).zip(lines).map(entry).collect()
}

/// Prints short lines; with colours on a terminal.
fn print(entries: Vec<&Entry>) {
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    super::out::write(|out| {
        let mut out = BufWriter::new(out);
        entries.into_iter().try_for_each(|entry| print_one(&mut out, entry, coloured))?;
        out.flush()
    });
}

fn print_one(out: &mut impl Write, entry: &Entry, coloured: bool) -> std::io::Result<()> {
    let colour = match Line::of(entry) {
        Line::Failure => "\x1b[1;31m",
        Line::Fault => "\x1b[33m",
        Line::Wire => "\x1b[36m",
        Line::World => "\x1b[1m",
        Line::Plain => "",
    };
    let (on, off) = if coloured && !colour.is_empty() { (colour, "\x1b[0m") } else { ("", "") };
    writeln!(out, "{on}{}{off}", line(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, crc32c: u32) -> Entry {
        let (entity, kind) = ("connection 1".into(), "bytes-sent".into());
        Entry { seq, entity, kind, length: Some(48), crc32c: Some(crc32c), ..Entry::default() }
    }

    #[test]
    fn runs_that_part_are_told_from_both_sides() {
        let one = [entry(0, 1), entry(1, 2), entry(2, 3)];
        let other = [entry(0, 1), entry(1, 9)];
        let told = tell(&difference(&one, &other).expect("they differ"), "a.jsonl", "b.jsonl");
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[1].starts_with("  ") && lines[1].ends_with("crc32c 0x1"), "{told}");
        assert_eq!((lines[2], lines[5]), ("- a.jsonl", "+ b.jsonl"));
        assert!(lines[3].starts_with("- ") && lines[3].ends_with("crc32c 0x2"), "{told}");
        assert!(lines[6].starts_with("+ ") && lines[6].ends_with("crc32c 0x9"), "{told}");
        assert_eq!(lines.len(), 7, "{told}");
    }

    #[test]
    fn what_a_line_does_not_show_is_told_as_json() {
        let (mut one, mut other) = (entry(0, 1), entry(0, 1));
        (one.nexus, other.nexus) = (Some(1), Some(2));
        let told = tell(&difference(&[one], &[other]).expect("they differ"), "a", "b");
        assert!(told.contains("\"nexus\":1") && told.contains("\"nexus\":2"), "{told}");
    }
}
