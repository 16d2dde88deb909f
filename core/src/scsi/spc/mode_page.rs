//! The mode pages (SPC-4, section 7.5; SBC-3, section 6.4). None can be changed.

/// Which values of a page (SPC-4, section 6.13.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Values {
    /// As they are now, which is also their default.
    Current,
    /// A mask of the bits that MODE SELECT could change: none.
    Changeable,
}

const DISCONNECT_RECONNECT: u8 = 0x02;
const CACHING: u8 = 0x08;
const CONTROL: u8 = 0x0a;
const INFORMATIONAL_EXCEPTIONS: u8 = 0x1c;

/// Every page, in ascending order.
pub(super) const PAGE_CODES: [u8; 4] = [DISCONNECT_RECONNECT, CACHING, CONTROL, INFORMATIONAL_EXCEPTIONS];

/// The page with its header; `None` when there is no such page.
pub(super) fn mode_page(page_code: u8, values: Values, write_cache: bool) -> Option<Vec<u8>> {
    let mut body = match page_code {
        DISCONNECT_RECONNECT => vec![0; 14],
        CACHING => caching(write_cache),
        CONTROL => control(),
        INFORMATIONAL_EXCEPTIONS => informational_exceptions(),
        _ => return None,
    };
    if values == Values::Changeable {
        body.fill(0);
    }
    let mut header = [page_code, body.len() as u8];
    if crate::planted!(ModePageSwapped) {
        header.reverse();
    }
    Some([&header, body.as_slice()].concat())
}

/// SBC-3, section 6.4.6. All bits but WCE are zero: reads may be cached, and nothing is known about retention.
fn caching(write_cache: bool) -> Vec<u8> {
    const WCE: u8 = 0x04;
    let mut body = vec![0; 18];
    body[0] = if write_cache { WCE } else { 0 };
    body
}

/// SPC-4, section 7.5.8: one task set per I_T nexus, unrestricted reordering, fixed sense data, no TAS.
fn control() -> Vec<u8> {
    const TST_PER_NEXUS: u8 = 0b001 << 5;
    const UNRESTRICTED_REORDERING: u8 = 0b0001 << 4;
    let mut body = vec![0; 10];
    body[0] = TST_PER_NEXUS;
    body[1] = UNRESTRICTED_REORDERING;
    // BUSY TIMEOUT PERIOD without a limit: how long a fence lasts depends on the device behind it.
    body[6..8].fill(0xff);
    body
}

/// SBC-3, section 6.4.8: there are no informational exceptions to report.
fn informational_exceptions() -> Vec<u8> {
    const DEXCPT: u8 = 0x08;
    let mut body = vec![0; 10];
    body[0] = DEXCPT;
    body
}
