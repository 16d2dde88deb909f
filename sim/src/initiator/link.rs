//! A connection that sends and receives whole PDUs, one after the other, each within a time limit.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::codec::{DecodeError, Decoder, Digests, RawPdu};
use super::world::{Wire, World};

/// Why a PDU did not come or go.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// The time was up.
    #[error("the target did not answer in time")]
    Timeout,
    /// The connection is gone.
    #[error("the connection is closed")]
    Closed,
    /// The target's bytes make no PDU.
    #[error("the target's bytes make no PDU: {0}")]
    Decode(#[from] DecodeError),
}

impl From<io::Error> for LinkError {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

pub(super) struct Link<W: World> {
    pub(super) world: W,
    pub(super) wire: Rc<W::Wire>,
    pub(super) decoder: Decoder,
    pub(super) digests: Digests,
}

impl<W: World> Link<W> {
    /// Connects, to receive data segments of at most `data_limit` bytes.
    pub(super) async fn connect(world: &W, data_limit: usize, limit: Duration) -> Result<Self, LinkError> {
        let wire = within(world, world.now() + limit, world.connect()).await.ok_or(LinkError::Timeout)??;
        let decoder = Decoder::new(data_limit);
        Ok(Self { world: world.clone(), wire: Rc::new(wire), decoder, digests: Digests::default() })
    }

    /// Both directions have these digests from the next PDU on.
    pub(super) fn set_digests(&mut self, digests: Digests) {
        self.digests = digests;
        self.decoder.set_digests(digests);
    }

    pub(super) async fn send(&mut self, pdu: RawPdu, deadline: Duration) -> Result<(), LinkError> {
        let bytes = pdu.encode(self.digests);
        self.send_bytes(bytes, deadline).await
    }

    pub(super) async fn send_bytes(&mut self, bytes: Vec<u8>, deadline: Duration) -> Result<(), LinkError> {
        within(&self.world, deadline, self.wire.send(bytes)).await.ok_or(LinkError::Timeout)??;
        Ok(())
    }

    pub(super) async fn recv(&mut self, deadline: Duration) -> Result<RawPdu, LinkError> {
        loop {
            if let Some(pdu) = self.decoder.next_pdu()? {
                return Ok(pdu);
            }
            let bytes = within(&self.world, deadline, self.wire.recv()).await.ok_or(LinkError::Timeout)??;
            if bytes.is_empty() {
                return Err(LinkError::Closed);
            }
            self.decoder.feed(bytes);
        }
    }
}

/// What `future` comes to, unless it takes longer than to `deadline`.
pub(super) async fn within<W: World, T>(world: &W, deadline: Duration, future: impl Future<Output = T>) -> Option<T> {
    let sleep = pin!(world.sleep(deadline.saturating_sub(world.now())));
    match select(pin!(future), sleep).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
