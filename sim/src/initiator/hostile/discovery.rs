//! Discovery sessions that are used for something else, and logins whose answer does not fit one PDU.

use std::time::Duration;

use super::super::codec::{NO_TAG, RawPdu, TO_FULL_FEATURE, opcode, text};
use super::super::link::{Link, LinkError};
use super::super::login::{LoginRequest, login};
use super::super::plan::{Attack, AttackStep, Keys, LoginStyle};
use super::super::world::{Wire, World};
use super::Attacker;
use super::peer::{spoil_digest, variant};

/// How long to wait for what the target makes of it.
const LISTEN: Duration = Duration::from_secs(3);
/// Their answers, `NotUnderstood` each, fill two PDUs.
const UNKNOWN_KEYS: u32 = 124;
/// More parts than these are an answer without an end.
const PARTS_MAX: u32 = 8;
/// Login request: security stage, T, to the operational stage.
const TO_OPERATIONAL: u8 = 0x81;

impl<W: World> Attacker<'_, W> {
    pub(super) async fn discovery(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let mut link = Link::connect(&self.world, 1 << 16, self.connect_limit()).await?;
        let result = match step.attack {
            Attack::UnknownKeys => self.unknown_keys(&mut link, step).await,
            _ => self.foreign(&mut link, step).await,
        };
        link.wire.abort();
        result
    }

    /// Not the one of its other sessions, which a login would take the place of.
    pub(super) fn other_isid(&self) -> [u8; 6] {
        let mut isid = self.plan.isid;
        isid[5] ^= 0x80;
        isid
    }

    /// Only Text and Logout Requests, and NOP-Outs, belong into a discovery session (RFC 7143, section 4.3).
    async fn foreign(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let deadline = self.world.now() + LISTEN;
        let request = LoginRequest {
            name: &self.plan.name,
            isid: self.other_isid(),
            tsih: 0,
            target: None,
            keys: &Keys { data_digest: Some("CRC32C".to_owned()), ..Keys::default() },
            style: LoginStyle::OneShot,
            cmd_sn: self.cmd_sn,
            tag: self.plan.initial_tag,
        };
        let Ok(established) = login(link, &request, deadline).await else { return Err(LinkError::Closed) };
        let code = match variant(step, 8) {
            0 => opcode::SCSI_COMMAND,
            1 => opcode::TASK_MANAGEMENT,
            2 => opcode::DATA_OUT,
            3 => opcode::LOGIN,
            4 => opcode::SNACK,
            5 => 0x1d,
            6 => opcode::NOP_OUT,
            _ => opcode::TEXT,
        };
        let mut pdu = RawPdu::new(code).immediate();
        pdu.bhs[1] = 0x80;
        pdu.set_u32(16, self.plan.initial_tag ^ 1);
        pdu.set_u32(20, NO_TAG);
        let damaged = code == opcode::NOP_OUT && link.digests.data && step.amount / 16 % 2 == 1;
        if damaged {
            pdu.data = vec![0x55; 8];
        }
        let mut bytes = pdu.sequenced(self.cmd_sn, established.exp_stat_sn).encode(link.digests);
        if damaged {
            spoil_digest(&mut bytes);
        }
        if code == opcode::TEXT {
            // A segment that nobody takes: the stream cannot be followed.
            bytes[5..8].fill(0xff);
        }
        link.send_bytes(bytes, deadline).await?;
        if step.amount / 8 % 2 == 1 {
            link.wire.shutdown();
        }
        while let Ok(answer) = link.recv(deadline).await {
            let code = answer.opcode();
            if matches!(code, opcode::SCSI_RESPONSE | opcode::DATA_IN | opcode::R2T | opcode::TASK_MANAGEMENT_RESPONSE)
            {
                self.complain("I9", step, &format!("operation code {code:#04x} in a discovery session"));
            }
        }
        Ok(())
    }

    /// Keys that nobody knows are each answered `NotUnderstood`, however many PDUs that takes.
    async fn unknown_keys(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let deadline = self.world.now() + LISTEN;
        let mut pairs = vec![
            ("InitiatorName".to_owned(), self.plan.name.clone()),
            ("SessionType".to_owned(), "Discovery".to_owned()),
        ];
        pairs.extend(
            (0..UNKNOWN_KEYS).map(|number| {
                (format!("X-net.quintain.key-that-nobody-has-ever-heard-of-{number:03}"), "1".to_owned())
            }),
        );
        let kind = variant(step, 7);
        // One of them asks in the security stage.
        let leaves = if kind == 5 { TO_OPERATIONAL } else { TO_FULL_FEATURE };
        let (mut flags, mut data, mut answer) = (leaves, text::encode(&pairs), Vec::new());
        for part in 0..PARTS_MAX {
            let mut pdu = RawPdu::login(flags, self.other_isid(), 0, 1, 0, std::mem::take(&mut data));
            if part == 1 && kind == 3 {
                pdu.bhs[0] = opcode::SCSI_COMMAND;
            }
            link.send(pdu.sequenced(self.cmd_sn, 0), deadline).await?;
            let response = link.recv(deadline).await?;
            if response.opcode() != opcode::LOGIN_RESPONSE || response.login_status() != 0 {
                return Ok(());
            }
            if part == 1 && matches!(kind, 2..=4 | 6) {
                self.complain("I7", step, "a login went on after a request that its stage does not allow");
                break;
            }
            answer.extend_from_slice(&response.data);
            if response.is_final() {
                return self.all_not_understood(step, &answer);
            }
            (flags, data) = match kind {
                1 => (0x04, Vec::new()),
                2 => (TO_FULL_FEATURE, b"X-more=1\0".to_vec()),
                4 => (0x80 | 2 << 2 | 3, Vec::new()),
                6 => (0x40 | 1 << 2, Vec::new()),
                _ => (leaves, Vec::new()),
            };
            // Asking without T fetches the rest, too; it has to be asked for at the end.
            if kind == 1 && !response.continues() {
                flags = leaves;
            }
        }
        Ok(())
    }

    fn all_not_understood(&self, step: &AttackStep, answer: &[u8]) -> Result<(), LinkError> {
        let pairs = text::decode(answer).unwrap_or_default();
        let count = pairs.iter().filter(|(_, value)| *value == "NotUnderstood").count();
        if count != UNKNOWN_KEYS as usize {
            self.complain("I9", step, &format!("{count} of {UNKNOWN_KEYS} unknown keys were answered NotUnderstood"));
        }
        Ok(())
    }
}
