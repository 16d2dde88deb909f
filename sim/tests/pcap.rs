//! tshark reads what the simulator writes: a second opinion on packets and PDUs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;

use quintain_sim::buggify::CATALOGUE;
use quintain_sim::pcap::Capture;
use quintain_sim::plan::{Plan, Profile};
use quintain_sim::runner::{self, Options};
use quintain_sim::trace::{Entry, Recorder, Watch};

const NOP_OUT: u8 = 0x00;
const REJECT: u8 = 0x3f;

/// Seeds without anybody who breaks the protocol: what such a one sends need not be a PDU.
fn peaceful_seeds() -> impl Iterator<Item = u64> {
    (0..).filter(|&seed| plan(seed).initiators.iter().all(|initiator| initiator.hostile.is_none()))
}

fn plan(seed: u64) -> Plan {
    let mut plan = Plan::generate(seed, Profile::Lite);
    // Wireshark 4.0 stops at the answer to a NOP-In: what comes behind it in a packet is lost. And it takes a part of parameter
    // data for all of them, and malformed.
    let strange = ["ping-early", "data-in-short"];
    plan.buggify.retain(|site| CATALOGUE.iter().any(|entry| entry.site == *site && !strange.contains(&entry.name)));
    plan
}

fn run(seed: u64, watch: impl Watch + 'static) {
    let verdict = runner::run(&plan(seed), Options { watch: Some(Box::new(watch)), ..Options::default() });
    assert!(verdict.passed(), "{verdict:?}");
}

fn capture(seed: u64) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{seed:#x}.pcapng"));
    let (sender, blocks) = mpsc::channel::<Vec<u8>>();
    run(seed, Capture::new(move |block| sender.send(block).expect("it is read below")));
    std::fs::write(&path, blocks.try_iter().flatten().collect::<Vec<u8>>()).expect("a directory of our own");
    path
}

/// What tshark says of the packets that `filter` lets through: these fields, all their values, a line a packet.
fn tshark(path: &Path, filter: &str, fields: &[&str]) -> String {
    let mut command = Command::new("tshark");
    // Left to itself, Wireshark takes a connection for iSCSI only when its first packet has a whole header.
    command.args(["-d", "tcp.port==3260,iscsi"]);
    command.args(["-n", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]);
    command.args(["-Y", filter, "-T", "fields", "-r"]).arg(path);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = command.output().expect("tshark is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("tshark writes UTF-8")
}

#[test]
#[ignore = "needs tshark"]
fn tshark_decodes_every_pdu_of_a_capture() {
    let mut pdus = 0;
    for seed in peaceful_seeds().take(12) {
        let path = capture(seed);
        // Wireshark calls INQUIRY data malformed that is cut at the allocation length, as SPC-4, 4.3.5.6, wants it, and
        // text that goes on in the next PDU.
        let wrong = "(_ws.malformed && !(scsi_sbc.opcode == 0x12) && !(iscsi.login.C == 1)) || tcp.analysis.flags || tcp.checksum.status == 0 || \
                     ip.checksum.status == 0";
        let complaints = tshark(&path, wrong, &["frame.number", "_ws.col.Protocol", "_ws.col.Info"]);
        assert_eq!(complaints, "", "seed {seed}: {}", path.display());

        let (sender, entries) = mpsc::channel();
        run(seed, Recorder::new(&plan(seed), move |entry| sender.send(entry).expect("it is read below")));
        let entries: Vec<Entry> = entries.try_iter().collect();
        // Wireshark 4.0 does not know of data digests, and guesses whether there is a header digest.
        let skipped = |entry: &Entry| entry.kind == "target-sent" && says(entry, "Digest=CRC32C");
        let mut skipped: BTreeSet<u16> = entries.iter().filter(|entry| skipped(entry)).map(port).collect();
        // And of a packet with data that it finds too short or malformed it leaves out the rest.
        let odd = tshark(&path, "_ws.malformed || _ws.short", &["tcp.port"]);
        skipped.extend(
            odd.split_whitespace().flat_map(|ports| ports.split(',')).filter_map(|port| port.parse::<u16>().ok()),
        );
        skipped.remove(&3260);
        let passed = |entry: &&Entry| matches!(&*entry.kind, "target-received" | "target-sent");
        let mut ours = BTreeMap::new();
        for entry in entries.iter().filter(passed).filter(|entry| !skipped.contains(&port(entry))) {
            *ours.entry(opcode(entry.pdu.as_deref().unwrap_or_default())).or_insert(0) += 1;
        }
        let mut filter = "iscsi".to_owned();
        skipped.iter().for_each(|port| filter.push_str(&format!(" && !(tcp.port == {port})")));
        let mut theirs = BTreeMap::new();
        let opcodes = tshark(&path, &filter, &["iscsi.opcode"]);
        let mut opcodes = opcodes.split_whitespace().flat_map(|packet| packet.split(','));
        while let Some(opcode) = opcodes.next() {
            let number = u8::from_str_radix(opcode.trim_start_matches("0x"), 16).expect("a number");
            *theirs.entry(number).or_insert(0) += 1;
            if number == REJECT {
                // The header of what is rejected is the data of the Reject.
                opcodes.next();
            }
        }
        // Nor does it take the answer to a NOP-In for a PDU.
        ours.remove(&NOP_OUT);
        theirs.remove(&NOP_OUT);
        assert_eq!(ours, theirs, "seed {seed}: {}", path.display());
        pdus += ours.values().sum::<usize>();
    }
    assert!(pdus > 2_000, "only {pdus} were compared");
}

fn says(entry: &Entry, what: &str) -> bool {
    entry.detail.as_ref().is_some_and(|detail| detail.contains(what))
}

/// The initiator's port in the capture.
fn port(entry: &Entry) -> u16 {
    49_152 + entry.connection.expect("it is of a connection") as u16
}

#[test]
#[ignore = "needs tshark"]
fn fault_is_a_comment_of_the_next_packet() {
    let seed = peaceful_seeds().find(|&seed| plan(seed).faults.len() > 1).expect("there are many");
    let path = capture(seed);
    let comments = tshark(&path, "frame.comment", &["frame.number", "frame.comment"]);
    assert!(comments.starts_with("1\tphase: "), "{comments}");
    let faults = comments.matches("fault ").count();
    assert!(faults > 0 && faults <= plan(seed).faults.len(), "{comments}");
}

/// Of a PDU by its name (RFC 7143, 11.2.1.2).
fn opcode(name: &str) -> u8 {
    match name {
        "NOP-Out" => NOP_OUT,
        "SCSI Command" => 0x01,
        "Task Management" => 0x02,
        "Login Request" => 0x03,
        "Text Request" => 0x04,
        "Data-Out" => 0x05,
        "Logout Request" => 0x06,
        "NOP-In" => 0x20,
        "SCSI Response" => 0x21,
        "Task Mgmt Response" => 0x22,
        "Login Response" => 0x23,
        "Text Response" => 0x24,
        "Data-In" => 0x25,
        "Logout Response" => 0x26,
        "R2T" => 0x31,
        "Async Message" => 0x32,
        "Reject" => REJECT,
        other => panic!("no PDU is called {other}"),
    }
}
