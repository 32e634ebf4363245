//! The same daemon, for the tests that make it die between an intent and its outcome: built with
//! named crash points, which no shipped build has.

use std::process::ExitCode;

fn main() -> ExitCode {
    medicd::main()
}
