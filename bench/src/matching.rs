//! The matcher and its peers over the same labelled texts, in one table; and its calibration.
//!
//! Peers are BM25 alone and the embedding alone. Each library is measured three ways: as it is,
//! without the playbooks' symptoms, and with their summaries only, because a matcher that works
//! only with rich playbooks would not be told by the first alone.

mod calibrate;
mod cost;
mod data;
mod fit;
mod report;
mod rows;

pub(crate) use calibrate::run as calibrate;
pub(crate) use cost::{ResidentArgs, resident};

use std::path::{Path, PathBuf};

use anyhow::Result;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with playbooks.jsonl and incidents.jsonl.
    #[arg(long, default_value = "../shared/data/matching")]
    data: PathBuf,
    /// Folder with the shipped playbooks.
    #[arg(long, default_value = "playbooks")]
    playbooks: PathBuf,
    /// Incidents, and which shipped playbook is right for each: those that the coefficients are fitted
    /// on, too.
    #[arg(long, default_value = "bench/data/rendered.jsonl")]
    rendered: PathBuf,
    /// The same by another author, on which nothing is fitted.
    #[arg(long, default_value = "bench/data/asked.jsonl")]
    asked: PathBuf,
    /// The same by an author who worked beside those of the shipped examples, to the same brief.
    #[arg(long, default_value = "bench/data/checked.jsonl")]
    checked: PathBuf,
    /// The same by an author who knew the playbooks, and none of their examples.
    #[arg(long, default_value = "bench/data/last.jsonl")]
    last: PathBuf,
    /// The same by a doubter who knew neither examples nor incidents that no playbook is for.
    #[arg(long, default_value = "bench/data/fresh.jsonl")]
    fresh: PathBuf,
    /// The same by two authors of other trades who knew no more than that one.
    #[arg(long, default_value = "bench/data/outside.jsonl")]
    outside: PathBuf,
    /// The same by two more, on call for web hosting and for databases.
    #[arg(long, default_value = "bench/data/oncall.jsonl")]
    oncall: PathBuf,
    /// Leave out what takes time: latency, building and memory.
    #[arg(long)]
    quality_only: bool,
}

/// Where a calibration's results go.
#[derive(clap::Args)]
pub(crate) struct CalibrateArgs {
    #[command(flatten)]
    args: Args,
    /// The clone whose coefficients and document are written.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Measures quality, calibration and cost.
pub(crate) fn run(args: &Args) -> Result<()> {
    let data = data::Data::read(&args.data)?;
    let measured = rows::measure(&data);
    print!("{}", report::quality(&measured));
    print!("{}", report::calibration(&measured));
    let sets = [
        &args.rendered,
        &args.asked,
        &args.checked,
        &args.last,
        &args.fresh,
        &args.outside,
        &args.oncall,
    ];
    for incidents in sets {
        let shipped = shipped(args, incidents)?;
        println!("\n# The shipped library, {}\n", incidents.display());
        print!("{}", report::quality(std::slice::from_ref(&shipped)));
        print!("{}", report::as_checked_in(&shipped));
    }
    if !args.quality_only {
        print!("{}", cost::run(&data)?);
    }
    Ok(())
}

/// Asks the shipped library about the incidents of a file.
fn shipped(args: &Args, incidents: &Path) -> Result<rows::Measured> {
    let (library, incidents) = data::shipped(&args.playbooks, incidents)?;
    Ok(rows::measure_one(
        data::Shown::Shipped,
        &library,
        &incidents,
    ))
}
