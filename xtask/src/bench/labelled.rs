//! Detection and matching on labelled data: `hostmedic-bench`, built with full optimisation.

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
    bench.env("CARGO_TARGET_DIR", &places.target);
    command::run(&mut bench).with_context(|| format!("hostmedic-bench {verb}"))
}
