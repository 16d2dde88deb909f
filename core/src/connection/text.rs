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
use crate::id::{Itt, Ttt};
use crate::limits::Limits;
use crate::wire::text::{TextBuilder, TextPairs};
use crate::wire::{Reject, TextRequest};

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
    fn count(&mut self, limits: &Limits, data: &[u8]) -> Result<(), ProtocolError> {
        self.requests += 1;
        self.text_bytes = self.text_bytes.saturating_add(data.len());
        if self.requests > limits.text_exchanges || self.text_bytes > limits.text_bytes {
            return Err(rejected(Reject::NEGOTIATION_RESET, "a text exchange that is too long"));
        }
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
        let segment = self.outbound.take(context.max_send_data_segment_bytes as usize);
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
            if self.seen.len() >= context.identity.limits.text_keys {
                return Err(rejected(Reject::NEGOTIATION_RESET, "too many keys"));
            }
            if !self.seen.insert(name.to_owned()) {
                return Err(rejected(Reject::PROTOCOL_ERROR, "a key came twice"));
            }
            self.on_pair(context, name, value);
        }
        Ok(())
    }

    fn on_pair(&mut self, context: &TextContext<'_>, name: &str, value: &str) {
        match Key::from_name(name).map(|key| (key, key.usage())) {
            None => self.outbound.push(name, "NotUnderstood"),
            Some((Key::SendTargets, _)) => {
                send_targets(&context.identity, context.asker, value, &mut self.outbound);
            }
            Some((Key::MaxRecvDataSegmentLength, _)) => match number(value, BYTES_RANGE) {
                Some(bytes) => self.declared = Some(bytes),
                None => self.outbound.push(name, "Reject"),
            },
            Some((_, Use::Always)) => {}
            Some(_) => self.outbound.push(name, "Reject"),
        }
    }
}

fn rejected(reason: u8, cause: &'static str) -> ProtocolError {
    ProtocolError::Rejected { reason, cause }
}
