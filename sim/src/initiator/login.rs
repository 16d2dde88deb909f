//! Login (RFC 7143, sections 6 and 11.12 to 11.13), in the style that the plan names.

use std::time::Duration;

use super::codec::{RawPdu, opcode, serial, text};
use super::link::{Link, LinkError};
use super::parameters::{Negotiation, Parameters};
use super::plan::{Keys, LoginStyle};
use super::world::World;

/// What to log in with.
pub(super) struct LoginRequest<'a> {
    pub(super) name: &'a str,
    pub(super) isid: [u8; 6],
    /// Zero: a new session. Else the one to go on with.
    pub(super) tsih: u16,
    /// `None`: a discovery session.
    pub(super) target: Option<&'a str>,
    pub(super) keys: &'a Keys,
    pub(super) style: LoginStyle,
    pub(super) cmd_sn: u32,
    pub(super) tag: u32,
}

/// The state of a connection as full feature phase begins.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) parameters: Parameters,
    pub(super) tsih: u16,
    pub(super) exp_stat_sn: u32,
    pub(super) exp_cmd_sn: u32,
    pub(super) max_cmd_sn: u32,
}

/// Why there is no session.
#[derive(Debug)]
pub(super) enum LoginError {
    /// The connection did not last.
    Transport,
    /// The target said no: status class in the high byte, detail in the low one.
    Refused(u16),
    /// The target broke a rule.
    Breach(&'static str, String),
}

impl From<LinkError> for LoginError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Decode(error) => Self::Breach("I6", format!("during login: {error}")),
            LinkError::Timeout | LinkError::Closed => Self::Transport,
        }
    }
}

const SECURITY: u8 = 0;
const OPERATIONAL: u8 = 1;
const FULL_FEATURE: u8 = 3;
/// More exchanges than these are a loop.
const EXCHANGES_MAX: u32 = 32;

/// Logs in on a fresh connection.
pub(super) async fn login<W: World>(
    link: &mut Link<W>,
    request: &LoginRequest<'_>,
    deadline: Duration,
) -> Result<Established, LoginError> {
    let mut negotiation = Negotiation::new(request.keys);
    let mut names = vec![("InitiatorName".to_owned(), request.name.to_owned())];
    match request.target {
        Some(target) => {
            names.push(("SessionType".to_owned(), "Normal".to_owned()));
            names.push(("TargetName".to_owned(), target.to_owned()));
        }
        None => names.push(("SessionType".to_owned(), "Discovery".to_owned())),
    }
    let mut exchange =
        Exchange { link, request, deadline, exp_stat_sn: None, exp_cmd_sn: 0, max_cmd_sn: 0, tsih: 0, count: 0 };
    match request.style {
        LoginStyle::OneShot | LoginStyle::Cautious => {
            names.extend(negotiation.offer(request.keys));
            exchange.stage(OPERATIONAL, FULL_FEATURE, &names, &mut negotiation).await?;
        }
        LoginStyle::Staged | LoginStyle::Split | LoginStyle::Patient => {
            names.push(negotiation.offer_one("AuthMethod", "None".to_owned()));
            exchange.stage(SECURITY, OPERATIONAL, &names, &mut negotiation).await?;
            let offers = negotiation.offer(request.keys);
            exchange.stage(OPERATIONAL, FULL_FEATURE, &offers, &mut negotiation).await?;
        }
        LoginStyle::Straight | LoginStyle::Thorough => {
            names.push(negotiation.offer_one("AuthMethod", "None,CHAP".to_owned()));
            exchange.stage(SECURITY, FULL_FEATURE, &names, &mut negotiation).await?;
        }
    }
    if request.target.is_some() && !negotiation.has_portal_group_tag() {
        return Err(LoginError::Breach("I7", "login succeeded without TargetPortalGroupTag".to_owned()));
    }
    let parameters = negotiation.finish().map_err(|message| LoginError::Breach("I7", message))?;
    let (exp_stat_sn, exp_cmd_sn, max_cmd_sn) =
        (exchange.exp_stat_sn.unwrap_or(0), exchange.exp_cmd_sn, exchange.max_cmd_sn);
    let tsih = exchange.tsih;
    link.set_digests(parameters.digests);
    link.decoder.set_data_limit(parameters.own_max_recv as usize);
    Ok(Established { parameters, tsih, exp_stat_sn, exp_cmd_sn, max_cmd_sn })
}

struct Exchange<'a, 'b, W: World> {
    link: &'a mut Link<W>,
    request: &'a LoginRequest<'b>,
    deadline: Duration,
    exp_stat_sn: Option<u32>,
    exp_cmd_sn: u32,
    max_cmd_sn: u32,
    tsih: u16,
    count: u32,
}

impl<W: World> Exchange<'_, '_, W> {
    /// Goes through stage `current` to `next`.
    async fn stage(
        &mut self,
        current: u8,
        next: u8,
        pairs: &[(String, String)],
        negotiation: &mut Negotiation,
    ) -> Result<(), LoginError> {
        let mut unsent = text::encode(pairs);
        let cuts = if self.request.style == LoginStyle::Split { 2 } else { 1 };
        let mut part_bytes = unsent.len().div_ceil(cuts);
        let patient = matches!(self.request.style, LoginStyle::Cautious | LoginStyle::Patient | LoginStyle::Thorough);
        let mut wants_transit = !patient;
        let mut answer = Vec::new();
        loop {
            let part: Vec<u8> = unsent.drain(..part_bytes.min(unsent.len())).collect();
            let continues = !unsent.is_empty();
            let transit = wants_transit && !continues;
            let flags = if transit { 0x80 | next } else { 0 } | if continues { 0x40 } else { 0 } | current << 2;
            let response = self.round(flags, part).await?;
            answer.extend_from_slice(&response.data);
            if continues {
                if !response.data.is_empty() || response.is_final() {
                    return Err(breach("a login request with C was answered with text or T".to_owned()));
                }
                continue;
            }
            if response.continues() {
                wants_transit = false;
                continue;
            }
            let pairs = text::decode(&answer).map_err(breach)?;
            answer.clear();
            let mut replies = Vec::new();
            for (key, value) in &pairs {
                replies.extend(negotiation.take(key, value).map_err(breach)?);
            }
            if response.is_final() {
                return Ok(());
            }
            wants_transit = true;
            unsent = text::encode(&replies);
            part_bytes = unsent.len();
        }
    }

    async fn round(&mut self, flags: u8, data: Vec<u8>) -> Result<RawPdu, LoginError> {
        self.count += 1;
        if self.count > EXCHANGES_MAX {
            return Err(breach(format!("login did not end after {EXCHANGES_MAX} exchanges")));
        }
        let request = RawPdu::login(flags, self.request.isid, self.request.tsih, self.request.tag, 0, data)
            .sequenced(self.request.cmd_sn, self.exp_stat_sn.unwrap_or(0));
        self.link.send(request, self.deadline).await?;
        let response = self.link.recv(self.deadline).await?;
        self.check(flags, &response)?;
        Ok(response)
    }

    fn check(&mut self, flags: u8, response: &RawPdu) -> Result<(), LoginError> {
        if response.opcode() != opcode::LOGIN_RESPONSE {
            return Err(breach(format!("operation code {:#04x} during login", response.opcode())));
        }
        if response.login_status() != 0 {
            return Err(LoginError::Refused(response.login_status()));
        }
        if self.exp_stat_sn.is_some_and(|expected| expected != response.stat_sn()) {
            return Err(LoginError::Breach("I3", format!("StatSN {} is out of order in login", response.stat_sn())));
        }
        self.exp_stat_sn = Some(response.stat_sn().wrapping_add(1));
        if response.exp_cmd_sn() != self.request.cmd_sn {
            let (actual, expected) = (response.exp_cmd_sn(), self.request.cmd_sn);
            return Err(LoginError::Breach("I2", format!("login answered ExpCmdSN {actual}, expected {expected}")));
        }
        (self.exp_cmd_sn, self.max_cmd_sn) = (response.exp_cmd_sn(), response.max_cmd_sn());
        self.tsih = response.tsih();
        if serial::before(self.max_cmd_sn, self.exp_cmd_sn.wrapping_sub(1)) {
            return Err(LoginError::Breach("I2", "MaxCmdSN is before ExpCmdSN - 1 in login".to_owned()));
        }
        let asked_transit = flags & 0x80 != 0;
        let rules = [
            (response.initiator_task_tag() == self.request.tag, "another initiator task tag"),
            (response.isid() == self.request.isid, "another ISID"),
            (response.current_stage() == flags >> 2 & 3, "another current stage"),
            (asked_transit || !response.is_final(), "T although it was not asked for"),
            (!response.is_final() || response.next_stage() == flags & 3, "another next stage"),
            (!response.is_final() || !response.continues(), "T and C"),
            (response.bhs[2] == 0 && response.bhs[3] == 0, "a version that does not exist"),
            (
                !(response.is_final() && response.next_stage() == FULL_FEATURE) || response.tsih() != 0,
                "no TSIH as full feature phase begins",
            ),
            (self.request.tsih == 0 || response.tsih() == self.request.tsih, "another TSIH"),
        ];
        match rules.iter().find(|(kept, _)| !kept) {
            Some((_, what)) => Err(breach(format!("the login response has {what}"))),
            None => Ok(()),
        }
    }
}

fn breach(message: String) -> LoginError {
    LoginError::Breach("I7", message)
}
