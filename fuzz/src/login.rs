//! A login, and the text exchanges of the session behind it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use quintain_core::connection::login::discovery::Asker;
use quintain_core::connection::login::{
    Identity, Login, LoginAction, LoginOutcome, LoginReply, LoginStatus, SEGMENT_BYTES,
};
use quintain_core::connection::text::{TextAction, TextContext, TextExchange};
use quintain_core::high_water::Bounds;
use quintain_core::id::{Cid, Isid, Itt, Lun, Tsih, Ttt};
use quintain_core::limits::Limits;
use quintain_core::target::TargetConfig;
use quintain_core::wire::{LoginRequest, SerialNumber, TextRequest};

use crate::Input;

/// A sequence of PDUs, each a byte of flags as in the BHS, a byte that breaks what a byte of zero leaves right, a byte
/// of length (in units of 16 bytes) and so much text. Every response carries the next StatSN and a segment within
/// bounds; what is agreed is legal; a session that was made takes the rest of the bytes as text requests.
pub fn login(bytes: &[u8]) {
    let mut input = Input(bytes);
    let limits = Bounds::new(Limits { text_bytes: 4_096, text_keys: 32, text_exchanges: 16, ..Limits::default() });
    let targets = ["iqn.2026-01.com.example:a", "iqn.2026-01.com.example:b"].map(|name| TargetConfig {
        name: name.to_owned(),
        alias: None,
        luns: BTreeMap::new(),
    });
    let identity = Identity { limits: &limits, targets: &targets, local: SocketAddr::from(([192, 0, 2, 1], 3260)) };
    let mut stat_sn = SerialNumber(u32::MAX);
    let mut login = Login::new(stat_sn);
    let mut check = |reply: &LoginReply| {
        assert!(reply.data.len() <= SEGMENT_BYTES);
        assert_eq!(reply.response.stat_sn, stat_sn);
        stat_sn = stat_sn.next();
    };
    while !input.is_empty() {
        let (request, breach) = login_request(&mut input);
        let text = text(&mut input);
        let action = if breach == 0x80 { login.on_other_pdu() } else { login.on_request(&identity, &request, text) };
        match action {
            LoginAction::Reply(reply) => check(&reply),
            LoginAction::Refuse(reply) => {
                check(&reply);
                assert!(reply.response.status_class != 0 && reply.data.is_empty());
                return;
            }
            LoginAction::Drop(_) => return,
            LoginAction::Establish(outcome) => {
                check_outcome(&outcome, &identity);
                if breach == 0x40 {
                    check(&login.refused(LoginStatus::OUT_OF_RESOURCES));
                    return;
                }
                check(&login.established(Tsih(1)));
                assert_eq!(outcome.next_stat_sn, stat_sn);
                return exchange_text(&identity, &outcome, &mut input);
            }
        }
    }
}

/// A request, right but for the bits of the byte that it returns.
fn login_request(input: &mut Input<'_>) -> (LoginRequest, u8) {
    let flags = input.byte();
    let breach = input.byte();
    let request = LoginRequest {
        transit: flags & 0x80 != 0,
        continue_bit: flags & 0x40 != 0,
        current_stage: (flags >> 2) & 3,
        next_stage: flags & 3,
        version_max: 0,
        version_min: breach & 1,
        isid: Isid([breach & 2; 6]),
        tsih: Tsih(u16::from(breach & 4)),
        itt: Itt(u32::from(breach & 8)),
        cid: Cid(u16::from(breach & 16)),
        cmd_sn: SerialNumber(u32::from(breach & 32)),
        exp_stat_sn: SerialNumber(0),
    };
    (request, breach)
}

fn text<'a>(input: &mut Input<'a>) -> &'a [u8] {
    let units = input.byte();
    input.bytes(usize::from(units) * 16)
}

fn check_outcome(outcome: &LoginOutcome, identity: &Identity<'_>) {
    let agreed = &outcome.negotiated;
    let bytes = 512..=0x00ff_ffff;
    assert_eq!(outcome.discovery, outcome.target.is_none());
    assert!(!outcome.initiator_name.is_empty());
    assert!(bytes.contains(&agreed.max_send_data_segment_bytes) && bytes.contains(&agreed.max_recv_data_segment_bytes));
    assert!(bytes.contains(&agreed.first_burst_bytes) && agreed.first_burst_bytes <= agreed.max_burst_bytes);
    assert!(agreed.max_burst_bytes <= identity.limits.max_burst_bytes);
    assert!((1..=identity.limits.max_outstanding_r2t).contains(&agreed.max_outstanding_r2t));
    assert!(agreed.max_connections == 1 && agreed.error_recovery_level == 0);
}

/// Text requests of the session.
fn exchange_text(identity: &Identity<'_>, outcome: &LoginOutcome, input: &mut Input<'_>) {
    let mut exchange = TextExchange::default();
    let mut segment_bytes = outcome.negotiated.max_send_data_segment_bytes;
    let mut open = Ttt::NONE;
    for next_ttt in 0.. {
        if input.is_empty() {
            return;
        }
        let flags = input.byte();
        let request = TextRequest {
            immediate: false,
            final_bit: flags & 0x80 != 0,
            continue_bit: flags & 0x40 != 0,
            lun: Lun(0),
            itt: Itt(u32::from(flags & 1)),
            ttt: if flags & 2 == 0 { open } else { Ttt(u32::from(flags)) },
            cmd_sn: SerialNumber(0),
            exp_stat_sn: SerialNumber(0),
        };
        let context = TextContext {
            identity: *identity,
            asker: outcome.target.map_or(Asker::Discovery, Asker::Normal),
            next_ttt: Ttt(next_ttt),
            max_send_data_segment_bytes: segment_bytes,
        };
        open = match exchange.on_request(&context, &request, text(input)) {
            TextAction::Reply { final_bit, continue_bit, ttt, data, max_send_data_segment_bytes } => {
                assert!(data.len() <= segment_bytes as usize && !(final_bit && continue_bit));
                assert_eq!(final_bit, ttt == Ttt::NONE);
                segment_bytes = max_send_data_segment_bytes.unwrap_or(segment_bytes);
                ttt
            }
            TextAction::Reject(error) => {
                assert!(error.reject_reason().is_some());
                Ttt::NONE
            }
        };
    }
}
