//! The numbers of one TCP connection.

use std::net::Ipv4Addr;

use super::frame::{Address, FIN, Header, RST, SYN, frame};

const TARGET: Address = Address { ip: Ipv4Addr::new(10, 0, 0, 1), port: 3260 };

/// One connection as a sniffer at the target sees it.
pub(super) struct Stream {
    initiator: Address,
    /// The initiator's next sequence number, which is what the target acknowledges.
    from_initiator: u32,
    /// The target's next sequence number.
    from_target: u32,
    /// What the initiator acknowledges: what it has received.
    acknowledged: u32,
    target_open: bool,
    /// An RST of the initiator, or of the network, is on its way to the target.
    reset_under_way: bool,
    /// An RST was seen, after which there is nothing.
    over: bool,
}

impl Stream {
    pub(super) fn new(initiator: u32, port: u16) -> Self {
        let ip = Ipv4Addr::new(10, 0, 1, (initiator % 250) as u8 + 1);
        Self {
            initiator: Address { ip, port },
            from_initiator: 0,
            from_target: 0,
            acknowledged: 0,
            target_open: true,
            reset_under_way: false,
            over: false,
        }
    }

    /// A packet to the target; empty when the connection is over.
    pub(super) fn initiator_sends(&mut self, flags: u8, data: &[u8]) -> Vec<u8> {
        if self.over {
            return Vec::new();
        }
        let (from, to) = (self.initiator, TARGET);
        // Nothing is acknowledged before there is anything.
        let acknowledged = if flags == SYN { 0 } else { self.acknowledged.max(1) };
        let packet = frame(&Header { from, to, sequence: self.from_initiator, acknowledged, flags }, data);
        self.from_initiator = self.from_initiator.wrapping_add(length(flags, data));
        self.over = flags & RST != 0;
        packet
    }

    /// A packet to the initiator; empty when the connection is over.
    pub(super) fn target_sends(&mut self, flags: u8, data: &[u8]) -> Vec<u8> {
        if self.over {
            return Vec::new();
        }
        let (from, to) = (TARGET, self.initiator);
        let acknowledged = self.from_initiator;
        let packet = frame(&Header { from, to, sequence: self.from_target, acknowledged, flags }, data);
        self.from_target = self.from_target.wrapping_add(length(flags, data));
        self.over = flags & RST != 0;
        packet
    }

    /// The initiator has received `bytes` more.
    pub(super) fn initiator_has(&mut self, bytes: usize) {
        self.acknowledged = self.acknowledged.max(1).wrapping_add(bytes as u32);
    }

    pub(super) fn target_is_open(&self) -> bool {
        self.target_open
    }

    pub(super) fn reset_is_under_way(&mut self) {
        self.reset_under_way = true;
    }

    /// The target closes its end; whether it does so for an RST that has come.
    pub(super) fn close_target(&mut self) -> bool {
        self.target_open = false;
        self.reset_under_way
    }
}

/// Sequence numbers that a packet takes.
fn length(flags: u8, data: &[u8]) -> u32 {
    data.len() as u32 + u32::from(flags & (SYN | FIN) != 0)
}
