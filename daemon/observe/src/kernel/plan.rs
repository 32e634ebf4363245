//! Decides which hooks to load, from what the kernel offers and what attestation confirmed.
//!
//! Pure, so that a test can take one ability away at a time. Never asks for the kernel's
//! version: distributions carry these changes back and forth.

use hostmedic_model::loss::{Coverage, HookReport};

use super::{
    hook::Hook,
    support::{ExitForm, GROUPS, Group, KernelSupport, Verdicts, VictimForm},
};

/// What to load, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// One for each of [`Hook::ALL`], in that order. Those that are not absent are loaded.
    pub(crate) reports: Vec<HookReport>,
    /// Abilities to freeze into the probes.
    pub(crate) flags: Flags,
}

/// The abilities of `probes/src/kernel.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    /// `HAS_VICTIM_TASK`.
    pub(crate) victim_task: bool,
    /// `HAS_SCORE`.
    pub(crate) score: bool,
    /// `HAS_GROUP_DEAD`.
    pub(crate) group_dead: bool,
    /// `KEEP_RECENT`.
    pub(crate) keep_recent: bool,
}

impl Plan {
    /// Whether `hook` is to be loaded.
    pub(crate) fn loads(&self, hook: Hook) -> bool {
        self.reports
            .iter()
            .any(|r| r.hook == hook.name() && r.coverage != Coverage::Absent)
    }

    /// Records that the kernel refused `hook`.
    pub(crate) fn refuse(&mut self, hook: Hook, reason: &str) {
        for report in self
            .reports
            .iter_mut()
            .filter(|report| report.hook == hook.name())
        {
            report.coverage = Coverage::Absent;
            reason.clone_into(&mut report.reason);
        }
    }
}

/// Chooses what to load.
pub(crate) fn plan(kernel: &KernelSupport, attested: &Verdicts) -> Plan {
    let trusted = |group: Group| -> Result<(), String> {
        kernel.group(group)?;
        GROUPS
            .iter()
            .zip(attested)
            .filter(|(g, _)| **g == group)
            .try_for_each(|(_, verdict)| verdict.clone())
    };
    let identity = trusted(Group::Task).and_then(|()| trusted(Group::Cgroup));
    let score = trusted(Group::Score);

    let exec = kernel.exec.clone().and_then(|()| identity.clone());
    let exit = kernel
        .exit
        .clone()
        .map(drop)
        .and_then(|()| identity.clone());
    let exit = exit.and_then(|()| trusted(Group::Exit));
    let oom = match &kernel.victim {
        Err(reason) => absent(reason),
        Ok(VictimForm::Task) => match (&identity, &score) {
            (Err(reason), _) => absent(reason),
            (Ok(()), Err(reason)) => (
                Coverage::Degraded,
                format!("oom_score_adj is not read: {reason}"),
            ),
            (Ok(()), Ok(())) => (Coverage::Captured, String::new()),
        },
        Ok(VictimForm::ThreadId) => degraded_victim(&exec),
    };

    let flags = Flags {
        victim_task: kernel.victim == Ok(VictimForm::Task),
        score: score.is_ok(),
        group_dead: kernel.exit == Ok(ExitForm::GroupDead),
        keep_recent: kernel.victim == Ok(VictimForm::ThreadId) && exec.is_ok(),
    };
    let found = [oom, captured(&exec), captured(&exit)];
    let reports = Hook::ALL
        .into_iter()
        .zip(found)
        .map(|(hook, (coverage, reason))| HookReport {
            hook: hook.name().to_owned(),
            attach_point: hook.attach_point().to_owned(),
            coverage,
            reason,
        });
    Plan {
        reports: reports.collect(),
        flags,
    }
}

fn absent(reason: &str) -> (Coverage, String) {
    (Coverage::Absent, reason.to_owned())
}

fn captured(ability: &Result<(), String>) -> (Coverage, String) {
    match ability {
        Ok(()) => (Coverage::Captured, String::new()),
        Err(reason) => absent(reason),
    }
}

fn degraded_victim(exec: &Result<(), String>) -> (Coverage, String) {
    let reason = match exec {
        Ok(()) => {
            "this kernel names only a thread id: process and cgroup are as of its last exec since \
             our start, else unknown, and oom_score_adj is not read"
                .to_owned()
        }
        Err(why) => format!("this kernel names only a thread id, and exec is not seen: {why}"),
    };
    (Coverage::Degraded, reason)
}

#[cfg(test)]
mod tests {
    use super::{super::support::FIELDS, *};

    fn whole() -> (KernelSupport, Verdicts) {
        let support = KernelSupport {
            offsets: FIELDS.iter().map(|_| Ok(8)).collect(),
            victim: Ok(VictimForm::Task),
            exec: Ok(()),
            exit: Ok(ExitForm::GroupDead),
        };
        (support, [Ok(()), Ok(()), Ok(()), Ok(())])
    }

    fn gone<T>() -> Result<T, String> {
        Err("gone".to_owned())
    }

    /// Coverage of the three hooks, and every reason present that must be.
    fn check(
        change: impl FnOnce(&mut KernelSupport, &mut Verdicts),
        expected: [Coverage; 3],
    ) -> Plan {
        let (mut support, mut attested) = whole();
        change(&mut support, &mut attested);
        let plan = plan(&support, &attested);
        let found: Vec<_> = plan.reports.iter().map(|report| report.coverage).collect();
        assert_eq!(found, expected, "{plan:?}");
        for report in &plan.reports {
            assert_eq!(
                report.reason.is_empty(),
                report.coverage == Coverage::Captured,
                "{report:?}"
            );
        }
        plan
    }

    use Coverage::{Absent as A, Captured as C, Degraded as D};

    #[test]
    fn whole_kernel_captures_everything() {
        let plan = check(|_, _| {}, [C, C, C]);
        assert!(plan.flags.group_dead && plan.flags.score && !plan.flags.keep_recent);
    }

    #[test]
    fn a_tracepoint_less_is_a_hook_less() {
        check(|kernel, _| kernel.victim = gone(), [A, C, C]);
        check(|kernel, _| kernel.exec = gone(), [C, A, C]);
        check(|kernel, _| kernel.exit = gone(), [C, C, A]);
    }

    #[test]
    fn old_exit_form_is_as_good() {
        let plan = check(|kernel, _| kernel.exit = Ok(ExitForm::Count), [C, C, C]);
        assert!(!plan.flags.group_dead);
    }

    #[test]
    fn thread_id_form_is_degraded_and_makes_exec_remember() {
        let plan = check(
            |kernel, _| kernel.victim = Ok(VictimForm::ThreadId),
            [D, C, C],
        );
        assert!(plan.flags.keep_recent && !plan.flags.victim_task);
        let without_exec = |kernel: &mut KernelSupport, _: &mut Verdicts| {
            kernel.victim = Ok(VictimForm::ThreadId);
            kernel.exec = gone();
        };
        assert!(!check(without_exec, [D, A, C]).flags.keep_recent);
    }

    #[test]
    fn each_missing_offset_takes_what_needs_it() {
        for (index, field) in FIELDS.iter().enumerate() {
            let expected = match field.global {
                "OFF_TASK_SIGNAL" => [D, C, A],
                "OFF_SIGNAL_SCORE" => [D, C, C],
                "OFF_TASK_EXIT_CODE" => [C, C, A],
                name if name.starts_with("OFF_SIGNAL") => [C, C, A],
                _ => [A, A, A],
            };
            check(|kernel, _| kernel.offsets[index] = gone(), expected);
        }
    }

    #[test]
    fn each_failed_attestation_takes_what_needs_it() {
        let expected = [[A, A, A], [A, A, A], [C, C, A], [D, C, C]];
        for (index, expected) in expected.into_iter().enumerate() {
            check(|_, attested| attested[index] = gone(), expected);
        }
    }

    #[test]
    fn a_refused_hook_is_absent_with_the_reason() {
        let mut plan = check(|_, _| {}, [C, C, C]);
        plan.refuse(Hook::ProcessExec, "no");
        assert!(!plan.loads(Hook::ProcessExec) && plan.loads(Hook::ProcessExit));
    }
}
