//! medicd: reads its configuration, opens the ports, runs, and stops within bounds.
//!
//! A library only so that the tests' daemon (`bin/medicd-crash.rs`) is the same code.

mod activity;
mod answers;
mod attribute;
mod config;
mod driver;
mod files;
mod history;
mod logs;
mod meaning;
mod playbooks;
mod sink;
mod sources;
mod vitals;

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Reading the kernel's BTF takes tens of megabytes for a moment. glibc's allocator keeps them for
/// the life of the daemon, because something small lies above them; this one gives them back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Notices what is wrong on this host, decides, acts within limits through systemd, and keeps a
/// record that cannot be changed unseen.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file.
    #[arg(long, default_value = "/etc/hostmedic/medicd.toml")]
    config: PathBuf,
    /// Only check the configuration and the playbooks, and say what is wrong with them.
    #[arg(long)]
    check: bool,
}

/// Exit code for a wrong configuration: `EX_CONFIG` of sysexits.h.
const EXIT_CONFIG: u8 = 78;

/// Runs the daemon with the process's arguments.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // systemd's journal has its own time stamps.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .init();
    // Everything that can be wrong with the files is found before anything is touched.
    let (config, library) = match Config::read(&arguments.config).and_then(|config| {
        playbooks::read(&config.playbooks_dir, &config.playbooks_local_dir)
            .map(|library| (config, library))
    }) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("medicd: {error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if arguments.check {
        println!(
            "{} and {} playbooks are well-formed",
            arguments.config.display(),
            library.playbooks.len()
        );
        return ExitCode::SUCCESS;
    }
    match run(config, library) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("medicd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config, library: playbooks::Read) -> anyhow::Result<()> {
    // Two workers: one for the loop, one for the adapters. More would only cost memory.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(driver::run(config, library));
    // Blocking calls that hang (a dead file system) must not hold up the stop.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}
