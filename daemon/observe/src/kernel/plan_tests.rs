//! Tests of the plan: a whole kernel captures everything, and each thing taken away takes what
//! needs it, and nothing else.

use std::collections::BTreeMap;

use super::{
    super::{fields::FIELDS, reasons::DropReasons},
    *,
};

const INT: Argument = Argument::Integer {
    bytes: 4,
    truth: false,
};
const STATUS: Argument = Argument::Integer {
    bytes: 1,
    truth: false,
};
const BOOL: Argument = Argument::Integer {
    bytes: 1,
    truth: true,
};
const WANTED: Wanted = Wanted {
    latency: true,
    count_threads: false,
};

fn object(name: &str) -> Argument {
    Argument::Structure(name.to_owned())
}

/// What a new kernel passes.
fn whole() -> (KernelSupport, Verdicts) {
    let task = || object("task_struct");
    let reason = Argument::Enumeration("skb_drop_reason".to_owned());
    let found = [
        ("mark_victim", vec![task(), INT]),
        (
            "oom_kill_process",
            vec![object("oom_control"), Argument::Other],
        ),
        (
            "signal_generate",
            vec![INT, object("kernel_siginfo"), task(), INT, INT],
        ),
        (
            "sched_process_exec",
            vec![task(), INT, object("linux_binprm")],
        ),
        ("sched_process_exit", vec![task(), BOOL]),
        ("sched_process_fork", vec![task(), task()]),
        ("sched_process_hang", vec![task()]),
        ("rcu_stall_warning", vec![Argument::Other, Argument::Other]),
        ("block_rq_error", vec![object("request"), STATUS, INT]),
        ("block_rq_complete", vec![object("request"), STATUS, INT]),
        ("filemap_set_wb_err", vec![object("address_space"), INT]),
        (
            "kfree_skb",
            vec![object("sk_buff"), Argument::Other, reason, object("sock")],
        ),
        (
            "tcp_retransmit_skb",
            vec![object("sock"), object("sk_buff"), INT],
        ),
        (
            "tcp_send_reset",
            vec![object("sock"), object("sk_buff"), INT],
        ),
        ("tcp_receive_reset", vec![object("sock")]),
        ("inet_sock_set_state", vec![object("sock"), INT, INT]),
        ("net_dev_xmit_timeout", vec![object("net_device"), INT]),
        ("mc_event", vec![INT]),
        ("memory_failure_event", vec![INT]),
        ("aer_event", vec![Argument::Other]),
        ("mce_record", vec![object("mce")]),
        ("cgroup_mkdir", vec![object("cgroup"), Argument::Other]),
        ("cgroup_rmdir", vec![object("cgroup"), Argument::Other]),
        (
            "cgroup_attach_task",
            vec![object("cgroup"), Argument::Other, task(), BOOL],
        ),
        (
            "security_unix_stream_connect",
            vec![object("sock"), object("sock"), object("sock")],
        ),
    ];
    let support = KernelSupport {
        offsets: FIELDS.iter().map(|_| Ok(8)).collect(),
        arguments: found.map(|(name, passes)| (name, Ok(passes))).into(),
        rss_stride: Ok(40),
        socket_has_cgroup: true,
        reasons: DropReasons::default(),
    };
    let attested = [Group::Task, Group::Cgroup, Group::Exit, Group::Score];
    (support, attested.map(|group| (group, Ok(()))).into())
}

/// Hooks that are not captured after `change`, by name, and the plan.
fn check(
    change: impl FnOnce(&mut KernelSupport, &mut Verdicts),
) -> (BTreeMap<String, Coverage>, Plan) {
    let (mut support, mut attested) = whole();
    change(&mut support, &mut attested);
    let plan = plan(&support, &attested, WANTED);
    for report in &plan.reports {
        assert_eq!(
            report.reason.is_empty(),
            report.coverage == Coverage::Captured,
            "{report:?}"
        );
    }
    let lacking = plan
        .reports
        .iter()
        .filter(|report| report.coverage != Coverage::Captured)
        .map(|report| (report.hook.clone(), report.coverage))
        .collect();
    (lacking, plan)
}

fn lacking(found: &[(&str, Coverage)]) -> BTreeMap<String, Coverage> {
    found
        .iter()
        .map(|(hook, coverage)| ((*hook).to_owned(), *coverage))
        .collect()
}

use Coverage::{Absent, Degraded};

#[test]
fn a_new_kernel_captures_everything() {
    let (found, plan) = check(|_, _| {});
    assert_eq!(found, lacking(&[]));
    for flag in [
        "HAS_VICTIM_TASK",
        "HAS_GROUP_DEAD",
        "HAS_DROP_REASON",
        "HAS_RX_SOCK",
        "HAS_RETRANSMIT_ERR",
    ] {
        assert!(plan.has(flag), "{flag}");
    }
    for flag in ["KEEP_RECENT", "HAS_ERRNO", "FROM_COMPLETE"] {
        assert!(!plan.has(flag), "{flag}");
    }
    assert_eq!(plan.block_error_at, "block_rq_error");
}

#[test]
fn a_tracepoint_less_is_a_hook_less() {
    for info in &ALL {
        let (Attach::Typed(point) | Attach::Raw(point) | Attach::Function(point)) = info.attach;
        // These are told from another tracepoint, or only when attaching.
        if matches!(info.hook, Hook::BlockError) || info.module.is_some() {
            continue;
        }
        let (found, plan) = check(|kernel, _| {
            kernel.arguments.insert(point, Err("gone".to_owned()));
        });
        assert_eq!(found.get(info.name), Some(&Absent), "{}", info.name);
        assert!(!plan.loads(info.hook));
        // A kill is then not confirmed by its signal.
        let expected = if info.hook == Hook::SignalFatal { 2 } else { 1 };
        assert_eq!(found.len(), expected, "{found:?}");
    }
}

#[test]
fn an_old_kernel_is_degraded_where_it_says_less() {
    let (found, plan) = check(|kernel, _| {
        let old = [
            ("mark_victim", vec![INT]),
            ("sched_process_exit", vec![object("task_struct")]),
            ("block_rq_complete", vec![object("request"), INT, INT]),
            ("kfree_skb", vec![object("sk_buff"), Argument::Other]),
            (
                "tcp_retransmit_skb",
                vec![object("sock"), object("sk_buff")],
            ),
            ("tcp_send_reset", vec![object("sock"), object("sk_buff")]),
        ];
        for (name, passes) in old {
            kernel.arguments.insert(name, Ok(passes));
        }
        kernel
            .arguments
            .insert("block_rq_error", Err("gone".to_owned()));
        kernel.socket_has_cgroup = false;
    });
    assert_eq!(
        found,
        lacking(&[
            ("oom_victim", Degraded),
            ("packet_drop", Degraded),
            ("tcp_reset_sent", Degraded),
        ])
    );
    assert_eq!(plan.block_error_at, "block_rq_complete");
    for flag in ["KEEP_RECENT", "HAS_ERRNO", "FROM_COMPLETE"] {
        assert!(plan.has(flag), "{flag}");
    }
    for flag in [
        "HAS_GROUP_DEAD",
        "HAS_SOCK_CGROUP",
        "HAS_RX_SOCK",
        "HAS_RETRANSMIT_ERR",
    ] {
        assert!(!plan.has(flag), "{flag}");
    }
}

#[test]
fn each_missing_offset_takes_only_what_needs_it() {
    for (index, field) in FIELDS.iter().enumerate() {
        let (found, _) = check(|kernel, _| kernel.offsets[index] = Err("gone".to_owned()));
        let either_way = ["OFF_RQ_DISK", "OFF_QUEUE_DISK"].contains(&field.global);
        assert_eq!(found.is_empty(), either_way, "{}: {found:?}", field.global);
        // Identity is what every attribution rests on; nothing else is as wide.
        let is_identity =
            field.groups.contains(&Group::Task) || field.groups.contains(&Group::Cgroup);
        assert!(
            is_identity || found.len() <= 7,
            "{}: {found:?}",
            field.global
        );
    }
}

#[test]
fn each_failed_attestation_takes_what_needs_it() {
    let expected = [
        (Group::Exit, lacking(&[("process_exit", Absent)])),
        (Group::Score, lacking(&[("oom_victim", Degraded)])),
    ];
    for (group, expected) in expected {
        let (found, _) = check(|_, attested| {
            attested.insert(group, Err("wrong".to_owned()));
        });
        assert_eq!(found, expected);
    }
    let (found, _) = check(|_, attested| {
        attested.insert(Group::Cgroup, Err("wrong".to_owned()));
    });
    for hook in ["oom_victim", "process_exec", "packet_drop", "cgroup_made"] {
        assert_eq!(found.get(hook), Some(&Absent), "{hook}");
    }
}

#[test]
fn a_refused_hook_is_absent_with_the_reason_until_it_comes() {
    let (_, mut plan) = check(|_, _| {});
    plan.report(Hook::ProcessExec, Err("no"));
    assert!(!plan.loads(Hook::ProcessExec) && plan.loads(Hook::ProcessExit));
    plan.report(Hook::ProcessExec, Ok(()));
    assert!(plan.loads(Hook::ProcessExec));
}

#[test]
fn latency_is_left_out_unless_asked_for() {
    let (support, attested) = whole();
    let wanted = Wanted {
        latency: false,
        ..WANTED
    };
    let plan = plan(&support, &attested, wanted);
    assert!(!plan.loads(Hook::BlockLatency));
}
