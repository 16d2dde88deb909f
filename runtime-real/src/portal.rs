//! The addresses that the target listens on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use crate::ServeError;

/// iSCSI's own port (RFC 7143, section 14).
pub const PORT: u16 = 3260;

/// Where to listen when nobody says: this machine only.
#[must_use]
pub fn default_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, PORT).into()
}

/// Reads `ADDR:PORT`, or `ADDR` alone for iSCSI's own port.
///
/// # Errors
/// A sentence for the operator.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match (text.parse(), bare.parse()) {
        (Ok(address), _) => Ok(address),
        (_, Ok(ip)) => Ok(SocketAddr::new(ip, PORT)),
        _ => Err("write an IP address and a port, like 192.0.2.7:3260, 0.0.0.0:3260 or [::]:3260".to_owned()),
    }
}

/// Binds all of `addresses`.
///
/// # Errors
/// What the kernel says about the first that fails.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ServeError> {
    let patience = Instant::now() + PATIENCE;
    let bind = |(number, &address): (usize, &SocketAddr)| {
        // What this process has already will not become free.
        if let Some(&first) = addresses[..number].iter().find(|first| overlap(**first, address)) {
            return Err(ServeError::AddressTwice { first, second: address });
        }
        bind_one(address, patience)
    };
    addresses.iter().enumerate().map(bind).collect()
}

/// Whether nobody can listen on both. Port 0 is another one each time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let all = |address: SocketAddr, of: SocketAddr| {
        // [::] takes connections over IPv4, too.
        address.ip().is_unspecified() && (address.is_ipv6() || of.is_ipv4())
    };
    one.port() == other.port() && one.port() != 0 && (one.ip() == other.ip() || all(one, other) || all(other, one))
}

/// The ring of a killed process frees its port late: an address in use is tried again for a while.
fn bind_one(address: SocketAddr, patience: Instant) -> Result<TcpListener, ServeError> {
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => {
                // The standard library asks for room for 128: all initiators of a restarted target come at once.
                // Best effort: with less room, some of them come again a second later.
                let _ = rustix::net::listen(&listener, BACKLOG);
                return Ok(listener);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < patience => thread::sleep(PAUSE),
            Err(source) => {
                return Err(match source.kind() {
                    io::ErrorKind::AddrInUse => ServeError::AddressInUse { address },
                    io::ErrorKind::AddrNotAvailable => ServeError::AddressNotOurs { address },
                    io::ErrorKind::PermissionDenied => ServeError::AddressPermission { address },
                    _ => ServeError::Address { address, source },
                });
            }
        }
    }
}

/// Connections that wait to be accepted; the kernel takes no more than its own bound (net.core.somaxconn).
const BACKLOG: i32 = 4_096;
const PATIENCE: Duration = Duration::from_millis(1_500);
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_read_with_and_without_port() {
        for (text, address) in [
            ("127.0.0.1:3261", "127.0.0.1:3261"),
            ("0.0.0.0", "0.0.0.0:3260"),
            ("[::1]:80", "[::1]:80"),
            ("[::]", "[::]:3260"),
            ("::1", "[::1]:3260"),
        ] {
            assert_eq!(parse(text), Ok(address.parse().expect("an address")), "{text}");
        }
        for text in ["", "localhost", "3260", "1.2.3.4:99999", "[::"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
