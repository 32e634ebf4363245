//! Measures detection and matching on labelled data, beside what people use today.
//!
//! `cargo xtask bench detect|match` runs this. Peers are implemented here and nowhere else.

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Detection: false alarms, recall, delay and cost on labelled series and hosts.
    Detect(detect::Args),
    /// Matching: which playbook comes first, how sure the matcher is, and what it costs.
    Match(matching::Args),
    /// Fits the matcher's probabilities anew and writes coefficients and document.
    Calibrate(matching::CalibrateArgs),
    /// What one process that only matches keeps in memory; `match` runs it.
    #[command(hide = true)]
    Resident(matching::ResidentArgs),
}

mod detect;
mod host;
mod matching;
mod series;

fn main() -> anyhow::Result<()> {
    match Args::parse().what {
        What::Detect(args) => detect::run(&args),
        What::Match(args) => matching::run(&args),
        What::Calibrate(args) => matching::calibrate(&args),
        What::Resident(args) => matching::resident(&args),
    }
}
