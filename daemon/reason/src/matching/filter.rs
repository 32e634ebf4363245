//! Which playbooks can be about a subject of this kind at all: the filter before any ranking.
//!
//! Only what is sure speaks against: a condition on a unit's state is about a unit. What a
//! playbook asks for that this version cannot see says nothing, and a playbook that cannot be
//! carried out yet may still be the right one, so that neither is kept out.

use hostmedic_model::{
    playbook::{Condition, Playbook},
    sample::Measure,
    signal::SignalKind,
    subject::Subject,
};

/// Whether a trigger's conditions can hold for this kind of subject.
pub(crate) fn admits(playbook: &Playbook, subject: &Subject) -> bool {
    playbook
        .trigger
        .iter()
        .all(|condition| can_be_about(condition, subject))
}

fn can_be_about(condition: &Condition, subject: &Subject) -> bool {
    match condition {
        Condition::UnitState { .. } | Condition::Starts { .. } => subject.unit().is_some(),
        Condition::Signal { kind, .. } => match kind {
            SignalKind::UnitState => subject.unit().is_some(),
            SignalKind::BlockError | SignalKind::ScsiError => {
                matches!(subject, Subject::Device(_))
            }
            SignalKind::MountReadOnly => matches!(subject, Subject::Mount(_)),
            // The others come about whatever could be found to be theirs.
            _ => true,
        },
        Condition::Above { measure, .. } | Condition::Below { measure, .. } => match measure {
            Measure::DiskUsedRatio
            | Measure::DiskFreeBytes
            | Measure::InodesUsedRatio
            | Measure::JournalShareRatio => matches!(subject, Subject::Mount(_)),
            Measure::UnitMemoryBytes
            | Measure::UnitAnonBytes
            | Measure::UnitMemoryLimitRatio
            | Measure::UnitTasksLimitRatio
            | Measure::UnitCpuShareRatio => subject.unit().is_some(),
            Measure::CertificateUsedRatio | Measure::CertificateLeftS => {
                matches!(subject, Subject::Certificate(_))
            }
            Measure::CpuBusyRatio
            | Measure::MemoryUsedRatio
            | Measure::LoadPerCpu
            | Measure::SwapUsedRatio
            | Measure::ConntrackUsedRatio
            | Measure::PacketDropsPerS
            | Measure::TcpRetransmitsPerS
            | Measure::ExecPerS => matches!(subject, Subject::Host),
            Measure::MemoryPressureSomeRatio
            | Measure::CpuPressureSomeRatio
            | Measure::IoPressureSomeRatio => {
                matches!(subject, Subject::Host) || subject.unit().is_some()
            }
        },
        Condition::Held { condition, .. } => can_be_about(condition, subject),
        Condition::All(all) => all.iter().all(|condition| can_be_about(condition, subject)),
        Condition::Any(any) => any.iter().any(|condition| can_be_about(condition, subject)),
        // What is not so can be not so of anything.
        Condition::None(_) | Condition::Unseen(_) => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::{subject::UnitName, time::BootId};

    use super::*;
    use crate::{pipeline::State, playbook, policy::Policy};

    #[test]
    fn a_full_disk_is_no_matter_of_units() {
        let text = include_str!("../../../../playbooks/disk-full-journal.yaml");
        let journal = playbook::parse("disk-full-journal.yaml", text).unwrap();
        let text = include_str!("../../../../playbooks/unit-oom-killed.yaml");
        let oom = playbook::parse("unit-oom-killed.yaml", text).unwrap();
        let mount = Subject::Mount("/".to_owned());
        let unit = Subject::Unit(UnitName::new("web.service").unwrap());
        assert!(admits(&journal, &mount) && !admits(&journal, &unit));
        assert!(admits(&oom, &unit) && !admits(&oom, &mount) && !admits(&oom, &Subject::Host));
    }

    #[test]
    fn a_playbook_for_other_hosts_is_not_there() {
        let text = include_str!("../../../../playbooks/unit-oom-killed.yaml");
        let text = text.replacen("\ntarget:", "\nhosts: { with: [database] }\ntarget:", 1);
        let only = playbook::parse("unit-oom-killed.yaml", &text).unwrap();
        let known = |tags: &[&str]| {
            let policy = Policy {
                tags: tags.iter().map(ToString::to_string).collect(),
                ..Policy::default()
            };
            let boot = BootId("b".into());
            let state = State::new("h".into(), boot, policy, vec![only.clone()]);
            state.playbooks().len()
        };
        assert_eq!(known(&[]), 0);
        assert_eq!(known(&["web"]), 0);
        assert_eq!(known(&["web", "database"]), 1);
    }
}
