//! Decides which hooks to load, from what the kernel offers and what attestation confirmed.
//!
//! Pure, so that a test can take one ability away at a time. Never asks for the kernel's
//! version: distributions carry these changes back and forth.

use hostmedic_model::loss::{Coverage, HookReport};

use super::{
    attest::Verdicts,
    btf::Argument,
    fields::Group,
    hook::{ALL, Attach, Hook, Info},
    support::KernelSupport,
};

/// What to load, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// One for each hook, in the order of their rows. Those that are not absent are loaded.
    pub(crate) reports: Vec<HookReport>,
    /// Abilities to freeze into the probes.
    pub(crate) flags: Vec<(&'static str, bool)>,
    /// Tracepoint of `block_error`.
    pub(crate) block_error_at: &'static str,
}

/// Choices of the operator that the plan has to respect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Histograms of disk latency.
    pub(crate) latency: bool,
    /// Tell the last thread by counting, as before 6.16. For tests.
    pub(crate) count_threads: bool,
}

/// A hook's fate: captured (nothing missing), degraded (what is missing), or absent (why).
type Fate = Result<Option<String>, String>;

impl Plan {
    /// Whether `hook` is to be loaded.
    pub(crate) fn loads(&self, hook: Hook) -> bool {
        self.reports[hook as usize].coverage != Coverage::Absent
    }

    /// Whether the ability `flag` is frozen in.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|(name, on)| *name == flag && *on)
    }

    /// Records that the kernel refused `hook`, or that it is there now after all.
    pub(crate) fn report(&mut self, hook: Hook, fate: Result<(), &str>) {
        let report = &mut self.reports[hook as usize];
        (report.coverage, report.reason) = match fate {
            Ok(()) => (Coverage::Captured, String::new()),
            Err(reason) => (Coverage::Absent, reason.to_owned()),
        };
    }
}

/// Chooses what to load.
pub(crate) fn plan(kernel: &KernelSupport, attested: &Verdicts, wanted: Wanted) -> Plan {
    let judge = Judge {
        kernel,
        attested,
        wanted,
    };
    let report = |info: &Info| {
        let (coverage, reason) = match judge.fate(info) {
            Ok(None) => (Coverage::Captured, String::new()),
            Ok(Some(missing)) => (Coverage::Degraded, missing),
            Err(why) => (Coverage::Absent, why),
        };
        HookReport {
            hook: info.name.to_owned(),
            attach_point: match info.hook {
                Hook::BlockError => format!("tp_btf/{}", judge.block_error_at()),
                _ => info.attach_point(),
            },
            coverage,
            reason,
        }
    };
    Plan {
        reports: ALL.iter().map(report).collect(),
        flags: judge.flags(),
        block_error_at: judge.block_error_at(),
    }
}

struct Judge<'a> {
    kernel: &'a KernelSupport,
    attested: &'a Verdicts,
    wanted: Wanted,
}

impl Judge<'_> {
    /// Whether all offsets of these groups are known and, where it was tried, proved.
    fn trusts(&self, groups: &[Group]) -> Result<(), String> {
        groups.iter().try_for_each(|group| {
            self.kernel.group(*group)?;
            match self.attested.get(group) {
                Some(verdict) => verdict.clone(),
                None => Ok(()),
            }
        })
    }

    /// What the hook's tracepoint passes, if its first arguments are pointers to `structures`;
    /// `_` stands for anything else.
    fn passes(&self, name: &str, structures: &[&str]) -> Result<&[Argument], String> {
        let arguments = self.kernel.passes(name)?;
        let fits = |(at, expected): (usize, &&str)| match arguments.get(at) {
            Some(Argument::Structure(found)) => found == expected,
            Some(_) => *expected == "_",
            None => false,
        };
        if structures.iter().enumerate().all(fits) {
            return Ok(arguments);
        }
        Err(format!(
            "`{name}` passes other arguments than ({})",
            structures.join(", ")
        ))
    }

    fn fate(&self, info: &Info) -> Fate {
        use Group::{
            Cgroup, Charge, Disk, Exit, Interface, Issuer, Latency, Mce, Oom, Packet, Siginfo,
            Sock, SockV6, Super, Task, Tree, Writeback,
        };
        let (Attach::Typed(point) | Attach::Raw(point) | Attach::Function(point)) = info.attach;
        match info.hook {
            Hook::OomVictim => return self.victim(),
            Hook::OomScope => {
                self.passes(point, &["oom_control"])?;
                self.trusts(&[Oom, Cgroup, Tree])?;
            }
            Hook::SignalFatal => {
                self.passes(point, &["_", "kernel_siginfo", "task_struct"])?;
                self.trusts(&[Task, Cgroup, Siginfo])?;
            }
            Hook::ProcessExec => {
                self.passes(point, &["task_struct", "_"])?;
                self.trusts(&[Task, Cgroup, Charge])?;
            }
            Hook::ProcessExit => {
                self.passes(point, &["task_struct"])?;
                self.trusts(&[Task, Cgroup, Charge, Exit])?;
            }
            Hook::ProcessFork => {
                self.passes(point, &["task_struct", "task_struct"])?;
                self.trusts(&[Task, Cgroup])?;
            }
            Hook::HungTask => {
                self.passes(point, &["task_struct"])?;
                self.trusts(&[Task, Cgroup])?;
            }
            Hook::BlockError => {
                self.passes(self.block_error_at(), &["request", "_", "_"])?;
                self.trusts(&[Disk])?;
                self.disk()?;
                return Ok(self
                    .trusts(&[Issuer, Cgroup, Tree])
                    .err()
                    .map(|why| format!("who issued the request is not read: {why}")));
            }
            Hook::BlockLatency => {
                if !self.wanted.latency {
                    return Err(
                        "disk latency is not asked for (`disk_latency` in medicd.toml)".into(),
                    );
                }
                self.passes(point, &["request", "_", "_"])?;
                self.trusts(&[Disk, Latency])?;
                self.disk()?;
            }
            Hook::WritebackError => {
                self.passes(point, &["address_space", "_"])?;
                self.trusts(&[Writeback])?;
            }
            Hook::Ext4Error | Hook::XfsShutdown => self.trusts(&[Super])?,
            Hook::PacketDrop => {
                self.passes(point, &["sk_buff", "_"])?;
                self.trusts(&[Packet, Interface, Sock, Cgroup])?;
                if !self.has_drop_reason() {
                    return Ok(Some(
                        "this kernel gives no reason; the place in its code is told instead".into(),
                    ));
                }
                if !self.has_receiver() {
                    return Ok(Some(
                        "this kernel does not say who was to receive a packet; such drops have no \
                         owner"
                            .into(),
                    ));
                }
            }
            Hook::TcpRetransmit => {
                self.passes(point, &["sock", "sk_buff"])?;
                self.trusts(&[Sock, Cgroup])?;
            }
            Hook::TcpResetSent => {
                let arguments_of_reset = self.passes(point, &["sock", "sk_buff"])?.len();
                self.trusts(&[Sock, Packet, Cgroup])?;
                // Since 6.10 it also says why, and since then it tells these, too.
                if arguments_of_reset < 3 {
                    return Ok(Some(
                        "this kernel does not tell of resets for a port without a socket".into(),
                    ));
                }
            }
            Hook::TcpResetReceived => {
                self.passes(point, &["sock"])?;
                self.trusts(&[Sock, Cgroup])?;
            }
            Hook::TcpFlow => {
                self.passes(point, &["sock", "_", "_"])?;
                self.trusts(&[Sock, Cgroup])?;
                return Ok(self
                    .trusts(&[SockV6])
                    .err()
                    .map(|why| format!("IPv6 addresses are not read: {why}")));
            }
            Hook::UnixFlow => {
                self.passes(point, &["sock", "sock", "sock"])?;
                self.trusts(&[Sock, Cgroup])?;
            }
            Hook::TransmitTimeout => {
                self.passes(point, &["net_device", "_"])?;
                self.trusts(&[Interface])?;
            }
            Hook::MachineCheck => {
                self.kernel.passes(point)?;
                self.trusts(&[Mce])?;
            }
            Hook::RcuStall | Hook::MemoryController | Hook::MemoryPage | Hook::PcieError => {
                self.kernel.passes(point)?;
            }
            // Their tracepoints may belong to a module: attaching shows whether they are there.
            Hook::ScsiTimeout | Hook::ScsiRefused => {}
            Hook::CgroupMade | Hook::CgroupRemoved => {
                self.passes(point, &["cgroup", "_"])?;
                self.trusts(&[Cgroup, Tree])?;
            }
            Hook::CgroupAttached => {
                self.passes(point, &["cgroup", "_", "task_struct"])?;
                self.trusts(&[Task, Cgroup, Tree])?;
            }
        }
        Ok(None)
    }

    fn victim(&self) -> Fate {
        const POINT: &str = "mark_victim";
        let mut missing = Vec::new();
        if self.passes(POINT, &["task_struct"]).is_ok() {
            self.trusts(&[Group::Task, Group::Cgroup])?;
            if let Err(why) = self.trusts(&[Group::Score]) {
                missing.push(format!("oom_score_adj is not read: {why}"));
            }
            if let Err(why) = self.trusts(&[Group::Rss]) {
                missing.push(format!("resident memory is not read: {why}"));
            }
        } else {
            match self.kernel.passes(POINT)?.first() {
                Some(Argument::Integer { bytes: 4, .. }) => missing.push(
                    "this kernel names only a thread id: process and cgroup are as of its last \
                     exec since our start, else unknown; score and memory are not read"
                        .to_owned(),
                ),
                _ => return Err(format!("`{POINT}` passes neither a task nor a thread id")),
            }
            if let Err(why) = self.fate(Info::of(Hook::ProcessExec)) {
                missing.push(format!("exec is not seen: {why}"));
            }
        }
        if let Err(why) = self.fate(Info::of(Hook::SignalFatal)) {
            missing.push(format!("whether it was killed is not confirmed: {why}"));
        }
        Ok((!missing.is_empty()).then(|| missing.join("; ")))
    }

    fn disk(&self) -> Result<(), String> {
        self.trusts(&[Group::NewDisk])
            .or_else(|_| self.trusts(&[Group::OldDisk]))
    }

    /// `block_rq_error` exists since 5.18.
    fn block_error_at(&self) -> &'static str {
        match self.kernel.passes("block_rq_error") {
            Ok(_) => "block_rq_error",
            Err(_) => "block_rq_complete",
        }
    }

    fn has_drop_reason(&self) -> bool {
        let reason = self.kernel.passes("kfree_skb").ok();
        matches!(
            reason.and_then(|arguments| arguments.get(2)),
            Some(Argument::Enumeration(name)) if name == "skb_drop_reason"
        )
    }

    /// `kfree_skb` passes the receiving socket since 6.11.
    fn has_receiver(&self) -> bool {
        let arguments = self.kernel.passes("kfree_skb").ok();
        matches!(
            arguments.and_then(|arguments| arguments.get(3)),
            Some(Argument::Structure(name)) if name == "sock"
        )
    }

    fn flags(&self) -> Vec<(&'static str, bool)> {
        let argument = |point: &str, at: usize| {
            let arguments = self.kernel.passes(point).ok();
            arguments.and_then(|arguments| arguments.get(at)).cloned()
        };
        let victim_task = self.passes("mark_victim", &["task_struct"]).is_ok();
        let is_int =
            |found: Option<Argument>| matches!(found, Some(Argument::Integer { bytes: 4, .. }));
        let group_dead = matches!(
            argument("sched_process_exit", 1),
            Some(Argument::Integer { truth: true, .. })
        );
        vec![
            ("HAS_VICTIM_TASK", victim_task),
            ("HAS_SCORE", self.trusts(&[Group::Score]).is_ok()),
            ("HAS_RSS", self.trusts(&[Group::Rss]).is_ok()),
            ("HAS_GROUP_DEAD", group_dead && !self.wanted.count_threads),
            (
                "KEEP_RECENT",
                !victim_task && self.fate(Info::of(Hook::ProcessExec)).is_ok(),
            ),
            (
                "HAS_SIGNALS",
                self.fate(Info::of(Hook::SignalFatal)).is_ok(),
            ),
            ("HAS_RQ_DISK", self.trusts(&[Group::NewDisk]).is_err()),
            (
                "HAS_ISSUER",
                self.trusts(&[Group::Issuer, Group::Cgroup, Group::Tree])
                    .is_ok(),
            ),
            ("HAS_ERRNO", is_int(argument(self.block_error_at(), 1))),
            ("FROM_COMPLETE", self.block_error_at() != "block_rq_error"),
            ("HAS_SOCK_CGROUP", self.kernel.socket_has_cgroup),
            ("HAS_DROP_REASON", self.has_drop_reason()),
            ("HAS_RX_SOCK", self.has_receiver()),
            (
                "HAS_RETRANSMIT_ERR",
                is_int(argument("tcp_retransmit_skb", 2)),
            ),
        ]
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
