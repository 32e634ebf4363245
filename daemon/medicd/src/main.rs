//! The daemon's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    medicd::main()
}
