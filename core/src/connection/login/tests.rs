//! Logins as transcripts: requests in, replies out.

use std::collections::BTreeMap;

use super::discovery::{Asker, send_targets};
use super::*;
use crate::id::Itt;
use crate::limits::Limits;
use crate::wire::text::TextPairs;

const TARGET: &str = "iqn.2026-01.com.example:disk1";
const WHO: &str = "InitiatorName=iqn.2026-01.com.example:host\0TargetName=iqn.2026-01.com.example:disk1\0";
const FIRST_STAT_SN: SerialNumber = SerialNumber(u32::MAX);
const CMD_SN: SerialNumber = SerialNumber(41);

/// An initiator at one end and the login at the other.
struct Transcript {
    limits: Bounds,
    targets: Vec<TargetConfig>,
    login: Login,
    request: LoginRequest,
}

impl Transcript {
    fn new() -> Self {
        let target = |name: &str, alias: Option<&str>| TargetConfig {
            name: name.to_owned(),
            alias: alias.map(str::to_owned),
            luns: BTreeMap::new(),
        };
        Self {
            limits: Bounds::new(Limits::default()),
            targets: vec![target("iqn.2026-01.com.example:other", None), target(TARGET, Some("a disk"))],
            login: Login::new(FIRST_STAT_SN),
            request: LoginRequest {
                transit: false,
                continue_bit: false,
                current_stage: 1,
                next_stage: 0,
                version_max: 0,
                version_min: 0,
                isid: Isid([0x80, 1, 2, 3, 4, 5]),
                tsih: Tsih(0),
                itt: Itt(7),
                cid: Cid(9),
                cmd_sn: CMD_SN,
                exp_stat_sn: SerialNumber(0),
            },
        }
    }

    fn send(&mut self, text: &str) -> LoginAction {
        self.send_bytes(text.as_bytes())
    }

    fn send_bytes(&mut self, data: &[u8]) -> LoginAction {
        let local = SocketAddr::from(([192, 0, 2, 1], 3260));
        let identity = Identity { limits: &self.limits, targets: &self.targets, local };
        self.login.on_request(&identity, &self.request, data)
    }

    /// From stage `current`, ready to go to stage `next` if there is one.
    fn stage(&mut self, current: u8, next: Option<u8>) -> &mut Self {
        self.request.current_stage = current;
        self.request.transit = next.is_some();
        self.request.next_stage = next.unwrap_or(0);
        self.request.continue_bit = false;
        self
    }

    fn continued(&mut self) -> &mut Self {
        let stage = self.request.current_stage;
        self.stage(stage, None).request.continue_bit = true;
        self
    }
}

fn reply(action: LoginAction) -> LoginReply {
    match action {
        LoginAction::Reply(reply) => reply,
        other => panic!("expected a reply, got {other:?}"),
    }
}

fn outcome(action: LoginAction) -> LoginOutcome {
    match action {
        LoginAction::Establish(outcome) => *outcome,
        other => panic!("expected success, got {other:?}"),
    }
}

fn refusal(action: LoginAction) -> LoginStatus {
    match action {
        LoginAction::Refuse(LoginReply { response, data }) => {
            assert!(data.is_empty() && !response.transit && response.current_stage == 0);
            LoginStatus(u16::from_be_bytes([response.status_class, response.status_detail]))
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn text(reply: &LoginReply) -> Vec<(String, String)> {
    TextPairs::new(&reply.data)
        .map(|pair| pair.map(|(key, value)| (key.to_owned(), value.to_owned())).unwrap())
        .collect()
}

/// The answer to `key` in a login of one request with `pairs` after who the initiator is.
fn answer_to(key: &str, pairs: &str) -> Option<String> {
    let mut transcript = Transcript::new();
    let action = transcript.send(&format!("{WHO}{pairs}"));
    text(&reply(action)).into_iter().find(|(answered, _)| answered == key).map(|(_, value)| value)
}

/// What a login of one request with `pairs` agrees on.
fn agreed(pairs: &str) -> Negotiated {
    let mut transcript = Transcript::new();
    outcome(transcript.stage(1, Some(3)).send(&format!("{WHO}{pairs}"))).negotiated
}

#[test]
fn login_through_both_stages_succeeds() {
    let mut t = Transcript::new();
    let first = reply(t.stage(0, Some(1)).send(&format!("{WHO}InitiatorAlias=me\0AuthMethod=CHAP,None\0")));
    assert!(first.response.transit && first.response.next_stage == 1);
    assert_eq!(first.data, b"TargetAlias=a disk\0TargetPortalGroupTag=1\0AuthMethod=None\0");

    let second = outcome(t.stage(1, Some(3)).send("MaxBurstLength=4096\0MaxRecvDataSegmentLength=1024\0"));
    assert_eq!(
        (second.initiator_name.as_str(), second.initiator_alias.as_deref()),
        ("iqn.2026-01.com.example:host", Some("me"))
    );
    assert_eq!((second.discovery, second.target, second.tsih, second.cid), (false, Some(1), Tsih(0), Cid(9)));
    assert_eq!((second.negotiated.max_burst_bytes, second.negotiated.max_send_data_segment_bytes), (4096, 1024));

    let last = t.login.established(Tsih(5));
    assert!(last.response.transit && last.response.next_stage == 3 && last.response.tsih == Tsih(5));
    assert_eq!(last.data, b"MaxBurstLength=4096\0MaxRecvDataSegmentLength=262144\0");
}

#[test]
fn login_may_begin_in_either_stage_and_jump() {
    outcome(Transcript::new().stage(0, Some(3)).send(WHO));
    outcome(Transcript::new().stage(1, Some(3)).send(WHO));
    let mut stays = Transcript::new();
    assert!(!reply(stays.stage(0, None).send(WHO)).response.transit);
    assert!(!reply(stays.stage(0, None).send("AuthMethod=None\0")).response.transit);
    outcome(stays.stage(0, Some(3)).send(""));
}

#[test]
fn jump_past_the_operational_stage_leaves_the_defaults() {
    assert_eq!(outcome(Transcript::new().stage(0, Some(3)).send(WHO)).negotiated, Negotiated::default());
}

#[test]
fn illegal_stages_are_refused() {
    for (current, next) in [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2), (2, 3), (3, 3)] {
        let status = refusal(Transcript::new().stage(current, Some(next)).send(WHO));
        assert_eq!(status, LoginStatus::INITIATOR_ERROR, "{current} -> {next}");
    }
    let mut back = Transcript::new();
    reply(back.stage(1, None).send(WHO));
    assert_eq!(refusal(back.stage(0, None).send("")), LoginStatus::INITIATOR_ERROR);
    let mut ahead = Transcript::new();
    reply(ahead.stage(0, None).send(WHO));
    assert_eq!(refusal(ahead.stage(1, None).send("")), LoginStatus::INITIATOR_ERROR);
}

#[test]
fn numbers_run_through_the_login() {
    let mut t = Transcript::new();
    let first = reply(t.stage(0, Some(1)).send(WHO)).response;
    assert_eq!((first.stat_sn, first.exp_cmd_sn), (FIRST_STAT_SN, CMD_SN));
    assert_eq!(first.max_cmd_sn, CMD_SN.plus(t.limits.command_window - 1));
    t.request.exp_stat_sn = FIRST_STAT_SN.next();
    let outcome = outcome(t.stage(1, Some(3)).send(""));
    assert_eq!((outcome.exp_cmd_sn, outcome.exp_stat_sn), (CMD_SN, FIRST_STAT_SN.next()));
    let last = t.login.established(Tsih(1)).response;
    assert_eq!((last.stat_sn, outcome.next_stat_sn), (FIRST_STAT_SN.next(), FIRST_STAT_SN.plus(2)));
    assert_eq!((last.itt, last.isid), (t.request.itt, t.request.isid));
}

#[test]
fn text_cut_anywhere_by_the_c_bit_is_joined() {
    let whole = format!("{WHO}MaxBurstLength=8192\0");
    for cut in 0..=whole.len() {
        let mut t = Transcript::new();
        let empty = reply(t.continued().send(&whole[..cut]));
        assert!(empty.data.is_empty() && !empty.response.continue_bit && !empty.response.transit);
        assert_eq!(outcome(t.stage(1, Some(3)).send(&whole[cut..])).negotiated.max_burst_bytes, 8192);
    }
}

#[test]
fn t_and_c_bit_together_are_refused() {
    let mut t = Transcript::new();
    t.stage(1, Some(3)).request.continue_bit = true;
    assert_eq!(refusal(t.send(WHO)), LoginStatus::INITIATOR_ERROR);
}

/// 200 keys of 60 bytes that nobody knows: about 15,000 bytes of NotUnderstood.
fn many_keys() -> String {
    (0..200).map(|index| format!("X-{index:058}=\0")).collect()
}

#[test]
fn long_answer_is_fetched_in_parts_and_then_the_stage_changes() {
    let mut t = Transcript::new();
    t.limits = Bounds::new(Limits { text_keys: 1_000, ..Limits::default() });
    let keys = format!("{WHO}{}", many_keys());
    let (head, tail) = keys.split_at(SEGMENT_BYTES);
    reply(t.continued().send(head));
    let first = reply(t.stage(1, Some(3)).send(tail));
    assert!(first.response.continue_bit && !first.response.transit);
    assert_eq!(first.data.len(), SEGMENT_BYTES);
    outcome(t.send(""));
    let last = t.login.established(Tsih(1));
    assert!(last.response.transit && !last.response.continue_bit);
    let whole = [first.data, last.data].concat();
    let answers: Result<Vec<_>, _> = TextPairs::new(&whole).collect();
    assert_eq!(answers.unwrap().iter().filter(|(_, value)| *value == "NotUnderstood").count(), 200);
}

#[test]
fn text_while_the_answer_is_being_sent_is_refused() {
    let mut t = Transcript::new();
    let keys = format!("{WHO}{}", many_keys());
    let (head, tail) = keys.split_at(SEGMENT_BYTES);
    reply(t.continued().send(head));
    assert!(reply(t.stage(1, None).send(tail)).response.continue_bit);
    assert_eq!(refusal(t.send("InitialR2T=No\0")), LoginStatus::INITIATOR_ERROR);
}

#[test]
fn initiator_has_to_say_who_it_is_and_whom_it_wants() {
    let status = |text: &str| refusal(Transcript::new().send(text));
    assert_eq!(status(""), LoginStatus::MISSING_PARAMETER);
    assert_eq!(status("InitiatorName=iqn.2026-01.com.example:host\0"), LoginStatus::MISSING_PARAMETER);
    assert_eq!(status(&format!("TargetName={TARGET}\0")), LoginStatus::MISSING_PARAMETER);
    assert_eq!(status(&format!("InitiatorName=me\0TargetName={TARGET}\0")), LoginStatus::INITIATOR_ERROR);
    assert_eq!(status(&WHO.replace("disk1", "disk2")), LoginStatus::NOT_FOUND);
    assert_eq!(status(&format!("{WHO}SessionType=Odd\0")), LoginStatus::SESSION_TYPE_NOT_SUPPORTED);
    assert_eq!(status(&format!("{WHO}InitiatorAlias={}\0", "a".repeat(256))), LoginStatus::INITIATOR_ERROR);
    reply(Transcript::new().send(&format!("{WHO}InitiatorAlias={}\0", "a".repeat(255))));
}

#[test]
fn target_name_is_found_whatever_its_case() {
    let who = WHO.replace("disk1", "DISK1").replace("host", "HOST");
    let outcome = outcome(Transcript::new().stage(1, Some(3)).send(&who));
    assert_eq!((outcome.target, outcome.initiator_name.as_str()), (Some(1), "iqn.2026-01.com.example:host"));
}

#[test]
fn introduction_may_be_repeated_but_not_changed() {
    let mut same = Transcript::new();
    reply(same.stage(0, Some(1)).send(&format!("{WHO}SessionType=Normal\0")));
    outcome(same.stage(1, Some(3)).send(&format!("{WHO}SessionType=Normal\0")));
    let mut beside = Transcript::new();
    reply(beside.stage(0, Some(1)).send(WHO));
    outcome(beside.stage(1, Some(3)).send(&format!("MaxBurstLength=512\0{WHO}")));
    let mut other = Transcript::new();
    reply(other.stage(0, Some(1)).send(WHO));
    let changed = "TargetName=iqn.2026-01.com.example:other\0";
    assert_eq!(refusal(other.stage(1, Some(3)).send(changed)), LoginStatus::INITIATOR_ERROR);
    let mut late = Transcript::new();
    reply(late.stage(0, Some(1)).send(WHO));
    assert_eq!(refusal(late.stage(1, Some(3)).send("SessionType=Discovery\0")), LoginStatus::INITIATOR_ERROR);
}

#[test]
fn discovery_session_names_no_target() {
    let mut t = Transcript::new();
    let who = "InitiatorName=iqn.2026-01.com.example:host\0SessionType=Discovery\0";
    let outcome = outcome(t.stage(1, Some(3)).send(&format!("{who}MaxBurstLength=512\0HeaderDigest=CRC32C\0")));
    assert!(outcome.discovery && outcome.target.is_none());
    let last = t.login.established(Tsih(1));
    assert_eq!(last.data, b"MaxBurstLength=Irrelevant\0HeaderDigest=CRC32C\0MaxRecvDataSegmentLength=262144\0");
    assert_eq!(outcome.negotiated.max_burst_bytes, Negotiated::default().max_burst_bytes);
}

#[test]
fn discovery_session_may_name_a_target() {
    let mut t = Transcript::new();
    let outcome = outcome(t.stage(0, Some(3)).send(&format!("{WHO}SessionType=Discovery\0")));
    assert!(outcome.discovery && outcome.target.is_none());
    assert_eq!(t.login.established(Tsih(1)).data, b"TargetAlias=a disk\0TargetPortalGroupTag=1\0");
    let unknown = WHO.replace("disk1", "disk2");
    let status = refusal(Transcript::new().send(&format!("{unknown}SessionType=Discovery\0")));
    assert_eq!(status, LoginStatus::NOT_FOUND);
}

#[test]
fn every_key_irrelevant_in_discovery_is_answered_so() {
    for key in [
        "MaxConnections",
        "InitialR2T",
        "ImmediateData",
        "MaxBurstLength",
        "FirstBurstLength",
        "MaxOutstandingR2T",
        "DataPDUInOrder",
        "DataSequenceInOrder",
        "TaskReporting",
        "iSCSIProtocolLevel",
    ] {
        let who = "InitiatorName=iqn.2026-01.com.example:host\0SessionType=Discovery\0";
        let answer = reply(Transcript::new().send(&format!("{who}{key}=1\0")));
        assert!(text(&answer).contains(&(key.to_owned(), "Irrelevant".to_owned())), "{key}");
    }
}

#[test]
fn authentication_without_none_fails() {
    let mut t = Transcript::new();
    let status = refusal(t.stage(0, Some(1)).send(&format!("{WHO}AuthMethod=CHAP,KRB5\0")));
    assert_eq!(status, LoginStatus::AUTHENTICATION_FAILURE);
}

#[test]
fn another_version_is_refused() {
    let mut t = Transcript::new();
    (t.request.version_min, t.request.version_max) = (1, 1);
    assert_eq!(refusal(t.send(WHO)), LoginStatus::UNSUPPORTED_VERSION);
    let mut range = Transcript::new();
    range.request.version_max = 3;
    assert_eq!(reply(range.send(WHO)).response.version_active, 0);
}

#[test]
fn identifiers_that_change_are_refused() {
    let changes: [fn(&mut LoginRequest); 4] = [
        |request| request.isid.0[5] ^= 1,
        |request| request.tsih = Tsih(1),
        |request| request.itt = Itt(8),
        |request| request.cid = Cid(8),
    ];
    for change in changes {
        let mut t = Transcript::new();
        reply(t.send(WHO));
        change(&mut t.request);
        assert_eq!(refusal(t.send("")), LoginStatus::INITIATOR_ERROR);
    }
}

#[test]
fn keys_out_of_their_place_are_refused() {
    let in_stage = |stage, pair: &str| refusal(Transcript::new().stage(stage, None).send(&format!("{WHO}{pair}\0")));
    for pair in ["MaxBurstLength=512", "HeaderDigest=None", "MaxRecvDataSegmentLength=512", "SendTargets=All"] {
        assert_eq!(in_stage(0, pair), LoginStatus::INITIATOR_ERROR, "{pair}");
    }
    for pair in ["AuthMethod=None", "SendTargets=All", "TargetPortalGroupTag=1", "TargetAddress=a", "TargetAlias=a"] {
        assert_eq!(in_stage(1, pair), LoginStatus::INITIATOR_ERROR, "{pair}");
    }
}

#[test]
fn leading_keys_in_another_login_of_the_session_are_refused() {
    let mut t = Transcript::new();
    t.request.tsih = Tsih(3);
    assert_eq!(refusal(t.stage(1, Some(3)).send(&format!("{WHO}MaxBurstLength=512\0"))), LoginStatus::INITIATOR_ERROR);
    let mut t = Transcript::new();
    t.request.tsih = Tsih(3);
    let own = "HeaderDigest=CRC32C\0MaxRecvDataSegmentLength=512\0";
    let outcome = outcome(t.stage(1, Some(3)).send(&format!("{WHO}{own}")));
    assert!(outcome.tsih == Tsih(3) && outcome.negotiated.header_digest);
    assert_eq!(outcome.negotiated.max_send_data_segment_bytes, 512);
}

#[test]
fn key_that_comes_twice_is_refused() {
    for pair in ["MaxBurstLength=512", "MaxRecvDataSegmentLength=512", "X-odd=1"] {
        let twice = refusal(Transcript::new().send(&format!("{WHO}{pair}\0{pair}\0")));
        assert_eq!(twice, LoginStatus::INITIATOR_ERROR, "{pair}");
        let mut later = Transcript::new();
        reply(later.send(&format!("{WHO}{pair}\0")));
        assert_eq!(refusal(later.send(&format!("{pair}\0"))), LoginStatus::INITIATOR_ERROR, "{pair}");
    }
    assert_eq!(refusal(Transcript::new().send(&format!("{WHO}{WHO}"))), LoginStatus::INITIATOR_ERROR);
}

#[test]
fn malformed_text_is_refused() {
    for text in [&b"A"[..], b"A\0", b"=1\0", b"A=\xff\0"] {
        let bytes = [WHO.as_bytes(), text].concat();
        assert_eq!(refusal(Transcript::new().send_bytes(&bytes)), LoginStatus::INITIATOR_ERROR);
    }
}

#[test]
fn reserved_words_are_no_offers() {
    for word in ["Reject", "Irrelevant", "NotUnderstood"] {
        let status = refusal(Transcript::new().send(&format!("{WHO}MaxBurstLength={word}\0")));
        assert_eq!(status, LoginStatus::INITIATOR_ERROR);
    }
    let mut t = Transcript::new();
    reply(t.stage(0, Some(1)).send(WHO));
    outcome(t.stage(1, Some(3)).send("TargetPortalGroupTag=NotUnderstood\0TargetAlias=Irrelevant\0"));
}

#[test]
fn own_segment_length_is_declared_once() {
    let mut t = Transcript::new();
    assert_eq!(text(&reply(t.stage(0, Some(1)).send(WHO))).len(), 2);
    let declaration = ("MaxRecvDataSegmentLength".to_owned(), "262144".to_owned());
    assert_eq!(text(&reply(t.stage(1, None).send(""))), [declaration]);
    assert_eq!(text(&reply(t.send(""))), []);
}

#[test]
fn every_operational_key_has_its_result() {
    for (pair, answer) in [
        ("HeaderDigest=CRC32C,None", "CRC32C"),
        ("HeaderDigest=None,CRC32C", "None"),
        ("DataDigest=X-SHA,CRC32C", "CRC32C"),
        ("DataDigest=X-SHA", "Reject"),
        ("MaxConnections=8", "1"),
        ("MaxConnections=0", "Reject"),
        ("InitialR2T=Yes", "Yes"),
        ("InitialR2T=No", "No"),
        ("ImmediateData=Yes", "Yes"),
        ("ImmediateData=No", "No"),
        ("ImmediateData=yes", "Reject"),
        ("ImmediateData=?", "Reject"),
        ("MaxBurstLength=16776192", "1048576"),
        ("MaxBurstLength=0x1000", "4096"),
        ("MaxBurstLength=511", "Reject"),
        ("MaxBurstLength=16777216", "Reject"),
        ("MaxBurstLength=99999999999999999999999", "Reject"),
        ("MaxBurstLength=+512", "Reject"),
        ("MaxBurstLength=", "Reject"),
        ("FirstBurstLength=512", "512"),
        ("DefaultTime2Wait=3", "3"),
        ("DefaultTime2Wait=3601", "Reject"),
        ("DefaultTime2Retain=20", "0"),
        ("MaxOutstandingR2T=1", "1"),
        ("MaxOutstandingR2T=65535", "8"),
        ("MaxOutstandingR2T=65536", "Reject"),
        ("DataPDUInOrder=No", "Yes"),
        ("DataSequenceInOrder=No", "Yes"),
        ("ErrorRecoveryLevel=2", "0"),
        ("ErrorRecoveryLevel=3", "Reject"),
        ("TaskReporting=FastAbort,RFC3720", "RFC3720"),
        ("TaskReporting=FastAbort", "Reject"),
        ("iSCSIProtocolLevel=2", "1"),
        ("iSCSIProtocolLevel=0", "0"),
        ("OFMarker=Yes", "No"),
        ("IFMarker=No", "No"),
        ("OFMarkInt=1~2", "Reject"),
        ("IFMarkInt=1~2", "Reject"),
        ("X-com.example.odd=1", "NotUnderstood"),
        ("X#NodeArchitecture=1", "NotUnderstood"),
        ("maxburstlength=512", "NotUnderstood"),
    ] {
        let (key, _) = pair.split_once('=').unwrap();
        assert_eq!(answer_to(key, &format!("{pair}\0")).as_deref(), Some(answer), "{pair}");
    }
}

#[test]
fn segment_length_of_the_peer_is_taken_silently_or_fails_the_login() {
    assert_eq!(agreed("MaxRecvDataSegmentLength=512\0").max_send_data_segment_bytes, 512);
    assert_eq!(agreed("MaxRecvDataSegmentLength=0xffffff\0").max_send_data_segment_bytes, 0x00ff_ffff);
    for wrong in ["511", "0x1000000", ""] {
        let refused = Transcript::new().send(&format!("{WHO}MaxRecvDataSegmentLength={wrong}\0"));
        assert_eq!(refusal(refused), LoginStatus::INITIATOR_ERROR, "{wrong}");
    }
}

#[test]
fn first_burst_never_exceeds_the_burst_whatever_the_order() {
    for pairs in [
        "FirstBurstLength=65536\0MaxBurstLength=4096\0",
        "MaxBurstLength=4096\0FirstBurstLength=65536\0",
        "MaxBurstLength=4096\0",
    ] {
        assert_eq!(agreed(pairs).first_burst_bytes, 4096, "{pairs}");
    }
    assert_eq!(answer_to("FirstBurstLength", "FirstBurstLength=65536\0MaxBurstLength=4096\0").as_deref(), Some("4096"));
}

#[test]
fn rejected_value_leaves_what_held_before() {
    assert_eq!(
        agreed("HeaderDigest=X\0MaxBurstLength=1\0InitialR2T=Maybe\0"),
        Negotiated { max_recv_data_segment_bytes: 262_144, ..Negotiated::default() }
    );
}

#[test]
fn login_is_bounded_in_bytes_keys_and_requests() {
    let mut bytes = Transcript::new();
    bytes.limits = Bounds::new(Limits { text_bytes: WHO.len(), ..Limits::default() });
    reply(bytes.send(WHO));
    assert_eq!(refusal(bytes.send("X")), LoginStatus::INITIATOR_ERROR);

    let mut keys = Transcript::new();
    keys.limits = Bounds::new(Limits { text_keys: 3, ..Limits::default() });
    reply(keys.send(&format!("{WHO}X-a=1\0")));
    assert_eq!(refusal(keys.send("X-b=1\0")), LoginStatus::INITIATOR_ERROR);

    let mut requests = Transcript::new();
    requests.limits = Bounds::new(Limits { text_exchanges: 3, ..Limits::default() });
    requests.continued();
    for _ in 0..3 {
        reply(requests.send(""));
    }
    assert_eq!(refusal(requests.send("")), LoginStatus::INITIATOR_ERROR);

    let mut segment = Transcript::new();
    assert_eq!(refusal(segment.continued().send_bytes(&[0; SEGMENT_BYTES + 1])), LoginStatus::INITIATOR_ERROR);
}

#[test]
fn other_pdu_before_login_is_dropped_and_during_login_refused() {
    let mut t = Transcript::new();
    assert!(matches!(t.login.on_other_pdu(), LoginAction::Drop(_)));
    reply(t.send(WHO));
    assert_eq!(refusal(t.login.on_other_pdu()), LoginStatus::INVALID_DURING_LOGIN);
}

#[test]
fn session_that_cannot_be_made_is_refused_with_its_status() {
    let mut t = Transcript::new();
    outcome(t.stage(1, Some(3)).send(WHO));
    let reply = t.login.refused(LoginStatus::OUT_OF_RESOURCES);
    assert_eq!((reply.response.status_class, reply.response.status_detail), (3, 2));
    assert!(!reply.response.transit && reply.data.is_empty());
}

#[test]
fn request_after_the_last_one_is_refused() {
    let mut t = Transcript::new();
    outcome(t.stage(1, Some(3)).send(WHO));
    assert_eq!(refusal(t.send("")), LoginStatus::INITIATOR_ERROR);
}

/// The text that answers `SendTargets=value`.
fn discovered(asker: Asker, value: &str, local: &str) -> String {
    let t = Transcript::new();
    let identity = Identity { limits: &t.limits, targets: &t.targets, local: local.parse().unwrap() };
    let mut text = TextBuilder::default();
    send_targets(&identity, asker, value, &mut text);
    String::from_utf8(text.take(10_000)).unwrap()
}

#[test]
fn send_targets_tells_a_discovery_session_of_all_or_one() {
    let all = discovered(Asker::Discovery, "All", "192.0.2.1:3260");
    assert_eq!(
        all,
        "TargetName=iqn.2026-01.com.example:other\0TargetAddress=192.0.2.1:3260,1\0\
         TargetName=iqn.2026-01.com.example:disk1\0TargetAddress=192.0.2.1:3260,1\0"
    );
    let one = discovered(Asker::Discovery, TARGET, "[2001:db8::1]:3261");
    assert_eq!(one, "TargetName=iqn.2026-01.com.example:disk1\0TargetAddress=[2001:db8::1]:3261,1\0");
    assert_eq!(discovered(Asker::Discovery, "iqn.2026-01.com.example:none", "192.0.2.1:3260"), "");
    assert_eq!(discovered(Asker::Discovery, "", "192.0.2.1:3260"), "SendTargets=Reject\0");
}

#[test]
fn send_targets_tells_a_normal_session_of_its_own_target_only() {
    let own = "TargetName=iqn.2026-01.com.example:disk1\0TargetAddress=192.0.2.1:3260,1\0";
    assert_eq!(discovered(Asker::Normal(1), "", "[::ffff:192.0.2.1]:3260"), own);
    assert_eq!(discovered(Asker::Normal(1), TARGET, "192.0.2.1:3260"), own);
    assert_eq!(discovered(Asker::Normal(0), TARGET, "192.0.2.1:3260"), "");
    assert_eq!(discovered(Asker::Normal(1), "All", "192.0.2.1:3260"), "SendTargets=Reject\0");
}
