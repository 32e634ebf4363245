//! A machine whose processors are taken by real-time work is told: RCU cannot go on.
//!
//! `cargo xtask vm` runs this, since nothing else runs for seconds.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::process::{Child, Command};

use hostmedic_model::{loss::Coverage, signal::Fact};
use hostmedic_observe::kernel::{About, KernelEvent, Options};
use hostmedic_tests::{kernel::Capture, storage::Setting, vm::is_inside};

/// How often it is tried: nothing stalls if RCU had no work in the moment the processors were taken.
const ROUNDS: usize = 10;

/// Takes a processor for nine seconds, three times as long as RCU waits: the spinning program has
/// a real-time priority, and the one that ends it a higher.
fn take(processor: usize) -> Child {
    let spin = format!(
        "exec taskset -c {processor} chrt --fifo 60 timeout 9 \
         chrt --fifo 50 sh -c 'while :; do :; done'"
    );
    Command::new("sh").args(["-c", &spin]).spawn().unwrap()
}

fn is_stall(event: &KernelEvent) -> bool {
    matches!(event.fact, Fact::RcuStall(_))
}

/// Goal: a stall of RCU is told, with its flavour and what the kernel calls it.
/// Method: both processors belong to real-time programs, so that RCU's own thread cannot run.
#[test]
fn stall_of_rcu_is_told() {
    const FAIR: &str = "/sys/kernel/debug/sched/fair_server";
    if !is_inside("RCU stall") {
        return;
    }
    let _soon = Setting::change("/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", "3")
        .expect("RCU looks for stalls");
    // Otherwise the kernel leaves a twentieth of each second to everybody else.
    let _all = Setting::change("/proc/sys/kernel/sched_rt_runtime_us", "-1").unwrap();
    let _fair: Vec<_> = (0..2)
        .filter_map(|n| Setting::change(&format!("{FAIR}/cpu{n}/runtime"), "0"))
        .collect();
    let mut capture = Capture::start(&Options::default());
    let report = capture.report("rcu_stall");
    if report.coverage == Coverage::Absent {
        // Then tracefs has none, either: `kernel_hooks` compares them.
        println!("skipped: rcu_stall is absent: {}", report.reason);
        capture.stop();
        return;
    }
    assert_eq!(report.coverage, Coverage::Captured, "{report:?}");
    for round in 1..=ROUNDS {
        let taken: Vec<_> = (0..2).map(take).collect();
        for mut child in taken {
            // 124: it was ended by timeout(1), as it must be.
            assert_eq!(child.wait().unwrap().code(), Some(124));
        }
        if capture.rare_so_far().iter().any(is_stall) {
            println!("stalled in round {round}");
            break;
        }
    }
    let account = capture.stop();
    account.assert_adds_up();
    let stall = account.events.iter().find(|event| is_stall(event));
    let event = stall.unwrap_or_else(|| panic!("no stall in {ROUNDS} rounds"));
    let Fact::RcuStall(stall) = &event.fact else {
        unreachable!()
    };
    println!("{stall:?}");
    assert_eq!(event.about, About::Host);
    assert!(stall.flavour.starts_with("rcu_"), "{stall:?}");
    assert!(stall.kind.ends_with("Detected"), "{stall:?}");
}
