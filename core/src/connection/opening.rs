//! The first bytes of a connection: what does the peer speak, if not iSCSI?

use std::cell::Cell;

use crate::wire::Opcode;

/// The first bytes that came, kept for judging them when the login fails.
#[derive(Default, Debug)]
pub(crate) struct Opening {
    bytes: Cell<[u8; OPENING_BYTES]>,
    have: Cell<usize>,
}

/// Long enough for the longest name that is looked for.
const OPENING_BYTES: usize = 8;

impl Opening {
    /// Takes note of `chunk` if it belongs to the first bytes.
    pub(crate) fn hear(&self, chunk: &[u8]) {
        let mut bytes = self.bytes.get();
        let have = self.have.get();
        let more = chunk.len().min(OPENING_BYTES - have);
        bytes[have..have + more].copy_from_slice(&chunk[..more]);
        self.bytes.set(bytes);
        self.have.set(have + more);
    }

    /// Whether anything came.
    pub(crate) fn spoke(&self) -> bool {
        self.have.get() > 0
    }

    /// Whether the first byte is that of a Login Request, as far as it came: RFC 7143, section 6.3, wants the
    /// connection terminated at once when it is not, and who speaks another protocol may never send a whole header.
    pub(crate) fn may_be_login(&self) -> bool {
        !self.spoke() || Opcode(self.bytes.get()[0] & OPCODE_BITS) == Opcode::LOGIN_REQUEST
    }

    /// What the peer spoke instead of iSCSI, in words for a log line; `None` when it may have been iSCSI.
    pub(crate) fn other_protocol(&self) -> Option<&'static str> {
        let bytes = self.bytes.get();
        let bytes = &bytes[..self.have.get()];
        if HTTP_METHODS.iter().any(|method| bytes.starts_with(method)) {
            return Some("it spoke HTTP, not iSCSI");
        }
        // A TLS record: handshake, major version 3 (RFC 8446, section 5.1).
        if bytes.starts_with(&[0x16, 3]) {
            return Some("it spoke TLS, not iSCSI");
        }
        if bytes.starts_with(b"SSH-") {
            return Some("it spoke SSH, not iSCSI");
        }
        (!self.may_be_login()).then_some("it sent something that is not an iSCSI login")
    }
}

/// RFC 9110, section 9.1, and the preface of HTTP/2 (RFC 9113, section 3.4).
const HTTP_METHODS: [&[u8]; 9] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PRI "];
/// Byte 0 without I and the bit that is reserved, which a receiver ignores.
const OPCODE_BITS: u8 = 0x3f;

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(chunks: &[&[u8]]) -> Opening {
        let opening = Opening::default();
        chunks.iter().for_each(|chunk| opening.hear(chunk));
        opening
    }

    #[test]
    fn other_protocols_are_told_by_their_first_bytes() {
        let words = |chunks: &[&[u8]]| heard(chunks).other_protocol().unwrap_or("nothing");
        assert_eq!(words(&[b"GET / HTTP/1.1\r\n"]), "it spoke HTTP, not iSCSI");
        assert_eq!(words(&[b"O", b"PTIO", b"NS * HTTP/1.1\r\n"]), "it spoke HTTP, not iSCSI");
        // Its first byte is that of a Login Request.
        assert_eq!(words(&[b"CONNECT host:80 HTTP/1.1\r\n"]), "it spoke HTTP, not iSCSI");
        assert_eq!(words(&[&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]]), "it spoke TLS, not iSCSI");
        assert_eq!(words(&[b"SSH-2.0-OpenSSH_9.2\r\n"]), "it spoke SSH, not iSCSI");
        assert_eq!(words(&[&[0xff; 48]]), "it sent something that is not an iSCSI login");
        assert_eq!(words(&[&[0x43, 0x87, 0, 0]]), "nothing");
        assert_eq!(words(&[]), "nothing");
    }

    #[test]
    fn login_opcode_is_the_only_beginning() {
        for byte in 0..=u8::MAX {
            assert_eq!(heard(&[&[byte]]).may_be_login(), [0x03, 0x43, 0x83, 0xc3].contains(&byte), "{byte:#04x}");
        }
        assert!(heard(&[]).may_be_login());
    }
}
