//! The hooks by name: the probe's file, program and row of counters are all this.

/// One probe and its attach point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// `oom:mark_victim`.
    OomVictim,
    /// `sched:sched_process_exec`.
    ProcessExec,
    /// `sched:sched_process_exit`.
    ProcessExit,
}

impl Hook {
    /// All of them, rarest first.
    pub(crate) const ALL: [Self; hostmedic_abi::HOOKS] =
        [Self::OomVictim, Self::ProcessExec, Self::ProcessExit];

    /// Name of the probe.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OomVictim => "oom_victim",
            Self::ProcessExec => "process_exec",
            Self::ProcessExit => "process_exit",
        }
    }

    /// Name of the tracepoint.
    pub(crate) fn tracepoint(self) -> &'static str {
        match self {
            Self::OomVictim => "mark_victim",
            Self::ProcessExec => "sched_process_exec",
            Self::ProcessExit => "sched_process_exit",
        }
    }

    /// Where it is attached, in libbpf's words.
    pub(crate) fn attach_point(self) -> &'static str {
        match self {
            Self::OomVictim => "tp_btf/mark_victim",
            Self::ProcessExec => "tp_btf/sched_process_exec",
            Self::ProcessExit => "tp_btf/sched_process_exit",
        }
    }

    /// Row of its counters.
    pub(crate) fn row(self) -> u32 {
        use hostmedic_abi::Hook as Row;
        let row = match self {
            Self::OomVictim => Row::OomVictim,
            Self::ProcessExec => Row::ProcessExec,
            Self::ProcessExit => Row::ProcessExit,
        };
        row as u32
    }
}
