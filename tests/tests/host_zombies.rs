//! A parent that really does not wait for its children is told of, once.
//!
//! Needs root: `cargo test -p hostmedic-tests --features kernel`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{BufRead as _, BufReader};

use hostmedic_model::signal::{Fact, Zombies};
use hostmedic_observe::{
    host::{HostSignals, clock},
    subject::Subjects,
};
use hostmedic_tests::host::child;

fn zombies_of(host: &mut HostSignals, pid: u32) -> Vec<Zombies> {
    let (signals, _) = host.poll(clock::now());
    let facts = signals.into_iter().filter_map(|signal| match signal.fact {
        Fact::Zombies(zombies) if zombies.parent.pid == pid => Some(zombies),
        _ => None,
    });
    facts.collect()
}

/// Goal: forty zombies are one signal with the right parent and number, and none when they stay.
#[test]
fn a_parent_of_forty_zombies_is_told_of_once() {
    let before = clock::now();
    let mut host = HostSignals::new(Subjects::new());
    let mut parent = child(&["zombies", "40"]);
    let pid = parent.0.id();
    let mut ready = String::new();
    let mut output = BufReader::new(parent.0.stdout.take().unwrap());
    output.read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");

    let told = zombies_of(&mut host, pid);
    let [zombies] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(
        (zombies.count, zombies.parent.comm.as_str()),
        (40, "host-child")
    );
    // A tick is 10 ms, and the kernel rounds down.
    let started_ns = zombies.parent.started_boot_ns;
    assert!(
        started_ns + 10_000_000 >= before.boot_ns,
        "{started_ns} {before:?}"
    );
    assert!(started_ns <= clock::now().boot_ns);
    assert_eq!(zombies_of(&mut host, pid), []);
}
