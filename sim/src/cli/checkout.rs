//! Which commit this is: asked of git when the simulator runs, so that a build that is up to date need not be made again.

use std::process::Command;

/// The checkout of Quintain that this process was started in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Checkout {
    /// The commit, in 40 digits.
    pub(super) commit: String,
    /// Files of the commit have been changed since.
    pub(super) dirty: bool,
}

impl Checkout {
    /// None when there is no git, no checkout, or one of something else. Cargo says where the package is; without it, it
    /// is the current directory.
    pub(super) fn find() -> Option<Self> {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned());
        git(&folder, &["cat-file", "-e", "HEAD:sim/src/cli.rs"])?;
        let commit = git(&folder, &["rev-parse", "HEAD"])?;
        let dirty = !git(&folder, &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        Some(Self { commit, dirty })
    }
}

/// What git prints, if it succeeds.
pub(super) fn git(folder: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
