//! Detection and matching on labelled data: `hostmedic-bench`, built with full optimisation.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{
    command::{self, cargo},
    places::Places,
};

/// What goes on to `hostmedic-bench`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Its arguments; `--help` among them lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs one of its verbs.
///
/// # Errors
/// When it cannot be built, or says that it failed.
pub(crate) fn run(places: &Places, verb: &str, options: &Options) -> Result<()> {
    let mut bench = cargo();
    bench.current_dir(&places.root);
    // By itself: it needs neither RocksDB nor the probes, and nothing else is built with `release`
    // here.
    bench.args([
        "run",
        "--quiet",
        "--release",
        "-p",
        "hostmedic-bench",
        "--",
        verb,
    ]);
    bench.args(&options.words);
    // Only matching is compared with it; quality alone needs no peer's time.
    if verb == "match" && !options.words.iter().any(|word| word == "--quality-only") {
        bench.env("HOSTMEDIC_BENCH_CANDLE", candle(places)?);
    }
    bench.env("CARGO_TARGET_DIR", &places.target);
    command::run(&mut bench).with_context(|| format!("hostmedic-bench {verb}"))
}

/// Builds the matcher's peer and says where it is.
fn candle(places: &Places) -> Result<PathBuf> {
    let target = places.cache.join("candle-target");
    let mut build = cargo();
    build
        .current_dir(places.file("bench/candle"))
        .args(["build", "--quiet", "--locked", "--release"])
        .env("CARGO_TARGET_DIR", &target);
    command::run(&mut build).context("cannot build the peer bench/candle")?;
    Ok(target.join("release/hostmedic-bench-candle"))
}
