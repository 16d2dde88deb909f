//! What is written of a run: typed events that know what they are about and what brought them about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;

use quintain_sim::disk::{DiskFault, Part};
use quintain_sim::plan::{Fault, FaultKind, Plan, Profile, Trigger};
use quintain_sim::runner::{self, Options};
use quintain_sim::trace::{Entry, Filter, Recorder, difference, line};
use quintain_sim::verdict::Verdict;

fn record(plan: &Plan) -> (Verdict, Vec<Entry>) {
    let (sender, entries) = mpsc::channel();
    let watch = Recorder::new(plan, move |entry| sender.send(entry).expect("it is read below"));
    let verdict = runner::run(plan, Options { watch: Some(Box::new(watch)), ..Options::default() });
    (verdict, entries.try_iter().collect())
}

#[test]
fn watched_run_is_the_same_run() {
    for seed in 0..6 {
        let plan = Plan::generate(seed, Profile::Lite);
        let (watched, one) = record(&plan);
        assert_eq!(watched, runner::run(&plan, Options::default()), "seed {seed}");
        let (_, other) = record(&plan);
        assert_eq!(difference(&one, &other), None, "seed {seed}");
    }
}

#[test]
fn events_are_numbered_and_come_after_their_causes() {
    for seed in 0..6 {
        let (_, entries) = record(&Plan::generate(seed, Profile::Lite));
        for (seq, entry) in (0..).zip(&entries) {
            assert_eq!(entry.seq, seq);
            let before = entry
                .cause
                .into_iter()
                .chain(entry.began)
                .all(|earlier| earlier < seq && entries[earlier as usize].at_us <= entry.at_us);
            assert!(before, "seed {seed}: {}", line(entry));
        }
        assert!(entries.is_sorted_by_key(|entry| entry.at_us), "seed {seed}");
    }
}

#[test]
fn line_of_json_is_read_back_as_it_was() {
    let (_, entries) = record(&Plan::generate(2, Profile::Lite));
    for entry in &entries {
        assert_eq!(Entry::from_json(&entry.to_json()).as_ref(), Ok(entry));
    }
    assert!(Entry::from_json("{\"seq\":1}").is_err());
}

/// From its sending to its status, each event of a command is the cause of the next.
#[test]
fn command_is_a_chain_of_causes() {
    let plan = Plan { faults: Vec::new(), warm_up_us: 0, ..Plan::generate(3, Profile::Lite) };
    let (verdict, entries) = record(&plan);
    assert!(verdict.passed(), "{verdict:?}");
    let mut chains = BTreeMap::new();
    for end in entries.iter().filter(|entry| entry.kind == "return" && entry.status.as_deref() == Some("GOOD")) {
        let mut kinds = Vec::new();
        let mut next = Some(end);
        while let Some(entry) = next {
            assert_eq!(entry.op, end.op, "{}", line(entry));
            kinds.push(&*entry.kind);
            next = entry.cause.map(|cause| &entries[cause as usize]);
        }
        assert_eq!(kinds.last(), Some(&"invoke"), "{}", line(end));
        *chains.entry(kinds).or_insert(0) += 1;
    }
    let read = [
        "return",
        "initiator-received",
        "target-sent",
        "task-completed",
        "disk-done",
        "disk-issued",
        "task-started",
        "task-enabled",
        "task-created",
        "target-received",
        "initiator-sent",
        "invoke",
    ];
    assert!(chains.get(read.as_slice()).is_some_and(|&count| count > 5), "{chains:#?}");
}

/// Every command is decoded at both ends, digests or not, and belongs to the operation that the history knows.
#[test]
fn pdu_belongs_to_its_command() {
    let mut digests = 0;
    for seed in 0..8 {
        let (_, entries) = record(&Plan::generate(seed, Profile::Lite));
        digests +=
            entries.iter().filter(|entry| entry.detail.as_ref().is_some_and(|it| it.contains("Digest=CRC32C"))).count();
        // Who breaks the protocol sends a command twice.
        let ops = |kind: &str| -> BTreeSet<u64> {
            let commands = entries.iter().filter(|it| it.kind == kind && it.pdu.as_deref() == Some("SCSI Command"));
            commands.filter_map(|it| it.op).collect()
        };
        let (sent, received) = (ops("initiator-sent"), ops("target-received"));
        let invoked = entries.iter().filter(|entry| entry.kind == "invoke").count();
        assert!(received.is_subset(&sent) && sent.len() <= invoked, "seed {seed}");
        assert!(received.len() * 10 > invoked * 8, "seed {seed}: {} of {invoked} commands came", received.len());
        let strange = |entry: &&Entry| entry.pdu.as_ref().is_some_and(|pdu| pdu.starts_with("operation code"));
        let hostile = entries.iter().filter(strange).filter(|entry| entry.kind == "target-sent").count();
        assert_eq!(hostile, 0, "seed {seed}");
    }
    assert!(digests > 0, "no seed had digests");
}

#[test]
fn disk_fault_is_the_cause_of_what_it_struck() {
    let how = DiskFault::Hang { part: Part::Write, count: 1 };
    let trace = |seed| {
        let mut plan = Plan { warm_up_us: 0, ..Plan::generate(seed, Profile::Lite) };
        let lun = plan.units[0].lun;
        plan.faults = vec![Fault { id: 7, when: Trigger::AtUs(100), since: None, kind: FaultKind::Disk { lun, how } }];
        (record(&plan).1, lun)
    };
    let hung = |entries: &[Entry]| entries.iter().position(|entry| entry.kind == "disk-hangs");
    let (entries, lun) = (0..20).map(trace).find(|(entries, _)| hung(entries).is_some()).expect("a write hangs");
    let struck = &entries[hung(&entries).expect("it was found")];
    let fault = &entries[struck.cause.expect("something made it hang") as usize];
    assert_eq!((&*fault.entity, fault.lun), ("fault 7", Some(lun)));
    let filter = Filter {
        follow: vec![format!("op={}", struck.op.expect("it is known")).parse().unwrap()],
        ..Filter::default()
    };
    assert!(filter.apply(&entries).contains(&fault), "whoever follows the command sees the fault");
}

#[test]
fn failure_is_an_event_where_it_was_found() {
    let plan = Plan { planted: Some("burst-too-long".to_owned()), ..Plan::generate(2, Profile::Lite) };
    let (verdict, entries) = record(&plan);
    let failures: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == "failure").collect();
    assert_eq!(failures.len(), verdict.failures.len(), "{:?}", verdict.failures);
    let first = failures[0];
    let cause = &entries[first.cause.expect("the event before") as usize];
    assert_eq!((&*cause.entity, cause.at_us), (&*format!("connection {}", cause.connection.unwrap()), first.at_us));
    let story = first.detail.as_deref().unwrap_or_default();
    assert!(story.contains(&format!("on connection {} ", cause.connection.unwrap())), "{story}: {}", line(cause));
}
