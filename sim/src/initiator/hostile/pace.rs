//! Too slow, too fast, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::cdb;
use super::super::codec::{NO_TAG, RawPdu, TO_FULL_FEATURE, opcode, text};
use super::super::link::{Link, LinkError};
use super::super::plan::{Attack, AttackStep, CdbSize, Direction, Keys};
use super::super::world::{Wire, World};
use super::peer::{Peer, solicited, variant};
use super::{Attacker, LONG_STALL, STALL_SLACK};

/// Data of one greedy WRITE.
const GREEDY_BYTES: u32 = 1024 * 1024;
/// Data of a WRITE whose data trickle.
const TRICKLED_BYTES: u32 = 256 * 1024;
/// Of them at a time.
const DROP_BYTES: usize = 16;
/// Times that they come in an initiator's stall.
const ROUNDS: u32 = 3;
/// The pool is used up.
const BUSY: u8 = 0x08;
/// F, W and the task attribute of a WRITE without data for which others wait.
const ORDERED_WRITE: u8 = 0xa2;
/// A larger part of the pool is not filled.
const FULL_SHARE_MAX: usize = 16 << 20;
/// Between two bytes of a PDU that dribbles: before any target asks whether its peer is still there.
const DRIBBLE: Duration = Duration::from_millis(250);
/// Data of that PDU: more than ever come.
const DRIBBLED_BYTES: usize = 1_024;

/// So long a FIN takes to the target at most, if nothing holds it up, before the connection is dropped.
const FIN_TRAVELS: Duration = Duration::from_millis(20);

impl<W: World> Attacker<'_, W> {
    pub(super) async fn pace(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        match step.attack {
            Attack::Slow => return self.slow(step).await,
            Attack::OpenAndDrop => return self.open_and_drop(step).await,
            _ => {}
        }
        let keys = if step.attack == Attack::NeverReads { Keys::default() } else { solicited() };
        let mut peer = self.peer(&keys).await?;
        let result = match step.attack {
            Attack::NeverReads => self.never_read(&mut peer, step).await,
            Attack::GreedyWrites => self.greedy_writes(&mut peer, step).await,
            Attack::TrickledData => self.trickle_data(&mut peer, step).await,
            Attack::PduDribbled => self.dribble(&mut peer, step).await,
            Attack::HoldsData => self.hold_data(&mut peer, step).await,
            _ => flood(&mut peer, step).await,
        };
        self.leave(peer);
        result
    }

    /// A login, one byte at a time.
    async fn slow(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let mut link = Link::connect(&self.world, 1 << 16, self.connect_limit()).await?;
        let name = [("InitiatorName".to_owned(), self.plan.name.clone())];
        let bytes = RawPdu::login(TO_FULL_FEATURE, self.plan.isid, 0, 1, 0, text::encode(&name)).encode(link.digests);
        let deadline = self.world.now() + Duration::from_secs(20);
        for byte in bytes {
            link.send_bytes(vec![byte], deadline).await?;
            self.world.sleep(Duration::from_millis(u64::from(step.amount % 1_000))).await;
            if self.world.now() > deadline {
                break;
            }
        }
        link.wire.abort();
        Ok(())
    }

    async fn open_and_drop(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        for number in 0..1 + step.amount % 50 {
            let link = Link::connect(&self.world, 1 << 16, self.connect_limit()).await?;
            match number % 3 {
                0 => link.wire.abort(),
                1 => {
                    link.wire.shutdown();
                    // Else the RST of the connection that is gone overtakes the FIN.
                    self.world.sleep(FIN_TRAVELS).await;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads as many as the window allows, none of which is taken off the connection. One in two has them wait behind a WRITE
    /// whose data never come: then their data are in the way only when the target may have asked for a sign of life.
    async fn never_read(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let blocks = (65_536 / peer.unit.block_bytes).min(peer.unit.blocks as u32).min(256);
        let bytes = blocks * peer.unit.block_bytes;
        let cdb = cdb::transfer(Direction::In, CdbSize::Ten, 0, blocks, false, false);
        if variant(step, 2) == 0 {
            peer.open_write(step.amount, 1, ORDERED_WRITE).await?;
        }
        let room = peer.max_cmd_sn.wrapping_sub(peer.cmd_sn).wrapping_add(1).min(1 + step.amount % 64);
        for _ in 0..room {
            let tag = peer.tag();
            peer.send(RawPdu::scsi_command(0xc1, peer.lun, tag, bytes, &cdb)).await?;
        }
        self.world.sleep(Duration::from_secs(u64::from(step.amount % 40))).await;
        Ok(())
    }

    /// WRITEs without their data hold no more than a part of the pool, and not for ever.
    async fn greedy_writes(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (share, stall) = (self.shared.pool_share_bytes, self.shared.initiator_stall);
        if share > FULL_SHARE_MAX {
            return Ok(());
        }
        let blocks = (GREEDY_BYTES / peer.unit.block_bytes).min(peer.unit.blocks as u32);
        let bytes = (blocks * peer.unit.block_bytes) as usize;
        let room = peer.max_cmd_sn.wrapping_sub(peer.cmd_sn).wrapping_add(1).min(2 + (share / bytes) as u32);
        let mut writes = BTreeMap::new();
        for number in 0..room {
            let write = peer.open_write(step.amount.wrapping_add(number), blocks, 0xa1).await?;
            writes.insert(write.tag, write);
        }
        let heard = peer.attend(Duration::from_secs(1)).await?;
        let asked: Vec<&RawPdu> = heard.iter().filter(|pdu| pdu.opcode() == opcode::R2T).collect();
        let mut held: BTreeSet<u32> = asked.iter().map(|r2t| r2t.initiator_task_tag()).collect();
        held.retain(|tag| peer.is_open(*tag));
        if held.len() * bytes > share.max(bytes) {
            let story = format!("{} WRITEs of {bytes} bytes wait for data; the share is {share} bytes", held.len());
            self.complain("S4", step, &story);
        }
        if stall > LONG_STALL {
            return Ok(());
        }
        if let Some(r2t) = asked.first().filter(|_| variant(step, 2) == 0) {
            // One of them goes on, late.
            peer.attend(stall / 2).await?;
            let (start, asked) = (r2t.buffer_offset() as usize, r2t.desired_length() as usize);
            let length = asked.min(peer.target_max_recv as usize);
            let (write, tag) = (&writes[&r2t.initiator_task_tag()], r2t.target_transfer_tag());
            peer.data(write, tag, 0, start..start + length, length == asked).await?;
        }
        for wait in [stall + STALL_SLACK, Duration::from_secs(1)] {
            peer.attend(wait).await?;
            // It is there, and so are its timers.
            peer.ping().await?;
        }
        held.retain(|tag| peer.is_open(*tag));
        if !held.is_empty() {
            self.complain("S4", step, &format!("WRITEs {held:x?} wait for data that never came, {stall:?} and longer"));
        }
        Ok(())
    }

    /// WRITEs whose data trickle keep no buffers while others, here of the same session, are refused them.
    async fn trickle_data(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (share, stall) = (self.shared.pool_share_bytes, self.shared.initiator_stall);
        let blocks = (TRICKLED_BYTES / peer.unit.block_bytes).min(peer.unit.blocks as u32);
        let bytes = (blocks * peer.unit.block_bytes) as usize;
        if share > FULL_SHARE_MAX || stall > LONG_STALL || self.shared.stall_bytes <= ROUNDS as usize * DROP_BYTES {
            return Ok(());
        }
        // One that waits from the start, and all that come after it until one is refused.
        let first = peer.open_write(step.amount, blocks, 0xa1).await?;
        let r2t = peer.await_answer(opcode::R2T, first.tag).await?;
        let (tag, start) = (r2t.target_transfer_tag(), r2t.buffer_offset() as usize);
        let end = start + r2t.desired_length() as usize;
        // The target's time runs while somebody is refused a buffer. So what counts is how long refusals were heard: a world
        // that stands still, and a link that takes nothing meanwhile, are none of it.
        let (mut round, mut refused_for) = (0, Duration::ZERO);
        while peer.is_open(first.tag) && refused_for < 2 * stall + STALL_SLACK {
            let room = peer.max_cmd_sn.wrapping_sub(peer.cmd_sn).wrapping_add(1).min(2 + (share / bytes) as u32);
            for number in 0..room {
                peer.open_write(step.amount.wrapping_add(number), blocks, 0xa1).await?;
            }
            let at = start + round as usize * DROP_BYTES;
            if at + DROP_BYTES >= end {
                // All that was asked for is there.
                return Ok(());
            }
            peer.data(&first, tag, round, at..at + DROP_BYTES, false).await?;
            round += 1;
            let heard = peer.attend(stall / ROUNDS).await?;
            if !heard.iter().any(|pdu| pdu.opcode() == opcode::SCSI_RESPONSE && pdu.status() == BUSY) {
                // Nobody is refused a buffer: then it may keep its own.
                return Ok(());
            }
            refused_for += stall / ROUNDS;
        }
        peer.ping().await?;
        if peer.is_open(first.tag) {
            let (tag, got) = (first.tag, format!("{round} times {DROP_BYTES} bytes"));
            let story = format!(
                "WRITE {tag:x} got {got} while others were refused for {refused_for:.1?}, and keeps its buffer"
            );
            self.complain("S4", step, &story);
        }
        Ok(())
    }

    /// A PDU has to come to its end in time, however lively its bytes are.
    async fn dribble(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let stall = self.shared.initiator_stall;
        if stall > LONG_STALL {
            return Ok(());
        }
        let tag = peer.tag();
        let pdu = RawPdu::nop_out(0, tag, NO_TAG, vec![0x55; DRIBBLED_BYTES]).immediate();
        let mut bytes = peer.encode(pdu);
        // When the target had taken the first byte, and when it took one although the PDU was overdue.
        let (mut begun, mut overdue) = (None, None);
        while overdue.is_none_or(|overdue| self.world.now() <= overdue + Duration::from_secs(1)) {
            if bytes.len() == 1 {
                // The link took them all before it brought the first ones: it comes whole.
                return Ok(());
            }
            let rest = bytes.split_off(1);
            peer.send_bytes(std::mem::replace(&mut bytes, rest)).await?;
            self.world.sleep(DRIBBLE).await;
            match peer.link.wire.unread() {
                None => return Ok(()),
                Some(0) => {
                    let now = self.world.now();
                    let begun = *begun.get_or_insert(now);
                    if now > begun + stall + STALL_SLACK {
                        overdue.get_or_insert(now);
                    }
                }
                Some(_) => {}
            }
        }
        peer.send_bytes(bytes).await?;
        peer.await_answer(opcode::NOP_IN, tag).await?;
        self.complain("S4", step, &format!("a PDU took longer than {stall:?}, and it was waited for"));
        Ok(())
    }

    /// A write whose last data never come.
    async fn hold_data(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let write = peer.open_write(step.amount, 4, 0xa1).await?;
        let r2t = peer.await_answer(opcode::R2T, write.tag).await?;
        let start = r2t.buffer_offset() as usize;
        let half = r2t.desired_length() as usize / 2;
        peer.data(&write, r2t.target_transfer_tag(), 0, start..start + half, false).await?;
        self.world.sleep(Duration::from_secs(u64::from(step.amount % 20))).await;
        Ok(())
    }
}

async fn flood<W: World>(peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
    for _ in 0..1 + step.amount % 300 {
        let tag = peer.tag();
        let pdu = peer.test_unit_ready(tag).immediate();
        peer.send(pdu).await?;
    }
    peer.listen().await;
    Ok(())
}
