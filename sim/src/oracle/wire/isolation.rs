//! I10: what one nexus does leaves the others alone, except where SCSI says so. Every task that ends without a status
//! and every unit attention has a cause in what its own connection was sent, or in a reset of its logical unit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quintain_core::event::Event;
use quintain_core::id::{Itt, Lun, NexusId};

use super::{Finding, MOST, WireOracle};

/// How long shards may take over a reset that one of them has answered, because it waited for the others in vain.
const RESET_LINGERS: Duration = Duration::from_secs(10);

/// What is known of the nexuses.
#[derive(Default, Debug)]
pub(super) struct Isolation {
    live: BTreeSet<NexusId>,
    /// A task ended without a cause that was seen. So do all tasks of a session that ends; one that goes on has no such
    /// excuse.
    suspects: BTreeMap<NexusId, String>,
    /// When a reset of a logical unit, or of all, was last under way.
    resets: BTreeMap<Option<Lun>, Duration>,
}

/// Both forms of a small LUN are one logical unit (SAM-5, section 4.7.7).
fn unit(field: u64) -> Lun {
    let small_in_flat_form = field >> 56 == 0x40 && field << 16 == 0;
    Lun(if small_in_flat_form { field & !(0x40 << 56) } else { field })
}

impl WireOracle {
    /// Holds an event of the core against what connections were sent.
    pub(super) fn isolate(&mut self, at: Duration, event: &Event) {
        for reset in &self.shared.resets {
            self.isolation.resets.insert(reset.lun.map(unit), at);
        }
        match *event {
            Event::SessionStarted { nexus, .. } => drop(self.isolation.live.insert(nexus)),
            Event::SessionContinued { nexus, .. } => drop(self.isolation.suspects.remove(&nexus)),
            Event::SessionEnded { nexus, .. } => {
                self.isolation.live.remove(&nexus);
                self.isolation.suspects.remove(&nexus);
            }
            Event::TaskAborted { nexus, lun, itt, .. } if !self.aborts(nexus, lun, itt) && !self.resets(lun, at) => {
                let story =
                    format!("at {at:?} task {itt} of nexus {nexus} on LUN {lun} was ended by nobody's function");
                self.isolation.suspects.entry(nexus).or_insert(story);
            }
            Event::TaskCreated { nexus, lun, itt, .. } => {
                if let Some(story) = self.isolation.suspects.remove(&nexus) {
                    self.intrusion(format!("{story}, and its session goes on"));
                }
                if self.own(nexus).is_some_and(|connection| !connection.may_create(itt.0)) {
                    let what = "was created, and its connection was never sent such a command";
                    self.intrusion(format!("at {at:?} task {itt} of nexus {nexus} on LUN {lun} {what}"));
                }
            }
            // What a nexus is told before its session has started is that it begins.
            Event::UnitAttentionRaised { nexus, lun, code }
                if self.isolation.live.contains(&nexus) && !self.resets(lun, at) =>
            {
                let what = format!("unit attention {code:#06x} of LUN {lun}, which nobody has reset");
                self.intrusion(format!("at {at:?} nexus {nexus} is to be told {what}"));
            }
            _ => {}
        }
    }

    /// The connection of `nexus`.
    fn own(&self, nexus: NexusId) -> Option<&super::Connection> {
        self.names.nexuses.get(&nexus).and_then(|name| self.connections.get(name))
    }

    /// Its own connection was sent a function that ends the task, or is not to be judged.
    fn aborts(&self, nexus: NexusId, lun: Lun, itt: Itt) -> bool {
        self.own(nexus).is_none_or(|connection| connection.may_abort(itt.0, |field| unit(field) == lun))
    }

    /// A reset that reaches the logical unit is under way.
    fn resets(&self, lun: Lun, at: Duration) -> bool {
        let latest = [None, Some(lun)].iter().filter_map(|scope| self.isolation.resets.get(scope)).max();
        latest.is_some_and(|&latest| at <= latest + RESET_LINGERS)
    }

    fn intrusion(&mut self, message: String) {
        if self.findings.len() < MOST {
            self.findings.push(Finding { oracle: "I10", message });
        }
    }
}
