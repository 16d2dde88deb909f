//! What the daemon says when it is asked for something that cannot be: the thing, the cause and the cure in one
//! message, and a non-zero exit.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

#[test]
fn missing_file_without_size_is_refused_and_not_created() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let message = refused(directory.path(), &["disk.img"]);
    assert_says(&message, &["disk.img does not exist", "--size 1GiB"]);
    assert!(!directory.path().join("disk.img").exists());
}

#[test]
fn missing_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let message = refused(directory.path(), &["none/disk.img", "--size", "1MiB"]);
    assert_says(&message, &["none/disk.img", "directory does not exist", "create the directory"]);
}

#[test]
fn directory_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(directory.path().join("place")).expect("space");
    let message = refused(directory.path(), &["place"]);
    assert_says(&message, &["place is a directory", "place/disk.img"]);
}

#[test]
fn character_device_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let message = refused(directory.path(), &["/dev/null"]);
    assert_says(&message, &["/dev/null is neither a file nor a block device"]);
}

#[test]
fn file_as_blockio_is_refused() {
    let directory = with_file(1 << 20);
    let message = refused(directory.path(), &["disk.img", "--type", "blockio"]);
    assert_says(&message, &["disk.img is a file, not a block device", "--type fileio"]);
}

#[test]
fn file_of_another_size_is_refused_and_left_alone() {
    let directory = with_file(1 << 20);
    for (size, cure) in [("2MiB", "grow it"), ("512KiB", "leave --size out")] {
        let message = refused(directory.path(), &["disk.img", "--size", size]);
        assert_says(&message, &["disk.img has 1 MiB, but --size says", cure]);
    }
    assert_eq!(fs::metadata(directory.path().join("disk.img")).expect("it is there").len(), 1 << 20);
}

#[test]
fn file_that_is_no_whole_number_of_blocks_is_refused() {
    let directory = with_file((1 << 20) + 512);
    let message = refused(directory.path(), &["disk.img", "--block-size", "4096"]);
    assert_says(&message, &["1049088 bytes", "not a multiple of its 4096-byte blocks", "--block-size 512"]);
    let directory = with_file(1_000);
    assert_says(&refused(directory.path(), &["disk.img"]), &["1000 bytes", "512-byte blocks", "truncate"]);
}

#[test]
fn empty_file_is_refused() {
    let directory = with_file(0);
    assert_says(&refused(directory.path(), &["disk.img"]), &["0 bytes, less than one block", "--size 1GiB"]);
}

#[test]
fn file_that_somebody_else_serves_is_refused() {
    let directory = with_file(1 << 20);
    let other = File::open(directory.path().join("disk.img")).expect("it is there");
    other.lock().expect("nobody has it");
    for mode in ["wt", "ro"] {
        let message = refused(directory.path(), &["disk.img", "--mode", mode]);
        assert_says(&message, &["disk.img is in use by another process", "stop that one"]);
    }
}

#[test]
fn one_file_as_two_logical_units_is_refused() {
    let directory = with_file(1 << 20);
    fs::hard_link(directory.path().join("disk.img"), directory.path().join("same.img")).expect("space");
    for second in ["disk.img", "./disk.img,mode=ro", "same.img,lun=7"] {
        let message = refused(directory.path(), &["disk.img", "--lun", second]);
        assert_says(&message, &["is named twice", "LUN 0", "a file of its own"]);
    }
    let message = refused(directory.path(), &["new.img", "--size", "1MiB", "--lun", "new.img,size=1MiB"]);
    assert_says(&message, &["new.img is named twice"]);
}

#[test]
fn nothing_is_created_when_another_logical_unit_is_wrong() {
    let directory = with_file(1_000);
    refused(directory.path(), &["new.img", "--size", "1MiB", "--lun", "disk.img"]);
    assert!(!directory.path().join("new.img").exists());
}

#[test]
fn size_that_no_disk_can_have_is_refused_and_nothing_is_created() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (size, bytes) in [("0", "0 bytes"), ("100", "100 bytes"), ("1000000", "1000000 bytes")] {
        let message = refused(directory.path(), &["new.img", "--size", size]);
        assert_says(&message, &["new.img cannot get", bytes, "512-byte blocks", "choose another --size"]);
        let message = refused(directory.path(), &["--type", "nullio", "--size", size]);
        assert_says(&message, &["LUN 0 (nullio) cannot get", bytes]);
    }
    assert!(!directory.path().join("new.img").exists());
}

#[test]
fn wrong_target_name_is_refused_and_nothing_is_created() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let message = refused(directory.path(), &["new.img", "--size", "1MiB", "--iqn", "Bad_Name"]);
    assert_says(&message, &["\"Bad_Name\" is not an iSCSI name", "write one like iqn."]);
    assert!(!directory.path().join("new.img").exists());
}

#[test]
fn address_in_use_is_refused() {
    let directory = with_file(1 << 20);
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("bound").to_string();
    let message = refused(directory.path(), &["disk.img", "--listen", &address]);
    assert_says(&message, &[&address, "in use by another process", "--listen"]);
}

#[test]
fn address_that_is_named_twice_is_refused() {
    let directory = with_file(1 << 20);
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    for first in ["127.0.0.1", "0.0.0.0", "[::]"] {
        let (first, second) = (format!("{first}:{free}"), format!("127.0.0.1:{free}"));
        let message = refused(directory.path(), &["disk.img", "--listen", &first, "--listen", &second]);
        assert_says(&message, &[&format!("address {second} is a part of {first}"), "only one of them"]);
    }
}

#[test]
fn address_of_another_machine_is_refused() {
    let directory = with_file(1 << 20);
    let message = refused(directory.path(), &["disk.img", "--listen", "192.0.2.1:3260"]);
    assert_says(&message, &["192.0.2.1:3260 does not belong to this machine", "0.0.0.0"]);
}

/// Root may open everything, so root runs the daemon as somebody else.
#[test]
fn file_without_permission_is_refused() {
    const NOBODY: u32 = 65_534;
    let directory = with_file(1 << 20);
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    set_mode(&directory.path().join("disk.img"), 0o000);
    let as_root = rustix::process::getuid().is_root();
    // Where this was built may be closed to others.
    let program = directory.path().join("quintain");
    fs::copy(env!("CARGO_BIN_EXE_quintain"), &program).expect("space");
    set_mode(directory.path(), 0o755);
    set_mode(&program, 0o755);
    for (mode, cure) in [("wt", "change its owner or mode; --mode ro only needs to read it"), ("ro", "owner or mode")] {
        let mut command = Command::new(&program);
        command.args(["serve", "disk.img", "--mode", mode, "--listen", "127.0.0.1:0"]);
        if as_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        assert_says(&refusal_of(command, directory.path()), &["no permission to open disk.img", cure]);
    }
    if as_root {
        let mut command = Command::new(&program);
        command.args(["serve", "new.img", "--size", "1MiB", "--listen", "127.0.0.1:0"]).uid(NOBODY).gid(NOBODY);
        assert_says(&refusal_of(command, directory.path()), &["no permission to create new.img", "its directory"]);
        // Reading is enough for a read-only disk, and not for another.
        set_mode(&directory.path().join("disk.img"), 0o444);
        let mut command = Command::new(&program);
        command.args(["serve", "disk.img", "--listen", "127.0.0.1:0"]).uid(NOBODY).gid(NOBODY);
        assert_says(&refusal_of(command, directory.path()), &["no permission to open disk.img", "--mode ro"]);
    }
}

#[test]
fn nullio_without_size_and_nothing_at_all_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    assert_says(&refused(directory.path(), &["--type", "nullio"]), &["nullio", "no size", "--size 1GiB"]);
    assert_says(&refused(directory.path(), &[]), &["nothing to serve", "name a file"]);
}

#[test]
fn refusal_in_json_is_one_object() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let message = refused(directory.path(), &["disk.img", "--log", "json"]);
    assert!(message.starts_with('{') && message.ends_with('}'), "{message}");
    assert_says(&message, &["\"level\":\"ERROR\"", "disk.img does not exist"]);
}

/// A directory with a `disk.img` of `bytes`.
fn with_file(bytes: u64) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    File::create(directory.path().join("disk.img")).and_then(|file| file.set_len(bytes)).expect("space");
    directory
}

/// Runs `quintain serve` in `directory` and gives its one message.
fn refused(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintain"));
    command.arg("serve").args(arguments);
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    refusal_of(command, directory)
}

fn refusal_of(mut command: Command, directory: &Path) -> String {
    command.current_dir(directory);
    let Output { status, stdout, stderr } = command.output().expect("the binary is there");
    let message = String::from_utf8(stderr).expect("text");
    assert!(!status.success(), "{message}");
    assert!(stdout.is_empty(), "nothing is announced");
    assert_eq!(message.lines().count(), 1, "one message: {message}");
    message.trim_end().to_owned()
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "\"{part}\" is missing in: {message}");
    }
}
