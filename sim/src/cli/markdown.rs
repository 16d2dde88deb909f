//! A summary in Markdown, as the page of a CI job shows it.

use super::merge::Total;
use super::probes::missed;
use super::record::Record;
use super::report::banner;

/// The whole summary.
pub(super) fn render(records: &[Record]) -> String {
    let total = Total::of(records);
    let verdict = match total.found.len() {
        0 => "all passed".to_owned(),
        1 => "**1 kind of failure**".to_owned(),
        many => format!("**{many} kinds of failure**"),
    };
    let mut text = format!("### quintain-sim: {} seeds, {verdict}\n\n", total.outcome.seeds);
    let shown = records.first().map(|record| banner(&record.origin)).unwrap_or_default();
    text.push_str(&format!("{shown}\n\n"));
    // A shard that tells of itself misses nobody.
    let absent = total.absent.iter().filter(|_| records.len() > 1);
    absent.chain(&total.stopped).for_each(|line| text.push_str(&format!("**{line}**\n\n")));
    if total.found.is_empty() {
        let missed = records.first().map(|record| missed(&record.origin, &total.outcome)).unwrap_or_default();
        missed.iter().for_each(|line| text.push_str(&format!("**{line}**\n\n")));
        return text;
    }
    text.push_str("| rule | seeds | first seed | what happened |\n| --- | --- | --- | --- |\n");
    for (_, found) in &total.found {
        let story = found.stories.first().map(String::as_str).unwrap_or_default();
        text.push_str(&format!("| {} | {} | `{:#x}` | {} |\n", found.oracle, found.seeds, found.seed, cell(story)));
    }
    text.push_str("\n```sh\n");
    total.repro.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    text + "```\n\n"
}

/// Text as the cell of a table may hold it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::super::probes::tests::all_but_one;
    use super::super::record::tests::record;
    use super::*;
    use crate::plan::Profile;

    #[test]
    fn what_a_result_lacks_is_told() {
        let mut half = record("0/2", 0, &[]);
        assert!(!render(&[half.clone()]).contains("missing"), "the others tell of themselves");
        half.origin.profile = Profile::Full;
        half.outcome = all_but_one(2_000);
        half.outcome.incomplete = true;
        let text = render(&[half.clone(), Record { origin: record("0/3", 1, &[]).origin, ..half }]);
        assert!(text.contains("**1 of 2 shards are missing: 1**\n"), "{text}");
        assert!(text.contains("**shard 0/2 was stopped before its end**\n"), "{text}");
        assert_eq!(text.matches("**never hit (S9): ").count(), 1, "{text}");
    }

    #[test]
    fn row_and_repro_line_of_each_fingerprint() {
        assert!(render(&[record("0/1", 0, &[])]).starts_with("### quintain-sim: 10 seeds, all passed\n"));
        let failed =
            [record("0/2", 0, &[(4, "I5", "9 | R2Ts")]), record("1/2", 0, &[(3, "I5", "7 | R2Ts"), (5, "B2", "x")])];
        let text = render(&failed);
        assert!(text.starts_with("### quintain-sim: 20 seeds, **2 kinds of failure**\n"), "{text}");
        assert!(text.contains("| I5 | 2 | `0x3` | I5 R2T: 7 \\| R2Ts |\n"), "{text}");
        assert!(text.contains("```sh\ncargo sim repro 0x3 --profile lite   # I5 R2T\ncargo sim repro 0x5"), "{text}");
    }
}
