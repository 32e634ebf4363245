//! The shipped detectors and their peers over the same rows, in one table.

use std::path::PathBuf;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the labelled sets lie.
    #[arg(long, default_value = "../shared/data/detect")]
    data: PathBuf,
    /// One kind of detector instead of all.
    #[arg(long)]
    only: Option<Only>,
    /// Writes the shipped detectors' scores below this folder, for other scorers.
    #[arg(long)]
    dump: Option<PathBuf>,
}

/// A kind of detector.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// Single series.
    Series,
    /// All metrics of a host together.
    Host,
}

/// Runs every detector over every set.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.data.is_dir(),
        "{}: no such folder",
        args.data.display()
    );
    if args.only.is_none_or(|only| only == Only::Series) {
        crate::series::run(&args.data, args.dump.as_deref())?;
    }
    if args.only.is_none_or(|only| only == Only::Host) {
        crate::host::run(&args.data, args.dump.as_deref())?;
    }
    Ok(())
}
