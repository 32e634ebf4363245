//! Evidence that the first step would destroy: what the playbook asks for, and always the unit's
//! last words and its memory cgroup.
//!
//! A restart throws it away; whoever reads the incident tomorrow would find a healthy unit and no
//! reason. What cannot be had is named, never left out in silence. Everything here only reads; each
//! kind of evidence has a file below, and all of them together have three seconds.

mod addresses;
mod aside;
mod cgroup;
mod clock;
mod counters;
mod disk;
mod files;
mod found;
mod journal;
mod kernel;
mod memory;
mod net;
mod packages;
mod process;
mod program;
mod scene;
mod stacks;
#[cfg(feature = "dbus")]
mod systemd;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use hostmedic_model::{
    capture::{CaptureKind, MISSING_MAX, PARTS_BYTES_MAX, Part, Wanted, plain},
    incident::IncidentId,
    intent::IntentId,
    record::Captured,
    subject::{Subject, UnitName},
};
use hostmedic_observe::{
    host::{certificate_chain, clock as host_clock},
    subject::Subjects,
};
use tokio::{task::JoinSet, time::timeout_at};

use self::{aside::aside, found::Found, scene::Scene};

/// How long all of it may take. A step waits for this, so it is short.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// When readers that can stop halfway do, so that what they have by then arrives in time.
const READ_MAX: Duration = Duration::from_millis(2500);

/// Where evidence comes from.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Knows the units' cgroups.
    pub subjects: Subjects,
    /// Journal to read instead of the host's own, as `journalctl -D` takes it.
    pub journal_dir: Option<PathBuf>,
    /// D-Bus address of the systemd that is asked; the system's own without it.
    pub bus_address: Option<String>,
    /// Where that systemd's files begin, as seen from here; `/` for the host's own.
    pub root: PathBuf,
}

/// What is to be captured, and for whom.
#[derive(Clone, Debug)]
pub struct Asked {
    /// For which incident.
    pub incident: IncidentId,
    /// For which intent.
    pub intent: IntentId,
    /// The unit that the first step works on.
    pub unit: UnitName,
    /// What the incident is about, then what else its evidence is about.
    pub about: Vec<Subject>,
    /// What the playbook asks for.
    pub wanted: Vec<Wanted>,
}

impl Capture {
    /// From this host itself.
    pub fn new(subjects: Subjects) -> Self {
        Self {
            subjects,
            journal_dir: None,
            bus_address: None,
            root: PathBuf::from("/"),
        }
    }

    /// Captures what there is. Takes at most about 3 s and changes nothing.
    pub async fn capture(&self, asked: Asked) -> Captured {
        let until = Instant::now() + WAIT_MAX;
        let wanted = Wanted::with_always(&asked.wanted);
        let read_until = Instant::now() + READ_MAX;
        let scene = Arc::new(Scene::new(
            &asked.unit,
            &asked.about,
            &self.subjects,
            &self.root,
            read_until,
        ));
        // Dropped at the deadline, they end, and with them the programs that they run.
        let mut readers = JoinSet::new();
        for wanted in &wanted {
            let (own, scene, wanted) = (self.clone(), Arc::clone(&scene), *wanted);
            readers.spawn(async move { (wanted.kind, own.read(wanted, scene).await) });
        }
        let mut all = BTreeMap::new();
        while let Ok(Some(read)) = timeout_at(until.into(), readers.join_next()).await {
            // One that broke is named below: it is not among those that are there.
            if let Ok((kind, found)) = read {
                all.insert(kind, found);
            }
        }
        let mut captured = Captured {
            incident: asked.incident,
            intent: asked.intent,
            at: host_clock::now(),
            journal: Vec::new(),
            cgroup: BTreeMap::new(),
            parts: Vec::new(),
            missing: Vec::new(),
        };
        put_together(&wanted, all, &mut captured);
        captured
    }

    /// Everything of one kind.
    async fn read(self, wanted: Wanted, scene: Arc<Scene>) -> Found {
        let Wanted { kind, count } = wanted;
        match kind {
            // The decision before the step has recorded it.
            CaptureKind::UnitSnapshot => Found::default(),
            CaptureKind::JournalTail => {
                journal::unit(self.journal_dir, scene.ended.clone(), count).await
            }
            CaptureKind::KernelLog => journal::kernel(self.journal_dir, count).await,
            CaptureKind::CoredumpNewest => journal::coredump(self.journal_dir, scene).await,
            CaptureKind::ClockSources => clock::sources(scene).await,
            #[cfg(feature = "dbus")]
            CaptureKind::SystemdJobs => systemd::jobs(self.bus_address).await,
            #[cfg(feature = "dbus")]
            CaptureKind::UnitFiles => systemd::files(self.bus_address, scene).await,
            _ => aside(move || read_files(kind, count, &scene)).await,
        }
    }
}

/// What is read from files alone, and may block.
fn read_files(kind: CaptureKind, count: u32, scene: &Scene) -> Found {
    match kind {
        CaptureKind::CgroupMemory => cgroup::memory(scene),
        CaptureKind::CgroupCpu | CaptureKind::CgroupIo => cgroup::lines(kind, scene),
        CaptureKind::ProcSmapsTop => memory::top(scene, count),
        CaptureKind::ProcStacks => stacks::top(scene, count),
        CaptureKind::ProcFdsTop => files::top(scene, count),
        CaptureKind::ProcTree => process::tree(scene),
        CaptureKind::DiskUsageTop => disk::usage(scene, count),
        CaptureKind::DiskDeletedOpen => files::deleted(scene, count),
        CaptureKind::MdStatus => kernel::md(&scene.proc, Path::new("/sys")),
        CaptureKind::NetSocketsTop => net::top(scene, count),
        CaptureKind::NetCounters => counters::all(scene),
        CaptureKind::NetAddresses => addresses::all(scene),
        CaptureKind::SysctlValues => kernel::settings(&scene.proc),
        CaptureKind::PackageHistory => packages::history(scene, count),
        CaptureKind::CertificateChain => match &scene.certificate {
            Some(path) => Found::of(certificate_chain(&scene.below_root(path))),
            None => Found::nothing("the incident is about no certificate's file"),
        },
        CaptureKind::UnitSnapshot
        | CaptureKind::JournalTail
        | CaptureKind::KernelLog
        | CaptureKind::CoredumpNewest
        | CaptureKind::ClockSources
        | CaptureKind::SystemdJobs
        | CaptureKind::UnitFiles => Found::nothing("this build cannot read it"),
    }
}

/// What was read, in the order that it was asked for, as far as it fits; and all that is missing.
fn put_together(wanted: &[Wanted], mut all: BTreeMap<CaptureKind, Found>, captured: &mut Captured) {
    let mut missing = Vec::new();
    let mut room = PARTS_BYTES_MAX;
    for wanted in wanted {
        // Under these names they have always been told.
        let name = match wanted.kind {
            CaptureKind::JournalTail => "journal".to_owned(),
            CaptureKind::CgroupMemory => "cgroup".to_owned(),
            _ => wanted.to_string(),
        };
        let Some(found) = all.remove(&wanted.kind) else {
            missing.push(format!("{name}: not ready within {WAIT_MAX:?}"));
            continue;
        };
        let told = found.missing.iter().map(|why| format!("{name}: {why}"));
        missing.extend(told);
        match wanted.kind {
            CaptureKind::UnitSnapshot => {}
            CaptureKind::JournalTail => captured.journal = found.lines,
            CaptureKind::CgroupMemory => captured.cgroup = found.files,
            // It has nothing but a reason why.
            _ if found.lines.is_empty() && !found.missing.is_empty() => {}
            _ => {
                let (part, left_out) = Part::bounded(*wanted, found.lines, room);
                room = room.saturating_sub(part.bytes());
                if left_out > 0 {
                    missing.push(format!("{name}: {left_out} more lines; there is no room"));
                }
                captured.parts.push(part);
            }
        }
    }
    let more = missing.len().saturating_sub(MISSING_MAX);
    missing.truncate(MISSING_MAX);
    captured.missing = missing.iter().map(|why| plain(why)).collect();
    if more > 0 {
        captured.missing.push(format!("and {more} more"));
    }
}

#[cfg(test)]
#[path = "capture/tests.rs"]
mod tests;
