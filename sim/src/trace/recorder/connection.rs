//! One connection: four streams of PDUs, and what each of its tags is about.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::super::command::{self, Access};
use super::super::entry::Entry;
use super::super::{Way, pdu};
use crate::initiator::codec::{Decoder, Digests, RawPdu, opcode, text};

/// No data segment is longer: the length field has three bytes.
const DATA_MAX: usize = 1 << 24;

pub(super) struct Connection {
    pub(super) initiator: u32,
    streams: BTreeMap<Way, Stream>,
    /// PDUs that left one end and have not come to the other: their entries.
    to_target: VecDeque<u64>,
    to_initiator: VecDeque<u64>,
    /// By Initiator Task Tag.
    tags: BTreeMap<u32, Tag>,
    /// The R2Ts and questions that the initiator has, by Target Transfer Tag.
    asked: BTreeMap<u32, u64>,
    /// Task management functions that came, by name: the entry of the last.
    functions: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Tag {
    op: Option<u64>,
    access: Option<(Access, Range<u64>)>,
    at_target: Option<u64>,
    at_initiator: Option<u64>,
}

struct Stream {
    decoder: Decoder,
    /// Text of login responses so far.
    login: Vec<u8>,
    lost: bool,
}

impl Connection {
    pub(super) fn new(initiator: u32) -> Self {
        let stream = || Stream { decoder: Decoder::without_blocks(DATA_MAX), login: Vec::new(), lost: false };
        let ways = [Way::InitiatorSent, Way::TargetReceived, Way::TargetSent, Way::InitiatorReceived];
        Self {
            initiator,
            streams: ways.map(|way| (way, stream())).into(),
            to_target: VecDeque::new(),
            to_initiator: VecDeque::new(),
            tags: BTreeMap::new(),
            asked: BTreeMap::new(),
            functions: BTreeMap::new(),
        }
    }

    pub(super) fn feed(&mut self, way: Way, bytes: &[u8]) {
        if let Some(stream) = self.streams.get_mut(&way).filter(|stream| !stream.lost) {
            stream.decoder.feed(bytes);
        }
    }

    /// The next PDU that has passed whole.
    pub(super) fn next(&mut self, way: Way, block_bytes: impl Fn(u16) -> u32) -> Option<Entry> {
        let stream = self.streams.get_mut(&way)?;
        let Ok(found) = stream.decoder.next_pdu() else {
            stream.lost = true;
            return None;
        };
        let found = found?;
        let entry = pdu::describe(&found, block_bytes);
        if found.opcode() == opcode::LOGIN_RESPONSE {
            self.login_response(way, &found);
        }
        if found.opcode() == opcode::SCSI_COMMAND
            && way == Way::TargetReceived
            && let Some(itt) = entry.itt
        {
            let (offset, length) = (entry.offset.unwrap_or(0), entry.length.unwrap_or(0));
            let range = offset..offset.saturating_add(length);
            let access = command::access(&found.cdb()).map(|(access, ..)| (access, range));
            self.tags.entry(itt).or_default().access = access;
        }
        Some(entry)
    }

    /// The login may end in digests: from the next PDU on, in both directions.
    fn login_response(&mut self, way: Way, response: &RawPdu) {
        let Some(stream) = self.streams.get_mut(&way) else { return };
        stream.login.extend_from_slice(&response.data);
        if response.login_status() != 0 || !response.is_final() || response.next_stage() != 3 {
            return;
        }
        let pairs = text::decode(&stream.login).unwrap_or_default();
        let on =
            |key: &str| pairs.iter().rev().find(|(name, _)| name == key).is_some_and(|(_, value)| value == "CRC32C");
        let digests = Digests { header: on("HeaderDigest"), data: on("DataDigest") };
        // Each end switches when it has sent or seen the response.
        let other = if way == Way::TargetSent { Way::TargetReceived } else { Way::InitiatorSent };
        for way in [way, other] {
            if let Some(stream) = self.streams.get_mut(&way) {
                stream.decoder.set_digests(digests);
            }
        }
    }

    /// The initiator sent a PDU with this tag, which now means `op`, if it is a command.
    pub(super) fn tag_sent(&mut self, itt: u32, pdu: &str, op: Option<u64>) {
        match pdu {
            "Data-Out" => {}
            "SCSI Command" => drop(self.tags.insert(itt, Tag { op, ..Tag::default() })),
            _ => drop(self.tags.insert(itt, Tag::default())),
        }
    }

    pub(super) fn op(&self, itt: u32) -> Option<u64> {
        self.tags.get(&itt)?.op
    }

    pub(super) fn access(&self, itt: u32) -> Option<(Access, Range<u64>)> {
        self.tags.get(&itt)?.access.clone()
    }

    pub(super) fn last_at_target(&self, itt: u32) -> Option<u64> {
        self.tags.get(&itt)?.at_target
    }

    pub(super) fn last_at_initiator(&self, itt: u32) -> Option<u64> {
        self.tags.get(&itt)?.at_initiator
    }

    pub(super) fn touch_at_target(&mut self, itt: u32, seq: u64) {
        self.tags.entry(itt).or_default().at_target = Some(seq);
    }

    /// The request that a completed task management function answers.
    pub(super) fn function(&self, completed: &Entry) -> Option<u64> {
        self.functions.get(completed.command.as_deref()?).copied()
    }

    /// What brought this PDU about.
    pub(super) fn cause(&mut self, way: Way, entry: &Entry) -> Option<u64> {
        match way {
            Way::InitiatorSent => entry.ttt.and_then(|ttt| self.asked.get(&ttt).copied()),
            Way::TargetReceived => self.to_target.pop_front(),
            Way::TargetSent => entry.itt.and_then(|itt| self.last_at_target(itt)),
            Way::InitiatorReceived => self.to_initiator.pop_front(),
        }
    }

    /// The PDU has its number.
    pub(super) fn passed(&mut self, way: Way, entry: Entry, seq: u64) {
        match way {
            Way::InitiatorSent => self.to_target.push_back(seq),
            Way::TargetSent => self.to_initiator.push_back(seq),
            Way::TargetReceived => {
                if let Some(itt) = entry.itt {
                    self.touch_at_target(itt, seq);
                }
                if let (Some("Task Management"), Some(function)) = (entry.pdu.as_deref(), entry.command) {
                    self.functions.insert(function.into_owned(), seq);
                }
            }
            Way::InitiatorReceived => {
                if let Some(itt) = entry.itt {
                    self.tags.entry(itt).or_default().at_initiator = Some(seq);
                }
                if let Some(ttt) = entry.ttt.filter(|_| matches!(entry.pdu.as_deref(), Some("R2T" | "NOP-In"))) {
                    self.asked.insert(ttt, seq);
                }
            }
        }
    }
}
