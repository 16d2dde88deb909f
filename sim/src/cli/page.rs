//! `page`: what many runs have shown, commit by commit, as one HTML page: for the wall of a team and the archive of CI.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::checkout::git;
use super::junit::escape;
use super::record::Record;
use super::{EXIT_BUG, EXIT_OK, EXIT_USAGE};
use crate::verdict::oracle_name;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:76em;padding:0 1em;color:#222}\
table{border-collapse:collapse;width:100%}td,th{padding:.35em .7em;border-bottom:1px solid #ccc;text-align:left;\
vertical-align:top}td.number{text-align:right}.good{color:#17693a}.bad{color:#b00020;font-weight:600}code{font-size:90%}";

/// What one commit has shown with one profile, and one planted bug or none.
#[derive(Debug, Default)]
struct Line {
    seeds: u64,
    real_ms: u64,
    /// By fingerprint: the seeds, and the first of them with the line that does it again.
    found: BTreeMap<String, (u64, u64, String)>,
    incomplete: bool,
}

/// Of which runs a line is: the place of the commit in history, the commit, the profile, the planted bug.
type Place = (usize, String, &'static str, Option<String>);

/// Writes the page of the records in `paths` to `out`; returns the exit code: that of a bug when the newest commit failed,
/// or a planted bug was not found.
pub(super) fn run(paths: &[PathBuf], out: &Path) -> u8 {
    let records: Result<Vec<Record>, String> = paths.iter().map(|path| Record::read(path)).collect();
    let lines = records.map(|records| lines(&records, &history()));
    let written = lines.and_then(|lines| {
        let write = std::fs::write(out, render(&lines));
        write.map(|()| lines).map_err(|error| format!("{} cannot be written: {error}", out.display()))
    });
    match written {
        Ok(lines) => {
            println!("{}: {} lines", out.display(), lines.len());
            if newest_is_well(&lines) { EXIT_OK } else { EXIT_BUG }
        }
        Err(message) => {
            eprintln!("{message}");
            EXIT_USAGE
        }
    }
}

/// The commits of this checkout, the newest first; none without one.
fn history() -> Vec<String> {
    git(".", &["rev-list", "--topo-order", "HEAD"])
        .map_or_else(Vec::new, |text| text.lines().map(str::to_owned).collect())
}

/// A commit that is not in `history` is taken for older than all that are, and for older than what was given after it.
fn lines(records: &[Record], history: &[String]) -> BTreeMap<Place, Line> {
    let mut lines: BTreeMap<Place, Line> = BTreeMap::new();
    for (number, record) in records.iter().enumerate() {
        let commit = record.origin.commit.clone().unwrap_or_default();
        let known = history.iter().position(|other| *other == commit);
        let first_given =
            records.iter().position(|other| other.origin.commit == record.origin.commit).unwrap_or(number);
        let age = known.unwrap_or(history.len() + records.len() - first_given);
        let name = record.origin.commit_name().unwrap_or_else(|| "no commit".to_owned());
        let place = (age, name, record.origin.profile.name(), record.origin.planted.clone());
        let line = lines.entry(place).or_default();
        line.seeds += record.outcome.seeds;
        line.real_ms += record.outcome.real_ms;
        line.incomplete |= record.outcome.incomplete;
        for (fingerprint, found) in &record.outcome.found {
            let (seeds, first, repro) =
                line.found.entry(fingerprint.clone()).or_insert_with(|| (0, found.seed, record.origin.repro(found)));
            *seeds += found.seeds;
            if found.seed < *first {
                (*first, *repro) = (found.seed, record.origin.repro(found));
            }
        }
    }
    lines
}

/// A run without a planted bug is to find nothing, a canary, which has one, something.
fn is_well((_, _, _, planted): &Place, line: &Line) -> bool {
    planted.is_some() != line.found.is_empty()
}

fn newest_is_well(lines: &BTreeMap<Place, Line>) -> bool {
    let newest = lines.keys().next().map(|place| place.0);
    lines.iter().filter(|(place, _)| Some(place.0) == newest).all(|(place, line)| is_well(place, line))
}

fn render(lines: &BTreeMap<Place, Line>) -> String {
    let mut html =
        format!("<!doctype html><html lang=en><meta charset=utf-8><title>quintain-sim</title><style>{STYLE}</style>");
    html += "<h1>quintain-sim</h1><table><tr><th>commit<th>profile<th>seeds<th>a second<th>what was found";
    for (place, line) in lines {
        let (_, commit, profile, planted) = place;
        let rate = (line.seeds * 1_000).checked_div(line.real_ms).unwrap_or(0);
        let class = if is_well(place, line) { "good" } else { "bad" };
        let canary = planted.as_ref().map(|name| format!(", canary <code>{}</code>", escape(name))).unwrap_or_default();
        let stopped = if line.incomplete { " (stopped early)" } else { "" };
        html += &format!(
            "<tr><td><code>{}</code><td>{profile}{canary}<td class=number>{}{stopped}<td class=number>{rate}<td>",
            escape(commit),
            line.seeds
        );
        if line.found.is_empty() {
            html += &format!("<span class={class}>{}</span>", if planted.is_some() { "NOT FOUND" } else { "nothing" });
        }
        for (fingerprint, (seeds, _, repro)) in &line.found {
            let oracle = fingerprint.split(' ').next().unwrap_or_default();
            html += &format!(
                "<div><span class={class}>{oracle} {}</span>: {seeds} seeds<br><code>{}</code></div>",
                escape(oracle_name(oracle)),
                escape(repro)
            );
        }
    }
    html + "</table></html>\n"
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    fn of(commit: &str, planted: Option<&str>, mut record: Record) -> Record {
        record.origin.commit = Some(commit.repeat(40));
        record.origin.planted = planted.map(str::to_owned);
        record
    }

    #[test]
    fn commits_come_newest_first_and_the_shards_of_one_are_added_up() {
        let history = ["b".repeat(40), "a".repeat(40)];
        let records = [
            of("a", None, record("0/2", 0, &[(4, "I5", "9 R2Ts <of> 8")])),
            of("c", None, record("0/1", 0, &[])),
            of("b", None, record("0/1", 0, &[])),
            of("a", None, record("1/2", 0, &[(3, "I5", "7 R2Ts <of> 8")])),
        ];
        let lines = lines(&records, &history);
        let html = render(&lines);
        let at = |commit: &str| html.find(&format!("commit {}", commit.repeat(12))).expect("it is there");
        assert!(at("b") < at("a") && at("a") < at("c"), "{html}");
        assert!(html.contains("<td class=number>20<") && html.contains("I5 R2T</span>: 2 seeds"), "{html}");
        assert!(html.contains("cargo sim repro 0x3 --profile lite"), "the first seed stays: {html}");
        assert!(newest_is_well(&lines));
    }

    #[test]
    fn canary_is_well_when_it_is_found() {
        let history = ["a".repeat(40)];
        let alive = of("a", Some("zombie-write"), record("0/1", 0, &[(4, "B2", "x")]));
        let dead = of("a", Some("fua-ignored"), record("0/1", 0, &[]));
        assert!(newest_is_well(&lines(std::slice::from_ref(&alive), &history)));
        let both = lines(&[alive, dead], &history);
        assert!(!newest_is_well(&both));
        assert!(render(&both).contains("<span class=bad>NOT FOUND"));
    }
}
