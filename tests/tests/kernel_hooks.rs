//! Every hook that this kernel offers is captured, in bounded memory, and says so.
//!
//! Needs root and the built probes: `cargo test -p hostmedic-tests --features kernel`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{path::Path, process::Command};

use hostmedic_model::loss::Coverage;
use hostmedic_observe::kernel::{MAP_BYTES_MAX, Options, hook_names};
use hostmedic_tests::kernel::Capture;

/// Each hook and its tracepoint in tracefs, which knows nothing of BTF: a second witness.
const HOOKS: [(&str, &str); 27] = [
    ("oom_victim", "oom/mark_victim"),
    ("signal_fatal", "signal/signal_generate"),
    ("process_exec", "sched/sched_process_exec"),
    ("process_exit", "sched/sched_process_exit"),
    ("process_fork", "sched/sched_process_fork"),
    ("hung_task", "sched/sched_process_hang"),
    ("rcu_stall", "rcu/rcu_stall_warning"),
    ("block_error", "block/block_rq_complete"),
    ("block_latency", "block/block_rq_complete"),
    ("scsi_timeout", "scsi/scsi_dispatch_cmd_timeout"),
    ("scsi_refused", "scsi/scsi_dispatch_cmd_error"),
    ("writeback_error", "filemap/filemap_set_wb_err"),
    ("ext4_error", "ext4/ext4_error"),
    ("xfs_shutdown", "xfs/xfs_force_shutdown"),
    ("packet_drop", "skb/kfree_skb"),
    ("tcp_retransmit", "tcp/tcp_retransmit_skb"),
    ("tcp_reset_sent", "tcp/tcp_send_reset"),
    ("tcp_reset_received", "tcp/tcp_receive_reset"),
    ("tcp_flow", "sock/inet_sock_set_state"),
    ("transmit_timeout", "net/net_dev_xmit_timeout"),
    ("memory_controller", "ras/mc_event"),
    ("memory_page", "ras/memory_failure_event"),
    ("pcie_error", "ras/aer_event"),
    ("machine_check", "mce/mce_record"),
    ("cgroup_made", "cgroup/cgroup_mkdir"),
    ("cgroup_removed", "cgroup/cgroup_rmdir"),
    ("cgroup_attached", "cgroup/cgroup_attach_task"),
];
/// The hooks without a tracepoint; optional, since a function may be inlined or not be there.
const OPTIONAL: [&str; 2] = ["oom_scope", "unix_flow"];

fn tracefs() -> &'static Path {
    let events = Path::new("/sys/kernel/tracing/events");
    if !events.exists() {
        let mount = Command::new("mount")
            .args(["-t", "tracefs", "tracefs", "/sys/kernel/tracing"])
            .status();
        assert!(mount.unwrap().success(), "cannot mount tracefs");
    }
    events
}

/// Goal: no hook is absent that this kernel has the tracepoint for, and none is captured that it
/// has not.
#[test]
fn every_hook_of_this_kernel_is_captured() {
    let capture = Capture::start(&Options {
        disk_latency: true,
        ..Options::default()
    });
    let events = tracefs();
    let mut wrong = Vec::new();
    for report in &capture.reports {
        println!(
            "{:20} {:36} {:?} {}",
            report.hook, report.attach_point, report.coverage, report.reason
        );
        assert_eq!(
            report.reason.is_empty(),
            report.coverage == Coverage::Captured,
            "{report:?}"
        );
        let Some((_, point)) = HOOKS.iter().find(|(hook, _)| *hook == report.hook) else {
            assert!(OPTIONAL.contains(&report.hook.as_str()), "{report:?}");
            continue;
        };
        let is_there = events.join(point).exists();
        if is_there != (report.coverage != Coverage::Absent) {
            wrong.push(report);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let told: Vec<_> = capture.reports.iter().map(|report| &report.hook).collect();
    assert_eq!(told.len(), hook_names().len());
}

/// Goal: kernel memory is bounded, and what was computed for any number of CPUs holds for this
/// one's.
#[test]
fn maps_take_what_was_computed() {
    let capture = Capture::attach(&Options::default(), 1, 1);
    let real = capture.probes().map_bytes().unwrap();
    let planned = capture.probes().map_bytes_planned();
    println!("maps take {real} bytes, computed {planned}");
    assert!(real <= MAP_BYTES_MAX);
    assert!(
        real <= planned + planned / 10,
        "more than computed: {real} > {planned}"
    );
}
