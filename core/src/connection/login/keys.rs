//! The keys and who may send them when (RFC 7143, section 13; RFC 7144, section 7).

/// A key that this target knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "each is the key of that name")]
pub enum Key {
    AuthMethod,
    InitiatorName,
    InitiatorAlias,
    TargetName,
    TargetAlias,
    TargetAddress,
    TargetPortalGroupTag,
    SessionType,
    SendTargets,
    HeaderDigest,
    DataDigest,
    MaxConnections,
    InitialR2T,
    ImmediateData,
    MaxRecvDataSegmentLength,
    MaxBurstLength,
    FirstBurstLength,
    DefaultTime2Wait,
    DefaultTime2Retain,
    MaxOutstandingR2T,
    DataPDUInOrder,
    DataSequenceInOrder,
    ErrorRecoveryLevel,
    TaskReporting,
    ISCSIProtocolLevel,
    OFMarker,
    IFMarker,
    OFMarkInt,
    IFMarkInt,
}

/// All keys with the names that they have on the wire.
const NAMES: [(&str, Key); 29] = [
    ("AuthMethod", Key::AuthMethod),
    ("InitiatorName", Key::InitiatorName),
    ("InitiatorAlias", Key::InitiatorAlias),
    ("TargetName", Key::TargetName),
    ("TargetAlias", Key::TargetAlias),
    ("TargetAddress", Key::TargetAddress),
    ("TargetPortalGroupTag", Key::TargetPortalGroupTag),
    ("SessionType", Key::SessionType),
    ("SendTargets", Key::SendTargets),
    ("HeaderDigest", Key::HeaderDigest),
    ("DataDigest", Key::DataDigest),
    ("MaxConnections", Key::MaxConnections),
    ("InitialR2T", Key::InitialR2T),
    ("ImmediateData", Key::ImmediateData),
    ("MaxRecvDataSegmentLength", Key::MaxRecvDataSegmentLength),
    ("MaxBurstLength", Key::MaxBurstLength),
    ("FirstBurstLength", Key::FirstBurstLength),
    ("DefaultTime2Wait", Key::DefaultTime2Wait),
    ("DefaultTime2Retain", Key::DefaultTime2Retain),
    ("MaxOutstandingR2T", Key::MaxOutstandingR2T),
    ("DataPDUInOrder", Key::DataPDUInOrder),
    ("DataSequenceInOrder", Key::DataSequenceInOrder),
    ("ErrorRecoveryLevel", Key::ErrorRecoveryLevel),
    ("TaskReporting", Key::TaskReporting),
    ("iSCSIProtocolLevel", Key::ISCSIProtocolLevel),
    ("OFMarker", Key::OFMarker),
    ("IFMarker", Key::IFMarker),
    ("OFMarkInt", Key::OFMarkInt),
    ("IFMarkInt", Key::IFMarkInt),
];

/// When an initiator may send a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// At the start of a login, in either stage.
    Introduction,
    /// In the security stage of login only.
    Security,
    /// In the operational stage of login only.
    Operational,
    /// In the operational stage of a session's first login only.
    LeadingOperational,
    /// In the operational stage and in full feature phase.
    OperationalAndFullFeature,
    /// At any time.
    Always,
    /// In full feature phase only.
    FullFeature,
    /// Never: it is the target's.
    TargetOnly,
}

impl Key {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; NAMES.len()] = {
        let mut keys = [Self::AuthMethod; NAMES.len()];
        let mut index = 0;
        while index < keys.len() {
            keys[index] = NAMES[index].1;
            index += 1;
        }
        keys
    };

    /// The key of that name. Names are told apart by case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, key)| key)
    }

    /// When an initiator may send it.
    #[must_use]
    pub fn usage(self) -> Use {
        match self {
            Self::AuthMethod => Use::Security,
            Self::InitiatorName | Self::TargetName | Self::SessionType => Use::Introduction,
            Self::InitiatorAlias => Use::Always,
            Self::TargetAlias | Self::TargetAddress | Self::TargetPortalGroupTag => Use::TargetOnly,
            Self::SendTargets => Use::FullFeature,
            Self::HeaderDigest
            | Self::DataDigest
            | Self::OFMarker
            | Self::IFMarker
            | Self::OFMarkInt
            | Self::IFMarkInt => Use::Operational,
            Self::MaxRecvDataSegmentLength => Use::OperationalAndFullFeature,
            _ => Use::LeadingOperational,
        }
    }

    /// It means nothing in a discovery session.
    #[must_use]
    pub fn irrelevant_in_discovery(self) -> bool {
        matches!(
            self,
            Self::MaxConnections
                | Self::InitialR2T
                | Self::ImmediateData
                | Self::MaxBurstLength
                | Self::FirstBurstLength
                | Self::MaxOutstandingR2T
                | Self::DataPDUInOrder
                | Self::DataSequenceInOrder
                | Self::TaskReporting
                | Self::ISCSIProtocolLevel
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_for_its_own_key() {
        for (index, (name, key)) in NAMES.iter().enumerate() {
            assert_eq!(Key::from_name(name), Some(*key));
            assert!(NAMES[..index].iter().all(|(_, other)| other != key));
        }
        assert_eq!(Key::from_name("maxburstlength"), None);
    }
}
