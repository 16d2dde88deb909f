//! Text negotiations of full feature phase at their bounds and beyond them (RFC 7143, sections 11.10 and 11.11).

use super::super::cdb;
use super::super::codec::{NO_TAG, RawPdu, opcode, text};
use super::super::link::LinkError;
use super::super::plan::{AttackStep, CdbSize, Direction, Keys};
use super::super::world::World;
use super::Attacker;
use super::peer::{Peer, solicited, variant, variant_within};

/// Text request: the F bit, the C bit, neither.
const FINAL: u8 = 0x80;
const CONTINUES: u8 = 0x40;
const OPEN: u8 = 0;
/// SCSI Command: F and R, a simple task.
const READS: u8 = 0xc1;
/// More requests than these are a negotiation without an end.
const REQUESTS_MAX: u32 = 300;
/// Their answers, `NotUnderstood` each, take several PDUs of the smallest segments.
const UNKNOWN_KEYS: u32 = 40;
/// So many keys are more than some targets take.
const MANY_KEYS: u32 = 200;
/// More text than this is an answer without an end.
const ANSWER_BYTES_MAX: usize = 1 << 16;
/// The initiator's MaxRecvDataSegmentLength, in bytes; and what it declares later.
const SEGMENT_BYTES: u32 = 1_024;
const SHORT_SEGMENT_BYTES: u32 = 512;
/// More than the target keeps of what waits for a gap in CmdSN, in bytes.
const HELD_BYTES: usize = 5_000;

/// Kinds of this attack.
const KINDS: u32 = 13;

/// One request whose text is whole, and what is said to its key; `None`: nothing. `T` stands for the target's name, `t` for
/// the same in other letters.
const QUESTIONS: [(&str, &str, Option<&str>); 11] = [
    ("SendTargets", "", Some("T")),
    ("SendTargets", "T", Some("T")),
    ("SendTargets", "t", Some("T")),
    ("SendTargets", "All", Some("Reject")),
    ("SendTargets", "all", None),
    ("SendTargets", "iqn.2026-11.com.example:other", None),
    ("InitiatorAlias", "late", None),
    ("MaxBurstLength", "512", Some("Reject")),
    ("InitiatorName", "iqn.2026-11.com.example:other", Some("Reject")),
    ("AuthMethod", "None", Some("Reject")),
    ("X-odd", "1", Some("NotUnderstood")),
];

impl<W: World> Attacker<'_, W> {
    pub(super) async fn negotiate(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let keys = Keys { max_recv_data_segment_length: Some(SEGMENT_BYTES), ..solicited() };
        let mut peer = self.peer(&keys).await?;
        let result = match variant(step, KINDS) {
            0..3 => self.question(&mut peer, step).await,
            3 => self.in_pieces(&mut peer, step).await,
            4 | 5 => self.not_to_be_taken(&mut peer, step).await,
            6 | 7 => self.answer_in_parts(&mut peer, step).await,
            8 => self.too_long(&mut peer, step).await,
            9 | 10 => self.no_text(&mut peer, step).await,
            11 => ahead_of_a_gap(&mut peer).await,
            _ => self.declare_anew(&mut peer, step).await,
        };
        self.leave(peer);
        result
    }

    async fn question(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (key, value, expected) = chosen_question(step);
        let target = self.shared.target.to_string();
        let value = match value {
            "T" => target.clone(),
            "t" => target.to_ascii_uppercase(),
            other => other.to_owned(),
        };
        let tag = peer.tag();
        let pairs = text::encode(&[(key.to_owned(), value.clone())]);
        // One in two asks whether there is more to say, and then says that there is not.
        let open = step.amount / 64 % 2 == 1;
        let flags = if open { OPEN } else { FINAL };
        let answer = exchange(peer, flags, tag, NO_TAG, pairs).await?;
        let (answer, data) = fetch(peer, flags, tag, answer).await?;
        if answer.opcode() != opcode::TEXT_RESPONSE {
            self.complain("I9", step, &format!("{key}={value} was answered {:#04x}", answer.opcode()));
            return Ok(());
        }
        let answers = text::decode(&data).unwrap_or_default();
        let asked = if expected == Some("T") { "TargetName" } else { key };
        let said = answers.iter().find(|(name, _)| *name == asked).map(|(_, value)| &**value);
        let expected = if expected == Some("T") { Some(&*target) } else { expected };
        if said != expected {
            self.complain("I9", step, &format!("{key}={value} was answered {said:?} and not {expected:?}"));
        }
        if open {
            let ttt = answer.target_transfer_tag();
            let end = exchange(peer, FINAL, tag, ttt, Vec::new()).await?;
            if answer.is_final() || end.opcode() != opcode::TEXT_RESPONSE || !end.is_final() {
                self.complain("I9", step, "a negotiation did not end when the initiator said so");
            }
        }
        Ok(())
    }

    /// A key comes in pieces, each but the last with the C bit.
    async fn in_pieces(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (tag, mut ttt) = (peer.tag(), NO_TAG);
        for (flags, piece) in [(CONTINUES, "SendTar"), (CONTINUES, ""), (CONTINUES, "gets"), (FINAL, "=\0")] {
            let answer = exchange(peer, flags, tag, ttt, piece.as_bytes().to_vec()).await?;
            let (answer, data) = fetch(peer, flags, tag, answer).await?;
            ttt = answer.target_transfer_tag();
            let (last, told) = (flags == FINAL, data.starts_with(b"TargetName="));
            if answer.opcode() != opcode::TEXT_RESPONSE || answer.is_final() != last || told != last {
                self.complain("I9", step, &format!("a key in pieces was answered {:#04x}", answer.opcode()));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Segments are to be shorter from now on (RFC 7143, section 13.12): those of a READ that comes behind the answer are.
    async fn declare_anew(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let declaration = format!("MaxRecvDataSegmentLength={SHORT_SEGMENT_BYTES}\0").into_bytes();
        let (declares, reads) = (peer.tag(), peer.tag());
        let answer = exchange(peer, FINAL, declares, NO_TAG, declaration).await?;
        if answer.opcode() != opcode::TEXT_RESPONSE || !answer.data.is_empty() {
            self.complain(
                "I9",
                step,
                &format!("a declaration was answered {:#04x} {:?}", answer.opcode(), answer.data),
            );
            return Ok(());
        }
        let blocks = (SEGMENT_BYTES / peer.unit.block_bytes).clamp(1, peer.unit.blocks as u32);
        let cdb = cdb::transfer(Direction::In, CdbSize::Sixteen, 0, blocks, false, false);
        peer.send(RawPdu::scsi_command(READS, peer.lun, reads, blocks * peer.unit.block_bytes, &cdb)).await?;
        let heard = peer.listen().await;
        let parts = heard.iter().filter(|pdu| pdu.opcode() == opcode::DATA_IN && pdu.initiator_task_tag() == reads);
        if let Some(longest) =
            parts.map(|pdu| pdu.data.len()).max().filter(|&bytes| bytes > SHORT_SEGMENT_BYTES as usize)
        {
            self.complain(
                "I6",
                step,
                &format!("a segment has {longest} bytes, {SHORT_SEGMENT_BYTES} were declared last"),
            );
        }
        Ok(())
    }

    /// A Target Transfer Tag that was never given, is another negotiation's, or was; a negotiation takes the place of one; a
    /// declaration that is out of range.
    async fn not_to_be_taken(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (first, second) = (peer.tag(), peer.tag());
        let kind = inner(step, 5);
        if kind == 4 {
            // No other's tag, but a declaration that cannot be taken: the negotiation has failed (section 7.10).
            let value = *["511", "0x1000000", ""].get(step.amount as usize / 64 % 3).unwrap_or(&"511");
            let pair = format!("MaxRecvDataSegmentLength={value}\0").into_bytes();
            return self.must_reject(peer, step, FINAL, (first, NO_TAG), pair).await;
        }
        let (mut tag, mut ttt) = (first, step.amount);
        if kind > 0 {
            let answer = exchange(peer, CONTINUES, first, NO_TAG, b"X-odd=1\0".to_vec()).await?;
            ttt = answer.target_transfer_tag();
            tag = if kind == 1 { second } else { first };
        }
        if kind == 2 {
            exchange(peer, FINAL, second, NO_TAG, b"X-odd=1\0".to_vec()).await?;
        } else if kind == 3 {
            exchange(peer, FINAL, first, ttt, Vec::new()).await?;
        }
        self.must_reject(peer, step, FINAL, (tag, ttt), Vec::new()).await
    }

    /// The answer takes several PDUs: it is fetched, or text comes while it is.
    async fn answer_in_parts(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let tag = peer.tag();
        let answer = exchange(peer, FINAL, tag, NO_TAG, unknown_keys(UNKNOWN_KEYS)).await?;
        let ttt = answer.target_transfer_tag();
        if answer.continues() && inner(step, 3) == 0 {
            return self.must_reject(peer, step, FINAL, (tag, ttt), b"X-more=1\0".to_vec()).await;
        } else if answer.continues() && inner(step, 3) == 1 {
            return self.must_reject(peer, step, CONTINUES, (tag, ttt), Vec::new()).await;
        }
        let (answer, data) = fetch(peer, FINAL, tag, answer).await?;
        if answer.opcode() != opcode::TEXT_RESPONSE {
            // Some targets take fewer keys, or fewer requests.
            return Ok(());
        }
        let count = text::decode(&data).unwrap_or_default().len();
        if count != UNKNOWN_KEYS as usize {
            self.complain("I9", step, &format!("{count} of {UNKNOWN_KEYS} unknown keys were answered"));
        }
        Ok(())
    }

    /// Text without end: as much as fits a segment, over and over, or too many keys at once.
    async fn too_long(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (tag, mut ttt) = (peer.tag(), NO_TAG);
        if inner(step, 4) == 0 {
            exchange(peer, FINAL, tag, NO_TAG, unknown_keys(MANY_KEYS)).await?;
            return Ok(());
        }
        let most = if inner(step, 2) == 0 { 8_192 } else { 1 << 18 };
        let piece = vec![b'x'; most.min(peer.target_max_recv as usize)];
        for _ in 0..REQUESTS_MAX {
            let answer = exchange(peer, CONTINUES, tag, ttt, piece.clone()).await?;
            if answer.opcode() != opcode::TEXT_RESPONSE {
                return Ok(());
            }
            ttt = answer.target_transfer_tag();
        }
        self.complain("S4", step, &format!("a text negotiation went on for {REQUESTS_MAX} requests"));
        Ok(())
    }

    /// What is no text, or no text request.
    async fn no_text(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (flags, data) = [
            (FINAL | CONTINUES, "X-odd=1\0"),
            (FINAL, "NoEqualsSign\0"),
            (FINAL, "=1\0"),
            (FINAL, "X-odd=1"),
            (FINAL, "X-odd=1\0X-odd=1\0"),
        ][inner(step, 5) as usize];
        let tag = peer.tag();
        self.must_reject(peer, step, flags, (tag, NO_TAG), data.as_bytes().to_vec()).await
    }

    async fn must_reject(
        &self,
        peer: &mut Peer<W>,
        step: &AttackStep,
        flags: u8,
        (tag, ttt): (u32, u32),
        data: Vec<u8>,
    ) -> Result<(), LinkError> {
        let answer = exchange(peer, flags, tag, ttt, data).await?;
        if answer.opcode() != opcode::REJECT {
            self.complain(
                "I9",
                step,
                &format!("a text request was answered {:#04x} and not rejected", answer.opcode()),
            );
        }
        // The session is none the worse for it.
        peer.ping().await?;
        Ok(())
    }
}

/// What [`Attacker::question`] asks, the value, and what is to be said to it.
fn chosen_question(step: &AttackStep) -> (&'static str, &'static str, Option<&'static str>) {
    QUESTIONS[inner(step, QUESTIONS.len() as u32) as usize]
}

/// Which of `count` variants of its kind.
fn inner(step: &AttackStep, count: u32) -> u32 {
    variant_within(step, KINDS, count)
}

/// An immediate Text Request and what answers it: a Text Response or a Reject.
async fn exchange<W: World>(
    peer: &mut Peer<W>,
    flags: u8,
    tag: u32,
    ttt: u32,
    data: Vec<u8>,
) -> Result<RawPdu, LinkError> {
    peer.send(RawPdu::text(flags, tag, ttt, data).immediate()).await?;
    loop {
        let pdu = peer.recv().await?;
        let answers = pdu.opcode() == opcode::TEXT_RESPONSE && pdu.initiator_task_tag() == tag;
        if answers || pdu.opcode() == opcode::REJECT {
            return Ok(pdu);
        }
    }
}

/// The rest of an answer that takes several PDUs: the last of them, and the text of all.
async fn fetch<W: World>(
    peer: &mut Peer<W>,
    flags: u8,
    tag: u32,
    mut answer: RawPdu,
) -> Result<(RawPdu, Vec<u8>), LinkError> {
    let mut text = std::mem::take(&mut answer.data);
    while answer.opcode() == opcode::TEXT_RESPONSE && answer.continues() && text.len() < ANSWER_BYTES_MAX {
        answer = exchange(peer, flags, tag, answer.target_transfer_tag(), Vec::new()).await?;
        text.append(&mut answer.data);
    }
    Ok((answer, text))
}

fn unknown_keys(count: u32) -> Vec<u8> {
    let key = |number| (format!("X-net.quintain.nobody-knows-{number:03}"), "1".to_owned());
    text::encode(&(0..count).map(key).collect::<Vec<_>>())
}

/// A NOP-Out and a Text Request with much data wait for a command that comes last: they may be dropped.
async fn ahead_of_a_gap<W: World>(peer: &mut Peer<W>) -> Result<(), LinkError> {
    let (missing, tag) = (peer.cmd_sn, peer.tag());
    peer.cmd_sn = missing.wrapping_add(1);
    let bytes = HELD_BYTES.min(peer.target_max_recv as usize);
    let (nop, words) = (peer.tag(), peer.tag());
    peer.send(RawPdu::nop_out(0, nop, NO_TAG, vec![0x55; bytes])).await?;
    peer.send(RawPdu::text(FINAL, words, NO_TAG, vec![b'x'; bytes])).await?;
    let filler = peer.test_unit_ready(tag).sequenced(missing, peer.exp_stat_sn);
    peer.send_raw(filler).await?;
    peer.listen().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::plan::Attack;
    use super::*;

    /// One remainder chose both the kind and the question once, so that most were never asked.
    #[test]
    fn every_question_is_asked_by_each_kind_that_asks() {
        let steps = (0..1 << 16).map(|amount| AttackStep { id: 0, amount, attack: Attack::TextBounds });
        let asked: BTreeSet<_> =
            steps.map(|step| (variant(&step, KINDS), chosen_question(&step))).filter(|(kind, _)| *kind < 3).collect();
        assert_eq!(asked.len(), 3 * QUESTIONS.len());
    }
}
