//! The trace is tested before any seed runs (S10): two runs that differ in anything have different hashes.

use std::time::Duration;

use quintain_core::event::Event as CoreEvent;
use quintain_core::id::{Itt, Lun, NexusId};

use super::{Entity, Fact, Trace, Way};
use crate::history::{Event, OpId, Outcome, Sector};
use crate::plan::{Fault, FaultKind, Trigger};

/// A trace with one entry.
fn hash(at_ns: u64, entity: Entity, fact: &Fact<'_>) -> u128 {
    let mut trace = Trace::default();
    trace.record(Duration::from_nanos(at_ns), entity, fact);
    trace.hash()
}

/// Each fact with another that differs from it in one thing. A line for each pair that the hash takes for the same.
pub(crate) fn self_test() -> Vec<Result<(), String>> {
    let task = |itt| CoreEvent::TaskStarted { nexus: NexusId(1), lun: Lun(0), itt: Itt(itt) };
    let (one, other) = (task(1), task(2));
    let fault = Fault { id: 0, when: Trigger::AtUs(0), since: None, kind: FaultKind::Swizzle { for_us: 1 } };
    let named = |name| Fact::Fault { name, fault: &fault };
    let disk = |what, how, offset_bytes, length_bytes| Fact::Disk { what, how, offset_bytes, length_bytes };
    let bytes = |way, check| Fact::Bytes { way, bytes: &[0; 4], check };
    let pairs = [
        ("phases", Fact::Phase("chaos"), Fact::Phase("healed")),
        ("deaths", Fact::Process("crash"), Fact::Process("restart")),
        ("events of core", Fact::Core(&one), Fact::Core(&other)),
        ("faults", named("crash"), named("pause")),
        ("operations of a disk", disk("read", "done", 0, 512), disk("write", "done", 0, 512)),
        ("ends of an operation", disk("read", "done", 0, 512), disk("read", "failed", 0, 512)),
        ("places on a disk", disk("read", "done", 0, 512), disk("read", "done", 512, 512)),
        ("lengths on a disk", disk("read", "done", 0, 512), disk("read", "done", 0, 1_024)),
        ("what connections do", Fact::Network("reset"), Fact::Network("fin")),
        ("a connect and its end", Fact::Connect { initiator: 0 }, Fact::Network("reset")),
        ("bytes", bytes(Way::TargetReceived, 1), bytes(Way::TargetReceived, 2)),
        ("ways of bytes", bytes(Way::TargetReceived, 1), bytes(Way::TargetSent, 1)),
    ];
    let mut checks = Vec::new();
    let mut check = |what: &str, differ: bool| {
        checks.push(if differ { Ok(()) } else { Err(format!("the trace does not tell {what} apart")) });
    };
    for (what, fact, unlike) in &pairs {
        check(what, hash(1, Entity::World, fact) != hash(1, Entity::World, unlike));
    }
    let fact = &pairs[0].1;
    check("times", hash(1, Entity::World, fact) != hash(2, Entity::World, fact));
    check("entities", hash(1, Entity::Disk(0), fact) != hash(1, Entity::Disk(1), fact));
    let history = |event: &Event| {
        let mut trace = Trace::default();
        trace.history(event);
        trace.hash()
    };
    let good = |sector| Event::Return { op: OpId(1), outcome: Outcome::Good { sectors: vec![sector] } };
    check("fences", history(&Event::Fence { op: OpId(1) }) != history(&Event::Fence { op: OpId(2) }));
    check("what was read", history(&good(Sector::Zero)) != history(&good(Sector::Garbage)));
    checks
}
