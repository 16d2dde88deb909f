//! `bisect` in a small repository of its own, whose simulator fails since a certain commit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Repository {
    folder: PathBuf,
}

impl Repository {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("quintain-bisect-test-{}", std::process::id()));
        fs::create_dir_all(folder.join(".cargo")).expect("a place for files");
        let repository = Self { folder };
        repository.git(&["init", "--quiet"]);
        repository
            .write(".cargo/config.toml", "[alias]\nsim = \"run --quiet --profile sim --package quintain-sim --\"\n");
        repository.write(".gitignore", "/target\nCargo.lock\nplan.toml\n");
        let manifest = "[package]\nname = \"quintain-sim\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[profile.sim]\ninherits = \"dev\"\n";
        repository.write("Cargo.toml", manifest);
        fs::create_dir(repository.folder.join("src")).expect("it is new");
        repository
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.folder.join(path), text).expect("a folder of our own");
    }

    /// A commit whose simulator says `last` and ends with `code`.
    fn commit(&self, name: &str, last: &str, code: i32) {
        self.write(
            "src/main.rs",
            &format!("// {name}\nfn main() {{ println!({last:?}); std::process::exit({code}); }}\n"),
        );
        self.git(&["add", "."]);
        self.git(&["-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", name]);
    }

    fn git(&self, arguments: &[&str]) -> String {
        run(Command::new("git").args(arguments), &self.folder, true)
    }

    fn bisect(&self, good: &str, succeeds: bool) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quintain-sim"));
        run(command.args(["bisect", "plan.toml", "--good", good]), &self.folder, succeeds)
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn run(command: &mut Command, folder: &Path, succeeds: bool) -> String {
    let Output { status, stdout, stderr } = command.current_dir(folder).output().expect("the program is there");
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert_eq!(status.success(), succeeds, "{command:?}: {text}");
    text
}

#[test]
fn first_bad_commit_is_found_past_those_that_cannot_be_judged() {
    let repository = Repository::new();
    repository.write("plan.toml", "");
    repository.commit("one", "passed", 0);
    repository.commit("two", "passed", 0);
    repository.write("src/main.rs", "this does not build\n");
    repository.git(&[
        "-c",
        "user.name=Test",
        "-c",
        "user.email=test@example.org",
        "commit",
        "--quiet",
        "-am",
        "broken",
    ]);
    repository.commit("three", "passed", 0);
    repository.commit("culprit", "cargo sim repro plan.toml   # I5 R2T", 42);
    repository.commit("another rule", "cargo sim repro plan.toml   # S1 liveness", 42);
    repository.commit("last", "cargo sim repro plan.toml   # I5 R2T", 42);
    let before = repository.git(&["status", "--branch", "--porcelain"]);

    let told = repository.bisect("HEAD~6", true);
    let last = told.lines().rev().nth(1).unwrap_or_default();
    assert!(last.starts_with("first bad commit: ") && last.contains(" culprit "), "{told}");
    assert!(told.lines().last().is_some_and(|line| line.ends_with("plan.toml breaks I5 since then")), "{told}");
    // The checkout is as it was.
    assert_eq!(repository.git(&["status", "--branch", "--porcelain"]), before);
    assert_eq!(repository.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(repository.git(&["for-each-ref", "refs/bisect"]), "");

    let told = repository.bisect("HEAD~1", false);
    assert!(told.contains("fails at") && told.contains("(S1): name an older commit with --good"), "{told}");
    let told = repository.bisect("nowhere", false);
    assert!(told.contains("there is no commit nowhere"), "{told}");
}
