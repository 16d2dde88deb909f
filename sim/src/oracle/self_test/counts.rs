//! Counts of the target that do not agree with what it said, and counts that only look so.

use quintain_core::event::Event;
use quintain_core::high_water::Bounds;
use quintain_core::limits::Limits;

use crate::initiator::codec::{RawPdu, opcode};
use crate::oracle::Finding;
use crate::oracle::statistics::Statistics;

use super::Case;
use super::talk::{managed, reply, response};

/// One process of the target.
#[derive(Debug)]
pub(super) struct Process {
    /// The limits that it met, by its events.
    met: Vec<&'static str>,
    answers: Vec<RawPdu>,
    /// What it had counted at its end.
    counts: Vec<(&'static str, u64)>,
}

impl Process {
    /// What the oracle says.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut statistics = Statistics::default();
        self.met.iter().for_each(|&limit| statistics.event(&Event::LimitMet { limit }));
        self.answers.iter().for_each(|pdu| statistics.answered(pdu));
        let mut readings = Bounds::new(Limits::default()).readings();
        for reading in &mut readings {
            reading.met = self.counts.iter().find(|(name, _)| *name == reading.name).map_or(0, |(_, met)| *met);
        }
        statistics.judge(&readings)
    }
}

/// All of them.
pub(super) fn cases() -> Vec<Case<Process>> {
    let (busy, full) = (|| response(1, 0x08), || response(2, 0x28));
    let no_room = || {
        let mut pdu = reply(opcode::REJECT, 0, 3);
        pdu.bhs[2] = 0x06;
        pdu
    };
    let case = |breaks, name, met: &[&'static str], answers, counts: &[(&'static str, u64)]| Case {
        name,
        breaks,
        input: Process { met: met.to_vec(), answers, counts: counts.to_vec() },
    };
    let (queue, set) = ("work_queue_tasks", "task_set_tasks");
    let (commands, functions) = ("immediate_commands", "task_management_functions");
    vec![
        case(
            None,
            "each refusal is counted once",
            &[queue, set, "pool_bytes"],
            vec![busy(), full(), busy()],
            &[(queue, 1), (set, 1), ("pool_bytes", 1)],
        ),
        case(None, "an answer is lost on its way", &[queue, set], vec![full()], &[(queue, 1), (set, 1)]),
        case(
            None,
            "a function and a command are turned away",
            &[functions, commands],
            vec![no_room(), managed(4, 255)],
            &[(functions, 1), (commands, 1)],
        ),
        case(Some("S8"), "a refusal is told and not counted", &[set], vec![], &[]),
        case(Some("S8"), "a refusal is counted and not told", &[], vec![], &[(set, 1)]),
        case(Some("S8"), "BUSY is neither told nor counted", &[queue], vec![busy(), busy()], &[(queue, 1)]),
        case(Some("S8"), "TASK SET FULL is counted as BUSY", &[queue], vec![full()], &[(queue, 1)]),
        case(Some("S8"), "one is turned away and not counted", &[commands], vec![no_room(); 2], &[(commands, 1)]),
    ]
}
