//! Ethernet, IPv4 (RFC 791) and TCP (RFC 9293) around a piece of a stream.

use std::net::Ipv4Addr;

/// The sender has no more data.
pub(super) const FIN: u8 = 0x01;
/// Opens a connection.
pub(super) const SYN: u8 = 0x02;
/// Ends a connection at once.
pub(super) const RST: u8 = 0x04;
/// The data is for the application now.
pub(super) const PSH: u8 = 0x08;
/// The acknowledgement number means something.
pub(super) const ACK: u8 = 0x10;

const ETHERNET_BYTES: usize = 14;
const IP_BYTES: usize = 20;
const TCP_BYTES: usize = 20;
const TCP_PROTOCOL: u8 = 6;
/// Options of a SYN: maximum segment size 65,495, window scale 14.
const SYN_OPTIONS: [u8; 8] = [2, 4, 0xff, 0xd7, 1, 3, 3, 14];

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) ip: Ipv4Addr,
    pub(super) port: u16,
}

/// What a TCP header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
}

/// The whole frame, with right lengths and checksums.
pub(super) fn frame(header: &Header, data: &[u8]) -> Vec<u8> {
    let options: &[u8] = if header.flags & SYN == 0 { &[] } else { &SYN_OPTIONS };
    let tcp_bytes = TCP_BYTES + options.len();
    let mut frame = Vec::with_capacity(ETHERNET_BYTES + IP_BYTES + tcp_bytes + data.len());
    for address in [header.to.ip, header.from.ip] {
        // Locally administered, with the end of the IP address.
        let [.., high, low] = address.octets();
        frame.extend_from_slice(&[0x02, 0, 0, 0, high, low]);
    }
    frame.extend_from_slice(&[0x08, 0x00]);

    let total = (IP_BYTES + tcp_bytes + data.len()) as u16;
    frame.extend_from_slice(&[0x45, 0]);
    frame.extend_from_slice(&total.to_be_bytes());
    // No identification, not to be fragmented, 64 hops; the checksum comes below.
    frame.extend_from_slice(&[0, 0, 0x40, 0, 64, TCP_PROTOCOL, 0, 0]);
    frame.extend_from_slice(&header.from.ip.octets());
    frame.extend_from_slice(&header.to.ip.octets());
    let sum = checksum(0, &frame[ETHERNET_BYTES..]);
    frame[ETHERNET_BYTES + 10..ETHERNET_BYTES + 12].copy_from_slice(&sum.to_be_bytes());

    let tcp_at = frame.len();
    frame.extend_from_slice(&header.from.port.to_be_bytes());
    frame.extend_from_slice(&header.to.port.to_be_bytes());
    frame.extend_from_slice(&header.sequence.to_be_bytes());
    frame.extend_from_slice(&header.acknowledged.to_be_bytes());
    // The largest window: how much fits into the simulator's is not TCP's matter.
    frame.extend_from_slice(&[(tcp_bytes as u8 / 4) << 4, header.flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend_from_slice(options);
    frame.extend_from_slice(data);
    let mut pseudo = Vec::with_capacity(12);
    pseudo.extend_from_slice(&header.from.ip.octets());
    pseudo.extend_from_slice(&header.to.ip.octets());
    pseudo.extend_from_slice(&[0, TCP_PROTOCOL]);
    pseudo.extend_from_slice(&(total - IP_BYTES as u16).to_be_bytes());
    let sum = checksum(sum_words(0, &pseudo), &frame[tcp_at..]);
    frame[tcp_at + 16..tcp_at + 18].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The Internet checksum (RFC 1071) of `bytes`, which `sum` is added to.
fn checksum(sum: u32, bytes: &[u8]) -> u16 {
    let mut sum = sum_words(sum, bytes);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn sum_words(sum: u32, bytes: &[u8]) -> u32 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
    bytes.chunks(2).map(word).fold(sum, |sum, word| sum + word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_that_of_rfc_1071() {
        assert_eq!(checksum(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(0, &[0x01]), !0x0100);
    }

    #[test]
    fn header_sums_to_nothing_with_its_checksum() {
        let end = |last, port| Address { ip: Ipv4Addr::new(10, 0, 0, last), port };
        let header = Header { from: end(1, 3260), to: end(2, 50_000), sequence: 7, acknowledged: 9, flags: PSH | ACK };
        let frame = frame(&header, b"odd");
        assert_eq!(frame.len(), 57);
        assert_eq!(checksum(0, &frame[14..34]), 0);
        let pseudo = [10, 0, 0, 1, 10, 0, 0, 2, 0, TCP_PROTOCOL, 0, 23];
        assert_eq!(checksum(sum_words(0, &pseudo), &frame[34..]), 0);
    }
}
