//! The words of baselines, anomalies and replays.

use std::path::PathBuf;

use clap::Args;

use super::Moment;

/// `medic baseline`.
#[derive(Args, Debug)]
pub(crate) struct Baseline {
    /// The series as it is listed, or a part of its name that no other has, such as
    /// `disk_used_ratio of mount /var`.
    pub(crate) series: Option<String>,
    /// Draw its recent past, with the band of three spreads and the anomalies.
    #[arg(long, requires = "series")]
    pub(crate) plot: bool,
    /// Write the drawing to this file instead: as SVG or PNG, by its ending (.svg, .png).
    #[arg(long, value_name = "FILE", requires = "series")]
    pub(crate) out: Option<PathBuf>,
}

/// `medic anomalies`.
#[derive(Args, Debug)]
pub(crate) struct Anomalies {
    /// Only from then on: 1h (ago), or a moment in UTC.
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub(crate) since: Moment,
    /// Draw each series.
    #[arg(long)]
    pub(crate) plot: bool,
    /// Write the drawings to this file instead, one below the other: as SVG or PNG, by its ending
    /// (.svg, .png).
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `medic replay`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["file", "since"]))]
pub(crate) struct Replayed {
    /// Events and samples, one a line, as `medic events --json` prints them; `-` is standard input.
    pub(crate) file: Option<PathBuf>,
    /// The events that the daemon has kept since then: 8h (ago), or a moment in UTC.
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<Moment>,
    /// Directory of playbooks, instead of those that the daemon has in force.
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
}
