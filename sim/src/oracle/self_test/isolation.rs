//! One nexus meddles with another (I10), or only looks as if it did.

use quintain_core::event::Event;
use quintain_core::id::{Itt, Lun, NexusId};

use super::Case;
use super::conversations::{bad, good};
use super::talk::{Talk, managed};
use crate::initiator::codec::{NO_TAG, RawPdu};

const ABORT_TASK: u8 = 1;
const CLEAR_TASK_SET: u8 = 4;
const LOGICAL_UNIT_RESET: u8 = 5;
const TARGET_WARM_RESET: u8 = 6;
const COMPLETE: u8 = 0;
const ONE: NexusId = NexusId(1);
const TWO: NexusId = NexusId(2);
const RESET_OCCURRED: u16 = 0x2903;

fn aborted(lun: u16, tag: u32) -> Event {
    Event::TaskAborted { nexus: ONE, lun: Lun::from_number(lun), itt: Itt(tag), disowned: false }
}

fn raised(nexus: NexusId, lun: u16) -> Event {
    Event::UnitAttentionRaised { nexus, lun: Lun::from_number(lun), code: RESET_OCCURRED }
}

/// Session ONE has task 1 in its task set and another, 2, under way.
fn one() -> Talk {
    Talk::ready().known_as(ONE).reads(1, 512).reads(2, 512).creates_for(ONE, 1)
}

/// Beside it, session TWO of another initiator speaks.
fn two() -> Talk {
    one().connect(2).logged_in(&[("InitiatorName", "iqn.b")], &[]).known_as(TWO)
}

/// Session TWO has `function` carried out, and in doing so the core does `events`; then session ONE goes on.
fn meddles(function: RawPdu, events: &[Event]) -> Talk {
    let talk = events.iter().fold(two().asks(function.immediate()), |talk, event| talk.core(event.clone()));
    talk.says(managed(5, COMPLETE)).creates_for(ONE, 2)
}

fn function(function: u8, referenced: u32) -> RawPdu {
    RawPdu::task_management(function, 0, 5, referenced, 0)
}

fn reset_in_flat_form() -> RawPdu {
    let mut pdu = function(LOGICAL_UNIT_RESET, NO_TAG);
    pdu.bhs[8] = 0x40;
    pdu
}

/// All of them.
pub(super) fn cases() -> Vec<Case<Talk>> {
    let reset = || function(LOGICAL_UNIT_RESET, NO_TAG);
    let own = |function| one().manages(function, 5, 1).core(aborted(0, 1)).says(managed(5, COMPLETE));
    vec![
        good("a session aborts its own task and goes on", own(ABORT_TASK).creates_for(ONE, 2)),
        good("a session clears its own task set and goes on", own(CLEAR_TASK_SET).reads(3, 512).creates_for(ONE, 3)),
        good(
            "a session that ends takes its tasks along",
            one().core(aborted(0, 1)).core(Event::SessionEnded { nexus: ONE, why: "logout" }),
        ),
        good("a reset reaches another session", meddles(reset(), &[aborted(0, 1), raised(ONE, 0), raised(TWO, 0)])),
        good(
            "a reset names the logical unit in its other form",
            meddles(reset_in_flat_form(), &[aborted(0, 1), raised(ONE, 0)]),
        ),
        good(
            "a target reset reaches every logical unit",
            meddles(function(TARGET_WARM_RESET, NO_TAG), &[aborted(0, 1), raised(ONE, 0), raised(ONE, 3)]),
        ),
        good("a nexus is told that it begins", one().core(raised(TWO, 0))),
        bad("I10", "ABORT TASK ends a task of another session", meddles(function(ABORT_TASK, 1), &[aborted(0, 1)])),
        bad(
            "I10",
            "CLEAR TASK SET clears that of another session",
            meddles(function(CLEAR_TASK_SET, NO_TAG), &[aborted(0, 1)]),
        ),
        bad("I10", "a reset ends a task on another logical unit", meddles(reset(), &[aborted(1, 1)])),
        bad("I10", "a reset is told of another logical unit", meddles(reset(), &[raised(ONE, 1)])),
        bad("I10", "a nexus is told of a reset that nobody asked for", two().core(raised(ONE, 0))),
        bad("I10", "a task is created that another session sent", two().reads(9, 512).creates_for(ONE, 9)),
        bad("I10", "a task ends by itself and its session goes on", one().core(aborted(0, 1)).creates_for(ONE, 2)),
    ]
}
