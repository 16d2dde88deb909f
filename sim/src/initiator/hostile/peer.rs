//! A session that an attack starts from: logged in by the rules, unit attention cleared.

use std::time::Duration;

use super::super::codec::{NO_TAG, RawPdu, next_tag, opcode, serial};
use super::super::link::{Link, LinkError};
use super::super::login::{LoginError, LoginRequest, login};
use super::super::plan::{AttackStep, CdbSize, Direction, Keys, LoginStyle};
use super::super::session::stamped;
use super::super::shared::Shared;
use super::super::world::{Wire, World};
use super::super::{cdb, shared};
use super::{Attacker, LOGINS_MAX};
use crate::history::{Action, Event, Nexus, OpId, Outcome, Unit};

/// How long an attack listens for the answer.
const LISTEN: Duration = Duration::from_secs(3);
/// An attack that has a session lasts no longer.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Peer<W: World> {
    pub(super) link: Link<W>,
    pub(super) unit: Unit,
    pub(super) lun: u16,
    pub(super) cmd_sn: u32,
    pub(super) max_cmd_sn: u32,
    pub(super) tsih: u16,
    pub(super) exp_stat_sn: u32,
    pub(super) target_max_recv: u32,
    tag: u32,
    shared: Shared,
    nexus: Nexus,
    /// Writes without status, by tag.
    open: Vec<(u32, OpId)>,
    deadline: Duration,
}

/// A write that waits for its data.
pub(super) struct OpenWrite {
    pub(super) tag: u32,
    pub(super) cmd_sn: u32,
    pub(super) data: Vec<u8>,
}

impl<W: World> Attacker<'_, W> {
    /// Logs in with `keys` and clears the unit attention.
    pub(super) async fn peer(&mut self, keys: &Keys) -> Result<Peer<W>, LinkError> {
        for _ in 0..LOGINS_MAX {
            if let Ok(mut peer) = self.attempt(keys).await {
                peer.settle().await?;
                return Ok(peer);
            }
            self.world.sleep(Duration::from_millis(self.plan.timeouts.retry_ms)).await;
        }
        Err(LinkError::Timeout)
    }

    /// Keeps what outlives `peer`, and gives its connection up.
    pub(super) fn leave(&mut self, peer: Peer<W>) {
        self.cmd_sn = peer.cmd_sn;
        self.unfenced.extend(peer.open.iter().map(|(_, op)| *op));
        peer.link.wire.abort();
    }

    async fn attempt(&mut self, keys: &Keys) -> Result<Peer<W>, LoginError> {
        let unit = self.shared.unit(self.lun).ok_or(LinkError::Closed)?;
        let mut link = Link::connect(&self.world, 1 << 16, self.connect_limit()).await?;
        let target = self.shared.target.clone();
        let request = LoginRequest {
            name: &self.plan.name,
            isid: self.plan.isid,
            tsih: 0,
            target: Some(&target),
            keys,
            style: LoginStyle::OneShot,
            cmd_sn: self.cmd_sn,
            tag: self.plan.initial_tag,
        };
        let deadline = self.world.now() + Duration::from_millis(self.plan.timeouts.login_ms);
        let established = login(&mut link, &request, deadline).await?;
        self.fence();
        let nexus = Nexus { initiator: self.plan.index, login: self.logins };
        self.logins += 1;
        self.report.logins += 1;
        Ok(Peer {
            link,
            unit,
            lun: self.lun,
            cmd_sn: self.cmd_sn,
            max_cmd_sn: established.max_cmd_sn,
            tsih: established.tsih,
            exp_stat_sn: established.exp_stat_sn,
            target_max_recv: established.parameters.target_max_recv,
            tag: next_tag(self.plan.initial_tag),
            shared: self.shared.clone(),
            nexus,
            open: Vec::new(),
            deadline: self.world.now() + LIMIT,
        })
    }
}

impl<W: World> Peer<W> {
    pub(super) fn tag(&mut self) -> u32 {
        self.tag = next_tag(self.tag);
        self.tag
    }

    /// Numbers `pdu` as the rules say and sends it.
    pub(super) async fn send(&mut self, pdu: RawPdu) -> Result<(), LinkError> {
        let pdu = self.numbered(pdu);
        self.send_raw(pdu).await
    }

    /// Numbers `pdus` as the rules say and sends them in one go.
    pub(super) async fn send_together(&mut self, pdus: Vec<RawPdu>) -> Result<(), LinkError> {
        let bytes = pdus.into_iter().flat_map(|pdu| self.encode(pdu)).collect();
        self.send_bytes(bytes).await
    }

    /// `pdu`, numbered as the rules say, as bytes.
    pub(super) fn encode(&mut self, pdu: RawPdu) -> Vec<u8> {
        let digests = self.link.digests;
        self.numbered(pdu).encode(digests)
    }

    /// Sends bytes, of whatever.
    pub(super) async fn send_bytes(&mut self, bytes: Vec<u8>) -> Result<(), LinkError> {
        self.link.send_bytes(bytes, self.deadline).await
    }

    pub(super) fn numbered(&mut self, pdu: RawPdu) -> RawPdu {
        let cmd_sn = self.cmd_sn;
        if !pdu.is_immediate() && pdu.opcode() != opcode::DATA_OUT {
            self.cmd_sn = self.cmd_sn.wrapping_add(1);
        }
        pdu.sequenced(cmd_sn, self.exp_stat_sn)
    }

    /// Sends `pdu` as it is.
    pub(super) async fn send_raw(&mut self, pdu: RawPdu) -> Result<(), LinkError> {
        self.link.send(pdu, self.deadline).await
    }

    /// The end of a few seconds of listening.
    pub(super) fn listen_until(&self) -> Duration {
        self.deadline.min(self.link.world.now() + LISTEN)
    }

    /// The next PDU within a few seconds.
    pub(super) async fn recv(&mut self) -> Result<RawPdu, LinkError> {
        let until = self.listen_until();
        self.recv_until(until).await
    }

    async fn recv_until(&mut self, until: Duration) -> Result<RawPdu, LinkError> {
        let pdu = self.link.recv(until).await?;
        if pdu.consumes_stat_sn() {
            self.exp_stat_sn = pdu.stat_sn().wrapping_add(1);
        }
        if serial::before(self.max_cmd_sn, pdu.max_cmd_sn()) {
            self.max_cmd_sn = pdu.max_cmd_sn();
        }
        if pdu.opcode() == opcode::SCSI_RESPONSE {
            self.note(&pdu);
        }
        Ok(pdu)
    }

    /// Everything that comes until the target is silent for a few seconds or closes.
    pub(super) async fn listen(&mut self) -> Vec<RawPdu> {
        let mut heard = Vec::new();
        while let Ok(pdu) = self.recv().await {
            heard.push(pdu);
            if heard.len() > 1_000 {
                break;
            }
        }
        heard
    }

    /// Everything that comes within `duration`; the target's pings are answered meanwhile.
    pub(super) async fn attend(&mut self, duration: Duration) -> Result<Vec<RawPdu>, LinkError> {
        let until = self.deadline.min(self.link.world.now() + duration);
        let mut heard = Vec::new();
        loop {
            match self.recv_until(until).await {
                Ok(pdu) if pdu.opcode() == opcode::NOP_IN && pdu.target_transfer_tag() != NO_TAG => {
                    let answer = RawPdu::nop_out(pdu.lun_field(), NO_TAG, pdu.target_transfer_tag(), Vec::new());
                    self.send(answer.immediate()).await?;
                }
                Ok(pdu) => heard.push(pdu),
                Err(LinkError::Timeout) => return Ok(heard),
                Err(error) => return Err(error),
            }
        }
    }

    /// Everything that comes within `duration`; nothing is answered, as in the middle of a PDU nothing can be.
    pub(super) async fn hear(&mut self, duration: Duration) -> Result<Vec<RawPdu>, LinkError> {
        let until = self.deadline.min(self.link.world.now() + duration);
        let mut heard = Vec::new();
        loop {
            match self.recv_until(until).await {
                Ok(pdu) => heard.push(pdu),
                Err(LinkError::Timeout) => return Ok(heard),
                Err(error) => return Err(error),
            }
        }
    }

    /// An immediate ping and its answer.
    pub(super) async fn ping(&mut self) -> Result<RawPdu, LinkError> {
        let tag = self.tag();
        self.send(RawPdu::nop_out(0, tag, NO_TAG, Vec::new()).immediate()).await?;
        self.await_answer(opcode::NOP_IN, tag).await
    }

    /// The first PDU with `code` that answers `tag`.
    pub(super) async fn await_answer(&mut self, code: u8, tag: u32) -> Result<RawPdu, LinkError> {
        self.await_answer_within(LISTEN, code, tag).await
    }

    /// The same, when the target may be silent for so long.
    pub(super) async fn await_answer_within(
        &mut self,
        silence: Duration,
        code: u8,
        tag: u32,
    ) -> Result<RawPdu, LinkError> {
        loop {
            let pdu = self.recv_until(self.deadline.min(self.link.world.now() + silence)).await?;
            if pdu.opcode() == code && pdu.initiator_task_tag() == tag {
                return Ok(pdu);
            }
            if pdu.opcode() == opcode::SCSI_RESPONSE && pdu.initiator_task_tag() == tag {
                return Err(LinkError::Closed);
            }
        }
    }

    pub(super) fn test_unit_ready(&self, tag: u32) -> RawPdu {
        RawPdu::scsi_command(0x81, self.lun, tag, 0, &[0; 16])
    }

    /// Sends a WRITE (16) of `blocks` blocks, of which `expected` bytes are to be transferred; data follow later.
    pub(super) async fn open_write(&mut self, amount: u32, blocks: u32, flags: u8) -> Result<OpenWrite, LinkError> {
        let expected = blocks * self.unit.block_bytes;
        self.write(amount, blocks, expected, flags, 0).await
    }

    /// The same, with the expected length and immediate data (in bytes) set apart.
    pub(super) async fn write(
        &mut self,
        amount: u32,
        blocks: u32,
        expected: u32,
        flags: u8,
        immediate: usize,
    ) -> Result<OpenWrite, LinkError> {
        let (write, pdu) = self.prepare_write(amount, blocks, expected, flags, immediate);
        self.send(pdu).await?;
        Ok(write)
    }

    /// The same, to be sent as the next command.
    pub(super) fn prepare_write(
        &mut self,
        amount: u32,
        blocks: u32,
        expected: u32,
        flags: u8,
        immediate: usize,
    ) -> (OpenWrite, RawPdu) {
        let (op, tag) = (self.shared.op(), self.tag());
        let blocks = blocks.min(self.unit.blocks as u32);
        let lba = u64::from(amount) % (self.unit.blocks - u64::from(blocks) + 1);
        let landing = blocks.min(expected / self.unit.block_bytes);
        let action = Action::Write { lba, blocks: landing, fua: false };
        self.shared.invoke(op, self.nexus, self.lun, action, tag);
        self.open.push((tag, op));
        // One block more than asked for: some attacks send too much.
        let data = stamped(self.shared.seed, self.lun, lba, blocks + 1, self.unit.block_bytes, op);
        let cdb = cdb::transfer(Direction::Out, CdbSize::Sixteen, lba, blocks, false, false);
        let mut pdu = RawPdu::scsi_command(flags, self.lun, tag, expected, &cdb);
        pdu.data = data[..immediate].to_vec();
        (OpenWrite { tag, cmd_sn: self.cmd_sn, data }, pdu)
    }

    /// Sends part of a write's data.
    pub(super) async fn data(
        &mut self,
        write: &OpenWrite,
        transfer_tag: u32,
        data_sn: u32,
        range: std::ops::Range<usize>,
        last: bool,
    ) -> Result<(), LinkError> {
        let lun = if transfer_tag == NO_TAG { 0 } else { self.lun };
        let offset = range.start as u32;
        self.send(RawPdu::data_out(lun, write.tag, transfer_tag, data_sn, offset, last, &write.data[range])).await
    }

    /// The write with this tag has no status.
    pub(super) fn is_open(&self, tag: u32) -> bool {
        self.open.iter().any(|(open, _)| *open == tag)
    }

    /// No status with the tag of this write is known to be its own: it stays open until the session is over.
    pub(super) fn let_go(&mut self, write: &OpenWrite) {
        self.open.iter_mut().filter(|(tag, _)| *tag == write.tag).for_each(|(tag, _)| *tag = NO_TAG);
    }

    /// The write is gone for good.
    pub(super) fn fence(&mut self, write: &OpenWrite) {
        if let Some(at) = self.open.iter().position(|(tag, _)| *tag == write.tag) {
            let (_, op) = self.open.remove(at);
            self.shared.record(Event::Fence { op });
        }
    }

    /// TEST UNIT READY until the unit attention is gone.
    async fn settle(&mut self) -> Result<(), LinkError> {
        for _ in 0..3 {
            let tag = self.tag();
            let pdu = self.test_unit_ready(tag);
            self.send(pdu).await?;
            if self.await_any(tag).await?.status() == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn await_any(&mut self, tag: u32) -> Result<RawPdu, LinkError> {
        loop {
            let pdu = self.recv().await?;
            if pdu.initiator_task_tag() == tag {
                return Ok(pdu);
            }
        }
    }

    /// A write got its status.
    fn note(&mut self, pdu: &RawPdu) {
        let Some(at) = self.open.iter().position(|(tag, _)| *tag == pdu.initiator_task_tag()) else { return };
        let outcome = match pdu.status() {
            0x00 => Outcome::Good { sectors: Vec::new() },
            0x02 => match pdu.sense().and_then(shared::parse_sense) {
                Some((key, code)) => Outcome::Check { key, code },
                None => return,
            },
            // Part of it may have happened: it stays open until a fence.
            0x40 => return,
            status => Outcome::Refused { status },
        };
        let (_, op) = self.open.remove(at);
        self.shared.record(Event::Return { op, outcome });
    }
}

/// Keys that make the target ask for everything.
pub(super) fn solicited() -> Keys {
    Keys {
        initial_r2t: Some(true),
        immediate_data: Some(false),
        max_burst_length: Some(65_536),
        first_burst_length: Some(512),
        ..Keys::default()
    }
}

/// Whether `heard` says that the command with `tag` was executed.
pub(super) fn is_good(heard: &[RawPdu], tag: u32) -> bool {
    heard.iter().any(|pdu| {
        let ends = pdu.opcode() == opcode::SCSI_RESPONSE || pdu.opcode() == opcode::DATA_IN && pdu.has_status();
        ends && pdu.initiator_task_tag() == tag && pdu.response() == 0 && pdu.status() == 0
    })
}

/// Whether a step and its attack made the target answer `tag` with something other than a Reject.
pub(super) fn is_answered(heard: &[RawPdu], tag: u32) -> bool {
    heard.iter().any(|pdu| pdu.opcode() != opcode::REJECT && pdu.initiator_task_tag() == tag)
}

/// Makes the digest wrong with which the bytes of a PDU end.
pub(super) fn spoil_digest(bytes: &mut [u8]) {
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
}

/// Which of several variants of an attack.
pub(super) fn variant(step: &AttackStep, count: u32) -> u32 {
    step.amount % count
}

/// Which of `count` variants of an attack that is one of `kinds` itself. [`variant`] would say something of the kind again.
pub(super) fn variant_within(step: &AttackStep, kinds: u32, count: u32) -> u32 {
    step.amount / kinds % count
}
