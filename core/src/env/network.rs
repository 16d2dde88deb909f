//! A TCP connection as the connection stage sees it.

use std::io;
use std::ops::{Deref, Range};
use std::rc::Rc;

/// How a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// FIN: what was sent is still delivered.
    Graceful,
    /// RST: at once.
    Abort,
}

/// A full-duplex byte stream. One receive and one send may be pending at a time.
pub trait ByteStream: 'static {
    /// The runtime's buffer.
    type Buf;
    /// A receive buffer, given back on drop.
    type Chunk: Deref<Target = [u8]> + 'static;

    /// The next bytes, as many as there are; an empty chunk is the end of the stream. Dropping the future loses no
    /// data.
    fn recv(&self) -> impl Future<Output = io::Result<Self::Chunk>>;
    /// Receives at least one byte into `range` of `buf`; zero is the end of the stream. It is not dropped half-way
    /// unless the connection is given up.
    fn recv_into(&self, buf: Self::Buf, range: Range<usize>) -> impl Future<Output = (io::Result<usize>, Self::Buf)>;
    /// Sends all of `batch`, in order, or fails.
    fn send(&self, batch: Vec<TxPdu<Self::Buf>>) -> impl Future<Output = (io::Result<()>, Vec<TxPdu<Self::Buf>>)>;
    /// Closes the connection. A pending receive ends, with an error or as if the peer had closed; so does a pending
    /// send.
    fn close(&self, how: Close);
}

/// The data segment of an outgoing PDU.
#[derive(Debug)]
pub enum TxData<B> {
    /// No data segment.
    None,
    /// A small segment: text, sense, parameter data.
    Owned(Vec<u8>),
    /// A part of a buffer that several PDUs share.
    Shared(Rc<B>, Range<usize>),
}

impl<B: AsRef<[u8]>> TxData<B> {
    /// The bytes of the segment, without padding.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Owned(bytes) => bytes,
            Self::Shared(buf, range) => &(**buf).as_ref()[range.clone()],
        }
    }
}

/// BHS and header digest, in bytes.
const HEAD_BYTES: usize = 48 + 4;
/// Padding and data digest, in bytes.
const TAIL_BYTES: usize = 3 + 4;

/// A PDU ready to be sent: up to three runs of bytes that leave in one vectored send.
#[derive(Debug)]
pub struct TxPdu<B> {
    head: [u8; HEAD_BYTES],
    head_len: u8,
    data: TxData<B>,
    tail: [u8; TAIL_BYTES],
    tail_len: u8,
}

impl<B: AsRef<[u8]>> TxPdu<B> {
    /// Puts a PDU together. `head` is the BHS with its header digest if there is one, `tail` the padding and the data
    /// digest.
    ///
    /// # Panics
    /// When `head` or `tail` is longer than the format allows.
    #[must_use]
    pub fn new(head: &[u8], data: TxData<B>, tail: &[u8]) -> Self {
        let mut pdu = Self {
            head: [0; HEAD_BYTES],
            head_len: head.len() as u8,
            data,
            tail: [0; TAIL_BYTES],
            tail_len: tail.len() as u8,
        };
        pdu.head[..head.len()].copy_from_slice(head);
        pdu.tail[..tail.len()].copy_from_slice(tail);
        pdu
    }

    /// The bytes in the order in which they are sent; a run may be empty.
    #[must_use]
    pub fn slices(&self) -> [&[u8]; 3] {
        [&self.head[..usize::from(self.head_len)], self.data.bytes(), &self.tail[..usize::from(self.tail_len)]]
    }

    /// Bytes on the wire.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.slices().iter().map(|slice| slice.len()).sum()
    }
}
