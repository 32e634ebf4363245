//! `cargo xtask package`: the optimised programs with what belongs to them, as one tar file.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::{
    build,
    command::{self, cargo},
    places::Places,
};

/// Programs and where they go on a host.
pub(crate) const PROGRAMS: [&str; 3] = ["medicd", "medic", "medic-collector"];

/// Files of the clone, where they go on a host, and their mode.
pub(crate) const FILES: [(&str, &str); 9] = [
    (
        "systemd/medicd.service",
        "usr/lib/systemd/system/medicd.service",
    ),
    (
        "systemd/run-hostmedic\\x2dbpf.mount",
        "usr/lib/systemd/system/run-hostmedic\\x2dbpf.mount",
    ),
    (
        "systemd/medic-collector.service",
        "usr/lib/systemd/system/medic-collector.service",
    ),
    (
        "systemd/hostmedic-journal-vacuum@.service",
        "usr/lib/systemd/system/hostmedic-journal-vacuum@.service",
    ),
    (
        "systemd/hostmedic.sysusers",
        "usr/lib/sysusers.d/hostmedic.conf",
    ),
    (
        "systemd/hostmedic.tmpfiles",
        "usr/lib/tmpfiles.d/hostmedic.conf",
    ),
    (
        "systemd/50-hostmedic.rules",
        "etc/polkit-1/rules.d/50-hostmedic.rules",
    ),
    ("systemd/medicd.toml", "etc/hostmedic/medicd.toml"),
    ("README.md", "usr/share/doc/hostmedic/README.md"),
];

/// The release binary of the daemon stays below this; it is loaded on every host.
const DAEMON_BYTES_MAX: u64 = 50 << 20;

/// Where to write.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Directory for the tar file.
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

/// Builds and packs.
///
/// # Errors
/// Says which build or file failed.
pub(crate) fn run(places: &Places, options: &Options) -> Result<()> {
    build::probes(places)?;
    let mut release = cargo();
    release
        .current_dir(&places.root)
        .args(["build", "--release", "--locked"]);
    for program in PROGRAMS {
        release.args(["--package", program]);
    }
    release.env("CARGO_TARGET_DIR", &places.target);
    build::embed_probes(places, &mut release);
    build::with_progress(places, &mut release).context("cannot build the release programs")?;

    let tree = tempfile::tempdir().context("cannot make a directory to pack")?;
    for program in PROGRAMS {
        let built = places.target.join("release").join(program);
        let size = fs::metadata(&built)
            .with_context(|| format!("no {}", built.display()))?
            .len();
        println!("package: {program}, {:.1} MB", size as f64 / 1e6);
        ensure!(
            program != "medicd" || size <= DAEMON_BYTES_MAX,
            "medicd is larger than {DAEMON_BYTES_MAX} bytes; see `cargo tree -p medicd`"
        );
        copy(&built, &tree.path().join("usr/bin").join(program))?;
    }
    for (from, to) in FILES {
        copy(&places.file(from), &tree.path().join(to))?;
    }
    for playbook in playbooks(places)? {
        let name = playbook.file_name().context("a playbook without a name")?;
        copy(
            &playbook,
            &tree.path().join("usr/share/hostmedic/playbooks").join(name),
        )?;
    }

    fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot make {}", options.out.display()))?;
    let version = env!("CARGO_PKG_VERSION");
    let file = options.out.join(format!(
        "hostmedic-{version}-{}.tar.gz",
        std::env::consts::ARCH
    ));
    let mut tar = std::process::Command::new("tar");
    tar.arg("--create").arg("--gzip").arg("--file").arg(&file);
    // The same input gives the same bytes, whoever packs it.
    tar.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
    ]);
    tar.arg("--directory").arg(tree.path()).args(["usr", "etc"]);
    command::run(&mut tar)?;
    println!("package: wrote {}", file.display());
    Ok(())
}

/// The shipped playbooks, and the incidents that none of them is for.
pub(crate) fn playbooks(places: &Places) -> Result<Vec<PathBuf>> {
    let dir = places.file("playbooks");
    let mut found: Vec<_> = fs::read_dir(&dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .collect();
    ensure!(!found.is_empty(), "{} holds no playbook", dir.display());
    found.push(dir.join("unmatched.jsonl"));
    found.sort();
    Ok(found)
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
