//! The keys of a login: who the initiator says it is, and what the two sides agree on.

use std::collections::BTreeMap;

use super::discovery::PORTAL_GROUP_TAG;
use super::keys::{Key, Use};
use super::negotiation::{Answer, lists, negotiate};
use super::parameters::Ours;
use super::{Identity, LoginStatus, Negotiated, Stage, initiator_error, malformed, name};
use crate::connection::error::ProtocolError;
use crate::id::Tsih;
use crate::target::TargetConfig;
use crate::wire::text::{TextBuilder, TextPairs};

/// The longest alias, in bytes: what any text value may have (RFC 7143, section 6.1).
const ALIAS_BYTES: usize = 255;

/// Who the initiator says it is and whom it wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Peer {
    pub(super) initiator_name: String,
    pub(super) initiator_alias: Option<String>,
    pub(super) discovery: bool,
    /// A discovery session may name a target, any other has to.
    pub(super) target: Option<usize>,
}

/// The state of the keys.
#[derive(Clone, Default, Debug)]
pub(super) struct Exchange {
    peer: Option<Peer>,
    /// All keys so far with their values.
    seen: BTreeMap<String, String>,
    agreed: Negotiated,
    /// MaxRecvDataSegmentLength was sent.
    declared: bool,
}

impl Exchange {
    /// Who the initiator is; known from the first text on.
    pub(super) fn peer(&self) -> &Peer {
        self.peer.as_ref().expect("the first text names the initiator, or login ends")
    }

    /// What is agreed so far.
    pub(super) fn negotiated(&self) -> Negotiated {
        let mut negotiated = self.agreed.clone();
        if !crate::planted!(NegotiationTakesMaximum) {
            // The two keys may come in either order, or only one of them.
            negotiated.first_burst_bytes = negotiated.first_burst_bytes.min(negotiated.max_burst_bytes);
        }
        negotiated
    }

    /// Takes a whole text, all PDUs of it joined, and adds the answers to `answers`.
    pub(super) fn on_text(
        &mut self,
        identity: &Identity<'_>,
        stage: Stage,
        tsih: Tsih,
        text: &[u8],
        answers: &mut TextBuilder,
    ) -> Result<(), ProtocolError> {
        let pairs = self.read(identity, text)?;
        if self.peer.is_none() {
            let peer = introduce(identity, &pairs)?;
            if let Some(target) = peer.target {
                present(&identity.targets[target], answers);
            }
            self.peer = Some(peer);
        } else if pairs.iter().any(|(name, _)| is_introduction(name)) {
            return Err(initiator_error("a key that belongs into the first request"));
        }
        let ours = Ours::new(identity.limits);
        // FirstBurstLength depends on the result of MaxBurstLength, so it comes last.
        let (last, first): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| *key == "FirstBurstLength");
        for (key, value) in first.into_iter().chain(last) {
            self.on_pair(&ours, stage, tsih, key, value, answers)?;
        }
        if stage == Stage::Operational && !self.declared {
            self.declared = true;
            self.agreed.max_recv_data_segment_bytes = ours.max_recv_data_segment_bytes;
            answers.push("MaxRecvDataSegmentLength", &ours.max_recv_data_segment_bytes.to_string());
        }
        Ok(())
    }

    /// The pairs of a text that are new. No key may come twice, but a declaration of who the initiator is may be
    /// repeated in a later text: libiscsi does so in each stage.
    fn read<'t>(&mut self, identity: &Identity<'_>, text: &'t [u8]) -> Result<Vec<(&'t str, &'t str)>, ProtocolError> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for pair in TextPairs::new(text) {
            let (name, value) = pair.map_err(malformed)?;
            match self.seen.get(name) {
                None if self.seen.len() >= identity.limits.text_keys => {
                    identity.limits.marks.text_keys.meet();
                    return Err(initiator_error("too many keys"));
                }
                None => {
                    self.seen.insert(name.to_owned(), value.to_owned());
                    identity.limits.marks.text_keys.reach(self.seen.len());
                    pairs.push((name, value));
                }
                Some(before) => {
                    let again = pairs.iter().any(|(earlier, _)| *earlier == name);
                    if again || before != value || !may_be_repeated(name) {
                        return Err(initiator_error("a key came twice"));
                    }
                }
            }
        }
        Ok(pairs)
    }

    fn on_pair(
        &mut self,
        ours: &Ours,
        stage: Stage,
        tsih: Tsih,
        name: &str,
        value: &str,
        answers: &mut TextBuilder,
    ) -> Result<(), ProtocolError> {
        let Some(key) = Key::from_name(name) else {
            if !crate::planted!(UnknownKeySilent) {
                answers.push(name, "NotUnderstood");
            }
            return Ok(());
        };
        let usage = key.usage();
        if is_answer(value) {
            // The initiator may say so of a key that we sent, not offer it. (It should understand ours; some do not.)
            return if usage == Use::TargetOnly { Ok(()) } else { Err(initiator_error("a reserved word as an offer")) };
        }
        match (usage, stage) {
            (Use::Introduction | Use::Always, _) => Ok(()),
            (Use::Security, Stage::Security) => authenticate(value, answers),
            (Use::LeadingOperational, Stage::Operational) if tsih != Tsih(0) => {
                Err(initiator_error("a key of the leading login"))
            }
            (Use::Operational | Use::LeadingOperational | Use::OperationalAndFullFeature, Stage::Operational) => {
                let irrelevant = self.peer().discovery && key.irrelevant_in_discovery();
                let answer = if irrelevant {
                    Answer::Value("Irrelevant".to_owned())
                } else {
                    negotiate(&mut self.agreed, ours, key, value)
                };
                say(name, answer, answers)
            }
            _ => Err(initiator_error("a key out of its place")),
        }
    }
}

/// Adds an answer to `answers`.
fn say(name: &str, answer: Answer, answers: &mut TextBuilder) -> Result<(), ProtocolError> {
    match answer {
        Answer::Value(value) => answers.push(name, &value),
        Answer::Reject => answers.push(name, "Reject"),
        Answer::Silence => {}
        Answer::Failure => return Err(initiator_error("a declared value out of range")),
    }
    Ok(())
}

/// The words that answer an offer and never make one (RFC 7143, section 6.2).
fn is_answer(value: &str) -> bool {
    matches!(value, "Reject" | "Irrelevant" | "NotUnderstood")
}

fn is_introduction(name: &str) -> bool {
    Key::from_name(name).is_some_and(|key| key.usage() == Use::Introduction)
}

fn may_be_repeated(name: &str) -> bool {
    Key::from_name(name).is_some_and(|key| matches!(key.usage(), Use::Introduction | Use::Always))
}

/// Reads the keys that have to be in the first text.
fn introduce(identity: &Identity<'_>, pairs: &[(&str, &str)]) -> Result<Peer, ProtocolError> {
    let value_of = |wanted: &str| pairs.iter().find(|(key, _)| *key == wanted).map(|&(_, value)| value);
    let refuse = |status, cause| Err(ProtocolError::Login { status, cause });
    let Some(initiator_name) = value_of("InitiatorName") else {
        return refuse(LoginStatus::MISSING_PARAMETER, "no InitiatorName");
    };
    if let Err(cause) = name::check(initiator_name) {
        return Err(initiator_error(cause));
    }
    let initiator_alias = value_of("InitiatorAlias").map(str::to_owned);
    if initiator_alias.as_ref().is_some_and(|alias| alias.len() > ALIAS_BYTES) {
        return Err(initiator_error("an alias that is too long"));
    }
    let discovery = match value_of("SessionType") {
        None | Some("Normal") => false,
        Some("Discovery") => true,
        Some(_) => return refuse(LoginStatus::SESSION_TYPE_NOT_SUPPORTED, "no session type of that name"),
    };
    let target = match value_of("TargetName") {
        None if discovery => None,
        None => return refuse(LoginStatus::MISSING_PARAMETER, "no TargetName"),
        Some(wanted) => match identity.targets.iter().position(|target| name::same(&target.name, wanted)) {
            None => return refuse(LoginStatus::NOT_FOUND, "no target of that name"),
            found => found,
        },
    };
    Ok(Peer { initiator_name: initiator_name.to_ascii_lowercase(), initiator_alias, discovery, target })
}

/// What the first response says of the target that was named.
fn present(target: &TargetConfig, answers: &mut TextBuilder) {
    if let Some(alias) = &target.alias {
        answers.push("TargetAlias", alias);
    }
    answers.push("TargetPortalGroupTag", &PORTAL_GROUP_TAG.to_string());
}

/// AuthMethod: a list of which only None is known.
fn authenticate(methods: &str, answers: &mut TextBuilder) -> Result<(), ProtocolError> {
    if !lists(methods, "None") {
        let (status, cause) = (LoginStatus::AUTHENTICATION_FAILURE, "no authentication method that the target knows");
        return Err(ProtocolError::Login { status, cause });
    }
    answers.push("AuthMethod", "None");
    Ok(())
}
