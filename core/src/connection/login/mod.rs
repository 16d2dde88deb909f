//! Login as a state machine without I/O (RFC 7143, sections 6, 11.12 and 11.13): requests in, replies out.
//!
//! ```text
//! SecurityNegotiation -> LoginOperationalNegotiation -> full feature phase
//!          |                                                  ^
//!          +--------------------------------------------------+
//! ```
//!
//! A request with the C bit is answered by an empty reply and kept; the text of all such requests together is what is
//! read. An answer that does not fit one reply is sent in parts, each but the last with the C bit, and the initiator
//! fetches them with empty requests.

use std::net::SocketAddr;

use super::error::{ProtocolError, describe};
use crate::high_water::Bounds;
use crate::id::{Cid, Isid, Tsih};
use crate::target::TargetConfig;
use crate::wire::text::TextBuilder;
use crate::wire::{LoginRequest, LoginResponse, SerialNumber};

pub mod discovery;
mod exchange;
pub mod keys;
pub mod name;
pub mod negotiation;
pub mod parameters;
mod status;

#[cfg(test)]
mod tests;

use exchange::Exchange;
pub use parameters::Negotiated;
pub use status::LoginStatus;

/// The longest data segment of a login PDU, in bytes, either way.
pub const SEGMENT_BYTES: usize = parameters::DEFAULT_SEGMENT_BYTES as usize;

/// What a login has to know of the node.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The bounds.
    pub limits: &'a Bounds,
    /// The targets that may be named.
    pub targets: &'a [TargetConfig],
    /// Our end of the connection, for TargetAddress.
    pub local: SocketAddr,
}

/// A Login Response and its data segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginReply {
    /// The BHS.
    pub response: LoginResponse,
    /// The data segment, at most [`SEGMENT_BYTES`] long.
    pub data: Vec<u8>,
}

/// What a login that succeeded found out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginOutcome {
    /// It is a discovery session.
    pub discovery: bool,
    /// InitiatorName, in lower case.
    pub initiator_name: String,
    /// InitiatorAlias.
    pub initiator_alias: Option<String>,
    /// Index into [`Identity::targets`]; `None` in a discovery session only, and always there.
    pub target: Option<usize>,
    /// The initiator's part of the session's identity.
    pub isid: Isid,
    /// Zero: a new session, which takes the place of an old one of the same initiator, ISID and target.
    pub tsih: Tsih,
    /// Connection ID.
    pub cid: Cid,
    /// The parameters.
    pub negotiated: Negotiated,
    /// StatSN of the first PDU after the final Login Response.
    pub next_stat_sn: SerialNumber,
    /// CmdSN of the first command of the session.
    pub exp_cmd_sn: SerialNumber,
    /// ExpStatSN of the last Login Request.
    pub exp_stat_sn: SerialNumber,
}

/// What to do after a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoginAction {
    /// Send it and wait for the next request.
    Reply(LoginReply),
    /// The initiator may enter full feature phase. The driver makes the session, which ends an old one of the same
    /// identity, and sends what [`Login::established`] or [`Login::refused`] gives.
    Establish(Box<LoginOutcome>),
    /// Send it, then close the connection.
    Refuse(LoginReply),
    /// Close the connection without an answer.
    Drop(ProtocolError),
}

/// A stage that negotiates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Who the initiator is. AuthMethod=None is the only method yet, so nothing is exchanged; a method with a dialogue
    /// keeps its state in a field of this variant.
    Security,
    /// How the session works.
    Operational,
}

/// One connection's login, from the first request to the final response.
#[derive(Debug)]
pub struct Login {
    /// StatSN of the next response.
    stat_sn: SerialNumber,
    /// The first request: its identifiers hold for all that follow.
    leader: Option<LoginRequest>,
    stage: Stage,
    command_window: u32,
    /// Text that came with the C bit and goes on.
    inbound: Vec<u8>,
    /// Text that is still to be sent.
    outbound: TextBuilder,
    requests: u32,
    text_bytes: usize,
    exchange: Exchange,
    /// The last request and the data of the final response, while the driver makes the session.
    last: Option<(LoginRequest, Vec<u8>)>,
}

impl Login {
    /// A login whose first response carries `first_stat_sn`.
    #[must_use]
    pub fn new(first_stat_sn: SerialNumber) -> Self {
        Self {
            stat_sn: first_stat_sn,
            leader: None,
            stage: Stage::Security,
            command_window: 1,
            inbound: Vec::new(),
            outbound: TextBuilder::default(),
            requests: 0,
            text_bytes: 0,
            exchange: Exchange::default(),
            last: None,
        }
    }

    /// Takes a Login Request with its data segment.
    pub fn on_request(&mut self, identity: &Identity<'_>, request: &LoginRequest, data: &[u8]) -> LoginAction {
        self.command_window = identity.limits.command_window;
        #[cfg(simulation)]
        self.note(request);
        match self.step(identity, request, data) {
            Ok(action) => action,
            Err(error) => match error.login_status() {
                Some(status) => LoginAction::Refuse(self.refusal(request, status)),
                None => LoginAction::Drop(error),
            },
        }
    }

    /// Takes a PDU that is no Login Request: nothing else is allowed before full feature phase. A peer that has not
    /// even begun to log in gets no answer.
    pub fn on_other_pdu(&mut self) -> LoginAction {
        crate::cell!(login: self.row(), OtherPdu);
        match self.leader {
            Some(leader) => LoginAction::Refuse(self.refusal(&leader, LoginStatus::INVALID_DURING_LOGIN)),
            None => LoginAction::Drop(ProtocolError::Fatal { cause: "the first PDU is no login request" }),
        }
    }

    /// The final response, after [`LoginAction::Establish`], for a session with the handle `tsih`.
    ///
    /// # Panics
    /// When the last action was not [`LoginAction::Establish`].
    pub fn established(&mut self, tsih: Tsih) -> LoginReply {
        let (request, data) = self.last.take().expect("established follows Establish");
        let mut reply = self.reply(&request, true, false, data);
        reply.response.tsih = tsih;
        reply
    }

    /// The final response, after [`LoginAction::Establish`], when the session could not be made.
    ///
    /// # Panics
    /// When the last action was not [`LoginAction::Establish`].
    pub fn refused(&mut self, status: LoginStatus) -> LoginReply {
        let (request, _) = self.last.take().expect("refused follows Establish");
        self.refusal(&request, status)
    }

    #[cfg(simulation)]
    fn row(&self) -> crate::cells::login::State {
        use crate::cells::login::State;
        match self.stage {
            _ if self.leader.is_none() => State::First,
            _ if !self.outbound.is_empty() => State::Sending,
            _ if !self.inbound.is_empty() => State::Collecting,
            Stage::Security => State::Security,
            Stage::Operational => State::Operational,
        }
    }

    #[cfg(simulation)]
    fn note(&self, request: &LoginRequest) {
        let row = self.row();
        let stage = match request.current_stage {
            LoginRequest::SECURITY_NEGOTIATION => Some(Stage::Security),
            LoginRequest::OPERATIONAL_NEGOTIATION => Some(Stage::Operational),
            _ => None,
        };
        let known = stage.filter(|stage| self.leader.is_none() || *stage == self.stage);
        match known {
            Some(stage) if !request.transit || may_follow(stage, request.next_stage) => match request.next_stage {
                _ if request.continue_bit => crate::cell!(login: row, GoesOn),
                _ if !request.transit => crate::cell!(login: row, Stays),
                LoginRequest::FULL_FEATURE_PHASE => crate::cell!(login: row, ToFullFeature),
                _ => crate::cell!(login: row, ToOperational),
            },
            _ => crate::cell!(login: row, BadStage),
        }
    }

    fn step(
        &mut self,
        identity: &Identity<'_>,
        request: &LoginRequest,
        data: &[u8],
    ) -> Result<LoginAction, ProtocolError> {
        self.admit(request)?;
        self.count(identity.limits, data)?;
        let goes_on = request.continue_bit || !data.is_empty();
        if goes_on && !self.outbound.is_empty() && !crate::planted!(TextBehindAnswer) {
            return Err(initiator_error("text while the answer is still being sent"));
        }
        self.inbound.extend_from_slice(data);
        if request.continue_bit {
            return Ok(LoginAction::Reply(self.reply(request, false, false, Vec::new())));
        }
        if self.outbound.is_empty() {
            let text = std::mem::take(&mut self.inbound);
            self.exchange.on_text(identity, self.stage, request.tsih, &text, &mut self.outbound)?;
        }
        Ok(self.answer(request))
    }

    /// Checks what the BHS says against the stage and the requests before.
    fn admit(&mut self, request: &LoginRequest) -> Result<(), ProtocolError> {
        if self.last.is_some() {
            return Err(initiator_error("a request after the last one"));
        }
        if request.version_min > VERSION {
            let (status, cause) = (LoginStatus::UNSUPPORTED_VERSION, "another version of the protocol");
            return Err(ProtocolError::Login { status, cause });
        }
        let stage = match request.current_stage {
            LoginRequest::SECURITY_NEGOTIATION => Stage::Security,
            LoginRequest::OPERATIONAL_NEGOTIATION => Stage::Operational,
            _ => return Err(initiator_error("a current stage that negotiates nothing")),
        };
        if request.transit && request.continue_bit {
            return Err(initiator_error("T and C bit together"));
        }
        if request.transit && !may_follow(stage, request.next_stage) {
            return Err(initiator_error("a next stage that cannot follow"));
        }
        let Some(leader) = &self.leader else {
            self.stage = stage;
            self.leader = Some(*request);
            return Ok(());
        };
        if stage != self.stage {
            return Err(initiator_error("a stage that login is not in"));
        }
        if (request.isid, request.tsih) != (leader.isid, leader.tsih) {
            return Err(initiator_error("ISID or TSIH changed during login"));
        }
        if (request.itt, request.cid) != (leader.itt, leader.cid) {
            return Err(initiator_error("ITT or CID changed during login"));
        }
        Ok(())
    }

    /// Keeps a login within its bounds.
    fn count(&mut self, limits: &Bounds, data: &[u8]) -> Result<(), ProtocolError> {
        self.requests += 1;
        crate::probe!(LoginOverThreePdus if self.requests > 3);
        self.text_bytes = self.text_bytes.saturating_add(data.len());
        if self.requests > limits.text_exchanges {
            limits.marks.text_exchanges.meet();
            return Err(initiator_error("too many login requests"));
        }
        if data.len() > SEGMENT_BYTES {
            return Err(initiator_error("a data segment longer than login allows"));
        }
        if self.text_bytes > limits.text_bytes {
            limits.marks.text_bytes.meet();
            return Err(initiator_error("too much login text"));
        }
        limits.marks.text_exchanges.reach(self.requests as usize);
        limits.marks.text_bytes.reach(self.text_bytes);
        Ok(())
    }

    /// Sends the next part of the text, and changes the stage when that was all and the initiator is ready.
    fn answer(&mut self, request: &LoginRequest) -> LoginAction {
        let data = self.outbound.take(SEGMENT_BYTES);
        let more = !self.outbound.is_empty();
        let transit = request.transit && !more;
        if transit && request.next_stage == LoginRequest::FULL_FEATURE_PHASE {
            let outcome = self.outcome(request);
            self.last = Some((*request, data));
            return LoginAction::Establish(Box::new(outcome));
        }
        let reply = self.reply(request, transit, more, data);
        if transit {
            self.stage = Stage::Operational;
        }
        LoginAction::Reply(reply)
    }

    fn outcome(&self, request: &LoginRequest) -> LoginOutcome {
        let peer = self.exchange.peer();
        LoginOutcome {
            discovery: peer.discovery,
            initiator_name: peer.initiator_name.clone(),
            initiator_alias: peer.initiator_alias.clone(),
            target: peer.target.filter(|_| !peer.discovery),
            isid: request.isid,
            tsih: request.tsih,
            cid: request.cid,
            negotiated: self.exchange.negotiated(),
            next_stat_sn: self.stat_sn_after(),
            exp_cmd_sn: self.exp_cmd_sn(request),
            exp_stat_sn: request.exp_stat_sn,
        }
    }

    /// A response of success to `request`.
    fn reply(&mut self, request: &LoginRequest, transit: bool, continue_bit: bool, data: Vec<u8>) -> LoginReply {
        let exp_cmd_sn = self.exp_cmd_sn(request);
        let response = LoginResponse {
            transit,
            continue_bit,
            current_stage: request.current_stage,
            next_stage: if transit { request.next_stage } else { 0 },
            version_max: VERSION,
            version_active: VERSION,
            isid: request.isid,
            tsih: request.tsih,
            itt: request.itt,
            stat_sn: self.stat_sn,
            exp_cmd_sn,
            max_cmd_sn: exp_cmd_sn.plus(self.command_window.wrapping_sub(1)),
            status_class: 0,
            status_detail: 0,
        };
        self.stat_sn = self.stat_sn_after();
        LoginReply { response, data }
    }

    /// A response that ends the login. The stage is reserved in it.
    fn refusal(&mut self, request: &LoginRequest, status: LoginStatus) -> LoginReply {
        let mut reply = self.reply(request, false, false, Vec::new());
        reply.response.current_stage = 0;
        reply.response.status_class = status.class();
        reply.response.status_detail = status.detail();
        reply
    }

    /// Login Requests are immediate, so CmdSN stays where the first one put it.
    fn exp_cmd_sn(&self, request: &LoginRequest) -> SerialNumber {
        self.leader.map_or(request.cmd_sn, |leader| leader.cmd_sn)
    }

    fn stat_sn_after(&self) -> SerialNumber {
        if crate::planted!(StatSnLoginSkips) { self.stat_sn } else { self.stat_sn.next() }
    }
}

/// The one version of the protocol (RFC 7143, section 11.12.4).
const VERSION: u8 = 0;

fn may_follow(stage: Stage, next_stage: u8) -> bool {
    match next_stage {
        LoginRequest::OPERATIONAL_NEGOTIATION => stage == Stage::Security,
        LoginRequest::FULL_FEATURE_PHASE => true,
        _ => false,
    }
}

/// An error of the initiator that has no status of its own.
fn initiator_error(cause: &'static str) -> ProtocolError {
    ProtocolError::Login { status: LoginStatus::INITIATOR_ERROR, cause }
}

/// Text that is none.
fn malformed(error: crate::wire::WireError) -> ProtocolError {
    initiator_error(describe(error))
}
