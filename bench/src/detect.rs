//! The shipped detectors and their peers over the same rows, in one table.

/// What is measured.
#[derive(clap::Args)]
pub struct Args {
    /// Where the labelled sets lie.
    #[arg(long, default_value = "../shared/data/detect")]
    pub(crate) data: std::path::PathBuf,
}

/// Runs every detector over every set.
pub fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.data.is_dir(),
        "{}: no such folder",
        args.data.display()
    );
    crate::host::run(args)
}
