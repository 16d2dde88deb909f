//! Good PDUs at the wrong time, and PDUs that do not exist.

use std::time::Duration;

use super::super::codec::{NO_TAG, RawPdu, TO_FULL_FEATURE, opcode, serial, text};
use super::super::link::LinkError;
use super::super::plan::{Attack, AttackStep, Keys};
use super::super::world::World;
use super::Attacker;
use super::peer::{Peer, is_answered, is_good, solicited, spoil_digest, variant};

/// A negotiation that goes on for longer than these requests is one without an end.
const EMPTY_TEXTS: u32 = 300;
/// No plan has so many logical units.
const UNMAPPED_LUN: u16 = 99;
/// Rounds of PDUs that do not belong there, at most.
const MISPLACED_ROUNDS: u32 = 200;
/// Rounds of commands that are aborted at once, at most, and the time between two.
const ABORT_ROUNDS: u32 = 100;
const ABORT_PAUSE: Duration = Duration::from_millis(40);
/// The time between the beginning and the end of each ping among them.
const MISPLACED_PAUSE: Duration = Duration::from_millis(20);

impl<W: World> Attacker<'_, W> {
    pub(super) async fn order(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let keys = match step.attack {
            Attack::DataBehindWrite => Keys::default(),
            Attack::MisplacedFlood => Keys { data_digest: Some("CRC32C".to_owned()), ..solicited() },
            Attack::AbortConfirmed => Keys { initial_r2t: Some(false), ..Keys::default() },
            _ => solicited(),
        };
        let mut peer = self.peer(&keys).await?;
        let result = match step.attack {
            Attack::DataWithoutCommand | Attack::UnsolicitedForbidden => self.unasked_data(&mut peer, step).await,
            Attack::DataAfterAbort => self.data_after_abort(&mut peer, step).await,
            Attack::DataBehindWrite => data_behind_write(&mut peer, step).await,
            Attack::AbortUnsent => self.abort_unsent(&mut peer, step).await,
            Attack::AbortConfirmed => self.abort_confirmed(&mut peer, step).await,
            Attack::TextFlood => flood_text(&mut peer, step).await,
            Attack::MisplacedFlood => self.flood_misplaced(&mut peer, step).await,
            Attack::AbortFlood => flood_aborts(&mut peer, step).await,
            Attack::TextEmpty => self.empty_text(&mut peer, step).await,
            _ => self.out_of_place(&mut peer, step).await,
        };
        self.leave(peer);
        result
    }

    async fn unasked_data(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        if step.attack == Attack::DataWithoutCommand {
            let tag = peer.tag();
            let transfer_tag = if variant(step, 2) == 0 { NO_TAG } else { step.amount };
            peer.send(RawPdu::data_out(0, tag, transfer_tag, 0, 0, true, &[0x55; 512])).await?;
            if peer
                .listen()
                .await
                .iter()
                .any(|pdu| pdu.opcode() == opcode::SCSI_RESPONSE && pdu.initiator_task_tag() == tag)
            {
                self.complain("I8", step, "data of a command that was never sent got a SCSI response");
            }
            return Ok(());
        }
        // The command says that unsolicited data follow, and they do.
        let block = peer.unit.block_bytes as usize;
        let write = peer.open_write(step.amount, 1, 0x21).await?;
        let segment = block.min(peer.target_max_recv as usize);
        peer.data(&write, NO_TAG, 0, 0..segment, true).await?;
        let heard = peer.listen().await;
        if is_good(&heard, write.tag) {
            self.complain("I5", step, "unsolicited data were taken although InitialR2T is Yes");
        }
        Ok(())
    }

    async fn data_after_abort(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let write = peer.open_write(step.amount, 4, 0xa1).await?;
        let r2t = peer.await_answer(opcode::R2T, write.tag).await?;
        let tag = peer.tag();
        let abort = RawPdu::task_management(1, peer.lun, tag, write.tag, write.cmd_sn).immediate();
        peer.send(abort).await?;
        let answer = peer.await_answer(opcode::TASK_MANAGEMENT_RESPONSE, tag).await?;
        if answer.response() != 0 {
            let response = answer.response();
            self.complain("T6", step, &format!("ABORT TASK of a write that waits for data was answered {response}"));
            return Ok(());
        }
        peer.fence(&write);
        let start = r2t.buffer_offset() as usize;
        let end = start + (r2t.desired_length() as usize).min(peer.target_max_recv as usize);
        peer.data(&write, r2t.target_transfer_tag(), 0, start..end, true).await?;
        if peer
            .listen()
            .await
            .iter()
            .any(|pdu| pdu.opcode() == opcode::SCSI_RESPONSE && pdu.initiator_task_tag() == write.tag)
        {
            self.complain("T5", step, "a SCSI response after the abort was confirmed");
        }
        Ok(())
    }

    /// ABORT TASK of a command that was never sent: within the window, and before the function, its number counts as
    /// received and is done with; else there is no such task (RFC 7143, 11.5.1).
    async fn abort_unsent(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (unsent, tag) = (peer.tag(), peer.tag());
        let missing = peer.cmd_sn;
        let within = variant(step, 2) == 1;
        if serial::before(peer.max_cmd_sn, missing.wrapping_add(1)) {
            return Ok(());
        }
        let number = match variant(step, 4) {
            0 => missing.wrapping_sub(1 + step.amount % 1_000),
            2 => peer.max_cmd_sn.wrapping_add(1_000 + step.amount % 1_000),
            _ => missing,
        };
        let mut pdus = Vec::new();
        if within {
            peer.cmd_sn = missing.wrapping_add(1);
            if variant(step, 4) == 1 {
                let behind = peer.tag();
                pdus.push(peer.test_unit_ready(behind));
            }
        }
        pdus.push(RawPdu::task_management(1, peer.lun, tag, unsent, number).immediate());
        peer.send_together(pdus).await?;
        let response = peer.await_answer(opcode::TASK_MANAGEMENT_RESPONSE, tag).await?.response();
        if response != u8::from(!within) {
            let story = format!("ABORT TASK of a command with CmdSN {number} that never came was answered {response}");
            self.complain("T6", step, &story);
        }
        if !within || response != 0 {
            return Ok(());
        }
        let (expected, next) = (peer.ping().await?.exp_cmd_sn(), peer.cmd_sn);
        if expected != next {
            let story = format!("ExpCmdSN is {expected} and not {next} after the abort of CmdSN {missing}");
            self.complain("I2", step, &story);
        }
        let late = peer.test_unit_ready(unsent).sequenced(missing, peer.exp_stat_sn);
        peer.send_raw(late).await?;
        if is_answered(&peer.listen().await, unsent) {
            self.complain("I1", step, &format!("CmdSN {missing} was served after its abort"));
        }
        Ok(())
    }

    /// CLEAR TASK SET takes away a task that is dormant, and waits for the data of two WRITEs, before it and behind it.
    /// ABORT TASK SET, which lies between, has to wait for the first one only; once it is answered, the task is no more.
    async fn abort_confirmed(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let first = peer.cmd_sn;
        if serial::before(peer.max_cmd_sn, first.wrapping_add(3)) {
            return Ok(());
        }
        let before = peer.open_write(step.amount, 1, 0x22).await?;
        let (dormant, set, clear, abort) = (peer.tag(), peer.tag(), peer.tag(), peer.tag());
        let pdu = peer.test_unit_ready(dormant);
        peer.send(pdu).await?;
        let abort_task_set = peer.numbered(RawPdu::task_management(2, peer.lun, set, NO_TAG, 0));
        peer.open_write(step.amount.wrapping_add(1), 1, 0x21).await?;
        peer.send(RawPdu::task_management(4, peer.lun, clear, NO_TAG, 0).immediate()).await?;
        peer.send_raw(abort_task_set).await?;
        let block = peer.unit.block_bytes as usize;
        peer.data(&before, NO_TAG, 0, 0..block, true).await?;
        if peer.await_answer(opcode::TASK_MANAGEMENT_RESPONSE, set).await?.response() != 0 {
            return Ok(());
        }
        let pdu = RawPdu::task_management(1, peer.lun, abort, dormant, first.wrapping_add(1)).immediate();
        peer.send(pdu).await?;
        if peer.await_answer(opcode::TASK_MANAGEMENT_RESPONSE, abort).await?.response() == 0 {
            self.complain(
                "T6",
                step,
                "ABORT TASK of a task that ABORT TASK SET had ended was answered FUNCTION COMPLETE",
            );
        }
        Ok(())
    }

    /// Text requests with the C bit, so that more is to follow, and nothing in them: by themselves they never come to an
    /// end, nor to a limit of bytes.
    async fn empty_text(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (tag, mut transfer_tag) = (peer.tag(), NO_TAG);
        for _ in 0..EMPTY_TEXTS {
            peer.send(RawPdu::text(0x40, tag, transfer_tag, Vec::new()).immediate()).await?;
            transfer_tag = loop {
                let answer = peer.recv().await?;
                match answer.opcode() {
                    opcode::REJECT => return Ok(()),
                    opcode::TEXT_RESPONSE => break answer.target_transfer_tag(),
                    _ => {}
                }
            };
        }
        self.complain("S4", step, &format!("a text negotiation went on for {EMPTY_TEXTS} requests without data"));
        Ok(())
    }

    /// What the target has to reject comes all the time, a ping that it has to discard is always under way, and a WRITE keeps
    /// a target that stops from closing the connection at once. When nothing is rejected any more, it may be at that: then
    /// comes a segment that nobody takes.
    async fn flood_misplaced(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        peer.open_write(step.amount, 1, 0xa1).await?;
        for _ in 0..1 + step.amount % MISPLACED_ROUNDS {
            let tag = peer.tag();
            let mut bytes = Vec::new();
            for code in [opcode::LOGIN, opcode::SNACK, 0x1f] {
                let mut pdu = RawPdu::new(code).immediate();
                pdu.bhs[1] = 0x80;
                pdu.set_u32(16, tag);
                pdu.set_u32(20, NO_TAG);
                bytes.extend(peer.encode(pdu));
            }
            bytes.extend(peer.encode(RawPdu::nop_out(0, tag, NO_TAG, vec![0x55; 8]).immediate()));
            if peer.link.digests.data {
                spoil_digest(&mut bytes);
            }
            let rest = bytes.split_off(bytes.len() - 8);
            peer.send_bytes(bytes).await?;
            let rejected = peer.hear(MISPLACED_PAUSE).await?.iter().any(|pdu| pdu.opcode() == opcode::REJECT);
            peer.send_bytes(rest).await?;
            if !rejected {
                let mut endless = peer.encode(RawPdu::nop_out(0, tag, NO_TAG, Vec::new()).immediate());
                endless[5..8].fill(0xff);
                return peer.send_bytes(endless).await;
            }
        }
        Ok(())
    }

    async fn out_of_place(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let tag = peer.tag();
        let pdu = match step.attack {
            Attack::AnswerToNothing => RawPdu::nop_out(0, NO_TAG, step.amount, Vec::new()).immediate(),
            Attack::LoginAgain => {
                let name = [("InitiatorName".to_owned(), self.plan.name.clone())];
                RawPdu::login(TO_FULL_FEATURE, self.plan.isid, 0, tag, 0, text::encode(&name))
            }
            Attack::Snack => {
                let mut pdu = RawPdu::new(opcode::SNACK);
                pdu.bhs[1] = 0x80 | variant(step, 4) as u8;
                pdu.set_u32(16, tag);
                pdu.set_u32(20, NO_TAG);
                pdu
            }
            Attack::OpcodeUnknown | Attack::OpcodeOfTarget => {
                let codes = if step.attack == Attack::OpcodeUnknown {
                    [0x07, 0x0f, 0x1c, 0x1f]
                } else {
                    [0x20, 0x21, 0x25, 0x3f]
                };
                let mut pdu = RawPdu::new(codes[variant(step, 4) as usize]);
                pdu.bhs[1] = 0x80;
                pdu.set_u32(16, tag);
                pdu
            }
            Attack::FunctionUnknown => {
                let (function, lun) = [
                    (0, peer.lun),
                    (9, peer.lun),
                    (0x40, peer.lun),
                    (0x7f, peer.lun),
                    // TASK REASSIGN belongs to error recovery level 2.
                    (8, peer.lun),
                    (2, UNMAPPED_LUN),
                    (4, UNMAPPED_LUN),
                    (5, UNMAPPED_LUN),
                ][variant(step, 8) as usize];
                let mut pdu = RawPdu::task_management(function, lun, tag, NO_TAG, 0).immediate();
                if step.amount / 8 % 2 == 1 && lun == UNMAPPED_LUN {
                    // In a form of addressing that does not exist.
                    pdu.bhs[8] = 0xff;
                }
                pdu
            }
            _ => RawPdu::logout(1 + variant(step, 3) as u8, tag, 77),
        };
        peer.send(pdu).await?;
        let heard = peer.listen().await;
        let accepted = |code: u8| {
            heard.iter().any(|pdu| pdu.opcode() == code && pdu.initiator_task_tag() == tag && pdu.response() == 0)
        };
        let wrong = match step.attack {
            Attack::AnswerToNothing => {
                heard.iter().any(|pdu| pdu.opcode() == opcode::NOP_IN && pdu.initiator_task_tag() != NO_TAG)
            }
            Attack::LoginAgain => {
                heard.iter().any(|pdu| pdu.opcode() == opcode::LOGIN_RESPONSE && pdu.login_status() == 0)
            }
            Attack::OpcodeUnknown | Attack::OpcodeOfTarget => is_answered(&heard, tag),
            Attack::FunctionUnknown => accepted(opcode::TASK_MANAGEMENT_RESPONSE),
            Attack::LogoutElsewhere => accepted(opcode::LOGOUT_RESPONSE),
            _ => false,
        };
        if wrong {
            self.complain("I9", step, &format!("answered as if it were right: {heard:x?}"));
        }
        Ok(())
    }
}

/// Every WRITE has all its data with it, and yet more follow at once.
async fn data_behind_write<W: World>(peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
    let block_bytes = peer.unit.block_bytes;
    for number in 0..1 + variant(step, 4) {
        let amount = step.amount.wrapping_add(number);
        let (write, command) = peer.prepare_write(amount, 1, block_bytes, 0xa1, block_bytes as usize);
        let offset = if variant(step, 3) == 0 { 0 } else { block_bytes };
        let more = RawPdu::data_out(0, write.tag, NO_TAG, 0, offset, true, &write.data[..block_bytes as usize]);
        peer.send_together(vec![command, more]).await?;
    }
    peer.listen().await;
    Ok(())
}

/// A command and ABORT TASK of it come together, and a WRITE keeps a target that stops from closing the connection at once.
async fn flood_aborts<W: World>(peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
    peer.open_write(step.amount, 1, 0xa1).await?;
    for _ in 0..1 + step.amount % ABORT_ROUNDS {
        let (task, function, number) = (peer.tag(), peer.tag(), peer.cmd_sn);
        let command = peer.test_unit_ready(task).immediate();
        let abort = RawPdu::task_management(1, peer.lun, function, task, number).immediate();
        peer.send_together(vec![command, abort]).await?;
        peer.attend(ABORT_PAUSE).await?;
    }
    Ok(())
}

/// Text negotiations that are begun and never ended.
async fn flood_text<W: World>(peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
    for _ in 0..1 + step.amount % 100 {
        let tag = peer.tag();
        let data = text::encode(&[("SendTargets".to_owned(), "All".to_owned())]);
        peer.send(RawPdu::text(if variant(step, 2) == 0 { 0x80 } else { 0x40 }, tag, NO_TAG, data).immediate()).await?;
    }
    peer.listen().await;
    Ok(())
}
