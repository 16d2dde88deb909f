//! What generated plans ask for: each verb, each pair of verbs that one initiator does one after the other, each attack
//! and each fault. What the generator cannot make shows here as a zero or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::plan::Plan;

/// A sum over plans.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Generated {
    plans: u64,
    /// Plans that have it, by what it is: "verb", "attack", "read-only unit" (by whom), "mistake" (its number), "fault",
    /// "disk fault", and its name.
    counts: BTreeMap<(&'static str, String), u64>,
    pairs: BTreeSet<(String, String)>,
}

impl Generated {
    /// Adds a plan.
    pub fn add(&mut self, plan: &Plan) {
        self.plans += 1;
        let mut has = BTreeSet::new();
        for initiator in &plan.initiators {
            let verbs: Vec<String> = initiator.steps.iter().map(|step| name(&step.verb, "verb")).collect();
            self.pairs.extend(verbs.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
            has.extend(verbs.into_iter().map(|verb| ("verb", verb)));
            let attacks = initiator.hostile.iter().flat_map(|hostile| &hostile.attacks);
            has.extend(attacks.map(|step| ("attack", name(step, "attack"))));
        }
        let protected = plan.units.iter().filter(|unit| unit.protected.is_some());
        has.extend(protected.map(|unit| ("read-only unit", name(unit, "protected"))));
        has.extend(plan.target.mistake.map(|which| ("mistake", which.to_string())));
        for fault in &plan.faults {
            has.insert(("fault", name(&fault.kind, "fault")));
            let disk = name(&fault.kind, "what");
            has.extend((!disk.is_empty()).then_some(("disk fault", disk)));
        }
        has.into_iter().for_each(|what| *self.counts.entry(what).or_default() += 1);
    }

    /// Whether some plan has it; `kind` is "verb", "attack", "fault", "disk fault", and what else is counted.
    #[must_use]
    pub fn has(&self, kind: &'static str, name: &str) -> bool {
        self.counts.contains_key(&(kind, name.to_owned()))
    }

    /// The verbs.
    pub fn verbs(&self) -> impl Iterator<Item = &str> {
        self.counts.keys().filter(|(kind, _)| *kind == "verb").map(|(_, name)| name.as_str())
    }

    /// Pairs of verbs that no initiator did one right after the other.
    #[must_use]
    pub fn missing_pairs(&self) -> Vec<(&str, &str)> {
        let pairs = self.verbs().flat_map(|first| self.verbs().map(move |second| (first, second)));
        pairs.filter(|(first, second)| !self.pairs.contains(&((*first).to_owned(), (*second).to_owned()))).collect()
    }
}

impl fmt::Display for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | of {} plans |\n| --- | --- |", self.plans)?;
        for ((kind, name), plans) in &self.counts {
            writeln!(f, "| {kind} `{name}` | {plans} |")?;
        }
        let verbs = self.verbs().count();
        let missing = self.missing_pairs();
        writeln!(
            f,
            "\n{} of {} pairs of verbs, one right after the other",
            verbs * verbs - missing.len(),
            verbs * verbs
        )?;
        missing.into_iter().try_for_each(|(first, second)| writeln!(f, "missed: {second} right after {first}"))
    }
}

/// The name that a plan file gives it in `field`.
fn name(value: &impl Serialize, field: &str) -> String {
    let value = serde_json::to_value(value).expect("a part of a plan is data");
    value.get(field).and_then(|name| name.as_str()).unwrap_or_default().to_owned()
}
