//! Logins with names, keys, values and versions that RFC 7143 does not have: each is answered as it says.

use super::super::codec::{RawPdu, TO_FULL_FEATURE, opcode, text};
use super::super::link::{Link, LinkError};
use super::super::plan::{Attack, AttackStep};
use super::super::world::{Wire, World};
use super::Attacker;
use super::login::LISTEN;
use super::peer::variant;

/// Status of a login (RFC 7143, section 11.13.5).
mod status {
    pub(super) const SUCCESS: u16 = 0x0000;
    pub(super) const INITIATOR_ERROR: u16 = 0x0200;
    pub(super) const AUTHENTICATION_FAILURE: u16 = 0x0201;
    pub(super) const NOT_FOUND: u16 = 0x0203;
    pub(super) const UNSUPPORTED_VERSION: u16 = 0x0205;
    pub(super) const SESSION_TYPE_NOT_SUPPORTED: u16 = 0x0209;
}
use status::{
    AUTHENTICATION_FAILURE, INITIATOR_ERROR, NOT_FOUND, SESSION_TYPE_NOT_SUPPORTED, SUCCESS, UNSUPPORTED_VERSION,
};

/// What an initiator says of itself in its first request, and the status that it gets. Names have three forms (RFC 7143,
/// section 4.2.7); a star stands for as many letters as make the value as long as its last number says.
const INTRODUCTIONS: [(&str, &str, u16); 38] = [
    ("InitiatorName", "", INITIATOR_ERROR),
    ("InitiatorName", "iqn", INITIATOR_ERROR),
    ("InitiatorName", "iqn.", INITIATOR_ERROR),
    ("InitiatorName", "disk", INITIATOR_ERROR),
    ("InitiatorName", "\u{e9}\u{e9}\u{e9}", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026-11", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026-11.", INITIATOR_ERROR),
    ("InitiatorName", "iqn.20x6-11.com.example", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026/11.com.example", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026-1x.com.example", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026-11:com.example", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026-11.com.example:a b", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026-11.com.example:a,b", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026-11.com.example:a\u{a0}b", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026-11.com.example:a\u{85}b", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026-11.com.example:*224", INITIATOR_ERROR),
    ("InitiatorName", "eui.", INITIATOR_ERROR),
    ("InitiatorName", "eui.02004567A425678", INITIATOR_ERROR),
    ("InitiatorName", "eui.02004567A425678G", INITIATOR_ERROR),
    ("InitiatorName", "naa.52004567BA64678D0", INITIATOR_ERROR),
    ("InitiatorName", "naa.62004567BA64678D0123456789ABCDEX", INITIATOR_ERROR),
    ("InitiatorName", "iqn.2026-11.com.example:*223", SUCCESS),
    ("InitiatorName", "IQN.2026-11.Com.Example:ODD", SUCCESS),
    ("InitiatorName", "iqn.2026-11.com.example:\u{fc}ber", SUCCESS),
    ("InitiatorName", "eui.02004567A425678D", SUCCESS),
    ("InitiatorName", "naa.52004567BA64678D", SUCCESS),
    ("InitiatorName", "naa.62004567BA64678D0123456789abcdef", SUCCESS),
    ("InitiatorAlias", "", SUCCESS),
    ("InitiatorAlias", "*255", SUCCESS),
    ("InitiatorAlias", "*256", INITIATOR_ERROR),
    ("SessionType", "", SESSION_TYPE_NOT_SUPPORTED),
    ("SessionType", "normal", SESSION_TYPE_NOT_SUPPORTED),
    ("SessionType", "Odd", SESSION_TYPE_NOT_SUPPORTED),
    ("SessionType", "Normal", SUCCESS),
    ("TargetName", "", NOT_FOUND),
    ("TargetName", "iqn.2026-01.net.quintain.sim", NOT_FOUND),
    ("TargetName", "IQN.2026-01.NET.QUINTAIN.SIM:TARGET", SUCCESS),
];

/// An offer in the operational stage, and the answers that it may have, by key (RFC 7143, section 13) and by what goes for
/// all of them (section 6.2): what is not admissible may be rejected, as this target does.
const OFFERS: [(&str, &str, &[&str]); 41] = [
    ("HeaderDigest", "X-SHA", &["Reject"]),
    ("HeaderDigest", "", &["Reject"]),
    ("HeaderDigest", "none", &["Reject"]),
    ("DataDigest", "X-SHA,None", &["None"]),
    ("DataDigest", "None,", &["None"]),
    ("InitialR2T", "yes", &["Reject"]),
    ("ImmediateData", "?", &["Reject"]),
    ("DataPDUInOrder", "No", &["Yes", "No"]),
    ("DataSequenceInOrder", "No", &["Yes", "No"]),
    ("DataSequenceInOrder", "", &["Reject"]),
    ("MaxBurstLength", "511", &["Reject"]),
    ("MaxBurstLength", "16777216", &["Reject"]),
    ("MaxBurstLength", "4294967808", &["Reject"]),
    ("MaxBurstLength", "99999999999999999999999", &["Reject"]),
    ("MaxBurstLength", "-512", &["Reject"]),
    ("MaxBurstLength", "+512", &["Reject"]),
    ("MaxBurstLength", "", &["Reject"]),
    ("MaxBurstLength", "0x", &["Reject"]),
    ("MaxBurstLength", "0xyz", &["Reject"]),
    ("MaxBurstLength", "1e3", &["Reject"]),
    ("MaxBurstLength", "512~1024", &["Reject"]),
    ("MaxBurstLength", "0x200", &["512"]),
    // The target's own may be the smaller one.
    ("MaxBurstLength", "0X400", &["1024", "512"]),
    ("FirstBurstLength", "0", &["Reject"]),
    ("FirstBurstLength", "1024~512", &["Reject"]),
    ("MaxConnections", "0", &["Reject"]),
    ("MaxConnections", "65536", &["Reject"]),
    ("MaxOutstandingR2T", "0", &["Reject"]),
    ("MaxOutstandingR2T", "65536", &["Reject"]),
    ("MaxOutstandingR2T", "1 ", &["Reject"]),
    ("DefaultTime2Wait", "3601", &["Reject"]),
    ("DefaultTime2Retain", "3601", &["Reject"]),
    ("ErrorRecoveryLevel", "3", &["Reject"]),
    ("TaskReporting", "FastAbort", &["Reject"]),
    ("TaskReporting", "FastAbort,RFC3720", &["RFC3720"]),
    ("iSCSIProtocolLevel", "0", &["0"]),
    ("iSCSIProtocolLevel", "32", &["Reject"]),
    // These are no more (section 13.25).
    ("OFMarker", "Yes", &["No", "Reject"]),
    ("IFMarkInt", "1~2", &["Reject"]),
    ("maxburstlength", "512", &["NotUnderstood"]),
    ("X-com.example.odd", "Reject", &["NotUnderstood"]),
];

/// Login requests that stay in their stage, or leave it.
const SECURITY: u8 = 0;
const OPERATIONAL: u8 = 1 << 2;
const TO_OPERATIONAL: u8 = 0x81;

/// Keys that come in a stage, at a time or with a word that is not theirs: requests, each with its flags and keys, and the
/// status of the last one. The names of both sides come with the first, and their values stand for `I` and `T`.
type Script = (&'static [(u8, &'static [(&'static str, &'static str)])], u16);
const SCRIPTS: [Script; 37] = [
    // Operational keys and those of full feature phase in the security stage.
    (&[(SECURITY, &[("MaxBurstLength", "512")])], INITIATOR_ERROR),
    (&[(SECURITY, &[("HeaderDigest", "None")])], INITIATOR_ERROR),
    (&[(SECURITY, &[("MaxRecvDataSegmentLength", "512")])], INITIATOR_ERROR),
    (&[(SECURITY, &[("SendTargets", "All")])], INITIATOR_ERROR),
    (&[(SECURITY, &[]), (SECURITY, &[("ErrorRecoveryLevel", "0")])], INITIATOR_ERROR),
    // Keys of security and of the target in the operational one.
    (&[(OPERATIONAL, &[("AuthMethod", "None")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("SendTargets", "All")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("TargetPortalGroupTag", "1")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("TargetAddress", "10.0.0.1")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("TargetAlias", "mine")])], INITIATOR_ERROR),
    // Methods that nobody has.
    (&[(SECURITY, &[("AuthMethod", "CHAP")])], AUTHENTICATION_FAILURE),
    (&[(SECURITY, &[("AuthMethod", "")])], AUTHENTICATION_FAILURE),
    (&[(SECURITY, &[("AuthMethod", "CHAP,KRB5,none")])], AUTHENTICATION_FAILURE),
    // Words that only answer.
    (&[(OPERATIONAL, &[("MaxBurstLength", "Reject")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("MaxBurstLength", "Irrelevant")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("HeaderDigest", "NotUnderstood")])], INITIATOR_ERROR),
    (&[(SECURITY, &[("AuthMethod", "Reject")])], INITIATOR_ERROR),
    (&[(SECURITY, &[]), (SECURITY, &[("TargetPortalGroupTag", "NotUnderstood")])], SUCCESS),
    (&[(SECURITY, &[]), (SECURITY, &[("TargetPortalGroupTag", "Reject")])], SUCCESS),
    (&[(OPERATIONAL, &[]), (OPERATIONAL, &[("TargetAlias", "Irrelevant")])], SUCCESS),
    // A declaration out of range fails the login (section 7.10).
    (&[(OPERATIONAL, &[("MaxRecvDataSegmentLength", "511")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("MaxRecvDataSegmentLength", "16777216")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("MaxRecvDataSegmentLength", "0x")])], INITIATOR_ERROR),
    // What was said is said again, or otherwise, or too late.
    (&[(SECURITY, &[]), (TO_FULL_FEATURE, &[])], INITIATOR_ERROR),
    (&[(TO_OPERATIONAL, &[]), (TO_FULL_FEATURE, &[("InitiatorName", "I"), ("TargetName", "T")])], SUCCESS),
    (&[(TO_OPERATIONAL, &[]), (OPERATIONAL, &[("InitiatorName", "iqn.2026-11.com.example:other")])], INITIATOR_ERROR),
    (&[(TO_OPERATIONAL, &[]), (OPERATIONAL, &[("TargetName", "iqn.2026-11.com.example:other")])], INITIATOR_ERROR),
    (&[(TO_OPERATIONAL, &[]), (OPERATIONAL, &[("SessionType", "Discovery")])], INITIATOR_ERROR),
    (&[(TO_OPERATIONAL, &[]), (TO_FULL_FEATURE, &[("InitiatorAlias", "late")])], SUCCESS),
    (&[(OPERATIONAL, &[("InitiatorName", "I")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("X-odd", "1"), ("X-odd", "1")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("X-odd", "1")]), (OPERATIONAL, &[("X-odd", "1")])], INITIATOR_ERROR),
    (&[(OPERATIONAL, &[("MaxBurstLength", "512")]), (OPERATIONAL, &[("MaxBurstLength", "1024")])], INITIATOR_ERROR),
    // T and C together, in either stage.
    (&[(0x40 | TO_OPERATIONAL, &[])], INITIATOR_ERROR),
    (&[(0x40 | TO_FULL_FEATURE, &[])], INITIATOR_ERROR),
    // The same in a good order.
    (&[(TO_OPERATIONAL, &[("AuthMethod", "CHAP,None")]), (TO_FULL_FEATURE, &[("MaxBurstLength", "512")])], SUCCESS),
    (&[(OPERATIONAL, &[("X-odd", "1")]), (TO_FULL_FEATURE, &[("x-odd", "1")])], SUCCESS),
];

/// Version-max and Version-min, and what comes of them: there is version zero and no other.
const VERSIONS: [(u8, u8, u16); 6] = [
    (1, 1, UNSUPPORTED_VERSION),
    (0xff, 1, UNSUPPORTED_VERSION),
    // The wrong way round.
    (0, 1, UNSUPPORTED_VERSION),
    (1, 0xff, UNSUPPORTED_VERSION),
    (3, 0, SUCCESS),
    (0xff, 0, SUCCESS),
];

/// Offsets of what has to stay the same from the first login request to the last, but for the version.
const IDENTIFIERS: [usize; 4] = [13, 15, 19, 21];

impl<W: World> Attacker<'_, W> {
    pub(super) async fn odd_login(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        let mut link = Link::connect(&self.world, 1 << 16, self.connect_limit()).await?;
        let result = match step.attack {
            Attack::NameOdd => self.odd_name(&mut link, step).await,
            Attack::OfferOdd => self.odd_offer(&mut link, step).await,
            Attack::KeyOutOfPlace => self.key_out_of_place(&mut link, step).await,
            _ => self.other_version(&mut link, step).await,
        };
        link.wire.abort();
        result
    }

    async fn odd_name(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (key, value, expected) = INTRODUCTIONS[variant(step, INTRODUCTIONS.len() as u32) as usize];
        let value = filled(value);
        let mut pairs = self.names();
        pairs.retain(|(name, _)| name != key);
        pairs.push((key.to_owned(), value));
        let answer = self.ask(link, TO_FULL_FEATURE, &pairs).await?;
        self.judge_status(step, &answer, expected);
        Ok(())
    }

    async fn odd_offer(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (key, value, admissible) = OFFERS[variant(step, OFFERS.len() as u32) as usize];
        let discovery = (step.amount / OFFERS.len() as u32).is_multiple_of(4);
        let mut pairs = self.names();
        if discovery {
            pairs[1] = ("SessionType".to_owned(), "Discovery".to_owned());
        }
        pairs.push((key.to_owned(), value.to_owned()));
        let answer = self.ask(link, TO_FULL_FEATURE, &pairs).await?;
        self.judge_status(step, &answer, SUCCESS);
        if answer.login_status() != SUCCESS {
            return Ok(());
        }
        let answers = text::decode(&answer.data).unwrap_or_default();
        let said: Vec<&str> = answers.iter().filter(|(name, _)| *name == key).map(|(_, value)| &**value).collect();
        if !said.iter().any(|said| admissible.contains(said) || discovery && *said == "Irrelevant") {
            self.complain("I7", step, &format!("{key}={value} was answered {said:?}"));
        }
        Ok(())
    }

    async fn key_out_of_place(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let (requests, expected) = SCRIPTS[variant(step, SCRIPTS.len() as u32) as usize];
        let names = self.names();
        for (number, &(flags, keys)) in requests.iter().enumerate() {
            let mut pairs = if number == 0 { names.clone() } else { Vec::new() };
            pairs.extend(keys.iter().map(|&(key, value)| {
                let value = match value {
                    "I" => &names[0].1,
                    "T" => &names[1].1,
                    other => other,
                };
                (key.to_owned(), value.to_owned())
            }));
            let answer = self.ask(link, flags, &pairs).await?;
            let last = number + 1 == requests.len();
            self.judge_status(step, &answer, if last { expected } else { SUCCESS });
            if answer.login_status() != SUCCESS {
                break;
            }
        }
        Ok(())
    }

    /// A version that is not there at first, or an identifier that changes on the way.
    async fn other_version(&mut self, link: &mut Link<W>, step: &AttackStep) -> Result<(), LinkError> {
        let kind = variant(step, (VERSIONS.len() + IDENTIFIERS.len()) as u32) as usize;
        let names = text::encode(&self.names());
        if let Some(&(most, least, expected)) = VERSIONS.get(kind) {
            let mut pdu = self.odd_request(TO_FULL_FEATURE, names);
            (pdu.bhs[2], pdu.bhs[3]) = (most, least);
            let answer = self.exchange(link, pdu).await?;
            self.judge_status(step, &answer, expected);
            return Ok(());
        }
        let request = self.odd_request(OPERATIONAL, names);
        if self.exchange(link, request).await?.login_status() != SUCCESS {
            return Ok(());
        }
        let mut pdu = self.odd_request(TO_FULL_FEATURE, Vec::new());
        pdu.bhs[IDENTIFIERS[kind - VERSIONS.len()]] ^= 1;
        let answer = self.exchange(link, pdu).await?;
        self.judge_status(step, &answer, INITIATOR_ERROR);
        Ok(())
    }

    fn odd_request(&self, flags: u8, data: Vec<u8>) -> RawPdu {
        RawPdu::login(flags, self.other_isid(), 0, 1, 0, data).sequenced(self.cmd_sn, 0)
    }

    /// One login request with `pairs`, and its response.
    async fn ask(&self, link: &mut Link<W>, flags: u8, pairs: &[(String, String)]) -> Result<RawPdu, LinkError> {
        self.exchange(link, self.odd_request(flags, text::encode(pairs))).await
    }

    async fn exchange(&self, link: &mut Link<W>, pdu: RawPdu) -> Result<RawPdu, LinkError> {
        let deadline = self.world.now() + LISTEN;
        link.send(pdu, deadline).await?;
        link.recv(deadline).await
    }

    fn judge_status(&self, step: &AttackStep, answer: &RawPdu, expected: u16) {
        let status = answer.login_status();
        // 03xx: the target has other troubles.
        if answer.opcode() == opcode::LOGIN_RESPONSE && status >> 8 != 3 && status != expected {
            let story = format!("login was answered with status {status:#06x}, expected {expected:#06x}");
            self.complain("I7", step, &story);
        }
    }
}

/// `value` as long as the number behind its star says.
fn filled(value: &str) -> String {
    match value.split_once('*').and_then(|(before, length)| Some((before, length.parse::<usize>().ok()?))) {
        Some((before, length)) => format!("{before}{}", "x".repeat(length - before.len())),
        None => value.to_owned(),
    }
}
