//! Every field that the probes read: the global that holds its offset, where BTF has it, and with
//! which others it is trusted or not.

/// Offsets that are trusted, or not, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Who a task is.
    Task,
    /// Which cgroup it belongs to.
    Cgroup,
    /// How its process ends.
    Exit,
    /// When the scheduler last charged it for its time.
    Charge,
    /// How the kernel ranks it when memory runs out.
    Score,
    /// How much memory it has resident.
    Rss,
    /// Why a signal was sent.
    Siginfo,
    /// Which tree a cgroup belongs to.
    Tree,
    /// Whose memory ran out.
    Oom,
    /// What a request to a disk is.
    Disk,
    /// Its disk, before 5.17.
    OldDisk,
    /// Its disk, since.
    NewDisk,
    /// Who issued it.
    Issuer,
    /// When it was made.
    Latency,
    /// Which file a page belongs to.
    Writeback,
    /// Which device a file system is on.
    Super,
    /// What a socket is.
    Sock,
    /// Its IPv6 address.
    SockV6,
    /// What a packet is.
    Packet,
    /// Which interface a device is.
    Interface,
    /// What a machine check says.
    Mce,
}

/// A field the probes read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Global of the probes' `kernel/*.rs`.
    pub(crate) global: &'static str,
    /// Structure it is in.
    pub(crate) structure: &'static str,
    /// Path to the member.
    pub(crate) member: &'static str,
    /// Alignment the probe's load needs.
    pub(crate) align: u32,
    /// What it takes down with it.
    pub(crate) groups: &'static [Group],
}

const fn field(
    global: &'static str,
    structure: &'static str,
    member: &'static str,
    align: u32,
    groups: &'static [Group],
) -> Field {
    Field {
        global,
        structure,
        member,
        align,
        groups,
    }
}

use Group::{
    Cgroup, Charge, Disk, Exit, Interface, Issuer, Latency, Mce, NewDisk, OldDisk, Oom, Packet,
    Rss, Score, Siginfo, Sock, SockV6, Super, Task, Tree, Writeback,
};

/// Every field, as in the headers that the probes' files name.
#[rustfmt::skip]
pub(crate) const FIELDS: [Field; 69] = [
    field("OFF_TASK_TGID", "task_struct", "tgid", 4, &[Task]),
    field("OFF_TASK_PID", "task_struct", "pid", 4, &[Task]),
    field("OFF_TASK_LEADER", "task_struct", "group_leader", 8, &[Task]),
    field("OFF_TASK_START", "task_struct", "start_boottime", 8, &[Task]),
    field("OFF_TASK_COMM", "task_struct", "comm", 8, &[Task]),
    field("OFF_TASK_CHARGED", "task_struct", "se.exec_start", 8, &[Charge]),
    field("OFF_TASK_CGROUPS", "task_struct", "cgroups", 8, &[Cgroup]),
    field("OFF_CSS_SET_DFL", "css_set", "dfl_cgrp", 8, &[Cgroup]),
    field("OFF_CGROUP_SERIAL", "cgroup", "self.serial_nr", 8, &[Cgroup]),
    field("OFF_CGROUP_KN", "cgroup", "kn", 8, &[Cgroup]),
    field("OFF_KN_ID", "kernfs_node", "id", 8, &[Cgroup]),
    field("OFF_TASK_SIGNAL", "task_struct", "signal", 8, &[Exit, Score]),
    field("OFF_TASK_EXIT_CODE", "task_struct", "exit_code", 4, &[Exit]),
    field("OFF_SIGNAL_LIVE", "signal_struct", "live", 4, &[Exit]),
    field("OFF_SIGNAL_THREADS", "signal_struct", "nr_threads", 4, &[Exit]),
    field("OFF_SIGNAL_FLAGS", "signal_struct", "flags", 4, &[Exit]),
    field("OFF_SIGNAL_EXIT_CODE", "signal_struct", "group_exit_code", 4, &[Exit]),
    field("OFF_SIGNAL_MAXRSS", "signal_struct", "maxrss", 8, &[Exit]),
    field("OFF_SIGNAL_SCORE", "signal_struct", "oom_score_adj", 2, &[Score]),
    field("OFF_TASK_MM", "task_struct", "mm", 8, &[Rss]),
    field("OFF_MM_RSS", "mm_struct", "rss_stat", 8, &[Rss]),
    field("OFF_SIGINFO_CODE", "kernel_siginfo", "si_code", 4, &[Siginfo]),
    field("OFF_CGROUP_ROOT", "cgroup", "root", 8, &[Tree]),
    field("OFF_ROOT_HIERARCHY", "cgroup_root", "hierarchy_id", 4, &[Tree]),
    field("OFF_CSS_CGROUP", "cgroup_subsys_state", "cgroup", 8, &[Oom, Issuer]),
    field("OFF_OOM_MEMCG", "oom_control", "memcg", 8, &[Oom]),
    field("OFF_MEMCG_CSS", "mem_cgroup", "css", 8, &[Oom]),
    field("OFF_RQ_QUEUE", "request", "q", 8, &[Disk]),
    field("OFF_RQ_DISK", "request", "rq_disk", 8, &[OldDisk]),
    field("OFF_QUEUE_DISK", "request_queue", "disk", 8, &[NewDisk]),
    field("OFF_DISK_MAJOR", "gendisk", "major", 4, &[Disk]),
    field("OFF_DISK_MINOR", "gendisk", "first_minor", 4, &[Disk]),
    field("OFF_RQ_SECTOR", "request", "__sector", 8, &[Disk]),
    field("OFF_RQ_LEN", "request", "__data_len", 4, &[Disk]),
    field("OFF_RQ_CMD_FLAGS", "request", "cmd_flags", 4, &[Disk]),
    field("OFF_RQ_FLAGS", "request", "rq_flags", 4, &[Disk]),
    field("OFF_RQ_BIO", "request", "bio", 8, &[Issuer]),
    field("OFF_BIO_BLKG", "bio", "bi_blkg", 8, &[Issuer]),
    field("OFF_BLKG_BLKCG", "blkcg_gq", "blkcg", 8, &[Issuer]),
    field("OFF_BLKCG_CSS", "blkcg", "css", 8, &[Issuer]),
    field("OFF_RQ_START", "request", "start_time_ns", 8, &[Latency]),
    field("OFF_MAPPING_HOST", "address_space", "host", 8, &[Writeback]),
    field("OFF_MAPPING_ERROR", "address_space", "wb_err", 4, &[Writeback]),
    field("OFF_INODE_SB", "inode", "i_sb", 8, &[Writeback]),
    field("OFF_INODE_INO", "inode", "i_ino", 8, &[Writeback]),
    field("OFF_INODE_MODE", "inode", "i_mode", 2, &[Writeback]),
    field("OFF_INODE_RDEV", "inode", "i_rdev", 4, &[Writeback]),
    field("OFF_SB_DEV", "super_block", "s_dev", 4, &[Writeback, Super]),
    field("OFF_SK_FAMILY", "sock", "__sk_common.skc_family", 2, &[Sock]),
    field("OFF_SK_STATE", "sock", "__sk_common.skc_state", 1, &[Sock]),
    field("OFF_SK_NUM", "sock", "__sk_common.skc_num", 2, &[Sock]),
    field("OFF_SK_DPORT", "sock", "__sk_common.skc_dport", 2, &[Sock]),
    field("OFF_SK_DADDR", "sock", "__sk_common.skc_daddr", 4, &[Sock]),
    field("OFF_SK_V6_DADDR", "sock", "__sk_common.skc_v6_daddr", 8, &[SockV6]),
    field("OFF_SK_PROTOCOL", "sock", "sk_protocol", 2, &[Sock]),
    field("OFF_SK_CGROUP", "sock", "sk_cgrp_data", 8, &[Sock]),
    field("OFF_INET_SPORT", "inet_sock", "inet_sport", 2, &[Sock]),
    field("OFF_SKB_SK", "sk_buff", "sk", 8, &[Packet]),
    field("OFF_SKB_DEV", "sk_buff", "dev", 8, &[Packet]),
    field("OFF_SKB_IIF", "sk_buff", "skb_iif", 4, &[Packet]),
    field("OFF_SKB_LEN", "sk_buff", "len", 4, &[Packet]),
    field("OFF_SKB_HEAD", "sk_buff", "head", 8, &[Packet]),
    field("OFF_SKB_PROTOCOL", "sk_buff", "protocol", 2, &[Packet]),
    field("OFF_SKB_NETWORK", "sk_buff", "network_header", 2, &[Packet]),
    field("OFF_SKB_TRANSPORT", "sk_buff", "transport_header", 2, &[Packet]),
    field("OFF_DEV_IFINDEX", "net_device", "ifindex", 4, &[Interface]),
    field("OFF_MCE_STATUS", "mce", "status", 8, &[Mce]),
    field("OFF_MCE_CPU", "mce", "extcpu", 4, &[Mce]),
    field("OFF_MCE_BANK", "mce", "bank", 1, &[Mce]),
];
