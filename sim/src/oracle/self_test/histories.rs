//! Histories that break a rule, and histories that only look as if they did.

use crate::history::Sector::{Foreign, Garbage, Zero};
use crate::history::{Action, Event, Nexus, OpId};

use super::Case;
use super::story::{LARGE, NULLIO, PROTECTED, Story, THROUGH, by};

/// All of them.
pub(super) fn cases() -> Vec<Case<Story>> {
    let mut cases = registers();
    cases.extend(open_intervals());
    cases.extend(errors());
    cases.extend(leaks());
    cases.extend(power_losses());
    cases.extend(lost_durability());
    cases.extend(crashes_and_stops());
    cases.extend(failed_flushes());
    cases.extend(comparisons());
    cases.extend(stops());
    cases.extend(write_protection());
    cases
}

fn story() -> Story {
    Story::default()
}

fn good(name: &'static str, input: Story) -> Case<Story> {
    Case { name, breaks: None, input }
}

fn bad(rule: &'static str, name: &'static str, input: Story) -> Case<Story> {
    Case { name, breaks: Some(rule), input }
}

fn write_protection() -> Vec<Case<Story>> {
    vec![
        good(
            "a unit that is read-only refuses a write",
            story().on(PROTECTED).write(1, 5).refused(1).looked(2, 5, Zero),
        ),
        good("a write of no blocks changes nothing", story().on(PROTECTED).write_blocks(1, 5, 0).good(1)),
        bad("T11", "a unit that is read-only takes a write", story().on(PROTECTED).wrote(1, 5)),
        bad("B4", "a write that it refused shows", story().on(PROTECTED).write(1, 5).refused(1).looked(2, 5, by(1))),
        bad("B4", "a write that was given up shows on it", story().on(PROTECTED).write(1, 5).looked(2, 5, by(1))),
    ]
}

fn registers() -> Vec<Case<Story>> {
    vec![
        good("nothing happens", story()),
        good("a read sees the write before it", story().wrote(1, 5).looked(2, 5, by(1)).looked(3, 6, Zero)),
        good(
            "a read beside a write sees either",
            story().wrote(1, 5).write(2, 5).looked(3, 5, by(1)).looked(4, 5, by(2)).good(2),
        ),
        good(
            "two writes overlap and settle in either order",
            story().write(1, 5).write(2, 5).good(1).good(2).looked(3, 5, by(1)).looked(4, 5, by(1)),
        ),
        good(
            "three writes overlap and are read in turn",
            story()
                .write(1, 5)
                .write(2, 5)
                .write(3, 5)
                .looked(4, 5, by(3))
                .looked(5, 5, by(1))
                .looked(6, 5, by(2))
                .good(1)
                .good(2)
                .good(3),
        ),
        good(
            "two writes of two blocks interleave block by block",
            story().write_blocks(1, 0, 2).write_blocks(2, 0, 2).good(1).good(2).looked(3, 0, by(1)).looked(4, 1, by(2)),
        ),
        bad("B1", "a read sees what a finished write replaced", story().wrote(1, 5).wrote(2, 5).looked(3, 5, by(1))),
        bad("B1", "a write never shows", story().wrote(1, 5).looked(2, 5, Zero)),
        bad(
            "B1",
            "two reads see two concurrent writes in turn and back",
            story().write(1, 5).write(2, 5).good(1).good(2).looked(3, 5, by(1)).looked(4, 5, by(2)).looked(5, 5, by(1)),
        ),
        bad("B1", "a read sees the future", story().looked(1, 5, by(2)).wrote(2, 5)),
        bad(
            "B1",
            "a read of a large block sees two writers in it",
            story()
                .on(LARGE)
                .wrote(1, 0)
                .write(2, 0)
                .read(3, 0)
                .saw(3, &[by(2), by(2), by(1), by(1), by(1), by(1), by(1), by(1)])
                .good(2),
        ),
        bad("H1", "a command is sent twice", story().write(1, 5).write(1, 5)),
        bad("H1", "a command ends that was never sent", story().good(1)),
        bad("T7", "a command gets two statuses", story().wrote(1, 5).good(1)),
    ]
}

/// VERIFY with data.
fn comparisons() -> Vec<Case<Story>> {
    let held = || story().wrote(1, 5).read(2, 5);
    vec![
        good(
            "a comparison with an older value fails",
            story().wrote(1, 5).wrote(2, 5).read(3, 5).differs(3, &[], Some(by(1))),
        ),
        good(
            "a comparison fails beside a write",
            story().wrote(1, 5).write(2, 5).read(3, 5).differs(3, &[], Some(by(1))).good(2),
        ),
        good(
            "a comparison fails before the write of its value is seen",
            story().write(1, 5).read(2, 5).differs(2, &[], Some(by(1))).good(1).looked(3, 5, by(1)),
        ),
        good(
            "a comparison fails, and a power loss brings the value back",
            story().wrote(1, 5).wrote(2, 5).read(3, 5).differs(3, &[], Some(by(1))).power_cycle().looked(4, 5, by(1)),
        ),
        good(
            "a failed flush brings the value back",
            story().wrote(1, 5).wrote(2, 5).read(3, 5).differs(3, &[], Some(by(1))).flush_failed().looked(4, 5, by(1)),
        ),
        good(
            "a tainted read saw what a block that differs did not hold",
            story().read(2, 5).differs(2, &[], Some(Zero)).taint(5).looked(3, 5, Zero),
        ),
        good(
            "a tainted block differs from what it holds",
            story().wrote(1, 5).taint(5).read(2, 5).differs(2, &[], Some(by(1))).looked(3, 5, by(1)),
        ),
        good("a planned difference shows the value", held().differs(2, &[by(1)], None)),
        bad("B1", "a comparison with what was written fails", held().differs(2, &[], Some(by(1))).looked(3, 5, by(1))),
        bad("B1", "a comparison with zeros fails", story().read(1, 5).differs(1, &[], Some(Zero)).looked(2, 5, Zero)),
        bad("B1", "a difference shows what a finished write replaced", held().differs(2, &[Zero], None)),
        bad("B4", "a planned difference is not noticed", held().saw(2, &[Garbage])),
        bad("B4", "one block agrees with another place", story().wrote(1, 5).read(2, 5).saw(2, &[Foreign])),
        bad("B11", "nullio differs from zeros", story().on(NULLIO).read(1, 5).differs(1, &[], Some(Zero))),
    ]
}

/// START STOP UNIT.
fn stops() -> Vec<Case<Story>> {
    let stopped = || story().spin_down(1).good(1);
    vec![
        good("a stopped unit refuses a read", stopped().read(2, 5).not_ready(2)),
        good("a started unit serves a read", stopped().spin_up(2).good(2).looked(3, 5, Zero)),
        good("a read beside a stop is served", story().spin_down(1).read(2, 5).good(1).saw(2, &[Zero])),
        good("a read beside a start is served", stopped().spin_up(2).looked(3, 5, Zero).good(2)),
        good("a start without status may have started it", stopped().spin_up(2).fence(2).looked(3, 5, Zero)),
        good("a restart starts it", stopped().crash().looked(2, 5, Zero)),
        good("a refused stop stops nothing", story().spin_down(1).attention(1).looked(2, 5, Zero)),
        good("a stop without status may have stopped it", story().spin_down(1).fence(1).read(2, 5).not_ready(2)),
        good("a stop makes durable", story().wrote(1, 5).spin_down(2).good(2).power_cycle().looked(3, 5, by(1))),
        bad("T11", "a stopped unit serves a read", stopped().looked(2, 5, Zero)),
        bad("T11", "a stopped unit takes a write", stopped().wrote(2, 5)),
        bad("T11", "a unit that nobody stopped says so", story().read(1, 5).not_ready(1)),
        bad(
            "T11",
            "a unit that was started says that it is stopped",
            stopped().spin_up(2).good(2).read(3, 5).not_ready(3),
        ),
        bad("T11", "a restarted unit says that it is stopped", stopped().crash().read(2, 5).not_ready(2)),
        bad("T11", "a start is told that the unit is stopped", stopped().spin_up(2).not_ready(2)),
        bad(
            "B5",
            "a stop does not make durable",
            story().wrote(1, 5).spin_down(2).good(2).power_cycle().looked(3, 5, Zero),
        ),
    ]
}

fn open_intervals() -> Vec<Case<Story>> {
    vec![
        good(
            "a write without status shows late",
            story().write(1, 5).looked(2, 5, Zero).looked(3, 5, Zero).looked(4, 5, by(1)),
        ),
        good("a write without status never shows", story().write(1, 5).looked(2, 5, Zero).looked(3, 5, Zero)),
        good("a fenced write had taken effect", story().write(1, 5).fence(1).looked(2, 5, by(1)).looked(3, 5, by(1))),
        good(
            "a fenced write had not taken effect",
            story().write(1, 5).fence(1).looked(2, 5, Zero).wrote(3, 5).looked(4, 5, by(3)),
        ),
        good(
            "a fenced write lands before its fence, over a newer one",
            story().write(1, 5).wrote(2, 5).fence(1).looked(3, 5, by(1)),
        ),
        bad(
            "B2",
            "a zombie: a fenced write lands on a newer one",
            story().write(1, 5).fence(1).wrote(2, 5).looked(3, 5, by(1)),
        ),
        bad(
            "B2",
            "a zombie: a fenced write lands after a read had missed it",
            story().write(1, 5).fence(1).looked(2, 5, Zero).looked(3, 5, by(1)),
        ),
        bad(
            "B2",
            "a zombie over a write without status",
            story().wrote(1, 5).write(2, 5).fence(2).write(3, 5).looked(4, 5, by(3)).looked(5, 5, by(2)),
        ),
    ]
}

fn errors() -> Vec<Case<Story>> {
    let eight = |first: crate::history::Sector, rest| [first, rest, rest, rest, rest, rest, rest, rest];
    vec![
        good("a failed write shows", story().wrote(1, 5).write(2, 5).failed(2).looked(3, 5, by(2)).looked(4, 5, by(2))),
        good("a failed write does not show", story().wrote(1, 5).write(2, 5).failed(2).looked(3, 5, by(1))),
        good(
            "a failed write leaves garbage until the next good one",
            story().write(1, 5).failed(1).looked(2, 5, Garbage).wrote(3, 5).looked(4, 5, by(3)),
        ),
        good(
            "a failed write tears a large block",
            story().on(LARGE).wrote(1, 0).write(2, 0).failed(2).read(3, 0).saw(3, &eight(by(2), by(1))),
        ),
        good(
            "a refused write may be sent again",
            story().write(1, 5).busy(1).looked(2, 5, Zero).wrote(3, 5).looked(4, 5, by(3)),
        ),
        bad("B3", "BUSY, and yet it wrote", story().write(1, 5).busy(1).looked(2, 5, by(1))),
        bad("B3", "UNIT ATTENTION, and yet it wrote", story().wrote(1, 5).write(2, 5).attention(2).looked(3, 5, by(2))),
        bad("B3", "GOOD past the end of the medium", story().wrote(1, 64)),
        bad(
            "B1",
            "a failed write comes and goes",
            story().write(1, 5).failed(1).looked(2, 5, by(1)).looked(3, 5, Zero),
        ),
        bad(
            "B1",
            "a failed write does not excuse what came before it",
            story().wrote(1, 5).wrote(2, 5).write(3, 5).failed(3).looked(4, 5, by(1)),
        ),
        bad(
            "B4",
            "garbage after the good write that mended it",
            story().write(1, 5).failed(1).wrote(2, 5).looked(3, 5, Garbage),
        ),
    ]
}

fn leaks() -> Vec<Case<Story>> {
    vec![
        good(
            "a tainted block holds anything",
            story().wrote(1, 5).taint(5).looked(2, 5, Garbage).looked(3, 5, Foreign).looked(4, 5, Zero),
        ),
        good("nullio reads zeros, whatever was written", story().on(NULLIO).wrote(1, 5).looked(2, 5, Zero)),
        bad("B4", "taint ends with the next good write", story().taint(5).wrote(1, 5).looked(2, 5, Garbage)),
        bad("B4", "taint spreads", story().taint(5).looked(2, 6, Garbage)),
        bad("B4", "another unit's data", story().wrote(1, 5).looked(2, 5, Foreign)),
        bad("B4", "another sector's write", story().wrote(1, 6).looked(2, 5, by(1))),
        bad("B4", "garbage", story().looked(1, 5, Garbage)),
        bad("B4", "a stamp that nobody sent", story().looked(1, 5, by(99))),
        bad("B4", "more data than asked for", story().read(1, 5).saw(1, &[Zero, Zero])),
        bad("B11", "nullio reads back", story().on(NULLIO).wrote(1, 5).looked(2, 5, by(1))),
    ]
}

fn power_losses() -> Vec<Case<Story>> {
    vec![
        good(
            "volatile data is lost",
            story().wrote(1, 5).looked(2, 5, by(1)).power_cycle().looked(3, 5, Zero).looked(4, 5, Zero),
        ),
        good("volatile data is kept", story().wrote(1, 5).power_cycle().looked(2, 5, by(1))),
        good("an older volatile write is kept", story().wrote(1, 5).wrote(2, 5).power_cycle().looked(3, 5, by(1))),
        good(
            "each block goes its own way",
            story().write_blocks(1, 5, 2).good(1).power_cycle().looked(2, 5, by(1)).looked(3, 6, Zero),
        ),
        good("a write in flight is kept", story().wrote(1, 5).synced(2).write(3, 5).power_cycle().looked(4, 5, by(3))),
        good(
            "a write beside the durable one is kept",
            story().write(1, 5).write_fua(2, 5).good(2).good(1).power_cycle().looked(3, 5, by(1)),
        ),
        good(
            "a write newer than the durable one is lost",
            story().wrote(1, 5).synced(2).wrote(3, 5).power_cycle().looked(4, 5, by(1)),
        ),
        good(
            "GOOD during the synchronisation is not covered",
            story().write(1, 5).sync(2, 0, 0).good(1).good(2).power_cycle().looked(3, 5, Zero),
        ),
        good("IMMED promises nothing", story().wrote(1, 5).sync_immediate(2).good(2).power_cycle().looked(3, 5, Zero)),
        good(
            "a failed synchronisation promises nothing",
            story().wrote(1, 5).sync(2, 0, 0).failed(2).power_cycle().looked(3, 5, Zero),
        ),
        good(
            "a synchronisation elsewhere promises nothing here",
            story().wrote(1, 5).sync(2, 6, 4).good(2).power_cycle().looked(3, 5, Zero),
        ),
        good(
            "what came back is written anew",
            story().wrote(1, 5).power_cycle().looked(2, 5, Zero).wrote(3, 5).looked(4, 5, by(3)),
        ),
        good(
            "two power losses",
            story().wrote(1, 5).synced(2).power_cycle().wrote(3, 5).power_cycle().looked(4, 5, by(1)),
        ),
        good(
            "a late GOOD from before the power loss",
            story().write(1, 5).event(Event::PowerLoss).good(1).event(Event::Restart).looked(2, 5, Zero),
        ),
    ]
}

fn lost_durability() -> Vec<Case<Story>> {
    vec![
        bad("B5", "synchronised data is lost", story().wrote(1, 5).synced(2).power_cycle().looked(3, 5, Zero)),
        bad("B5", "FUA data is lost", story().write_fua(1, 5).good(1).power_cycle().looked(2, 5, Zero)),
        bad(
            "B5",
            "data of a unit without write cache is lost",
            story().on(THROUGH).wrote(1, 5).power_cycle().looked(2, 5, Zero),
        ),
        bad(
            "B5",
            "an older write comes back over a durable one",
            story().wrote(1, 5).write_fua(2, 5).good(2).power_cycle().looked(3, 5, by(1)),
        ),
        bad(
            "B5",
            "of two concurrent writes the one comes back that a read had seen replaced",
            story()
                .write(1, 5)
                .write(2, 5)
                .good(1)
                .good(2)
                .looked(3, 5, by(1))
                .looked(4, 5, by(2))
                .synced(5)
                .power_cycle()
                .looked(6, 5, by(1)),
        ),
        bad(
            "B5",
            "a part of the range is synchronised and lost",
            story().write_blocks(1, 5, 2).good(1).sync(2, 6, 1).good(2).power_cycle().looked(3, 6, Zero),
        ),
        bad(
            "B5",
            "after the power loss it is first this and then that",
            story().wrote(1, 5).power_cycle().looked(2, 5, Zero).looked(3, 5, by(1)),
        ),
        bad(
            "B5",
            "what one power loss took, the next brings back",
            story().wrote(1, 5).power_cycle().looked(2, 5, Zero).power_cycle().looked(3, 5, by(1)),
        ),
        bad(
            "B5",
            "durable data is lost by the second power loss",
            story().wrote(1, 5).synced(2).power_cycle().power_cycle().looked(3, 5, Zero),
        ),
        bad(
            "B5",
            "a late FUA GOOD counts",
            story().write_fua(1, 5).event(Event::PowerLoss).good(1).event(Event::Restart).looked(2, 5, Zero),
        ),
        bad(
            "B1",
            "after a power loss time runs forward too",
            story().power_cycle().wrote(1, 5).wrote(2, 5).looked(3, 5, by(1)),
        ),
    ]
}

fn crashes_and_stops() -> Vec<Case<Story>> {
    vec![
        good("a crash keeps what was acknowledged", story().wrote(1, 5).crash().looked(2, 5, by(1))),
        good(
            "a crash takes or keeps a write in flight",
            story().write(1, 5).write(2, 6).crash().looked(3, 5, by(1)).looked(4, 6, Zero),
        ),
        good(
            "a clean stop keeps everything through a power loss",
            story().wrote(1, 5).stop().power_cycle().looked(2, 5, by(1)),
        ),
        good(
            "a power loss after a crash takes volatile data",
            story().wrote(1, 5).crash().power_cycle().looked(2, 5, Zero),
        ),
        bad("B6", "a crash takes what was acknowledged", story().wrote(1, 5).crash().looked(2, 5, Zero)),
        bad(
            "B1",
            "a write in flight lands after the restart",
            story().write(1, 5).crash().looked(2, 5, Zero).looked(3, 5, by(1)),
        ),
        bad(
            "B7",
            "a clean stop and a restart lose data",
            story().wrote(1, 5).stop().event(Event::Restart).looked(2, 5, Zero),
        ),
        bad(
            "B7",
            "a clean stop and a power loss lose data",
            story().wrote(1, 5).stop().power_cycle().looked(2, 5, Zero),
        ),
    ]
}

fn failed_flushes() -> Vec<Case<Story>> {
    let start = story().wrote(1, 5).sync(2, 0, 0).flush_failed().failed(2);
    let again = || story().wrote(1, 5).sync(2, 0, 0).flush_failed().failed(2);
    let unmapped = Event::Invoke {
        op: OpId(1),
        nexus: Nexus { initiator: 0, login: 1 },
        lun: 9,
        action: Action::Read { lba: 0, blocks: 1 },
    };
    vec![
        good("every later synchronisation fails too", start.sync(3, 0, 0).failed(3)),
        good("what a failed flush dropped shows its past", again().looked(3, 5, by(1)).looked(4, 5, Zero)),
        good("written again, it may be claimed", again().wrote(3, 5).synced(4).looked(5, 5, by(3))),
        good("durable before, it may be claimed", story().wrote(1, 5).synced(2).flush_failed().synced(3)),
        good("another range may be claimed", again().sync(3, 6, 1).good(3)),
        good(
            "a new process after a power loss claims what is there",
            again().power_cycle().looked(3, 5, Zero).synced(4),
        ),
        good(
            "what a failed flush dropped, a later GOOD does not bring back",
            again().crash().synced(3).power_cycle().looked(4, 5, Zero),
        ),
        bad("B8", "the next synchronisation claims what was lost", again().synced(3)),
        bad(
            "B8",
            "the swallowed error shows with the next synchronisation",
            story().wrote(1, 5).sync(2, 0, 0).flush_failed().good(2).synced(3),
        ),
        bad(
            "B5",
            "the swallowed error shows after a power loss",
            story().wrote(1, 5).sync(2, 0, 0).flush_failed().good(2).power_cycle().looked(3, 5, Zero),
        ),
        bad("B1", "a failed flush is no excuse once it is written again", again().wrote(3, 5).looked(4, 5, by(1))),
        bad(
            "B1",
            "a failed flush is no excuse for what was durable",
            story().wrote(1, 5).synced(2).wrote(3, 6).flush_failed().looked(4, 5, Zero),
        ),
        bad("B3", "a logical unit that does not exist answers GOOD", story().event(unmapped).saw(1, &[Zero])),
    ]
}
