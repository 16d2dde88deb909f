//! Too slow, too fast, or not at all.

use std::time::Duration;

use super::super::cdb;
use super::super::codec::{RawPdu, opcode, text};
use super::super::link::{Link, LinkError};
use super::super::plan::{Attack, AttackStep, CdbSize, Direction, Keys};
use super::super::world::{Wire, World};
use super::Attacker;
use super::peer::{Peer, solicited};

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
        let bytes = RawPdu::login(0x87, self.plan.isid, 0, 1, 0, text::encode(&name)).encode(link.digests);
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
                1 => link.wire.shutdown(),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads as many as the window allows, none of which is taken off the connection.
    async fn never_read(&mut self, peer: &mut Peer<W>, step: &AttackStep) -> Result<(), LinkError> {
        let blocks = (65_536 / peer.unit.block_bytes).min(peer.unit.blocks as u32).min(256);
        let bytes = blocks * peer.unit.block_bytes;
        let cdb = cdb::transfer(Direction::In, CdbSize::Ten, 0, blocks, false, false);
        let room = peer.max_cmd_sn.wrapping_sub(peer.cmd_sn).wrapping_add(1).min(1 + step.amount % 64);
        for _ in 0..room {
            let tag = peer.tag();
            peer.send(RawPdu::scsi_command(0xc1, peer.lun, tag, bytes, &cdb)).await?;
        }
        self.world.sleep(Duration::from_secs(u64::from(step.amount % 40))).await;
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
