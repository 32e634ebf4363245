//! `cargo xtask fuzz`: lets libFuzzer look for input that breaks what reads text and files of
//! others. What it finds interesting is kept outside the clone, so that the next run goes on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    command::{self, cargo},
    places::Places,
};

/// For each target, where inputs to begin with lie, if not in its own folder of what was found.
const TARGETS: [(&str, Option<&str>); 4] = [
    ("playbook", Some("playbooks")),
    ("incident", None),
    ("model", None),
    ("journal", None),
];

/// The machine's own target.
fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// Coverage for libFuzzer, which a stable compiler can give. The code is safe, so that no
/// sanitizer of memory is needed.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                     -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this target: playbook, incident, model or journal.
    target: Option<String>,
    /// How long each runs.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u32,
}

/// Builds the targets and runs them.
///
/// # Errors
/// If they cannot be built, or the target is not known; `false` means that input was found which
/// breaks one.
pub(crate) fn run(places: &Places, options: &Options) -> Result<bool> {
    let chosen: Vec<_> = TARGETS
        .into_iter()
        .filter(|(name, _)| {
            options
                .target
                .as_deref()
                .is_none_or(|wanted| wanted == *name)
        })
        .collect();
    anyhow::ensure!(
        !chosen.is_empty(),
        "no such target; there are {}",
        TARGETS.map(|(name, _)| name).join(", ")
    );
    let programs = build(places)?;
    let mut broken = 0;
    for (name, seeds) in &chosen {
        if !holds(places, &programs.join(name), *seeds, options.seconds)? {
            broken += 1;
        }
    }
    println!(
        "fuzz: {} of {} targets hold",
        chosen.len() - broken,
        chosen.len()
    );
    Ok(broken == 0)
}

/// Builds all targets and runs each for some seconds: that they build and hold is part of the suite.
///
/// # Errors
/// If they cannot be built, or one breaks.
pub(crate) fn briefly(places: &Places) -> Result<()> {
    let options = Options {
        target: None,
        seconds: 10,
    };
    let held = run(places, &options)?;
    anyhow::ensure!(held, "a fuzz target breaks");
    Ok(())
}

/// Where the programs are, built with coverage.
fn build(places: &Places) -> Result<PathBuf> {
    let (target_dir, host) = (places.cache.join("fuzz-target"), host());
    let mut build = cargo();
    build
        .current_dir(places.file("fuzz"))
        .args(["build", "--quiet", "--locked", "--release", "--bins"])
        // With a target named, the flags do not reach build scripts.
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("RUSTFLAGS", FLAGS);
    command::run(&mut build).context("cannot build the fuzz targets")?;
    Ok(target_dir.join(host).join("release"))
}

/// Whether no input that breaks the target was found.
fn holds(places: &Places, program: &Path, seeds: Option<&str>, seconds: u32) -> Result<bool> {
    let name = program.file_name().unwrap_or_default();
    let (found, broken) = (
        places.cache.join("fuzz/found").join(name),
        places.cache.join("fuzz/broken").join(name),
    );
    for folder in [&found, &broken] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    println!("fuzz: {} for {seconds} s", name.display());
    let mut run = Command::new(program);
    run.arg(&found)
        .args(seeds.map(|seeds| places.file(seeds)))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", broken.display()))
        // One input must not take seconds, on a machine that does other work, too.
        .args(["-timeout=20", "-rss_limit_mb=2048", "-max_len=20000"])
        .args(["-verbosity=0", "-print_final_stats=1"]);
    let status = command::wait(&mut command::spawn(&mut run)?, None)?;
    if !status.success() {
        println!(
            "fuzz: {} BREAKS; the input is in {}",
            name.display(),
            broken.display()
        );
    }
    Ok(status.success())
}
