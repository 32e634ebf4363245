//! One piece of evidence, and the words of the model, as people say them.

use std::time::Duration;

use hostmedic_model::{
    anomaly::{Anomaly, Severity},
    decision::{Stance, Verdict},
    incident::{Evidence, IncidentStatus},
    notice::{Notice, Noticed},
    outcome::Verification,
    playbook::Phase,
    sample::Measure,
    signal::Fact,
    time::{At, Span},
    unit::{ActiveState, UnitState},
};

use super::text::{Tone, size, span};

/// When it happened.
pub(crate) fn moment(evidence: &Evidence) -> At {
    match evidence {
        Evidence::Signal(signal) => signal.at,
        Evidence::Anomaly(anomaly) => anomaly.at,
        Evidence::Sample(sample) => sample.at,
        Evidence::Notice(notice) => notice.at,
        Evidence::Child(child) => child.at,
    }
}

/// What it says, in one line.
pub(crate) fn line(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Signal(signal) => format!("{}: {}", signal.subject, fact(&signal.fact)),
        Evidence::Anomaly(anomaly) => unusual(anomaly),
        Evidence::Sample(sample) => {
            format!(
                "{} is {}",
                sample.series,
                number(sample.series.measure, sample.value)
            )
        }
        Evidence::Notice(notice) => format!(
            "{}: {}: {}",
            notice.subject,
            notice.noticed.title(),
            noticed(notice)
        ),
        Evidence::Child(child) => format!(
            "{}: {} ({}), below this one",
            child.subject, child.title, child.incident
        ),
    }
}

/// What was counted, and what is usual.
fn noticed(notice: &Notice) -> String {
    let (observed, expected, over) = (notice.observed, notice.expected, notice.over);
    let seconds = |count: f64| span(Duration::from_secs(count.max(0.0) as u64));
    match notice.noticed {
        Noticed::CrashLoop => format!("{observed:.0} restarts and failures within {over}"),
        Noticed::OomAgain => format!("{observed:.0} kills within {over}"),
        Noticed::ErrorSurge
        | Noticed::DropSurge
        | Noticed::RetransmitSurge
        | Noticed::ResetSurge
        | Noticed::RefusalSurge => {
            format!("{observed:.0} within {over}, usual are {expected:.1}")
        }
        Noticed::Silent | Noticed::NotStarted => format!(
            "none for {}, its pauses were at most {}",
            seconds(observed),
            seconds(expected)
        ),
        Noticed::ClockStep => format!("by {:+.1} s", observed / 1000.0),
        Noticed::Storm => format!("{observed:.0} within {over}"),
        Noticed::NewLogLines => format!("{observed:.0} lines within {over}"),
        Noticed::LinkFlap => format!("its carrier went {observed:.0} times within {over}"),
    }
}

/// A number and what is normal; then where it is heading, and what else was off.
fn unusual(anomaly: &Anomaly) -> String {
    let measure = anomaly.series.measure;
    // They only grow and shrink: nothing is usual.
    match measure {
        Measure::CertificateUsedRatio => {
            let used = number(measure, anomaly.observed);
            return format!(
                "{used} of the time that {} has are gone",
                anomaly.series.subject
            );
        }
        Measure::CertificateLeftS => {
            let ago = number(measure, anomaly.observed.abs());
            return format!("{} has expired {ago} ago", anomaly.series.subject);
        }
        _ => {}
    }
    let mut text = format!(
        "{} is {}, normal is {} ± {} ({:.1} spreads, {})",
        anomaly.series,
        number(measure, anomaly.observed),
        number(measure, anomaly.expected),
        number(measure, anomaly.spread),
        anomaly.deviation,
        severity(anomaly.severity).0,
    );
    if let Some(forecast) = &anomaly.forecast {
        text += &format!(
            "; grows by {} ± {} an hour and is used up in {}",
            number(measure, forecast.growth_per_hour),
            number(measure, forecast.growth_margin),
            Span::minutes(forecast.exhausted_in_s / 60),
        );
    }
    if !anomaly.together.is_empty() {
        let names: Vec<_> = anomaly.together.iter().map(Measure::to_string).collect();
        text += &format!("; together with {}", names.join(", "));
    }
    text
}

/// The model's words; of a unit's state also what tells its runs apart.
fn fact(fact: &Fact) -> String {
    match fact {
        Fact::UnitState(state) => unit_state(state),
        other => other.to_string(),
    }
}

/// `failed/failed, result oom-kill, invocation 0a1b2c3d0a1b`.
pub(crate) fn unit_state(state: &UnitState) -> String {
    let mut text = format!("{}/{}", active(state.active), state.sub);
    if !state.result.is_empty() {
        text += &format!(", result {}", state.result);
    }
    if let Some(invocation) = &state.invocation_id {
        text += &format!(", invocation {}", super::text::short(invocation));
    }
    if state.n_restarts > 0 {
        text += &format!(", restarted {} times by systemd", state.n_restarts);
    }
    text
}

/// A number in the unit of its measure.
pub(crate) fn number(measure: Measure, value: f64) -> String {
    match measure {
        Measure::UnitMemoryBytes | Measure::UnitAnonBytes | Measure::DiskFreeBytes => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", size(value.abs() as u64))
        }
        Measure::CpuBusyRatio
        | Measure::MemoryUsedRatio
        | Measure::DiskUsedRatio
        | Measure::JournalShareRatio
        | Measure::MemoryPressureSomeRatio
        | Measure::CpuPressureSomeRatio
        | Measure::IoPressureSomeRatio
        | Measure::SwapUsedRatio
        | Measure::ConntrackUsedRatio
        | Measure::InodesUsedRatio
        | Measure::UnitMemoryLimitRatio
        | Measure::UnitTasksLimitRatio
        | Measure::UnitCpuShareRatio
        | Measure::CertificateUsedRatio => format!("{:.1} %", value * 100.0),
        Measure::CertificateLeftS => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", span(Duration::from_secs(value.abs() as u64)))
        }
        Measure::LoadPerCpu
        | Measure::ExecPerS
        | Measure::PacketDropsPerS
        | Measure::TcpRetransmitsPerS => format!("{value:.2}"),
    }
}

/// systemd's word for a state.
pub(crate) fn active(state: ActiveState) -> &'static str {
    match state {
        ActiveState::Active => "active",
        ActiveState::Reloading => "reloading",
        ActiveState::Refreshing => "refreshing",
        ActiveState::Inactive => "inactive",
        ActiveState::Failed => "failed",
        ActiveState::Activating => "activating",
        ActiveState::Deactivating => "deactivating",
        ActiveState::Maintenance => "maintenance",
        ActiveState::Unknown => "unknown",
    }
}

pub(crate) fn severity(severity: Severity) -> (&'static str, Option<Tone>) {
    match severity {
        Severity::Info => ("info", None),
        Severity::Warning => ("warning", Some(Tone::Warn)),
        Severity::Critical => ("critical", Some(Tone::Bad)),
    }
}

pub(crate) fn status(status: IncidentStatus) -> (&'static str, Option<Tone>) {
    match status {
        IncidentStatus::Open => ("open", Some(Tone::Warn)),
        IncidentStatus::Held => ("held", Some(Tone::Warn)),
        IncidentStatus::AwaitingApproval => ("waits for approval", Some(Tone::Warn)),
        IncidentStatus::Acting => ("acting", None),
        IncidentStatus::Verifying => ("verifying", None),
        IncidentStatus::Undoing => ("undoing", Some(Tone::Warn)),
        IncidentStatus::Escalated => ("escalated", Some(Tone::Bad)),
        IncidentStatus::Resolved => ("resolved", Some(Tone::Good)),
        IncidentStatus::Closed => ("closed", Some(Tone::Dim)),
    }
}

pub(crate) fn verdict(verdict: Verdict) -> (&'static str, Option<Tone>) {
    match verdict {
        Verdict::Act => ("act", Some(Tone::Good)),
        Verdict::Propose => ("propose", Some(Tone::Warn)),
        Verdict::Shadow => ("shadow", Some(Tone::Dim)),
        Verdict::Hold => ("hold", Some(Tone::Warn)),
        Verdict::Escalate => ("escalate", Some(Tone::Bad)),
    }
}

pub(crate) fn stance(stance: Stance) -> (&'static str, Option<Tone>) {
    match stance {
        Stance::Pass => ("pass", Some(Tone::Good)),
        Stance::Wait => ("wait", Some(Tone::Warn)),
        Stance::Ask => ("ask", Some(Tone::Warn)),
        Stance::Shadow => ("shadow", Some(Tone::Dim)),
        Stance::Refuse => ("refuse", Some(Tone::Bad)),
    }
}

pub(crate) fn verification(verification: Verification) -> (&'static str, Option<Tone>) {
    match verification {
        Verification::Resolved => ("resolved", Some(Tone::Good)),
        Verification::Unchanged => ("unchanged", Some(Tone::Bad)),
        Verification::Worse => ("worse", Some(Tone::Bad)),
        Verification::Indeterminate => ("indeterminate", Some(Tone::Bad)),
    }
}

pub(crate) fn phase(phase: Phase) -> (&'static str, &'static str) {
    match phase {
        Phase::Observe => ("observe", "only says what it would do"),
        Phase::Assist => ("assist", "acts after an operator's approval"),
        Phase::Autonomous => ("autonomous", "acts within its limits"),
    }
}
