//! `medic`: asks a running medicd, and checks what it left behind.

use std::process::ExitCode;

fn main() -> ExitCode {
    medic::run()
}
