//! The throw-away system with hostmedic in it, and how to ask it things: through `medic`, as an
//! operator would.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use hostmedic_model::{
    incident::{Incident, IncidentId},
    loss::Coverage,
    subject::UnitName,
    time::At,
    view::{IncidentDetail, Status},
};
use hostmedic_tests::nspawn::Nspawn;
use serde::de::DeserializeOwned;

use crate::{
    command,
    demo::{install, victim::Cage},
    places::Places,
};

/// How long to wait for what should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that is set up, and taken down when dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Dropped first: the cage must be empty before it can go.
    pub(crate) system: Nspawn,
    /// Where victims starve.
    pub(crate) cage: Cage,
}

/// Hooks that the scenes rest on.
const NEEDED: [&str; 3] = ["oom_victim", "process_exec", "process_exit"];

impl Stage {
    /// Boots, installs, starts, and waits until the daemon says that its hooks work.
    /// Numbers are taken `every` so often.
    pub(crate) fn set(places: &Places, every: &str) -> Result<Self> {
        let system = Nspawn::boot(&install::options(places, every)?)?;
        let stage = Self {
            system,
            cage: Cage::new()?,
        };
        stage.begin().map_err(|error| {
            let said = stage.what_medicd_said();
            error.context(format!(
                "hostmedic does not run in the throw-away system\n{said}"
            ))
        })?;
        Ok(stage)
    }

    fn begin(&self) -> Result<()> {
        install::finish(&self.system)?;
        let status = wait_for("the collector to be connected", PATIENCE, || {
            Ok(Some(self.status()?).filter(|status| status.replication.connected))
        })?;
        // Others depend on the kernel; `medic probes` says which are absent, and why.
        let dark: Vec<_> = status
            .hooks
            .iter()
            .filter(|hook| NEEDED.contains(&hook.hook.as_str()))
            .filter(|hook| hook.coverage == Coverage::Absent)
            .collect();
        ensure!(
            !status.hooks.is_empty() && dark.is_empty(),
            "hooks do not work here: {dark:?}"
        );
        Ok(())
    }

    /// Says what runs where.
    pub(crate) fn introduce(&self) -> Result<()> {
        let kernel = self.system.sh("uname -r")?;
        let systemd = self.system.sh("systemctl --version | head -n 1")?;
        let status = self.status()?;
        println!("  {systemd} on kernel {kernel}, private network, its own D-Bus and polkit");
        for hook in &status.hooks {
            let coverage = format!("{:?}", hook.coverage).to_lowercase();
            let reason = if hook.reason.is_empty() {
                ""
            } else {
                &hook.reason
            };
            println!(
                "  hook {} at {}: {coverage} {reason}",
                hook.hook, hook.attach_point
            );
        }
        println!(
            "  medicd {} as user hostmedic, phase {}, {} playbooks; collector connected over TLS",
            status.version,
            format!("{:?}", status.phase).to_lowercase(),
            status.playbooks.len()
        );
        Ok(())
    }

    /// Runs `medic --json ARGUMENTS` inside and reads its answer.
    pub(crate) fn medic<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let line = format!("medic --json {}", arguments.join(" "));
        let text = self.system.sh(&line)?;
        serde_json::from_str(&text).with_context(|| format!("`{line}` printed `{text}`"))
    }

    /// Says what hostmedic itself cost, and that no event was lost.
    pub(crate) fn say_cost(&self) -> Result<()> {
        let status = self.status()?;
        let lost: u64 = status
            .counters
            .iter()
            .map(|hook| hook.ring_full + hook.missed)
            .sum();
        let delivered: u64 = status.counters.iter().map(|hook| hook.delivered).sum();
        println!(
            "\nmedicd's own cost (development build): {:.1} MB resident, {:.1} MB in BPF maps, \
             {:.2} % of a core; {delivered} events, {} lost",
            status.cost.rss_bytes as f64 / 1e6,
            status.cost.kernel_map_bytes as f64 / 1e6,
            status.cost.cpu_ratio * 100.0,
            lost + status.queues.queue_full + status.queues.undecodable
        );
        Ok(())
    }

    /// Runs a line of shell inside; gives its exit code and its standard output.
    pub(crate) fn run(&self, line: &str) -> Result<(Option<i32>, String)> {
        let output = self.system.exec(&["sh", "-c", line])?;
        Ok((
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        ))
    }

    /// The host at a glance.
    pub(crate) fn status(&self) -> Result<Status> {
        self.medic(&["status"])
    }

    /// One incident with its records.
    pub(crate) fn incident(&self, id: &IncidentId) -> Result<IncidentDetail> {
        self.medic(&["incident", &id.0])
    }

    /// Waits for an incident about `unit` whose newest evidence is not older than `since`, and
    /// for `done` to be true of it; gives it as it then is.
    pub(crate) fn wait_for_incident(
        &self,
        unit: &str,
        since: At,
        what: &str,
        limit: Duration,
        done: impl Fn(&IncidentDetail) -> bool,
    ) -> Result<IncidentDetail> {
        let unit = UnitName::new(unit)?;
        let mut last = None;
        let found = wait_for(what, limit, || {
            let all: Vec<Incident> = self.medic(&["incidents", "--all"])?;
            let about = |incident: &&Incident| {
                incident.subject.unit() == Some(&unit) && incident.last_at.boot_ns >= since.boot_ns
            };
            // Oldest first: what the kill began, not what followed from it.
            let Some(incident) = all.iter().filter(about).min_by_key(|i| i.opened_at.boot_ns)
            else {
                return Ok(None);
            };
            let detail = self.incident(&incident.id)?;
            last = Some(detail.clone());
            Ok(done(&detail).then_some(detail))
        });
        if found.is_err()
            && let Some(last) = &last
        {
            println!("  so far:");
            crate::demo::timeline::print(last);
        }
        found
    }

    /// A property of a unit, as systemd says it.
    pub(crate) fn property(&self, unit: &str, name: &str) -> Result<String> {
        self.system.sh(&format!("systemctl show -P {name} {unit}"))
    }

    /// Last lines of the daemon's and the collector's journal, for when something went wrong.
    pub(crate) fn what_medicd_said(&self) -> String {
        let line = "journalctl --no-pager -n 40 -o cat -u medicd -u medic-collector -u polkit; \
                    systemctl --no-pager status medicd medic-collector | head -n 40; true";
        self.system
            .sh(line)
            .unwrap_or_else(|error| format!("(no journal: {error:#})"))
    }

    /// Says how to go on from here.
    pub(crate) fn look_further(&self, keep: bool) {
        let leader = self.system.leader();
        println!("\nTo look further, on any host with hostmedic:");
        println!("  medic status              the host at a glance, and what hostmedic costs");
        println!(
            "  medic incidents --all     what happened; then `medic incident ID`, `medic why ID`"
        );
        println!("  medic watch               every record as it is written");
        println!("  medic audit verify        the chain and its signatures, offline");
        if keep {
            println!("This throw-away one keeps running until Ctrl-C; a shell in it:");
            println!("  nsenter --target {leader} --all bash");
        } else {
            println!(
                "`cargo xtask demo --keep` keeps the throw-away system running to try them in."
            );
        }
    }
}

/// The present moment, on both clocks.
pub(crate) fn now() -> Result<At> {
    let boot = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .context("cannot read the boot clock")?;
    let wall = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME)
        .context("cannot read the wall clock")?;
    Ok(At {
        boot_ns: u64::try_from(Duration::from(boot).as_nanos()).unwrap_or(u64::MAX),
        wall_ms: i64::try_from(Duration::from(wall).as_millis()).unwrap_or(i64::MAX),
    })
}

/// Asks `probe` until it gives something, at most for `limit`. Errors are retried: a daemon that
/// is just starting refuses connections.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        command::check_interrupt()?;
        let last = match probe() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if started.elapsed() > limit {
            match last {
                Some(error) => return Err(error.context(format!("waited {limit:?} for {what}"))),
                None => bail!("waited {limit:?} for {what}, in vain"),
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
}
