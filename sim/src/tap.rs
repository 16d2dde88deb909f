//! What passes at the target's end of each connection: the input of the wire oracle.

use std::time::Duration;

use crate::chunk::Chunk;

/// Sees all bytes of every connection, in order, with their times.
pub trait Tap {
    /// The target's listener accepted a connection of this initiator of the plan.
    fn opened(&mut self, connection: u64, at: Duration, initiator: u32);
    /// The target consumed these bytes.
    fn received(&mut self, connection: u64, at: Duration, bytes: &Chunk);
    /// The network accepted these bytes from the target.
    fn sent(&mut self, connection: u64, at: Duration, bytes: &Chunk);
    /// Nothing more passes on this connection.
    fn closed(&mut self, connection: u64, at: Duration);
}

/// A tap that looks away.
#[derive(Debug, Default)]
pub struct Blind;

impl Tap for Blind {
    fn opened(&mut self, _connection: u64, _at: Duration, _initiator: u32) {}
    fn received(&mut self, _connection: u64, _at: Duration, _bytes: &Chunk) {}
    fn sent(&mut self, _connection: u64, _at: Duration, _bytes: &Chunk) {}
    fn closed(&mut self, _connection: u64, _at: Duration) {}
}
