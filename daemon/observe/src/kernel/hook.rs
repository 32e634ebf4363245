//! The hooks by name: the probe's file, program and row of counters are all this.

use hostmedic_abi::HOOKS;
pub(crate) use hostmedic_abi::Hook;

/// How a probe is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// To a tracepoint whose types the kernel's BTF describes (`tp_btf`).
    Typed(&'static str),
    /// To a tracepoint that may belong to a module, without types (`raw_tp`).
    Raw(&'static str),
    /// To the entry of a function (`fentry`).
    Function(&'static str),
}

/// What is fixed about a hook.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Info {
    /// Which.
    pub(crate) hook: Hook,
    /// Name of the probe.
    pub(crate) name: &'static str,
    /// How it is attached.
    pub(crate) attach: Attach,
    /// Module that may have to be loaded before the tracepoint exists.
    pub(crate) module: Option<&'static str>,
}

const fn info(
    hook: Hook,
    name: &'static str,
    attach: Attach,
    module: Option<&'static str>,
) -> Info {
    Info {
        hook,
        name,
        attach,
        module,
    }
}

use Attach::{Function, Raw, Typed};

/// All of them, in the order of their rows.
pub(crate) const ALL: [Info; HOOKS] = [
    info(Hook::OomVictim, "oom_victim", Typed("mark_victim"), None),
    info(
        Hook::OomScope,
        "oom_scope",
        Function("oom_kill_process"),
        None,
    ),
    info(
        Hook::SignalFatal,
        "signal_fatal",
        Typed("signal_generate"),
        None,
    ),
    info(
        Hook::ProcessExec,
        "process_exec",
        Typed("sched_process_exec"),
        None,
    ),
    info(
        Hook::ProcessExit,
        "process_exit",
        Typed("sched_process_exit"),
        None,
    ),
    info(
        Hook::ProcessFork,
        "process_fork",
        Typed("sched_process_fork"),
        None,
    ),
    info(
        Hook::HungTask,
        "hung_task",
        Typed("sched_process_hang"),
        None,
    ),
    info(Hook::RcuStall, "rcu_stall", Raw("rcu_stall_warning"), None),
    info(
        Hook::BlockError,
        "block_error",
        Typed("block_rq_error"),
        None,
    ),
    info(
        Hook::BlockLatency,
        "block_latency",
        Typed("block_rq_complete"),
        None,
    ),
    info(
        Hook::ScsiTimeout,
        "scsi_timeout",
        Raw("scsi_dispatch_cmd_timeout"),
        Some("scsi_mod"),
    ),
    info(
        Hook::ScsiRefused,
        "scsi_refused",
        Raw("scsi_dispatch_cmd_error"),
        Some("scsi_mod"),
    ),
    info(
        Hook::WritebackError,
        "writeback_error",
        Typed("filemap_set_wb_err"),
        None,
    ),
    info(
        Hook::Ext4Error,
        "ext4_error",
        Raw("ext4_error"),
        Some("ext4"),
    ),
    info(
        Hook::XfsShutdown,
        "xfs_shutdown",
        Raw("xfs_force_shutdown"),
        Some("xfs"),
    ),
    info(Hook::PacketDrop, "packet_drop", Typed("kfree_skb"), None),
    info(
        Hook::TcpRetransmit,
        "tcp_retransmit",
        Typed("tcp_retransmit_skb"),
        None,
    ),
    info(
        Hook::TcpResetSent,
        "tcp_reset_sent",
        Typed("tcp_send_reset"),
        None,
    ),
    info(
        Hook::TcpResetReceived,
        "tcp_reset_received",
        Typed("tcp_receive_reset"),
        None,
    ),
    info(
        Hook::TcpFlow,
        "tcp_flow",
        Typed("inet_sock_set_state"),
        None,
    ),
    info(
        Hook::TransmitTimeout,
        "transmit_timeout",
        Typed("net_dev_xmit_timeout"),
        None,
    ),
    info(
        Hook::MemoryController,
        "memory_controller",
        Raw("mc_event"),
        None,
    ),
    info(
        Hook::MemoryPage,
        "memory_page",
        Raw("memory_failure_event"),
        None,
    ),
    info(Hook::PcieError, "pcie_error", Raw("aer_event"), None),
    info(Hook::MachineCheck, "machine_check", Raw("mce_record"), None),
    info(Hook::CgroupMade, "cgroup_made", Typed("cgroup_mkdir"), None),
    info(
        Hook::CgroupRemoved,
        "cgroup_removed",
        Typed("cgroup_rmdir"),
        None,
    ),
    info(
        Hook::CgroupAttached,
        "cgroup_attached",
        Typed("cgroup_attach_task"),
        None,
    ),
    info(
        Hook::UnixFlow,
        "unix_flow",
        Function("security_unix_stream_connect"),
        None,
    ),
];

impl Info {
    /// The fixed part of `hook`.
    pub(crate) fn of(hook: Hook) -> &'static Self {
        &ALL[hook as usize]
    }

    /// The hook called `name`.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|info| info.name == name)
    }

    /// Whether it runs at events of everyday life, so that it can be dear.
    pub(crate) fn is_everyday(&self) -> bool {
        matches!(
            self.hook,
            Hook::SignalFatal
                | Hook::ProcessExec
                | Hook::ProcessExit
                | Hook::ProcessFork
                | Hook::BlockLatency
                | Hook::PacketDrop
                | Hook::TcpRetransmit
                | Hook::TcpResetSent
                | Hook::TcpResetReceived
                | Hook::TcpFlow
                | Hook::UnixFlow
                | Hook::CgroupMade
                | Hook::CgroupRemoved
                | Hook::CgroupAttached
        )
    }

    /// Where it is attached, in libbpf's words.
    pub(crate) fn attach_point(&self) -> String {
        match self.attach {
            Typed(name) => format!("tp_btf/{name}"),
            Raw(name) => format!("raw_tp/{name}"),
            Function(name) => format!("fentry/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hook_stands_in_its_row() {
        for (row, info) in ALL.iter().enumerate() {
            assert_eq!(info.hook as usize, row, "{}", info.name);
            assert!(Info::named(info.name).is_some_and(|found| found.hook == info.hook));
        }
    }
}
