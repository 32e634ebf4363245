//! `cargo xtask demo`: the whole loop, on a real kernel and a real systemd, in four scenes.
//!
//! Nothing is simulated: the kernel kills, the probes tell, systemd restarts, the collector
//! verifies. What is thrown away afterwards is a whole container.

mod detect;
mod install;
mod report;
mod scenes;
mod stage;
mod tamper;
mod timeline;
mod victim;

use std::{fs, path::PathBuf, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    build, command,
    demo::{report::Report, stage::Stage},
    places::Places,
    setup,
};

/// How to show it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Write the scenes with their records and times to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the throw-away system running afterwards, to look around, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Show the programs as they were built last.
    #[arg(long)]
    no_build: bool,
    /// Show what is noticed instead of what is healed: real loads, and how soon each is caught.
    #[arg(long, conflicts_with_all = ["json", "keep"])]
    detect: bool,
}

/// Sets up, builds, plays the scenes, cleans up.
///
/// # Errors
/// Fails if anything could not be set up; `false` means that a scene was not as expected.
pub(crate) fn run(places: &Places, options: &Options) -> Result<bool> {
    ensure!(
        setup::is_root(),
        "the demo loads probes and boots a throw-away system, so it needs root: \
         `sudo -E env PATH=\"$PATH\" cargo xtask demo`"
    );
    setup::run(places)?;
    if !options.no_build {
        build::run(places)?;
    }

    println!("demo: booting a throw-away systemd and installing hostmedic in it");
    let every = if options.detect { detect::EVERY } else { "5s" };
    let stage = Stage::set(places, every)?;
    stage.introduce()?;
    if options.detect {
        return detect::play(&stage);
    }
    let mut report = Report::default();
    let played = scenes::play(&stage, &mut report);
    if played.is_err() {
        eprintln!("{}", stage.what_medicd_said());
    }
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report.json())
            .context("the report cannot be written as JSON")?;
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        println!("\nThe timelines are in {}.", file.display());
    }
    if played.is_ok() {
        stage.say_cost()?;
        stage.look_further(options.keep);
    }
    if options.keep && played.is_ok() {
        // Ctrl-C ends the wait; that is what it is for, and no failure.
        while command::check_interrupt().is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    }
    drop(stage);
    played?;
    println!("{}", report.last_line());
    Ok(report.all_as_expected())
}
