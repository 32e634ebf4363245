//! What the running kernel was found to offer. Facts only; what follows is decided in `plan`.

use std::fs;

use super::{
    btf::{Argument, Btf, BtfError},
    error::ProbeError,
};

/// Offsets that are trusted, or not, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Who a task is.
    Task,
    /// Which cgroup it belongs to.
    Cgroup,
    /// How its process ends.
    Exit,
    /// How the kernel ranks it when memory runs out.
    Score,
}

/// All groups, in the order of [`Verdicts`].
pub(crate) const GROUPS: [Group; 4] = [Group::Task, Group::Cgroup, Group::Exit, Group::Score];

/// One yes, or no with its reason, for each of [`GROUPS`].
pub(crate) type Verdicts = [Result<(), String>; 4];

/// A field the probes read: the global that holds its offset, and where BTF has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Global of `probes/src/kernel.rs`.
    pub(crate) global: &'static str,
    structure: &'static str,
    member: &'static str,
    /// Alignment the probe's load needs.
    align: u32,
    groups: &'static [Group],
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

/// Every field, as in include/linux/sched.h, sched/signal.h, cgroup-defs.h and kernfs.h.
pub(crate) const FIELDS: [Field; 16] = [
    field("OFF_TASK_TGID", "task_struct", "tgid", 4, &[Group::Task]),
    field("OFF_TASK_PID", "task_struct", "pid", 4, &[Group::Task]),
    field(
        "OFF_TASK_LEADER",
        "task_struct",
        "group_leader",
        8,
        &[Group::Task],
    ),
    field(
        "OFF_TASK_START",
        "task_struct",
        "start_boottime",
        8,
        &[Group::Task],
    ),
    field("OFF_TASK_COMM", "task_struct", "comm", 8, &[Group::Task]),
    field(
        "OFF_TASK_CGROUPS",
        "task_struct",
        "cgroups",
        8,
        &[Group::Cgroup],
    ),
    field(
        "OFF_CSS_SET_DFL",
        "css_set",
        "dfl_cgrp",
        8,
        &[Group::Cgroup],
    ),
    field("OFF_CGROUP_KN", "cgroup", "kn", 8, &[Group::Cgroup]),
    field("OFF_KN_ID", "kernfs_node", "id", 8, &[Group::Cgroup]),
    field(
        "OFF_TASK_SIGNAL",
        "task_struct",
        "signal",
        8,
        &[Group::Exit, Group::Score],
    ),
    field(
        "OFF_TASK_EXIT_CODE",
        "task_struct",
        "exit_code",
        4,
        &[Group::Exit],
    ),
    field(
        "OFF_SIGNAL_LIVE",
        "signal_struct",
        "live",
        4,
        &[Group::Exit],
    ),
    field(
        "OFF_SIGNAL_THREADS",
        "signal_struct",
        "nr_threads",
        4,
        &[Group::Exit],
    ),
    field(
        "OFF_SIGNAL_FLAGS",
        "signal_struct",
        "flags",
        4,
        &[Group::Exit],
    ),
    field(
        "OFF_SIGNAL_EXIT_CODE",
        "signal_struct",
        "group_exit_code",
        4,
        &[Group::Exit],
    ),
    field(
        "OFF_SIGNAL_SCORE",
        "signal_struct",
        "oom_score_adj",
        2,
        &[Group::Score],
    ),
];

/// What `mark_victim` passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VictimForm {
    /// The victim's task.
    Task,
    /// Only a thread id.
    ThreadId,
}

/// How `sched_process_exit` tells the last thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitForm {
    /// It says so.
    GroupDead,
    /// By the number of threads that live.
    Count,
}

/// Facts about this kernel. An error is the reason why something is not there.
#[derive(Clone, Debug)]
pub(crate) struct KernelSupport {
    /// Offset of each of [`FIELDS`].
    pub(crate) offsets: Vec<Result<u32, String>>,
    /// `oom:mark_victim`.
    pub(crate) victim: Result<VictimForm, String>,
    /// `sched:sched_process_exec`.
    pub(crate) exec: Result<(), String>,
    /// `sched:sched_process_exit`.
    pub(crate) exit: Result<ExitForm, String>,
}

/// Where the kernel describes its types; there since 5.4 with `CONFIG_DEBUG_INFO_BTF`.
const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

impl KernelSupport {
    /// Asks the running kernel. Its BTF is in memory only meanwhile.
    pub(crate) fn detect() -> Result<Self, ProbeError> {
        let bytes = fs::read(BTF_PATH).map_err(|source| ProbeError::NoBtf { source })?;
        let btf = Btf::parse(bytes).map_err(|error| ProbeError::BadBtf {
            why: error.to_string(),
        })?;
        Ok(Self::from_btf(&btf))
    }

    fn from_btf(btf: &Btf) -> Self {
        Self {
            offsets: FIELDS.iter().map(|field| offset(btf, field)).collect(),
            victim: victim_form(&btf.tracepoint("mark_victim")),
            exec: exec_form(&btf.tracepoint("sched_process_exec")),
            exit: exit_form(&btf.tracepoint("sched_process_exit")),
        }
    }

    /// Whether every offset of `group` is known.
    pub(crate) fn group(&self, group: Group) -> Result<(), String> {
        let mut of_group = FIELDS
            .iter()
            .zip(&self.offsets)
            .filter(|(f, _)| f.groups.contains(&group));
        of_group.try_for_each(|(_, offset)| offset.clone().map(drop))
    }
}

fn offset(btf: &Btf, field: &Field) -> Result<u32, String> {
    let offset = btf
        .member_offset(field.structure, field.member)
        .map_err(|e| e.to_string())?;
    if offset % field.align == 0 {
        return Ok(offset);
    }
    let Field {
        structure,
        member,
        align,
        ..
    } = field;
    Err(format!(
        "`{member}` of `struct {structure}` is at {offset}, not a multiple of {align}"
    ))
}

fn is_task(argument: Option<&Argument>) -> bool {
    matches!(argument, Some(Argument::Structure(name)) if name == "task_struct")
}

fn victim_form(found: &Result<Vec<Argument>, BtfError>) -> Result<VictimForm, String> {
    let arguments = found.as_ref().map_err(BtfError::to_string)?;
    match arguments.first() {
        task if is_task(task) => Ok(VictimForm::Task),
        Some(Argument::Integer { bytes: 4, .. }) => Ok(VictimForm::ThreadId),
        _ => Err("tracepoint `mark_victim` passes neither a task nor a thread id".to_owned()),
    }
}

fn exec_form(found: &Result<Vec<Argument>, BtfError>) -> Result<(), String> {
    match found.as_ref().map_err(BtfError::to_string)?.as_slice() {
        [task, Argument::Integer { bytes: 4, .. }, ..] if is_task(Some(task)) => Ok(()),
        _ => Err("tracepoint `sched_process_exec` does not pass (task, old id)".to_owned()),
    }
}

fn exit_form(found: &Result<Vec<Argument>, BtfError>) -> Result<ExitForm, String> {
    match found.as_ref().map_err(BtfError::to_string)?.as_slice() {
        [task, rest @ ..] if is_task(Some(task)) => match rest.first() {
            Some(Argument::Integer { truth: true, .. }) => Ok(ExitForm::GroupDead),
            _ => Ok(ExitForm::Count),
        },
        _ => Err("tracepoint `sched_process_exit` does not pass a task".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Argument {
        Argument::Structure("task_struct".to_owned())
    }

    const INT: Argument = Argument::Integer {
        bytes: 4,
        truth: false,
    };
    const BOOL: Argument = Argument::Integer {
        bytes: 1,
        truth: true,
    };

    #[test]
    fn victim_is_a_task_or_a_thread_id() {
        assert_eq!(victim_form(&Ok(vec![task(), INT])), Ok(VictimForm::Task));
        assert_eq!(victim_form(&Ok(vec![INT])), Ok(VictimForm::ThreadId));
        assert!(victim_form(&Ok(vec![Argument::Other])).is_err());
        assert!(victim_form(&Ok(vec![])).is_err());
    }

    #[test]
    fn exit_says_group_dead_or_not() {
        assert_eq!(exit_form(&Ok(vec![task(), BOOL])), Ok(ExitForm::GroupDead));
        assert_eq!(exit_form(&Ok(vec![task()])), Ok(ExitForm::Count));
        assert!(exit_form(&Ok(vec![INT])).is_err());
    }

    #[test]
    fn every_offset_of_the_running_kernel_is_found() {
        let support = KernelSupport::detect().unwrap();
        for (field, offset) in FIELDS.iter().zip(&support.offsets) {
            assert!(offset.is_ok(), "{field:?}: {offset:?}");
        }
        assert!(support.victim.is_ok() && support.exec.is_ok() && support.exit.is_ok());
    }
}
