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
}

mod detect;
mod host;
mod series;

fn main() -> anyhow::Result<()> {
    match Args::parse().what {
        What::Detect(args) => detect::run(&args),
    }
}
