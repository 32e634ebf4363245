//! What evidence is worth: what is trouble by itself, how much it matters, and what is told already.

use hostmedic_model::{
    anomaly::Severity,
    incident::Evidence,
    signal::{Fact, FilesystemTrouble, SignalKind},
    time::At,
    unit::ActiveState,
};

/// Facts that are trouble by themselves: the incident's title, and how bad it is.
pub(super) fn trouble(fact: &Fact) -> Option<(&'static str, Severity)> {
    match fact {
        Fact::OomKill(_) => Some(("out-of-memory kill", Severity::Critical)),
        Fact::BlockError(_) => Some(("disk errors", Severity::Critical)),
        Fact::ScsiError(_) => Some(("disk does not answer", Severity::Warning)),
        Fact::WritebackError(_) => Some(("written data was lost", Severity::Critical)),
        Fact::FilesystemError(error) => Some(match error.trouble {
            FilesystemTrouble::Error => ("file system is damaged", Severity::Critical),
            FilesystemTrouble::Shutdown => ("file system shut down", Severity::Critical),
        }),
        Fact::MountReadOnly(_) => Some(("mount became read-only", Severity::Critical)),
        Fact::HungTask(_) => Some(("task hangs", Severity::Warning)),
        Fact::RcuStall(_) => Some(("a CPU is stuck", Severity::Critical)),
        Fact::TransmitTimeout(_) => Some(("interface cannot send", Severity::Warning)),
        Fact::HardwareError(error) if error.corrected == Some(true) => {
            Some(("hardware corrected an error", Severity::Info))
        }
        Fact::HardwareError(_) => Some(("hardware error", Severity::Critical)),
        _ => None,
    }
}

/// Whether signals of this kind are kept as facts about their subject, so that a trigger can hold
/// on them.
pub(crate) fn is_kept(kind: SignalKind) -> bool {
    match kind {
        SignalKind::OomKill
        | SignalKind::BlockError
        | SignalKind::ScsiError
        | SignalKind::WritebackError
        | SignalKind::FilesystemError
        | SignalKind::MountReadOnly
        | SignalKind::HungTask
        | SignalKind::RcuStall
        | SignalKind::TransmitTimeout
        | SignalKind::HardwareError
        | SignalKind::UnitState
        | SignalKind::UnitWatchdog
        | SignalKind::FatalSignal
        | SignalKind::Zombies
        | SignalKind::PacketDrops
        | SignalKind::TcpTrouble
        | SignalKind::NetCounter
        | SignalKind::Pressure
        | SignalKind::MemoryEvents
        | SignalKind::LogLines
        | SignalKind::LinkChanges => true,
        SignalKind::ProcessExec
        | SignalKind::ProcessExit
        | SignalKind::CgroupMade
        | SignalKind::CgroupRemoved
        | SignalKind::CgroupAttached
        | SignalKind::UnitRemoved => false,
    }
}

pub(super) fn evidence_at(evidence: &Evidence) -> At {
    match evidence {
        Evidence::Signal(signal) => signal.at,
        Evidence::Anomaly(anomaly) => anomaly.at,
        Evidence::Sample(sample) => sample.at,
        Evidence::Notice(notice) => notice.at,
        Evidence::Child(child) => child.at,
    }
}

/// How much an incident matters because of this evidence.
pub(crate) fn severity_of(evidence: &Evidence) -> Severity {
    match evidence {
        Evidence::Signal(signal) => match &signal.fact {
            Fact::UnitState(state) if state.active == ActiveState::Failed => Severity::Critical,
            fact => trouble(fact).map_or(Severity::Info, |(_, severity)| severity),
        },
        Evidence::Anomaly(anomaly) => anomaly.severity,
        Evidence::Sample(_) => Severity::Warning,
        Evidence::Notice(notice) => notice.severity,
        Evidence::Child(child) => child.severity,
    }
}

pub(super) fn is_repeat(known: &Evidence, new: &Evidence) -> bool {
    match (known, new) {
        (Evidence::Anomaly(known), Evidence::Anomaly(new)) => known.series == new.series,
        (Evidence::Sample(known), Evidence::Sample(new)) => known.series == new.series,
        (Evidence::Signal(known), Evidence::Signal(new)) => match (&known.fact, &new.fact) {
            // Of one kind of line the first is enough, however many follow.
            (Fact::LogLines(known), Fact::LogLines(new)) => known.id == new.id,
            (known, new) => known == new,
        },
        _ => false,
    }
}
