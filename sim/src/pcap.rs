//! The simulated wire as a capture (pcapng): what a packet sniffer on the target's machine would have seen.
//!
//! The simulator has byte streams and no packets, so the packets are made here: one for each piece that the target read
//! or wrote, at the virtual time at which it did, in Ethernet, IPv4 and TCP framing. So a byte that is under way, or
//! that a stall keeps back, is not in the capture yet. Faults, phases and broken rules are comments of packets.

mod frame;
mod stream;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::trace::{Entity, Fact, Watch, Way};
use frame::{ACK, FIN, PSH, RST, SYN};
use stream::Stream;

/// As much of a stream as goes into one packet: an IPv4 packet has at most 65,535 bytes.
const SEGMENT_MAX: usize = 64_000;

/// Makes a capture, block by block.
pub struct Capture {
    out: Box<dyn FnMut(Vec<u8>) + Send>,
    streams: BTreeMap<u64, Stream>,
    /// Connects that failed, which had a port of their own each.
    failed: u16,
    /// The last packet: what is wrong with it is known only afterwards.
    held: Option<Packet>,
    /// For the next packet.
    comments: Vec<String>,
}

struct Packet {
    at: Duration,
    frame: Vec<u8>,
    comments: Vec<String>,
}

impl Capture {
    /// A capture that hands each block of the file to `out`, the last one when it is dropped.
    #[must_use]
    pub fn new(mut out: impl FnMut(Vec<u8>) + Send + 'static) -> Self {
        out(section_header());
        out(interface());
        let out = Box::new(out);
        Self { out, streams: BTreeMap::new(), failed: 0, held: None, comments: Vec::new() }
    }

    fn packet(&mut self, at: Duration, frame: Vec<u8>) {
        if frame.is_empty() {
            return;
        }
        let comments = std::mem::take(&mut self.comments);
        self.write_held();
        self.held = Some(Packet { at, frame, comments });
    }

    fn write_held(&mut self) {
        if let Some(Packet { at, frame, comments }) = self.held.take() {
            (self.out)(packet_block(at, &frame, &comments));
        }
    }

    fn bytes(&mut self, at: Duration, id: u64, way: Way, bytes: &[u8]) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        match way {
            Way::InitiatorReceived => stream.initiator_has(bytes.len()),
            // At the target they arrive when it reads them.
            Way::InitiatorSent => {}
            Way::TargetReceived if bytes.is_empty() => self.packet(at, stream.initiator_sends(FIN | ACK, &[])),
            Way::TargetReceived => {
                for part in bytes.chunks(SEGMENT_MAX) {
                    self.packet(at, stream.initiator_sends(PSH | ACK, part));
                }
            }
            Way::TargetSent => {
                for part in bytes.chunks(SEGMENT_MAX) {
                    self.packet(at, stream.target_sends(PSH | ACK, part));
                }
            }
        }
        self.streams.insert(id, stream);
    }

    fn network(&mut self, at: Duration, id: u64, what: &str) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let frame = match what {
            // The target hears of it when it comes to reading: then it closes its end.
            "reset" | "initiator-reset" if stream.target_is_open() => {
                stream.reset_is_under_way();
                return;
            }
            "initiator-reset" => stream.initiator_sends(RST | ACK, &[]),
            "target-close" | "target-reset" if stream.close_target() => stream.initiator_sends(RST | ACK, &[]),
            "target-close" => stream.target_sends(FIN | ACK, &[]),
            "target-reset" => stream.target_sends(RST | ACK, &[]),
            _ => return,
        };
        self.packet(at, frame);
    }
}

impl Watch for Capture {
    fn fact(&mut self, at: Duration, entity: Entity, fact: &Fact<'_>) {
        match (*fact, entity) {
            (Fact::Connect { initiator }, Entity::Connection(id)) => {
                // The ports of what connects and of what fails to are apart.
                let mut stream = Stream::new(initiator, 49_152 + (id % 16_384) as u16);
                let handshake = [
                    stream.initiator_sends(SYN, &[]),
                    stream.target_sends(SYN | ACK, &[]),
                    stream.initiator_sends(ACK, &[]),
                ];
                handshake.into_iter().for_each(|frame| self.packet(at, frame));
                self.streams.insert(id, stream);
            }
            (Fact::ConnectFailed { silent }, Entity::Initiator(initiator)) => {
                self.failed = (self.failed + 1) % 16_384;
                let mut stream = Stream::new(initiator, 32_768 + self.failed);
                self.packet(at, stream.initiator_sends(SYN, &[]));
                if !silent {
                    self.packet(at, stream.target_sends(RST | ACK, &[]));
                }
            }
            (Fact::Bytes { way, bytes, .. }, Entity::Connection(id)) => self.bytes(at, id, way, bytes),
            (Fact::Network(what), Entity::Connection(id)) => self.network(at, id, what),
            (Fact::Phase(name), _) => self.comments.push(format!("phase: {name}")),
            (Fact::Process(what), _) => self.comments.push(format!("target: {what}")),
            (Fact::Fault { fault, .. }, _) => {
                self.comments.push(format!("fault {}: {}", fault.id, fault.kind.to_words()));
            }
            (Fact::Failure { oracle, message }, _) => {
                let comment = format!("{oracle}: {message}");
                if let Some(held) = self.held.as_mut().filter(|held| !held.comments.contains(&comment)) {
                    held.comments.push(comment);
                }
            }
            _ => {}
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.write_held();
    }
}

/// A block of a capture file: its type, its length, its body padded to words, its length again.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = 12 + body.len().next_multiple_of(4);
    let mut block = Vec::with_capacity(length);
    block.extend_from_slice(&kind.to_le_bytes());
    block.extend_from_slice(&(length as u32).to_le_bytes());
    block.extend_from_slice(body);
    block.resize(length - 4, 0);
    block.extend_from_slice(&(length as u32).to_le_bytes());
    block
}

/// An option of a block, padded to words.
fn option(code: u16, value: &[u8], body: &mut Vec<u8>) {
    let length = value.len().min(usize::from(u16::MAX) - 3);
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(&(length as u16).to_le_bytes());
    body.extend_from_slice(&value[..length]);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Version 1.0, of a length that is not told.
fn section_header() -> Vec<u8> {
    let mut body = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    body.extend_from_slice(&[1, 0, 0, 0]);
    body.extend_from_slice(&u64::MAX.to_le_bytes());
    block(0x0a0d_0d0a, &body)
}

/// Ethernet, whole packets, times in nanoseconds.
fn interface() -> Vec<u8> {
    const ETHERNET: u8 = 1;
    const TIME_RESOLUTION: u16 = 9;
    let mut body = vec![ETHERNET, 0, 0, 0, 0, 0, 0, 0];
    option(2, b"simulated", &mut body);
    option(TIME_RESOLUTION, &[9], &mut body);
    option(0, &[], &mut body);
    block(1, &body)
}

fn packet_block(at: Duration, frame: &[u8], comments: &[String]) -> Vec<u8> {
    const COMMENT: u16 = 1;
    let nanoseconds = at.as_nanos() as u64;
    let mut body = Vec::with_capacity(frame.len() + 64);
    let length = frame.len() as u32;
    for word in [0, (nanoseconds >> 32) as u32, nanoseconds as u32, length, length] {
        body.extend_from_slice(&word.to_le_bytes());
    }
    body.extend_from_slice(frame);
    body.resize(body.len().next_multiple_of(4), 0);
    if !comments.is_empty() {
        comments.iter().for_each(|comment| option(COMMENT, comment.as_bytes(), &mut body));
        option(0, &[], &mut body);
    }
    block(6, &body)
}
