//! The process that tests of the probes run: it uses up memory, ends in every way, or storms.
//!
//! `enter FILE` moves it into a cgroup and may come several times, before the verb.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    env, fs,
    process::{Command, ExitCode, abort, exit},
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use hostmedic_observe::kernel::{Options, Probes};
use nix::sys::signal::{Signal, raise};

const MIB: usize = 1 << 20;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    loop {
        let verb = arguments.next().expect("a verb is missing");
        let mut number = || {
            arguments
                .next()
                .and_then(|text| text.parse::<usize>().ok())
                .unwrap()
        };
        match verb.as_str() {
            "enter" => {
                let procs = arguments.next().expect("`enter` needs a file");
                fs::write(&procs, "0").unwrap_or_else(|e| panic!("cannot enter {procs}: {e}"));
                continue;
            }
            "eat" => drop(touch(number())),
            "hold" => hold(number()),
            "exit" => exit(i32::try_from(number()).unwrap()),
            "abort" => abort(),
            "terminate" => raise(Signal::SIGTERM).unwrap(),
            "threads" => end_together(number()),
            "storm" => storm(number()),
            "attest" => return attest(),
            "pin" => pin(&arguments.next().expect("`pin` needs a directory")),
            _ => panic!("unknown verb {verb}"),
        }
        return ExitCode::SUCCESS;
    }
}

/// Makes `mib` MiB resident.
fn touch(mib: usize) -> Vec<Vec<u8>> {
    (0..mib)
        .map(|piece| vec![u8::try_from(piece % 251).unwrap() + 1; MIB])
        .collect()
}

/// Makes `mib` MiB resident, says so and keeps them.
fn hold(mib: usize) {
    let held = touch(mib);
    println!("held {}", held.len());
    thread::sleep(Duration::from_secs(60));
    drop(held);
}

/// Ends with `count` threads besides the first, all at once, with status 3.
fn end_together(count: usize) {
    let ready = Arc::new(Barrier::new(count + 1));
    for _ in 0..count {
        let ready = Arc::clone(&ready);
        thread::spawn(move || {
            ready.wait();
            exit(3)
        });
    }
    ready.wait();
    exit(3)
}

/// Runs `count` short processes, four at a time.
fn storm(count: usize) {
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            thread::spawn(move || {
                for _ in (worker..count).step_by(4) {
                    assert!(Command::new("/bin/true").status().unwrap().success());
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
}

/// Holds probes whose counters are pinned in `directory`, with a ring of one page, and reads
/// nothing.
fn pin(directory: &str) {
    let options = Options {
        rare_ring_bytes: 4096,
        pin_dir: Some(directory.into()),
        ..Options::default()
    };
    let (probes, _) = Probes::load(&options).unwrap();
    probes.pinned().unwrap();
    println!("loaded");
    thread::sleep(Duration::from_secs(60));
}

/// Loads the probes here and says what they cover.
fn attest() -> ExitCode {
    match Probes::load(&Options::default()) {
        Ok((_probes, reports)) => {
            for report in &reports {
                println!("{}: {:?} {}", report.hook, report.coverage, report.reason);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}: {error:?}");
            ExitCode::FAILURE
        }
    }
}
