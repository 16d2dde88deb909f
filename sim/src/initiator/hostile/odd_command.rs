//! Commands that are odd in one field, of the PDU or of the CDB, and what RFC 7143, SAM and SPC make of them.

use super::super::codec::{NO_TAG, RawPdu, opcode};
use super::super::link::LinkError;
use super::super::plan::{Attack, AttackStep, Keys};
use super::super::world::World;
use super::Attacker;
use super::peer::{Peer, is_good, solicited, variant};

const ILLEGAL_REQUEST: u8 = 0x5;
const ABORTED_COMMAND: u8 = 0xb;

/// What a command has to come to, when nothing else stands in its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Good,
    /// CHECK CONDITION with this sense.
    Check(u8, u16),
    /// A Reject PDU.
    Rejected,
    /// Whatever is well-formed.
    Any,
}

/// A LUN field, or the attacker's own logical unit.
const OWN: u64 = u64::MAX;
/// The REPORT LUNS well-known logical unit (SAM-5, section 4.7.9).
const WELL_KNOWN: u64 = 0xc101 << 48;

/// LUN field, flags (F 80h, R 40h, W 20h, task attribute), Expected Data Transfer Length, the first bytes of the CDB.
type Odd = (u64, u8, u32, &'static [u8], Fate);
const COMMANDS: [Odd; 28] = [
    // READ CAPACITY (10) with PMI and an address.
    (OWN, 0xc1, 8, &[0x25, 0, 0, 0, 0, 1, 0, 0, 1], Fate::Good),
    // MODE SENSE (10) with LLBAA, with and without block descriptors; MODE SENSE (6) of changeable values, of all subpages,
    // and with block descriptors.
    (OWN, 0xc1, 255, &[0x5a, 0x10, 0x3f, 0, 0, 0, 0, 0, 0xff], Fate::Good),
    (OWN, 0xc1, 255, &[0x5a, 0x18, 0x3f, 0, 0, 0, 0, 0, 0xff], Fate::Good),
    (OWN, 0xc1, 255, &[0x1a, 0x08, 0x7f, 0, 0xff], Fate::Good),
    (OWN, 0xc1, 255, &[0x1a, 0x08, 0x3f, 0xff, 0xff], Fate::Good),
    (OWN, 0xc1, 255, &[0x1a, 0x00, 0x3f, 0, 0xff], Fate::Good),
    // INQUIRY with room for less than there is, and an expected length below that.
    (OWN, 0xc1, 7, &[0x12, 0, 0, 0, 0x24], Fate::Good),
    (WELL_KNOWN, 0xc1, 96, &[0x12, 0, 0, 0, 0x60], Fate::Good),
    (WELL_KNOWN, 0xc1, 255, &[0x12, 1, 0, 0, 0xff], Fate::Good),
    (WELL_KNOWN, 0xc1, 255, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff], Fate::Good),
    (WELL_KNOWN, 0xc1, 252, &[0x03, 0, 0, 0, 0xfc], Fate::Good),
    (WELL_KNOWN, 0x81, 0, &[0x00], Fate::Good),
    (WELL_KNOWN, 0xc1, 512, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1], Fate::Check(ILLEGAL_REQUEST, 0x2000)),
    // Nobody is at a second level, on another bus, behind a flat address or in a form of addressing that is not there.
    (1 << 32, 0x81, 0, &[0x00], Fate::Check(ILLEGAL_REQUEST, 0x2500)),
    (0x0100 << 48, 0x81, 0, &[0x00], Fate::Check(ILLEGAL_REQUEST, 0x2500)),
    (0x412c << 48, 0x81, 0, &[0x00], Fate::Check(ILLEGAL_REQUEST, 0x2500)),
    (0x8000 << 48, 0x81, 0, &[0x00], Fate::Check(ILLEGAL_REQUEST, 0x2500)),
    (0xc102 << 48, 0xc1, 36, &[0x12, 0, 0, 0, 0x24], Fate::Good),
    // Task attributes that are not there.
    (OWN, 0x85, 0, &[0x00], Fate::Check(ABORTED_COMMAND, 0x4900)),
    (OWN, 0x87, 0, &[0x00], Fate::Check(ABORTED_COMMAND, 0x4900)),
    (OWN, 0xa7, 512, &[0x2a, 0, 0, 0, 0, 0, 0, 0, 1], Fate::Check(ABORTED_COMMAND, 0x4900)),
    // R and W together; neither F nor W.
    (OWN, 0xe1, 512, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1], Fate::Any),
    (OWN, 0x41, 512, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1], Fate::Rejected),
    // Transfers that are said to have no data: WRITE (10), READ (10), VERIFY (10) that compares.
    (OWN, 0x81, 0, &[0x2a, 0, 0, 0, 0, 0, 0, 0, 1], Fate::Any),
    (OWN, 0x81, 0, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1], Fate::Any),
    (OWN, 0x81, 0, &[0x2f, 0x02, 0, 0, 0, 0, 0, 0, 1], Fate::Any),
    // READ (16) and WRITE (16) of more than some targets move at once; the data never come.
    (OWN, 0xc1, 512, &[0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0], Fate::Any),
    (OWN, 0xa1, 2 << 20, &[0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0], Fate::Any),
];

impl<W: World> Attacker<'_, W> {
    pub(super) async fn odd_command(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let unasked = Keys { initial_r2t: Some(false), first_burst_length: Some(4_096), ..solicited() };
        let keys = if step.attack == Attack::UnsolicitedOdd { unasked } else { solicited() };
        let mut peer = self.peer(&keys).await?;
        let result = match step.attack {
            Attack::UnsolicitedOdd => self.odd_data(&mut peer, step).await,
            _ => self.odd_field(&mut peer, step).await,
        };
        self.leave(peer);
        result
    }

    async fn odd_field(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let kind = variant(step, COMMANDS.len() as u32 + 2) as usize;
        let tag = if kind == COMMANDS.len() { NO_TAG } else { peer.tag() };
        let mut pdu = peer.test_unit_ready(tag);
        let fate = match COMMANDS.get(kind) {
            Some(&(lun, flags, expected, cdb, fate)) => {
                let mut long = [0; 16];
                long[..cdb.len()].copy_from_slice(cdb);
                pdu = RawPdu::scsi_command(flags, peer.lun, tag, expected, &long);
                if lun != OWN {
                    pdu.bhs[8..16].copy_from_slice(&lun.to_be_bytes());
                }
                fate
            }
            None if tag == NO_TAG => Fate::Rejected,
            // Data come with a command that has none.
            None => {
                pdu.data = vec![0x55; 16];
                Fate::Any
            }
        };
        peer.send(pdu).await?;
        if fate == Fate::Rejected {
            return self.must_be_rejected(peer, step, kind).await;
        }
        let heard = peer.listen().await;
        let ends = |pdu: &&RawPdu| {
            let status = pdu.opcode() == opcode::SCSI_RESPONSE || pdu.opcode() == opcode::DATA_IN && pdu.has_status();
            status && pdu.initiator_task_tag() == tag
        };
        let Some(answer) = heard.iter().find(ends) else { return Ok(()) };
        let sense = answer.sense().and_then(super::super::shared::parse_sense);
        // Nothing else stands in its way if its own fault, or nothing, was found.
        let fits = match (fate, answer.status(), sense) {
            (Fate::Any, ..) => true,
            (Fate::Rejected, ..) => false,
            (Fate::Good, 0x02, Some((key, _))) => key != ILLEGAL_REQUEST,
            (Fate::Good, ..) => true,
            (Fate::Check(..), 0x00, _) => false,
            (Fate::Check(key, code), 0x02, Some(sense)) if sense.0 == ILLEGAL_REQUEST || sense.0 == key => {
                sense == (key, code)
            }
            (Fate::Check(..), ..) => true,
        };
        if !fits {
            let (status, number) = (answer.status(), kind);
            let story = format!("odd command {number} was answered with status {status:#04x} and sense {sense:x?}");
            self.complain("T11", step, &format!("{story}, expected {fate:?}"));
        }
        Ok(())
    }

    /// A Reject is there before the answer to a ping that was sent behind what it rejects.
    async fn must_be_rejected(&self, peer: &mut Peer<W>, step: &AttackStep, kind: usize) -> Result<(), LinkError> {
        let ping = peer.tag();
        peer.send(RawPdu::nop_out(0, ping, NO_TAG, Vec::new()).immediate()).await?;
        loop {
            let pdu = peer.recv().await?;
            if pdu.opcode() == opcode::REJECT {
                return Ok(());
            }
            if pdu.opcode() == opcode::NOP_IN && pdu.initiator_task_tag() == ping {
                self.complain("I9", step, &format!("odd command {kind} was not rejected"));
                return Ok(());
            }
        }
    }

    /// Unsolicited data that may come, but not so: from another offset on, more of them than FirstBurstLength, with another
    /// DataSN, or with more than there are.
    async fn odd_data(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let block = peer.unit.block_bytes;
        let kind = variant(step, 4);
        // What comes is all that there is, were it right: else a target would ask for the rest and never say GOOD.
        let blocks = match kind {
            1 => 8_192 / block,
            0 | 2 => 4_096 / block,
            _ => 1,
        };
        let write = peer.open_write(step.amount, blocks, 0x21).await?;
        let (number, data) = match kind {
            0 => (0, 512..4_608),
            1 => (0, 0..8_192.min(peer.target_max_recv as usize)),
            2 => (1, 0..4_096),
            _ => (0, 0..(block as usize + 512).min(write.data.len())),
        };
        peer.data(&write, NO_TAG, number, data, true).await?;
        if is_good(&peer.listen().await, write.tag) {
            self.complain("I5", step, "unsolicited data that break the rules were taken");
        }
        Ok(())
    }
}
