//! The oracles are tested before any seed runs (S10): each rule must reject a case made to break it, by its own name,
//! and must accept the legal cases that look most like it.

mod conversations;
mod counts;
mod event_streams;
mod histories;
mod isolation;
mod story;
mod talk;

use super::{Finding, check_history};

/// A case with the rule that must reject it; `None` when all must accept it.
pub(crate) struct Case<T> {
    /// What happens in it.
    pub(crate) name: &'static str,
    /// The rule that it breaks.
    pub(crate) breaks: Option<&'static str>,
    /// The input of the oracle.
    pub(crate) input: T,
}

/// Tries every case on its oracle. `Ok` with the number of cases.
///
/// # Errors
/// A line for each case that was judged wrongly: which one, and what the oracle said.
pub fn self_test() -> Result<usize, String> {
    let mut verdicts = vec![];
    verdicts.extend(histories::cases().iter().map(|case| judge(case, &check_history(&case.input.history()))));
    verdicts.extend(event_streams::cases().iter().map(|case| judge(case, &event_streams::findings(&case.input))));
    verdicts.extend(counts::cases().iter().map(|case| judge(case, &case.input.findings())));
    verdicts.extend(conversations::cases().iter().map(|case| judge(case, &case.input.findings())));
    verdicts.extend(crate::trace::self_test());
    let cases = verdicts.len();
    let wrong: Vec<_> = verdicts.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(cases) } else { Err(wrong.join("\n")) }
}

fn judge<T>(case: &Case<T>, findings: &[Finding]) -> Result<(), String> {
    let name = case.name;
    match case.breaks {
        None => match findings.first() {
            None => Ok(()),
            Some(finding) => Err(format!("\"{name}\" is legal, yet {finding}")),
        },
        Some(rule) if findings.iter().any(|finding| finding.oracle == rule) => Ok(()),
        Some(rule) => Err(format!("\"{name}\" breaks {rule}, which did not notice; found: {findings:?}")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn oracles_reject_every_planted_anomaly_and_accept_every_legal_case() {
        if let Err(wrong) = super::self_test() {
            panic!("{wrong}");
        }
    }
}
