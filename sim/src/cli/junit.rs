//! JUnit XML: a suite for each record (a shard), in it a case for each oracle.

use super::record::{Found, Record};
use crate::verdict::{ORACLES, oracle_name};

/// The whole file.
pub(super) fn render(records: &[Record]) -> String {
    let suites: Vec<Suite> = records.iter().map(Suite::of).collect();
    let (tests, failures) =
        suites.iter().fold((0, 0), |(tests, failures), suite| (tests + suite.tests, failures + suite.failures));
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"quintain-sim\" tests=\"{tests}\" failures=\"{failures}\">\n"
    );
    suites.iter().for_each(|suite| text.push_str(&suite.text));
    text + "</testsuites>\n"
}

struct Suite {
    tests: usize,
    failures: usize,
    text: String,
}

impl Suite {
    fn of(record: &Record) -> Self {
        let (origin, outcome) = (&record.origin, &record.outcome);
        let found = outcome.in_order(origin.seed_base);
        let named = ORACLES.iter().map(|(id, _)| *id);
        let mut oracles: Vec<&str> = named.chain(found.iter().map(|(_, found)| found.oracle.as_str())).collect();
        oracles.sort_unstable();
        oracles.dedup();
        let name = format!("{} shard {}", origin.profile.name(), origin.shard);
        let (mut failures, mut cases) = (0, String::new());
        for oracle in &oracles {
            let own: Vec<_> = found.iter().filter(|(_, found)| found.oracle == *oracle).collect();
            let case = format!("{oracle} {}", oracle_name(oracle));
            cases.push_str(&format!("    <testcase classname=\"{}\" name=\"{}\"", escape(&name), escape(&case)));
            let Some((fingerprint, _)) = own.first() else {
                cases.push_str("/>\n");
                continue;
            };
            failures += 1;
            let told: String = own.iter().map(|(_, found)| tell(record, found)).collect();
            cases.push_str(&format!(
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                escape(fingerprint),
                escape(&told)
            ));
        }
        let tests = oracles.len();
        let text = format!(
            "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" hostname=\"{}\" time=\"{}.{:03}\">\n\
             {cases}    <system-out>{} seeds</system-out>\n  </testsuite>\n",
            escape(&name),
            escape(&origin.host),
            outcome.real_ms / 1_000,
            outcome.real_ms % 1_000,
            outcome.seeds,
        );
        Self { tests, failures, text }
    }
}

fn tell(record: &Record, found: &Found) -> String {
    format!(
        "{} seeds, first {:#x}\n{}\n{}\n",
        found.seeds,
        found.seed,
        found.stories.join("\n"),
        record.origin.repro(found)
    )
}

/// Text as XML 1.0 may hold it.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control < ' ' && control != '\n' => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn case_of_each_oracle_and_shard_and_the_repro_line_in_a_failure() {
        let records = [record("0/2", 0, &[]), record("1/2", 0, &[(3, "I5", "9 R2Ts < \"8\" & more\u{1b}")])];
        let text = render(&records);
        assert_eq!(text.matches("<testcase ").count(), 2 * ORACLES.len());
        assert_eq!(text.matches("<failure ").count(), 1);
        assert!(text.contains("failures=\"1\""), "{text}");
        assert!(text.contains("N R2Ts &lt; &quot;N&quot; &amp; more?\">"), "{text}");
        assert!(text.contains("cargo sim repro 0x3 --profile lite   # I5 R2T\n"), "{text}");
    }
}
