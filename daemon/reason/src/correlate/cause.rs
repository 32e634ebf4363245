//! Whether one open incident is the likely cause of another: by dependency, by disk, by machine.

use hostmedic_model::{
    incident::{Evidence, Incident, IncidentId},
    sample::{Measure, Series},
    signal::{Device, Fact},
    subject::Subject,
};

use super::TOGETHER;
use crate::pipeline::State;

/// From this share on, a file system or the memory fails those who need some of it.
const FULL: f64 = 0.95;

/// Part of the host that others rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Storage,
    Machine,
}

impl State {
    /// Whether the incident `id` is a likely cause of `incident`.
    pub(super) fn is_cause(&self, id: &IncidentId, incident: &Incident) -> bool {
        let Some(above) = self.cases.get(id).map(|case| &case.incident) else {
            return false;
        };
        let is_near = self.now.since(above.last_at) <= TOGETHER;
        if above.status.is_over() || !is_near || super::is_storm(above) {
            return false;
        }
        match (&above.subject, &incident.subject) {
            (Subject::Unit(above), Subject::Unit(below)) => self.correlation.depends(below, above),
            (Subject::Mount(_) | Subject::Device(_), Subject::Unit(_)) => {
                // Who is killed for lack of memory did not die of a disk.
                has_broken(above, Broken::Storage) && !is_oom(incident)
            }
            (Subject::Host, Subject::Unit(_)) => has_broken(above, Broken::Machine),
            (Subject::Device(_), Subject::Mount(_)) => {
                has_broken(above, Broken::Storage) && on_one_disk(above, incident)
            }
            _ => false,
        }
    }
}

/// Whether evidence can make its incident the cause of others.
pub(crate) fn can_be_cause(evidence: &Evidence) -> bool {
    broken(evidence).is_some()
}

fn has_broken(incident: &Incident, what: Broken) -> bool {
    let mut found = incident.evidence.iter().filter_map(broken);
    found.any(|found| found == what)
}

/// What this evidence says is broken for others, too.
fn broken(evidence: &Evidence) -> Option<Broken> {
    match evidence {
        Evidence::Signal(signal) => match &signal.fact {
            Fact::BlockError(_)
            | Fact::ScsiError(_)
            | Fact::WritebackError(_)
            | Fact::FilesystemError(_)
            | Fact::MountReadOnly(_) => Some(Broken::Storage),
            Fact::RcuStall(_) => Some(Broken::Machine),
            Fact::HardwareError(error) if error.corrected != Some(true) => Some(Broken::Machine),
            _ => None,
        },
        Evidence::Sample(sample) => full(&sample.series, sample.value),
        Evidence::Anomaly(anomaly) => full(&anomaly.series, anomaly.observed),
        Evidence::Notice(_) | Evidence::Child(_) => None,
    }
}

fn full(series: &Series, value: f64) -> Option<Broken> {
    match series.measure {
        Measure::DiskUsedRatio if value >= FULL => Some(Broken::Storage),
        Measure::MemoryUsedRatio if value >= FULL => Some(Broken::Machine),
        _ => None,
    }
}

fn is_oom(incident: &Incident) -> bool {
    incident.evidence.iter().any(|evidence| match evidence {
        Evidence::Signal(signal) => match &signal.fact {
            Fact::OomKill(_) => true,
            Fact::UnitState(state) => state.result == "oom-kill",
            _ => false,
        },
        _ => false,
    })
}

/// Whether a mount's own evidence names this device, or a partition of it.
fn on_one_disk(device: &Incident, mount: &Incident) -> bool {
    let Subject::Device(disk) = &device.subject else {
        return false;
    };
    let mut devices = mount.evidence.iter().filter_map(device_of);
    devices.any(|device| match &device.name {
        Some(name) => is_part(name, disk),
        None => *disk == format!("{}:{}", device.major, device.minor),
    })
}

/// Whether `name` is `disk` or a partition of it: `sda1` of `sda`, `nvme0n1p2` of `nvme0n1`.
fn is_part(name: &str, disk: &str) -> bool {
    name.strip_prefix(disk).is_some_and(|rest| {
        let number = if disk.ends_with(|c: char| c.is_ascii_digit()) {
            rest.strip_prefix('p')
        } else {
            Some(rest)
        };
        rest.is_empty()
            || number.is_some_and(|number| {
                !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
            })
    })
}

fn device_of(evidence: &Evidence) -> Option<&Device> {
    match evidence {
        Evidence::Signal(signal) => match &signal.fact {
            Fact::MountReadOnly(mount) => Some(&mount.device),
            Fact::FilesystemError(error) => Some(&error.device),
            Fact::WritebackError(error) => Some(&error.device),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::is_part;

    #[test]
    fn partitions_are_told_from_other_disks() {
        for (name, disk) in [("sda", "sda"), ("sda1", "sda"), ("nvme0n1p2", "nvme0n1")] {
            assert!(is_part(name, disk), "{name} {disk}");
        }
        for (name, disk) in [
            ("sdaa", "sda"),
            ("sdb1", "sda"),
            ("nvme0n12", "nvme0n1"),
            ("nvme0n1p", "nvme0n1"),
            ("sd", "sda"),
        ] {
            assert!(!is_part(name, disk), "{name} {disk}");
        }
    }
}
