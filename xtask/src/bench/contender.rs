//! The contenders: who watches, and how each is started, found ready and stopped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::{
    audit::Audit,
    load::{PRIORITY, Programs},
    process,
};
use crate::{command, places::Places};

/// Longest time to become ready.
const READY_MAX: Duration = Duration::from_secs(20);
/// How long the daemon may take to learn its library, the first time.
const LEARN_MAX: Duration = Duration::from_secs(120);
/// In a state directory of the daemon: the library's vectors, and the socket.
const VECTORS: &str = "vectors.hmvc";
const SOCKET: &str = "medicd.sock";
/// Rest after it: attaching makes the kernel patch its code, and caches cold.
const SETTLE: Duration = Duration::from_millis(250);
/// Ends peers that we could not end ourselves, in seconds.
const LIFE_S: u32 = 900;

/// Who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Contender {
    /// Nobody: what this differs from nobody is the noise of the measurement.
    Nobody,
    /// hostmedic's probes, and a process that takes what they tell.
    Capture,
    /// The same without the hook for dropped packets.
    CaptureNoDrops,
    /// The same with times of disk requests.
    CaptureLatency,
    /// The whole daemon.
    Medicd,
    /// bpftrace on the same hooks of processes: counts by cgroup, and prints programs.
    BpftraceProcess,
    /// bpftrace on the same hooks of the network: drops by reason, connections, resets, retransmits.
    BpftraceNetwork,
    /// bpftrace on disk requests, times by device.
    BpftraceDisk,
    /// auditd with a rule for execve.
    Auditd,
    /// perf trace on the same hooks of processes, which prints them.
    PerfTrace,
    /// perf record on the same hooks of processes, which keeps them.
    PerfRecordProcess,
    /// perf record on the same hooks of the network.
    PerfRecordNetwork,
    /// perf record on disk requests.
    PerfRecordDisk,
    /// Programs without any instruction but their return: the floor of the kernel's clock.
    Empty,
}

use Contender::{
    Auditd, BpftraceDisk, BpftraceNetwork, BpftraceProcess, Capture, CaptureLatency,
    CaptureNoDrops, Empty, Medicd, Nobody, PerfRecordDisk, PerfRecordNetwork, PerfRecordProcess,
    PerfTrace,
};

/// Tracepoints of processes, which all watch.
const PROCESS: [&str; 5] = [
    "sched:sched_process_exec",
    "sched:sched_process_exit",
    "sched:sched_process_fork",
    "signal:signal_generate",
    "oom:mark_victim",
];
const NETWORK: [&str; 5] = [
    "skb:kfree_skb",
    "sock:inet_sock_set_state",
    "tcp:tcp_send_reset",
    "tcp:tcp_receive_reset",
    "tcp:tcp_retransmit_skb",
];
const DISK: [&str; 2] = ["block:block_rq_issue", "block:block_rq_complete"];

/// Tracepoints with an empty program each, in the order of the script.
pub(super) const EMPTY: [&str; 10] = [
    "sched:sched_process_exec",
    "sched:sched_process_exit",
    "sched:sched_process_fork",
    "signal:signal_generate",
    "skb:kfree_skb",
    "block:block_rq_complete",
    "sock:inet_sock_set_state",
    "tcp:tcp_send_reset",
    "tcp:tcp_receive_reset",
    "tcp:tcp_retransmit_skb",
];

/// The name of a tracepoint without its subsystem.
pub(super) fn point(tracepoint: &'static str) -> &'static str {
    tracepoint
        .split_once(':')
        .map_or(tracepoint, |(_, point)| point)
}

impl Contender {
    /// What it is, for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Nobody => "nobody (noise)",
            Capture => "hostmedic capture",
            CaptureNoDrops => "hostmedic capture without `packet_drop`",
            CaptureLatency => "hostmedic capture with disk latency",
            Medicd => "medicd, whole",
            BpftraceProcess | BpftraceNetwork | BpftraceDisk => "bpftrace",
            Auditd => "auditd, execve",
            PerfTrace => "perf trace",
            PerfRecordProcess | PerfRecordNetwork | PerfRecordDisk => "perf record",
            Empty => "empty programs",
        }
    }

    /// The tracepoints of its script, one program each and in this order; `None` for others.
    pub(super) fn script(self) -> Option<impl Iterator<Item = &'static str>> {
        let points: &[_] = match self {
            BpftraceProcess => &PROCESS,
            BpftraceNetwork => &NETWORK,
            BpftraceDisk => &DISK,
            Empty => &EMPTY,
            _ => return None,
        };
        Some(points.iter().copied().map(point))
    }

    /// Whether it is hostmedic.
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Capture | CaptureNoDrops | CaptureLatency | Medicd)
    }

    /// Whether it is something else that watches.
    pub(super) fn is_peer(self) -> bool {
        !self.is_ours() && !matches!(self, Nobody | Empty)
    }
}

/// What a start needs to know.
pub(super) struct Starter<'a> {
    /// Where the clone is.
    pub(super) places: &'a Places,
    /// Our programs.
    pub(super) programs: &'a Programs,
    /// For files of contenders.
    pub(super) work: &'a Path,
}

/// A contender that watches; stopped when dropped.
pub(super) struct Running {
    child: Option<Child>,
    audit: Option<Audit>,
}

/// How one knows that a contender watches.
enum Ready<'a> {
    /// Its output holds this word.
    Says(&'a str),
    /// It holds so many BPF programs.
    Programs(usize),
    /// It holds so many files of perf.
    PerfEvents(usize),
    /// This file exists.
    File(PathBuf),
}

impl Starter<'_> {
    /// Starts `contender` and waits until it watches. `turn` counts how often that happened: it
    /// says when within its five seconds the capture reads its counts, so that readings have
    /// their true share although a turn is shorter.
    ///
    /// # Errors
    /// Says why it cannot watch here.
    pub(super) fn start(&self, contender: Contender, turn: usize) -> Result<Running> {
        let (mut command, ready) = match contender {
            Nobody => {
                return Ok(Running {
                    child: None,
                    audit: None,
                });
            }
            Auditd => {
                let audit = Audit::start(self.work)?;
                let mut running = Running {
                    child: None,
                    audit: Some(audit),
                };
                thread::sleep(SETTLE);
                running.check()?;
                return Ok(running);
            }
            Capture => (self.capture(turn, &[]), Ready::Says("ready")),
            CaptureNoDrops => (
                self.capture(turn, &["without=packet_drop"]),
                Ready::Says("ready"),
            ),
            CaptureLatency => (self.capture(turn, &["disk-latency"]), Ready::Says("ready")),
            Medicd => self.medicd()?,
            BpftraceProcess => (self.bpftrace(SCRIPT_PROCESS)?, programs_of(&PROCESS)),
            BpftraceNetwork => (self.bpftrace(SCRIPT_NETWORK)?, programs_of(&NETWORK)),
            BpftraceDisk => (self.bpftrace(SCRIPT_DISK)?, programs_of(&DISK)),
            Empty => (self.bpftrace(&empty_script())?, programs_of(&EMPTY)),
            PerfTrace => {
                let mut words = vec!["trace", "--no-syscalls", "--all-cpus"];
                words.extend(PROCESS.iter().flat_map(|event| ["--event", *event]));
                (self.perf(&words), Ready::PerfEvents(PROCESS.len()))
            }
            PerfRecordProcess => self.perf_record(&PROCESS),
            PerfRecordNetwork => self.perf_record(&NETWORK),
            PerfRecordDisk => self.perf_record(&DISK),
        };
        let log = self.work.join("contender.log");
        let out = fs::File::create(&log).context("cannot make a log")?;
        let err = out.try_clone().context("cannot share the log")?;
        // What it tells goes nowhere, as cheaply as can be; what it complains about is kept.
        match ready {
            Ready::Says(_) => command.stdout(out),
            _ => command.stdout(Stdio::null()),
        };
        let mut running = Running {
            child: Some(command::spawn(command.stderr(err))?),
            audit: None,
        };
        let began = Instant::now();
        while !running.is_ready(&ready, &log) {
            command::check_interrupt()?;
            let last = || fs::read_to_string(&log).unwrap_or_default();
            if let Err(error) = running.check() {
                bail!("{error}: {}", last().trim());
            }
            if began.elapsed() > READY_MAX {
                bail!("not ready after {READY_MAX:?}: {}", last().trim());
            }
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(SETTLE);
        running.check()?;
        Ok(running)
    }

    fn capture(&self, turn: usize, words: &[&str]) -> Command {
        // Multiples of the golden ratio fall evenly into the five seconds.
        let first_ms = (turn as f64 * 0.618_033_988_749).fract() * 5000.0;
        let mut command = Command::new(PRIORITY[0]);
        command.args(&PRIORITY[1..]);
        command.arg(self.programs.dir.join("bench-capture"));
        command
            .args(["capture", &format!("{first_ms:.0}")])
            .args(words);
        command
    }

    /// The whole daemon, with a bus that does not exist: it watches, and can act on nothing. It
    /// knows its library already, as it does from its first start on: learning takes some seconds
    /// once, and is no part of what watching costs.
    fn medicd(&self) -> Result<(Command, Ready<'static>)> {
        let state = tempfile::tempdir_in(self.work)
            .context("cannot make a directory")?
            .keep();
        let learned = self.learned()?;
        fs::copy(learned, state.join(VECTORS)).context("cannot copy the library's vectors")?;
        Ok((self.medicd_in(&state)?, Ready::File(state.join(SOCKET))))
    }

    /// What a daemon that has learned the library keeps of it.
    fn learned(&self) -> Result<PathBuf> {
        let state = self.work.join("learned");
        let vectors = state.join(VECTORS);
        if vectors.exists() {
            return Ok(vectors);
        }
        fs::create_dir_all(&state).context("cannot make a directory")?;
        let mut learner = Running {
            child: Some(command::spawn(&mut self.medicd_in(&state)?)?),
            audit: None,
        };
        let began = Instant::now();
        while !vectors.exists() {
            command::check_interrupt()?;
            learner.check()?;
            anyhow::ensure!(
                began.elapsed() < LEARN_MAX,
                "medicd does not learn its library"
            );
            thread::sleep(Duration::from_millis(100));
        }
        Ok(vectors)
    }

    fn medicd_in(&self, state: &Path) -> Result<Command> {
        let medicd = self.programs.dir.join("medicd");
        anyhow::ensure!(
            medicd.exists(),
            "`medicd` is not built; `cargo xtask build`"
        );
        let config = state.join("medicd.toml");
        let text = format!(
            "state_dir = {state:?}\nsocket = {:?}\nplaybooks_dir = {:?}\n\
             bus_address = \"unix:path={}\"\n",
            state.join(SOCKET),
            self.places.file("playbooks"),
            state.join("no-bus").display(),
        );
        fs::write(&config, text).context("cannot write a configuration")?;
        let mut command = Command::new(PRIORITY[0]);
        command.args(&PRIORITY[1..]).arg(medicd);
        command.arg("--config").arg(config).env("RUST_LOG", "warn");
        Ok(command)
    }

    fn bpftrace(&self, script: &str) -> Result<Command> {
        let path = self.work.join("script.bt");
        fs::write(&path, script).context("cannot write a script")?;
        let mut command = self.with_tracefs();
        command.arg("bpftrace").arg(path);
        Ok(command)
    }

    fn perf(&self, words: &[&str]) -> Command {
        let mut command = self.with_tracefs();
        command.arg("perf").args(words);
        command.args(["--", "sleep", &LIFE_S.to_string()]);
        command
    }

    fn perf_record(&self, events: &[&str]) -> (Command, Ready<'static>) {
        let mut words = vec!["record", "--quiet", "--all-cpus", "--output", "perf.data"];
        words.extend(events.iter().flat_map(|event| ["--event", *event]));
        (self.perf(&words), Ready::PerfEvents(events.len()))
    }

    /// A command that sees tracefs and debugfs, which not every machine mounts, and works in
    /// memory. The mounts are its own and go with it.
    fn with_tracefs(&self) -> Command {
        let script = "for place in tracefs:/sys/kernel/tracing debugfs:/sys/kernel/debug; do \
                          mountpoint --quiet \"${place#*:}\" || \
                              mount -t \"${place%:*}\" none \"${place#*:}\" || exit; \
                      done && \
                      mount -t tmpfs none \"$0\" --options size=1g && cd \"$0\" && \
                      exec \"$@\"";
        let memory = self.work.join("memory");
        let _ = fs::create_dir(&memory);
        let mut command = Command::new(PRIORITY[0]);
        command.args(&PRIORITY[1..]);
        command.args(["unshare", "--mount", "--propagation", "private", "sh", "-c"]);
        command.arg(script).arg(memory);
        command
    }
}

fn programs_of(tracepoints: &[&str]) -> Ready<'static> {
    Ready::Programs(tracepoints.len())
}

const SCRIPT_PROCESS: &str = r#"
tracepoint:sched:sched_process_exec { @exec[cgroup] = count(); printf("%d %s\n", pid, comm); }
tracepoint:sched:sched_process_exit { @exit[cgroup] = count(); }
tracepoint:sched:sched_process_fork { @fork[cgroup] = count(); }
tracepoint:signal:signal_generate { @signal[cgroup, args->sig] = count(); }
tracepoint:oom:mark_victim { printf("oom %d\n", args->pid); }
interval:s:900 { exit(); }
"#;

const SCRIPT_NETWORK: &str = r"
tracepoint:skb:kfree_skb { @drop[cgroup, args->reason] = count(); }
tracepoint:sock:inet_sock_set_state /args->newstate == 1/ { @flow[cgroup, args->dport] = count(); }
tracepoint:tcp:tcp_send_reset { @sent[cgroup] = count(); }
tracepoint:tcp:tcp_receive_reset { @received[cgroup] = count(); }
tracepoint:tcp:tcp_retransmit_skb { @again[cgroup] = count(); }
interval:s:900 { exit(); }
";

const SCRIPT_DISK: &str = r"
tracepoint:block:block_rq_issue { @began[args->dev, args->sector] = nsecs; }
tracepoint:block:block_rq_complete /@began[args->dev, args->sector]/ {
    @us[args->dev] = hist((nsecs - @began[args->dev, args->sector]) / 1000);
    delete(@began[args->dev, args->sector]);
}
interval:s:900 { exit(); }
";

fn empty_script() -> String {
    let probes = EMPTY.map(|tracepoint| format!("tracepoint:{tracepoint} {{ }}\n"));
    probes.concat() + "interval:s:900 { exit(); }\n"
}

impl Running {
    /// Its process; `None` when nobody watches.
    pub(super) fn pid(&self) -> Option<u32> {
        let of_audit = || self.audit.as_ref().map(Audit::pid);
        self.child.as_ref().map(Child::id).or_else(of_audit)
    }

    /// CPU time of its process, and of the kernel's thread that works for it.
    pub(super) fn cpu_ns(&self) -> u64 {
        let pids = self.pid().into_iter();
        let pids = pids.chain(self.audit.as_ref().and_then(Audit::kernel_thread));
        pids.map(process::cpu_ns).sum()
    }

    /// Fails if it has ended.
    fn check(&mut self) -> Result<()> {
        let child = match (&mut self.child, &mut self.audit) {
            (Some(child), _) => child,
            (None, Some(audit)) => audit.child(),
            (None, None) => return Ok(()),
        };
        match child.try_wait().context("cannot look after a contender")? {
            Some(status) => bail!("it ended with {status}"),
            None => Ok(()),
        }
    }

    fn is_ready(&self, ready: &Ready<'_>, log: &Path) -> bool {
        let Some(pid) = self.pid() else { return true };
        match ready {
            Ready::Says(word) => {
                fs::read_to_string(log).is_ok_and(|text| text.lines().any(|line| line == *word))
            }
            Ready::Programs(count) => process::programs(pid).len() >= *count,
            Ready::PerfEvents(count) => process::perf_events(pid) >= *count,
            Ready::File(path) => path.exists(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            command::stop(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_have_their_tracepoints_in_order() {
        let scripts = [
            (BpftraceProcess, SCRIPT_PROCESS.to_owned()),
            (BpftraceNetwork, SCRIPT_NETWORK.to_owned()),
            (BpftraceDisk, SCRIPT_DISK.to_owned()),
            (Empty, empty_script()),
        ];
        for (contender, script) in scripts {
            let told: Vec<_> = contender.script().unwrap().collect();
            let lines = script
                .lines()
                .filter_map(|line| line.strip_prefix("tracepoint:"));
            let found: Vec<_> = lines
                .filter_map(|line| line.split([':', ' ']).nth(1))
                .collect();
            assert_eq!(told, found);
        }
        assert!(Capture.script().is_none());
    }
}
