//! The operational parameters of a session: what is offered, what the target may answer, what results
//! (RFC 7143, section 13).

use std::collections::BTreeMap;

use super::codec::Digests;
use super::plan::Keys;

/// What holds in full feature phase. Lengths in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parameters {
    pub(super) digests: Digests,
    pub(super) initial_r2t: bool,
    pub(super) immediate_data: bool,
    pub(super) own_max_recv: u32,
    pub(super) target_max_recv: u32,
    pub(super) max_burst: u32,
    pub(super) first_burst: u32,
    pub(super) max_outstanding_r2t: u32,
}

impl Parameters {
    /// What holds when a login that agreed on `login` takes the place of the session's connection: digests and segment
    /// lengths are each connection's own (RFC 7143, section 13).
    pub(super) fn succeeded_by(&self, login: &Self) -> Self {
        Self {
            digests: login.digests,
            own_max_recv: login.own_max_recv,
            target_max_recv: login.target_max_recv,
            ..self.clone()
        }
    }
}

/// MaxRecvDataSegmentLength as long as it was not declared, and during login.
pub(super) const DEFAULT_MAX_RECV: u32 = 8_192;

/// How the two sides' values make one (RFC 7143, 6.2).
#[derive(Clone, Copy)]
enum Rule {
    /// The first of the offered list that the target takes.
    List,
    Or,
    And,
    Minimum(u32, u32),
    Maximum(u32, u32),
    /// To be answered NotUnderstood.
    Unknown,
}

fn rule(key: &str) -> Rule {
    match key {
        "HeaderDigest" | "DataDigest" | "AuthMethod" => Rule::List,
        "InitialR2T" | "DataPDUInOrder" | "DataSequenceInOrder" => Rule::Or,
        "ImmediateData" => Rule::And,
        "MaxBurstLength" | "FirstBurstLength" => Rule::Minimum(512, (1 << 24) - 1),
        "MaxOutstandingR2T" | "MaxConnections" => Rule::Minimum(1, 65_535),
        "ErrorRecoveryLevel" => Rule::Minimum(0, 2),
        "DefaultTime2Retain" => Rule::Minimum(0, 3_600),
        "DefaultTime2Wait" => Rule::Maximum(0, 3_600),
        _ => Rule::Unknown,
    }
}

/// One negotiation, from the initiator's side.
#[derive(Debug)]
pub(super) struct Negotiation {
    offers: BTreeMap<String, String>,
    results: BTreeMap<String, String>,
    target_max_recv: Option<u32>,
    own_max_recv: u32,
    own_declared: bool,
    portal_group_tag: bool,
}

impl Negotiation {
    pub(super) fn new(keys: &Keys) -> Self {
        Self {
            offers: BTreeMap::new(),
            results: BTreeMap::new(),
            target_max_recv: None,
            own_max_recv: keys.max_recv_data_segment_length.unwrap_or(DEFAULT_MAX_RECV),
            own_declared: false,
            portal_group_tag: false,
        }
    }

    /// The operational offers of `keys`, noted as made.
    pub(super) fn offer(&mut self, keys: &Keys) -> Vec<(String, String)> {
        let yes_no = |value: bool| if value { "Yes".to_owned() } else { "No".to_owned() };
        let number = |value: u32| value.to_string();
        let offers = [
            ("HeaderDigest", keys.header_digest.clone()),
            ("DataDigest", keys.data_digest.clone()),
            ("InitialR2T", keys.initial_r2t.map(yes_no)),
            ("ImmediateData", keys.immediate_data.map(yes_no)),
            ("MaxBurstLength", keys.max_burst_length.map(number)),
            ("FirstBurstLength", keys.first_burst_length.map(number)),
            ("MaxOutstandingR2T", keys.max_outstanding_r2t.map(number)),
            ("DataPDUInOrder", keys.data_pdu_in_order.map(yes_no)),
            ("DataSequenceInOrder", keys.data_sequence_in_order.map(yes_no)),
            ("ErrorRecoveryLevel", keys.error_recovery_level.map(number)),
            ("MaxConnections", keys.max_connections.map(number)),
            ("DefaultTime2Wait", keys.default_time2wait.map(number)),
            ("DefaultTime2Retain", keys.default_time2retain.map(number)),
            ("X-example.invalid.unknown", keys.unknown.clone()),
        ];
        let mut pairs = Vec::new();
        if let Some(length) = keys.max_recv_data_segment_length {
            self.own_declared = true;
            pairs.push(("MaxRecvDataSegmentLength".to_owned(), length.to_string()));
        }
        for (key, value) in offers {
            if let Some(value) = value {
                pairs.push(self.offer_one(key, value));
            }
        }
        pairs
    }

    /// One more offer, noted as made.
    pub(super) fn offer_one(&mut self, key: &str, value: String) -> (String, String) {
        self.offers.insert(key.to_owned(), value.clone());
        (key.to_owned(), value)
    }

    /// Takes a pair of the target's: the answer to an offer, a declaration, or an offer of its own, to which the
    /// result is the reply.
    pub(super) fn take(&mut self, key: &str, value: &str) -> Result<Option<(String, String)>, String> {
        match key {
            "MaxRecvDataSegmentLength" => {
                let length = parse_number(key, value, 512, (1 << 24) - 1)?;
                self.target_max_recv = Some(length);
                return Ok(None);
            }
            "TargetPortalGroupTag" => {
                parse_number(key, value, 0, 65_535)?;
                self.portal_group_tag = true;
                return Ok(None);
            }
            "TargetAlias" | "TargetAddress" => return Ok(None),
            _ => {}
        }
        if self.results.contains_key(key) {
            return Err(format!("{key} was negotiated twice"));
        }
        let Some(offer) = self.offers.get(key) else {
            let reply = if matches!(rule(key), Rule::Unknown) { "NotUnderstood" } else { value };
            if !matches!(rule(key), Rule::Unknown) {
                self.results.insert(key.to_owned(), value.to_owned());
            }
            let reply = reply.split(',').next().unwrap_or_default().to_owned();
            return Ok(Some((key.to_owned(), reply)));
        };
        self.check(key, offer, value)?;
        self.results.insert(key.to_owned(), value.to_owned());
        Ok(None)
    }

    /// Whether the target named its portal group.
    pub(super) fn has_portal_group_tag(&self) -> bool {
        self.portal_group_tag
    }

    /// What holds from now on.
    pub(super) fn finish(&self) -> Result<Parameters, String> {
        if let Some(key) = self.offers.keys().find(|key| !self.results.contains_key(*key)) {
            return Err(format!("{key} was offered and never answered"));
        }
        let result = |key: &str| self.results.get(key).map(String::as_str);
        let number = |key: &str, default: u32| result(key).and_then(|value| value.parse().ok()).unwrap_or(default);
        let yes = |key: &str| result(key).is_none_or(|value| value == "Yes");
        let crc = |key: &str| result(key) == Some("CRC32C");
        let max_burst = number("MaxBurstLength", 262_144);
        Ok(Parameters {
            digests: Digests { header: crc("HeaderDigest"), data: crc("DataDigest") },
            initial_r2t: yes("InitialR2T"),
            immediate_data: yes("ImmediateData"),
            own_max_recv: if self.own_declared { self.own_max_recv } else { DEFAULT_MAX_RECV },
            target_max_recv: self.target_max_recv.unwrap_or(DEFAULT_MAX_RECV),
            max_burst,
            first_burst: number("FirstBurstLength", 65_536).min(max_burst),
            max_outstanding_r2t: number("MaxOutstandingR2T", 1),
        })
    }

    fn check(&self, key: &str, offer: &str, value: &str) -> Result<(), String> {
        let wrong = || Err(format!("{key}={offer} was answered {value}"));
        match rule(key) {
            Rule::List if offer.split(',').any(|choice| choice == value) => Ok(()),
            Rule::Or | Rule::And if value != "Yes" && value != "No" => wrong(),
            Rule::Or if offer == "Yes" && value == "No" => wrong(),
            Rule::And if offer == "No" && value == "Yes" => wrong(),
            Rule::Or | Rule::And => Ok(()),
            Rule::Minimum(..) if value == "Irrelevant" && self.is_irrelevant(key) => Ok(()),
            Rule::Minimum(low, high) => {
                let number = parse_number(key, value, low, high)?;
                if offer.parse().is_ok_and(|offer: u32| number <= offer) { Ok(()) } else { wrong() }
            }
            Rule::Maximum(low, high) => {
                let number = parse_number(key, value, low, high)?;
                if offer.parse().is_ok_and(|offer: u32| number >= offer) { Ok(()) } else { wrong() }
            }
            Rule::Unknown if value == "NotUnderstood" => Ok(()),
            Rule::List | Rule::Unknown => wrong(),
        }
    }

    /// Without unsolicited data FirstBurstLength says nothing; some keys mean something with several connections only.
    fn is_irrelevant(&self, key: &str) -> bool {
        let offered = |key: &str| self.offers.get(key).or_else(|| self.results.get(key)).map(String::as_str);
        key == "FirstBurstLength" && offered("InitialR2T") != Some("No") && offered("ImmediateData") == Some("No")
    }
}

fn parse_number(key: &str, value: &str, low: u32, high: u32) -> Result<u32, String> {
    let number = match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => value.parse(),
    };
    match number {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!("{key}={value} is not a number from {low} to {high}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiation(keys: &Keys) -> Negotiation {
        let mut negotiation = Negotiation::new(keys);
        negotiation.offer(keys);
        negotiation
    }

    #[test]
    fn answers_outside_the_result_function_are_refused() {
        let keys = Keys {
            header_digest: Some("CRC32C".into()),
            initial_r2t: Some(true),
            immediate_data: Some(false),
            max_burst_length: Some(4_096),
            default_time2wait: Some(5),
            unknown: Some("1".into()),
            ..Keys::default()
        };
        for (key, value) in [
            ("HeaderDigest", "None"),
            ("InitialR2T", "No"),
            ("InitialR2T", "yes"),
            ("ImmediateData", "Yes"),
            ("MaxBurstLength", "4097"),
            ("MaxBurstLength", "511"),
            ("MaxBurstLength", "Irrelevant"),
            ("DefaultTime2Wait", "4"),
            ("X-example.invalid.unknown", "1"),
            ("MaxRecvDataSegmentLength", "511"),
        ] {
            assert!(negotiation(&keys).take(key, value).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn unanswered_offer_is_refused_at_the_end() {
        let keys = Keys { max_burst_length: Some(4_096), ..Keys::default() };
        assert!(negotiation(&keys).finish().is_err());
    }

    #[test]
    fn results_and_defaults_make_the_parameters() {
        let keys = Keys {
            data_digest: Some("CRC32C,None".into()),
            initial_r2t: Some(false),
            max_burst_length: Some(4_096),
            max_recv_data_segment_length: Some(600),
            ..Keys::default()
        };
        let mut negotiation = negotiation(&keys);
        for (key, value) in [("DataDigest", "CRC32C"), ("InitialR2T", "No"), ("MaxBurstLength", "2048")] {
            assert_eq!(negotiation.take(key, value), Ok(None));
        }
        let parameters = negotiation.finish().unwrap();
        assert!(parameters.digests.data && !parameters.digests.header);
        assert!(!parameters.initial_r2t && parameters.immediate_data);
        assert_eq!((parameters.max_burst, parameters.first_burst), (2_048, 2_048));
        assert_eq!((parameters.own_max_recv, parameters.target_max_recv), (600, DEFAULT_MAX_RECV));
    }

    #[test]
    fn offer_of_the_target_is_answered() {
        let mut negotiation = negotiation(&Keys::default());
        let reply = negotiation.take("HeaderDigest", "None,CRC32C").unwrap().unwrap();
        assert_eq!(reply, ("HeaderDigest".to_owned(), "None".to_owned()));
        let reply = negotiation.take("X-what", "7").unwrap().unwrap();
        assert_eq!(reply.1, "NotUnderstood");
    }
}
