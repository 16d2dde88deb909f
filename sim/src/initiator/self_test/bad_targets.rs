//! Targets that hostile initiators are tested against: one that hangs up, one that says nothing, one that takes all.

use std::future::pending;

use super::super::codec::{Decoder, Digests, NO_TAG, RawPdu, opcode, text};
use super::super::world::Wire;
use super::memory::MemoryWire;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::initiator) enum BadTarget {
    /// Closes at the first byte.
    HangsUp,
    /// Reads and never answers.
    Silent,
    /// Does not even read.
    Dead,
    /// Whatever it is, it is welcome.
    Gullible,
}

impl BadTarget {
    pub(in crate::initiator) async fn serve(self, wire: MemoryWire) {
        if self == Self::Dead {
            pending::<()>().await;
        }
        let mut decoder = Decoder::new(1 << 24);
        let (mut digests, mut numbers) = (Digests::default(), Numbers { stat_sn: 1, exp_cmd_sn: 0 });
        while let Ok(bytes) = wire.recv().await {
            if bytes.is_empty() || self == Self::HangsUp {
                return;
            }
            if self == Self::Silent {
                continue;
            }
            decoder.feed(bytes);
            while let Ok(Some(pdu)) = decoder.next_pdu() {
                for mut answer in answers(&pdu) {
                    numbers.stamp(&pdu, &mut answer);
                    drop(wire.send(answer.encode(digests)).await);
                }
                if pdu.opcode() == opcode::LOGIN && pdu.is_final() {
                    let offers = text::decode(&pdu.data).unwrap_or_default();
                    digests.data = offers.iter().any(|(key, _)| key == "DataDigest");
                    decoder.set_digests(digests);
                }
            }
        }
    }
}

struct Numbers {
    stat_sn: u32,
    exp_cmd_sn: u32,
}

impl Numbers {
    fn stamp(&mut self, request: &RawPdu, answer: &mut RawPdu) {
        if request.opcode() == opcode::LOGIN {
            self.exp_cmd_sn = request.cmd_sn();
        } else if !request.is_immediate() && request.opcode() != opcode::DATA_OUT {
            self.exp_cmd_sn = request.cmd_sn().wrapping_add(1);
        }
        answer.set_u32(24, self.stat_sn);
        if answer.consumes_stat_sn() {
            self.stat_sn += 1;
        }
        answer.set_u32(28, self.exp_cmd_sn);
        answer.set_u32(32, self.exp_cmd_sn.wrapping_add(31));
    }
}

fn answers(pdu: &RawPdu) -> Vec<RawPdu> {
    let reply = |code: u8| {
        let mut answer = RawPdu::new(code);
        answer.bhs[1] = 0x80;
        answer.set_u32(16, pdu.initiator_task_tag());
        answer
    };
    match pdu.opcode() {
        opcode::LOGIN => {
            let mut answer = reply(opcode::LOGIN_RESPONSE);
            answer.bhs[1] = pdu.bhs[1] & 0x8f;
            answer.bhs[8..14].copy_from_slice(&pdu.isid());
            answer.set_u16(14, 1);
            let offers = text::decode(&pdu.data).unwrap_or_default();
            let mut pairs = vec![("TargetPortalGroupTag".to_owned(), "1".to_owned())];
            pairs.extend(offers.into_iter().filter(|(key, _)| !key.ends_with("Name") && key != "SessionType"));
            answer.data = text::encode(&pairs);
            vec![answer]
        }
        opcode::SCSI_COMMAND if pdu.writes() && pdu.data.is_empty() && pdu.is_final() => {
            let mut r2t = reply(opcode::R2T);
            r2t.set_u32(20, 1);
            r2t.set_u32(44, pdu.expected_data_transfer_length());
            vec![r2t]
        }
        opcode::SCSI_COMMAND | opcode::DATA_OUT => vec![reply(opcode::SCSI_RESPONSE)],
        opcode::TASK_MANAGEMENT => vec![reply(opcode::TASK_MANAGEMENT_RESPONSE)],
        opcode::LOGOUT => vec![reply(opcode::LOGOUT_RESPONSE)],
        code => {
            let mut answer = reply(opcode::NOP_IN);
            answer.set_u32(20, NO_TAG);
            // Its own answer to an answer that nobody waits for.
            if code == opcode::NOP_OUT && pdu.initiator_task_tag() == NO_TAG {
                answer.set_u32(16, 1);
            }
            vec![answer]
        }
    }
}
