//! The login phase (RFC 7143, sections 6, 11.12, 11.13 and 13): I7, and what the full feature phase has to keep to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::initiator::codec::{RawPdu, opcode, text};

use super::Report;

/// Segments of login PDUs are no longer than the default MaxRecvDataSegmentLength.
const LOGIN_SEGMENT_BYTES: usize = 8_192;
const FULL_FEATURE: u8 = 3;

/// Initiator name, ISID and target name: a session that logs in with the same ones takes the place of the old.
pub(super) type SessionName = (String, [u8; 6], String);

/// What was agreed on.
#[derive(Clone, Debug)]
pub(super) struct Agreement {
    /// The initiator's MaxRecvDataSegmentLength in bytes: the target's PDUs keep to it.
    pub(super) segment_bytes: usize,
    pub(super) max_burst_bytes: u32,
    pub(super) first_burst_bytes: u32,
    pub(super) initial_r2t: bool,
    pub(super) immediate_data: bool,
    pub(super) max_outstanding_r2t: usize,
    pub(super) in_order: bool,
    pub(super) header_digest: bool,
    pub(super) data_digest: bool,
}

impl Agreement {
    /// What holds when a login that agreed on `login` goes on with a session: only digests and segment lengths are each
    /// connection's own (RFC 7143, section 13).
    fn succeeded_by(&self, login: &Self) -> Self {
        Self {
            segment_bytes: login.segment_bytes,
            header_digest: login.header_digest,
            data_digest: login.data_digest,
            ..self.clone()
        }
    }
}

/// A session in full feature phase, which outlives its connection if another goes on with it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The connection that is its only one, or was its last.
    pub(super) connection: u64,
    pub(super) tsih: u16,
    pub(super) agreement: Agreement,
    pub(super) resets: Rc<RefCell<Resets>>,
}

/// What a session has heard of resets.
#[derive(Default, Debug)]
pub(super) struct Resets {
    /// Asked for, over all connections, before it began.
    pub(super) before: u32,
    /// Unit attentions told of them, by LUN.
    pub(super) told: BTreeMap<u64, u32>,
}

/// How the answer to a key has to follow from its offer.
#[derive(Clone, Copy)]
enum Rule {
    Minimum,
    Maximum,
    Or,
    And,
    List,
}

const KEYS: &[(&str, Rule)] = &[
    ("HeaderDigest", Rule::List),
    ("DataDigest", Rule::List),
    ("AuthMethod", Rule::List),
    ("MaxConnections", Rule::Minimum),
    ("InitialR2T", Rule::Or),
    ("ImmediateData", Rule::And),
    ("MaxBurstLength", Rule::Minimum),
    ("FirstBurstLength", Rule::Minimum),
    ("DefaultTime2Wait", Rule::Maximum),
    ("DefaultTime2Retain", Rule::Minimum),
    ("MaxOutstandingR2T", Rule::Minimum),
    ("DataPDUInOrder", Rule::Or),
    ("DataSequenceInOrder", Rule::Or),
    ("ErrorRecoveryLevel", Rule::Minimum),
];

#[derive(Clone, Debug)]
struct Offer {
    by_target: bool,
    value: String,
    answer: Option<String>,
}

/// Where the login stands after a response.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// It goes on.
    Going,
    /// It failed: the connection is at its end.
    Failed,
    /// Full feature phase.
    Done,
}

/// One login.
#[derive(Default, Debug)]
pub(super) struct Login {
    /// The request that waits for its response.
    pending: Option<RawPdu>,
    /// The session to go on with; zero: a new one.
    tsih: u16,
    request_text: Vec<u8>,
    response_text: Vec<u8>,
    offers: BTreeMap<String, Offer>,
}

impl Login {
    /// A request waits for its response: nothing more is to be read.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Takes what the initiator sent in the login phase. `false`: it is no login request.
    pub(super) fn request(&mut self, pdu: RawPdu) -> bool {
        let login = pdu.opcode() == opcode::LOGIN;
        self.request_text.extend_from_slice(&pdu.data);
        if login {
            self.tsih = pdu.tsih();
        }
        if login && !pdu.continues() {
            for (key, value) in text::decode(&std::mem::take(&mut self.request_text)).unwrap_or_default() {
                self.take_key(false, &key, &value, None);
            }
        }
        self.pending = Some(pdu);
        login
    }

    /// Judges what the target sent in the login phase.
    pub(super) fn response(&mut self, pdu: &RawPdu, report: &mut Report<'_>) -> Progress {
        if pdu.opcode() != opcode::LOGIN_RESPONSE {
            let story = format!("operation code {:#04x} was sent before the login was over", pdu.opcode());
            report.add("I7", &story);
            return Progress::Failed;
        }
        let Some(request) = self.pending.take() else {
            report.add("I7", "a login response answers no request");
            return Progress::Failed;
        };
        if pdu.data.len() > LOGIN_SEGMENT_BYTES {
            report.add("I6", &format!("a login response carries {} bytes", pdu.data.len()));
        }
        if request.opcode() == opcode::LOGIN && pdu.initiator_task_tag() != request.initiator_task_tag() {
            report.add("I8", "a login response does not echo the Initiator Task Tag");
        }
        if pdu.login_status() >> 8 != 0 {
            return Progress::Failed;
        }
        if request.opcode() != opcode::LOGIN {
            report.add("I7", "a PDU that is no login request was answered with success in the login phase");
            return Progress::Failed;
        }
        judge_stage(&request, pdu, report);
        self.response_text.extend_from_slice(&pdu.data);
        if !pdu.continues() {
            match text::decode(&std::mem::take(&mut self.response_text)) {
                Ok(pairs) => {
                    for (key, value) in pairs {
                        self.take_key(true, &key, &value, Some(report));
                    }
                }
                Err(error) => report.add("I7", &format!("the text of a login response: {error}")),
            }
        }
        if !(pdu.is_final() && pdu.next_stage() == FULL_FEATURE) {
            return Progress::Going;
        }
        self.judge_end(pdu, report);
        Progress::Done
    }

    fn judge_end(&self, pdu: &RawPdu, report: &mut Report<'_>) {
        if pdu.tsih() == 0 {
            report.add("I7", "the login ended with TSIH zero");
        }
        for (key, offer) in &self.offers {
            let known = KEYS.iter().any(|(name, _)| name == key);
            if known && !offer.by_target && offer.answer.is_none() {
                report.add("I7", &format!("the login ended, and {key}={} was never answered", offer.value));
            }
        }
    }

    fn take_key(&mut self, by_target: bool, key: &str, value: &str, report: Option<&mut Report<'_>>) {
        match self.offers.get_mut(key) {
            Some(offer) if offer.by_target != by_target && offer.answer.is_none() => {
                if let Some(report) = report {
                    judge_answer(key, &offer.value, value, report);
                }
                offer.answer = Some(value.to_owned());
            }
            Some(_) => {}
            None => {
                self.offers.insert(key.to_owned(), Offer { by_target, value: value.to_owned(), answer: None });
            }
        }
    }

    /// The name of the session, once it is there; discovery sessions do not take each other's place.
    pub(super) fn session_name(&self, isid: [u8; 6]) -> Option<SessionName> {
        let offered = |key| self.offers.get(key).map(|offer| offer.value.clone()).unwrap_or_default();
        (offered("SessionType") != "Discovery").then(|| (offered("InitiatorName"), isid, offered("TargetName")))
    }

    /// The session that stands now that the target answered with `tsih`; `old` is the one of the same name, if it is
    /// there.
    pub(super) fn session(
        &self,
        connection: u64,
        tsih: u16,
        resets: Resets,
        old: Option<&Session>,
        report: &mut Report<'_>,
    ) -> Session {
        let agreement = self.agreement();
        if self.tsih == 0 {
            return Session { connection, tsih, agreement, resets: Rc::new(RefCell::new(resets)) };
        }
        if tsih != self.tsih {
            report.add("I7", &format!("a login to the session with TSIH {} was answered with TSIH {tsih}", self.tsih));
        }
        let Some(old) = old.filter(|old| old.tsih == self.tsih) else {
            report.add("I7", &format!("a login to TSIH {} succeeded, and there is no such session", self.tsih));
            return Session { connection, tsih, agreement, resets: Rc::new(RefCell::new(resets)) };
        };
        Session { connection, tsih, agreement: old.agreement.succeeded_by(&agreement), resets: old.resets.clone() }
    }

    /// What this login agreed on.
    fn agreement(&self) -> Agreement {
        let result = |key: &str| self.offers.get(key).and_then(|offer| offer.answer.as_deref());
        let number = |key, default| result(key).and_then(parse).unwrap_or(default);
        let is = |key, default: bool| match result(key) {
            Some("Yes") => true,
            Some("No") => false,
            _ => default,
        };
        let declared = self.offers.get("MaxRecvDataSegmentLength").filter(|offer| !offer.by_target);
        let segment = declared.and_then(|offer| parse(&offer.value)).unwrap_or(LOGIN_SEGMENT_BYTES as u64);
        let max_burst_bytes = number("MaxBurstLength", 262_144) as u32;
        Agreement {
            segment_bytes: segment as usize,
            max_burst_bytes,
            first_burst_bytes: (number("FirstBurstLength", 65_536) as u32).min(max_burst_bytes),
            initial_r2t: is("InitialR2T", true),
            immediate_data: is("ImmediateData", true),
            max_outstanding_r2t: number("MaxOutstandingR2T", 1) as usize,
            in_order: is("DataPDUInOrder", true) && is("DataSequenceInOrder", true),
            header_digest: result("HeaderDigest") == Some("CRC32C"),
            data_digest: result("DataDigest") == Some("CRC32C"),
        }
    }
}

fn judge_stage(request: &RawPdu, response: &RawPdu, report: &mut Report<'_>) {
    if response.isid() != request.isid() {
        report.add("I7", "a login response does not echo the ISID");
    }
    if response.current_stage() != request.current_stage() {
        let (asked, told) = (request.current_stage(), response.current_stage());
        report.add("I7", &format!("stage {asked} was answered with stage {told}"));
    }
    if !response.is_final() {
        return;
    }
    if !request.is_final() || request.continues() {
        report.add("I7", "the target left a stage that the initiator had not asked to leave");
    } else if response.next_stage() > request.next_stage() || response.next_stage() <= response.current_stage() {
        let (asked, told) = (request.next_stage(), response.next_stage());
        report.add("I7", &format!("the initiator asked for stage {asked} next and got {told}"));
    }
    if response.continues() {
        report.add("I7", "a login response has both T and C");
    }
}

/// A number as the text format writes it (RFC 7143, section 6.1): decimal or hexadecimal.
pub(super) fn parse(value: &str) -> Option<u64> {
    match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    }
}

fn judge_answer(key: &str, offer: &str, answer: &str, report: &mut Report<'_>) {
    let Some((_, rule)) = KEYS.iter().find(|(name, _)| *name == key) else { return };
    if matches!(answer, "Reject" | "Irrelevant") {
        return;
    }
    let right = match rule {
        Rule::Minimum | Rule::Maximum => match (parse(offer), parse(answer)) {
            (Some(offer), Some(answer)) if matches!(rule, Rule::Minimum) => answer <= offer,
            (Some(offer), Some(answer)) => answer >= offer,
            (offer, answer) => offer.is_none() && answer.is_none(),
        },
        Rule::Or => answer == "Yes" || answer == "No" && offer == "No",
        Rule::And => answer == "No" || answer == "Yes" && offer == "Yes",
        Rule::List => offer.split(',').any(|choice| choice == answer),
    };
    if !right {
        report.add("I7", &format!("{key}={offer} was answered with {key}={answer}"));
    }
}
