//! The executor, clock, entropy and buffer pool of one shard.

use std::time::Duration;

use super::{ByteStream, Disk};
use crate::event::Event;
use crate::id::ShardId;
use crate::target::CrossShard;

/// One shard's view of the world. Everything of a shard runs on one thread; nothing here is `Send` but
/// [`Runtime::Parked`] and the messages between shards.
pub trait Runtime: Clone + 'static {
    /// A TCP connection.
    type Stream: ByteStream<Buf = Self::Buf>;
    /// A block device or file.
    type Disk: Disk<Buf = Self::Buf>;
    /// An owned buffer: aligned to 4,096 bytes, address-stable, given back to its pool on drop.
    type Buf: AsRef<[u8]> + AsMut<[u8]> + 'static;
    /// A connection on its way from one shard to another.
    type Parked: Send + 'static;

    /// Starts a task on this shard.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
    /// Monotonic time since an arbitrary start.
    fn now(&self) -> Duration;
    /// Completes `duration` from now.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
    /// Fills `out` with unpredictable bytes.
    fn entropy(&self, out: &mut [u8]);
    /// A buffer of exactly `len` bytes of unspecified content (`as_ref().len() == len`), or `None` when the pool is
    /// at its bound: the caller answers BUSY and never drops a connection for it.
    fn alloc(&self, len: usize) -> Option<Self::Buf>;
    /// Bytes of the pool that nobody holds.
    fn pool_free_bytes(&self) -> usize;
    /// Tells the observers what happened.
    fn event(&self, event: &Event);

    /// Takes a connection off this shard. No receive or send is pending on it.
    fn park(&self, stream: Self::Stream) -> Self::Parked;
    /// Puts a parked connection on this shard.
    fn unpark(&self, parked: Self::Parked) -> Self::Stream;
    /// Sends `message` to `shard` (which may be this one): it arrives there at some later time, in the order sent
    /// between any two shards, through [`crate::target::Shard::deliver`].
    fn post(&self, shard: ShardId, message: ShardMessage<Self::Parked>);
}

/// What one shard tells another.
#[derive(Debug)]
pub enum ShardMessage<P> {
    /// A connection that finished login here belongs to a session of yours.
    Connection {
        /// The connection itself.
        parked: P,
        /// What login found out.
        handoff: Box<crate::target::Handoff>,
    },
    /// A request or an acknowledgement about sessions and logical units.
    CrossShard(CrossShard),
}
