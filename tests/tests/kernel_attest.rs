//! A wrong structure offset is found out before any hook is trusted, and costs only the hooks
//! that need it.
//!
//! Needs root and the built probes: `cargo test -p hostmedic-tests --features kernel`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use hostmedic_model::loss::Coverage::{self, Absent, Captured, Degraded};
use hostmedic_observe::kernel::Options;
use hostmedic_tests::kernel::{Capture, child_in, kernel_version};

/// The hooks that rest on what is attested.
const TOLD: [&str; 3] = ["oom_victim", "process_exec", "process_exit"];

/// Coverage of these hooks, with these wrong offsets; each reason
/// must hold `word`.
fn check(wrong: &[(&str, u32)], expected: [Coverage; 3], word: &str) {
    let overrides = wrong
        .iter()
        .map(|(global, offset)| ((*global).to_owned(), *offset));
    let options = Options {
        offset_overrides: overrides.collect(),
        ..Options::default()
    };
    let capture = Capture::attach(&options, 1, 1);
    let told: Vec<_> = capture
        .reports
        .iter()
        .filter(|report| TOLD.contains(&report.hook.as_str()))
        .collect();
    let found: Vec<_> = told.iter().map(|report| report.coverage).collect();
    assert_eq!(found, expected, "{told:?}");
    for report in told {
        eprintln!(
            "{wrong:?} {}: {:?} {}",
            report.hook, report.coverage, report.reason
        );
        if report.coverage != Captured {
            assert!(report.reason.contains(word), "{report:?}");
        }
    }
    drop(capture);
}

/// What this kernel gives at best: the task form of `mark_victim` is everywhere since 6.9.
fn best() -> Coverage {
    if kernel_version() >= (6, 9) {
        Captured
    } else {
        Capture::attach(&Options::default(), 1, 1).coverage("oom_victim")
    }
}

#[test]
fn right_offsets_pass() {
    check(&[], [best(), Captured, Captured], "thread id");
}

#[test]
fn wrong_process_id_disables_every_hook() {
    check(&[("OFF_TASK_TGID", 0)], [Absent; 3], "tgid");
}

/// The verifier refuses this one, since it is not even a number of that size.
#[test]
fn wrong_cgroup_disables_every_hook() {
    check(&[("OFF_KN_ID", 0)], [Absent; 3], "attest");
    check(&[("OFF_CSS_SET_DFL", 0)], [Absent; 3], "attest");
    check(&[("OFF_CGROUP_SERIAL", 0)], [Absent; 3], "attest");
}

#[test]
fn wrong_exit_code_disables_only_exit() {
    check(
        &[("OFF_SIGNAL_EXIT_CODE", 0)],
        [best(), Captured, Absent],
        "group_exit_code",
    );
}

#[test]
fn wrong_score_leaves_only_the_score_out() {
    check(
        &[("OFF_SIGNAL_SCORE", 0)],
        [Degraded, Captured, Captured],
        "oom_score_adj",
    );
}

/// Goal: attestation does not take a namespaced id for the kernel's.
/// Method: load in a PID namespace with a /proc of its own, where this process is number 1.
#[test]
fn attestation_passes_in_a_pid_namespace() {
    let child = child_in(&[], &["attest"]);
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(child.get_program())
        .args(child.get_args())
        .output()
        .unwrap();
    assert_whole(&output);
}

/// Goal: the service needs no root, only two capabilities.
/// Method: load as the user nobody with nothing else.
#[test]
fn probes_load_with_two_capabilities_alone() {
    let child = child_in(&[], &["attest"]);
    let place = tempfile::tempdir().unwrap();
    let reachable = place.path().join("kernel-child");
    std::fs::copy(child.get_program(), &reachable).unwrap();
    std::fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--no-new-privs",
        ])
        .args(["inh", "ambient"].map(|set| format!("--{set}-caps=-all,+bpf,+perfmon")))
        .arg("--bounding-set=-all,+bpf,+perfmon")
        .arg(reachable)
        .arg("attest")
        .output()
        .unwrap();
    assert_whole(&output);
}

fn assert_whole(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{complaint}");
    // It gets what we get, who are root and in no namespace.
    let ours = Capture::attach(&Options::default(), 1, 1);
    let expected: String = ours
        .reports
        .iter()
        .map(|report| format!("{}: {:?} {}\n", report.hook, report.coverage, report.reason))
        .collect();
    assert_eq!(text, expected, "{complaint}");
}
