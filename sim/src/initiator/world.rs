//! What an initiator needs of the world: the simulator implements it, and so does the end-to-end test over real
//! sockets.

use std::io;
use std::time::Duration;

use super::codec::Digests;
use crate::chunk::Chunk;

/// The world of one initiator.
pub trait World: Clone + 'static {
    /// A TCP connection.
    type Wire: Wire;

    /// Opens a connection to the target's portal.
    fn connect(&self) -> impl Future<Output = io::Result<Self::Wire>>;
    /// Time since an arbitrary start; target's and initiator's clocks need not agree.
    fn now(&self) -> Duration;
    /// Completes `duration` from now.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
    /// Starts a task.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
    /// This step of the initiator's plan begins.
    fn began(&self, _step: u32) {}
}

/// One TCP connection: one receive and one send may be pending at a time.
pub trait Wire: 'static {
    /// The next bytes; empty at the end of the stream. Dropping the future loses no data.
    fn recv(&self) -> impl Future<Output = io::Result<Chunk>>;
    /// Sends all bytes, or fails.
    fn send(&self, bytes: Vec<u8>) -> impl Future<Output = io::Result<()>>;
    /// Half close: no more will be sent (FIN).
    fn shutdown(&self);
    /// How many of the bytes that were sent the target has not taken yet, where the world can tell.
    fn unread(&self) -> Option<usize> {
        None
    }
    /// What is sent from now on, in both directions, are whole PDUs with these digests.
    fn agreed(&self, _digests: Digests) {}
    /// Bits may have flipped on the way to the target: it may find a digest wrong.
    fn flipped_out(&self) -> bool {
        false
    }
    /// Bits may have flipped on the way from the target.
    fn flipped_in(&self) -> bool {
        false
    }
    /// Gives the connection up (RST).
    fn abort(&self);
}
