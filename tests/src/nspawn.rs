//! A throw-away systemd: a container with its own PID 1, D-Bus and polkit on this kernel.
//!
//! Without it nothing could be tested against real unit states, jobs and timers but the
//! machine's own. Each boot sees the cached root file system through an overlay whose upper
//! layer is a tmpfs in a private mount namespace, and everything runs in a process namespace that
//! dies with the process that booted it, so nothing is left when it is gone, however it goes.

use std::{
    env, fs, io,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{self, Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{cgroup, rootfs};

/// How long a boot may take; about 3 s on an idle machine.
const BOOT_WAIT_MAX: Duration = Duration::from_secs(120);

/// Prefix of machine and cgroup names; the booting process's id follows it.
const PREFIX: &str = "hostmedic-";

/// What a boot differs in from the default.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Host paths to bind, as `--bind=` takes them: `SOURCE[:TARGET]`.
    pub bind: Vec<String>,
    /// The same, read-only.
    pub bind_ro: Vec<String>,
    /// More arguments of systemd-nspawn(1), such as `--capability=all`.
    pub extra_args: Vec<String>,
    /// Files to be there before PID 1 starts: path inside, and text.
    pub files: Vec<(PathBuf, String)>,
}

impl Options {
    /// What a service inside needs to load and attach eBPF programs of its own.
    #[must_use]
    pub fn with_bpf(mut self) -> Self {
        self.extra_args.push("--capability=all".to_owned());
        self.extra_args
            .push("--system-call-filter=bpf perf_event_open".to_owned());
        self.bind_ro.push("/sys/kernel/btf".to_owned());
        self.bind_ro.push("/sys/kernel/tracing".to_owned());
        self
    }
}

/// A booted container. Dropping it kills all of its processes at once.
#[derive(Debug)]
pub struct Nspawn {
    name: String,
    /// PID 1 of the container.
    leader: u32,
    /// PID 1 of the namespace around it, which is systemd-nspawn.
    nspawn: u32,
    /// The parent of that one.
    container: Child,
    /// cgroups made for it: the v2 one first.
    cgroups: Vec<PathBuf>,
    run_dir: TempDir,
    /// Ends the thread that the kernel takes for the container's parent.
    _keeper: mpsc::Sender<()>,
}

impl Nspawn {
    /// Boots a container and waits until its systemd says `running` or `degraded`.
    ///
    /// Needs root. The first boot on a machine builds the root file system; see [`rootfs`].
    ///
    /// # Errors
    /// Says what failed; a boot that does not come up ends with the console's last lines.
    pub fn boot(options: &Options) -> Result<Self> {
        static BOOTS: AtomicU32 = AtomicU32::new(0);

        ensure!(
            nix::unistd::geteuid().is_root(),
            "booting a container needs root; use sudo"
        );
        let rootfs = rootfs::ensure()?;
        remove_stale();
        let number = BOOTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", process::id());
        let run_dir =
            TempDir::with_prefix(format!("{name}-")).context("cannot make a run directory")?;
        let cgroups: Vec<_> = cgroup::roots()
            .into_iter()
            .map(|root| root.join(&name))
            .collect();

        stage_files(&run_dir.path().join("stage"), &options.files)?;
        let mut command = command(&name, &rootfs, run_dir.path(), &cgroups, options);
        let log = fs::File::create(run_dir.path().join("console.log"))
            .context("cannot make console.log")?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share console.log")?)
            .stderr(log)
            // Ctrl-C is for the program that booted us; it takes us down in order.
            .process_group(0);

        let (container, keeper) = spawn_kept(command)?;
        let mut booted = Self {
            name,
            leader: 0,
            nspawn: 0,
            container,
            cgroups,
            run_dir,
            _keeper: keeper,
        };
        booted.wait_until_up().map_err(|error| {
            let console = booted.console();
            let tail: Vec<_> = console.lines().rev().take(15).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            anyhow!(
                "{} did not boot: {error:#}; its console ends:\n{}",
                booted.name,
                tail.join("\n")
            )
        })?;
        Ok(booted)
    }

    /// Its name, different for each boot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Host's process id of its PID 1.
    pub fn leader(&self) -> u32 {
        self.leader
    }

    /// Its root directory, as a path that works on the host for root.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.leader))
    }

    /// D-Bus address of its system bus, for a client on the host that runs as root.
    pub fn bus_address(&self) -> String {
        format!(
            "unix:path={}/run/dbus/system_bus_socket",
            self.root().display()
        )
    }

    /// D-Bus address of its system bus for a client that the bus takes for user `user`.
    ///
    /// The client's words go through `systemd-stdio-bridge`, which runs inside as that user:
    /// so bus policy and polkit judge a real unprivileged process.
    pub fn bus_address_as(&self, user: &str) -> String {
        let arguments = [
            "nsenter",
            "--target",
            &self.leader.to_string(),
            "--all",
            "runuser",
            "--user",
            user,
            "--",
            "systemd-stdio-bridge",
        ]
        .iter()
        .enumerate()
        .map(|(n, argument)| format!(",argv{n}={argument}"))
        .collect::<String>();
        format!("unixexec:path=nsenter{arguments}")
    }

    /// What its console showed so far.
    pub fn console(&self) -> String {
        fs::read(self.run_dir.path().join("console.log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Runs a program inside, with all of the container's namespaces, and waits for it.
    ///
    /// It stays in the caller's cgroup; a program that must belong to a unit is a unit.
    ///
    /// # Errors
    /// Fails if it cannot be run; its own failure is in the output.
    pub fn exec<S: AsRef<std::ffi::OsStr>>(&self, argv: &[S]) -> Result<Output> {
        Command::new("nsenter")
            .args(["--target", &self.leader.to_string(), "--all", "--"])
            .args(argv)
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .stdin(Stdio::null())
            .output()
            .context("cannot run nsenter; apt-get install util-linux")
    }

    /// Runs a line of shell inside and gives its standard output, trimmed.
    ///
    /// # Errors
    /// Fails with the line and its standard error if it does not end with 0.
    pub fn sh(&self, line: &str) -> Result<String> {
        let output = self.exec(&["sh", "-c", line])?;
        let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(
            output.status.success(),
            "`{line}` in {} ended with {}: {} {stdout}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(stdout)
    }

    /// Writes a file inside, with its directories; `mode` as in chmod(1).
    ///
    /// # Errors
    /// Says which path could not be written.
    pub fn write_file(&self, path: &str, text: &str, mode: u32) -> Result<()> {
        let path = self.root().join(path.trim_start_matches('/'));
        write_file(&path, text, mode)
    }

    /// Writes `/etc/systemd/system/NAME` and reloads systemd.
    ///
    /// # Errors
    /// Says which path could not be written, or what systemd said.
    pub fn write_unit(&self, name: &str, text: &str) -> Result<()> {
        self.write_file(&format!("/etc/systemd/system/{name}"), text, 0o644)?;
        self.sh("systemctl daemon-reload").map(drop)
    }

    /// Where the cgroup paths of its systemd begin in the host's v2 tree: `/NAME/payload`.
    pub fn cgroup_below(&self) -> String {
        format!("/{}/payload", self.name)
    }

    /// Directory of a unit's v2 cgroup as the host sees it; it exists while the unit runs.
    ///
    /// # Errors
    /// Fails if systemd does not know the unit or it has no cgroup now.
    pub fn unit_cgroup(&self, unit: &str) -> Result<PathBuf> {
        let inside = self.sh(&format!("systemctl show -P ControlGroup '{unit}'"))?;
        ensure!(inside.len() > 1, "{unit} has no cgroup; is it running?");
        Ok(self.cgroups[0]
            .join("payload")
            .join(inside.trim_start_matches('/')))
    }

    /// Host's process id of a unit's main process.
    ///
    /// # Errors
    /// Fails if it has none now.
    pub fn main_pid(&self, unit: &str) -> Result<u32> {
        let inside = self.sh(&format!("systemctl show -P MainPID '{unit}'"))?;
        let procs = self.unit_cgroup(unit)?.join("cgroup.procs");
        let pids = fs::read_to_string(&procs)
            .with_context(|| format!("cannot read {}", procs.display()))?;
        pids.lines()
            .filter_map(|pid| pid.parse().ok())
            .find(|pid| namespaced_pid(*pid).as_deref() == Some(&inside))
            .with_context(|| format!("{unit} has no main process; systemd says {inside}"))
    }

    /// Finds PID 1, then asks it until it has finished booting.
    fn wait_until_up(&mut self) -> Result<()> {
        let deadline = Instant::now() + BOOT_WAIT_MAX;
        let mut said = String::from("nothing");
        while Instant::now() < deadline {
            if let Some(status) = self.container.try_wait().context("cannot wait")? {
                bail!("systemd-nspawn ended with {status}");
            }
            thread::sleep(Duration::from_millis(50));
            if self.leader == 0 {
                self.nspawn = init_below(self.container.id()).unwrap_or(0);
                self.leader = init_below(self.nspawn).unwrap_or(0);
            } else if self.root().join("run/dbus/system_bus_socket").exists() {
                let output = self.exec(&["systemctl", "is-system-running"])?;
                said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                if said == "running" || said == "degraded" {
                    return Ok(());
                }
            }
        }
        bail!("after {BOOT_WAIT_MAX:?} its systemd still said `{said}`")
    }
}

impl Drop for Nspawn {
    fn drop(&mut self) {
        // Killing PID 1 of a namespace kills every process in it, at once and surely. Its parent
        // ends only after all of them have.
        if self.nspawn != 0 {
            kill_pid(self.nspawn);
        } else {
            kill_pid(self.container.id());
        }
        let _ = self.container.wait();
        for tree in cgroup::trees() {
            cgroup::remove(&tree.join(&self.name));
        }
    }
}

/// The command that mounts the overlay, enters the cgroups and becomes systemd-nspawn.
fn command(
    name: &str,
    rootfs: &Path,
    run_dir: &Path,
    cgroups: &[PathBuf],
    options: &Options,
) -> Command {
    // Arguments: run directory, root file system, number of cgroups, the cgroups, the rest.
    const SCRIPT: &str = r#"set -e
run=$1 rootfs=$2 cgroups=$3; shift 3
mkdir "$run/tmp"
mount -t tmpfs -o mode=0755,size=2g hostmedic "$run/tmp"
mkdir "$run/tmp/upper" "$run/tmp/work" "$run/tmp/root"
mount -t overlay -o "lowerdir=$rootfs,upperdir=$run/tmp/upper,workdir=$run/tmp/work" \
    hostmedic "$run/tmp/root"
cp -a "$run/stage/." "$run/tmp/root/"
while [ "$cgroups" -gt 0 ]; do
    mkdir "$1"; echo $$ > "$1/cgroup.procs"; shift; cgroups=$((cgroups - 1))
done
exec systemd-nspawn --directory="$run/tmp/root" "$@"
"#;
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--propagation",
        "private",
    ]);
    // If the caller dies, so does unshare, so does PID 1 of this namespace, so does all in it.
    command.args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc"]);
    command.args(["sh", "-c", SCRIPT, "sh"]);
    command
        .arg(run_dir)
        .arg(rootfs)
        .arg(cgroups.len().to_string())
        .args(cgroups);
    command.args([
        "--boot",
        "--register=no",
        "--keep-unit",
        "--private-network",
    ]);
    command.args([
        "--console=read-only",
        "--quiet",
        "--link-journal=no",
        "--timezone=off",
    ]);
    command.args(["--resolv-conf=off", &format!("--machine={name}")]);
    command.args(options.bind.iter().map(|bind| format!("--bind={bind}")));
    command.args(
        options
            .bind_ro
            .iter()
            .map(|bind| format!("--bind-ro={bind}")),
    );
    command.args(&options.extra_args);
    command
}

/// Spawns `command` from a thread that lives until the sender is dropped.
///
/// The kernel sends the death signal when the *thread* that forked ends, and a test's thread
/// ends before others have finished with the container they share.
fn spawn_kept(mut command: Command) -> Result<(Child, mpsc::Sender<()>)> {
    let (keeper, released) = mpsc::channel();
    let (spawned, child) = mpsc::channel();
    thread::Builder::new()
        .name("nspawn-keeper".to_owned())
        .spawn(move || {
            if spawned.send(command.spawn()).is_ok() {
                let _: Result<(), _> = released.recv();
            }
        })
        .context("cannot start the keeper thread")?;
    let child: io::Result<Child> = child.recv().context("the keeper thread died")?;
    let child =
        child.context("cannot run setpriv; apt-get install util-linux systemd-container")?;
    Ok((child, keeper))
}

/// Puts `files` under `stage`, from where they are copied over the root file system.
fn stage_files(stage: &Path, files: &[(PathBuf, String)]) -> Result<()> {
    fs::create_dir(stage).context("cannot make the stage directory")?;
    for (path, text) in files {
        write_file(
            &stage.join(path.strip_prefix("/").unwrap_or(path)),
            text,
            0o644,
        )?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
}

/// The child of `parent` that is PID 1 of a namespace of its own.
fn init_below(parent: u32) -> Option<u32> {
    if parent == 0 {
        return None;
    }
    fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            field(&status, "PPid:") == Some(parent.to_string())
                && namespaced_pid(*pid).as_deref() == Some("1")
        })
}

/// A process's id in the innermost namespace, if it is not the host's own.
fn namespaced_pid(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = field(&status, "NSpid:")?;
    let ids = line.split_whitespace().skip(1);
    ids.last().map(str::to_owned)
}

fn field(status: &str, name: &str) -> Option<String> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

fn kill_pid(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Removes cgroups and run directories whose booting process ended without dropping its
/// container: it was killed, or held it in a static.
fn remove_stale() {
    let is_stale = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        owner
            .is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
    };
    let stale = |dir: PathBuf| {
        fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter(is_stale)
            .map(|entry| entry.path())
    };
    for cgroup in cgroup::trees().into_iter().flat_map(stale) {
        cgroup::remove(&cgroup);
    }
    for run_dir in stale(env::temp_dir()) {
        let _ = fs::remove_dir_all(run_dir);
    }
}
