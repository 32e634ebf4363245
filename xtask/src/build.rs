//! `cargo xtask build`: the probes for the kernel, then the programs.
//!
//! Every cargo call selects the whole workspace with the same features. Cargo unifies features
//! over what is selected, so another selection would compile dependencies, RocksDB among them,
//! a second time.

use std::{
    env, fs,
    path::Path,
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    command::{self, cargo},
    places::Places,
    toolchain::Toolchain,
};

/// Target of the probes.
const BPF_TARGET: &str = "bpfel-unknown-none";

/// Source files of RocksDB 11.8, for the share that is done.
const ROCKSDB_FILES: usize = 343;

/// How often to say how far RocksDB is.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

/// Builds the probes and the programs.
///
/// # Errors
/// Says which build failed; the compiler has said why.
pub(crate) fn run(places: &Places) -> Result<()> {
    probes(places)?;
    programs(places)
}

/// Builds the probes into the cache; leaves the object alone if it did not change.
pub(crate) fn probes(places: &Places) -> Result<()> {
    let toolchain = Toolchain::find().context("no compiler for the probes; `cargo xtask setup`")?;
    let target = places.cache.join("probes-target");
    let mut build = toolchain.cargo();
    build.current_dir(places.file("ebpf/probes"));
    build.args(["build", "--release", "--locked", "--target", BPF_TARGET]);
    build.args(["-Z", "build-std=core"]);
    build.env("RUSTFLAGS", "-C debuginfo=2 -C link-arg=--btf");
    build.env("CARGO_TARGET_DIR", &target);
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(places.tools().join("bin")).chain(env::split_paths(&path));
    build.env(
        "PATH",
        env::join_paths(paths).context("PATH cannot be extended")?,
    );
    command::run(&mut build).context("cannot build the probes")?;

    let built = target.join(BPF_TARGET).join("release/hostmedic-probes");
    let object = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let kept = places.probes();
    // An object with a new time would make cargo rebuild what includes it.
    if fs::read(&kept).is_ok_and(|old| old == object) {
        return Ok(());
    }
    fs::create_dir_all(places.cache.join("probes")).context("cannot make the probes' directory")?;
    fs::write(&kept, &object).with_context(|| format!("cannot write {}", kept.display()))?;
    println!(
        "build: probes, {} bytes, are at {}",
        object.len(),
        kept.display()
    );
    Ok(())
}

/// Builds all programs, with a line of progress while RocksDB compiles.
pub(crate) fn programs(places: &Places) -> Result<()> {
    let mut build = workspace(places, "build")?;
    build.arg("--bins");
    with_progress(places, &mut build).context("cannot build the programs")
}

/// Builds the daemon that dies at named points, for the crash tests.
pub(crate) fn crash_daemon(places: &Places) -> Result<()> {
    let mut build = workspace(places, "build")?;
    build.args(["--features", "medicd/crash-points", "--bin", "medicd-crash"]);
    command::run(&mut build).context("cannot build medicd-crash")
}

/// A cargo command over the whole workspace.
pub(crate) fn workspace(places: &Places, verb: &str) -> Result<Command> {
    let mut command = cargo();
    command
        .current_dir(&places.root)
        .args([verb, "--workspace"]);
    let features = test_features(places)?;
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    command.env("CARGO_TARGET_DIR", &places.target);
    command.env("HOSTMEDIC_BIN_DIR", places.programs());
    embed_probes(places, &mut command);
    Ok(command)
}

/// Tells `daemon/observe/build.rs` where the probes are, unless it knows: a variable that is set
/// by us and not by a bare cargo would make cargo rebuild the daemon each time.
pub(crate) fn embed_probes(places: &Places, command: &mut Command) {
    let known = env::var_os("HOME").map(|home| Path::new(&home).join(".cache/hostmedic"));
    if known.as_ref() != Some(&places.cache) {
        command.env("HOSTMEDIC_PROBES_OBJECT", places.probes());
    }
}

/// Features of the test package, which stand for what a test needs (root, systemd, ...).
pub(crate) fn test_features(places: &Places) -> Result<Vec<String>> {
    let manifest = places.file("tests/Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    Ok(features_of(&text)
        .map(|name| format!("hostmedic-tests/{name}"))
        .collect())
}

/// Names in the section `[features]` of a manifest, but `default`.
fn features_of(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[features]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once('=')?.0.trim()))
        .filter(|name| !name.starts_with('#') && *name != "default")
}

/// Runs a build and says now and then how far RocksDB is, which takes most of a cold build.
pub(crate) fn with_progress(places: &Places, build: &mut Command) -> Result<()> {
    let (done, waiting) = mpsc::channel::<()>();
    let builds = ["debug", "release"].map(|profile| places.target.join(profile).join("build"));
    let watcher = thread::spawn(move || {
        let started = Instant::now();
        while waiting.recv_timeout(PROGRESS_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
            if let Some(objects) = builds.iter().find_map(|dir| rocksdb_objects(dir)) {
                println!(
                    "build: RocksDB, {objects} of about {ROCKSDB_FILES} files, {} min so far; it \
                     is compiled once (about 20 min on two cores), later builds reuse it",
                    started.elapsed().as_secs() / 60
                );
            }
        }
    });
    let result = command::run(build);
    drop(done);
    let _ = watcher.join();
    result
}

/// Object files that a running build of RocksDB has made; `None` when none is running.
fn rocksdb_objects(builds: &Path) -> Option<usize> {
    fs::read_dir(builds)
        .ok()?
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with("librocksdb-sys-")
        })
        .map(|entry| entry.path())
        // Cargo writes the build script's `output` when it has ended.
        .filter(|dir| dir.join("invoked.timestamp").exists() && !dir.join("output").exists())
        .filter_map(|dir| {
            let objects = fs::read_dir(dir.join("out")).ok()?.flatten();
            Some(
                objects
                    .filter(|file| file.path().extension().is_some_and(|e| e == "o"))
                    .count(),
            )
        })
        .max()
        .filter(|objects| *objects > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_from_their_section_only() {
        let manifest = "[package]\nname = \"x\"\n\n[features]\ndefault = []\n# why = this\n\
                        kernel = []\nsystemd = [\"dep:zbus\"]\n\n[dependencies]\na = \"1\"\n";
        assert_eq!(
            features_of(manifest).collect::<Vec<_>>(),
            ["kernel", "systemd"]
        );
    }

    #[test]
    fn a_build_of_rocksdb_is_seen_only_while_it_runs() {
        let builds = tempfile::tempdir().unwrap();
        let dir = builds.path().join("librocksdb-sys-0123");
        fs::create_dir_all(dir.join("out")).unwrap();
        fs::write(dir.join("invoked.timestamp"), "").unwrap();
        assert_eq!(rocksdb_objects(builds.path()), None);
        fs::write(dir.join("out/a.o"), "").unwrap();
        fs::write(dir.join("out/b.o"), "").unwrap();
        assert_eq!(rocksdb_objects(builds.path()), Some(2));
        fs::write(dir.join("output"), "").unwrap();
        assert_eq!(rocksdb_objects(builds.path()), None);
    }
}
