//! Data at every moment of a WRITE: behind a gap in CmdSN, dormant, refused, aborting, over. They break the rules there, or
//! their digest is wrong, or they never come.

use std::time::Duration;

use super::super::codec::{NO_TAG, RawPdu, opcode, serial};
use super::super::link::LinkError;
use super::super::plan::{Attack, AttackStep, Keys};
use super::super::world::World;
use super::peer::{OpenWrite, Peer, is_good, spoil_digest, variant};
use super::{Attacker, LONG_STALL};

/// Blocks of each WRITE whose data come unasked.
const BLOCKS: u32 = 2;
/// WRITEs that are aborted at once, at most.
const ABORTED_MAX: u32 = 4;
/// After this time the target is at work on a function that it was sent.
const SOON: Duration = Duration::from_millis(5);
/// A function that waits for data, or for a back end that hangs, takes no longer than this.
const FUNCTION_LIMIT: Duration = Duration::from_secs(12);
/// When the gap is filled behind an ABORT TASK SET: the target has waited for it in vain, and now waits for data. It waits
/// for each as long as its own deadline says, which is between two of these.
const GAP_FILLED: [Duration; 4] =
    [Duration::from_millis(75), Duration::from_millis(750), Duration::from_secs(3), Duration::from_millis(7_500)];

/// What is wrong with the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flaw {
    Number,
    Digest,
}

impl<W: World> Attacker<'_, W> {
    pub(super) async fn moments(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let mut peer = self.peer(&unasked()).await?;
        let result = match step.attack {
            Attack::DataBehindGap => self.data_behind_gap(&mut peer, step).await,
            Attack::DataWhileDormant => self.data_while_dormant(&mut peer, step).await,
            Attack::DataOfRefused => self.data_of_refused(&mut peer, step).await,
            _ => self.data_of_aborted(&mut peer, step).await,
        };
        self.leave(peer);
        result
    }

    /// The data of a WRITE come before its turn in CmdSN order, or it is aborted before its turn.
    async fn data_behind_gap(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (missing, stall) = (peer.cmd_sn, self.shared.initiator_stall);
        let kind = variant(step, 5);
        // The first of two comes in time, so that the gap is a new one when the data are overdue.
        let gap = if kind == 2 { 2 } else { 1 };
        if serial::before(peer.max_cmd_sn, missing.wrapping_add(gap)) || kind == 2 && stall > LONG_STALL {
            return Ok(());
        }
        peer.cmd_sn = missing.wrapping_add(gap);
        let write = open_write(peer, step.amount, false).await?;
        match kind {
            0 => peer.send_flawed(&write, 0, Flaw::Number).await?,
            1 => peer.send_flawed(&write, 0, Flaw::Digest).await?,
            2 => {
                peer.attend(stall / 2).await?;
                peer.send_test_unit_ready(missing).await?;
                peer.attend(stall * 3 / 4).await?;
            }
            3 => {
                let tag = peer.tag();
                let abort = RawPdu::task_management(1, peer.lun, tag, write.tag, write.cmd_sn).immediate();
                peer.send(abort).await?;
                if peer.await_answer(opcode::TASK_MANAGEMENT_RESPONSE, tag).await?.response() == 0 {
                    peer.fence(&write);
                }
            }
            _ => {
                let tag = peer.tag();
                peer.send(RawPdu::task_management(2, peer.lun, tag, NO_TAG, 0).immediate()).await?;
                self.world.sleep(GAP_FILLED[variant(step, 20) as usize / 5]).await;
            }
        }
        peer.send_test_unit_ready(missing.wrapping_add(gap - 1)).await?;
        self.judge(step, &write, &peer.listen().await);
        Ok(())
    }

    /// The data of an ORDERED WRITE come while an older one has not got its own.
    async fn data_while_dormant(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        if serial::before(peer.max_cmd_sn, peer.cmd_sn.wrapping_add(1)) {
            return Ok(());
        }
        let older = open_write(peer, step.amount, false).await?;
        let dormant = open_write(peer, step.amount.wrapping_add(1), true).await?;
        peer.send_flawed(&dormant, 0, flaw(step.amount)).await?;
        for block in 0..BLOCKS {
            let data = peer.block_of(&older, block);
            peer.send(data).await?;
        }
        self.judge(step, &dormant, &peer.listen().await);
        Ok(())
    }

    /// A block with a wrong digest ends a WRITE when its data have stopped coming: more come, or none.
    async fn data_of_refused(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let write = open_write(peer, step.amount, false).await?;
        peer.send_flawed(&write, 0, Flaw::Digest).await?;
        match variant(step, 3) {
            0 => peer.send_flawed(&write, 1, Flaw::Number).await?,
            1 => peer.send_flawed(&write, 1, Flaw::Digest).await?,
            _ if self.shared.initiator_stall <= LONG_STALL => drop(peer.attend(self.shared.initiator_stall).await?),
            _ => {}
        }
        self.judge(step, &write, &peer.listen().await);
        Ok(())
    }

    /// WRITEs are aborted while they owe data, or while workers have them, and data come. The last of them come half before
    /// the function is answered and half behind the answer.
    async fn data_of_aborted(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let owe = variant(step, 2) == 0;
        let room = peer.max_cmd_sn.wrapping_sub(peer.cmd_sn).wrapping_add(1);
        if room == 0 {
            return Ok(());
        }
        let (mut writes, mut bytes) = (Vec::new(), Vec::new());
        for number in 0..room.min(1 + step.amount / 2 % ABORTED_MAX) {
            let (block, amount) = (peer.unit.block_bytes, step.amount.wrapping_add(number));
            let (write, command) = if owe {
                peer.prepare_write(amount, BLOCKS, BLOCKS * block, 0x21, 0)
            } else {
                peer.prepare_write(amount, 1, block, 0xa1, block as usize)
            };
            bytes.extend(peer.encode(command));
            writes.push(write);
        }
        let tag = peer.tag();
        let function = RawPdu::task_management(2, peer.lun, tag, NO_TAG, 0).immediate();
        bytes.extend(peer.encode(function));
        peer.send_bytes(bytes).await?;
        if owe {
            self.world.sleep(SOON).await;
        }
        // Where nothing is owed the second block is one that nobody asked for.
        let block = if owe { 0 } else { 1 };
        // Those of the oldest come last, of which a worker is the likeliest to have it.
        let mut bytes: Vec<u8> =
            writes.iter().rev().flat_map(|write| peer.flawed(write, block, flaw(step.amount / 8))).collect();
        let late = bytes.split_off(bytes.len() - peer.unit.block_bytes as usize / 2);
        peer.send_bytes(bytes).await?;
        let answer = peer.await_answer_within(FUNCTION_LIMIT, opcode::TASK_MANAGEMENT_RESPONSE, tag).await?;
        if answer.response() == 0 {
            writes.iter().for_each(|write| peer.fence(write));
        }
        peer.send_bytes(late).await?;
        let ended = |pdu: &RawPdu| {
            let tag = pdu.initiator_task_tag();
            pdu.opcode() == opcode::SCSI_RESPONSE && writes.iter().any(|write| write.tag == tag)
        };
        if peer.listen().await.iter().any(ended) && answer.response() == 0 {
            self.complain("T5", step, "a SCSI response after the abort was confirmed");
        }
        Ok(())
    }

    fn judge(&self, step: &AttackStep, write: &OpenWrite, heard: &[RawPdu]) {
        if is_good(heard, write.tag) {
            self.complain("I5", step, "a write whose data never came whole ended GOOD");
        }
    }
}

impl<W: World> Peer<W> {
    /// One block of a WRITE's data, unasked.
    fn block_of(&self, write: &OpenWrite, block: u32) -> RawPdu {
        let bytes = self.unit.block_bytes;
        let start = block * bytes;
        let data = &write.data[start as usize..(start + bytes) as usize];
        RawPdu::data_out(0, write.tag, NO_TAG, block, start, block + 1 == BLOCKS, data)
    }

    /// The same with something wrong.
    fn flawed(&mut self, write: &OpenWrite, block: u32, flaw: Flaw) -> Vec<u8> {
        let mut pdu = self.block_of(write, block);
        if flaw == Flaw::Number || !self.link.digests.data {
            pdu.set_u32(36, block + 1);
        }
        let mut bytes = self.encode(pdu);
        if flaw == Flaw::Digest && self.link.digests.data {
            spoil_digest(&mut bytes);
        }
        bytes
    }

    async fn send_flawed(&mut self, write: &OpenWrite, block: u32, flaw: Flaw) -> Result<(), LinkError> {
        let bytes = self.flawed(write, block, flaw);
        self.send_bytes(bytes).await
    }

    /// TEST UNIT READY with this CmdSN.
    async fn send_test_unit_ready(&mut self, cmd_sn: u32) -> Result<(), LinkError> {
        let tag = self.tag();
        let pdu = self.test_unit_ready(tag).sequenced(cmd_sn, self.exp_stat_sn);
        self.send_raw(pdu).await
    }
}

/// Keys with which the data of a WRITE come unasked, each PDU with a digest.
fn unasked() -> Keys {
    Keys { data_digest: Some("CRC32C".to_owned()), initial_r2t: Some(false), ..Keys::default() }
}

/// Sends a WRITE whose data follow unasked.
async fn open_write<W: World>(peer: &mut Peer<W>, amount: u32, ordered: bool) -> Result<OpenWrite, LinkError> {
    peer.open_write(amount, BLOCKS, if ordered { 0x22 } else { 0x21 }).await
}

fn flaw(amount: u32) -> Flaw {
    if amount.is_multiple_of(2) { Flaw::Number } else { Flaw::Digest }
}
