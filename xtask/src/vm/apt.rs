//! Debian's package lists of several releases, in an apt of our own: this machine's own apt knows
//! only one release, and must not learn of others.
//!
//! It is apt all the same, so everything is fetched and its signatures are checked as always.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};

use crate::command;

/// Releases whose kernels we boot, in the main archive and in that of security updates.
const RELEASES: [&str; 2] = ["bookworm", "bullseye"];

/// Signs them all.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// After this, lists are fetched again: the newest kernel may be another.
const LISTS_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// An apt with a state of its own.
#[derive(Clone, Debug)]
pub(super) struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// The one in `dir`, made and its lists fetched if they are missing or old.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let apt = Self {
            dir: dir.to_owned(),
        };
        for sub in ["lists/partial", "cache/archives/partial"] {
            let sub = dir.join(sub);
            fs::create_dir_all(&sub).with_context(|| format!("cannot make {}", sub.display()))?;
        }
        let sources = sources(&Mirror::find()?);
        let stamp = dir.join("sources.list");
        let age = fs::metadata(&stamp)
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|then| SystemTime::now().duration_since(then).ok());
        let same = fs::read_to_string(&stamp).is_ok_and(|found| found == sources);
        if same && age.is_some_and(|age| age < LISTS_AGE_MAX) {
            return Ok(apt);
        }
        fs::write(dir.join("sources.new"), &sources).context("cannot write sources.new")?;
        println!("vm: fetching the lists of Debian's kernels");
        let mut update = apt.command("apt-get", "sources.new");
        update.args(["-q", "update", "--error-on=any"]);
        command::run(&mut update).context("cannot fetch package lists; is there a network?")?;
        fs::rename(dir.join("sources.new"), &stamp).context("cannot keep sources.list")?;
        Ok(apt)
    }

    /// Names of packages that begin with `prefix`, one a line.
    pub(super) fn names(&self, prefix: &str) -> Result<String> {
        let mut names = self.command("apt-cache", "sources.list");
        command::output(names.args(["pkgnames", prefix]))
    }

    /// Fetches a package into `dir`.
    pub(super) fn download(&self, package: &str, dir: &Path) -> Result<()> {
        let mut download = self.command("apt-get", "sources.list");
        download.args(["-q", "download", package]).current_dir(dir);
        command::run(&mut download).with_context(|| format!("cannot download {package}"))
    }

    fn command(&self, program: &str, sources: &str) -> Command {
        let mut command = Command::new(program);
        let own = |name: &str| self.dir.join(name).display().to_string();
        for (option, value) in [
            ("Dir::Etc::sourcelist", own(sources)),
            ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
            ("Dir::State::lists", own("lists")),
            ("Dir::Cache", own("cache")),
            ("APT::Architecture", "amd64".to_owned()),
            ("APT::Architectures", "amd64".to_owned()),
            // Only packages matter: no descriptions, no lists of desktop programs.
            ("Acquire::Languages", "none".to_owned()),
            (
                "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled",
                "false".to_owned(),
            ),
            // Files here belong to root alone; nothing is gained by dropping to another user.
            ("APT::Sandbox::User", "root".to_owned()),
        ] {
            command.arg(format!("-o{option}={value}"));
        }
        command
    }
}

/// Where Debian's archives are fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mirror {
    main: String,
    security: String,
}

impl Mirror {
    /// The one that `HOSTMEDIC_DEBIAN_MIRROR` names, or that this machine's apt uses.
    fn find() -> Result<Self> {
        if let Ok(main) = env::var("HOSTMEDIC_DEBIAN_MIRROR") {
            return Ok(Self::around(&main));
        }
        let mut targets = Command::new("apt-get");
        targets.args(["indextargets", "--format=$(LABEL) $(REPO_URI)"]);
        let targets = command::output(targets.arg("Created-By: Packages"))?;
        Self::of_targets(&targets).context(
            "this machine's apt uses no mirror of Debian; name one with HOSTMEDIC_DEBIAN_MIRROR",
        )
    }

    /// From lines `LABEL URI`, one for each archive that apt knows.
    fn of_targets(targets: &str) -> Option<Self> {
        let labelled = |label: &str| {
            let mut lines = targets.lines().filter_map(|line| line.split_once(' '));
            let found = lines.find_map(|(found, uri)| (found == label).then_some(uri))?;
            Some(found.trim_end_matches('/').to_owned())
        };
        let mirror = Self::around(&labelled("Debian")?);
        Some(Self {
            security: labelled("Debian-Security").unwrap_or(mirror.security),
            ..mirror
        })
    }

    /// Mirrors keep security updates beside the main archive, as Debian does.
    fn around(main: &str) -> Self {
        let main = main.trim_end_matches('/');
        Self {
            main: main.to_owned(),
            security: format!("{main}-security"),
        }
    }
}

/// The text of a sources.list(5).
fn sources(mirror: &Mirror) -> String {
    let line = |uri: &str, suite: &str| format!("deb [signed-by={KEYRING}] {uri} {suite} main\n");
    let both = |release: &&str| {
        let security = format!("{release}-security");
        line(&mirror.main, release) + &line(&mirror.security, &security)
    };
    RELEASES.iter().map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_one_that_apt_uses() {
        let targets = "Node https://node.example/\nDebian http://mirror.example/debian/\n\
                       Debian http://other.example/debian/\n\
                       Debian-Security http://sec.example/updates/\n";
        let mirror = Mirror::of_targets(targets).unwrap();
        assert_eq!(mirror.main, "http://mirror.example/debian");
        assert_eq!(mirror.security, "http://sec.example/updates");
        assert!(sources(&mirror).contains("http://sec.example/updates bullseye-security main\n"));
    }

    #[test]
    fn security_updates_lie_beside_the_main_archive() {
        let mirror = Mirror::of_targets("Debian http://mirror.example/debian/\n").unwrap();
        assert_eq!(mirror.security, "http://mirror.example/debian-security");
        assert_eq!(
            Mirror::of_targets("Ubuntu http://mirror.example/ubuntu/\n"),
            None
        );
    }
}
