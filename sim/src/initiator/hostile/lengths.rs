//! Lengths that are wrong.

use super::super::codec::{NO_TAG, RawPdu, opcode};
use super::super::link::LinkError;
use super::super::plan::{Attack, AttackStep, Keys};
use super::super::world::World;
use super::Attacker;
use super::peer::{Peer, is_answered, is_good, solicited, variant};

impl<W: World> Attacker<'_, W> {
    pub(super) async fn lengths(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let keys = if step.attack == Attack::ImmediateTooLong && variant(step, 2) == 0 {
            Keys { immediate_data: Some(true), ..solicited() }
        } else {
            solicited()
        };
        let mut peer = self.peer(&keys).await?;
        let result = match step.attack {
            Attack::SegmentTooLong | Attack::AhsLies => self.headers(&mut peer, step).await,
            Attack::ExpectsLess => self.expects_less(&mut peer, step).await,
            Attack::ImmediateTooLong => self.immediate_too_long(&mut peer, step).await,
            _ => self.bursts(&mut peer, step).await,
        };
        self.leave(peer);
        result
    }

    async fn headers(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let tag = peer.tag();
        let mut pdu = if step.attack == Attack::SegmentTooLong {
            let mut pdu = RawPdu::nop_out(0, tag, NO_TAG, vec![0x55; 64]);
            let length = [peer.target_max_recv + 1, (1 << 24) - 1][variant(step, 2) as usize].to_be_bytes();
            pdu.bhs[5..8].copy_from_slice(&length[1..]);
            pdu
        } else {
            // An extended CDB that claims more bytes than there are, or none; more header than the field can mean.
            let mut pdu = peer.test_unit_ready(tag);
            let lie = [0xffff_u16, 0, 9, 4][variant(step, 4) as usize].to_be_bytes();
            pdu.ahs = vec![lie[0], lie[1], 1, 0, 0, 0, 0, 0];
            pdu.bhs[4] = [2, 2, 2, 0xff][variant(step, 4) as usize];
            pdu
        };
        pdu = pdu.sequenced(peer.cmd_sn, peer.exp_stat_sn);
        let bytes = pdu.encode_as_is(peer.link.digests);
        let limit = peer.link.world.now() + self.connect_limit();
        peer.link.send_bytes(bytes, limit).await?;
        let heard = peer.listen().await;
        if step.attack == Attack::SegmentTooLong && is_answered(&heard, tag) {
            self.complain("I6", step, "a data segment over the target's own limit was taken");
        }
        Ok(())
    }

    /// Expected Data Transfer Length below what the CDB asks for: a residual overflow, or an error.
    async fn expects_less(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let block = peer.unit.block_bytes;
        let blocks = 2 + variant(step, 4);
        // A part of a block, too.
        let part = if step.amount / 4 % 2 == 1 { block / 2 } else { 0 };
        let expected = (blocks - 1) * block - part;
        let write = peer.write(step.amount, blocks, expected, 0xa1, 0).await?;
        let mut asked = 0;
        while asked < expected {
            let r2t = peer.await_answer(opcode::R2T, write.tag).await?;
            let (start, length) = (r2t.buffer_offset(), r2t.desired_length());
            if start + length > expected {
                self.complain("I5", step, &format!("R2T for {length} bytes at {start}, {expected} are expected"));
                return Ok(());
            }
            asked += length;
            let segment = peer.target_max_recv as usize;
            let (start, end) = (start as usize, (start + length) as usize);
            for (sn, at) in (start..end).step_by(segment).enumerate() {
                let part = at..end.min(at + segment);
                let last = part.end == end;
                peer.data(&write, r2t.target_transfer_tag(), sn as u32, part, last).await?;
            }
        }
        let heard = peer.listen().await;
        let answer =
            heard.iter().find(|pdu| pdu.opcode() == opcode::SCSI_RESPONSE && pdu.initiator_task_tag() == write.tag);
        if let Some(answer) = answer
            && answer.status() == 0
            && (!answer.residual_overflow() || answer.residual() != block + part)
        {
            let residual = answer.residual();
            self.complain(
                "T11",
                step,
                &format!("GOOD with residual {residual}, expected an overflow of {}", block + part),
            );
        }
        Ok(())
    }

    async fn immediate_too_long(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        // Beyond FirstBurstLength, or though ImmediateData is No.
        let block = peer.unit.block_bytes;
        let blocks = 4_096 / block.min(4_096);
        let immediate = (blocks * block) as usize;
        let write = peer.write(step.amount, blocks, blocks * block, 0xa1, immediate).await?;
        let heard = peer.listen().await;
        if is_good(&heard, write.tag) {
            self.complain("I5", step, "immediate data that were not negotiated were taken");
        }
        Ok(())
    }

    async fn bursts(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let write = peer.open_write(step.amount, 4, 0xa1).await?;
        let r2t = peer.await_answer(opcode::R2T, write.tag).await?;
        let tag = r2t.target_transfer_tag();
        let start = r2t.buffer_offset() as usize;
        let end = (start + r2t.desired_length() as usize).min(write.data.len());
        match step.attack {
            Attack::BurstTooLong => {
                let more = (end + peer.unit.block_bytes as usize).min(write.data.len());
                peer.data(&write, tag, 0, start..more, true).await?;
            }
            Attack::FinalMissing => peer.data(&write, tag, 0, start..end, false).await?,
            _ => peer.data(&write, tag, 0, start..start + (end - start) / 2, true).await?,
        }
        let heard = peer.listen().await;
        if step.attack == Attack::FinalEarly && is_good(&heard, write.tag) {
            self.complain("I5", step, "a write whose data never came whole ended GOOD");
        }
        Ok(())
    }
}
