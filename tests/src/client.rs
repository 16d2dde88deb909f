//! A client that does as it is told, right or wrong, on a blocking socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use quintain_sim::initiator::codec::{Decoder, Digests, RawPdu, opcode, text};

/// Longer than any limit of the daemon: what takes longer will never come.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Client {
    socket: TcpStream,
    decoder: Decoder,
    cmd_sn: u32,
    tag: u32,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(portal: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(portal)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, decoder: Decoder::new(1 << 24), cmd_sn: 1, tag: 1 })
    }

    /// Connects and logs in as `name` to a session with `target`.
    ///
    /// # Errors
    /// Those of the connection, and `PermissionDenied` when the login is refused.
    pub fn log_in(portal: SocketAddr, name: &str, target: &str) -> io::Result<Self> {
        let mut client = Self::connect(portal)?;
        client.send(&login(name, target, &[]).encode(Digests::default()))?;
        let answer = client.receive()?;
        match (answer.opcode(), answer.login_status(), answer.is_final()) {
            (opcode::LOGIN_RESPONSE, 0, true) => Ok(client),
            _ => Err(ErrorKind::PermissionDenied.into()),
        }
    }

    /// A session as by [`Client::log_in`] whose first unit attention, on LUN 0, is over; its next CmdSN is 2.
    ///
    /// # Errors
    /// Those of [`Client::log_in`], recv(2) and send(2).
    pub fn session(portal: SocketAddr, name: &str, target: &str) -> io::Result<Self> {
        let mut client = Self::log_in(portal, name, target)?;
        client.send_pdus(&[RawPdu::scsi_command(0x80, 0, 1, 0, &[0; 16]).sequenced(1, 0)])?;
        match client.receive()?.opcode() {
            opcode::SCSI_RESPONSE => Ok(client),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }

    /// Sends PDUs as they are, in one segment.
    ///
    /// # Errors
    /// Those of send(2).
    pub fn send_pdus(&mut self, pdus: &[RawPdu]) -> io::Result<()> {
        let bytes: Vec<u8> = pdus.iter().flat_map(|pdu| pdu.clone().encode(Digests::default())).collect();
        self.send(&bytes)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Those of send(2).
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Numbers `pdu` as the next command and sends it; its tag is returned.
    ///
    /// # Errors
    /// Those of send(2).
    pub fn command(&mut self, mut pdu: RawPdu) -> io::Result<u32> {
        self.tag += 1;
        pdu.set_u32(16, self.tag);
        let pdu = pdu.sequenced(self.cmd_sn, 0);
        self.cmd_sn = self.cmd_sn.wrapping_add(u32::from(!pdu.is_immediate()));
        self.send(&pdu.encode(Digests::default()))?;
        Ok(self.tag)
    }

    /// The next PDU.
    ///
    /// # Errors
    /// Those of recv(2), and `UnexpectedEof` at the end of the stream.
    pub fn receive(&mut self) -> io::Result<RawPdu> {
        let mut part = [0; 65_536];
        loop {
            match self.decoder.next_pdu() {
                Ok(Some(pdu)) => return Ok(pdu),
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(ErrorKind::InvalidData, error)),
            }
            match self.socket.read(&mut part)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                bytes => self.decoder.feed(&part[..bytes]),
            }
        }
    }

    /// All PDUs until the target closes, in whatever way.
    ///
    /// # Panics
    /// When it does not close.
    pub fn receive_to_end(&mut self) -> Vec<RawPdu> {
        let mut received = Vec::new();
        loop {
            match self.receive() {
                Ok(pdu) => received.push(pdu),
                Err(error) => {
                    let open = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                    assert!(!open, "the target left the connection open");
                    return received;
                }
            }
        }
    }

    /// A send that makes no progress for `patience` fails.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn give_up_sending_after(&self, patience: Duration) -> io::Result<()> {
        self.socket.set_write_timeout(Some(patience))
    }

    /// Sends no more: the target reads the end of the stream.
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn finish(&self) -> io::Result<()> {
        self.socket.shutdown(std::net::Shutdown::Write)
    }
}

/// A login request for a normal session that asks for the full feature phase at once, with `keys` besides the names.
#[must_use]
pub fn login(name: &str, target: &str, keys: &[(&str, &str)]) -> RawPdu {
    let names = [("InitiatorName", name), ("TargetName", target), ("SessionType", "Normal"), ("AuthMethod", "None")];
    let pairs: Vec<_> = names.iter().chain(keys).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    // From the security stage (0) to the full feature phase (3).
    RawPdu::login(0x83, [0x80, 0, 0, 0, 0, 7], 0, 1, 0, text::encode(&pairs)).sequenced(1, 0)
}
