//! Levels of bounded resources that matter whatever is usual: nearly full is nearly full.
//!
//! How much is too much depends on what the subject is for: a database stops when its disk is full,
//! a log server is made to be nearly so.

use hostmedic_model::{anomaly::Severity, sample::Measure};
use serde::{Deserialize, Serialize};

/// Samples in a row above a limit.
const IN_ROW: u8 = 2;
/// Below a limit by this, it counts as left.
const LEFT: f64 = 0.03;

/// 21 days before the end of a certificate that lives for 90 or more. One that lives less has less
/// time in the same share: those of 47 days are told at 11 days, those of 6 at 34 hours. Whoever
/// renews by himself does it at a third of the life (ACME clients, RFC 9773; Let's Encrypt's advice),
/// so at less than a quarter he has failed again and again.
const CERTIFICATE_WARNING: f64 = 1.0 - 21.0 / 90.0;
/// 7 days before, or in the same share.
const CERTIFICATE_CRITICAL: f64 = 1.0 - 7.0 / 90.0;

/// What a subject is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Nothing in particular: disks are a matter from 90 %, critical from 95 %.
    #[default]
    General,
    /// Holds a database, which stops when its disk is full: from 85 %, critical from 90 %.
    Database,
    /// Holds logs, and is nearly full on purpose: from 95 %, critical from 98 %.
    LogServer,
}

/// From where on a level is a warning, and from where on it is critical.
struct Limits {
    warning: f64,
    critical: f64,
}

impl Role {
    fn limits(self, measure: Measure) -> Option<Limits> {
        let (warning, critical) = match (measure, self) {
            (Measure::DiskUsedRatio, Self::General) => (0.9, 0.95),
            (Measure::DiskUsedRatio, Self::Database) => (0.85, 0.9),
            (Measure::DiskUsedRatio, Self::LogServer) => (0.95, 0.98),
            (Measure::InodesUsedRatio, _) => (0.9, 0.95),
            // New connections are refused when it is full.
            (Measure::ConntrackUsedRatio, _) => (0.8, 0.95),
            (Measure::UnitTasksLimitRatio, _) => (0.9, 0.97),
            // Memory is there to be used; only the last of it is missed.
            (Measure::MemoryUsedRatio, _) => (0.95, 0.95),
            (Measure::CertificateUsedRatio, _) => (CERTIFICATE_WARNING, CERTIFICATE_CRITICAL),
            // Negated, because less is worse: it has expired.
            (Measure::CertificateLeftS, _) => (0.0, 0.0),
            (
                Measure::CpuBusyRatio
                | Measure::LoadPerCpu
                | Measure::JournalShareRatio
                | Measure::UnitMemoryBytes
                | Measure::UnitAnonBytes
                // Near its limit a unit gives back what it holds of files: no trouble by itself.
                | Measure::UnitMemoryLimitRatio
                | Measure::UnitCpuShareRatio
                | Measure::DiskFreeBytes
                | Measure::SwapUsedRatio
                | Measure::MemoryPressureSomeRatio
                | Measure::CpuPressureSomeRatio
                | Measure::IoPressureSomeRatio
                | Measure::PacketDropsPerS
                | Measure::TcpRetransmitsPerS
                | Measure::ExecPerS,
                _,
            ) => return None,
        };
        Some(Limits { warning, critical })
    }
}

/// Where a series stands against its limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Level {
    above_in_row: u8,
    told: Option<Severity>,
}

impl Level {
    /// Takes a value in; a severity when a limit was passed, once until it is left again.
    pub(super) fn judge(&mut self, role: Role, measure: Measure, value: f64) -> Option<Severity> {
        let limits = role.limits(measure)?;
        let value = height(measure, value);
        let severity_from = |value: f64| {
            if value >= limits.critical {
                Some(Severity::Critical)
            } else if value >= limits.warning {
                Some(Severity::Warning)
            } else {
                None
            }
        };
        self.told = self.told.min(severity_from(value + LEFT));
        let now = severity_from(value);
        if now <= self.told {
            self.above_in_row = 0;
            return None;
        }
        self.above_in_row += 1;
        if self.above_in_row < IN_ROW {
            return None;
        }
        self.above_in_row = 0;
        self.told = now;
        now
    }
}

/// Whether a certificate is (still, with the margin of [`LEFT`]) so near to its end that it is told.
pub(crate) fn runs_out(used_ratio: f64) -> bool {
    used_ratio + LEFT >= CERTIFICATE_WARNING
}

/// A number that limits can be compared with: more is worse.
fn height(measure: Measure, value: f64) -> f64 {
    if measure == Measure::CertificateLeftS {
        -value
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Measure = Measure::DiskUsedRatio;

    fn told(role: Role, values: &[f64]) -> Vec<Option<Severity>> {
        let mut level = Level::default();
        values
            .iter()
            .map(|value| level.judge(role, DISK, *value))
            .collect()
    }

    #[test]
    fn ninety_percent_is_critical_on_a_database_and_normal_on_a_log_server() {
        assert_eq!(
            told(Role::Database, &[0.9, 0.9])[1],
            Some(Severity::Critical)
        );
        assert_eq!(told(Role::General, &[0.9, 0.9])[1], Some(Severity::Warning));
        assert_eq!(told(Role::LogServer, &[0.9, 0.9])[1], None);
    }

    #[test]
    fn a_limit_is_told_once_until_it_is_left() {
        let values = [0.91, 0.91, 0.91, 0.89, 0.91, 0.91, 0.8, 0.91, 0.91];
        let times: Vec<usize> = told(Role::General, &values)
            .iter()
            .enumerate()
            .filter_map(|(row, told)| told.map(|_| row))
            .collect();
        assert_eq!(times, [1, 8]);
    }

    #[test]
    fn worse_is_told_again() {
        let told = told(Role::General, &[0.91, 0.91, 0.96, 0.96, 0.96]);
        assert_eq!(told[1], Some(Severity::Warning));
        assert_eq!(told[3], Some(Severity::Critical));
        assert_eq!(told[4], None);
    }

    #[test]
    fn what_is_not_bounded_has_no_limit() {
        let mut level = Level::default();
        for _ in 0..5 {
            assert_eq!(level.judge(Role::General, Measure::CpuBusyRatio, 1.0), None);
        }
    }
}
