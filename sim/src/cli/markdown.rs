//! A summary in Markdown, as the page of a CI job shows it.

use super::merge::Total;
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
    total.missing.iter().for_each(|line| text.push_str(&format!("**{line}**\n\n")));
    if total.found.is_empty() {
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
    use super::super::record::tests::record;
    use super::*;

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
