//! `cargo xtask bench`: what hostmedic costs, beside what others cost, on this machine, now.
//!
//! Numbers of other machines and other days say nothing here, so each comparison is made within
//! one run, in turns.

mod audit;
mod capture;
mod contender;
mod cost;
mod document;
mod goals;
mod load;
mod priority;
mod process;
mod report;
mod stage;
mod stats;
mod table;
mod turns;

use anyhow::Result;
use clap::Subcommand;

use crate::places::Places;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// What capturing costs: programs started, packets, disk requests, time of each hook.
    Capture(capture::Options),
}

/// Measures, and closes with the goals and whether they are met.
///
/// # Errors
/// Says what could not be measured at all. A goal that is missed is a result and no error.
pub(crate) fn run(places: &Places, options: &Options) -> Result<()> {
    match &options.what {
        What::Capture(options) => capture::run(places, options),
    }
}
