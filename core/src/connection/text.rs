//! Text exchanges in full feature phase (RFC 7143, sections 11.10 and 11.11): requests in, answers out.
//!
//! An answer that does not fit one response is sent in parts, each but the last with the C bit; the initiator fetches
//! them with empty requests that carry the Target Transfer Tag of the response before.

use std::collections::BTreeSet;

use super::error::{ProtocolError, describe};
use super::login::Identity;
use super::login::discovery::{Asker, send_targets};
use super::login::keys::{Key, Use};
use super::login::negotiation::{BYTES_RANGE, number};
use crate::high_water::Bounds;
use crate::id::{Itt, Ttt};
use crate::wire::text::{TextBuilder, TextPairs};
use crate::wire::{Reject, TextRequest};

/// Of a text answer that is sent in parts without need.
const PIECE_BYTES: usize = 64;

/// What a text exchange has to know of its session and connection.
#[derive(Clone, Copy, Debug)]
pub struct TextContext<'a> {
    /// The node.
    pub identity: Identity<'a>,
    /// The session.
    pub asker: Asker,
    /// A Target Transfer Tag that is free, and not [`Ttt::NONE`]; used when the answer says so.
    pub next_ttt: Ttt,
    /// What the peer declared as MaxRecvDataSegmentLength, in bytes.
    pub max_send_data_segment_bytes: u32,
}

/// What to do after a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TextAction {
    /// Send a Text Response.
    Reply {
        /// The F bit: the exchange is over.
        final_bit: bool,
        /// The C bit.
        continue_bit: bool,
        /// [`Ttt::NONE`] with the F bit, else [`TextContext::next_ttt`].
        ttt: Ttt,
        /// The data segment.
        data: Vec<u8>,
        /// The peer declared a new MaxRecvDataSegmentLength, in bytes: it holds from the next PDU on.
        max_send_data_segment_bytes: Option<u32>,
    },
    /// Send a Reject with this error's reason. The exchange is over.
    Reject(ProtocolError),
}

/// The text exchange of one connection. A request without a Target Transfer Tag begins anew, whatever went before.
#[derive(Debug, Default)]
pub struct TextExchange {
    open: Option<Open>,
}

/// An exchange that is under way.
#[derive(Debug, Default)]
struct Open {
    itt: Itt,
    /// The tag that the next request has to carry.
    ttt: Ttt,
    inbound: Vec<u8>,
    outbound: TextBuilder,
    seen: BTreeSet<String>,
    requests: u32,
    text_bytes: usize,
    declared: Option<u32>,
}

impl TextExchange {
    /// Takes a Text Request with its data segment.
    pub fn on_request(&mut self, context: &TextContext<'_>, request: &TextRequest, data: &[u8]) -> TextAction {
        match self.step(context, request, data) {
            Ok(action) => action,
            Err(error) => {
                self.open = None;
                TextAction::Reject(error)
            }
        }
    }

    fn step(
        &mut self,
        context: &TextContext<'_>,
        request: &TextRequest,
        data: &[u8],
    ) -> Result<TextAction, ProtocolError> {
        if request.final_bit && request.continue_bit {
            return Err(rejected(Reject::PROTOCOL_ERROR, "F and C bit together"));
        }
        let mut open = self.open.take().unwrap_or_default();
        if request.ttt == Ttt::NONE {
            open = Open { itt: request.itt, ..Open::default() };
        } else if open.requests == 0 || (open.ttt, open.itt) != (request.ttt, request.itt) {
            return Err(rejected(Reject::INVALID_PDU_FIELD, "a text request with a stale tag"));
        }
        open.count(context.identity.limits, data)?;
        let action = open.answer(context, request, data)?;
        if matches!(action, TextAction::Reply { final_bit: false, .. }) {
            open.ttt = context.next_ttt;
            self.open = Some(open);
        }
        Ok(action)
    }
}

impl Open {
    /// Keeps an exchange within its bounds.
    fn count(&mut self, limits: &Bounds, data: &[u8]) -> Result<(), ProtocolError> {
        if !(crate::planted!(EmptyTextUncounted) && data.is_empty() && self.requests > 0) {
            self.requests += 1;
        }
        self.text_bytes = self.text_bytes.saturating_add(data.len());
        let too_many = self.requests > limits.text_exchanges;
        if too_many || self.text_bytes > limits.text_bytes {
            if too_many { &limits.marks.text_exchanges } else { &limits.marks.text_bytes }.meet();
            return Err(rejected(Reject::LONG_OPERATION_REJECT, "a text exchange that is too long"));
        }
        limits.marks.text_exchanges.reach(self.requests as usize);
        limits.marks.text_bytes.reach(self.text_bytes);
        Ok(())
    }

    fn answer(
        &mut self,
        context: &TextContext<'_>,
        request: &TextRequest,
        data: &[u8],
    ) -> Result<TextAction, ProtocolError> {
        if !self.outbound.is_empty() && (request.continue_bit || !data.is_empty()) {
            return Err(rejected(Reject::PROTOCOL_ERROR, "text while the answer is still being sent"));
        }
        self.inbound.extend_from_slice(data);
        if !request.continue_bit && self.outbound.is_empty() {
            let text = std::mem::take(&mut self.inbound);
            self.on_text(context, &text)?;
        }
        let mut most = context.max_send_data_segment_bytes as usize;
        if !self.outbound.is_empty() && crate::buggify!(TextInPieces) {
            most = most.min(PIECE_BYTES);
        }
        let segment = self.outbound.take(most);
        let more = !self.outbound.is_empty();
        let done = request.final_bit && !more;
        Ok(TextAction::Reply {
            final_bit: done,
            continue_bit: more,
            ttt: if done { Ttt::NONE } else { context.next_ttt },
            data: segment,
            max_send_data_segment_bytes: self.declared.take(),
        })
    }

    /// Takes a whole text, all PDUs of it joined.
    fn on_text(&mut self, context: &TextContext<'_>, text: &[u8]) -> Result<(), ProtocolError> {
        for pair in TextPairs::new(text) {
            let (name, value) = pair.map_err(|error| rejected(Reject::PROTOCOL_ERROR, describe(error)))?;
            let limits = context.identity.limits;
            if self.seen.len() >= limits.text_keys {
                limits.marks.text_keys.meet();
                return Err(rejected(Reject::LONG_OPERATION_REJECT, "too many keys"));
            }
            if !self.seen.insert(name.to_owned()) {
                return Err(rejected(Reject::PROTOCOL_ERROR, "a key came twice"));
            }
            limits.marks.text_keys.reach(self.seen.len());
            self.on_pair(context, name, value)?;
        }
        Ok(())
    }

    fn on_pair(&mut self, context: &TextContext<'_>, name: &str, value: &str) -> Result<(), ProtocolError> {
        match Key::from_name(name).map(|key| (key, key.usage())) {
            None => self.outbound.push(name, "NotUnderstood"),
            Some((Key::SendTargets, _)) => {
                send_targets(&context.identity, context.asker, value, &mut self.outbound);
            }
            Some((Key::MaxRecvDataSegmentLength, _)) => match number(value, BYTES_RANGE) {
                Some(bytes) => self.declared = Some(bytes),
                None => return Err(rejected(Reject::PROTOCOL_ERROR, "a declared value out of range")),
            },
            Some((_, Use::Always)) => {}
            Some(_) => self.outbound.push(name, "Reject"),
        }
        Ok(())
    }
}

fn rejected(reason: u8, cause: &'static str) -> ProtocolError {
    ProtocolError::Rejected { reason, cause }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::limits::Limits;
    use crate::target::TargetConfig;
    use crate::wire::SerialNumber;

    /// A session on one side of an exchange with many targets.
    struct Transcript {
        limits: Bounds,
        targets: Vec<TargetConfig>,
        asker: Asker,
        exchange: TextExchange,
        next_ttt: u32,
        segment_bytes: u32,
    }

    impl Transcript {
        fn new(asker: Asker, targets: usize) -> Self {
            let target = |index| TargetConfig {
                name: format!("iqn.2026-01.com.example:disk{index}"),
                alias: None,
                luns: BTreeMap::new(),
            };
            Self {
                limits: Bounds::new(Limits::default()),
                targets: (0..targets).map(target).collect(),
                asker,
                exchange: TextExchange::default(),
                next_ttt: 100,
                segment_bytes: 8192,
            }
        }

        fn send(&mut self, flags: (bool, bool), itt: u32, ttt: Ttt, text: &str) -> TextAction {
            self.next_ttt += 1;
            let context = TextContext {
                identity: Identity {
                    limits: &self.limits,
                    targets: &self.targets,
                    local: ([192, 0, 2, 1], 3260).into(),
                },
                asker: self.asker,
                next_ttt: Ttt(self.next_ttt),
                max_send_data_segment_bytes: self.segment_bytes,
            };
            let request = TextRequest {
                immediate: false,
                final_bit: flags.0,
                continue_bit: flags.1,
                lun: crate::id::Lun(0),
                itt: Itt(itt),
                ttt,
                cmd_sn: SerialNumber(0),
                exp_stat_sn: SerialNumber(0),
            };
            self.exchange.on_request(&context, &request, text.as_bytes())
        }

        /// The whole text that answers `text`, fetched to its end.
        fn ask(&mut self, text: &str) -> Vec<u8> {
            let mut whole = Vec::new();
            let mut action = self.send(FINAL, 1, Ttt::NONE, text);
            loop {
                let TextAction::Reply { final_bit, continue_bit, ttt, data, .. } = action else {
                    panic!("expected a reply, got {action:?}")
                };
                assert!(data.len() <= self.segment_bytes as usize && final_bit != continue_bit);
                whole.extend(data);
                if final_bit {
                    assert_eq!(ttt, Ttt::NONE);
                    return whole;
                }
                action = self.send(FINAL, 1, ttt, "");
            }
        }
    }

    const FINAL: (bool, bool) = (true, false);
    const MORE: (bool, bool) = (false, false);
    const CONTINUED: (bool, bool) = (false, true);

    fn open_ttt(action: TextAction) -> Ttt {
        match action {
            TextAction::Reply { final_bit: false, ttt, .. } => ttt,
            other => panic!("expected an open exchange, got {other:?}"),
        }
    }

    fn reason(action: TextAction) -> u8 {
        match action {
            TextAction::Reject(error) => error.reject_reason().unwrap(),
            other => panic!("expected a reject, got {other:?}"),
        }
    }

    #[test]
    fn long_answer_comes_in_parts_of_the_peers_segment() {
        let mut few = Transcript::new(Asker::Discovery, 300);
        few.segment_bytes = 512;
        let mut whole = Transcript::new(Asker::Discovery, 300);
        whole.segment_bytes = 1 << 20;
        let text = few.ask("SendTargets=All\0");
        assert_eq!(text, whole.ask("SendTargets=All\0"));
        assert_eq!(TextPairs::new(&text).count(), 600);
    }

    #[test]
    fn request_cut_anywhere_by_the_c_bit_is_joined() {
        let request = "SendTargets=All\0";
        for cut in 0..=request.len() {
            let mut t = Transcript::new(Asker::Discovery, 1);
            let first = t.send(CONTINUED, 1, Ttt::NONE, &request[..cut]);
            let TextAction::Reply { final_bit: false, continue_bit: false, ttt, data, .. } = first else {
                panic!("expected an empty reply, got {first:?}")
            };
            assert!(data.is_empty());
            let TextAction::Reply { final_bit: true, data, .. } = t.send(FINAL, 1, ttt, &request[cut..]) else {
                panic!("the exchange is over")
            };
            assert_eq!(TextPairs::new(&data).count(), 2);
        }
    }

    #[test]
    fn stale_tag_is_rejected_and_ends_the_exchange() {
        let mut t = Transcript::new(Asker::Discovery, 1);
        assert_eq!(reason(t.send(FINAL, 1, Ttt(0), "")), Reject::INVALID_PDU_FIELD);
        let ttt = open_ttt(t.send(MORE, 1, Ttt::NONE, ""));
        assert_eq!(reason(t.send(FINAL, 1, Ttt(ttt.0 + 7), "")), Reject::INVALID_PDU_FIELD);
        assert_eq!(reason(t.send(FINAL, 1, ttt, "")), Reject::INVALID_PDU_FIELD);
        let ttt = open_ttt(t.send(MORE, 1, Ttt::NONE, ""));
        assert_eq!(reason(t.send(FINAL, 2, ttt, "")), Reject::INVALID_PDU_FIELD, "another task");
    }

    #[test]
    fn request_without_a_tag_begins_anew() {
        let mut t = Transcript::new(Asker::Discovery, 1);
        open_ttt(t.send(CONTINUED, 1, Ttt::NONE, "SendTargets=A"));
        assert_eq!(t.ask("X-a=1\0"), b"X-a=NotUnderstood\0");
    }

    #[test]
    fn segment_length_may_be_declared_anew() {
        let mut t = Transcript::new(Asker::Normal(0), 1);
        let action = t.send(FINAL, 1, Ttt::NONE, "MaxRecvDataSegmentLength=4096\0");
        let TextAction::Reply { final_bit: true, max_send_data_segment_bytes, data, .. } = action else {
            panic!("expected a reply, got {action:?}")
        };
        assert!(max_send_data_segment_bytes == Some(4096) && data.is_empty());
        let refused = t.send(FINAL, 1, Ttt::NONE, "MaxRecvDataSegmentLength=1\0");
        assert_eq!(reason(refused), Reject::PROTOCOL_ERROR);
    }

    #[test]
    fn keys_of_login_are_answered_reject() {
        let mut t = Transcript::new(Asker::Normal(0), 1);
        assert_eq!(t.ask("MaxBurstLength=512\0InitiatorAlias=a\0"), b"MaxBurstLength=Reject\0");
    }

    #[test]
    fn protocol_errors_are_rejected() {
        let mut t = Transcript::new(Asker::Normal(0), 1);
        assert_eq!(reason(t.send((true, true), 1, Ttt::NONE, "")), Reject::PROTOCOL_ERROR);
        assert_eq!(reason(t.send(FINAL, 1, Ttt::NONE, "A")), Reject::PROTOCOL_ERROR);
        assert_eq!(reason(t.send(FINAL, 1, Ttt::NONE, "X-a=1\0X-a=1\0")), Reject::PROTOCOL_ERROR);
    }

    #[test]
    fn exchange_is_bounded_in_bytes_keys_and_requests() {
        let mut bytes = Transcript::new(Asker::Normal(0), 1);
        bytes.limits = Bounds::new(Limits { text_bytes: 4, ..Limits::default() });
        assert_eq!(reason(bytes.send(FINAL, 1, Ttt::NONE, "X-a=1\0")), Reject::LONG_OPERATION_REJECT);
        let mut keys = Transcript::new(Asker::Normal(0), 1);
        keys.limits = Bounds::new(Limits { text_keys: 1, ..Limits::default() });
        assert_eq!(reason(keys.send(FINAL, 1, Ttt::NONE, "X-a=1\0X-b=1\0")), Reject::LONG_OPERATION_REJECT);
        let mut requests = Transcript::new(Asker::Normal(0), 1);
        requests.limits = Bounds::new(Limits { text_exchanges: 2, ..Limits::default() });
        let ttt = open_ttt(requests.send(CONTINUED, 1, Ttt::NONE, ""));
        let ttt = open_ttt(requests.send(CONTINUED, 1, ttt, ""));
        assert_eq!(reason(requests.send(CONTINUED, 1, ttt, "")), Reject::LONG_OPERATION_REJECT);
    }
}
