//! Faults do strike (S9): each kind of fault, alone in a run, changes what happens in it.
//!
//! A fault that does nothing makes no seed fail: it only makes the simulator blind. So the generator's faults are tried one
//! by one, each in two runs: with the fault, and with a weaker one in its place that strikes at the same moment and takes as
//! many steps of tasks. As long as the fault does nothing, the two are the same run. One of a kind that makes a difference is
//! enough.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::disk::DiskFault;
use crate::network::Cut;
use crate::plan::{Fault, FaultKind, Plan, Profile, Trigger};
use crate::probes::Probe;
use crate::runner::{self, Options};
use crate::trace::{Entity, Fact, Watch};
use crate::verdict::Verdict;

/// Seeds whose faults are tried.
const SEEDS: u64 = 600;
/// Faults of one kind that are tried before it counts as one that does nothing.
const TRIES: u32 = 40;
/// It strikes when the initiators are at work.
const AT_WORK: Trigger = Trigger::AfterEvents(150);
/// It strikes before they connect.
const AT_FIRST: Trigger = Trigger::AtUs(1);

/// What shows that a fault did something.
enum Sign {
    /// What happened differs from what happens with this fault in its place.
    Unlike(FaultKind),
    /// The initiators had to log in once more.
    Logins,
    /// This moment came.
    Moment(Probe),
    /// Time alone, which proves nothing: its place cannot be taken by another fault that has as many steps.
    None,
}

/// Tries all kinds of fault, with the bug `planted`. `Ok` with how many there are.
///
/// # Errors
/// The kinds of fault that never did anything.
pub fn check(planted: Option<&str>) -> Result<usize, String> {
    check_those(planted, |_| true)
}

fn check_those(planted: Option<&str>, are_meant: impl Fn(&str) -> bool) -> Result<usize, String> {
    let mut kinds: BTreeMap<String, (u32, bool)> = BTreeMap::new();
    for seed in 0..SEEDS {
        let plan = Plan { planted: planted.map(str::to_owned), ..Plan::generate(seed, Profile::Lite) };
        for fault in &plan.faults {
            let (name, sign) = (kind_name(&fault.kind), sign(&fault.kind, &plan));
            if matches!(sign, Sign::None) || !are_meant(&name) {
                continue;
            }
            let (tries, struck) = kinds.entry(name).or_default();
            if !*struck && *tries < TRIES {
                *tries += 1;
                *struck = shows(&plan, fault.kind, sign);
            }
        }
    }
    let dead: Vec<_> = kinds.iter().filter(|(_, (_, struck))| !struck).map(|(name, _)| name.as_str()).collect();
    if dead.is_empty() { Ok(kinds.len()) } else { Err(format!("faults that do nothing: {}", dead.join(", "))) }
}

/// The kind, with that of a disk's fault.
pub(crate) fn kind_name(kind: &FaultKind) -> String {
    let words = serde_json::to_value(kind).unwrap_or_default();
    let word = |key| words.get(key).and_then(|word| word.as_str()).unwrap_or_default();
    [word("fault"), word("what")].join(" ").trim_end().to_owned()
}

fn sign(kind: &FaultKind, plan: &Plan) -> Sign {
    const NOBODY: u32 = u32::MAX;
    Sign::Unlike(match *kind {
        FaultKind::Crash { .. }
        | FaultKind::CleanStop { .. }
        | FaultKind::CrashTwice { .. }
        | FaultKind::Reconfigure { .. } => return Sign::Logins,
        FaultKind::PowerLoss { .. } => return Sign::Moment(Probe::PowerLossLoses),
        FaultKind::Pause { .. } => return Sign::None,
        FaultKind::Cut { initiator, for_us, .. } => FaultKind::Cut { initiator, cut: Cut::Nowhere, for_us },
        FaultKind::Window { initiator, for_us, .. } => {
            let window_bytes = plan.links.get(initiator as usize).map_or(0, |link| link.window_bytes);
            FaultKind::Window { initiator, window_bytes, for_us }
        }
        FaultKind::StallLink { initiator, direction, .. } => FaultKind::StallLink { initiator, direction, for_us: 0 },
        FaultKind::Swizzle { .. } => FaultKind::Swizzle { for_us: 0 },
        FaultKind::Reset { direction, bytes, .. } => FaultKind::Reset { initiator: NOBODY, direction, bytes },
        FaultKind::ResetLogin { direction, bytes, .. } => FaultKind::ResetLogin { initiator: NOBODY, direction, bytes },
        FaultKind::Flip { direction, place, bits, .. } => FaultKind::Flip { initiator: NOBODY, direction, place, bits },
        FaultKind::Silence { .. } => FaultKind::Silence { initiator: NOBODY },
        FaultKind::Connects { initiator, how, .. } => FaultKind::Connects { initiator, how, for_us: 0 },
        FaultKind::Accepts { .. } => FaultKind::Accepts { for_us: 0 },
        FaultKind::LateTimers { by_us, .. } => FaultKind::LateTimers { by_us, for_us: 0 },
        FaultKind::NoBuffer { .. } => FaultKind::NoBuffer { count: 0 },
        FaultKind::Freeze { .. } => FaultKind::Freeze { for_us: 0 },
        FaultKind::LateBytes { after_us, .. } => FaultKind::LateBytes { initiator: NOBODY, after_us },
        FaultKind::Rebind { .. } => FaultKind::Rebind { for_us: 0, moves: false },
        FaultKind::Drift { for_us, .. } => FaultKind::Drift { per_mille: 1_000, for_us },
        FaultKind::Jump { .. } => FaultKind::Jump { by_us: 0 },
        FaultKind::Preempt { who, for_us, .. } => FaultKind::Preempt { who, count: 0, for_us },
        FaultKind::Disk { lun, .. } => nothing(lun),
        FaultKind::Panic { .. } => nothing(u16::MAX),
    })
}

/// The same where it has to show: what a run reads and writes is a small part of its disks.
fn in_the_open(kind: FaultKind) -> FaultKind {
    match kind {
        FaultKind::Disk { lun, how: DiskFault::Rot { .. } } => {
            FaultKind::Disk { lun, how: DiskFault::Rot { offset_bytes: 0, length_bytes: 64 << 10, bits: 64 << 10 } }
        }
        FaultKind::Disk { lun, how: DiskFault::Truncated { for_us, .. } } => {
            FaultKind::Disk { lun, how: DiskFault::Truncated { size_bytes: 0, for_us } }
        }
        kind => kind,
    }
}

/// No bit of no byte flips.
fn nothing(lun: u16) -> FaultKind {
    FaultKind::Disk { lun, how: DiskFault::Rot { offset_bytes: 0, length_bytes: 0, bits: 0 } }
}

/// Whether a fault of this `kind` does something, alone in `plan`.
fn shows(plan: &Plan, kind: FaultKind, sign: Sign) -> bool {
    let when = match kind {
        FaultKind::Connects { .. }
        | FaultKind::Accepts { .. }
        | FaultKind::ResetLogin { .. }
        | FaultKind::Rebind { .. } => AT_FIRST,
        _ => AT_WORK,
    };
    let alone = |kind| {
        let faults = vec![Fault { id: 0, when, since: None, kind }];
        run(&Plan { faults, warm_up_us: 0, core: None, ..plan.clone() })
    };
    let (with, happened) = alone(in_the_open(kind));
    match sign {
        _ if with.stats.faults == 0 => false,
        Sign::Unlike(weaker) => happened != alone(weaker).1,
        Sign::Logins => with.stats.logins > alone(nothing(u16::MAX)).0.stats.logins,
        Sign::Moment(probe) => with.stats.probes.contains(probe),
        Sign::None => false,
    }
}

/// Runs `plan`; with a hash of all that happened but that a fault struck.
fn run(plan: &Plan) -> (Verdict, u64) {
    let happened = Arc::new(AtomicU64::new(0));
    let witness = Witness { hasher: DefaultHasher::new(), happened: happened.clone() };
    let verdict = runner::run(plan, Options { watch: Some(Box::new(witness)), ..Options::default() });
    (verdict, happened.load(Ordering::Relaxed))
}

struct Witness {
    hasher: DefaultHasher,
    happened: Arc<AtomicU64>,
}

impl Watch for Witness {
    fn fact(&mut self, at: Duration, entity: Entity, fact: &Fact<'_>) {
        match fact {
            Fact::Fault { .. } | Fact::Failure { .. } => return,
            Fact::History { event, .. } => event.hash(&mut self.hasher),
            _ => {}
        }
        (at, entity, fact).hash(&mut self.hasher);
        self.happened.store(self.hasher.finish(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    /// `cargo sim self-test` has them all: here that takes too long.
    #[test]
    fn faults_of_all_signs_do_something() {
        let some = ["cut", "swizzle", "crash", "power-loss", "no-buffer", "disk read-error"];
        assert_eq!(super::check_those(None, |name| some.contains(&name)), Ok(some.len()));
    }

    #[test]
    fn faults_that_do_nothing_are_told() {
        let dead = |planted, kind: &str| super::check_those(Some(planted), |name| [kind, "stall-link"].contains(&name));
        assert_eq!(dead("cut-never", "cut"), Err("faults that do nothing: cut".to_owned()));
        assert_eq!(dead("power-loss-keeps", "power-loss"), Err("faults that do nothing: power-loss".to_owned()));
    }
}
