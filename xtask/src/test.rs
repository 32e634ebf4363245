//! `cargo xtask test`: everything that must hold, in one go, and one line at the end.
//!
//! A group that fails does not stop the next. What needs root or changes the whole machine runs
//! one test at a time.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    build,
    command::{self, cargo},
    fuzz,
    places::Places,
    setup,
    tally::{Group, Tally},
    targets::Targets,
    vm,
};

/// How long one group may run before it is stopped and counted as failed.
const GROUP_LIMIT: Duration = Duration::from_secs(25 * 60);

/// What to run.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Leave out what is not a test: formatting, lints, documentation.
    #[arg(long)]
    tests_only: bool,
}

/// Runs everything.
///
/// # Errors
/// Fails if it could not even begin; `false` means that something failed.
pub(crate) fn run(places: &Places, options: &Options) -> Result<bool> {
    let started = Instant::now();
    let mut tally = Tally::default();
    setup::run(places)?;
    // The daemon embeds the probes, so not even a lint runs without them.
    check(&mut tally, "probes", &build::probes(places))?;
    if !options.tests_only {
        checks(places, &mut tally)?;
    }
    check(&mut tally, "build", &build::programs(places))?;
    tests(places, &mut tally)?;

    print!("\n{}", tally.details());
    println!(
        "test: took {} min {} s",
        started.elapsed().as_secs() / 60,
        started.elapsed().as_secs() % 60
    );
    println!("{tally}");
    Ok(tally.is_green())
}

/// Formatting, lints, documentation: each counts as one.
fn checks(places: &Places, tally: &mut Tally) -> Result<()> {
    let mut fmt = cargo();
    fmt.current_dir(&places.root)
        .args(["fmt", "--all", "--check"]);
    check(tally, "formatting", &command::run(&mut fmt))?;

    // Workspaces of their own.
    for apart in ["ebpf/probes", "fuzz", "bench/candle"] {
        let mut fmt = cargo();
        fmt.current_dir(places.file(apart)).args(["fmt", "--check"]);
        let name = format!("formatting of {apart}");
        check(tally, &name, &command::run(&mut fmt))?;
    }

    let mut clippy = build::workspace(places, "clippy")?;
    clippy.args(["--quiet", "--all-targets", "--", "-D", "warnings"]);
    check(tally, "clippy", &build::with_progress(places, &mut clippy))?;

    let mut doc = build::workspace(places, "doc")?;
    doc.args(["--quiet", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings");
    check(tally, "documentation", &command::run(&mut doc))?;

    // Licences are held to deny.toml by tests/tidy.rs in any case; this adds advisories.
    if command::exists("cargo-deny") {
        let mut deny = cargo();
        deny.current_dir(&places.root)
            .args(["deny", "check", "licenses", "bans", "sources"]);
        check(tally, "cargo deny", &command::run(&mut deny))?;
    } else {
        tally.skip("cargo deny: it is not installed (tests/tidy.rs checks the licences)");
    }
    Ok(())
}

/// Counts a check and goes on, unless Ctrl-C came.
fn check(tally: &mut Tally, name: &str, result: &Result<()>) -> Result<()> {
    command::check_interrupt()?;
    if let Err(error) = result {
        eprintln!("{name}: {error:#}");
    }
    println!(
        "test: {name}: {}",
        if result.is_ok() { "passed" } else { "FAILED" }
    );
    tally.check(name, result.is_ok());
    Ok(())
}

fn tests(places: &Places, tally: &mut Tally) -> Result<()> {
    let targets = Targets::find(places)?;
    let mut unit = build::workspace(places, "test")?;
    unit.args(["--no-fail-fast", "--lib", "--bins"]);
    for target in &targets.plain {
        unit.args(["--test", target]);
    }
    group(tally, "unit", &mut unit)?;

    let mut doc = build::workspace(places, "test")?;
    doc.args(["--no-fail-fast", "--doc"]);
    group(tally, "doc", &mut doc)?;

    check(tally, "fuzz targets, briefly", &fuzz::briefly(places))?;

    if !setup::is_root() {
        for target in &targets.serial {
            tally.skip(&format!("{target}: needs root"));
        }
        tally.skip("virtual machine: needs root");
        return Ok(());
    }
    if !targets.serial.is_empty() {
        check(tally, "build of medicd-crash", &build::crash_daemon(places))?;
    }
    for target in &targets.serial {
        let mut serial = build::workspace(places, "test")?;
        serial.args(["--no-fail-fast", "--test", target, "--"]);
        // They share one kernel and one machine; what they print is part of the result.
        serial.args(["--test-threads=1", "--show-output"]);
        group(tally, target, &mut serial)?;
    }
    println!("\ntest: group virtual machine");
    match vm::one(places) {
        Ok(counted) => tally.merge(counted),
        Err(error) => {
            command::check_interrupt()?;
            eprintln!("virtual machine: {error:#}");
            tally.check("virtual machine: did not run", false);
        }
    }
    Ok(())
}

/// Runs one `cargo test` and counts what it says.
fn group(tally: &mut Tally, name: &str, command: &mut Command) -> Result<()> {
    println!("\ntest: group {name}: {}", command::shown(command));
    let mut group = Group::new(name);
    let status = command::run_lines(command, GROUP_LIMIT, |line| group.read(line));
    command::check_interrupt()?;
    if let Err(error) = &status {
        eprintln!("{name}: {error:#}");
    }
    tally.add(&group, status.is_ok_and(|status| status.success()));
    Ok(())
}
