//! The process that tests of the host's sources run: it leaves zombies, or presses on memory.
//!
//! `enter FILE` moves it into a cgroup and may come several times, before the verb.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    env, fs,
    io::{Read as _, stdin},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const MIB: usize = 1 << 20;
/// A test that has died meanwhile leaves nothing behind for longer.
const LIFE: Duration = Duration::from_secs(60);

fn main() {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().expect("an argument is missing");
    loop {
        match next().as_str() {
            "enter" => {
                let procs = next();
                fs::write(&procs, "0").unwrap_or_else(|e| panic!("cannot enter {procs}: {e}"));
            }
            "zombies" => return zombies(next().parse().unwrap()),
            "anonymous" => return anonymous(next().parse().unwrap()),
            "reread" => return reread(&next()),
            verb => panic!("unknown verb {verb}"),
        }
    }
}

/// Leaves `count` children that ended, says so, and waits until its input is closed.
fn zombies(count: usize) {
    let children: Vec<_> = (0..count)
        .map(|_| {
            Command::new("/bin/true")
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in &children {
        let stat = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
            thread::sleep(Duration::from_millis(5));
        }
    }
    println!("ready");
    let _ = stdin().read(&mut [0]);
}

/// Touches new memory, a little at a time, up to `mib` MiB.
fn anonymous(mib: usize) {
    let began = Instant::now();
    let mut held = Vec::new();
    while held.len() < mib * 16 && began.elapsed() < LIFE {
        held.push(vec![1_u8; MIB / 16]);
    }
    thread::sleep(LIFE.saturating_sub(began.elapsed()));
    drop(held);
}

/// Reads the file at `path` again and again.
fn reread(path: &str) {
    let began = Instant::now();
    let mut buffer = vec![0_u8; MIB];
    while began.elapsed() < LIFE {
        let mut file = fs::File::open(path).unwrap();
        while file.read(&mut buffer).unwrap() > 0 {}
    }
}
