//! What the log says of a session that ends: who it was and why, unless it logged out.

use quintain_sim::initiator::codec::{RawPdu, opcode};
use quintain_tests::client::Client;
use quintain_tests::process::Daemon;
use rustix::process::Signal;

const LOST: &str = "iqn.2026-11.test:lost";
const LEAVES: &str = "iqn.2026-11.test:leaves";

#[test]
fn end_of_a_session_is_told_with_its_names_and_its_reason() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let daemon =
        Daemon::start(env!("CARGO_BIN_EXE_quintain-under-test"), directory.path(), &["disk.img", "--size", "1MiB"]);
    let target = daemon.target.clone();
    let session = |name| Client::session(daemon.portal, name, &target).expect("login succeeds");
    let mut leaves = session(LEAVES);
    leaves.send_pdus(&[RawPdu::logout(0, 9, 0).immediate().sequenced(2, 0)]).expect("it is accepted");
    assert_eq!(leaves.receive_to_end().pop().expect("an answer").opcode(), opcode::LOGOUT_RESPONSE);
    let mut lost = session(LOST);
    lost.finish().expect("it is open");
    assert!(lost.receive_to_end().is_empty());
    let (status, log) = daemon.end(Signal::TERM);
    assert!(status.success(), "{log:?}");
    let of = |name: &str| log.iter().filter(|line| line.contains(name)).collect::<Vec<_>>();
    let ended = of("session ended");
    assert_eq!(ended.len(), 1, "{log:?}");
    for word in ["the peer closed the connection", LOST, &target, "127.0.0.1:"] {
        assert!(ended[0].contains(word), "{word} is missing in {}", ended[0]);
    }
    let left = of("session logged out");
    assert!(left.len() == 1 && left[0].contains(LEAVES), "{log:?}");
}
