//! `bisect`: which commit made a plan fail. Seeds do not survive commits, as what is drawn from them changes; plans do.
//!
//! `git bisect run` does the search, in a worktree of its own, so that the user's checkout stays as it is. Each step builds
//! the simulator of that commit and runs the plan with it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use super::checkout::git;
use super::{EXIT_BUG, EXIT_OK, EXIT_USAGE};

/// Where builds are kept, from one bisection to the next: dependencies are built once.
const TARGET: &str = "target/bisect";
/// One step. 125 is for a commit that cannot be judged: it does not build, does not know the plan, or breaks another rule.
const STEP: &str = r##"
cargo build --quiet --profile sim --package quintain-sim || exit 125
cargo sim repro "$PLAN" >"$LOG" 2>&1
code=$?
tail -n 1 "$LOG"
case $code in
0) exit 0 ;;
42) if grep -q "# $ORACLE " "$LOG"; then exit 1; fi ;;
43) if [ "$ORACLE" = S7 ]; then exit 1; fi ;;
esac
exit 125
"##;

/// Searches between `good`, where the plan passes, and `bad`, where it fails; returns the exit code.
pub(super) fn run(plan: &Path, good: &str, bad: &str) -> u8 {
    match bisect(plan, good, bad) {
        Ok(story) => {
            println!("{story}");
            EXIT_OK
        }
        Err(message) => {
            eprintln!("{message}");
            EXIT_USAGE
        }
    }
}

fn bisect(plan: &Path, good: &str, bad: &str) -> Result<String, String> {
    let name = plan.display();
    let plan = std::fs::canonicalize(plan).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let top = git(".", &["rev-parse", "--show-toplevel"]).ok_or("this is no checkout of git: start it in one")?;
    let commit = |revision: &str| {
        let full = git(&top, &["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")]);
        full.ok_or_else(|| format!("there is no commit {revision}"))
    };
    let (good, bad) = (commit(good)?, commit(bad)?);
    let search = Search { worktree: Worktree::new(Path::new(&top), &bad)?, plan };
    // The ends first: a search between two that are not what they are said to be ends anywhere.
    let Some(oracle) = search.oracle(&bad)? else {
        return Err(format!("{name} passes at {bad}: there is nothing to search for"));
    };
    if let Some(oracle) = search.oracle(&good)? {
        return Err(format!("{name} fails at {good}, too ({oracle}): name an older commit with --good"));
    }
    search.find(&good, &bad, &oracle)
}

struct Search {
    worktree: Worktree,
    plan: PathBuf,
}

impl Search {
    /// The oracle that the plan breaks at this commit.
    fn oracle(&self, commit: &str) -> Result<Option<String>, String> {
        self.worktree.git(&["checkout", "--quiet", "--detach", commit])?;
        println!("{}", self.worktree.git(&["log", "-1", "--format=%h %s"])?);
        let build = self.worktree.cargo(&["build", "--quiet", "--profile", "sim", "--package", "quintain-sim"])?;
        if !build.status.success() {
            return Err(format!("{commit} does not build:\n{}", String::from_utf8_lossy(&build.stderr)));
        }
        let output = self.worktree.cargo(&["sim", "repro", &self.plan.display().to_string()])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        println!("  {last}");
        if output.status.code() == Some(i32::from(EXIT_OK)) {
            return Ok(None);
        }
        if last.starts_with("S7") {
            return Ok(Some("S7".to_owned()));
        }
        let oracle = last.split_once("# ").and_then(|(_, rest)| rest.split_whitespace().next());
        match oracle.filter(|_| output.status.code() == Some(i32::from(EXIT_BUG))) {
            Some(oracle) => Ok(Some(oracle.to_owned())),
            None => Err(format!("{commit} cannot run the plan:\n{}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Lets git search, and returns its last words.
    fn find(&self, good: &str, bad: &str, oracle: &str) -> Result<String, String> {
        self.worktree.git(&["bisect", "start", bad, good])?;
        let log = self.worktree.folder.join("repro.log");
        let mut command = Command::new("git");
        command.current_dir(&self.worktree.checkout).args(["bisect", "run", "sh", "-c", STEP]);
        command.env("CARGO_TARGET_DIR", &self.worktree.target);
        command.env("PLAN", &self.plan).env("LOG", log).env("ORACLE", oracle);
        let status: ExitStatus = command.status().map_err(|error| format!("git does not run: {error}"))?;
        if !status.success() {
            return Err("git could not tell the first bad commit; what it says is above".to_owned());
        }
        let first = self.worktree.git(&["show", "--no-patch", "--format=%h %s (%an, %as)", "refs/bisect/bad"])?;
        Ok(format!("first bad commit: {first}\n{} breaks {oracle} since then", self.plan.display()))
    }
}

/// A checkout of its own, which goes when this value does.
struct Worktree {
    top: PathBuf,
    folder: PathBuf,
    checkout: PathBuf,
    target: PathBuf,
}

impl Worktree {
    fn new(top: &Path, commit: &str) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("quintain-bisect-{}", std::process::id()));
        std::fs::create_dir(&folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        let (checkout, target) = (folder.join("checkout"), top.join(TARGET));
        let worktree = Self { top: top.to_owned(), folder, checkout, target };
        let path = worktree.checkout.display().to_string();
        words(Command::new("git").current_dir(top).args(["worktree", "add", "--quiet", "--detach", &path, commit]))?;
        Ok(worktree)
    }

    fn git(&self, arguments: &[&str]) -> Result<String, String> {
        words(Command::new("git").current_dir(&self.checkout).args(arguments))
    }

    fn cargo(&self, arguments: &[&str]) -> Result<Output, String> {
        let mut command = Command::new("cargo");
        command.current_dir(&self.checkout).env("CARGO_TARGET_DIR", &self.target).args(arguments);
        command.output().map_err(|error| format!("cargo does not run: {error}"))
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        let path = self.checkout.display().to_string();
        let remove = ["worktree", "remove", "--force", &path];
        if let Err(message) = words(Command::new("git").current_dir(&self.top).args(remove)) {
            eprintln!("{message}");
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// What a command of git prints, or else its complaint.
fn words(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("git does not run: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
