//! A run as one page: lanes of initiators, wire, tasks and disks over virtual time.
//!
//! The page (`assets/timeline.html`) is whole in itself: the events are in it, and it asks for nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::Plan;
use crate::trace::{Entry, said};
use crate::verdict::Verdict;

const TEMPLATE: &str = include_str!("../assets/timeline.html");
/// Where the events go.
const PLACE: &str = "/*DATA*/";

#[derive(Serialize)]
struct Page<'a> {
    name: String,
    facts: String,
    verdict: &'static str,
    /// Initiators from this number on are auditors.
    auditor: u32,
    /// Initiators that break the protocol.
    hostile: Vec<u32>,
    /// What the rows name by number.
    words: Vec<&'a str>,
    events: Vec<Row<'a>>,
}

/// An event; the page has the names of the fields, in this order.
#[derive(Serialize)]
struct Row<'a>(
    u64,
    usize,
    Option<u32>,
    Option<u64>,
    Option<u16>,
    Option<u64>,
    Option<u32>,
    /// Cause, by its place among the rows.
    Option<usize>,
    /// Beginning, likewise.
    Option<usize>,
    Option<usize>,
    Option<usize>,
    Option<usize>,
    Option<u64>,
    String,
    Option<&'a str>,
);

/// Words by number.
#[derive(Default)]
struct Words<'a> {
    numbers: BTreeMap<&'a str, usize>,
    words: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn number(&mut self, word: &'a str) -> usize {
        *self.numbers.entry(word).or_insert_with(|| {
            self.words.push(word);
            self.words.len() - 1
        })
    }
}

/// The page of a run of `plan` with these events.
///
/// # Panics
/// Never: numbers and words can be written.
#[must_use]
pub fn page(plan: &Plan, verdict: &Verdict, entries: &[Entry]) -> String {
    let mut words = Words::default();
    // The passing of bytes is for those who compare traces; an event that refers to one means the change before it.
    let shown: Vec<&Entry> = entries.iter().filter(|entry| entry.is_change()).collect();
    let place = |seq: u64| shown.partition_point(|entry| entry.seq <= seq).checked_sub(1);
    let events = shown
        .iter()
        .map(|entry| {
            Row(
                entry.at_us,
                words.number(&entry.kind),
                entry.initiator,
                entry.connection,
                entry.lun,
                entry.op,
                entry.itt,
                entry.cause.and_then(place),
                entry.began.and_then(place),
                entry.pdu.as_deref().map(|word| words.number(word)),
                entry.command.as_deref().map(|word| words.number(word)),
                entry.status.as_deref().map(|word| words.number(word)),
                entry.for_us,
                said(entry),
                matches!(&*entry.kind, "phase" | "fault").then(|| entry.detail.as_deref()).flatten(),
            )
        })
        .collect();
    let hostile = plan.initiators.iter().filter(|initiator| initiator.hostile.is_some());
    let page = Page {
        name: format!("seed {:#x}", plan.seed),
        facts: facts(plan, verdict),
        verdict: if verdict.passed() { "passed" } else { "failed" },
        auditor: plan.auditor(),
        hostile: hostile.map(|initiator| initiator.index).collect(),
        events,
        words: words.words,
    };
    // No text of ours may end the script that it is in.
    let json = serde_json::to_string(&page).expect("numbers and words").replace('<', "\\u003c");
    TEMPLATE.replacen(PLACE, &json, 1)
}

fn facts(plan: &Plan, verdict: &Verdict) -> String {
    let mut facts = format!("profile {}", plan.profile.name());
    if let Some(name) = &plan.planted {
        facts.push_str(" · planted ");
        facts.push_str(name);
    }
    let stats = &verdict.stats;
    facts.push_str(&format!(" · {} commands · {} faults struck", stats.commands, stats.faults));
    facts
}
