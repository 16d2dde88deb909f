//! A small target that keeps the rules, but for one deviation: what the initiator is tested against.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use super::super::codec::{Decoder, Digests, NO_TAG, RawPdu, opcode, text};
use super::super::session::inventory;
use super::super::world::{Wire, World};
use super::inquiry;
use super::memory::{MemoryWire, MemoryWorld};
use crate::history::Unit;

/// How the target breaks the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::initiator) enum Deviation {
    StatSnGap,
    MaxCmdSnBack,
    DataSnGap,
    FinalMissing,
    SegmentTooLong,
    R2tPastEnd,
    R2tTwice,
    R2tTooLong,
    GoodBeforeData,
    MiscomparesNowhere,
    GoodBeyondEnd,
    ResidualMissing,
    AttentionTwice,
    AttentionNever,
    PingNotEchoed,
    NullioStale,
    ResponseTwice,
    CapacityWrong,
    AbortAlwaysComplete,
    AnswersAfterAbort,
    NoPortalGroup,
    TransitUnasked,
    VendorOther,
    PageMissing,
    PageAbsent,
    SerialShared,
    SerialChanges,
    ProvisioningOther,
    GranularityOther,
    LimitTooSmall,
    LimitExceeded,
    OptimumAboveMaximum,
    Rotates,
    NaaCut,
    /// No rule is broken: a command never ends until it is aborted.
    NeverAnswersBlockEight,
    /// Nor is it ever aborted or reset.
    NeverAnswersBlockEightNorAborts,
}

impl Deviation {
    /// Each with the oracle that must see it.
    pub(in crate::initiator) const BLAMED: &[(Self, &str)] = &[
        (Self::StatSnGap, "I3"),
        (Self::MaxCmdSnBack, "I2"),
        (Self::DataSnGap, "I4"),
        (Self::FinalMissing, "I4"),
        (Self::SegmentTooLong, "I6"),
        (Self::R2tPastEnd, "I5"),
        (Self::R2tTwice, "I5"),
        (Self::R2tTooLong, "I5"),
        (Self::GoodBeforeData, "I5"),
        (Self::GoodBeyondEnd, "T11"),
        (Self::MiscomparesNowhere, "T11"),
        (Self::ResidualMissing, "T11"),
        (Self::AttentionTwice, "T8"),
        (Self::AttentionNever, "T8"),
        (Self::PingNotEchoed, "I8"),
        (Self::NullioStale, "B11"),
        (Self::ResponseTwice, "T7"),
        (Self::CapacityWrong, "T11"),
        (Self::AbortAlwaysComplete, "T6"),
        (Self::NoPortalGroup, "I7"),
        (Self::TransitUnasked, "I7"),
        (Self::AnswersAfterAbort, "T5"),
        (Self::VendorOther, "T12"),
        (Self::PageMissing, "T12"),
        (Self::PageAbsent, "T12"),
        (Self::SerialShared, "T12"),
        (Self::SerialChanges, "T12"),
        (Self::ProvisioningOther, "T12"),
        (Self::GranularityOther, "T12"),
        (Self::LimitTooSmall, "T12"),
        (Self::LimitExceeded, "T12"),
        (Self::OptimumAboveMaximum, "T12"),
        (Self::Rotates, "T12"),
        (Self::NaaCut, "T12"),
    ];
}

#[derive(Clone)]
pub(in crate::initiator) struct SmallTarget(Rc<Inner>);

struct Inner {
    name: &'static str,
    units: Vec<Unit>,
    deviation: Option<Deviation>,
    medium: RefCell<BTreeMap<u16, Vec<u8>>>,
    /// By ISID.
    sessions: RefCell<BTreeMap<[u8; 6], SessionState>>,
    /// Logical units that were stopped.
    stopped: RefCell<BTreeSet<u16>>,
    last_tsih: Cell<u16>,
    inquiries: Cell<u32>,
}

/// A session, whether or not its connection is still there.
struct SessionState {
    tsih: u16,
    /// What ends it.
    wire: Rc<MemoryWire>,
    /// What was agreed on.
    keys: BTreeMap<String, String>,
    /// Pending unit attentions by LUN.
    attentions: BTreeMap<u16, u16>,
}

impl SmallTarget {
    pub(in crate::initiator) fn new(name: &'static str, units: Vec<Unit>, deviation: Option<Deviation>) -> Self {
        let medium = units.iter().map(|unit| (unit.lun, vec![0; unit.blocks as usize * unit.block_bytes as usize]));
        let medium = RefCell::new(medium.collect());
        let (sessions, stopped, inquiries) = Default::default();
        Self(Rc::new(Inner { name, units, deviation, medium, sessions, stopped, last_tsih: Cell::new(76), inquiries }))
    }

    pub(in crate::initiator) async fn serve(&self, world: MemoryWorld, wire: MemoryWire) {
        let connection = Connection {
            target: self.0.clone(),
            world,
            wire: Rc::new(wire),
            decoder: Decoder::new(1 << 16),
            digests: Digests::default(),
            isid: [0; 6],
            keys: BTreeMap::new(),
            stat_sn: 0xffff_fffe,
            exp_cmd_sn: 0,
            next_transfer_tag: 0,
            writes: BTreeMap::new(),
            held: BTreeMap::new(),
            own_max_recv: 8_192,
        };
        let wire = connection.wire.clone();
        connection.run().await;
        wire.shutdown();
    }

    fn deviates(&self, deviation: Deviation) -> bool {
        self.0.deviation == Some(deviation)
    }
}

struct Connection {
    target: Rc<Inner>,
    world: MemoryWorld,
    wire: Rc<MemoryWire>,
    decoder: Decoder,
    digests: Digests,
    isid: [u8; 6],
    keys: BTreeMap<String, String>,
    stat_sn: u32,
    exp_cmd_sn: u32,
    next_transfer_tag: u32,
    writes: BTreeMap<u32, Write>,
    held: BTreeMap<u32, RawPdu>,
    own_max_recv: usize,
}

struct Write {
    command: RawPdu,
    data: Vec<u8>,
    received: usize,
    asked: usize,
    open: Vec<u32>,
    r2ts: u32,
    unsolicited_open: bool,
}

const OWN_MAX_RECV: usize = 1_000;

impl Connection {
    fn deviates(&self, deviation: Deviation) -> bool {
        SmallTarget(self.target.clone()).deviates(deviation)
    }

    fn number(&self, key: &str, default: usize) -> usize {
        self.keys.get(key).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    async fn pdu(&mut self) -> Option<RawPdu> {
        loop {
            if let Some(pdu) = self.decoder.next_pdu().expect("the initiator keeps to the limits") {
                assert_ne!((pdu.header_digest_ok, pdu.data_digest_ok), (Some(false), Some(false)));
                return Some(pdu);
            }
            let bytes = self.wire.recv().await.ok().filter(|bytes| !bytes.is_empty())?;
            self.decoder.feed(bytes);
        }
    }

    async fn send(&mut self, mut pdu: RawPdu) {
        if pdu.opcode() != opcode::DATA_IN || pdu.has_status() {
            pdu.set_u32(24, self.stat_sn);
        }
        if pdu.consumes_stat_sn() {
            self.stat_sn = self.stat_sn.wrapping_add(1);
            if self.deviates(Deviation::StatSnGap) && pdu.opcode() == opcode::DATA_IN {
                self.stat_sn = self.stat_sn.wrapping_add(1);
            }
        }
        pdu.set_u32(28, self.exp_cmd_sn);
        let back = self.deviates(Deviation::MaxCmdSnBack) && pdu.opcode() == opcode::DATA_IN;
        pdu.set_u32(32, self.exp_cmd_sn.wrapping_add(if back { 1 } else { 7 }));
        if matches!(pdu.opcode(), opcode::SCSI_RESPONSE | opcode::R2T | opcode::LOGOUT_RESPONSE) {
            pdu.bhs[1] |= 0x80;
        }
        let bytes = pdu.encode(self.digests);
        drop(self.wire.send(bytes).await);
    }

    async fn run(mut self) -> Option<()> {
        self.login().await?;
        loop {
            let pdu = self.pdu().await?;
            let is_data = pdu.opcode() == opcode::DATA_OUT;
            if !is_data && !pdu.is_immediate() {
                assert_eq!(pdu.cmd_sn(), self.exp_cmd_sn, "commands keep their order and the window");
                self.exp_cmd_sn = self.exp_cmd_sn.wrapping_add(1);
            }
            match pdu.opcode() {
                opcode::NOP_OUT => self.nop(pdu).await,
                opcode::SCSI_COMMAND => self.command(pdu).await,
                opcode::DATA_OUT => self.data_out(pdu).await,
                opcode::TASK_MANAGEMENT => self.management(pdu).await,
                opcode::TEXT => {
                    let mut answer = reply(&pdu, opcode::TEXT_RESPONSE);
                    let name = ("TargetName".to_owned(), self.target.name.to_owned());
                    answer.data = text::encode(&[name, ("TargetAddress".to_owned(), "127.0.0.1:3260,1".to_owned())]);
                    answer.bhs[1] = 0x80;
                    answer.set_u32(20, NO_TAG);
                    self.send(answer).await;
                }
                opcode::LOGOUT => {
                    self.send(reply(&pdu, opcode::LOGOUT_RESPONSE)).await;
                    return None;
                }
                code => panic!("the initiator sent operation code {code:#04x}"),
            }
        }
    }

    async fn login(&mut self) -> Option<()> {
        let mut collected = Vec::new();
        let mut first = true;
        loop {
            let request = self.pdu().await?;
            assert_eq!(request.opcode(), opcode::LOGIN);
            self.exp_cmd_sn = request.cmd_sn();
            self.isid = request.isid();
            collected.extend_from_slice(&request.data);
            let mut answer = reply(&request, opcode::LOGIN_RESPONSE);
            answer.bhs[1] = request.bhs[1] & 0x0c;
            answer.bhs[8..14].copy_from_slice(&self.isid);
            answer.set_u16(14, request.tsih());
            if !request.continues() {
                answer.data = text::encode(&self.negotiate(&text::decode(&collected).unwrap(), first));
                first = false;
                collected.clear();
                answer.bhs[1] = request.bhs[1] & 0x8f;
                if self.deviates(Deviation::TransitUnasked) {
                    answer.bhs[1] = request.bhs[1] & 0x0c | 0x82;
                }
                let done = request.is_final() && request.next_stage() == 3;
                if done {
                    let Some(tsih) = self.begin_session(request.tsih()) else {
                        answer.set_u16(36, 0x020a);
                        self.send(answer).await;
                        return None;
                    };
                    answer.set_u16(14, tsih);
                }
                self.send(answer).await;
                if done {
                    let crc = |key: &str| self.keys.get(key).is_some_and(|value| value == "CRC32C");
                    self.digests = Digests { header: crc("HeaderDigest"), data: crc("DataDigest") };
                    self.decoder.set_digests(self.digests);
                    return Some(());
                }
            } else {
                self.send(answer).await;
            }
        }
    }

    /// A new session for TSIH zero, or the one that is there; nothing if there is none.
    fn begin_session(&mut self, tsih: u16) -> Option<u16> {
        let mut sessions = self.target.sessions.borrow_mut();
        let (wire, old) = (self.wire.clone(), sessions.remove(&self.isid));
        if let Some(old) = &old {
            old.wire.abort();
        }
        let session = match old {
            _ if tsih == 0 => {
                let attentions = self.target.units.iter().map(|unit| (unit.lun, 0x2900)).collect();
                self.target.last_tsih.set(self.target.last_tsih.get() + 1);
                SessionState { tsih: self.target.last_tsih.get(), wire, keys: self.keys.clone(), attentions }
            }
            Some(old) if old.tsih == tsih => {
                let of_connection = ["HeaderDigest", "DataDigest", "MaxRecvDataSegmentLength"];
                let mut keys = old.keys;
                keys.retain(|key, _| !of_connection.contains(&key.as_str()));
                keys.append(&mut self.keys);
                self.keys.clone_from(&keys);
                SessionState { tsih, wire, keys, attentions: old.attentions }
            }
            _ => return None,
        };
        let tsih = session.tsih;
        sessions.insert(self.isid, session);
        Some(tsih)
    }

    fn negotiate(&mut self, offers: &[(String, String)], first: bool) -> Vec<(String, String)> {
        let mut answers = Vec::new();
        if first && !self.deviates(Deviation::NoPortalGroup) {
            answers.push(("TargetPortalGroupTag".to_owned(), "1".to_owned()));
        }
        if !offers.iter().any(|(key, _)| key == "AuthMethod") && self.own_max_recv != OWN_MAX_RECV {
            self.own_max_recv = OWN_MAX_RECV;
            answers.push(("MaxRecvDataSegmentLength".to_owned(), OWN_MAX_RECV.to_string()));
        }
        for (key, value) in offers {
            let number = value.parse::<u32>().unwrap_or(0);
            let answer = match key.as_str() {
                "InitiatorName" | "TargetName" | "SessionType" => continue,
                "MaxRecvDataSegmentLength" => {
                    self.keys.insert(key.clone(), value.clone());
                    continue;
                }
                "AuthMethod" => "None".to_owned(),
                "HeaderDigest" | "DataDigest" => value.split(',').next().unwrap().to_owned(),
                "ErrorRecoveryLevel" => "0".to_owned(),
                "MaxConnections" => "1".to_owned(),
                "MaxOutstandingR2T" => number.min(2).to_string(),
                "DefaultTime2Wait" => number.max(2).to_string(),
                key if key.starts_with("X-") => "NotUnderstood".to_owned(),
                _ => value.clone(),
            };
            self.keys.insert(key.clone(), answer.clone());
            answers.push((key.clone(), answer));
        }
        answers
    }

    async fn nop(&mut self, pdu: RawPdu) {
        let mut answer = reply(&pdu, opcode::NOP_IN);
        answer.bhs[1] = 0x80;
        answer.set_u32(20, NO_TAG);
        answer.data = pdu.data;
        if self.deviates(Deviation::PingNotEchoed) {
            answer.data.pop();
        }
        self.send(answer).await;
    }

    async fn management(&mut self, pdu: RawPdu) {
        let mut answer = reply(&pdu, opcode::TASK_MANAGEMENT_RESPONSE);
        answer.bhs[1] = 0x80;
        if self.deviates(Deviation::NeverAnswersBlockEightNorAborts) {
            return;
        }
        let function = pdu.task_management_function();
        let lun = lun_of(&pdu);
        if function == 1 {
            let tag = pdu.referenced_task_tag();
            let held = self.held.remove(&tag);
            let known = self.writes.remove(&tag).is_some() || held.is_some();
            answer.bhs[2] = u8::from(!known && !self.deviates(Deviation::AbortAlwaysComplete));
            self.send(answer).await;
            if let Some(held) = held.filter(|_| self.deviates(Deviation::AnswersAfterAbort)) {
                self.respond(&held, 0, &[], (0, 0)).await;
            }
            return;
        }
        let all = function >= 6;
        self.writes.retain(|_, write| !all && lun_of(&write.command) != lun);
        self.held.retain(|_, command| !all && lun_of(command) != lun);
        if function >= 5 {
            for SessionState { attentions, .. } in self.target.sessions.borrow_mut().values_mut() {
                for unit in self.target.units.iter().filter(|unit| all || unit.lun == lun) {
                    attentions.insert(unit.lun, 0x2903);
                }
            }
        }
        self.send(answer).await;
        if function == 7 {
            let sessions = std::mem::take(&mut *self.target.sessions.borrow_mut());
            self.world.sleep(Duration::from_millis(1)).await;
            sessions.values().for_each(|session| session.wire.abort());
        }
    }

    async fn command(&mut self, command: RawPdu) {
        let held = self.target.deviation.is_some_and(|deviation| {
            matches!(
                deviation,
                Deviation::NeverAnswersBlockEight
                    | Deviation::NeverAnswersBlockEightNorAborts
                    | Deviation::AnswersAfterAbort
            )
        });
        if held && command.cdb()[..6] == [0x28, 0, 0, 0, 0, 8] {
            self.held.insert(command.initiator_task_tag(), command);
            return;
        }
        if !command.writes() {
            return self.execute(&command, &[]).await;
        }
        let expected = command.expected_data_transfer_length() as usize;
        let mut data = vec![0; expected];
        data[..command.data.len()].copy_from_slice(&command.data);
        let first_burst = self.number("FirstBurstLength", 65_536).min(self.number("MaxBurstLength", 262_144));
        assert!(command.data.len() <= first_burst);
        let unsolicited = if command.is_final() { command.data.len() } else { first_burst.min(expected) };
        let write = Write {
            received: command.data.len(),
            asked: unsolicited,
            unsolicited_open: !command.is_final(),
            command,
            data,
            open: Vec::new(),
            r2ts: 0,
        };
        self.go_on(write).await;
    }

    async fn data_out(&mut self, pdu: RawPdu) {
        let Some(mut write) = self.writes.remove(&pdu.initiator_task_tag()) else { return };
        let at = pdu.buffer_offset() as usize;
        assert!(pdu.data.len() <= self.own_max_recv);
        write.data[at..at + pdu.data.len()].copy_from_slice(&pdu.data);
        write.received += pdu.data.len();
        if pdu.is_final() {
            let before = write.open.len();
            write.open.retain(|tag| *tag != pdu.target_transfer_tag());
            write.unsolicited_open &= pdu.target_transfer_tag() != NO_TAG;
            assert!(pdu.target_transfer_tag() == NO_TAG || write.open.len() < before);
        }
        self.go_on(write).await;
    }

    /// Asks for more data, or executes the write.
    async fn go_on(&mut self, mut write: Write) {
        let max_burst = self.number("MaxBurstLength", 262_144);
        let early = self.deviates(Deviation::GoodBeforeData);
        if !write.unsolicited_open {
            while write.asked < write.data.len() && write.open.len() < self.number("MaxOutstandingR2T", 1) && !early {
                let burst = if self.deviates(Deviation::R2tTooLong) { max_burst + 1 } else { max_burst };
                let length = burst.min(write.data.len() - write.asked);
                let past = usize::from(self.deviates(Deviation::R2tPastEnd)) * 4_096;
                let mut r2t = reply(&write.command, opcode::R2T);
                r2t.bhs[8..16].copy_from_slice(&write.command.bhs[8..16]);
                self.next_transfer_tag += 1;
                r2t.set_u32(20, self.next_transfer_tag);
                r2t.set_u32(36, write.r2ts);
                r2t.set_u32(40, (write.asked + past) as u32);
                r2t.set_u32(44, length as u32);
                write.r2ts += 1;
                write.open.push(self.next_transfer_tag);
                if !self.deviates(Deviation::R2tTwice) {
                    write.asked += length;
                }
                self.send(r2t).await;
            }
        }
        if (write.received == write.data.len() && !write.unsolicited_open) || early {
            self.execute(&write.command, &write.data).await;
        } else {
            self.writes.insert(write.command.initiator_task_tag(), write);
        }
    }

    async fn execute(&mut self, command: &RawPdu, data: &[u8]) {
        let lun = lun_of(command);
        let cdb = command.cdb();
        let Some(unit) = self.target.units.iter().find(|unit| unit.lun == lun).cloned() else {
            return self.unmapped(command).await;
        };
        if let Some(code) = invalid(&cdb) {
            return self.check(command, 5, code).await;
        }
        if !matches!(cdb[0], 0x12 | 0xa0 | 0x03)
            && let Some(code) = self.attention(lun)
        {
            return self.check(command, 6, code).await;
        }
        let (lba, blocks) = range(&cdb);
        let block = u64::from(unit.block_bytes);
        let medium =
            matches!(cdb[0], 0x08 | 0x28 | 0xa8 | 0x88 | 0x0a | 0x2a | 0xaa | 0x8a | 0x35 | 0x91 | 0x2f | 0xaf | 0x8f);
        if medium
            && lba.checked_add(blocks).is_none_or(|end| end > unit.blocks)
            && !self.deviates(Deviation::GoodBeyondEnd)
        {
            return self.check(command, 5, 0x2100).await;
        }
        let transfers = medium && !matches!(cdb[0], 0x35 | 0x91);
        if transfers && blocks > u64::from(inquiry::TRANSFER_MAX) && !self.deviates(Deviation::LimitExceeded) {
            return self.check(command, 5, 0x2400).await;
        }
        if (medium || cdb[0] == 0x00) && self.target.stopped.borrow().contains(&lun) {
            return self.check(command, 2, 0x0402).await;
        }
        let (start, length) = ((lba.min(unit.blocks) * block) as usize, (blocks * block) as usize);
        match cdb[0] {
            0x1b => {
                self.start_stop(lun, cdb[4] & 1 == 1);
                self.respond(command, 0, &[], (0, 0)).await;
            }
            0x2f | 0xaf | 0x8f if !data.is_empty() => {
                let difference = {
                    let medium = self.target.medium.borrow();
                    let held = medium[&lun][start..start + length].chunks(data.len());
                    held.flatten().zip(data.iter().cycle()).position(|(one, other)| one != other)
                };
                let Some(at) = difference else { return self.respond(command, 0, &[], (0, 0)).await };
                let mut sense = sense(0x0e, 0x1d00);
                if !self.deviates(Deviation::MiscomparesNowhere) {
                    sense[0] |= 0x80;
                    sense[3..7].copy_from_slice(&(at as u32).to_be_bytes());
                }
                self.respond(command, 0x02, &sense, (0, 0)).await;
            }
            0x08 | 0x28 | 0xa8 | 0x88 => {
                let inside = self.target.medium.borrow()[&lun].get(start..start + length).map(<[u8]>::to_vec);
                let mut read = inside.unwrap_or_else(|| vec![0; length]);
                if unit.nullio && self.deviates(Deviation::NullioStale) {
                    read[3] = 1;
                }
                self.answer(command, &read, length).await;
            }
            0x0a | 0x2a | 0xaa | 0x8a => {
                if !unit.nullio {
                    let mut medium = self.target.medium.borrow_mut();
                    medium.get_mut(&lun).unwrap()[start..start + length].copy_from_slice(&data[..length]);
                }
                self.respond(command, 0, &[], residual(command, length)).await;
            }
            0x00 | 0x35 | 0x91 | 0x2f | 0xaf | 0x8f => self.respond(command, 0, &[], (0, 0)).await,
            _ => match self.parameters(&cdb, Some(&unit)) {
                Some(bytes) => self.answer(command, &bytes, bytes.len()).await,
                None => self.check(command, 5, 0x2000).await,
            },
        }
    }

    fn start_stop(&self, lun: u16, start: bool) {
        let mut stopped = self.target.stopped.borrow_mut();
        stopped.remove(&lun);
        if !start {
            stopped.insert(lun);
        }
    }

    async fn unmapped(&mut self, command: &RawPdu) {
        match self.parameters(&command.cdb(), None) {
            Some(bytes) => self.answer(command, &bytes, bytes.len()).await,
            None => self.check(command, 5, 0x2500).await,
        }
    }

    fn attention(&self, lun: u16) -> Option<u16> {
        let mut sessions = self.target.sessions.borrow_mut();
        let attentions = &mut sessions.get_mut(&self.isid)?.attentions;
        match self.target.deviation {
            Some(Deviation::AttentionNever) => None,
            Some(Deviation::AttentionTwice) => match attentions.get_mut(&lun)? {
                0x29ff => attentions.remove(&lun).map(|_| 0x2900),
                code => Some(std::mem::replace(code, 0x29ff)),
            },
            _ => attentions.remove(&lun),
        }
    }

    /// Parameter data, cut to the allocation length.
    fn parameters(&self, cdb: &[u8; 16], unit: Option<&Unit>) -> Option<Vec<u8>> {
        let (mut bytes, allocation) = match (cdb[0], unit) {
            (0x12, _) => {
                let asked = self.target.inquiries.get() + 1;
                self.target.inquiries.set(asked);
                let page = (cdb[1] == 1).then_some(cdb[2]);
                let bytes = inquiry::data(unit.map(|unit| unit.lun), page, self.target.deviation, asked);
                (bytes, usize::from(u16::from_be_bytes([cdb[3], cdb[4]])))
            }
            (0xa0, _) => {
                let mut bytes = vec![0; 8 + 8 * self.target.units.len()];
                bytes[3] = 8 * self.target.units.len() as u8;
                for (unit, entry) in self.target.units.iter().zip(bytes[8..].chunks_mut(8)) {
                    entry[1] = unit.lun as u8;
                }
                (bytes, u32::from_be_bytes([cdb[6], cdb[7], cdb[8], cdb[9]]) as usize)
            }
            (0x03, _) => {
                let code = unit.and_then(|unit| self.attention(unit.lun)).unwrap_or(0);
                let key = if code == 0 { 0 } else { 6 };
                let descriptor = vec![0x72, key, (code >> 8) as u8, code as u8, 0, 0, 0, 0];
                (if cdb[1] == 1 { descriptor } else { sense(key, code) }, 252)
            }
            (0x25 | 0x9e, Some(unit)) => {
                let last = unit.blocks - 1 + u64::from(self.deviates(Deviation::CapacityWrong));
                let mut bytes =
                    if cdb[0] == 0x25 { (last as u32).to_be_bytes().to_vec() } else { last.to_be_bytes().to_vec() };
                bytes.extend(unit.block_bytes.to_be_bytes());
                bytes.resize(if cdb[0] == 0x25 { 8 } else { 32 }, 0);
                (bytes, 32)
            }
            (0xa3, Some(_)) => (inventory::answer(cdb), u32::from_be_bytes([cdb[6], cdb[7], cdb[8], cdb[9]]) as usize),
            (0x1a, Some(_)) => ([&[7, 0, 0, 0], mode_page(cdb).as_slice()].concat(), usize::from(cdb[4])),
            (0x5a, Some(_)) => ([&[0, 10, 0, 0, 0, 0, 0, 0], mode_page(cdb).as_slice()].concat(), usize::from(cdb[8])),
            _ => return None,
        };
        bytes.truncate(allocation);
        Some(bytes)
    }

    /// Data-In, with the status in the last PDU. `asked` is what the CDB asks for.
    async fn answer(&mut self, command: &RawPdu, data: &[u8], asked: usize) {
        let expected = command.expected_data_transfer_length() as usize;
        let data = &data[..data.len().min(expected)];
        if data.is_empty() {
            return self.respond(command, 0, &[], residual(command, asked)).await;
        }
        let too_long = usize::from(self.deviates(Deviation::SegmentTooLong)) * 4_096;
        let segment = self.number("MaxRecvDataSegmentLength", 8_192) + too_long;
        let max_burst = self.number("MaxBurstLength", 262_144);
        let (mut at, mut sn) = (0, 0);
        for burst in data.chunks(max_burst) {
            let burst_end = at + burst.len();
            for part in burst.chunks(segment) {
                let mut pdu = reply(command, opcode::DATA_IN);
                pdu.set_u32(20, NO_TAG);
                pdu.set_u32(36, sn);
                pdu.set_u32(40, at as u32);
                pdu.data = part.to_vec();
                at += part.len();
                sn += 1 + u32::from(self.deviates(Deviation::DataSnGap));
                let last = at == data.len();
                if at == burst_end && (last || !self.deviates(Deviation::FinalMissing)) {
                    pdu.bhs[1] |= 0x80;
                }
                if last {
                    let (flag, count) = residual(command, asked);
                    pdu.bhs[1] |= flag | 0x01;
                    pdu.set_u32(44, if self.deviates(Deviation::ResidualMissing) { 1 } else { count });
                }
                self.send(pdu.clone()).await;
                if last && self.deviates(Deviation::ResponseTwice) {
                    self.respond(command, 0, &[], (0, 0)).await;
                }
            }
        }
    }

    async fn check(&mut self, command: &RawPdu, key: u8, code: u16) {
        let expected = command.expected_data_transfer_length();
        let residual = if expected == 0 { (0, 0) } else { (0x02, expected) };
        self.respond(command, 0x02, &sense(key, code), residual).await;
    }

    async fn respond(&mut self, command: &RawPdu, status: u8, sense: &[u8], residual: (u8, u32)) {
        let mut answer = reply(command, opcode::SCSI_RESPONSE);
        answer.bhs[1] = residual.0;
        answer.bhs[3] = status;
        answer.set_u32(44, residual.1);
        if !sense.is_empty() {
            answer.data = (sense.len() as u16).to_be_bytes().to_vec();
            answer.data.extend_from_slice(sense);
        }
        self.send(answer).await;
    }
}

/// The logical unit that a request names, by either of its addresses.
fn lun_of(request: &RawPdu) -> u16 {
    (request.logical_unit() >> 48) as u16
}

fn reply(request: &RawPdu, code: u8) -> RawPdu {
    let mut pdu = RawPdu::new(code);
    pdu.set_u32(16, request.initiator_task_tag());
    pdu
}

fn sense(key: u8, code: u16) -> Vec<u8> {
    let mut sense = vec![0; 18];
    sense[0] = 0x70;
    sense[2] = key;
    sense[7] = 10;
    sense[12..14].copy_from_slice(&code.to_be_bytes());
    sense
}

fn residual(command: &RawPdu, asked: usize) -> (u8, u32) {
    let expected = command.expected_data_transfer_length() as usize;
    match asked.cmp(&expected) {
        std::cmp::Ordering::Less => (0x02, (expected - asked) as u32),
        std::cmp::Ordering::Equal => (0, 0),
        std::cmp::Ordering::Greater => (0x04, (asked - expected) as u32),
    }
}

/// The fields that this target looks at and does not like.
fn invalid(cdb: &[u8; 16]) -> Option<u16> {
    let bad = match cdb[0] {
        0x00 => cdb[5] == 0x04,
        0x28 => cdb[1] & 0xe6 != 0,
        0x2f => cdb[1] & 0xe0 != 0 || cdb[1] & 0x06 == 0x04,
        0x12 => !matches!((cdb[1], cdb[2]), (0, 0) | (1, _)) || cdb[1] == 1 && !inquiry::PAGES.contains(&cdb[2]),
        0x1a if cdb[2] >> 6 == 3 => return Some(0x3900),
        0x1a => cdb[3] == 1,
        0x1b => cdb[4] & 0xf2 != 0,
        0x25 => cdb[2..6] != [0; 4] && cdb[8] & 1 == 0,
        0x9e => cdb[1] & 0x1f != 0x10,
        0x5a => cdb[2] == 0x19,
        0xa0 => cdb[2] > 2,
        0xa3 if cdb[1] == 0x0d => range(cdb).1 < 4,
        0xa3 => cdb[2] & 7 == if matches!(cdb[3], 0x9e | 0xa3) { 1 } else { 2 },
        _ => false,
    };
    bad.then_some(0x2400)
}

fn range(cdb: &[u8; 16]) -> (u64, u64) {
    let u32_at = |at: usize| u64::from(u32::from_be_bytes([cdb[at], cdb[at + 1], cdb[at + 2], cdb[at + 3]]));
    match cdb[0] >> 5 {
        0 => (u32_at(0) & 0x1f_ffff, if cdb[4] == 0 { 256 } else { u64::from(cdb[4]) }),
        1 | 2 => (u32_at(2), u64::from(cdb[7]) << 8 | u64::from(cdb[8])),
        5 => (u32_at(2), u32_at(6)),
        _ => (u32_at(2) << 32 | u32_at(6), u32_at(10)),
    }
}

/// The page that is asked for; one stands for all.
fn mode_page(cdb: &[u8]) -> [u8; 4] {
    [if cdb[2] & 0x3f == 0x3f { 0x08 } else { cdb[2] & 0x3f }, 2, 0, 0]
}
