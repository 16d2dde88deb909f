//! Accepting connections.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::ring;

/// A bound socket on this shard.
pub struct Listener {
    listener: TcpListener,
    /// The same socket, for the ring.
    descriptor: Arc<OwnedFd>,
}

impl Listener {
    /// Takes over a bound socket.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let descriptor = Arc::new(OwnedFd::from(listener.try_clone()?));
        Ok(Self { listener, descriptor })
    }

    /// The next connection and where it comes from.
    ///
    /// # Errors
    /// Those of accept(2): of one connection, or of resources. Neither ends the listener.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            match self.listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ring::readable(&self.descriptor).await.0?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
