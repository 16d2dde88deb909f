//! Sequence numbers, tags and offsets that are wrong.

use std::time::Duration;

use super::super::codec::{RawPdu, opcode, serial};
use super::super::link::LinkError;
use super::super::plan::{Attack, AttackStep, Attribute};
use super::super::world::World;
use super::peer::{Peer, is_answered, is_good, solicited, variant, variant_within};
use super::{Attacker, LONG_STALL, STALL_SLACK};

/// A wider window than this is not filled.
const FULL_WINDOW_MAX: u32 = 128;

impl<W: World> Attacker<'_, W> {
    pub(super) async fn numbers(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let mut peer = self.peer(&solicited()).await?;
        let result = match step.attack {
            Attack::CommandAboveWindow if variant(step, 3) != 0 => self.above_full_window(&mut peer, step).await,
            Attack::CommandsBackward => self.backward(&mut peer, step).await,
            Attack::CommandAboveWindow | Attack::CommandBelowWindow | Attack::CommandTwice | Attack::CommandGap => {
                self.window(&mut peer, step).await
            }
            Attack::StatusAhead | Attack::TagReused => self.tags(&mut peer, step).await,
            _ => self.offsets(&mut peer, step).await,
        };
        self.leave(peer);
        result
    }

    /// Outside the window a command is dropped in silence (RFC 7143, 4.2.2.1).
    async fn window(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (good, bad) = (peer.tag(), peer.tag());
        let (next, last) = (peer.cmd_sn, peer.max_cmd_sn);
        let bad_sn = match step.attack {
            Attack::CommandAboveWindow => last.wrapping_add(1 + variant_within(step, 3, 3) * 1_000),
            Attack::CommandBelowWindow => next.wrapping_sub(1 + variant(step, 3) * 1_000),
            Attack::CommandTwice => next,
            _ => next.wrapping_add(1 + variant(step, 3)),
        };
        if step.attack == Attack::CommandTwice {
            let pdu = peer.test_unit_ready(good);
            peer.send(pdu).await?;
        }
        let pdu = peer.test_unit_ready(bad).sequenced(bad_sn, peer.exp_stat_sn);
        peer.send_raw(pdu).await?;
        let mut strays = vec![(bad, bad_sn)];
        if step.attack == Attack::CommandGap {
            // While the first one waits: once more, and one on either side of the window.
            for number in [bad_sn, next.wrapping_sub(1), last.wrapping_add(1)] {
                let tag = peer.tag();
                let pdu = peer.test_unit_ready(tag).sequenced(number, peer.exp_stat_sn);
                peer.send_raw(pdu).await?;
                strays.push((tag, number));
            }
        }
        let heard = peer.listen().await;
        if let Some((_, number)) = strays.iter().find(|(tag, _)| is_answered(&heard, *tag)) {
            self.complain("I1", step, &format!("CmdSN {number} was served, the window is {next}..={last}"));
        }
        if step.attack == Attack::CommandGap && serial::at_or_before(bad_sn, last) {
            self.await_end_of_gap(peer, step).await?;
        }
        Ok(())
    }

    /// A command within the window waits for one that never comes: not for ever.
    async fn await_end_of_gap(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let stall = self.shared.initiator_stall;
        if stall > LONG_STALL {
            return Ok(());
        }
        // The first answer says that the command has come; the others, that the target and its timers are there.
        for wait in [Duration::ZERO, stall + STALL_SLACK, Duration::from_secs(1)] {
            peer.attend(wait).await?;
            peer.ping().await?;
        }
        self.complain("S4", step, &format!("a gap in CmdSN was waited for longer than {stall:?}"));
        Ok(())
    }

    /// The window is full of writes that wait for their data, so that it can not move; then comes one command more.
    async fn above_full_window(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let bad_sn = peer.max_cmd_sn.wrapping_add(1);
        let room = bad_sn.wrapping_sub(peer.cmd_sn);
        if room > FULL_WINDOW_MAX {
            return Ok(());
        }
        for number in 0..room {
            peer.open_write(step.amount.wrapping_add(number), 1, 0xa1).await?;
        }
        let bad = peer.tag();
        let pdu = peer.test_unit_ready(bad).sequenced(bad_sn, peer.exp_stat_sn);
        peer.send_raw(pdu).await?;
        while let Ok(pdu) = peer.link.recv(peer.listen_until()).await {
            if pdu.initiator_task_tag() == bad && pdu.opcode() != opcode::REJECT {
                self.complain("I1", step, &format!("CmdSN {bad_sn} was served, MaxCmdSN never got there"));
                break;
            }
            // A write was refused: the window has moved, and the command may have been within.
            if serial::at_or_before(bad_sn, pdu.max_cmd_sn()) {
                break;
            }
        }
        Ok(())
    }

    /// ORDERED commands end in the order of CmdSN, in whichever order they come.
    async fn backward(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let count = 2 + variant(step, 3);
        let first = peer.cmd_sn;
        if serial::before(peer.max_cmd_sn, first.wrapping_add(count - 1)) {
            return Ok(());
        }
        let tags: Vec<u32> = (0..count).map(|_| peer.tag()).collect();
        for (number, tag) in tags.iter().enumerate().rev() {
            let mut pdu = peer.test_unit_ready(*tag);
            pdu.bhs[1] = 0x80 | Attribute::Ordered as u8;
            let pdu = pdu.sequenced(first.wrapping_add(number as u32), peer.exp_stat_sn);
            peer.send_raw(pdu).await?;
        }
        peer.cmd_sn = first.wrapping_add(count);
        let heard = peer.listen().await;
        let mut served = tags.iter();
        let ended: Vec<u32> = heard
            .iter()
            // A command for which there was no room never entered the task set.
            .filter(|pdu| pdu.opcode() == opcode::SCSI_RESPONSE && pdu.status() == 0)
            .map(RawPdu::initiator_task_tag)
            .filter(|tag| tags.contains(tag))
            .collect();
        if !ended.iter().all(|tag| served.any(|next| next == tag)) {
            self.complain("I1", step, &format!("ORDERED commands {tags:x?} (by CmdSN) ended in the order {ended:x?}"));
        }
        Ok(())
    }

    async fn tags(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        if step.attack == Attack::StatusAhead {
            let tag = peer.tag();
            let (cmd_sn, ahead) = (peer.cmd_sn, peer.exp_stat_sn.wrapping_add(1 + step.amount));
            peer.cmd_sn = cmd_sn.wrapping_add(1);
            let pdu = peer.test_unit_ready(tag).sequenced(cmd_sn, ahead);
            peer.send_raw(pdu).await?;
            peer.listen().await;
            return Ok(());
        }
        let write = peer.open_write(step.amount, 2, 0xa1).await?;
        // A reset may end it in silence; then what has its tag is served, and a status is not its own.
        peer.let_go(&write);
        let pdu = peer.test_unit_ready(write.tag);
        peer.send(pdu).await?;
        let heard = peer.listen().await;
        // Where there was no buffer for the first one, its tag is free again.
        let refused = heard.iter().any(|pdu| {
            pdu.opcode() == opcode::SCSI_RESPONSE && pdu.initiator_task_tag() == write.tag && pdu.status() != 0
        });
        if is_good(&heard, write.tag) && !refused {
            self.complain("I8", step, "a second command with a tag in use was served");
        }
        Ok(())
    }

    async fn offsets(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let write = peer.open_write(step.amount, 4, 0xa1).await?;
        let r2t = peer.await_answer(opcode::R2T, write.tag).await?;
        let tag = r2t.target_transfer_tag();
        let start = r2t.buffer_offset() as usize;
        let end = start + r2t.desired_length() as usize;
        let middle = start + (end - start) / 2;
        match step.attack {
            Attack::TransferTagWrong => {
                peer.data(&write, tag ^ (1 + step.amount), 0, start..end, true).await?;
            }
            Attack::TransferTagStale => {
                peer.data(&write, tag, 0, start..end, true).await?;
                peer.data(&write, tag, 0, start..end, true).await?;
            }
            Attack::DataNumberGap => {
                peer.data(&write, tag, 0, start..middle, false).await?;
                peer.data(&write, tag, 2 + variant(step, 3), middle..end, true).await?;
            }
            Attack::OffsetBeyond => {
                let mut pdu = RawPdu::data_out(peer.lun, write.tag, tag, 0, 0, true, &write.data[start..end]);
                let beyond = [end as u32, u32::MAX - 3, 0x8000_0000, end as u32 - 4];
                pdu.set_u32(40, beyond[variant(step, 4) as usize]);
                peer.send(pdu).await?;
            }
            Attack::OffsetOverlap => {
                peer.data(&write, tag, 0, start..middle, false).await?;
                peer.data(&write, tag, 1, start..middle, true).await?;
            }
            _ => {
                peer.data(&write, tag, 0, middle..end, false).await?;
                peer.data(&write, tag, 1, start..middle, true).await?;
            }
        }
        let heard = peer.listen().await;
        let incomplete = matches!(step.attack, Attack::TransferTagWrong | Attack::OffsetBeyond | Attack::OffsetOverlap);
        if incomplete && is_good(&heard, write.tag) {
            self.complain("I5", step, "a write whose data never came whole ended GOOD");
        }
        Ok(())
    }
}
