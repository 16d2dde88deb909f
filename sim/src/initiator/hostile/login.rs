//! What is no login, or a bad one.

use std::time::Duration;

use super::super::codec::{NO_TAG, RawPdu, TO_FULL_FEATURE, opcode, text};
use super::super::link::{Link, LinkError};
use super::super::plan::{Attack, AttackStep, Keys};
use super::super::world::{Wire, World};
use super::Attacker;
use super::peer::{variant, variant_within};

/// How long to wait for what the target makes of it: its own limit for a login is 15 seconds.
pub(super) const LISTEN: Duration = Duration::from_secs(20);
/// A login that goes on for longer than these exchanges is one without an end.
const EXCHANGES: u32 = 500;
/// Login requests that stay where they are: in the operational stage, in the security stage, and with the C bit in each.
const STAYS: [u8; 4] = [1 << 2, 0, CONTINUES | 1 << 2, CONTINUES];
/// Login request: the C bit.
const CONTINUES: u8 = 0x40;

impl<W: World> Attacker<'_, W> {
    pub(super) async fn login(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let mut link = Link::connect(&self.world, 1 << 16, self.connect_limit()).await?;
        let result = match step.attack {
            Attack::LoginHalf => self.stop_half_way(&mut link, step).await,
            Attack::LoginEndless => self.never_end(&mut link, step).await,
            Attack::CommandInLogin | Attack::BeforeLogin => self.too_early(&mut link, step).await,
            Attack::Garbage | Attack::Http | Attack::Tls => self.other_protocol(&mut link, step).await,
            _ => self.bad_request(&mut link, step).await,
        };
        link.wire.abort();
        result
    }

    pub(super) fn names(&self) -> Vec<(String, String)> {
        vec![
            ("InitiatorName".to_owned(), self.plan.name.clone()),
            ("TargetName".to_owned(), self.shared.target.to_string()),
        ]
    }

    fn request(&self, flags: u8, data: Vec<u8>) -> RawPdu {
        RawPdu::login(flags, self.plan.isid, 0, 1, 0, data).sequenced(self.cmd_sn, 0)
    }

    async fn stop_half_way(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let deadline = self.world.now() + LISTEN;
        let bytes = self.request(0x04, text::encode(&self.names())).encode(link.digests);
        let cut =
            if variant(step, 2) == 0 { bytes.len() } else { variant_within(step, 2, bytes.len() as u32) as usize };
        link.send_bytes(bytes[..cut].to_vec(), deadline).await?;
        while link.recv(deadline).await.is_ok() {}
        Ok(())
    }

    async fn never_end(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let deadline = self.world.now() + LISTEN;
        let mut text = text::encode(&self.names());
        let first = STAYS[variant(step, 4) as usize];
        // What follows has the C bit as the first request, or the other way round.
        let others = if variant(step, 8) < 4 { first } else { first ^ CONTINUES };
        for number in 0..EXCHANGES {
            let flags = if number == 0 { first } else { others };
            let request = self.request(flags, std::mem::take(&mut text));
            link.send(request, deadline).await?;
            if link.recv(deadline).await?.login_status() != 0 {
                return Ok(());
            }
        }
        self.complain("I7", step, &format!("a login went on for {EXCHANGES} exchanges"));
        Ok(())
    }

    /// Only login requests may come before full feature phase (RFC 7143, 6.3).
    async fn too_early(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let deadline = self.world.now() + LISTEN;
        let with_ahs = step.attack == Attack::BeforeLogin && (step.amount / 64).is_multiple_of(4);
        let code = match step.attack {
            Attack::CommandInLogin => {
                let flags = STAYS[variant(step, 4) as usize];
                link.send(self.request(flags, text::encode(&self.names())), deadline).await?;
                link.recv(deadline).await?;
                opcode::SCSI_COMMAND
            }
            // A login request whose additional header segments no login has.
            _ if with_ahs => opcode::LOGIN,
            _ => step.amount as u8 & 0x3f,
        };
        let mut pdu = RawPdu::new(code);
        pdu.ahs = if with_ahs { vec![0, 1, 1, 0] } else { Vec::new() };
        pdu.bhs[1] = 0x80;
        pdu.set_u32(16, 2);
        pdu.set_u32(20, NO_TAG);
        link.send(pdu.sequenced(self.cmd_sn, 0), deadline).await?;
        while let Ok(answer) = link.recv(deadline).await {
            let refusal = answer.opcode() == opcode::REJECT
                || answer.opcode() == opcode::LOGIN_RESPONSE && answer.login_status() != 0;
            // An empty login request asks for nothing and may be answered.
            if !refusal && code != opcode::LOGIN {
                self.complain(
                    "I7",
                    step,
                    &format!("operation code {code:#04x} before login was answered {:#04x}", answer.opcode()),
                );
                break;
            }
        }
        Ok(())
    }

    async fn other_protocol(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let deadline = self.world.now() + LISTEN;
        let bytes = match step.attack {
            Attack::Http if step.amount % 4 == 3 => b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
            Attack::Http => {
                b"GET / HTTP/1.1\r\nHost: storage.example\r\nUser-Agent: none\r\nAccept: */*\r\n\r\n".to_vec()
            }
            Attack::Tls => {
                let mut hello = vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
                hello.resize(5 + 512, step.amount as u8);
                hello
            }
            _ => {
                let mut draws = crate::random::Draws::new(self.shared.seed, "garbage", u64::from(step.amount));
                (0..1 + step.amount % 4_096).map(|_| draws.u64() as u8).collect()
            }
        };
        link.send_bytes(bytes, deadline).await?;
        while let Ok(answer) = link.recv(deadline).await {
            if answer.opcode() == opcode::LOGIN_RESPONSE && answer.login_status() == 0 && answer.is_final() {
                self.complain("I7", step, "bytes of another protocol were logged in");
                break;
            }
        }
        Ok(())
    }

    /// One login request that must not succeed; for some the status is exact (RFC 7143, 11.13.5).
    async fn bad_request(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let deadline = self.world.now() + LISTEN;
        let mut names = self.names();
        let mut exact = None;
        let request = match step.attack {
            Attack::KeyTooLong => {
                // Longer than a key may be, or than a whole negotiation.
                let long = "k".repeat(if variant(step, 4) < 2 { 10_240 } else { 80_000 });
                let pair = if variant(step, 2) == 0 { (long, "1".to_owned()) } else { ("X-long".to_owned(), long) };
                names.push(pair);
                return self.in_parts(link, text::encode(&names), deadline).await;
            }
            Attack::KeyTwice => {
                names.push(("MaxBurstLength".to_owned(), "512".to_owned()));
                names.push(("MaxBurstLength".to_owned(), "1024".to_owned()));
                self.request(TO_FULL_FEATURE, text::encode(&names))
            }
            Attack::TextMalformed => {
                let mut data = text::encode(&names);
                data.extend_from_slice([&b"NoEqualsSign\0"[..], b"=\0", b"HeaderDigest\0"][variant(step, 3) as usize]);
                self.request(TO_FULL_FEATURE, data)
            }
            // A stage that does not exist, a step back, a stage to itself.
            Attack::StageIllegal => {
                let flags = [0x80 | 2 << 2 | 3, 0x80 | 1 << 2, 0x80 | 1 << 2 | 1, 0x80 | 3 << 2 | 3];
                let mut text = text::encode(&names);
                // At first, or when the login is under way.
                if let Some(stays) = STAYS.get(variant(step, 20) as usize / 4) {
                    link.send(self.request(*stays, std::mem::take(&mut text)), deadline).await?;
                    if link.recv(deadline).await?.login_status() != 0 {
                        return Ok(());
                    }
                }
                self.request(flags[variant(step, 4) as usize], text)
            }
            Attack::SessionUnknown => {
                exact = Some(0x020a);
                let mut pdu = self.request(TO_FULL_FEATURE, text::encode(&names));
                // Never given out: the target's are few and it would have to be this ISID's.
                pdu.set_u16(14, 0xfffe);
                pdu.bhs[13] ^= 0x40;
                pdu
            }
            Attack::TargetUnknown => {
                exact = Some(0x0203);
                names[1].1.push_str("-that-is-not-here");
                self.request(TO_FULL_FEATURE, text::encode(&names))
            }
            _ => {
                exact = Some(0x0207);
                names.remove(0);
                self.request(TO_FULL_FEATURE, text::encode(&names))
            }
        };
        link.send(request, deadline).await?;
        let answer = link.recv(deadline).await?;
        let status = answer.login_status();
        // 03xx: the target has other troubles.
        if answer.opcode() == opcode::LOGIN_RESPONSE
            && status >> 8 != 3
            && exact.map_or(status == 0, |exact| status != exact)
        {
            self.complain("I7", step, &format!("login was answered with status {status:#06x}, expected {exact:04x?}"));
        }
        Ok(())
    }

    /// Too many connections (RFC 7143, 11.13.5): the session has its one, and is not to notice.
    pub(super) async fn second_connection(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let mut peer = self.peer(&Keys::default()).await?;
        let mut link = Link::connect(&self.world, 1 << 16, self.connect_limit()).await?;
        let mut pdu = self.request(TO_FULL_FEATURE, text::encode(&self.names()));
        pdu.set_u16(14, peer.tsih);
        pdu.set_u16(20, 1 + variant(step, 2) as u16 * 0xfffe);
        link.send(pdu.sequenced(peer.cmd_sn, 0), self.world.now() + LISTEN).await?;
        let status = link.recv(self.world.now() + LISTEN).await?.login_status();
        link.wire.abort();
        // The session may be gone meanwhile, or the target have other troubles.
        if !matches!(status, 0x0206 | 0x020a) && status >> 8 != 3 {
            self.complain("I7", step, &format!("a second connection was answered with status {status:#06x}"));
        }
        let tag = peer.tag();
        let pdu = peer.test_unit_ready(tag);
        let result = peer.send(pdu).await;
        peer.listen().await;
        self.leave(peer);
        result
    }

    /// One long text over as many PDUs as it takes.
    async fn in_parts(&mut self, link: &mut Link<W>, data: Vec<u8>, deadline: Duration) -> Result<(), LinkError> {
        let parts = data.chunks(8_192);
        let count = parts.len();
        for (number, part) in parts.enumerate() {
            let flags = if number + 1 == count { TO_FULL_FEATURE } else { 0x44 };
            link.send(self.request(flags, part.to_vec()), deadline).await?;
            if link.recv(deadline).await?.login_status() != 0 {
                break;
            }
        }
        Ok(())
    }
}
