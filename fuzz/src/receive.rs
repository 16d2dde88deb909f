//! A byte stream from a peer.

use std::fmt::Debug;

use quintain_core::connection::receive::{Part, Receiver};
use quintain_core::wire::ahs::AhsChain;
use quintain_core::wire::text::TextPairs;
use quintain_core::wire::{
    AsyncMessage, Bhs, DataIn, DataOut, LoginRequest, LoginResponse, LogoutRequest, LogoutResponse, NopIn, NopOut,
    ReadyToTransfer, Reject, ScsiCommand, ScsiResponse, Snack, TaskManagementRequest, TaskManagementResponse,
    TextRequest, TextResponse, WireError,
};

use crate::Input;

/// What a receiver makes of a stream, with the data segments joined.
#[derive(PartialEq, Eq, Debug, Default)]
struct Received {
    headers: Vec<(Bhs, Vec<u8>)>,
    data: Vec<u8>,
    ends: Vec<bool>,
    failed: bool,
}

/// The first byte chooses digests and where the stream is cut. However it is cut, the same PDUs come out; no PDU is
/// larger than the limits; and whatever a header says, what is understood of it survives being written and read again.
pub fn receive(bytes: &[u8]) {
    let mut input = Input(bytes);
    let choice = input.byte();
    let stream = input.0;
    let whole = take(choice, stream, stream.len().max(1));
    assert_eq!(whole, take(choice, stream, usize::from(choice >> 2) + 1));
    for (bhs, ahs) in &whole.headers {
        read_all(bhs);
        let segments: Result<Vec<_>, _> = AhsChain::new(ahs).collect();
        assert!(segments.iter().flatten().all(|segment| segment.data.len() < ahs.len()));
    }
    let pairs = TextPairs::new(&whole.data).filter(Result::is_ok).count();
    assert!(pairs <= whole.data.len());
}

/// Feeds `stream` in pieces of `piece` bytes.
fn take(choice: u8, stream: &[u8], piece: usize) -> Received {
    const SEGMENT_BYTES: usize = 1_000;
    const AHS_BYTES: usize = 64;
    let mut receiver = Receiver::new(SEGMENT_BYTES, AHS_BYTES, choice & 1 != 0, choice & 2 != 0);
    let mut received = Received::default();
    for mut chunk in stream.chunks(piece) {
        loop {
            match receiver.next(&mut chunk) {
                Ok(None) => break,
                Ok(Some(Part::Header(bhs))) => {
                    assert!(bhs.data_segment_bytes() <= SEGMENT_BYTES && receiver.ahs().len() <= AHS_BYTES);
                    received.headers.push((bhs, receiver.ahs().to_vec()));
                }
                Ok(Some(Part::Data(data))) => received.data.extend_from_slice(data),
                Ok(Some(Part::End { digest_ok })) => received.ends.push(digest_ok),
                Err(_) => {
                    received.failed = true;
                    return received;
                }
            }
        }
        assert!(chunk.is_empty(), "bytes were left behind");
    }
    received
}

/// Reads `bhs` as every PDU there is; at most one type takes it.
fn read_all(bhs: &Bhs) {
    let mut readers = 0;
    macro_rules! read {
        ($($pdu:ident),*) => {
            $(readers += usize::from(survives(bhs, $pdu::parse, $pdu::to_bhs));)*
        };
    }
    read!(AsyncMessage, DataIn, DataOut, LoginRequest, LoginResponse, LogoutRequest, LogoutResponse, NopIn, NopOut);
    read!(ReadyToTransfer, Reject, ScsiCommand, ScsiResponse, Snack, TaskManagementRequest, TaskManagementResponse);
    read!(TextRequest, TextResponse);
    assert!(readers <= 1);
}

fn survives<T: PartialEq + Debug>(
    bhs: &Bhs,
    parse: fn(&Bhs) -> Result<T, WireError>,
    write: fn(&T, usize) -> Bhs,
) -> bool {
    let Ok(pdu) = parse(bhs) else { return false };
    assert_eq!(parse(&write(&pdu, bhs.data_segment_bytes())), Ok(pdu));
    true
}
