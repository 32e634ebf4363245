//! `cargo xtask VERB`: how hostmedic is set up, built, shown, tested and measured, on a laptop as
//! in CI.
//!
//! Each verb is one module with a `run`. Without this crate every README would have its own
//! list of packages and flags, and each would be wrong in its own way.

mod bench;
mod build;
mod command;
mod demo;
mod fuzz;
mod package;
mod places;
mod setup;
mod tally;
mod targets;
mod test;
mod toolchain;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::places::Places;

/// Set up, build, show and test hostmedic.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what building and testing need (Debian or Ubuntu, as root); quick when it is there.
    Setup,
    /// Build the probes and the programs into the cache outside the clone.
    Build,
    /// Show the whole loop on a real kernel and a throw-away systemd (as root).
    Demo(demo::Options),
    /// Check and test everything; ends with one line `N passed, N failed`.
    Test(test::Options),
    /// Look for input that breaks what reads text and files of others, with libFuzzer.
    Fuzz(fuzz::Options),
    /// Run the tests of the probes on Debian's kernels, in emulated machines (as root).
    Vm(vm::Options),
    /// Measure what hostmedic costs, beside what others cost (as root).
    Bench(bench::Options),
    /// Fit the matcher's confidence to labelled incidents; writes coefficients and their table.
    Calibrate(bench::labelled::Options),
    /// Build optimised programs and pack them with their units and playbooks into a tar file.
    Package(package::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = command::watch_for_interrupt()
        .and_then(|()| Places::find())
        .and_then(|places| match cli.verb {
            Verb::Setup => setup::run(&places).map(|()| true),
            Verb::Build => setup::run(&places)
                .and_then(|()| build::run(&places))
                .map(|()| true),
            // These close with a line of their own, good or bad.
            Verb::Demo(options) => demo::run(&places, &options),
            Verb::Test(options) => test::run(&places, &options),
            Verb::Fuzz(options) => fuzz::run(&places, &options),
            Verb::Vm(options) => vm::run(&places, &options),
            Verb::Bench(options) => bench::run(&places, &options).map(|()| true),
            Verb::Calibrate(options) => bench::calibrate(&places, &options).map(|()| true),
            Verb::Package(options) => package::run(&places, &options).map(|()| true),
        });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
