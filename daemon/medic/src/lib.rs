//! The command line: asks a running medicd over its socket, tells it what an operator wants, and
//! checks playbooks and audit chains without it.
//!
//! `render` turns answers into text and does nothing else; `commands` has one file a group.

mod cli;
mod client;
mod commands;
mod exit;
mod out;
mod render;

use std::process::ExitCode;

use clap::Parser;

pub use exit::{EXITS, Exit};

use crate::{cli::Cli, out::Out};

/// Runs `medic` with this process's arguments.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(cli.json);
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| exit::Failed::internal(format!("cannot start: {error}")))
        .and_then(|runtime| runtime.block_on(commands::run(&cli, &out)));
    let exit = match ended {
        Ok(exit) => exit,
        Err(failed) => {
            out.failure(&failed);
            failed.exit
        }
    };
    ExitCode::from(exit.code())
}
