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
pub(crate) mod labelled;
mod load;
mod priority;
mod process;
mod report;
mod stage;
mod stats;
mod table;
mod turns;
mod workers;

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
    /// Detection on labelled series and hosts, beside what people use today.
    Detect(labelled::Options),
    /// Matching on labelled incidents, beside its parts alone.
    Match(labelled::Options),
}

/// Measures, and closes with the goals and whether they are met.
///
/// # Errors
/// Says what could not be measured at all. A goal that is missed is a result and no error.
pub(crate) fn run(places: &Places, options: &Options) -> Result<()> {
    match &options.what {
        What::Capture(options) => capture::run(places, options),
        What::Detect(options) => labelled::run(places, "detect", options),
        What::Match(options) => labelled::run(places, "match", options),
    }
}

/// Fits the matcher's confidence to labelled incidents and writes the coefficients and their table.
///
/// # Errors
/// When the labelled set cannot be read.
pub(crate) fn calibrate(places: &Places, options: &labelled::Options) -> Result<()> {
    labelled::run(places, "calibrate", options)
}
